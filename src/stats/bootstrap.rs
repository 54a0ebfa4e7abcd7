//! How sure a statistic is, found by drawing the sample again.
use super::random::SplitMix64;

/// How an interval is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resampling {
    /// Share of repetitions whose interval holds the true value, e.g. 0.95.
    pub level: f64,
    /// Most ways to draw the launches that are looked at; 1000 settle the ends of a 95 % interval to
    /// about a tenth of its width.
    pub resamples: usize,
    /// Decides which, where there are more.
    pub seed: u64,
}

impl Default for Resampling {
    /// 95 % from at most 1000 ways.
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
/// No value is really drawn. Of up to six launches all ways to draw them are looked at, of more so many
/// as there are resamples; and how many of the values drawn within are at most `x` is a sum of binomial
/// numbers, which is nearly normal. The ends are values of the sample. Costs one sort, and for each end
/// and each halving of the sample a normal probability a way.
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
    let draws = draws(ranked.launches.len(), how);
    let tail = (1.0 - how.level) / 2.0;
    Some(qs.map(|q| [tail, 1.0 - tail].map(|share| ranked.end(&draws, q, share))))
}

/// All values in order, and for each launch where its own stand in it.
struct Ranked {
    values: Vec<f64>,
    launches: Vec<Vec<usize>>,
}

/// How often each launch is drawn, and how probable that is.
struct Draw {
    times: Vec<f64>,
    share: f64,
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

    /// The first value that the `q`-quantile of a resample exceeds in at most `1 - share` of all.
    fn end(&self, draws: &[Draw], q: f64, share: f64) -> f64 {
        let (mut below, mut at) = (0, self.values.len() - 1);
        while below < at {
            let middle = below.midpoint(at);
            match self.share_up_to(middle, draws, q) < share {
                true => below = middle + 1,
                false => at = middle,
            }
        }
        self.values[at]
    }

    /// Share of the resamples whose `q`-quantile is at most the value of this rank: those in which
    /// more values than stand below the quantile are at most that value.
    fn share_up_to(&self, rank: usize, draws: &[Draw], q: f64) -> f64 {
        let launch = |ranks: &Vec<usize>| {
            let (n, up_to) = (ranks.len() as f64, ranks.partition_point(|r| *r <= rank) as f64);
            [n, up_to, up_to * (1.0 - up_to / n)]
        };
        let launches: Vec<[f64; 3]> = self.launches.iter().map(launch).collect();
        let one = |draw: &Draw| {
            let [mut n, mut mean, mut variance] = [0.0; 3];
            for (times, launch) in draw.times.iter().zip(&launches) {
                n += times * launch[0];
                mean += times * launch[1];
                variance += times * launch[2];
            }
            // A half for going from whole numbers to a normal law.
            let needed = q.clamp(0.0, 1.0) * (n - 1.0) + 0.5;
            draw.share * normal((mean - needed) / variance.sqrt().max(1e-9))
        };
        draws.iter().map(one).sum()
    }
}

/// All ways to draw `n` launches from as many with replacement, but for their order; where that are
/// more than `how.resamples`, so many random ones.
fn draws(n: usize, how: Resampling) -> Vec<Draw> {
    // Of n things n with repetition: (2n - 1)! / n! / (n - 1)!.
    let ways: f64 = (1..n).map(|i| (n + i) as f64 / i as f64).product();
    let mut draws = Vec::new();
    if ways <= how.resamples as f64 {
        let share = (1..=n).map(|i| i as f64 / n as f64).product();
        every_draw(Vec::new(), n, n, share, &mut draws);
        return draws;
    }
    let mut random = SplitMix64::new(how.seed);
    for _ in 0..how.resamples {
        let mut times = vec![0.0; n];
        (0..n).for_each(|_| times[random.below(n)] += 1.0);
        draws.push(Draw { times, share: 1.0 / how.resamples as f64 });
    }
    draws
}

/// Adds all draws that begin with `times` and draw `left` more; `share` is to be divided by the
/// factorials of the times to come.
fn every_draw(times: Vec<f64>, n: usize, left: usize, share: f64, draws: &mut Vec<Draw>) {
    if times.len() == n {
        draws.push(Draw { times, share });
        return;
    }
    let least = if times.len() == n - 1 { left } else { 0 };
    for next in least..=left {
        let factorial: f64 = (1..=next).map(|i| i as f64).product();
        let times = times.iter().copied().chain([next as f64]).collect();
        every_draw(times, n, left - next, share / factorial, draws);
    }
}

