//! The baseline: random structures of the same space, trained from scratch.
use std::collections::BTreeSet;

use rand_chacha::ChaCha8Rng;

use super::Evaluated;
use super::Generation;
use super::Origin;
use super::Proposal;
use super::Situation;
use super::Strategy;

/// Draws structures without looking at results.
#[derive(Debug, Default)]
pub struct Random;

/// Draws for each wanted proposal before the generation is left smaller.
const TRIES: usize = 20;

impl Strategy for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn ask(&mut self, situation: &Situation<'_>, rng: &mut ChaCha8Rng) -> Generation {
        let mut generation = Generation::default();
        let mut seen: BTreeSet<_> = BTreeSet::new();
        for _ in 0..TRIES * situation.room {
            if generation.proposals.len() == situation.room {
                break;
            }
            let graph = situation.space.sample(rng);
            generation.looked_at += 1;
            let id = graph.arch_id();
            let new = !situation.known.contains(&id) && seen.insert(id);
            if new && (situation.costs)(&graph).is_some() {
                generation.proposals.push(Proposal { origin: Origin::Scratch, graph });
            }
        }
        generation
    }

    fn tell(&mut self, _evaluated: &Evaluated) {}
}
