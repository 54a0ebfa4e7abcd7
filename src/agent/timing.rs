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

/// Times a prepared model.
///
/// Budgets are counted in what the runs say they took, so a runtime that simulates is timed the
/// same each time.
pub fn time(
    model: &mut dyn Loaded,
    warmup: &Warmup,
    sampling: &Sampling,
) -> Result<Timing, RuntimeError> {
    let first_us = micros(model.run()?);
    let (warmup_runs, settled) = warm_up(model, warmup)?;
    let before = Conditions::read();
    let samples_us = sample(model, sampling)?;
    let after = Conditions::read();
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
