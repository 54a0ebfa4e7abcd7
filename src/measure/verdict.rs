//! Whether to trust a measurement.
use std::fmt;

use serde::Deserialize;
use serde::Serialize;

use crate::agent::Conditions;
use crate::stats::quantile;

use super::drift::slowdown;
use super::measurement::Launch;
use super::measurement::Measurement;
use super::sustained::NoCurve;

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

/// Android's thermal status from which on a device is slowed down: `THERMAL_STATUS_MODERATE` of its
/// `PowerManager`.
const MODERATE: u8 = 2;

/// Share of outliers among the samples from which on a reader is told.
const MANY_OUTLIERS: f64 = 0.01;

/// Whether to trust a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing speaks against it.
    Stable,
    /// Something else used the device, or the launches disagree.
    Noisy,
    /// The device slowed down while it was measured, or became too hot.
    Throttled,
    /// Less than the level wants.
    TooFew,
    /// There is no sample at all, or the device computes something else than the host.
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
        if self.samples().is_empty() {
            return (Verdict::Failed, vec!["no run was timed".to_owned()]);
        }
        let disagreement = disagreement(self);
        let noise: Vec<String> =
            [excess(self), spread(self), load(self), steal(self)].into_iter().flatten().collect();
        let (stopped, few) = (stopped(self), few(self));
        let throttling = status(self).or_else(|| throttling(self));
        let verdict = if disagreement.is_some() {
            Verdict::Failed
        } else if stopped.is_some() {
            Verdict::Throttled
        } else if !few.is_empty() {
            Verdict::TooFew
        } else if throttling.is_some() {
            Verdict::Throttled
        } else if !noise.is_empty() {
            Verdict::Noisy
        } else {
            Verdict::Stable
        };
        let again = (verdict == Verdict::Noisy).then(|| again(self)).flatten();
        let reasons =
            disagreement.into_iter().chain(stopped).chain(few).chain(throttling).chain(noise);
        (verdict, reasons.chain(again).chain(told(self)).collect())
    }
}

/// Fast and wrong is worth nothing.
fn disagreement(m: &Measurement) -> Option<String> {
    let agreement = m.agreement.as_ref().filter(|a| !a.holds())?;
    let reference = &agreement.reference;
    Some(match agreement.gap {
        Some(gap) => format!(
            "its outputs differ by {:.2} % from those of {reference}, {} % are allowed",
            100.0 * gap,
            100.0 * agreement.tolerance
        ),
        None => format!("its outputs cannot be compared with those of {reference}"),
    })
}

/// A zone became too hot between launches, or in the one without a pause.
fn stopped(m: &Measurement) -> Option<String> {
    let stopped = m.gates.as_ref()?.stopped.as_ref()?;
    let (heat, limit, n) = (&stopped.heat, stopped.limit_c, m.launches.len());
    Some(match stopped.after_s {
        None => format!("{heat}, {limit} are allowed: no more launches after {n}"),
        Some(s) => {
            format!("{heat}, {limit} are allowed: the launch without a pause ended after {s:.0} s")
        }
    })
}

/// What the level wants and the measurement has not.
fn few(m: &Measurement) -> Vec<String> {
    let (level, least) = (m.level, m.level.minimum());
    let (launches, runs, timed) = (m.launches.len(), m.runs(), m.timed());
    let launches = (launches < least.launches)
        .then(|| format!("{launches} launches; `{level}` wants {}", least.launches));
    let runs = (runs < least.samples)
        .then(|| format!("{runs} samples; `{level}` wants {}", least.samples));
    let timed = (timed < least.timed && m.paced_hz.is_none())
        .then(|| format!("{timed} of timed runs; `{level}` wants {}", least.timed));
    [launches, runs, timed].into_iter().flatten().collect()
}

/// All attempts were noisy.
fn again(m: &Measurement) -> Option<String> {
    let n = m.attempts;
    (n > 1).then(|| format!("all {n} attempts were noisy; this one spreads least"))
}

