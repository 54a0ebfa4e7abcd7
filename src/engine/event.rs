//! What happens, for whoever watches: the only way out beside the store.
use serde::Serialize;

use crate::store::CandidateId;
use crate::store::Ended;
use crate::store::Measured;
use crate::store::Trained;
use crate::train::Epoch;

/// Something happened. The state after it is handed out beside it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The run begins, or goes on after a stop.
    Started {
        /// Were there results in the store already?
        resumed: bool,
    },
    /// A generation was proposed.
    Proposed {
        /// Counted from 0.
        generation: u32,
        /// Accepted candidates.
        accepted: Vec<CandidateId>,
    },
    /// Front members shall be trained on.
    Refining {
        /// Counted from 0.
        generation: u32,
        /// New candidates, one for each member.
        accepted: Vec<CandidateId>,
    },
    /// A candidate was measured.
    Measured(Measured),
    /// The candidate's file computes something else on a device than it should, so it is on no front there.
    Wrong {
        /// Which.
        candidate: CandidateId,
        /// Name of the device.
        device: String,
        /// How far it is off.
        reason: String,
    },
    /// An epoch of a training ended.
    Epoch(CandidateId, Epoch),
    /// A candidate was trained.
    Trained(Trained),
    /// A candidate went no further.
    Ended(Ended),
    /// A generation is complete; the front may have changed.
    Generation(u32),
    /// The store, or a model to be measured, cannot be written; the run waits and tries again.
    Paused(String),
    /// The last measurements and the test errors are being taken.
    Finishing,
    /// Nothing happened for a second.
    Tick,
}
