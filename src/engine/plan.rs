//! How long and how a candidate is trained.
use crate::data::Augment;
use crate::data::DataSet;
use crate::store::Accepted;
use crate::train::TrainPlan;

use super::RunConfig;

/// Most epochs of any training.
const MOST_EPOCHS: u32 = 60;

/// What a training starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// Random weights.
    Scratch,
    /// A parent's weights, after morphisms.
    Child,
    /// A front member's weights as they are.
    Refinement,
}

impl Start {
    /// Of this candidate.
    pub(super) fn of(accepted: &Accepted) -> Start {
        match accepted.parent {
            None => Start::Scratch,
            Some(_) if accepted.steps.is_empty() => Start::Refinement,
            Some(_) => Start::Child,
        }
    }
}

/// How much there is to train, and by what a network is large or small.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    /// Training images.
    pub images: usize,
    /// Multiply-accumulates of the largest seed.
    pub largest_seed: u64,
}

impl Scale {
    /// A small network is trained twice as long as a large one: it learns more slowly, and a second of training
    /// more is little beside its measurement. Two lengths and no more, so that enough curves have the same one
    /// to learn from.
    fn patience(self, macs: u64) -> u32 {
        match self.largest_seed / macs.max(1) {
            0..4 => 1,
            _ => 2,
        }
    }
}

/// Epochs that a candidate with so many multiply-accumulates is trained for.
pub(super) fn epochs_of(config: &RunConfig, start: Start, scale: Scale, macs: u64) -> u32 {
    let t = &config.training;
    let patience = scale.patience(macs);
    match start {
        Start::Scratch => epochs(t.epochs_from_scratch, 120_000, 40, scale.images, patience),
        Start::Child => epochs(t.epochs_of_child, 24_000, 20, scale.images, patience),
        Start::Refinement => epochs_of_refinement(config, scale),
    }
}

/// Epochs that a front member is trained on for, whatever its size.
pub(super) fn epochs_of_refinement(config: &RunConfig, scale: Scale) -> u32 {
    epochs(config.training.epochs_of_refinement, 600_000, MOST_EPOCHS, scale.images, 1)
}

/// As the configuration says; 0 there means as many as show so many images, `most` at most, as often as
/// `patience` says.
fn epochs(chosen: u32, shown: usize, most: u32, images: usize, patience: u32) -> u32 {
    match chosen {
        0 => ((shown.div_ceil(images.max(1)) as u32).clamp(1, most) * patience).min(MOST_EPOCHS),
        n => n,
    }
}

pub(super) fn train_plan(
    config: &RunConfig,
    accepted: &Accepted,
    data: &DataSet,
    scale: Scale,
) -> TrainPlan {
    let training = &config.training;
    let (start, id) = (Start::of(accepted), accepted.candidate);
    TrainPlan {
        epochs: epochs_of(config, start, scale, accepted.macs),
        batch: training.batch,
        learning_rate: match start {
            Start::Child => training.learning_rate_of_child,
            Start::Scratch | Start::Refinement => training.learning_rate,
        },
        momentum: training.momentum,
        weight_decay: training.weight_decay,
        label_smoothing: training.label_smoothing,
        augment: training.augment.unwrap_or(Augment::for_data(data)),
        seed: config.seed ^ id.rotate_left(32),
        threads: 1,
        ..TrainPlan::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_epochs(images: usize, start: Start, macs: u64, expected: u32) {
        let scale = Scale { images, largest_seed: 800 };
        assert_eq!(epochs_of(&RunConfig::default(), start, scale, macs), expected);
    }

    #[test]
    fn few_images_and_small_networks_are_trained_for_more_epochs() {
        check_epochs(60_000, Start::Child, 800, 1);
        check_epochs(10_000, Start::Child, 800, 3);
        check_epochs(10_000, Start::Child, 201, 3);
        check_epochs(10_000, Start::Child, 200, 6);
        check_epochs(10_000, Start::Scratch, 200, 24);
        check_epochs(1_000, Start::Child, 800, 20);
        check_epochs(1_000, Start::Scratch, 1, MOST_EPOCHS);
        check_epochs(60_000, Start::Refinement, 1, 10);
    }

    #[test]
    fn what_the_configuration_says_holds_for_all_sizes() {
        let mut config = RunConfig::default();
        config.training.epochs_of_child = 7;
        let scale = Scale { images: 10, largest_seed: 800 };
        assert_eq!([1, 800].map(|macs| epochs_of(&config, Start::Child, scale, macs)), [7, 7]);
    }
}
