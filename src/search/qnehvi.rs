//! qNEHVI: noisy expected hypervolume improvement on a Gaussian process over the bare choices.
//!
//! Daulton, Balandat, Bakshy, *Parallel Bayesian Optimization of Multiple Noisy Objectives with Expected
//! Hypervolume Improvement*, NeurIPS 2021. The improvement is that of what lies behind the noise. With two
//! objectives it is exact for a front, and the mean over draws of the front behind what was observed;
//! other than in the paper a candidate is not drawn together with the front, but believed in by itself.
//! With more it is that of the observed front, over a few nodes of the error. A batch is chosen one after
//! the other, each as if the former had become the median that is believed of them. In the open space
//! there are no bare choices: it sees there what `citron` sees.
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
pub struct QNehvi(Bayes);

/// Random architectures before the model takes over, as in the recorded runs of BoTorch.
const FIRST: usize = 16;
/// As `citron` has.
const FIRST_OF_CITRON: usize = 8;

impl QNehvi {
    /// On one bit for each option, as published; do children inherit weights?
    pub fn new(inherit: bool) -> QNehvi {
        let style = Style { detail: Detail::OneHot, starts: false, first: FIRST, recorded: false };
        QNehvi(Bayes::new(style, inherit))
    }

    /// With the features and the start of `citron`, to see what these are worth.
    pub fn pruned(inherit: bool) -> QNehvi {
        let style =
            Style { detail: Detail::Whole, starts: true, first: FIRST_OF_CITRON, recorded: false };
        QNehvi(Bayes::new(style, inherit))
    }
}

impl Strategy for QNehvi {
    fn name(&self) -> &'static str {
        "qnehvi"
    }

    fn ask(&mut self, situation: &Situation<'_>, rng: &mut ChaCha8Rng) -> Generation {
        self.0.ask(situation, rng)
    }

    fn tell(&mut self, evaluated: &Evaluated) {
        self.0.tell(evaluated);
    }
}
