//! The axes on which `lemonade` counts what a candidate adds.
use crate::pareto::Reference;

use super::Situation;

/// Costs are as the reference has them; the error counts by its logarithm, as they do: on the linear
/// axis of the reported hypervolume a halved error is hardly worth a step towards larger networks.
pub(super) struct Axes<'a> {
    reference: &'a Reference,
    error_at: usize,
    error: LogError,
}

impl<'a> Axes<'a> {
    /// None until there is a reference.
    pub fn of(situation: &'a Situation<'_>) -> Option<Axes<'a>> {
        let reference = situation.reference?;
        let error_at = situation.error_at;
        let best = situation.lowest_error().map_or(1.0, |error| error.min(1.0));
        let error = LogError::new(best, reference.reference()[error_at]);
        Some(Axes { reference, error_at, error })
    }

    /// Where values of the objectives lie, 1 at the reference.
    pub fn place(&self, values: &[f64]) -> Vec<f64> {
        let mut values = values.to_vec();
        values[self.error_at] = self.error.place(values[self.error_at]);
        self.reference.normalise(&values)
    }
}

/// Places errors by their logarithm on the linear axis that the reference has for them.
struct LogError {
    /// An error that would be a great step forward.
    least: f64,
    /// The reference's.
    most: f64,
}

impl LogError {
    /// `best` is the lowest error of the front.
    fn new(best: f64, most: f64) -> LogError {
        LogError { least: (best / 4.0).max(1e-4).min(most / 4.0), most }
    }

    /// 0 at the least error or below, the reference's error at the reference.
    fn place(&self, error: f64) -> f64 {
        self.most * (error.max(self.least) / self.least).ln() / (self.most / self.least).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halved_errors_are_equal_steps_and_the_reference_stays() {
        let scale = LogError::new(0.08, 0.9);
        assert!((scale.place(0.9) - 0.9).abs() < 1e-12);
        let step = |from: f64| scale.place(from) - scale.place(from / 2.0);
        assert!((step(0.4) - step(0.1)).abs() < 1e-12);
        assert_eq!(scale.place(0.0), 0.0);
    }
}
