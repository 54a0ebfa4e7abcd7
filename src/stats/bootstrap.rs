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

/// An interval of each `q`-quantile over all values of several launches, where the launch is the
/// independent sample; `None` if there is no value. Empty launches are ignored.
///
/// Draws launches with replacement, then as many values within each. Launches differ more than
/// the values inside one, so this is wider than an interval over all values alike: with `n` values
/// in each of `g` launches, by up to `√n`. The inner draw makes it a little wide, which offsets the
/// narrowness, `√((g-1)/g)`, of percentiles of few launches. Of a single launch it can only tell
/// the spread inside. Deterministic.
///
/// Costs one sort and `resamples` countings of all values: a resample is never sorted, for it is told
/// by how often each value came.
///
/// # Source
///
/// Percentile method in Efron, *Bootstrap Methods: Another Look at the Jackknife*, Annals of
/// Statistics 1979; section 3.8 of Davison, Hinkley, *Bootstrap Methods and their Application*,
/// 1997; for timings: Kalibera, Jones, *Rigorous Benchmarking in Reasonable Time*, ISMM 2013.
pub fn bootstrap_quantiles<const N: usize>(
    launches: &[Vec<f64>],
    qs: [f64; N],
    how: Resampling,
) -> Option<[[f64; 2]; N]> {
    let ranked = Ranked::of(launches)?;
    let mut random = SplitMix64::new(how.seed);
    let mut counts = vec![0; ranked.values.len()];
    let mut outcomes = [const { Vec::new() }; N];
    for _ in 0..how.resamples {
        counts.fill(0);
        let drawn = ranked.draw(&mut random, &mut counts);
        for (q, outcomes) in qs.iter().zip(&mut outcomes) {
            outcomes.push(ranked.quantile(*q, &counts, drawn));
        }
    }
    let tail = (1.0 - how.level) / 2.0;
    Some(outcomes.map(|o| [tail, 1.0 - tail].map(|q| quantile(&o, q).unwrap_or(f64::NAN))))
}

/// All values in order, and for each launch where its own stand in it.
struct Ranked {
    values: Vec<f64>,
    launches: Vec<Vec<usize>>,
}

impl Ranked {
    /// `None` if there is no value.
    fn of(launches: &[Vec<f64>]) -> Option<Ranked> {
        let launches = launches.iter().filter(|l| !l.is_empty());
        let mut tagged: Vec<(f64, usize)> = launches
            .clone()
            .enumerate()
            .flat_map(|(launch, values)| values.iter().map(move |v| (*v, launch)))
            .collect();
        tagged.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut ranks = vec![Vec::new(); launches.count()];
        for (rank, (_, launch)) in tagged.iter().enumerate() {
            ranks[*launch].push(rank);
        }
        let values: Vec<f64> = tagged.into_iter().map(|(value, _)| value).collect();
        (!values.is_empty()).then_some(Ranked { values, launches: ranks })
    }

    /// Counts how often each value comes in one resample; answers how many were drawn.
    fn draw(&self, random: &mut SplitMix64, counts: &mut [u32]) -> usize {
        let mut drawn = 0;
        for _ in 0..self.launches.len() {
            let launch = &self.launches[random.below(self.launches.len())];
            for _ in 0..launch.len() {
                counts[launch[random.below(launch.len())]] += 1;
            }
            drawn += launch.len();
        }
        drawn
    }

    /// The `q`-quantile, of the type of [`quantile`], of a sample of `drawn` values that holds
    /// each value so often.
    fn quantile(&self, q: f64, counts: &[u32], drawn: usize) -> f64 {
        let at = q.clamp(0.0, 1.0) * (drawn - 1) as f64;
        let (below, share) = (at.floor() as usize, at.fract());
        let mut seen = 0;
        let reached = counts.iter().position(|count| {
            seen += *count as usize;
            seen > below
        });
        let low = reached.expect("so many were drawn");
        let low_value = self.values[low];
        if share == 0.0 || seen > below + 1 {
            return low_value;
        }
        let rest = counts[low + 1..].iter().position(|c| *c > 0).expect("so many were drawn");
        low_value * (1.0 - share) + self.values[low + 1 + rest] * share
    }
}

#[cfg(test)]
mod tests {
    use super::super::distribution::normal_quantile;
    use super::super::quantile::median;
    use super::*;

    fn normal(random: &mut SplitMix64) -> f64 {
        normal_quantile((random.below(1 << 40) as f64 + 0.5) / (1u64 << 40) as f64)
    }

