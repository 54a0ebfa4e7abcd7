//! How fast a device still is after minutes without a pause.
use serde::Deserialize;
use serde::Serialize;

use crate::agent::Timed;
use crate::stats::median;

/// Points of the curve.
const POINTS: usize = 60;

/// Slowdown against the beginning from which on the device counts as throttled.
const THROTTLED: f64 = 1.05;

/// A long launch without a pause.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sustained {
    /// How long it ran, s of timed runs.
    pub seconds: f64,
    /// Seconds since the first timed run, and the median around it, µs.
    pub curve: Vec<[f64; 2]>,
    /// How much slower the last tenth is than the first, percent; below 0 if it is faster.
    pub drop_percent: f64,
    /// Since when all runs are 5 % slower than the first tenth was, s; `None` if they never are.
    pub throttled_after_s: Option<f64>,
}

impl Sustained {
    /// Reads the curve from a launch whose samples spread evenly over its runs; `None` if it has
    /// fewer than two samples a point.
    pub fn of(timed: &Timed) -> Option<Self> {
        let samples = &timed.samples_us;
        if samples.len() < 2 * POINTS {
            return None;
        }
        let seconds = timed.timed_us.max(samples.iter().sum()) / 1e6;
        // Each kept sample stands for all runs until the next.
        let scale = seconds / samples.iter().sum::<f64>();
        let mut curve = Vec::new();
        let mut passed_us = 0.0;
        for point in 0..POINTS {
            let [from, to] = [point, point + 1].map(|p| p * samples.len() / POINTS);
            let bin = &samples[from..to];
            let took: f64 = bin.iter().sum();
            curve.push([scale * (passed_us + took / 2.0), median(bin)?]);
            passed_us += took;
        }
        let tenth = samples.len() / 10;
        let begin = median(&samples[..tenth])?;
        let drop = median(&samples[samples.len() - tenth..])? / begin - 1.0;
        let slow = curve.iter().rev().take_while(|[_, us]| *us > THROTTLED * begin);
        let throttled_after_s = slow.last().map(|[seconds, _]| *seconds);
        Some(Sustained { seconds, curve, drop_percent: 100.0 * drop, throttled_after_s })
    }
}

impl Sustained {
    /// Latency at the end, µs: the middle of the last tenth of the curve, and between which ends it
    /// lies. `None` without a curve.
    pub fn end(&self) -> Option<(f64, [f64; 2])> {
        let last = &self.curve[self.curve.len() - self.curve.len() / 10..];
        let mut us: Vec<f64> = last.iter().map(|[_, us]| *us).collect();
        us.sort_by(f64::total_cmp);
        Some((median(&us)?, [*us.first()?, *us.last()?]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(us: impl Fn(usize) -> f64) -> Timed {
        let samples_us: Vec<f64> = (0..1200).map(us).collect();
        Timed {
            runtime_version: String::new(),
            threads: 1,
            inputs: Vec::new(),
            load_us: 0.0,
            first_us: 0.0,
            warmup_runs: 0,
            settled: true,
            runs: 1_200_000,
            // One of a thousand runs was kept.
            timed_us: 1000.0 * samples_us.iter().sum::<f64>(),
            samples_us,
            providers: None,
            before: Default::default(),
            after: Default::default(),
        }
    }

    #[test]
    fn a_device_that_keeps_its_speed_drops_by_nothing() {
        let steady = Sustained::of(&launch(|i| 100.0 + (i % 3) as f64)).unwrap();
        assert!(steady.drop_percent.abs() < 1e-9, "{}", steady.drop_percent);
        assert_eq!(steady.end(), Some((101.0, [101.0, 101.0])));
        assert_eq!((steady.throttled_after_s, steady.curve.len()), (None, POINTS));
        assert!((steady.seconds - 121.2).abs() < 1e-6, "{}", steady.seconds);
    }

    #[test]
    fn a_device_that_throttles_after_a_minute_is_seen_to() {
        let throttled = launch(|i| if i < 600 { 100.0 } else { 130.0 });
        let throttled = Sustained::of(&throttled).unwrap();
        assert!((throttled.drop_percent - 30.0).abs() < 1e-9, "{}", throttled.drop_percent);
        let after = throttled.throttled_after_s.unwrap();
        assert!((60.0..62.0).contains(&after), "{after}");
        assert!(throttled.curve.is_sorted_by(|a, b| a[0] < b[0]));
        assert_eq!(throttled.end(), Some((130.0, [130.0, 130.0])));
    }

    #[test]
    fn a_hiccup_is_no_throttling() {
        let hiccup = launch(|i| if (500..600).contains(&i) { 300.0 } else { 100.0 });
        assert_eq!(Sustained::of(&hiccup).unwrap().throttled_after_s, None);
    }

    #[test]
    fn a_few_samples_are_no_curve() {
        let mut few = launch(|_| 1.0);
        few.samples_us.truncate(2 * POINTS - 1);
        assert_eq!(Sustained::of(&few), None);
    }
}
