//! Did the device slow down while it was measured?
use crate::stats::mann_kendall;
use crate::stats::theil_sen;

/// Slowdown from the first launch to the last beyond which it is called throttling: what launches
/// that differ by one or two percent show by chance in about one of a hundred
/// measurements, or fewer.
const LARGEST: f64 = 1.055;

/// How rarely launches in a random order would rise as consistently.
const CHANCE: f64 = 0.05;

/// How many times slower the launches became from the first to the last, if that is more than
/// chance: `fast_us` are times of fast runs, one a launch, which other processes hardly touch.
///
/// Both must hold: the slope through the logarithms, times the launches, says more than 5.5 %; and
/// the order is not one of chance. A slow launch or two of ten have no say in the slope. Of three launches
/// nothing can be told.
///
/// In the simulations of the test below, where launches vary by 1 to 2 % and are correlated, a
/// slowdown by 10 % over the measurement is found in 97 % of measurements of 14 launches (99 % of 20,
/// 73 % of 5), by 20 % in all (99 % of 5), by 5 % in a third; a steady device is accused in 0.7 %
/// (0.1 %, 1.1 %).
///
/// # Source
///
/// [`theil_sen`] and [`mann_kendall`], as they are used together on trends with outliers: Helsel,
/// Hirsch, *Statistical Methods in Water Resources*, 1992, chapter 12.
pub fn slowdown(fast_us: &[f64]) -> Option<f64> {
    let logs: Vec<f64> = fast_us.iter().map(|us| us.ln()).collect();
    let steps = logs.len().checked_sub(1)?;
    let times = (theil_sen(&logs)? * steps as f64).exp();
    (times > LARGEST && mann_kendall(&logs) < CHANCE).then_some(times)
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::stats::normal_quantile;
    use crate::stats::quantile;

    /// A standard normal number.
    fn normal(rng: &mut ChaCha8Rng) -> f64 {
        normal_quantile(rng.random::<f64>().max(1e-12))
    }

    /// A stream of normal numbers of variance 1, each correlated by `rho` with the one before.
    struct Correlated {
        rho: f64,
        last: f64,
    }

    impl Correlated {
        fn start(rho: f64, rng: &mut ChaCha8Rng) -> Self {
            Correlated { rho, last: normal(rng) }
        }

        fn next(&mut self, rng: &mut ChaCha8Rng) -> f64 {
            self.last = self.rho * self.last + (1.0 - self.rho.powi(2)).sqrt() * normal(rng);
            self.last
        }
    }

    /// The fast runs of each launch of a measurement of a device that becomes `slower` times slower
    /// at an even pace. Runs within a launch are log-normal, vary by 2 % and are correlated by 0.5;
    /// one of 50 is disturbed and takes up to twice as long; launches vary by 1 to 2 % and are
    /// correlated by 0.3.
    fn simulated(launches: usize, samples: usize, slower: f64, rng: &mut ChaCha8Rng) -> Vec<f64> {
        let deviation = 0.01 + 0.01 * rng.random::<f64>();
        let mut between = Correlated::start(0.3, rng);
        let launch = |l: usize| {
            let shift = deviation * between.next(rng);
            let mut within = Correlated::start(0.5, rng);
            let runs = (0..samples).map(|s| {
                let done = (l * samples + s) as f64 / (launches * samples - 1) as f64;
                let disturbed = if rng.random::<f64>() < 0.02 { rng.random::<f64>() } else { 0.0 };
                let log = shift + 0.02 * within.next(rng) + slower.ln() * done;
                100.0 * log.exp() * (1.0 + disturbed)
            });
            quantile(&runs.collect::<Vec<f64>>(), 0.1).unwrap()
        };
        (0..launches).map(launch).collect()
    }

    /// Share of 1,000 measurements that are called throttled.
    fn called(launches: usize, samples: usize, slower: f64) -> f64 {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let found = (0..1000)
            .filter(|_| slowdown(&simulated(launches, samples, slower, &mut rng)).is_some());
        found.count() as f64 / 1000.0
    }

    /// Launches and kept samples of `search` and `final`.
    const SEARCH: (usize, usize) = (14, 100);
    const FINAL: (usize, usize) = (20, 100);

    #[test]
    fn ten_percent_slower_is_found_and_a_steady_device_not_accused() {
        for (launches, samples) in [SEARCH, FINAL] {
            let shares = [1.0, 1.05, 1.1, 1.2, 1.5].map(|by| called(launches, samples, by));
            let [steady, _, ten, twenty, fifty] = shares;
            assert!(steady < 0.01 && ten >= 0.95, "{launches}: {shares:?}");
            assert!(twenty >= 0.999 && fifty >= 0.999, "{launches}: {shares:?}");
        }
    }

    /// Five launches of a search's round tell less.
    #[test]
    fn of_few_launches_larger_slowdowns_are_found() {
        let shares = [1.0, 1.1, 1.2, 1.5].map(|by| called(5, 50, by));
        let [steady, ten, twenty, fifty] = shares;
        assert!(steady < 0.02 && ten > 0.7 && twenty > 0.95 && fifty > 0.99, "{shares:?}");
    }

    #[test]
    fn slow_launches_at_the_end_are_no_trend() {
        let mut launches = [100.0, 101.0, 100.5, 100.2, 100.9, 100.1, 100.7, 100.4, 100.3, 150.0];
        assert_eq!(slowdown(&launches), None);
        launches[8] = 140.0;
        assert_eq!(slowdown(&launches), None);
        assert_eq!([slowdown(&[]), slowdown(&[1.0]), slowdown(&[1.0, 2.0, 3.0])], [None; 3]);
    }
}
