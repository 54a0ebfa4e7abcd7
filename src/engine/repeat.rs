//! Repeated measurements of one quantity: a value, and where a repeat is expected.
//!
//! Launches on different days differ more than launches after one another, so the interval comes
//! from what repeats really did: the standard deviation between rounds, pooled over all candidates
//! that were measured more than once.
use std::collections::BTreeMap;

use crate::pareto::Value;
use crate::stats::median;
use crate::store::CandidateId;

/// Degrees of freedom that the prior deviation counts for.
const PRIOR_FREEDOM: f64 = 4.0;
/// A single round counts at most as this many standard deviations, so that one disturbance does not
/// widen every interval of the run; a machine that is really restless gets there round by round.
const MOST: f64 = 4.0;
/// Half-width of an interval in standard deviations: 95 % of a normal law.
const Z: f64 = 1.96;

/// Rounds of one quantity over a run.
#[derive(Clone, Debug)]
pub struct Repeats {
    rounds: BTreeMap<CandidateId, Vec<f64>>,
    /// Deviations multiply (latency) or add (memory).
    relative: bool,
    /// Standard deviation before anything is known, in the units of the law.
    prior: f64,
    /// Smallest believable standard deviation.
    floor: f64,
    squares: f64,
    freedom: f64,
}

impl Repeats {
    /// Of latencies: the logarithm varies; 2 % before anything is known, at least 1 %.
    pub fn of_latency() -> Repeats {
        Repeats::new(true, 0.02, 0.01)
    }

    /// Of memory: whole pages come and go; eight of them before anything is known, at least two.
    pub fn of_memory() -> Repeats {
        Repeats::new(false, 8.0 * 4096.0, 2.0 * 4096.0)
    }

    fn new(relative: bool, prior: f64, floor: f64) -> Repeats {
        Repeats { rounds: BTreeMap::new(), relative, prior, floor, squares: 0.0, freedom: 0.0 }
    }

    /// Adds a round.
    pub fn add(&mut self, candidate: CandidateId, value: f64) {
        let value = self.law(value);
        let most = MOST * self.deviation();
        let rounds = self.rounds.entry(candidate).or_default();
        if !rounds.is_empty() {
            // What the round adds to the sum of squares around the candidate's mean.
            let n = rounds.len() as f64;
            let mean = rounds.iter().sum::<f64>() / n;
            let residual = (value - mean).abs() * (n / (n + 1.0)).sqrt();
            self.squares += residual.min(most).powi(2);
            self.freedom += 1.0;
        }
        rounds.push(value);
    }

    /// Median of a candidate's rounds and the 95 % interval of one more.
    pub fn value(&self, candidate: CandidateId) -> Option<Value> {
        let rounds = self.rounds.get(&candidate)?;
        Some(self.around(median(rounds)?, rounds.len()))
    }

    /// As [`value`](Self::value) of a candidate with this one round.
    pub fn first(&self, value: f64) -> Value {
        self.around(self.law(value), 1)
    }

    fn around(&self, middle: f64, n: usize) -> Value {
        let half = Z * self.deviation() * (1.0 + 1.0 / n as f64).sqrt();
        let back = |x: f64| if self.relative { x.exp() } else { x.max(0.0) };
        Value { value: back(middle), interval: [back(middle - half), back(middle + half)] }
    }

    fn law(&self, value: f64) -> f64 {
        if self.relative { value.max(1e-9).ln() } else { value }
    }

    /// Standard deviation between rounds: pooled, with the prior as some degrees of freedom.
    pub fn deviation(&self) -> f64 {
        let prior = PRIOR_FREEDOM * self.prior.powi(2);
        let pooled = (prior + self.squares) / (PRIOR_FREEDOM + self.freedom);
        pooled.sqrt().max(self.floor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_widens_where_repeats_disagree() {
        let width = |spread: f64| {
            let mut repeats = Repeats::of_latency();
            for id in 0..20 {
                repeats.add(id, 100.0 * (1.0 + spread));
                repeats.add(id, 100.0 / (1.0 + spread));
            }
            let value = repeats.value(3).unwrap();
            assert!((value.value - 100.0).abs() < 1e-9);
            value.interval[1] - value.interval[0]
        };
        assert!(width(0.2) > 3.0 * width(0.01));
    }

    #[test]
    fn pooling_equals_the_textbook_formula() {
        let rounds = [vec![10.0, 12.0, 11.0], vec![40.0, 44.0]];
        let mut repeats = Repeats::new(false, 3.0, 0.0);
        for (id, values) in rounds.iter().enumerate() {
            values.iter().for_each(|v| repeats.add(id as u64, *v));
        }
        let pooled = ((4.0 * 9.0 + 2.0 + 8.0) / (4.0 + 3.0f64)).sqrt();
        assert!((repeats.deviation() - pooled).abs() < 1e-12);
    }

    #[test]
    fn one_disturbed_round_hardly_widens_the_intervals_and_moves_no_value() {
        let mut repeats = Repeats::of_latency();
        for id in 0..20 {
            repeats.add(id, 100.0);
            repeats.add(id, 102.0);
            repeats.add(id, 101.0);
        }
        let (before, value) = (repeats.deviation(), repeats.value(3).unwrap().value);
        repeats.add(3, 200.0);
        assert!(repeats.deviation() < 1.5 * before);
        assert!((repeats.value(3).unwrap().value - value).abs() < 1.0);
    }

    #[test]
    fn nothing_measured_has_no_value() {
        assert_eq!(Repeats::of_memory().value(1), None);
    }
}
