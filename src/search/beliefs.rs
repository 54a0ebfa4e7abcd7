//! What is believed of the objectives of a list of candidates: a Gaussian process for the logarithm of
//! each that is not known.
use std::sync::Arc;

use rand_chacha::ChaCha8Rng;

use super::gp;
use super::gp::Hyper;
use super::gp::LogPrior;
use super::gp::PairDistances;
use super::gp::Posterior;
use super::gp::Priors;
use super::groups::Pool;
use super::surrogate::normal;

/// Hyperparameters are refitted after each observation up to so many …
const REFIT_EACH: usize = 30;
/// … and from then on whenever their number has grown by this share.
const REFIT_GROWTH: f64 = 1.0 / 12.0;
/// Ridge of the weights of a cost's parts, as a share of the mean squared column.
const RIDGE: f64 = 0.003;
/// Passes of the descent along the weights of a cost's parts.
const PASSES: usize = 300;
/// Least variance of the latent function that is believed, of a standardised target.
const LEAST_VARIANCE: f64 = 1e-9;

/// Weak priors for standardised targets: two standard deviations are a factor of 20 either way for the
/// weights of the groups.
const fn priors(noise: f64) -> Priors {
    // Logarithms of 0.1, 1 and the expected variance of the noise.
    let weight = LogPrior { mean: -std::f64::consts::LN_10, std: 1.5 };
    let signal = LogPrior { mean: 0.0, std: 0.7 };
    Priors { weight, signal, noise: LogPrior { mean: noise, std: 1.0 } }
}

/// Of the error: the noise is some 0.03 of the variance.
pub(super) const OF_ERROR: Priors = priors(-3.506_557_897_319_982);
/// Of a cost: 0.01.
pub(super) const OF_COST: Priors = priors(-4.605_170_185_988_091);

/// Mean and standard deviation of the logarithm of an objective, by candidate.
pub(super) type Moments = Vec<(f64, f64)>;

/// Squared distances of a candidate to all, by group.
pub(super) type Distances = Arc<Vec<Vec<f32>>>;

/// A Gaussian process over the candidates of a pool.
#[derive(Clone, Debug)]
pub(super) struct Process {
    priors: Priors,
    hyper: Hyper,
    pairs: PairDistances,
    /// Observed candidates with the logarithm of what was observed.
    observed: Vec<(usize, f64)>,
    /// Of each observation to all candidates, by group.
    distances: Vec<Distances>,
    /// Most steps of a refit, from the last optimum.
    steps: usize,
    posterior: Option<Posterior>,
    fitted_at: usize,
}

impl Process {
    /// Without observations.
    pub(super) fn new(priors: Priors, groups: usize, steps: usize) -> Process {
        Process {
            priors,
            hyper: Hyper::prior_mean(groups, &priors),
            pairs: PairDistances::new(groups),
            observed: Vec::new(),
            distances: Vec::new(),
            steps,
            posterior: None,
            fitted_at: 0,
        }
    }

    /// Observed candidates with the logarithms of what was observed.
    pub(super) fn observed_logs(&self) -> Vec<(usize, f64)> {
        self.observed.clone()
    }

    /// How many observations there are.
    pub(super) fn len(&self) -> usize {
        self.observed.len()
    }

    /// Takes in the logarithm of an objective of a candidate; `distances` are those of the candidate.
    pub(super) fn observe(&mut self, at: usize, log: f64, distances: Distances) {
        let observed = &self.distances;
        self.pairs.push(|group, earlier| f64::from(observed[earlier][group][at]));
        self.distances.push(distances);
        self.observed.push((at, log));
    }

    /// Moments at each of `candidates`, on top of `trend`: of what would be observed, with its noise, or
    /// of what lies behind it.
    pub(super) fn predict(
        &mut self,
        candidates: usize,
        trend: Option<&[f64]>,
        observed: bool,
    ) -> Moments {
        let base = |at: usize| trend.map_or(0.0, |trend| trend[at]);
        let (z, mean, std) = standardised(self.observed.iter().map(|&(at, y)| y - base(at)));
        self.refit(&z, candidates);
        let posterior = self.posterior.as_mut().expect("it was fitted");
        let distances = &self.distances;
        let extended = posterior.extend(&self.pairs, |i, group| &distances[i][group]);
        extended.expect("the floor of the noise keeps it positive definite");
        let noise = if observed { self.hyper.noise() } else { 0.0 };
        let means = posterior.mean(&z);
        let each = means.iter().zip(posterior.variance()).enumerate().map(|(at, (m, v))| {
            let variance = v.max(LEAST_VARIANCE) + noise;
            (base(at) + mean + std * m, std * variance.sqrt())
        });
        each.collect()
    }

    /// A draw of what lies behind the observations, without their noise, in their order.
    ///
    /// # Source
    ///
    /// Matheron's rule, Wilson et al., *Efficiently Sampling Functions from Gaussian Process Posteriors*,
    /// ICML 2020.
    pub(super) fn draw(&self, trend: Option<&[f64]>, rng: &mut ChaCha8Rng) -> Option<Vec<f64>> {
        let base = |at: usize| trend.map_or(0.0, |trend| trend[at]);
        let (z, mean, std) = standardised(self.observed.iter().map(|&(at, y)| y - base(at)));
        let drawn = gp::draw(&self.hyper, &self.pairs, &z, &mut || normal(rng))?;
        let each = drawn.iter().zip(&self.observed);
        Some(each.map(|(f, &(at, _))| base(at) + mean + std * f).collect())
    }

