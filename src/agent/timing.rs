//! Warm-up and samples of one launch.
use std::time::Duration;

use super::conditions::Conditions;
use super::protocol::Sampling;
use super::protocol::Warmup;
use super::runtime::Loaded;
use super::runtime::RuntimeError;
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
    pub samples_us: Vec<f64>,
    pub before: Conditions,
    pub after: Conditions,
}

/// Times a prepared model; `conditions` are read before and after the samples.
///
/// Budgets are counted in what the runs say they took, so a runtime that simulates is timed the
/// same each time.
pub fn time(
    model: &mut dyn Loaded,
    warmup: &Warmup,
    sampling: &Sampling,
    conditions: fn() -> Conditions,
) -> Result<Timing, RuntimeError> {
    let first_us = micros(model.run()?);
    let (warmup_runs, settled) = warm_up(model, warmup)?;
    let before = conditions();
    let samples_us = sample(model, sampling)?;
    let after = conditions();
    Ok(Timing { first_us, warmup_runs, settled, samples_us, before, after })
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

fn sample(model: &mut dyn Loaded, sampling: &Sampling) -> Result<Vec<f64>, RuntimeError> {
    let (max, min) = (sampling.max.min(MAX_SAMPLES), sampling.min.min(MAX_SAMPLES));
    let mut samples = Vec::with_capacity(max as usize);
    let mut spent_us = 0.0;
    while samples.len() < min as usize
        || (samples.len() < max as usize && spent_us < sampling.max_us)
    {
        let us = micros(model.run()?);
        spent_us += us;
        samples.push(us);
    }
    Ok(samples)
}

/// Whole nanoseconds, as microseconds.
pub fn micros(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1e3
}

#[cfg(test)]
mod tests {
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
    const SAMPLING: Sampling = Sampling { min: 3, max: 20, max_us: 1e6 };

    fn timed(micros: Vec<u64>, warmup: Warmup, sampling: Sampling) -> Timing {
        time(&mut Script(micros, 0), &warmup, &sampling, Conditions::default).unwrap()
    }

    #[test]
    fn the_first_run_is_no_sample_and_a_steady_model_is_warm_after_two_windows() {
        let timing = timed(vec![900, 100], WARMUP, SAMPLING);
        assert_eq!((timing.first_us, timing.warmup_runs, timing.settled), (900.0, 20, true));
        assert_eq!(timing.samples_us, vec![100.0; 20]);
    }

    #[test]
    fn a_model_that_becomes_faster_is_warmed_up_until_it_does_not() {
        let falling = (0..50).map(|i| 1000 - 10 * i).chain([500]).collect();
        let timing = timed(falling, WARMUP, SAMPLING);
        assert!((50..80).contains(&timing.warmup_runs), "{}", timing.warmup_runs);
        assert!(timing.settled && timing.samples_us == vec![500.0; 20]);
    }

    #[test]
    fn a_model_that_never_settles_is_timed_all_the_same() {
        let rising = (0..200).map(|i| 100 * (i + 1)).collect();
        let warmup = Warmup { max_us: 1e9, ..WARMUP };
        let timing = timed(rising, warmup, SAMPLING);
        assert_eq!((timing.warmup_runs, timing.settled), (100, false));
        assert_eq!(timing.samples_us.len(), 20);
    }

    #[test]
    fn a_slow_model_costs_no_more_than_its_budgets_and_the_least_samples() {
        let timing = timed(vec![600_000], WARMUP, SAMPLING);
        assert_eq!((timing.warmup_runs, timing.samples_us.len()), (2, 3));
    }

    #[test]
    fn more_samples_than_fit_a_line_are_not_taken() {
        let sampling = Sampling { min: u32::MAX, max: u32::MAX, max_us: 1e18 };
        assert_eq!(timed(vec![1], WARMUP, sampling).samples_us.len(), MAX_SAMPLES as usize);
    }
}
