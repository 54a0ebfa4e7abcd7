//! How far launches and runs lie apart.
use crate::stats::mad;
use crate::stats::median;
use crate::stats::quantile;

use super::measurement::Measurement;

/// A median absolute deviation times this estimates the standard deviation of normal values.
const MAD_TO_DEVIATION: f64 = 1.4826;

/// Deviations above the median from which on a run is an outlier.
const OUTLIER: f64 = 5.0;

/// Least relative deviation that is believed there: clocks that count in coarse steps give many
/// equal times.
const LEAST_DEVIATION: f64 = 0.002;

/// Variance of a median of many against that of their mean, for normal noise: π/2.
pub(super) const MEDIAN_VARIANCE: f64 = std::f64::consts::FRAC_PI_2;

impl Measurement {
    /// Samples that something else must have disturbed: more than five deviations above the median
    /// of their launch. They are kept, and part of every figure.
    ///
    /// # Source
    ///
    /// Leys et al., *Detecting Outliers: Do Not Use Standard Deviation Around the Mean, Use Absolute
    /// Deviation Around the Median*, Journal of Experimental Social Psychology 2013.
    ///
    /// Positions among the samples of each launch.
    pub fn outliers_at(&self) -> Vec<Vec<usize>> {
        let of_launch = |us: &Vec<f64>| {
            let (middle, deviation) = (median(us)?, deviation(us)?.max(LEAST_DEVIATION));
            let limit = middle * (1.0 + OUTLIER * deviation);
            Some(us.iter().enumerate().filter(|(_, us)| **us > limit).map(|(at, _)| at).collect())
        };
        let launches = self.launches.iter().map(|l| of_launch(&l.timed.samples_us));
        launches.map(Option::unwrap_or_default).collect()
    }

    /// How many there are.
    pub fn outliers(&self) -> usize {
        self.outliers_at().iter().map(Vec::len).sum()
    }

    /// Relative standard deviation of runs of the same launch, without their outliers: the median
    /// over launches; `None` without samples.
    pub fn within_deviation(&self) -> Option<f64> {
        let deviations = self.launches.iter().filter_map(|l| deviation(&l.timed.samples_us));
        median(&deviations.collect::<Vec<f64>>())
    }

    /// Relative standard deviation of launches, beyond what so many runs of
    /// [`within_deviation`](Self::within_deviation) explain; `None` of a single launch.
    ///
    /// # Source
    ///
    /// The components of variance of a one-way layout with random effects: Searle, Casella,
    /// McCulloch, *Variance Components*, 1992; of medians, whose variance is π/2 that of means.
    pub fn launch_deviation(&self) -> Option<f64> {
        let between = self.between_launches()?;
        let runs = self.samples().len() as f64 / self.launch_medians().len() as f64;
        let explained = MEDIAN_VARIANCE * self.within_deviation()?.powi(2) / runs;
        Some((between - explained).max(0.0).sqrt())
    }

    /// Variance of the logarithm of the launches' medians; `None` of a single launch.
    pub(super) fn between_launches(&self) -> Option<f64> {
        let logs: Vec<f64> = self.launch_medians().iter().map(|us| us.ln()).collect();
        let freedom = logs.len().checked_sub(1).filter(|f| *f > 0)? as f64;
        let mean = logs.iter().sum::<f64>() / logs.len() as f64;
        Some(logs.iter().map(|l| (l - mean).powi(2)).sum::<f64>() / freedom)
    }

    /// How far it is from undisturbed: median against minimum, or the slowest launch against the
    /// fastest, whichever is more; 1 at best.
    pub(super) fn disturbance(&self) -> Option<f64> {
        Some(self.median_to_minimum()?.max(self.slowest_to_fastest()?))
    }

    /// Median against minimum of all samples.
    pub(super) fn median_to_minimum(&self) -> Option<f64> {
        let samples = self.samples();
        Some(median(&samples)? / quantile(&samples, 0.0)?)
    }

    /// Slowest against fastest launch.
    pub(super) fn slowest_to_fastest(&self) -> Option<f64> {
        let medians = self.launch_medians();
        Some(quantile(&medians, 1.0)? / quantile(&medians, 0.0)?)
    }
}

/// Relative standard deviation of values, without outliers.
fn deviation(values: &[f64]) -> Option<f64> {
    Some(MAD_TO_DEVIATION * mad(values)? / median(values)?)
}

#[cfg(test)]
mod tests {
    use super::super::measurement::tests::measurement;
    use crate::stats::normal_quantile;

    /// The `i`-th of `n` values that lie as normal values do.
    fn normal(i: usize, n: usize) -> f64 {
        normal_quantile((i as f64 + 0.5) / n as f64)
    }

    #[test]
    fn launches_and_runs_vary_by_what_was_put_in() {
        let m = measurement(|l, s| 100.0 * (0.03 * normal(l, 10) + 0.01 * normal(s, 50)).exp());
        let (within, launch) = (m.within_deviation().unwrap(), m.launch_deviation().unwrap());
        assert!((within / 0.01 - 1.0).abs() < 0.05, "{within}");
        assert!((launch / 0.03 - 1.0).abs() < 0.1, "{launch}");
        assert_eq!(m.outliers(), 0);
    }

    #[test]
    fn runs_alone_make_no_launches_differ() {
        let m = measurement(|l, s| 100.0 + ((l * 17 + s * 29) % 50) as f64 / 10.0);
        assert_eq!(m.launch_deviation(), Some(0.0));
    }

    #[test]
    fn outliers_are_counted_against_their_own_launch() {
        let m = measurement(|l, s| {
            let launch = if l == 3 { 200.0 } else { 100.0 };
            launch * if s < l { 1.2 } else { 1.0 }
        });
        assert_eq!(m.outliers(), (0..10).sum::<usize>());
        let at: Vec<Vec<usize>> = (0..10).map(|l| (0..l).collect()).collect();
        assert_eq!(m.outliers_at(), at);
        assert_eq!(m.samples().len(), 500, "and kept");
    }

    #[test]
    fn of_a_single_launch_nothing_is_said_of_launches() {
        let mut m = measurement(|_, s| 100.0 + s as f64);
        m.launches.truncate(1);
        assert!(m.launch_deviation().is_none() && m.within_deviation().is_some());
        m.launches.clear();
        assert_eq!((m.within_deviation(), m.outliers(), m.disturbance()), (None, 0, None));
    }
}
