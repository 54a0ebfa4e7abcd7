//! BANANAS: an ensemble of small networks on the paths of a cell, asked by Thompson sampling.
//!
//! White, Neiswanger, Savani, *BANANAS: Bayesian Optimization with Neural Architectures for Neural
//! Architecture Search*, AAAI 2021; parameters of its reference code, *naszilla*. With several
//! objectives a candidate's draws of all of them are one point, and what counts is the hypervolume
//! that it adds to the front. Costs that only a measurement tells have ensembles of their own, which
//! see all features, since operations add up in a cost. A path that is there twice counts twice; in the
//! paper it is one bit.
use rand_chacha::ChaCha8Rng;

use crate::space::Architecture;
use crate::space::Features;

use super::Costs;
use super::Evaluated;
use super::Generation;
use super::Situation;
use super::Strategy;
use super::batch::Batch;
use super::goal::Goal;
use super::history::History;
use super::mlp::Ensemble;
use super::mlp::Training;
use super::nsga2::best;
use super::random;
use super::random::begin;
use super::surrogate::ERROR_FLOOR;
use super::surrogate::log_error;
use super::surrogate::normal;

/// The strategy.
#[derive(Debug, Default)]
pub struct Bananas {
    history: History,
}

/// Random architectures that come first, as in the reference code.
const FIRST: usize = 10;
/// Proposals between two fits, as in the reference code.
const BATCH: usize = 10;
/// Networks of an ensemble, as in the paper.
const MEMBERS: usize = 5;
/// As in the paper, but for 3 hidden layers in place of 10: on 4 games of NAS-Bench-201 they found
/// better fronts in four tenths of the time. The most steps are those of 320 results, which the paper never has.
const TRAINING: Training =
    Training { layers: 3, width: 20, epochs: 150, steps: 1500, batch: 32, rate: 0.01 };
/// Architectures that are mutated, the best by rank and crowding, as many as in the reference code.
const PARENTS: usize = 10;
/// New mutations of these, among which a batch is chosen, as many as in the reference code.
const CANDIDATES: usize = 100;
/// Mutations made for each of them before there are fewer.
const TRIES: usize = 5;

/// An architecture that may be proposed.
struct Candidate {
    parent: u64,
    architecture: Architecture,
    costs: Costs,
    features: Features,
}

impl Strategy for Bananas {
    fn name(&self) -> &'static str {
        "bananas"
    }

    fn ask(&mut self, situation: &Situation<'_>, rng: &mut ChaCha8Rng) -> Generation {
        let mut batch = Batch::new(situation);
        begin(&mut batch, situation, false, FIRST, rng);
        if batch.room() > 0 {
            let candidates = self.candidates(&mut batch, situation, rng);
            if let Some(example) = candidates.first()
                && let Some(beliefs) = Beliefs::fit(&self.history, situation, &example.costs, rng)
            {
                for chosen in chosen(candidates, &beliefs, situation, batch.room(), rng) {
                    batch.add(chosen.architecture, Some(chosen.parent));
                }
            }
        }
        random::fill(&mut batch, situation, rng);
        batch.done()
    }

    fn batch(&self) -> usize {
        BATCH
    }

    fn tell(&mut self, evaluated: &Evaluated) {
        self.history.add(evaluated);
    }
}

impl Bananas {
    /// Mutations of the best architectures, each of them new.
    fn candidates(
        &self,
        batch: &mut Batch<'_>,
        situation: &Situation<'_>,
        rng: &mut ChaCha8Rng,
    ) -> Vec<Candidate> {
        let parents = best(self.history.individuals(situation), PARENTS);
        let mut candidates = Vec::new();
        for turn in 0..CANDIDATES * TRIES {
            if parents.is_empty() || candidates.len() == CANDIDATES {
                break;
            }
            let parent = &parents[turn % parents.len()].individual;
            let Some(architecture) = situation.space.mutate(parent.architecture, 1, rng) else {
                continue;
            };
            let Some(costs) = batch.look_at(&architecture) else { continue };
            let features = situation.space.features(&architecture);
            candidates.push(Candidate { parent: parent.id, architecture, costs, features });
        }
        candidates
    }
}

/// What is learnt of the error and of each cost that is not known for free.
struct Beliefs {
    error: Ensemble,
    costs: Vec<Option<Ensemble>>,
}

