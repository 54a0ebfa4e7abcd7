//! Warm-up and samples of one launch.
use std::thread;
use std::time::Duration;
use std::time::Instant;

use super::conditions::Conditions;
use super::heat::Heat;
use super::heat::HeatLimit;
use super::protocol::Sampling;
use super::protocol::Warmup;
use super::runtime::Loaded;
use super::runtime::RuntimeError;
use super::tasks::Tasks;
use crate::stats::median;

/// Most samples of one launch, so that the answer fits a line of the protocol.
const MAX_SAMPLES: u32 = 20_000;

/// Runs whose median is compared with that of as many before.
const WINDOW: usize = 10;

/// What happened between loading and the end.
pub struct Timing {
    pub first_us: f64,
    pub warmup_runs: u32,
    pub settled: bool,
    pub samples: Samples,
    pub before: Conditions,
    pub after: Conditions,
    /// Right before and right after the samples.
    pub tasks: [Tasks; 2],
}

/// What the timed runs took.
pub struct Samples {
    /// Of the runs that are kept, in their order.
    pub kept_us: Vec<f64>,
    /// How many runs there were.
    pub runs: u32,
    /// What they took together.
    pub timed_us: f64,
    /// What ended them before their time.
    pub too_hot: Option<Heat>,
}

/// How hot the device may become amid the samples.
pub struct Limit<'a> {
    pub limit: &'a HeatLimit,
    pub look: &'a dyn Fn() -> Conditions,
}

/// Times a prepared model; `conditions` are read before and after the samples, and nothing in between
/// but what a `limit` asks for.
///
/// Budgets are counted in what the runs say they took, so a runtime that simulates is timed the
/// same each time.
pub fn time(
    model: &mut dyn Loaded,
    warmup: &Warmup,
    sampling: &Sampling,
    conditions: fn() -> Conditions,
    limit: Option<Limit<'_>>,
) -> Result<Timing, RuntimeError> {
    let first_us = micros(model.run()?);
    let (warmup_runs, settled) = warm_up(model, warmup)?;
    let before = conditions();
    let idle = Tasks::read();
    let samples = sample(model, sampling, limit)?;
    let tasks = [idle, Tasks::read()];
    let after = conditions();
    Ok(Timing { first_us, warmup_runs, settled, samples, before, after, tasks })
}

fn warm_up(model: &mut dyn Loaded, warmup: &Warmup) -> Result<(u32, bool), RuntimeError> {
    let (mut runs, mut spent_us) = (Vec::new(), 0.0);
    while runs.len() < warmup.max_runs as usize && spent_us < warmup.max_us {
        if runs.len() >= warmup.min_runs as usize && has_settled(&runs, warmup.tolerance) {
            return Ok((runs.len() as u32, true));
        }
        let us = micros(model.run()?);
        spent_us += us;
        runs.push(us);
    }
    Ok((runs.len() as u32, has_settled(&runs, warmup.tolerance)))
}

/// Are the medians of the last two windows within `tolerance` of each other?
fn has_settled(runs: &[f64], tolerance: f64) -> bool {
    let Some(start) = runs.len().checked_sub(2 * WINDOW) else { return false };
    let (earlier, later) = runs[start..].split_at(WINDOW);
    match (median(earlier), median(later)) {
        (Some(earlier), Some(later)) => (later / earlier - 1.0).abs() <= tolerance,
        (None, _) | (_, None) => false,
    }
}

fn sample(
    model: &mut dyn Loaded,
    sampling: &Sampling,
    limit: Option<Limit<'_>>,
) -> Result<Samples, RuntimeError> {
    let (max, min) = (sampling.max.min(MAX_SAMPLES), sampling.min.min(MAX_SAMPLES));
    let enough = if sampling.enough == 0 { max } else { sampling.enough };
    let mut thinned = Thinned::to(max.max(min).max(1) as usize);
    let (mut runs, mut timed_us) = (0, 0.0);
    let mut pace = Pace::of(sampling.pace_us);
    let (mut looked_us, mut too_hot) = (0.0, None);
    while runs < min
        || (timed_us < sampling.max_us && (runs < enough || timed_us < sampling.min_us))
    {
        pace.wait();
        let us = micros(model.run()?);
        thinned.add(us);
        timed_us += us;
        runs += 1;
        if let Some(Limit { limit, look }) = &limit
            && timed_us - looked_us >= limit.every_us
        {
            looked_us = timed_us;
            too_hot = limit.exceeded(&look());
            if too_hot.is_some() {
                break;
            }
        }
    }
    Ok(Samples { kept_us: thinned.kept, runs, timed_us, too_hot })
}

