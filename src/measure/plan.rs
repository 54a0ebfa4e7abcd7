//! How much to measure.
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::agent::Sampling;
use crate::agent::Warmup;
use crate::units::Micros;

/// Models up to this get what their level wants, µs.
const SLOWEST: f64 = 100e3;

/// What the runs of `final` may take together, µs, so that slower models get their samples too.
const FINAL_US: f64 = 600e6;

/// How long a launch may take beside its samples.
const AROUND: Duration = Duration::from_secs(120);

/// How much slower some runs of a model that is just that fast may be.
const SLACK: f64 = 1.15;

/// How sure a measurement is to be, against what it costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Every round of a search: a fifth of a second.
    Screen,
    /// A second.
    Search,
    /// What is reported: a minute.
    Final,
}

/// The least that a measurement of a level consists of; of less the verdict is `too-few`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Minimum {
    /// Fresh processes that take samples.
    pub launches: usize,
    /// Runs that are timed, over all launches.
    pub samples: u64,
    /// What those took together.
    pub timed: Micros,
}

/// A name that is no level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a level; there are `screen`, `search` and `final`")]
pub struct UnknownLevel(String);

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Level::Screen => "screen",
            Level::Search => "search",
            Level::Final => "final",
        })
    }
}

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "screen" => Ok(Level::Screen),
            "search" => Ok(Level::Search),
            "final" => Ok(Level::Final),
            other => Err(UnknownLevel(other.to_owned())),
        }
    }
}

/// What a measurement consists of.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The level it was made for.
    pub level: Level,
    /// Fresh processes that take samples.
    pub launches: u32,
    /// Warm-up in each.
    pub warmup: Warmup,
    /// Samples in each.
    pub sampling: Sampling,
    /// Further fresh processes that look at memory.
    pub memory_launches: u32,
    /// Runs in each of those.
    pub memory_runs: u32,
    /// How often a noisy measurement is made again.
    pub retries: u32,
    /// How long one launch may take before it counts as hung.
    pub timeout: Duration,
    /// How often a run begins, if not right after the one before.
    pub paced_hz: Option<f64>,
    /// How long a further launch runs without a pause.
    pub sustained: Option<Duration>,
}

impl Level {
    /// What a measurement of this level must have.
    ///
    /// # Source
    ///
    /// `final`: samples and seconds (and the 600 s that end it) of the single-stream scenario of Janapa Reddi et al., *MLPerf
    /// Mobile Inference Benchmark*, MLSys 2022. Its launches, and the other levels, are our own.
    pub fn minimum(self) -> Minimum {
        let (launches, samples, timed_us) = match self {
            Level::Screen => (3, 64, 0.2e6),
            Level::Search => (5, 128, 1e6),
            Level::Final => (5, 1024, 60e6),
        };
        Minimum { launches, samples, timed: Micros(timed_us) }
    }
}

impl Plan {
    /// The plan of a level.
    ///
    /// A run needs at least ten others before it (the first ones are slow), a launch costs what
    /// loading costs, and launches are worth more than samples: hence many short ones. Together
    /// they reach the minimum of the level with every model below 100 ms, at `final` below half a second;
    /// a slower one gets as many runs as fit into the same time, of `final` 600 s. A search does not repeat noisy measurements at once: it
    /// measures the members of its front again anyway.
    pub fn of(level: Level) -> Self {
        let (launches, kept, warmup_us, memory_launches, retries) = match level {
            Level::Screen => (5, 100, 40e3, 1, 0),
            Level::Search => (14, 200, 100e3, 2, 1),
            Level::Final => (20, 500, 500e3, 3, 2),
        };
        let least = level.minimum();
        let enough = (least.samples as f64 / f64::from(launches)).ceil();
        let max_us = match level {
            Level::Screen | Level::Search => enough * SLOWEST * SLACK,
            Level::Final => FINAL_US / f64::from(launches),
        };
        let sampling = Sampling {
            min: 3,
            max: kept,
            max_us,
            enough: enough as u32,
            min_us: least.timed.0 / f64::from(launches),
            pace_us: 0.0,
        };
        Plan {
            level,
            launches,
            warmup: Warmup { min_runs: 20, max_runs: 200, tolerance: 0.02, max_us: warmup_us },
            sampling,
            memory_launches,
            memory_runs: 3,
            retries,
            timeout: AROUND + Duration::from_secs_f64(max_us / 1e6),
            paced_hz: None,
            sustained: None,
        }
    }

