//! Axes: where a value lies, and which values are written along it.

/// A range of values along one side of a plot.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    pub low: f64,
    pub high: f64,
    pub scale: Scale,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    Linear,
    /// As linear, of what is counted.
    Whole,
    Logarithmic,
}

/// Multiples of a power of ten that are written on a logarithmic axis, from coarse to fine.
const MANTISSAS: [&[f64]; 4] =
    [&[1.0], &[1.0, 3.0], &[1.0, 2.0, 5.0], &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0]];

impl Axis {
    /// From 0 to a little above the largest of `values`.
    pub fn from_zero(values: impl Iterator<Item = f64>) -> Axis {
        let most = values.fold(0.0, f64::max);
        let high = if most > 0.0 { 1.08 * most } else { 1.0 };
        Axis { low: 0.0, high, scale: Scale::Linear }
    }

    /// A little more than from the least to the largest of `values`, but not below 0.
    pub fn between(values: impl Iterator<Item = f64> + Clone) -> Axis {
        let least = values.clone().fold(f64::INFINITY, f64::min);
        let most = values.fold(f64::NEG_INFINITY, f64::max);
        let margin = (0.1 * (most - least)).max(0.01);
        match least.is_finite() {
            true => {
                Axis { low: (least - margin).max(0.0), high: most + margin, scale: Scale::Linear }
            }
            false => Axis { low: 0.0, high: 1.0, scale: Scale::Linear },
        }
    }

    /// Around all positive `values`, with a margin, on a logarithmic scale.
    pub fn around(values: impl Iterator<Item = f64>) -> Axis {
        let positive = values.filter(|v| *v > 0.0 && v.is_finite());
        let ends = positive.fold(None, |ends: Option<[f64; 2]>, v| {
            Some(ends.map_or([v, v], |[low, high]| [low.min(v), high.max(v)]))
        });
        let [low, high] = ends.unwrap_or([1.0, 10.0]);
        let margin = (high / low).powf(0.06).max(1.08);
        Axis { low: low / margin, high: high * margin, scale: Scale::Logarithmic }
    }

    /// Share of the way from low to high; outside of `0.0..=1.0` for values outside.
    pub fn share(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear | Scale::Whole => (value - self.low) / (self.high - self.low),
            Scale::Logarithmic => {
                (value.max(f64::MIN_POSITIVE) / self.low).ln() / (self.high / self.low).ln()
            }
        }
    }

    /// Does `value` lie on it?
    pub fn holds(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// Round values along it, about `most` at the most.
    pub fn ticks(&self, most: usize) -> Vec<f64> {
        match self.scale {
            Scale::Linear => self.even_ticks(most, 0.0),
            Scale::Whole => self.even_ticks(most, 1.0),
            Scale::Logarithmic => {
                let choices = MANTISSAS.map(|mantissas| self.decade_ticks(mantissas));
                let fitting = choices.into_iter().rev().find(|ticks| ticks.len() <= most);
                fitting.filter(|t| t.len() > 2).unwrap_or_else(|| self.even_ticks(most, 0.0))
            }
        }
    }

    fn decade_ticks(&self, mantissas: &[f64]) -> Vec<f64> {
        let (first, last) = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
        let all = (first..=last)
            .flat_map(|decade| mantissas.iter().map(move |m| m * 10.0_f64.powi(decade)));
        all.filter(|tick| self.holds(*tick)).collect()
    }

    /// Multiples of 1, 2 or 5 times a power of ten, at least `least` apart.
    fn even_ticks(&self, most: usize, least: f64) -> Vec<f64> {
        let rough = (self.high - self.low) / most as f64;
        let decade = 10.0_f64.powf(rough.log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|m| m * decade);
        let step = steps.into_iter().find(|s| *s >= rough).unwrap_or(10.0 * decade).max(least);
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step).floor() as i64;
        (first..=last).map(|i| i as f64 * step).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logarithmic(low: f64, high: f64) -> Axis {
        Axis { low, high, scale: Scale::Logarithmic }
    }

    #[track_caller]
    fn check_ticks(axis: &Axis, expected: &[f64]) {
        let ticks = axis.ticks(8);
        assert_eq!(ticks.len(), expected.len(), "{ticks:?}");
        assert!(ticks.iter().zip(expected).all(|(a, b)| (a / b - 1.0).abs() < 1e-9), "{ticks:?}");
    }

    #[test]
    fn ticks_are_round_and_not_too_many() {
        check_ticks(&logarithmic(9.0, 110.0), &[10.0, 20.0, 50.0, 100.0]);
        check_ticks(&logarithmic(0.9, 2e6), &[1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6]);
        check_ticks(&logarithmic(49.0, 66.0), &[50.0, 55.0, 60.0, 65.0]);
        let linear = Axis { low: 0.25, high: 1.1, scale: Scale::Linear };
        check_ticks(&linear, &[0.4, 0.6, 0.8, 1.0]);
        check_ticks(&Axis { low: 1.0, high: 3.0, scale: Scale::Whole }, &[1.0, 2.0, 3.0]);
    }

    #[test]
    fn every_value_lies_within_the_axis_around_it() {
        for values in [vec![3.0], vec![3.0, 3000.0], vec![0.0, 5.0], vec![]] {
            let axis = Axis::around(values.iter().copied());
            assert!(values.iter().filter(|v| **v > 0.0).all(|v| axis.holds(*v)));
            assert!(axis.low < axis.high);
            assert!(!axis.ticks(6).is_empty());
        }
        assert_eq!(Axis::from_zero([].into_iter()).ticks(5).first(), Some(&0.0));
    }

    #[test]
    fn a_logarithmic_axis_places_ratios_evenly() {
        let axis = logarithmic(1.0, 100.0);
        assert!((axis.share(10.0) - 0.5).abs() < 1e-12);
        assert!(axis.share(0.0) < 0.0);
    }
}
