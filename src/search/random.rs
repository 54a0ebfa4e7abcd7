//! The baseline: random architectures of the space, trained from scratch.
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::space::Architecture;
use crate::space::Identity;

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

/// The same until there is no more than `room` left; what drawing does not find, because nearly all is
/// known, is looked up where that can be.
pub(super) fn fill_to(
    batch: &mut Batch<'_>,
    situation: &Situation<'_>,
    room: usize,
    rng: &mut ChaCha8Rng,
) {
    for _ in 0..TRIES * situation.room {
        if batch.room() <= room {
            return;
        }
        batch.offer(situation.space.sample(rng), None);
    }
    let all = situation.space.all().unwrap_or_default().iter();
    let is_new = |architecture: &&Architecture| !situation.known.contains(&architecture.identity());
    let mut left: Vec<&Architecture> = all.filter(is_new).collect();
    left.shuffle(rng);
    for architecture in left {
        if batch.room() <= room {
            return;
        }
        batch.offer(architecture.clone(), None);
    }
}

/// What a search begins with and is not in the run yet: of the open space its seeds; of a fixed one its
/// own `starts` if they are wanted, then random architectures until there are `first` in the run.
pub(super) fn begin(
    batch: &mut Batch<'_>,
    situation: &Situation<'_>,
    starts: bool,
    first: usize,
    rng: &mut ChaCha8Rng,
) {
    let is_fixed = situation.space.choices().is_some();
    if starts || !is_fixed {
        for start in situation.space.starts() {
            batch.offer(start, None);
        }
    }
    if is_fixed {
        // The network that choices stand for may be known as well, but counts once.
        let chosen = situation.known.iter().filter(|known| matches!(known, Identity::Choices(_)));
        let begun = chosen.count() + situation.room - batch.room();
        let room = batch.room().saturating_sub(first.saturating_sub(begun));
        fill_to(batch, situation, room, rng);
    }
}
