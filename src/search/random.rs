//! The baseline: random architectures of the space, trained from scratch.
use rand_chacha::ChaCha8Rng;

use super::Evaluated;
use super::Generation;
use super::Situation;
use super::Strategy;
use super::batch::Batch;

/// Draws without looking at results, and none twice.
#[derive(Debug, Default)]
pub struct Random;

/// Draws for each wanted proposal before the generation is left smaller.
const TRIES: usize = 20;

impl Strategy for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn ask(&mut self, situation: &Situation<'_>, rng: &mut ChaCha8Rng) -> Generation {
        let mut batch = Batch::new(situation);
        fill(&mut batch, situation, rng);
        batch.done()
    }

    fn tell(&mut self, _evaluated: &Evaluated) {}
}

/// Fills a generation up with random architectures.
pub(super) fn fill(batch: &mut Batch<'_>, situation: &Situation<'_>, rng: &mut ChaCha8Rng) {
    fill_to(batch, situation, 0, rng);
}

/// The same until there is no more than `room` left.
pub(super) fn fill_to(
    batch: &mut Batch<'_>,
    situation: &Situation<'_>,
    room: usize,
    rng: &mut ChaCha8Rng,
) {
    for _ in 0..TRIES * situation.room {
        if batch.room() <= room {
            break;
        }
        batch.offer(situation.space.sample(rng), None);
    }
}