fn excess(m: &Measurement) -> Option<String> {
    let ratio = m.median_to_minimum()?;
    (ratio > LARGEST_EXCESS).then(|| format!("the median is {ratio:.2} times the minimum"))
}

fn spread(m: &Measurement) -> Option<String> {
    let ratio = m.slowest_to_fastest()?;
    (ratio > LARGEST_SPREAD)
        .then(|| format!("the slowest launch took {ratio:.2} times as long as the fastest"))
}

/// Android itself says that it slows down.
fn status(m: &Measurement) -> Option<String> {
    let status = m.launches.iter().filter_map(|l| l.timed.after.thermal_status).max()?;
    (status >= MODERATE).then(|| format!("Android's thermal status was {status} of 6"))
}

/// A slowdown from launch to launch of the fast runs, which other processes hardly touch.
fn throttling(m: &Measurement) -> Option<String> {
    let fast: Vec<f64> =
        m.launches.iter().filter_map(|l| quantile(&l.timed.samples_us, 0.1)).collect();
    let times = slowdown(&fast)?;
    Some(format!("the fast runs became {:.1} % slower", 100.0 * (times - 1.0)))
}

/// Processor time of others from the first sample to the last, in processors. A busy machine is
/// no reason to distrust samples that agree all the same.
fn load(m: &Measurement) -> Option<String> {
    if m.disturbance()? <= UNDISTURBED {
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
    let emulated = emulated(m).map(str::to_owned);
    let told = emulated.into_iter().chain(outliers(m)).chain(unsettled(m)).chain(threads(m));
    let told = told.chain(not_compared(m)).chain(blind(m)).chain(m.slower.map(slower_in_words));
    told.chain(m.no_curve.as_ref().map(without_curve))
}

/// Nobody knows whether it computes what it should.
fn not_compared(m: &Measurement) -> Option<String> {
    let reason = m.not_compared.as_ref()?;
    Some(format!("its outputs were not compared with this machine's: {reason}"))
}

/// The device is slower than it usually is, by the reference model.
pub fn slower_in_words(slower: f64) -> String {
    format!("the reference model took {slower:.1}x what it takes on this device")
}

fn without_curve(few: &NoCurve) -> String {
    let NoCurve { runs, seconds, least } = few;
    format!(
        "{runs} runs in {seconds:.0} s without a pause are too few for a curve: {least} are needed"
    )
}

/// Its figures agree with each other, and with nothing else.
fn emulated(m: &Measurement) -> Option<&'static str> {
    (m.facts.emulated == Some(true))
        .then_some("the device is emulated: its times say nothing about a real one")
}

fn outliers(m: &Measurement) -> Option<String> {
    let (n, all) = (m.outliers(), m.samples().len());
    (n as f64 > MANY_OUTLIERS * all as f64)
        .then(|| format!("{n} of {all} samples are outliers, far above the others of their launch"))
}

/// Gates that had nothing to look at.
fn blind(m: &Measurement) -> Vec<String> {
    let unknown = m.gates.iter().flat_map(|gated| &gated.unknown);
    unknown.map(|what| format!("{what} unknown: the gate could not look")).collect()
}

/// Fewest warm-up runs that can settle: two medians of ten.
const CAN_SETTLE: u32 = 20;

fn unsettled(m: &Measurement) -> Option<String> {
    let restless = |l: &&Launch| !l.timed.settled && l.timed.warmup_runs >= CAN_SETTLE;
    let (n, all) = (m.launches.iter().filter(restless).count(), m.launches.len());
    (2 * n > all).then(|| format!("{n} of {all} warm-ups did not settle"))
}

fn threads(m: &Measurement) -> Option<String> {
    let used = m.launches.iter().filter_map(|l| l.timed.threads_used).max();
    let used = used.or(Some(m.launches.first()?.timed.threads))?;
    let threads = if used == 1 { "thread was" } else { "threads were" };
    (used != m.threads).then(|| format!("{used} {threads} used, {} asked for", m.threads))
}

