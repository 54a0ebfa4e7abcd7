//! Where architectures come from: fixed spaces of choices, and the open space of morphisms.
mod catalogue;
mod cell;
mod cell_text;
mod cells;
mod chain;
mod choice;
mod darts;
mod drawing;
mod features;
mod macro_bench;
mod mobile;
mod nb201;
mod open;
mod parts;
mod seeds;
mod sketch;
mod weights;

pub use catalogue::SPACES;
pub use catalogue::Size;
pub use catalogue::by_name;
pub use catalogue::sized;
pub use catalogue::sizes;
pub use catalogue::words;
pub use cell::Scale;
pub use cells::NasNet;
pub use chain::Chain;
pub use choice::ChoiceError;
pub use choice::ChoiceSpace;
pub use choice::Choices;
pub use choice::Fixed;
pub use darts::Darts;
pub use drawing::Drawing;
pub use drawing::Row;
pub use features::FEATURES;
pub use macro_bench::MacroBench;
pub use mobile::Mobile;
pub use nb201::Nb201;
pub use open::MorphismSpace;
pub use sketch::Edge;
pub use sketch::Label;
pub use sketch::Sketch;
pub use weights::initial_weights;

use std::fmt;

use rand_chacha::ChaCha8Rng;

use crate::graph::ArchId;
use crate::graph::Graph;
use crate::morphism::Applied;

/// What a strategy may do without knowing what an architecture is.
///
/// Everything drawn is drawn from `rng` alone.
pub trait Space: Send + Sync + fmt::Debug {
    /// Name in configuration and lists, e.g. `nb201`.
    fn name(&self) -> &str;

    /// Architectures that a search begins with, the same ones each time.
    fn starts(&self) -> Vec<Architecture>;

    /// An architecture from anywhere in the space.
    fn sample(&self, rng: &mut ChaCha8Rng) -> Architecture;

    /// A child of `parent` after `steps` random changes; `None` if nothing can be changed.
    fn mutate(
        &self,
        parent: &Architecture,
        steps: usize,
        rng: &mut ChaCha8Rng,
    ) -> Option<Architecture>;

    /// A child of two parents; `None` where the space knows no crossover.
    fn cross(
        &self,
        a: &Architecture,
        b: &Architecture,
        rng: &mut ChaCha8Rng,
    ) -> Option<Architecture>;

    /// Numbers that tell architectures apart, for surrogates; for each group always as many.
    fn features(&self, architecture: &Architecture) -> Features;

    /// The network; `None` if nothing comes through what was chosen.
    fn build(&self, architecture: &Architecture) -> Option<Graph>;

    /// All architectures, where a list of them is at hand: a recorded benchmark's.
    fn all(&self) -> Option<&[Architecture]> {
        None
    }

    /// The space as a vector of choices, if it is one.
    fn choices(&self) -> Option<&dyn ChoiceSpace> {
        None
    }
}

/// An architecture as its space writes it down.
#[derive(Clone, Debug, PartialEq)]
pub enum Architecture {
    /// A member of a fixed space.
    Chosen(Choices),
    /// A member of the open space.
    Grown {
        /// What it is.
        graph: Graph,
        /// How it came from its parent; the last one holds `graph`. Empty without a parent.
        steps: Vec<Applied>,
    },
}

/// What makes two architectures of a space the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Identity {
    /// The same choices.
    Choices(Choices),
    /// The same structure.
    Structure(ArchId),
}

impl Architecture {
    /// An architecture of the open space without a parent.
    pub fn grown(graph: Graph) -> Architecture {
        Architecture::Grown { graph, steps: Vec::new() }
    }

    /// What makes it the same as another of its space.
    pub fn identity(&self) -> Identity {
        match self {
            Architecture::Chosen(choices) => Identity::Choices(choices.clone()),
            Architecture::Grown { graph, .. } => Identity::Structure(graph.arch_id()),
        }
    }

    /// Its choices, if its space is a fixed one.
    pub fn choices(&self) -> Option<&Choices> {
        match self {
            Architecture::Chosen(choices) => Some(choices),
            Architecture::Grown { .. } => None,
        }
    }
}

/// An architecture as numbers, in groups that surrogates may treat apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Features {
    /// One bit for each option of each decision: is it chosen? Empty in the open space.
    pub one_hot: Vec<f64>,
    /// How often each option is chosen, or each kind of operation occurs.
    pub counts: Vec<f64>,
    /// How often each operation occurs where it has an effect; empty where the space sketches nothing.
    pub live: Vec<f64>,
    /// How many paths through the cell consist of each sequence of operations; empty likewise.
    pub paths: Vec<f64>,
    /// Depths and the like of what is left when everything without an effect is gone.
    pub statistics: Vec<f64>,
    /// Logarithms of what is known without measuring or training: parameters, multiply-accumulates, most
    /// memory at a time, bytes moved; of a table, the columns that it has.
    pub costs: Vec<f64>,
}

impl Features {
    /// All groups in one row.
    pub fn flat(&self) -> Vec<f64> {
        let Features { one_hot, counts, live, paths, statistics, costs } = self;
        [&one_hot[..], counts, live, paths, statistics, costs].concat()
    }
}
