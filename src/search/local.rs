//! Local search: neighbours of the front, until it has no new ones.
//!
//! White, Nolen, Savani, *Exploring the Loss Landscape in Neural Architecture Search*, UAI 2021; for
//! several objectives Pareto local search, Paquete, Chiarandini, Stützle, *Pareto Local Optimum Sets
//! in the Biobjective Traveling Salesman Problem*, 2004: every member of the front is climbed from, and
//! the first better neighbour takes its place at once.
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::Evaluated;
use super::Generation;
use super::Parent;
use super::Situation;
use super::Strategy;
use super::batch::Batch;
use super::random;
use super::random::begin;

/// The strategy; the front is all it needs to know.
#[derive(Debug, Default)]
pub struct LocalSearch;

/// Random architectures of a fixed space that it starts from, as many as in *naszilla*.
const FIRST: usize = 10;
/// Draws after which a member counts as one whose neighbours are all known.
const TRIES: usize = 100;

impl Strategy for LocalSearch {
    fn name(&self) -> &'static str {
        "local-search"
    }

    fn ask(&mut self, situation: &Situation<'_>, rng: &mut ChaCha8Rng) -> Generation {
        let mut batch = Batch::new(situation);
        begin(&mut batch, situation, true, FIRST, rng);
        let mut climbed: Vec<&Parent> = situation.front.iter().collect();
        while batch.room() > 0
            && let Some(&parent) = climbed.choose(rng)
        {
            let is_new = (0..TRIES).any(|_| {
                let child = situation.space.mutate(&parent.architecture, 1, rng);
                child.is_some_and(|child| batch.offer(child, Some(parent.id)))
            });
            if !is_new {
                climbed.retain(|other| other.id != parent.id);
            }
        }
        // The front is a local optimum: start anew.
        random::fill(&mut batch, situation, rng);
        batch.done()
    }

    fn tell(&mut self, _evaluated: &Evaluated) {}
}