/// Lets runs begin at equal distances.
struct Pace {
    step: Duration,
    next: Instant,
}

impl Pace {
    /// So many microseconds apart, an hour at most; 0 for no waiting.
    fn of(us: f64) -> Self {
        let step = Duration::from_secs_f64((us / 1e6).clamp(0.0, 3600.0).max(0.0));
        Pace { step, next: Instant::now() }
    }

    /// A run that took too long moves all after it.
    fn wait(&mut self) {
        let now = Instant::now();
        thread::sleep(self.next.saturating_duration_since(now));
        self.next = self.next.max(now) + self.step;
    }
}

/// Values that spread evenly over all that came: each, then every second, every fourth, ….
struct Thinned {
    kept: Vec<f64>,
    most: usize,
    /// Of so many values one is kept.
    stride: u64,
    seen: u64,
}

impl Thinned {
    /// Keeps `most` at most.
    fn to(most: usize) -> Self {
        Thinned { kept: Vec::with_capacity(most), most, stride: 1, seen: 0 }
    }

    fn add(&mut self, value: f64) {
        if self.seen.is_multiple_of(self.stride) && self.kept.len() == self.most {
            self.halve();
        }
        if self.seen.is_multiple_of(self.stride) {
            self.kept.push(value);
        }
        self.seen += 1;
    }

    fn halve(&mut self) {
        let mut at = 0;
        self.kept.retain(|_| {
            at += 1;
            at % 2 == 1
        });
        self.stride *= 2;
    }
}

