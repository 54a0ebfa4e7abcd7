//! Whether to trust a measurement.
use std::fmt;

use serde::Deserialize;
use serde::Serialize;

use crate::agent::Conditions;
use crate::stats::kendall;
use crate::stats::median;
use crate::stats::quantile;

use super::measurement::Measurement;

/// Median against minimum beyond which most runs were disturbed by something else.
const LARGEST_EXCESS: f64 = 1.3;

/// Slowest launch against the fastest, by their medians.
const LARGEST_SPREAD: f64 = 1.25;

/// Share of the processors' time that the hypervisor may give away.
const LARGEST_STEAL: f64 = 0.05;

/// Processors that other processes may keep busy, if it shows in the samples.
const LARGEST_LOAD: f64 = 0.25;

/// Median against minimum, and slowest against fastest launch, up to which it does not show.
const UNDISTURBED: f64 = 1.1;

/// Slowdown from the first to the last third of the launches that is called throttling.
const LARGEST_DRIFT: f64 = 1.05;

/// Fewest launches and samples for any verdict but `too-few`.
const FEWEST_LAUNCHES: usize = 3;
const FEWEST_SAMPLES: usize = 15;

/// Whether to trust a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing speaks against it.
    Stable,
    /// Something else used the device, or the launches disagree.
    Noisy,
    /// The device slowed down while it was measured.
    Throttled,
    /// Not enough launches or samples to tell.
    TooFew,
    /// There is no sample at all.
    Failed,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::Stable => "stable",
            Verdict::Noisy => "noisy",
            Verdict::Throttled => "throttled",
            Verdict::TooFew => "too-few",
            Verdict::Failed => "failed",
        })
    }
}

impl Measurement {
    /// Whether to trust it, and every reason not to, for a person.
    pub fn verdict(&self) -> (Verdict, Vec<String>) {
        let samples = self.samples().len();
        if samples == 0 {
            return (Verdict::Failed, vec!["no run was timed".to_owned()]);
        }
        let noise: Vec<String> =
            [excess(self), spread(self), load(self), steal(self)].into_iter().flatten().collect();
        let throttling = throttling(self);
        let few = self.launches.len() < FEWEST_LAUNCHES || samples < FEWEST_SAMPLES;
        let verdict = match (few, &throttling, noise.is_empty()) {
            (true, _, _) => Verdict::TooFew,
            (false, Some(_), _) => Verdict::Throttled,
            (false, None, false) => Verdict::Noisy,
            (false, None, true) => Verdict::Stable,
        };
        let few = few.then(|| format!("{samples} samples in {} launches", self.launches.len()));
        (verdict, few.into_iter().chain(throttling).chain(noise).chain(threads(self)).collect())
    }
}

/// Median against minimum of all samples.
fn median_to_minimum(m: &Measurement) -> Option<f64> {
    let samples = m.samples();
    Some(median(&samples)? / quantile(&samples, 0.0)?)
}

/// Slowest against fastest launch.
fn slowest_to_fastest(m: &Measurement) -> Option<f64> {
    let medians = m.launch_medians();
    Some(quantile(&medians, 1.0)? / quantile(&medians, 0.0)?)
}

fn excess(m: &Measurement) -> Option<String> {
    let ratio = median_to_minimum(m)?;
    (ratio > LARGEST_EXCESS).then(|| format!("the median is {ratio:.2} times the minimum"))
}

fn spread(m: &Measurement) -> Option<String> {
    let ratio = slowest_to_fastest(m)?;
    (ratio > LARGEST_SPREAD)
        .then(|| format!("the slowest launch took {ratio:.2} times as long as the fastest"))
}

/// A slowdown from launch to launch of the fast runs, which other processes hardly touch.
fn throttling(m: &Measurement) -> Option<String> {
    let fast: Vec<f64> =
        m.launches.iter().filter_map(|l| quantile(&l.timed.samples_us, 0.1)).collect();
    let order: Vec<f64> = (0..fast.len()).map(|i| i as f64).collect();
    let third = fast.len() / 3;
    let (first, last) = (&fast[..third], &fast[fast.len() - third..]);
    let drift = median(last)? / median(first)?;
    (drift > LARGEST_DRIFT && kendall(&order, &fast)? > 0.6)
        .then(|| format!("the fast runs became {:.1} % slower", 100.0 * (drift - 1.0)))
}

/// Processor time of others from the first sample to the last, in processors. A busy machine is
/// no reason to distrust samples that agree all the same.
fn load(m: &Measurement) -> Option<String> {
    if median_to_minimum(m)?.max(slowest_to_fastest(m)?) <= UNDISTURBED {
        return None;
    }
    let (busy, _, ticks) = elapsed(m)?;
    let own: u64 = m.launches.iter().filter_map(|l| Some(l.timed.after.own?.ticks)).sum();
    let before = m.launches.first()?.timed.before.own?.ticks;
    let others = busy.saturating_sub(own - before) as f64 / ticks * m.facts.cores? as f64;
    (others > LARGEST_LOAD).then(|| format!("other processes kept {others:.1} processors busy"))
}

fn steal(m: &Measurement) -> Option<String> {
    let (_, steal, ticks) = elapsed(m)?;
    let share = steal as f64 / ticks;
    (share > LARGEST_STEAL)
        .then(|| format!("the hypervisor took {:.0} % of the processors", 100.0 * share))
}

/// Busy, stolen and all ticks from the first sample to the last.
fn elapsed(m: &Measurement) -> Option<(u64, u64, f64)> {
    let ticks = |conditions: &Conditions| conditions.ticks;
    let before = ticks(&m.launches.first()?.timed.before)?;
    let after = ticks(&m.launches.last()?.timed.after)?;
    let (busy, steal) = (after.busy - before.busy, after.steal - before.steal);
    let all = (busy + steal + after.idle - before.idle) as f64;
    (all > 0.0).then_some((busy, steal, all))
}

fn threads(m: &Measurement) -> Option<String> {
    let used = m.launches.first()?.timed.threads;
    (used != m.threads).then(|| format!("{used} threads were used, {} were asked for", m.threads))
}