    /// Refits the hyperparameters if there is much that is new.
    fn refit(&mut self, z: &[f64], candidates: usize) {
        let grown = (z.len() - self.fitted_at) as f64;
        let due = grown >= (REFIT_GROWTH * z.len() as f64).floor().max(1.0);
        if z.len() <= REFIT_EACH || due || self.posterior.is_none() {
            self.hyper = gp::fit(&self.hyper, &self.pairs, z, &self.priors, self.steps);
            self.posterior = Some(Posterior::new(self.hyper.clone(), candidates));
            self.fitted_at = z.len();
        }
    }

    /// The logarithm of an additive model of the observed quantity at each candidate: a weighted sum of
    /// the pool's parts, the weights not negative. `None` where the pool knows no parts.
    pub(super) fn trend(&self, pool: &Pool) -> Option<Vec<f64>> {
        let parts = pool.parts();
        parts.first()?;
        let rows: Vec<&[f64]> = self.observed.iter().map(|&(at, _)| &parts[at][..]).collect();
        let logs: Vec<f64> = self.observed.iter().map(|&(_, log)| log).collect();
        let weights = non_negative_weights(&rows, &logs);
        let floor = 0.5 * logs.iter().copied().fold(f64::INFINITY, f64::min).exp();
        let sum = |parts: &Vec<f64>| parts.iter().zip(&weights).map(|(x, w)| x * w).sum::<f64>();
        Some(parts.iter().map(|parts| sum(parts).max(floor).ln()).collect())
    }
}

fn standardised(values: impl Iterator<Item = f64>) -> (Vec<f64>, f64, f64) {
    let values: Vec<f64> = values.collect();
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    let std = variance.sqrt().max(1e-6);
    (values.iter().map(|v| (v - mean) / std).collect(), mean, std)
}

/// Ridge regression of relative deviations under weights that are not negative, by descent along one
/// weight after the other.
fn non_negative_weights(rows: &[&[f64]], logs: &[f64]) -> Vec<f64> {
    let width = rows.first().map_or(0, |row| row.len());
    let relative =
        |(row, log): (&&[f64], &f64)| -> Vec<f64> { row.iter().map(|x| x / log.exp()).collect() };
    let a: Vec<Vec<f64>> = rows.iter().zip(logs).map(relative).collect();
    let norms: Vec<f64> = (0..width).map(|c| a.iter().map(|r| r[c] * r[c]).sum()).collect();
    let ridge = RIDGE * norms.iter().sum::<f64>() / width as f64;
    let mut weights = vec![0.0; width];
    let mut left = vec![1.0; rows.len()];
    for _ in 0..PASSES {
        for c in (0..width).filter(|&c| norms[c] > 0.0) {
            let slope: f64 = a.iter().zip(&left).map(|(row, left)| row[c] * left).sum();
            let next = (weights[c] + (slope - ridge * weights[c]) / (norms[c] + ridge)).max(0.0);
            let step: f64 = next - weights[c];
            if step != 0.0 {
                left.iter_mut().zip(&a).for_each(|(left, row)| *left -= step * row[c]);
                weights[c] = next;
            }
        }
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_behind_the_noise_is_surer_by_the_noise() {
        let mut process = Process::new(OF_ERROR, 1, 5);
        for at in 0..6_usize {
            let distances = (0..8).map(|other| (at as f32 - other as f32).powi(2)).collect();
            process.observe(at, (at as f64).sin(), Arc::new(vec![distances]));
        }
        let [observed, behind] =
            [true, false].map(|observed| process.clone().predict(8, None, observed));
        let more = |at: usize| observed[at].1.powi(2) - behind[at].1.powi(2);
        for at in 0..8 {
            assert_eq!(observed[at].0, behind[at].0);
            assert!(more(at) > 0.0 && (more(at) / more(7) - 1.0).abs() < 1e-6, "{}", more(at));
        }
    }

    #[test]
    fn an_additive_cost_is_found_and_no_weight_is_negative() {
        let rows: Vec<Vec<f64>> = (0..60)
            .map(|i: u32| vec![1.0, f64::from(i % 5), f64::from(i % 7), f64::from(i % 3)])
            .collect();
        let cost = |row: &[f64]| 2.0 + 3.0 * row[1] + 0.5 * row[2];
        let logs: Vec<f64> = rows.iter().map(|row| cost(row).ln()).collect();
        let slices: Vec<&[f64]> = rows.iter().map(|row| &row[..]).collect();
        let weights = non_negative_weights(&slices, &logs);
        assert!(weights.iter().all(|w| *w >= 0.0), "{weights:?}");
        for row in &rows {
            let found: f64 = row.iter().zip(&weights).map(|(x, w)| x * w).sum();
            assert!((found / cost(row)).ln().abs() < 0.1, "{found} {}", cost(row));
        }
    }
}