impl Beliefs {
    /// `None` while there is nothing to learn from.
    fn fit(
        history: &History,
        situation: &Situation<'_>,
        example: &Costs,
        rng: &mut ChaCha8Rng,
    ) -> Option<Beliefs> {
        let space = situation.space;
        let told = history.evaluated().iter().map(|e| (e, space.features(&e.architecture)));
        let told: Vec<(&Evaluated, Features)> = told.collect();
        let mut learn = |row: Row, value: &dyn Fn(&Evaluated) -> Option<f64>| {
            let known = told.iter().filter_map(|(e, features)| Some((row(features), value(e)?)));
            let (rows, targets): (Vec<_>, Vec<_>) = known.unzip();
            let is_something = !rows.is_empty();
            is_something.then(|| Ensemble::fit(&rows, &targets, MEMBERS, &TRAINING, rng))
        };
        let error = learn(paths, &|e| e.error.map(log_error))?;
        let costs = example.iter().enumerate().map(|(at, cost)| match cost {
            Some(_) => None,
            None => learn(Features::flat, &|e| {
                Some(e.costs.get(situation.device)?[at]?.max(f64::MIN_POSITIVE).ln())
            }),
        });
        Some(Beliefs { error, costs: costs.collect() })
    }

    /// One independent draw of all objectives; `None` if nothing is known of one.
    fn draw(
        &self,
        candidate: &Candidate,
        error_at: usize,
        rng: &mut ChaCha8Rng,
    ) -> Option<Vec<f64>> {
        let mut one = |ensemble: &Ensemble, row: &[f64]| {
            let belief = ensemble.predict(row);
            (belief.mean + belief.deviation * normal(rng)).exp()
        };
        let Candidate { costs, features, .. } = candidate;
        let error = (one(&self.error, &paths(features)) - ERROR_FLOOR).clamp(0.0, 1.0);
        let all = features.flat();
        let costs = costs.iter().zip(&self.costs);
        let mut values: Vec<f64> = costs
            .map(|(cost, ensemble)| cost.or_else(|| Some(one(ensemble.as_ref()?, &all))))
            .collect::<Option<_>>()?;
        values.insert(error_at, error);
        Some(values)
    }
}

/// How a network sees an architecture.
type Row = fn(&Features) -> Vec<f64>;

/// The paths of the cells; all features where a space has none.
fn paths(features: &Features) -> Vec<f64> {
    if features.paths.is_empty() { features.flat() } else { features.paths.clone() }
}

/// One after the other the candidate whose draw adds most to the front and those chosen before; any
/// where none adds something.
fn chosen(
    candidates: Vec<Candidate>,
    beliefs: &Beliefs,
    situation: &Situation<'_>,
    wanted: usize,
    rng: &mut ChaCha8Rng,
) -> Vec<Candidate> {
    let Some(reference) = situation.reference else { return Vec::new() };
    let Some(mut goal) = Goal::of(situation, |values| reference.normalise(values)) else {
        return Vec::new();
    };
    let drawn = candidates.into_iter().filter_map(|candidate| {
        let values = beliefs.draw(&candidate, situation.error_at, rng)?;
        Some((reference.normalise(&values), candidate))
    });
    let mut drawn: Vec<(Vec<f64>, Candidate)> = drawn.collect();
    let mut chosen = Vec::new();
    while chosen.len() < wanted {
        let gains = drawn.iter().map(|(point, _)| goal.worth(point));
        let Some((at, _)) = gains.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)) else { break };
        let (point, candidate) = drawn.swap_remove(at);
        goal.take(point);
        chosen.push(candidate);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::super::toy;
    use super::*;

    #[test]
    fn the_candidates_chosen_add_most_to_the_front_and_to_each_other() {
        let told: Vec<Evaluated> = toy::results(60);
        let mut bananas = Bananas::default();
        told.iter().for_each(|evaluated| bananas.tell(evaluated));
        let new = toy::propose(&mut bananas, &told, 10, 3);
        let front = toy::front(&told);
        let adds = |errors: &mut dyn Iterator<Item = [f64; 2]>| {
            errors.map(|values| toy::reference().gain(&front, &values)).sum::<f64>()
        };
        let chosen = adds(&mut new.iter().map(toy::values));
        let random =
            adds(&mut toy::results(400).iter().skip(60).map(|e| toy::values(&e.architecture)));
        assert!(chosen / 10.0 > 3.0 * random / 340.0, "{chosen} {random}");
    }
}
