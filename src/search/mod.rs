//! Which candidate next: ask/tell strategies.
//!
//! A strategy knows nothing of training, devices or storage. What it must remember it learns from
//! [`Strategy::tell`], so that telling the stored results again in their stored order restores it (but
//! for the point from which `citron` and `qnehvi` fit a recorded space again, where nothing is resumed).
mod adam;
mod ageing;
mod axes;
mod bananas;
mod batch;
mod bayes;
mod beliefs;
mod cholesky;
mod citron;
mod controller;
mod forest;
mod fronts;
mod goal;
mod gp;
mod greedy;
mod groups;
mod history;
mod improvement;
mod layers;
mod lemonade;
mod local;
mod lstm;
mod mlp;
mod nash;
mod nsga2;
mod policy;
mod qnehvi;
mod random;
mod reinforce;
mod rena;
mod reward;
mod softmax;
mod surgeon;
mod surrogate;
#[cfg(test)]
mod toy;

pub use ageing::RegularizedEvolution;
pub use bananas::Bananas;
pub use citron::Citron;
pub use forest::Forest;
pub use lemonade::Acceptance;
pub use lemonade::Lemonade;
pub use local::LocalSearch;
pub use nash::Nash;
pub use nsga2::Nsga2;
pub use policy::Gradient;
pub use qnehvi::QNehvi;
pub use random::Random;
pub use reinforce::Reinforce;
pub use rena::Rena;

use std::collections::BTreeSet;

use rand_chacha::ChaCha8Rng;

use crate::graph::Graph;
use crate::morphism::Step;
use crate::pareto::Reference;
use crate::space::Architecture;
use crate::space::Identity;
use crate::space::Space;

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

    /// Why it can do nothing in a space, if it cannot.
    fn cannot_run_on(&self, _space: &dyn Space) -> Option<String> {
        None
    }

    /// Proposes at most `situation.room` candidates.
    fn ask(&mut self, situation: &Situation<'_>, rng: &mut ChaCha8Rng) -> Generation;

    /// How many proposals it likes to make at a time, where nothing else decides that.
    fn batch(&self) -> usize {
        1
    }

    /// Learns the outcome of one candidate.
    fn tell(&mut self, evaluated: &Evaluated);
}

/// What a strategy may look at when it proposes.
pub struct Situation<'a> {
    /// Where architectures come from.
    pub space: &'a dyn Space,
    /// The front, sorted by candidate number; empty before the first generation.
    pub front: &'a [Parent],
    /// Architectures that are in the run already.
    pub known: &'a BTreeSet<Identity>,
    /// Scale of all objectives; `None` before the first candidates are measured.
    pub reference: Option<&'a Reference>,
    /// Hard limits, in the order of the run's objectives; may be left empty where there are none.
    ///
    /// On costs `costs` keeps them as far as they are known before a measurement. On the error nobody can:
    /// once something keeps that one, the front has no other members.
    pub limits: &'a [Option<f64>],
    /// Objectives of an architecture that need no training, in the order of the run's objectives
    /// without the error; `None` if a hard limit rules it out.
    pub costs: &'a (dyn Fn(&Architecture) -> Option<Costs> + 'a),
    /// Position of the error among the run's objectives.
    pub error_at: usize,
    /// Position of the device whose front is to be improved, among those of the run.
    pub device: usize,
    /// Most proposals wanted.
    pub room: usize,
}

/// Objectives other than the error, in the run's order; `None` is not known before it is measured.
pub type Costs = Vec<Option<f64>>;

/// A front member that may become a parent.
#[derive(Clone, Debug)]
pub struct Parent {
    /// Candidate number.
    pub id: u64,
    /// What it is.
    pub architecture: Architecture,
    /// Its objectives, in the run's order.
    pub values: Vec<f64>,
}

/// An architecture worth evaluating.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// The candidate whose weights it inherits by the steps of its architecture; `None` if it is
    /// trained from random weights.
    pub parent: Option<u64>,
    /// What it is.
    pub architecture: Architecture,
}

/// What [`Strategy::ask`] answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Generation {
    /// The accepted architectures.
    pub proposals: Vec<Proposal>,
    /// How many architectures were looked at for it.
    pub looked_at: u64,
}