    /// With `hz` runs a second, as an app does that works on a camera's pictures: back-to-back runs
    /// flatter, since clocks stay high and caches warm.
    ///
    /// The level's samples are taken, but not its seconds: they would take hours.
    pub fn paced(mut self, hz: f64) -> Self {
        let pace_us = 1e6 / hz;
        let enough = self.sampling.enough;
        self.sampling = Sampling { min: 3, min_us: 0.0, pace_us, ..self.sampling };
        self.timeout += Duration::from_secs_f64(f64::from(enough) / hz);
        self.paced_hz = Some(hz);
        self
    }

    /// With a further launch that runs for `duration` without a pause.
    pub fn sustained(mut self, duration: Duration) -> Self {
        self.sustained = Some(duration);
        self
    }

    /// That launch; `None` if none is asked for.
    pub(super) fn long_launch(&self) -> Option<Plan> {
        let us = self.sustained?.as_secs_f64() * 1e6;
        let sampling =
            Sampling { min: 3, max: 6000, max_us: us, enough: 1, min_us: us, pace_us: 0.0 };
        // What is between the runs takes time too, and is not counted.
        let timeout = self.timeout + 2 * self.sustained?;
        Some(Plan { sampling, timeout, ..self.clone() })
    }

    /// The longest that a launch may take.
    pub(super) fn longest(&self) -> Duration {
        self.long_launch().map_or(self.timeout, |long| long.timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_reaches_the_minimum_of_its_level_with_models_up_to_100_ms() {
        for level in [Level::Screen, Level::Search, Level::Final] {
            let (plan, least) = (Plan::of(level), level.minimum());
            let Sampling { max, max_us, enough, min_us, .. } = plan.sampling;
            assert!(plan.launches as usize >= least.launches, "{level}");
            assert!(u64::from(plan.launches * enough) >= least.samples, "{level}");
            assert!(f64::from(plan.launches) * min_us >= least.timed.0, "{level}");
            assert!(f64::from(enough) * 100e3 < max_us && min_us < max_us, "{level}");
            assert!(max >= enough && max_us < plan.timeout.as_secs_f64() * 1e6 / 2.0, "{level}");
        }
    }

    /// Runs of all launches of a model that takes `us`, and how long they take, s: as the agent makes them.
    fn runs(level: Level, us: f64) -> (u64, f64) {
        let Plan { launches, sampling, .. } = Plan::of(level);
        let (mut runs, mut timed_us) = (0, 0.0);
        while runs < sampling.min
            || timed_us < sampling.max_us && (runs < sampling.enough || timed_us < sampling.min_us)
        {
            runs += 1;
            timed_us += us;
        }
        (u64::from(launches * runs), f64::from(launches) * timed_us / 1e6)
    }

    #[test]
    fn a_slow_model_gets_its_samples_at_the_final_level_or_runs_out_of_its_ten_minutes() {
        let least = Level::Final.minimum();
        for ms in [1.0, 115.0, 120.0, 300.0, 550.0] {
            let (runs, seconds) = runs(Level::Final, ms * 1e3);
            assert!(runs >= least.samples && seconds >= least.timed.0 / 1e6, "{ms} ms: {runs}");
            assert!(seconds <= 600.0, "{ms} ms: {seconds} s");
        }
        let (runs, seconds) = runs(Level::Final, 2e6);
        assert!(runs < least.samples && (600.0..640.0).contains(&seconds), "{runs} in {seconds} s");
    }

    #[test]
    fn a_search_is_not_held_up_by_a_slow_model() {
        assert_eq!(runs(Level::Screen, 300e3), (25, 7.5));
        assert_eq!(runs(Level::Search, 300e3), (56, 16.8));
    }
}
