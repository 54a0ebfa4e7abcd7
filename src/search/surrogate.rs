//! What the objectives of an architecture may be, learnt from the run so far.
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::space::Features;

use super::Costs;
use super::Evaluated;
use super::Forest;
use super::Situation;

/// Fewest results before the surrogate is asked.
const ENOUGH: usize = 12;
/// Newest results that are learnt from; older ones had worse parents.
const MEMORY: usize = 1500;
/// Added to an error before its logarithm is taken, so that 0 has one.
pub(super) const ERROR_FLOOR: f64 = 2e-3;

/// Results of the run.
#[derive(Debug, Default)]
pub(super) struct Results {
    evaluated: Vec<Evaluated>,
}

impl Results {
    pub(super) fn add(&mut self, evaluated: &Evaluated) {
        if evaluated.error.is_some() {
            self.evaluated.push(evaluated.clone());
        }
    }

    /// A surrogate of the newest results for the error and for the costs that are missing in
    /// `example`; `None` while there are too few results.
    pub(super) fn fit(
        &self,
        situation: &Situation<'_>,
        example: &Costs,
        rng: &mut ChaCha8Rng,
    ) -> Option<Surrogate> {
        let newest = &self.evaluated[self.evaluated.len().saturating_sub(MEMORY)..];
        if newest.len() < ENOUGH {
            return None;
        }
        let features: Vec<Features> =
            newest.iter().map(|e| situation.space.features(&e.architecture)).collect();
        let rows: Vec<Vec<f64>> =
            features.iter().zip(newest).map(|(f, e)| row(f, e.parent_error)).collect();
        let errors: Vec<f64> = newest.iter().map(|e| log_error(e.error.unwrap_or(1.0))).collect();
        let error = Forest::fit(&rows, &errors, rng.random());
        let mut cost_of = |at: usize| {
            let known = features
                .iter()
                .zip(newest)
                .filter_map(|(f, e)| Some((f, e.costs.get(situation.device)?[at]?)));
            let (rows, costs): (Vec<_>, Vec<_>) =
                known.map(|(f, cost)| (f.flat(), cost.max(f64::MIN_POSITIVE).ln())).unzip();
            (!rows.is_empty()).then(|| Forest::fit(&rows, &costs, rng.random()))
        };
        let costs = example.iter().enumerate().map(|(at, cost)| match cost {
            Some(_) => None,
            None => cost_of(at),
        });
        Some(Surrogate { error, costs: costs.collect() })
    }
}

/// Forests over features and the parent's error.
pub(super) struct Surrogate {
    error: Forest,
    costs: Vec<Option<Forest>>,
}

impl Surrogate {
    /// One draw of the error that an architecture may have, from the spread of the trees
    /// (independent Thompson sampling, as in BANANAS).
    pub(super) fn draw(
        &self,
        features: &Features,
        parent_error: Option<f64>,
        rng: &mut ChaCha8Rng,
    ) -> f64 {
        let belief = self.error.predict(&row(features, parent_error));
        let drawn = belief.mean + belief.deviation * normal(rng);
        (drawn.exp() - ERROR_FLOOR).clamp(0.0, 1.0)
    }

    /// `costs` with a draw of each that is missing; `None` if nothing is known of one.
    pub(super) fn complete(
        &self,
        costs: &Costs,
        features: &Features,
        rng: &mut ChaCha8Rng,
    ) -> Option<Vec<f64>> {
        let complete = costs.iter().zip(&self.costs).map(|(cost, forest)| {
            if let Some(cost) = cost {
                return Some(*cost);
            }
            let belief = forest.as_ref()?.predict(&features.flat());
            Some((belief.mean + belief.deviation * normal(rng)).exp())
        });
        complete.collect()
    }
}

/// What is learnt in place of an error.
pub(super) fn log_error(error: f64) -> f64 {
    (error + ERROR_FLOOR).ln()
}

fn row(features: &Features, parent_error: Option<f64>) -> Vec<f64> {
    let mut row = features.flat();
    row.push(parent_error.map_or(0.0, log_error));
    row.push(f64::from(u8::from(parent_error.is_some())));
    row
}

/// A standard normal draw (Box and Muller 1958).
pub(super) fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v): (f64, f64) = (rng.random_range(f64::MIN_POSITIVE..1.0), rng.random());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}
