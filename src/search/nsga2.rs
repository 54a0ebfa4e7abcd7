//! NSGA-II: a population sorted by ranks of dominance, thinned out where it is crowded.
//!
//! Deb, Pratap, Agarwal, Meyarivan, *A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II*,
//! IEEE TEC 2002. What is known to break a hard limit on a cost is not evaluated at all; of those whose
//! results break a limit, most often that on the error, it has the rule of that paper: the feasible wins, of
//! two others the one that breaks limits less. The population is the best of all results, not of the last
//! population and its children, so who was crowded out may come back.
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::pareto::crowding;
use crate::pareto::ranks;
use crate::space::Architecture;

use super::Evaluated;
use super::Generation;
use super::Situation;
use super::Strategy;
use super::batch::Batch;
use super::history::History;
use super::history::Individual;
use super::random;
use super::random::begin;

/// The strategy.
#[derive(Debug)]
pub struct Nsga2 {
    population: usize,
    history: History,
}

/// Share of children that have two parents, where the space knows crossover.
const CROSSED: f64 = 0.9;
/// Draws for each wanted child before random architectures take its place.
const TRIES: usize = 50;

/// A member of the population as a tournament sees it.
pub(super) struct Ranked<'a> {
    pub individual: Individual<'a>,
    pub rank: usize,
    pub crowding: f64,
}

impl Nsga2 {
    /// Members of a population, and children in a generation.
    ///
    /// 20 rather than the 100 of the paper: searches here have some hundred evaluations.
    pub const POPULATION: usize = 20;

    /// With a population of so many.
    pub fn new(population: usize) -> Nsga2 {
        Nsga2 { population, history: History::default() }
    }
}

impl Strategy for Nsga2 {
    fn name(&self) -> &'static str {
        "nsga2"
    }

    fn ask(&mut self, situation: &Situation<'_>, rng: &mut ChaCha8Rng) -> Generation {
        let mut batch = Batch::new(situation);
        begin(&mut batch, situation, false, self.population, rng);
        let population = best(self.history.individuals(situation), self.population);
        for _ in 0..TRIES * batch.room() {
            if batch.room() == 0 || population.is_empty() {
                break;
            }
            let (child, parent) = child(&population, situation, rng);
            if let Some(child) = child {
                batch.offer(child, parent);
            }
        }
        random::fill(&mut batch, situation, rng);
        batch.done()
    }

    fn batch(&self) -> usize {
        self.population
    }

    fn tell(&mut self, evaluated: &Evaluated) {
        self.history.add(evaluated);
    }
}

/// The best `n` by rank, then by crowding, in that order.
pub(super) fn best(individuals: Vec<Individual<'_>>, n: usize) -> Vec<Ranked<'_>> {
    let mut best = ranked(individuals);
    best.sort_by(|a, b| a.rank.cmp(&b.rank).then(b.crowding.total_cmp(&a.crowding)));
    best.truncate(n);
    best
}

/// Each with its rank and its crowding within the rank. Who keeps the limits comes first, by dominance; the
/// others after them, by how far they are beyond.
pub(super) fn ranked(mut individuals: Vec<Individual<'_>>) -> Vec<Ranked<'_>> {
    // The sort is stable, so the feasible stay in their order.
    individuals.sort_by(|a, b| a.violation.total_cmp(&b.violation));
    let points: Vec<&[f64]> = individuals.iter().map(|i| &i.point[..]).collect();
    let feasible = individuals.partition_point(|i| i.violation == 0.0);
    let mut ranks = ranks(&points[..feasible]);
    // No two of the others have one rank, and none has that of a feasible one.
    ranks.extend(feasible..points.len());
    let mut spread = vec![0.0; points.len()];
    for rank in 0..=ranks.iter().copied().max().unwrap_or(0) {
        let of_rank: Vec<usize> = (0..ranks.len()).filter(|&i| ranks[i] == rank).collect();
        let points: Vec<&[f64]> = of_rank.iter().map(|&i| points[i]).collect();
        for (i, distance) in of_rank.into_iter().zip(crowding(&points)) {
            spread[i] = distance;
        }
    }
    let each = individuals.into_iter().zip(ranks).zip(spread);
    each.map(|((individual, rank), crowding)| Ranked { individual, rank, crowding }).collect()
}

/// By crossover and mutation; its parent is the one whose weights it can inherit.
fn child(
    population: &[Ranked<'_>],
    situation: &Situation<'_>,
    rng: &mut ChaCha8Rng,
) -> (Option<Architecture>, Option<u64>) {
    let space = situation.space;
    let mut parent = || tournament(population, 2, rng);
    let (a, b) = (parent(), parent());
    let crossed = match rng.random_bool(CROSSED) {
        true => space.cross(a.architecture, b.architecture, rng),
        false => None,
    };
    match crossed {
        None => (space.mutate(a.architecture, 1, rng), Some(a.id)),
        Some(crossed) => match rng.random_bool(0.5) {
            true => (space.mutate(&crossed, 1, rng), None),
            false => (Some(crossed), None),
        },
    }
}

/// The best of `size` random members: by rank, then by crowding.
pub(super) fn tournament<'a>(
    population: &'a [Ranked<'a>],
    size: usize,
    rng: &mut ChaCha8Rng,
) -> &'a Individual<'a> {
    let mut draw = || &population[rng.random_range(0..population.len())];
    let mut best = draw();
    for _ in 1..size {
        let other = draw();
        if (other.rank, -other.crowding) < (best.rank, -best.crowding) {
            best = other;
        }
    }
    &best.individual
}
