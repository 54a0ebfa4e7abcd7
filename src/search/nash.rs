//! NASH: hill climbing on the error by network morphisms.
//!
//! Elsken, Metzen, Hutter, *Simple and Efficient Architecture Search for Convolutional Neural
//! Networks*, 2017 (arXiv 1711.04528): the most accurate network so far gets children by some random
//! morphisms each (as many children as a generation has), which inherit its weights and are trained by a whole cosine each (the engine trains
//! every child so); the best of them is the next. It looks at the error alone; the front is what it
//! leaves on its way.
use rand_chacha::ChaCha8Rng;

use crate::space::Space;

use super::Evaluated;
use super::Generation;
use super::Parent;
use super::Situation;
use super::Strategy;
use super::batch::Batch;
use super::random::begin;

/// The strategy; the front is all it needs to know.
#[derive(Debug, Default)]
pub struct Nash;

/// Morphisms from a parent to a child, as in the paper.
const MORPHISMS: usize = 5;
/// Draws for each wanted child before the generation is left smaller.
const TRIES: usize = 50;

impl Strategy for Nash {
    fn name(&self) -> &'static str {
        "nash"
    }

    fn cannot_run_on(&self, space: &dyn Space) -> Option<String> {
        let is_fixed = space.choices().is_some();
        is_fixed.then(|| "it climbs by morphisms, which a fixed space does not have".to_owned())
    }

    fn ask(&mut self, situation: &Situation<'_>, rng: &mut ChaCha8Rng) -> Generation {
        let mut batch = Batch::new(situation);
        begin(&mut batch, situation, true, 0, rng);
        if batch.room() < situation.room {
            return batch.done();
        }
        let error = |parent: &&Parent| parent.values[situation.error_at];
        let best = situation.front.iter().min_by(|a, b| error(a).total_cmp(&error(b)));
        for _ in 0..TRIES * situation.room {
            let Some(best) = best.filter(|_| batch.room() > 0) else { break };
            if let Some(child) = situation.space.mutate(&best.architecture, MORPHISMS, rng) {
                batch.offer(child, Some(best.id));
            }
        }
        batch.done()
    }

    fn tell(&mut self, _evaluated: &Evaluated) {}
}