/// Whole nanoseconds, as microseconds.
pub fn micros(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::agent::InputSpec;
    use crate::agent::TensorData;

    /// Runs that take these times, then the last one for ever.
    struct Script(Vec<u64>, usize);

    impl Loaded for Script {
        fn inputs(&self) -> &[InputSpec] {
            &[]
        }

        fn threads(&self) -> usize {
            1
        }

        fn prepare(&mut self, _: Vec<TensorData>) -> Result<(), RuntimeError> {
            Ok(())
        }

        fn run(&mut self) -> Result<Duration, RuntimeError> {
            let micros = self.0[self.1.min(self.0.len() - 1)];
            self.1 += 1;
            Ok(Duration::from_micros(micros))
        }

        fn outputs(&mut self) -> Result<Vec<TensorData>, RuntimeError> {
            Ok(Vec::new())
        }
    }

    const WARMUP: Warmup = Warmup { min_runs: 10, max_runs: 100, tolerance: 0.02, max_us: 1e6 };
    const SAMPLING: Sampling =
        Sampling { min: 3, max: 20, max_us: 1e6, enough: 0, min_us: 0.0, pace_us: 0.0 };

    fn timed(micros: Vec<u64>, warmup: Warmup, sampling: Sampling) -> Timing {
        time(&mut Script(micros, 0), &warmup, &sampling, Conditions::default, None).unwrap()
    }

    #[test]
    fn a_device_that_becomes_too_hot_amid_the_runs_is_left_alone() {
        let limit = HeatLimit { zones: vec!["cpu".into()], limit_c: 80.0, every_us: 1000.0 };
        let looks = Cell::new(0);
        let look = || {
            looks.set(looks.get() + 1);
            let celsius = 78.0 + f64::from(looks.get());
            let zones = vec![("gpu".to_owned(), 99.0), ("cpu-thermal".to_owned(), celsius)];
            Conditions { temperatures_c: Some(zones), ..Conditions::default() }
        };
        let sampling = Sampling { enough: 1000, max: 1000, ..SAMPLING };
        let limit = Some(Limit { limit: &limit, look: &look });
        let model = &mut Script(vec![100], 0);
        let timing = time(model, &WARMUP, &sampling, Conditions::default, limit).unwrap();
        let Samples { kept_us, runs, too_hot, .. } = timing.samples;
        assert_eq!((runs, kept_us.len(), looks.get()), (30, 30, 3), "a look after every ten runs");
        assert_eq!(
            too_hot.map(|heat| (heat.zone, heat.celsius)),
            Some(("cpu-thermal".into(), 81.0))
        );
    }

    #[test]
    fn the_first_run_is_no_sample_and_a_steady_model_is_warm_after_two_windows() {
        let timing = timed(vec![900, 100], WARMUP, SAMPLING);
        assert_eq!((timing.first_us, timing.warmup_runs, timing.settled), (900.0, 20, true));
        assert_eq!(timing.samples.kept_us, vec![100.0; 20]);
        assert_eq!((timing.samples.runs, timing.samples.timed_us), (20, 2000.0));
    }

    #[test]
    fn a_model_that_becomes_faster_is_warmed_up_until_it_does_not() {
        let falling = (0..50).map(|i| 1000 - 10 * i).chain([500]).collect();
        let timing = timed(falling, WARMUP, SAMPLING);
        assert!((50..80).contains(&timing.warmup_runs), "{}", timing.warmup_runs);
        assert!(timing.settled && timing.samples.kept_us == vec![500.0; 20]);
    }

    #[test]
    fn a_model_that_never_settles_is_timed_all_the_same() {
        let rising = (0..200).map(|i| 100 * (i + 1)).collect();
        let warmup = Warmup { max_us: 1e9, ..WARMUP };
        let timing = timed(rising, warmup, SAMPLING);
        assert_eq!((timing.warmup_runs, timing.settled), (100, false));
        assert_eq!(timing.samples.runs, 20);
    }

    #[test]
    fn a_slow_model_costs_no_more_than_its_budgets_and_the_least_samples() {
        let timing = timed(vec![600_000], WARMUP, SAMPLING);
        assert_eq!((timing.warmup_runs, timing.samples.runs), (2, 3));
    }

    #[test]
    fn paced_runs_begin_at_equal_distances() {
        let began = Instant::now();
        let sampling = Sampling { min: 5, max: 5, pace_us: 4e3, ..SAMPLING };
        assert_eq!(timed(vec![100], WARMUP, sampling).samples.runs, 5);
        assert!(began.elapsed() >= Duration::from_millis(16), "{:?}", began.elapsed());
    }

    #[test]
    fn more_samples_than_fit_a_line_are_not_taken() {
        let sampling = Sampling { min: u32::MAX, max: u32::MAX, max_us: 1e18, ..SAMPLING };
        let samples = timed(vec![1], WARMUP, sampling).samples;
        assert_eq!((samples.kept_us.len(), samples.runs), (MAX_SAMPLES as usize, MAX_SAMPLES));
    }

    #[test]
    fn a_fast_model_runs_until_the_least_time_has_passed_and_a_slow_one_until_there_are_enough() {
        let sampling = Sampling { enough: 13, min_us: 40e3, max_us: 1.5e6, ..SAMPLING };
        let runs = |us| timed(vec![us], WARMUP, sampling).samples.runs;
        assert_eq!([10, 100, 20_000, 99_000].map(runs), [4000, 400, 13, 13]);
        assert_eq!([400_000, 600_000, 5_000_000].map(runs), [4, 3, 3], "within the budget");
    }

    #[test]
    fn what_is_kept_spreads_evenly_over_all_runs() {
        for (runs, most, expected) in [
            (5, 8, vec![0, 1, 2, 3, 4]),
            (8, 8, vec![0, 1, 2, 3, 4, 5, 6, 7]),
            (9, 8, vec![0, 2, 4, 6, 8]),
            (40, 8, vec![0, 8, 16, 24, 32]),
            (9, 3, vec![0, 4, 8]),
            (4, 1, vec![0]),
        ] {
            let mut thinned = Thinned::to(most);
            (0..runs).for_each(|run| thinned.add(f64::from(run)));
            let expected: Vec<f64> = expected.into_iter().map(f64::from).collect();
            assert_eq!(thinned.kept, expected, "{runs} runs, {most} kept");
        }
    }
}
