//! What can end a run that should have gone on.
use crate::measure::MeasureError;
use crate::morphism::MorphismError;
use crate::pareto::Objective;
use crate::store::CandidateId;
use crate::store::StoreError;

use super::ConfigError;
use super::WeightsError;

/// What can end a run that should have gone on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// A strategy that can do nothing in the space: which, where and why.
    #[error("{0}")]
    CannotSearch(String),
    /// A member that the configuration begins with, but the space does not have.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The device or the runner cannot measure anything at all.
    #[error(transparent)]
    Measure(MeasureError),
    /// No candidate of the first generation meets a hard limit.
    #[error(
        "no first network meets the limit `{objective}<={most}`: the smallest needs {least}, \
         {factor:.1} times as much"
    )]
    ImpossibleLimit {
        /// Of which objective.
        objective: Objective,
        /// The limit.
        most: String,
        /// What was measured.
        least: String,
        /// Their ratio.
        factor: f64,
    },
    /// Nothing of the first generation was trained.
    #[error("no network of the first generation could be trained: {reason}")]
    NothingTrained {
        /// Why the first of them ended.
        reason: String,
    },
    /// Asked to stop while the store could not be written: what was not written is lost, all else is saved.
    #[error("stopped while the store could not be written")]
    InterruptedWhilePaused,
    /// A blob of weights is not what it should be.
    #[error("the weights of candidate {candidate} cannot be read")]
    Weights {
        /// Whose.
        candidate: CandidateId,
        /// Why.
        source: WeightsError,
    },
    /// A recorded step does not fit its parent: the store is of another version.
    #[error("a recorded morphism cannot be repeated")]
    Replay(#[from] MorphismError),
    /// The reference point in the store is damaged.
    #[error("the reference point of the run cannot be read")]
    Reference(#[source] serde_json::Error),
}

impl EngineError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            EngineError::ImpossibleLimit { .. } => Some(
                "raise the limit and start anew with --new, or use smaller images; a search \
                     starts from small seeds",
            ),
            EngineError::NothingTrained { .. } => Some(
                "`citronade doctor` looks at the runner; change the configuration and start anew \
                 with --new",
            ),
            EngineError::CannotSearch(_) => {
                Some("give another with --strategy or --space, or smaller --repeats and --filters")
            }
            EngineError::Store(error) => error.hint(),
            EngineError::Measure(error) => error.hint(),
            EngineError::Config(_)
            | EngineError::InterruptedWhilePaused
            | EngineError::Weights { .. }
            | EngineError::Replay(_)
            | EngineError::Reference(_) => None,
        }
    }
}

/// An error with its causes, in one line.
pub(super) fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
