//! How sure a statistic is, found by drawing the sample again.
use super::quantile::quantile;
use super::random::SplitMix64;

/// How an interval is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resampling {
    /// Share of repetitions whose interval holds the true value, e.g. 0.95.
    pub level: f64,
    /// Samples drawn; 1000 settle the ends of a 95 % interval to about a tenth of its width.
    pub resamples: usize,
    /// Decides every draw.
    pub seed: u64,
}

impl Default for Resampling {
    /// 95 % from 1000 resamples.
    fn default() -> Self {
        Resampling { level: 0.95, resamples: 1000, seed: 0 }
    }
}

/// An interval of `statistic` over independent `values`; `None` of an empty sample.
///
/// Costs `resamples` evaluations of `statistic`. Deterministic.
///
/// # Source
///
/// Percentile method in Efron, *Bootstrap Methods: Another Look at the Jackknife*, Annals of
/// Statistics 1979.
pub fn bootstrap(
    values: &[f64],
    statistic: impl Fn(&[f64]) -> f64,
    how: Resampling,
) -> Option<[f64; 2]> {
    if values.is_empty() {
        return None;
    }
    percentiles(how, |random, resample| {
        draw(values, random, resample);
        statistic(resample)
    })
}

/// An interval of `statistic` over all values of several launches, where the launch is the
/// independent sample; `None` if there is no value. Empty launches are ignored.
///
/// Draws launches with replacement, then as many values within each. Launches differ more than
/// the values inside one, so this is wider than [`bootstrap`] over all values: with `n` values in
/// each of `g` launches, by up to `√n`. The inner draw makes it a little wide, which offsets the
/// narrowness, `√((g-1)/g)`, of percentiles of few launches. Of a single launch it can only tell
/// the spread inside.
///
/// # Source
///
/// Section 3.8 of Davison, Hinkley, *Bootstrap Methods and their Application*, 1997; for timings:
/// Kalibera, Jones, *Rigorous Benchmarking in Reasonable Time*, ISMM 2013.
pub fn bootstrap_launches(
    launches: &[Vec<f64>],
    statistic: impl Fn(&[f64]) -> f64,
    how: Resampling,
) -> Option<[f64; 2]> {
    let launches: Vec<&Vec<f64>> = launches.iter().filter(|l| !l.is_empty()).collect();
    if launches.is_empty() {
        return None;
    }
    percentiles(how, |random, resample| {
        for _ in 0..launches.len() {
            draw(launches[random.below(launches.len())], random, resample);
        }
        statistic(resample)
    })
}

/// Appends as many draws with replacement as there are values.
fn draw(values: &[f64], random: &mut SplitMix64, resample: &mut Vec<f64>) {
    resample.extend((0..values.len()).map(|_| values[random.below(values.len())]));
}

/// The interval between the outer quantiles of what `once` gives.
fn percentiles(
    how: Resampling,
    mut once: impl FnMut(&mut SplitMix64, &mut Vec<f64>) -> f64,
) -> Option<[f64; 2]> {
    let mut random = SplitMix64::new(how.seed);
    let mut resample = Vec::new();
    let outcomes: Vec<f64> = (0..how.resamples)
        .map(|_| {
            resample.clear();
            once(&mut random, &mut resample)
        })
        .collect();
    let tail = (1.0 - how.level) / 2.0;
    Some([quantile(&outcomes, tail)?, quantile(&outcomes, 1.0 - tail)?])
}

#[cfg(test)]
mod tests {
    use super::super::distribution::normal_quantile;
    use super::super::quantile::median;
    use super::*;

    fn mean(values: &[f64]) -> f64 {
        values.iter().sum::<f64>() / values.len() as f64
    }

    fn normal(random: &mut SplitMix64) -> f64 {
        normal_quantile((random.below(1 << 40) as f64 + 0.5) / (1u64 << 40) as f64)
    }