#[cfg(test)]
mod tests {
    use super::super::measurement::tests::measurement;
    use super::*;
    use crate::agent::OwnTime;
    use crate::agent::Ticks;
    use crate::measure::Gated;
    use crate::measure::Heat;
    use crate::measure::Level;
    use crate::measure::Stopped;

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
        check_verdict(&m, Verdict::Throttled, &["the fast runs became 10.8 % slower"]);
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
    fn what_a_level_wants_and_did_not_get_is_told_in_numbers() {
        let mut m = measurement(|_, _| 150e3);
        m.level = Level::Final;
        m.launches.truncate(8);
        for launch in &mut m.launches {
            (launch.timed.runs, launch.timed.timed_us) = (51, 51.0 * 150e3);
        }
        check_verdict(&m, Verdict::TooFew, &["408 samples; `final` wants 1024"]);
        m.level = Level::Search;
        check_verdict(&m, Verdict::Stable, &[]);
        m.launches.truncate(2);
        m.launches.iter_mut().for_each(|l| l.timed.samples_us.truncate(1));
        for launch in &mut m.launches {
            (launch.timed.runs, launch.timed.timed_us) = (3, 0.45e6);
        }
        let few = [
            "2 launches; `search` wants 5",
            "6 samples; `search` wants 128",
            "900.00 ms of timed runs; `search` wants 1.000 s",
        ];
        check_verdict(&m, Verdict::TooFew, &few);
    }

    #[test]
    fn a_measurement_that_stays_noisy_says_how_often_it_was_tried() {
        let mut m = measurement(|l, _| if l == 4 { 150.0 } else { 100.0 });
        m.attempts = 3;
        let slow = "the slowest launch took 1.50 times as long as the fastest";
        let reasons = [slow, "all 3 attempts were noisy; this one spreads least"];
        check_verdict(&m, Verdict::Noisy, &reasons);
        let mut m = measurement(|_, _| 100.0);
        m.attempts = 2;
        check_verdict(&m, Verdict::Stable, &[]);
    }

    #[test]
    fn a_device_that_became_too_hot_is_throttled_whatever_else() {
        let mut m = measurement(|_, _| 100.0);
        m.launches.truncate(2);
        let heat = Heat { zone: "cpu-thermal".into(), celsius: 83.5 };
        let stopped = Some(Stopped { heat, limit_c: 80.0, after_s: None });
        m.gates = Some(Gated { stopped, ..Gated::default() });
        let (verdict, reasons) = m.verdict();
        let hot = "`cpu-thermal` has 83.5 °C, 80 are allowed: no more launches after 2";
        assert_eq!((verdict, reasons[0].as_str()), (Verdict::Throttled, hot));
    }

    #[test]
    fn an_emulated_device_is_told_with_every_measurement() {
        let mut m = measurement(|_, _| 100.0);
        m.facts.emulated = Some(true);
        let told = "the device is emulated: its times say nothing about a real one";
        check_verdict(&m, Verdict::Stable, &[told]);
    }

    #[test]
    fn a_gate_that_could_not_look_and_many_outliers_are_told() {
        let mut m = measurement(|_, s| if s == 7 { 150.0 } else { 100.0 });
        m.gates = Some(Gated { unknown: vec!["temperature".into()], ..Gated::default() });
        let told = [
            "10 of 500 samples are outliers, far above the others of their launch",
            "temperature unknown: the gate could not look",
        ];
        check_verdict(&m, Verdict::Stable, &told);
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
        check_verdict(&m, Verdict::Stable, &["1 thread was used, 4 asked for"]);
        m.launches[0].timed.threads = 4;
        check_verdict(&m, Verdict::Stable, &[]);
        m.launches[2].timed.threads_used = Some(2);
        m.launches[3].timed.threads_used = Some(1);
        check_verdict(&m, Verdict::Stable, &["2 threads were used, 4 asked for"]);
    }
}
