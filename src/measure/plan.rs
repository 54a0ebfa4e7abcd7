//! How much to measure.
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::agent::Sampling;
use crate::agent::Warmup;

/// How sure a measurement is to be, against what it costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Every round of a search: a fifth of a second for a model of 100 µs.
    Screen,
    /// A second.
    Search,
    /// What is reported: some seconds.
    Final,
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
    /// How long one launch may take before it counts as hung.
    pub timeout: Duration,
}

impl Plan {
    /// The plan of a level.
    ///
    /// A run needs at least ten others before it (the first ones are slow), a launch costs what
    /// loading costs, and launches are worth more than samples: hence many short ones.
    pub fn of(level: Level) -> Self {
        let (launches, samples, budget_us, memory_launches) = match level {
            Level::Screen => (5, 100, 40e3, 1),
            Level::Search => (10, 200, 100e3, 2),
            Level::Final => (20, 500, 500e3, 3),
        };
        Plan {
            level,
            launches,
            warmup: Warmup { min_runs: 20, max_runs: 200, tolerance: 0.02, max_us: budget_us },
            sampling: Sampling { min: 5, max: samples, max_us: budget_us },
            memory_launches,
            memory_runs: 3,
            timeout: Duration::from_secs(120),
        }
    }
}
