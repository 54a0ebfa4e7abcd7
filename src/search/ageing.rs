//! Regularised evolution: the oldest dies, not the worst.
//!
//! Real, Aggarwal, Huang, Le, *Regularized Evolution for Image Classifier Architecture Search*, AAAI
//! 2019. With several objectives the best of a tournament is the one of the lowest rank of dominance
//! within the population, then the least crowded; whoever keeps the hard limits comes first, as in `nsga2`.
use rand_chacha::ChaCha8Rng;

use super::Evaluated;
use super::Generation;
use super::Situation;
use super::Strategy;
use super::batch::Batch;
use super::history::History;
use super::nsga2::ranked;
use super::nsga2::tournament;
use super::random;
use super::random::begin;

/// The strategy.
#[derive(Debug)]
pub struct RegularizedEvolution {
    population: usize,
    sample: usize,
    history: History,
}

/// Draws for each wanted child before a random architecture takes its place.
const TRIES: usize = 50;

impl RegularizedEvolution {
    /// Youngest candidates that are the population: 30, as *naszilla* has for recorded benchmarks; the
    /// paper has 100 for 20,000 evaluations.
    pub const POPULATION: usize = 30;
    /// Size of a tournament: 10, as *naszilla*; the paper has 25 of 100.
    pub const SAMPLE: usize = 10;

    /// With the defaults.
    pub fn new() -> RegularizedEvolution {
        RegularizedEvolution {
            population: Self::POPULATION,
            sample: Self::SAMPLE,
            history: History::default(),
        }
    }
}

impl Default for RegularizedEvolution {
    fn default() -> Self {
        RegularizedEvolution::new()
    }
}

impl Strategy for RegularizedEvolution {
    fn name(&self) -> &'static str {
        "regularized-evolution"
    }

    fn ask(&mut self, situation: &Situation<'_>, rng: &mut ChaCha8Rng) -> Generation {
        let mut batch = Batch::new(situation);
        begin(&mut batch, situation, false, self.population, rng);
        let mut individuals = self.history.individuals(situation);
        individuals.drain(..individuals.len().saturating_sub(self.population));
        let population = ranked(individuals);
        for _ in 0..TRIES * batch.room() {
            if batch.room() == 0 || population.is_empty() {
                break;
            }
            let parent = tournament(&population, self.sample, rng);
            if let Some(child) = situation.space.mutate(parent.architecture, 1, rng) {
                batch.offer(child, Some(parent.id));
            }
        }
        random::fill(&mut batch, situation, rng);
        batch.done()
    }

    fn tell(&mut self, evaluated: &Evaluated) {
        self.history.add(evaluated);
    }
}
