//! How long and how a candidate is trained.
use crate::data::Augment;
use crate::data::DataSet;
use crate::store::Accepted;
use crate::store::CandidateId;
use crate::train::TrainPlan;

use super::RunConfig;

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

/// Epochs that a candidate is trained for; 0 in the configuration means by the size of the data.
pub(super) fn epochs_of(config: &RunConfig, start: Start, images: usize) -> u32 {
    let t = &config.training;
    let (chosen, wanted, most) = match start {
        Start::Scratch => (t.epochs_from_scratch, 120_000, 40),
        Start::Child => (t.epochs_of_child, 40_000, 15),
        Start::Refinement => (t.epochs_of_refinement, 600_000, 60),
    };
    match chosen {
        0 => (usize::div_ceil(wanted, images.max(1)) as u32).clamp(1, most),
        n => n,
    }
}

pub(super) fn train_plan(
    config: &RunConfig,
    start: Start,
    data: &DataSet,
    id: CandidateId,
) -> TrainPlan {
    let training = &config.training;
    TrainPlan {
        epochs: epochs_of(config, start, data.train.len()),
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
