//! How long and how a candidate is trained.
use crate::data::Augment;
use crate::data::DataSet;
use crate::store::CandidateId;
use crate::train::TrainPlan;

use super::RunConfig;
use super::develop::Source;

/// Epochs that a candidate is trained for; 0 in the configuration means by the size of the data.
pub(super) fn epochs_of(config: &RunConfig, inherits: bool, images: usize) -> u32 {
    let by_size = |wanted: usize, most: u32| (wanted.div_ceil(images.max(1)) as u32).clamp(1, most);
    match (inherits, &config.training) {
        (false, t) if t.epochs_from_scratch > 0 => t.epochs_from_scratch,
        (false, _) => by_size(120_000, 40),
        (true, t) if t.epochs_of_child > 0 => t.epochs_of_child,
        (true, _) => by_size(40_000, 15),
    }
}

pub(super) fn train_plan(
    config: &RunConfig,
    source: &Source,
    data: &DataSet,
    id: CandidateId,
) -> TrainPlan {
    let training = &config.training;
    let inherits = matches!(source, Source::Parent { .. });
    TrainPlan {
        epochs: epochs_of(config, inherits, data.train.len()),
        batch: training.batch,
        learning_rate: match inherits {
            true => training.learning_rate_of_child,
            false => training.learning_rate,
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
