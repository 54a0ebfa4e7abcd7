//! Which candidate next: ask/tell strategies.
//!
//! A strategy knows nothing of training, devices or storage. What it must remember it learns from
//! [`Strategy::tell`], so that telling the stored results again in their stored order restores it.
mod forest;
mod lemonade;
mod random;
mod surrogate;

pub use forest::Forest;
pub use lemonade::Acceptance;
pub use lemonade::Lemonade;
pub use random::Random;

use std::collections::BTreeSet;

use rand_chacha::ChaCha8Rng;

use crate::graph::ArchId;
use crate::graph::Graph;
use crate::morphism::Applied;
use crate::pareto::Reference;
use crate::space::MorphismSpace;

/// Decides what to try next.
///
/// The engine calls [`ask`](Self::ask) once a generation and [`tell`](Self::tell) once for each
/// finished candidate, sorted by candidate number, when the generation is complete. A strategy
/// must tolerate proposals that are never told back.
///
/// Deterministic: the same calls with the same `rng` state give the same proposals, which is what
/// makes a run replayable from its seed.
pub trait Strategy: Send {
    /// Name in configuration, logs and the store, e.g. `lemonade`.
    fn name(&self) -> &'static str;

    /// Proposes at most `situation.room` candidates.
    fn ask(&mut self, situation: &Situation<'_>, rng: &mut ChaCha8Rng) -> Generation;

    /// Learns the outcome of one candidate.
    fn tell(&mut self, evaluated: &Evaluated);
}

/// What a strategy may look at when it proposes.
pub struct Situation<'a> {
    /// Where architectures come from.
    pub space: &'a MorphismSpace,
    /// The front, sorted by candidate number; empty before the first generation.
    pub front: &'a [Parent],
    /// Structures that are in the run already.
    pub known: &'a BTreeSet<ArchId>,
    /// Scale of all objectives; `None` before the seeds are measured.
    pub reference: Option<&'a Reference>,
    /// Cheap objectives of a structure, predicted where they would have to be measured, in the
    /// order of the run's objectives without the error; `None` if a hard limit rules it out.
    pub costs: &'a (dyn Fn(&Graph) -> Option<Vec<f64>> + 'a),
    /// Position of the error among the run's objectives.
    pub error_at: usize,
    /// Most proposals wanted.
    pub room: usize,
}

/// A front member that may become a parent.
#[derive(Clone, Debug)]
pub struct Parent {
    /// Candidate number.
    pub id: u64,
    /// Its structure.
    pub graph: Graph,
    /// Its objectives, in the run's order.
    pub values: Vec<f64>,
}

/// Where a proposal comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    /// Trained from random weights.
    Scratch,
    /// Grown from a parent by these morphisms, in order.
    Child {
        /// Candidate number.
        parent: u64,
        /// The last one holds the child's structure.
        steps: Vec<Applied>,
    },
}

/// A structure worth evaluating.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// Where it comes from.
    pub origin: Origin,
    /// What it is.
    pub graph: Graph,
}

/// What [`Strategy::ask`] answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Generation {
    /// The accepted structures.
    pub proposals: Vec<Proposal>,
    /// How many structures were looked at for it.
    pub looked_at: u64,
}

/// The outcome of a candidate.
#[derive(Clone, Debug)]
pub struct Evaluated {
    /// Candidate number.
    pub id: u64,
    /// Its structure.
    pub graph: Graph,
    /// Error of the parent whose weights it had.
    pub parent_error: Option<f64>,
    /// Its own error; `None` if it was killed or failed.
    pub error: Option<f64>,
}

/// Names and one-line summaries of all strategies.
pub const STRATEGIES: &[(&str, &str)] = &[
    ("lemonade", "grows the front by morphisms, where it is sparse or a surrogate expects gain"),
    ("random", "random structures of the same space, trained from scratch: the baseline"),
];
