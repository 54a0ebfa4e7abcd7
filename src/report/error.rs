//! Why there is no report.
use crate::pareto::UnknownObjective;
use crate::store::StoreError;

/// Why a run could not be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The run was made with an objective that this program does not know.
    #[error("run `{run}` cannot be shown")]
    Objective {
        /// Which run.
        run: String,
        /// Its name.
        source: UnknownObjective,
    },
    /// The reference of the hypervolume is no reference.
    #[error("the reference of run `{run}` cannot be read")]
    Reference {
        /// Which run.
        run: String,
        /// Cause.
        source: serde_json::Error,
    },
    /// The picture could not be drawn.
    #[error("the plot cannot be drawn as PNG: {reason}")]
    Picture {
        /// In words.
        reason: String,
    },
}
