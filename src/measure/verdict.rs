//! Whether to trust a measurement.
use std::fmt;

use serde::Deserialize;
use serde::Serialize;

use crate::agent::Conditions;
use crate::stats::kendall;
use crate::stats::median;
use crate::stats::quantile;

use super::measurement::Launch;
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
        (verdict, few.into_iter().chain(throttling).chain(noise).chain(told(self)).collect())
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
    let others =
        busy.saturating_sub(own.saturating_sub(before)) as f64 / ticks * m.facts.cores? as f64;
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
    // The kernel's counters of idle and stolen time may go back a little.
    let busy = after.busy.saturating_sub(before.busy);
    let steal = after.steal.saturating_sub(before.steal);
    let all = (busy + steal + after.idle.saturating_sub(before.idle)) as f64;
    (all > 0.0).then_some((busy, steal, all))
}

/// What a reader should know but is no reason to distrust the samples.
fn told(m: &Measurement) -> impl Iterator<Item = String> {
    unsettled(m).into_iter().chain(threads(m))
}

/// Fewest warm-up runs that can settle: two medians of ten.
const CAN_SETTLE: u32 = 20;

fn unsettled(m: &Measurement) -> Option<String> {
    let restless = |l: &&Launch| !l.timed.settled && l.timed.warmup_runs >= CAN_SETTLE;
    let (n, all) = (m.launches.iter().filter(restless).count(), m.launches.len());
    (2 * n > all).then(|| format!("{n} of {all} warm-ups did not settle"))
}

fn threads(m: &Measurement) -> Option<String> {
    let used = m.launches.first()?.timed.threads;
    (used != m.threads).then(|| format!("{used} threads were used, {} were asked for", m.threads))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Facts;
    use crate::agent::OwnTime;
    use crate::agent::Ticks;
    use crate::agent::Timed;
    use crate::measure::Level;
    use crate::measure::ModelFile;
    use crate::measure::Noise;

    /// Ten launches of 50 samples: `us(launch, sample)`.
    fn measurement(us: impl Fn(usize, usize) -> f64) -> Measurement {
        let launch = |l: usize| Launch {
            wall_us: 1e4,
            timed: Timed {
                runtime_version: "1".into(),
                threads: 1,
                inputs: Vec::new(),
                load_us: 1.0,
                first_us: 1.0,
                warmup_runs: 20,
                settled: true,
                samples_us: (0..50).map(|s| us(l, s)).collect(),
                before: Conditions::default(),
                after: Conditions::default(),
            },
        };
        Measurement {
            model: ModelFile { path: "m.onnx".into(), blake3: String::new(), bytes: 1 },
            device: "fake".into(),
            facts: Facts { cores: Some(2), ..Facts::default() },
            runtime: "tract".into(),
            runtime_version: "1".into(),
            threads: 1,
            level: Level::Search,
            launches: (0..10).map(launch).collect(),
            memory: Vec::new(),
            baseline: Vec::new(),
            noise: Noise::default(),
        }
    }

    #[track_caller]
    fn check_verdict(m: &Measurement, verdict: Verdict, reasons: &[&str]) {
        assert_eq!(m.verdict(), (verdict, reasons.iter().map(|r| (*r).to_owned()).collect()));
    }

    #[test]
    fn launches_and_runs_that_agree_are_stable() {
        let m = measurement(|l, s| 100.0 + (l * 7 % 3) as f64 + (s * 5 % 4) as f64);
        check_verdict(&m, Verdict::Stable, &[]);
    }

    #[test]
    fn one_slow_launch_is_noise() {
        let m = measurement(|l, _| if l == 4 { 150.0 } else { 100.0 });
        let reason = "the slowest launch took 1.50 times as long as the fastest";
        check_verdict(&m, Verdict::Noisy, &[reason]);
    }

    #[test]
    fn runs_far_above_the_fastest_were_disturbed() {
        let m = measurement(|_, s| if s % 5 == 0 { 100.0 } else { 140.0 });
        check_verdict(&m, Verdict::Noisy, &["the median is 1.40 times the minimum"]);
    }

    #[test]
    fn a_device_that_becomes_slower_with_every_launch_is_throttled() {
        let m = measurement(|l, s| 100.0 * (1.0 + 0.012 * l as f64) + (s % 2) as f64);
        check_verdict(&m, Verdict::Throttled, &["the fast runs became 8.3 % slower"]);
    }

    #[test]
    fn a_busy_machine_is_blamed_only_if_it_shows() {
        let busy = |us: fn(usize, usize) -> f64| {
            let mut m = measurement(us);
            let ticks = |busy, idle| Some(Ticks { busy, idle, steal: 0 });
            for launch in &mut m.launches {
                launch.timed.before.ticks = ticks(0, 0);
                launch.timed.after.ticks = ticks(150, 50);
                launch.timed.before.own = Some(OwnTime { ticks: 1, preempted: 0 });
                launch.timed.after.own = Some(OwnTime { ticks: 5, preempted: 0 });
            }
            m
        };
        check_verdict(&busy(|_, _| 100.0), Verdict::Stable, &[]);
        let shows = busy(|_, s| if s == 0 { 85.0 } else { 100.0 });
        check_verdict(&shows, Verdict::Noisy, &["other processes kept 1.0 processors busy"]);
    }

    #[test]
    fn a_hypervisor_that_takes_the_processors_away_is_noise() {
        let mut m = measurement(|_, _| 100.0);
        m.launches[0].timed.before.ticks = Some(Ticks { busy: 0, idle: 0, steal: 0 });
        m.launches[9].timed.after.ticks = Some(Ticks { busy: 80, idle: 0, steal: 20 });
        check_verdict(&m, Verdict::Noisy, &["the hypervisor took 20 % of the processors"]);
    }

    #[test]
    fn without_samples_there_is_no_figure_and_the_verdict_says_so() {
        let mut m = measurement(|_, _| 100.0);
        m.launches.clear();
        check_verdict(&m, Verdict::Failed, &["no run was timed"]);
        assert_eq!((m.p50(), m.interval(0.5), m.prediction_interval()), (None, None, None));
    }

    #[test]
    fn threads_that_differ_from_those_asked_for_are_named() {
        let mut m = measurement(|_, _| 100.0);
        m.threads = 4;
        check_verdict(&m, Verdict::Stable, &["1 threads were used, 4 were asked for"]);
    }
}