/// The outcome of a candidate.
#[derive(Clone, Debug)]
pub struct Evaluated {
    /// Candidate number.
    pub id: u64,
    /// What it is.
    pub architecture: Architecture,
    /// How it grew; `None` if it was trained from random weights.
    pub grown: Option<Grown>,
    /// Error of the parent whose weights it had.
    pub parent_error: Option<f64>,
    /// Its own error; `None` if it was killed or failed.
    pub error: Option<f64>,
    /// Its other objectives on each device of the run, as known when it was told.
    pub costs: Vec<Costs>,
}

/// From what, and by which changes.
#[derive(Clone, Debug)]
pub struct Grown {
    /// What the parent is.
    pub parent: Graph,
    /// Morphisms from the parent, in order; at least one.
    pub steps: Vec<Step>,
}

impl Evaluated {
    /// All objectives in the run's order on the device of the situation; `None` if one is missing.
    pub fn values(&self, situation: &Situation<'_>) -> Option<Vec<f64>> {
        let costs = self.costs.get(situation.device)?;
        let mut values: Vec<f64> = costs.iter().copied().collect::<Option<_>>()?;
        values.insert(situation.error_at, self.error?);
        Some(values)
    }
}

/// Names and one-line summaries of all strategies.
pub const STRATEGIES: &[(&str, &str)] = &[
    (
        "lemonade",
        "grows the front by morphisms, where it is sparse or a surrogate expects gain; by default in the open space",
    ),
    (
        "citron",
        "the largest expected gain by Gaussian processes on what an architecture does; by default in fixed spaces",
    ),
    ("qnehvi", "the largest expected gain behind the noise, on the bare choices"),
    ("bananas", "draws from an ensemble of small networks on the paths of a cell"),
    ("nsga2", "a population by ranks of dominance, thinned out where it is crowded"),
    ("regularized-evolution", "children of the best of a young population; the oldest dies"),
    ("local-search", "neighbours of the front, until it has no new ones"),
    ("nash", "climbs by morphisms, five at a time, from the most accurate network"),
    ("rena", "a policy reads a network's layers and learns where to scale, insert or remove one"),
    ("reinforce", "a recurrent controller draws architectures and learns from its rewards"),
    ("random", "random architectures of the same space, trained from scratch: the baseline"),
];

/// Strategies with another part in place of their own, to see what that is worth.
pub const VARIANTS: &[(&str, &str)] = &[
    ("lemonade:density", "accepts children where the front is sparse, as published"),
    ("citron:one-hot", "sees the bare choices, and begins at random"),
    ("qnehvi:pruned", "sees what an architecture does, and begins as citron"),
    ("reinforce:proximal", "several steps a batch, as in NASNet"),
];

/// What strategies can be told besides their name; each takes what concerns it.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How `lemonade` chooses children.
    pub acceptance: Acceptance,
    /// Structures that `lemonade` makes in each generation.
    pub children: usize,
    /// Do children inherit weights?
    pub inherit: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { acceptance: Acceptance::default(), children: 64, inherit: true }
    }
}

/// The strategy or variant of this name; `None` if there is none.
pub fn strategy(name: &str, settings: Settings) -> Option<Box<dyn Strategy>> {
    let Settings { acceptance, children, inherit } = settings;
    Some(match name {
        "lemonade:density" => Box::new(Lemonade::new(Acceptance::Density, children, inherit)),
        "lemonade" => Box::new(Lemonade::new(acceptance, children, inherit)),
        "random" => Box::new(Random),
        "nash" => Box::new(Nash),
        "citron" => Box::new(Citron::new(inherit)),
        "citron:one-hot" => Box::new(Citron::one_hot(inherit)),
        "qnehvi" => Box::new(QNehvi::new(inherit)),
        "qnehvi:pruned" => Box::new(QNehvi::pruned(inherit)),
        "local-search" => Box::new(LocalSearch),
        "regularized-evolution" => Box::new(RegularizedEvolution::new()),
        "nsga2" => Box::new(Nsga2::new(Nsga2::POPULATION)),
        "bananas" => Box::new(Bananas::default()),
        "rena" => Box::new(Rena::default()),
        "reinforce" => Box::new(Reinforce::new(Gradient::Reinforce)),
        "reinforce:proximal" => Box::new(Reinforce::new(Gradient::PROXIMAL)),
        _ => return None,
    })
}
