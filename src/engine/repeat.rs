//! Repeated measurements of one quantity: a value, and where a repeat is expected.
//!
//! Launches on different days differ more than launches after one another, so the interval comes
//! from what repeats really did: the standard deviation between rounds, pooled over all candidates
//! that were measured more than once.
use std::collections::BTreeMap;

use crate::pareto::Value;
use crate::store::CandidateId;

/// Degrees of freedom that the prior deviation counts for.
const PRIOR_FREEDOM: f64 = 4.0;
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
        let rounds = self.rounds.entry(candidate).or_default();
        let before = sum_of_squares(rounds);
        rounds.push(value);
        self.squares += sum_of_squares(rounds) - before;
        self.freedom += f64::from(u8::from(rounds.len() > 1));
    }

    /// Mean of a candidate's rounds (geometric for latency) and the 95 % interval of one more.
    pub fn value(&self, candidate: CandidateId) -> Option<Value> {
        let rounds = self.rounds.get(&candidate)?;
        let n = rounds.len();
        Some(self.around(rounds.iter().sum::<f64>() / n as f64, n))
    }

    /// As [`value`](Self::value) of a candidate with this one round.
    pub fn first(&self, value: f64) -> Value {
        self.around(self.law(value), 1)
    }

    fn around(&self, mean: f64, n: usize) -> Value {
        let half = Z * self.deviation() * (1.0 + 1.0 / n as f64).sqrt();
        let back = |x: f64| if self.relative { x.exp() } else { x.max(0.0) };
        Value { value: back(mean), interval: [back(mean - half), back(mean + half)] }
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

/// Squared deviations from the mean.
fn sum_of_squares(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    values.iter().map(|x| (x - mean).powi(2)).sum()
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
    fn nothing_measured_has_no_value() {
        assert_eq!(Repeats::of_memory().value(1), None);
    }
}