/// The standard normal distribution function, to 1e-7: 26.2.17 in Abramowitz, Stegun, *Handbook of
/// Mathematical Functions*, 1964.
fn normal(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return f64::from(u8::from(x > 0.0));
    }
    const B: [f64; 5] =
        [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let t = 1.0 / (1.0 + 0.231_641_9 * x.abs());
    let series = t * B.iter().rev().fold(0.0, |sum, b| sum * t + b);
    let beyond = (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt() * series;
    if x > 0.0 { 1.0 - beyond } else { beyond }
}

#[cfg(test)]
mod tests {
    use super::super::distribution::normal_quantile;
    use super::super::quantile::median;
    use super::super::quantile::quantile;
    use super::*;

    fn normal_draw(random: &mut SplitMix64) -> f64 {
        normal_quantile((random.below(1 << 40) as f64 + 0.5) / (1u64 << 40) as f64)
    }

    /// Quantiles of samples that are really drawn, in order.
    fn literally(launches: &[Vec<f64>], q: f64, resamples: usize) -> Vec<f64> {
        let mut random = SplitMix64::new(3);
        let mut outcomes: Vec<f64> = (0..resamples)
            .map(|_| {
                let mut resample = Vec::new();
                for _ in 0..launches.len() {
                    let launch = &launches[random.below(launches.len())];
                    resample.extend((0..launch.len()).map(|_| launch[random.below(launch.len())]));
                }
                quantile(&resample, q).unwrap()
            })
            .collect();
        outcomes.sort_by(f64::total_cmp);
        outcomes
    }

    fn one(launches: &[Vec<f64>], q: f64, how: Resampling) -> Option<[f64; 2]> {
        bootstrap_quantiles(launches, [q], how).map(|[interval]| interval)
    }

    fn random_launches(random: &mut SplitMix64) -> Vec<Vec<f64>> {
        let launch = |random: &mut SplitMix64| {
            let shift = normal_draw(random);
            // Rounded, so that some values come more than once.
            let value = |random: &mut SplitMix64| ((shift + normal_draw(random)) * 50.0).round();
            (0..30 + random.below(40)).map(|_| value(random)).collect()
        };
        (0..1 + random.below(8)).map(|_| launch(random)).collect()
    }

    #[test]
    fn the_ends_are_those_of_samples_that_are_really_drawn() {
        let mut random = SplitMix64::new(11);
        for seed in 0..60 {
            let launches = random_launches(&mut random);
            let q = [0.1, 0.5, 0.77, 0.9][random.below(4)];
            let how = Resampling { level: 0.9, resamples: 2000, seed };
            let [_, ends] = bootstrap_quantiles(&launches, [0.3, q], how).unwrap();
            let drawn = literally(&launches, q, 2000);
            for (end, share) in ends.iter().zip([0.05, 0.95]) {
                // Drawn quantiles also lie between two values of the sample.
                let [early, late] = [share - 0.025, share + 0.025].map(|s| quantile(&drawn, s));
                let within = early.unwrap() - 3.0..=late.unwrap() + 3.0;
                assert!(within.contains(end), "{launches:?} {q}: {end} {within:?}");
            }
        }
    }

    #[test]
    fn the_normal_distribution_function_is_the_inverse_of_its_quantile() {
        for p in [1e-3, 0.025, 0.3, 0.5, 0.6, 0.975, 0.9999] {
            assert!((super::normal(normal_quantile(p)) - p).abs() < 1e-7, "{p}");
        }
    }

    #[test]
    fn all_ways_to_draw_are_as_probable_as_one() {
        for n in 1..=6 {
            let all = draws(n, Resampling::default());
            assert!((all.iter().map(|d| d.share).sum::<f64>() - 1.0).abs() < 1e-12);
            assert!(all.iter().all(|d| d.times.iter().sum::<f64>() == n as f64));
        }
        let ways = |n| draws(n, Resampling::default()).len();
        assert_eq!([1, 2, 5, 6, 7].map(ways), [1, 3, 126, 462, 1000]);
    }

    #[test]
    fn nine_intervals_of_ten_hold_the_true_median() {
        let mut random = SplitMix64::new(2);
        let how = |seed| Resampling { level: 0.9, resamples: 300, seed };
        let held = (0..400).filter(|&seed| {
            let values: Vec<f64> = (0..40).map(|_| normal_draw(&mut random)).collect();
            let [low, high] = one(&[values], 0.5, how(seed)).unwrap();
            low <= 0.0 && 0.0 <= high
        });
        let held = held.count();
        assert!((340..=380).contains(&held), "{held} of 400");
    }

    #[test]
    fn the_same_seed_gives_the_same_interval_and_another_seed_another() {
        let launches: Vec<Vec<f64>> = (0..9)
            .map(|l| (0..50).map(|i| f64::from(i * i % 37 + 11 * l).sqrt()).collect())
            .collect();
        let at = |seed| {
            let how = Resampling { seed, resamples: 20, ..Resampling::default() };
            one(&launches, 0.6, how)
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
                    let shift = normal_draw(&mut random);
                    (0..50).map(|_| shift + 0.1 * normal_draw(&mut random)).collect()
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
