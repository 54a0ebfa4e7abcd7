//! Citron: expected hypervolume improvement by Gaussian processes on what an architecture does.
//!
//! After the space's own starts and a few random architectures, every proposal is the one of the largest
//! expected hypervolume improvement among many: all that a recorded space has, else fresh draws and
//! children of the front. A Gaussian process believes in the logarithm of the error, another in what
//! an additive model leaves of the logarithm of each cost that is not known. They see the
//! architecture pruned to what has an effect, in groups of features whose length scales are fitted. The
//! improvement counts the noise of the next result, since the front records it.
//!
//! # Source
//!
//! Expected hypervolume improvement: Emmerich, Giannakoglou, Naujoks, *Single- and Multiobjective
//! Evolutionary Optimization Assisted by Gaussian Random Field Metamodels*, IEEE TEC 2006. The groups,
//! the additive model under the process, and the start are ours.
use rand_chacha::ChaCha8Rng;

use super::Evaluated;
use super::Generation;
use super::Situation;
use super::Strategy;
use super::bayes::Bayes;
use super::bayes::Style;
use super::groups::Detail;

/// The strategy.
#[derive(Debug)]
pub struct Citron(Bayes);

/// Architectures before the model takes over.
const FIRST: usize = 8;
/// The same of those who know no better.
const FIRST_OF_PEERS: usize = 16;

impl Citron {
    /// The strategy as it is meant; do children inherit weights?
    pub fn new(inherit: bool) -> Citron {
        let style = Style { detail: Detail::Whole, starts: true, first: FIRST, recorded: true };
        Citron(Bayes::new(style, inherit))
    }

    /// With the features and the start of its peers, to see what these are worth.
    pub fn one_hot(inherit: bool) -> Citron {
        let (detail, first) = (Detail::OneHot, FIRST_OF_PEERS);
        Citron(Bayes::new(Style { detail, starts: false, first, recorded: true }, inherit))
    }
}

impl Strategy for Citron {
    fn name(&self) -> &'static str {
        "citron"
    }

    fn ask(&mut self, situation: &Situation<'_>, rng: &mut ChaCha8Rng) -> Generation {
        self.0.ask(situation, rng)
    }

    fn tell(&mut self, evaluated: &Evaluated) {
        self.0.tell(evaluated);
    }
}