    #[test]
    fn the_interval_of_a_mean_is_that_of_the_central_limit_theorem() {
        let mut random = SplitMix64::new(1);
        let values: Vec<f64> = (0..400).map(|_| normal(&mut random)).collect();
        let how = Resampling { resamples: 20_000, ..Resampling::default() };
        let [low, high] = bootstrap(&values, mean, how).unwrap();
        let centre = mean(&values);
        let variance = values.iter().map(|v| (v - centre).powi(2)).sum::<f64>() / 400.0;
        let expected = 1.96 * (variance / 400.0).sqrt();
        assert!((high - centre - expected).abs() < 0.05 * expected, "{high} {expected}");
        assert!((centre - low - expected).abs() < 0.05 * expected, "{low} {expected}");
    }

    #[test]
    fn nine_intervals_of_ten_hold_the_true_median() {
        let mut random = SplitMix64::new(2);
        let how = |seed| Resampling { level: 0.9, resamples: 300, seed };
        let statistic = |v: &[f64]| median(v).expect("not empty");
        let held = (0..400).filter(|&seed| {
            let values: Vec<f64> = (0..40).map(|_| normal(&mut random)).collect();
            let [low, high] = bootstrap(&values, statistic, how(seed)).unwrap();
            low <= 0.0 && 0.0 <= high
        });
        let held = held.count();
        assert!((340..=380).contains(&held), "{held} of 400");
    }

    #[test]
    fn the_same_seed_gives_the_same_interval_and_another_seed_another() {
        let values: Vec<f64> = (0..50).map(|i| f64::from(i * i % 37)).collect();
        let at = |seed| bootstrap(&values, mean, Resampling { seed, ..Resampling::default() });
        assert_eq!(at(3), at(3));
        assert_ne!(at(3), at(4));
    }

    #[test]
    fn an_interval_of_nothing_is_none() {
        assert_eq!(bootstrap(&[], mean, Resampling::default()), None);
        assert_eq!(bootstrap_launches(&[], mean, Resampling::default()), None);
        assert_eq!(bootstrap_launches(&[vec![], vec![]], mean, Resampling::default()), None);
    }

    #[test]
    fn launches_that_differ_widen_the_interval() {
        let launches: Vec<Vec<f64>> = (0..6)
            .map(|l| (0..100).map(|i| f64::from(10 * l) + f64::from(i % 3)).collect())
            .collect();
        let all = launches.concat();
        let width = |[low, high]: [f64; 2]| high - low;
        let flat = width(bootstrap(&all, mean, Resampling::default()).unwrap());
        let by_launch = width(bootstrap_launches(&launches, mean, Resampling::default()).unwrap());
        assert!(by_launch > 5.0 * flat, "{by_launch} {flat}");
    }

    #[test]
    fn a_single_launch_tells_the_spread_inside_it() {
        let values: Vec<f64> = (0..60).map(|i| f64::from(i * i % 37)).collect();
        let how = Resampling { resamples: 4000, ..Resampling::default() };
        let [low, high] = bootstrap_launches(std::slice::from_ref(&values), mean, how).unwrap();
        let [expected_low, expected_high] = bootstrap(&values, mean, how).unwrap();
        assert!((low - expected_low).abs() < 0.3 && (high - expected_high).abs() < 0.3);
        assert!(high - low > 4.0, "{low} {high}");
    }

    /// 19 of 20 intervals over launches should hold the truth; with eight launches the percentile
    /// method holds a little less, an interval over single values almost never.
    #[test]
    fn intervals_over_launches_hold_the_truth_where_those_over_values_do_not() {
        let mut random = SplitMix64::new(5);
        let (mut held, mut held_flat) = (0, 0);
        for seed in 0..200 {
            let launches: Vec<Vec<f64>> = (0..8)
                .map(|_| {
                    let shift = normal(&mut random);
                    (0..50).map(|_| shift + 0.1 * normal(&mut random)).collect()
                })
                .collect();
            let how = Resampling { level: 0.95, resamples: 300, seed };
            let holds = |[low, high]: [f64; 2]| usize::from(low <= 0.0 && 0.0 <= high);
            held += holds(bootstrap_launches(&launches, mean, how).unwrap());
            held_flat += holds(bootstrap(&launches.concat(), mean, how).unwrap());
        }
        assert!(held >= 170, "{held} of 200");
        assert!(held_flat < 100, "{held_flat} of 200");
    }
}