    /// The same interval from samples that are really drawn.
    fn literally(launches: &[Vec<f64>], q: f64, how: Resampling) -> [f64; 2] {
        let mut random = SplitMix64::new(how.seed);
        let sorted: Vec<Vec<f64>> = launches
            .iter()
            .map(|launch| {
                let mut sorted = launch.clone();
                sorted.sort_by(f64::total_cmp);
                sorted
            })
            .collect();
        let outcomes: Vec<f64> = (0..how.resamples)
            .map(|_| {
                let mut resample = Vec::new();
                for _ in 0..sorted.len() {
                    let launch = &sorted[random.below(sorted.len())];
                    resample.extend((0..launch.len()).map(|_| launch[random.below(launch.len())]));
                }
                quantile(&resample, q).unwrap()
            })
            .collect();
        let tail = (1.0 - how.level) / 2.0;
        [tail, 1.0 - tail].map(|q| quantile(&outcomes, q).unwrap())
    }

    fn one(launches: &[Vec<f64>], q: f64, how: Resampling) -> Option<[f64; 2]> {
        bootstrap_quantiles(launches, [q], how).map(|[interval]| interval)
    }

    fn random_launches(random: &mut SplitMix64) -> Vec<Vec<f64>> {
        let values = |random: &mut SplitMix64| {
            // Some values come more than once.
            (0..1 + random.below(40)).map(|_| (random.below(60) as f64).sqrt()).collect()
        };
        (0..1 + random.below(6)).map(|_| values(random)).collect()
    }

    #[test]
    fn counting_gives_what_drawing_and_sorting_gives() {
        let mut random = SplitMix64::new(11);
        for seed in 0..60 {
            let launches = random_launches(&mut random);
            let q = [0.0, 0.1, 0.5, 0.77, 0.9, 1.0][random.below(6)];
            let how = Resampling { level: 0.9, resamples: 40, seed };
            let [_, counted] = bootstrap_quantiles(&launches, [0.3, q], how).unwrap();
            let drawn = literally(&launches, q, how);
            let gap = (0..2).map(|i| (counted[i] - drawn[i]).abs()).fold(0.0, f64::max);
            assert!(gap < 1e-9, "{launches:?} {q}: {counted:?} {drawn:?}");
        }
    }

    #[test]
    fn nine_intervals_of_ten_hold_the_true_median() {
        let mut random = SplitMix64::new(2);
        let how = |seed| Resampling { level: 0.9, resamples: 300, seed };
        let held = (0..400).filter(|&seed| {
            let values: Vec<f64> = (0..40).map(|_| normal(&mut random)).collect();
            let [low, high] = one(&[values], 0.5, how(seed)).unwrap();
            low <= 0.0 && 0.0 <= high
        });
        let held = held.count();
        assert!((340..=380).contains(&held), "{held} of 400");
    }

    #[test]
    fn the_same_seed_gives_the_same_interval_and_another_seed_another() {
        let values: Vec<f64> = (0..50).map(|i| f64::from(i * i % 37)).collect();
        let at = |seed| {
            let how = Resampling { seed, ..Resampling::default() };
            one(std::slice::from_ref(&values), 0.6, how)
        };
        assert_eq!(at(3), at(3));
        assert!((4..20).any(|seed| at(seed) != at(3)));
    }

    #[test]
    fn an_interval_of_nothing_is_none() {
        assert_eq!(one(&[], 0.5, Resampling::default()), None);
        assert_eq!(one(&[vec![], vec![]], 0.5, Resampling::default()), None);
    }

    #[test]
    fn empty_launches_are_ignored() {
        let values: Vec<f64> = (0..20).map(f64::from).collect();
        let with = one(&[vec![], values.clone()], 0.5, Resampling::default());
        assert_eq!(with, one(&[values], 0.5, Resampling::default()));
    }

    /// 19 of 20 intervals over launches should hold the truth; with eight launches the percentile
    /// method holds a little less, an interval that takes all values alike almost never.
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
            let truth = 0.0;
            let how = Resampling { level: 0.95, resamples: 300, seed };
            let holds = |[low, high]: [f64; 2]| usize::from(low <= truth && truth <= high);
            held += holds(one(&launches, 0.5, how).unwrap());
            held_flat += holds(one(&[launches.concat()], 0.5, how).unwrap());
        }
        assert!(held >= 170, "{held} of 200");
        assert!(held_flat < 100, "{held_flat} of 200");
    }

    #[test]
    fn one_launch_gives_the_interval_of_its_order_statistics() {
        let values: Vec<f64> = (0..101).map(f64::from).collect();
        let how = Resampling { resamples: 4000, ..Resampling::default() };
        let [low, high] = one(std::slice::from_ref(&values), 0.5, how).unwrap();
        // The rank of a median is binomial: 50 ± 1.96 √(101/4).
        let expected = 1.96 * (101.0_f64 / 4.0).sqrt();
        assert!((50.0 - low - expected).abs() <= 1.0 && (high - 50.0 - expected).abs() <= 1.0);
        assert_eq!(median(&values), Some(50.0));
    }
}
