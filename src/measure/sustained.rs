//! How fast a device still is after minutes without a pause.
use serde::Deserialize;
use serde::Serialize;

use crate::agent::Timed;
use crate::stats::median;

use super::error::MeasureError;
use super::gates::Gated;
use super::gates::Gates;
use super::gates::Stopped;
use super::measurement::Measurement;

/// Points of the curve.
const POINTS: usize = 60;

/// Fewest samples of a curve: two a point.
const LEAST: usize = 2 * POINTS;

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

/// A long launch of too few runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoCurve {
    /// How many there were.
    pub runs: u64,
    /// What they took together, s.
    pub seconds: f64,
    /// How many a curve needs.
    pub least: u64,
}

impl Sustained {
    /// Reads the curve from a launch whose samples spread evenly over its runs.
    ///
    /// # Errors
    ///
    /// [`NoCurve`] if it has fewer than two samples a point.
    pub fn of(timed: &Timed) -> Result<Self, NoCurve> {
        let samples = &timed.samples_us;
        let seconds = timed.timed_us.max(samples.iter().sum()) / 1e6;
        if samples.len() < LEAST {
            let runs = u64::from(timed.runs).max(samples.len() as u64);
            return Err(NoCurve { runs, seconds, least: LEAST as u64 });
        }
        Ok(Self::from_enough(samples, seconds).expect("no part of so many samples is empty"))
    }

    fn from_enough(samples: &[f64], seconds: f64) -> Option<Self> {
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

impl Measurement {
    /// Takes a long launch into account, and whether the device became too hot in it.
    pub(super) fn take_long(&mut self, long: &Timed, gates: &Gates) {
        let mut gated = Gated::default();
        let too_hot = long.too_hot.clone().zip(gates.abort_c);
        let stopped = too_hot.map(|(heat, limit_c)| Stopped { heat, limit_c, after_s: None });
        let stopped = stopped.or_else(|| gates.stopped(&long.after, &mut gated));
        let is_too_hot = stopped.is_some();
        if let (Some(stopped), Some(gated)) = (stopped, &mut self.gates) {
            let after_s = Some(long.timed_us / 1e6);
            gated.stopped = Some(Stopped { after_s, ..stopped });
        }
        match Sustained::of(long) {
            Ok(sustained) => self.sustained = Some(sustained),
            Err(few) => self.no_curve = Some(few).filter(|_| !is_too_hot),
        }
    }

    /// Is there a latency without a pause?
    ///
    /// # Errors
    ///
    /// [`MeasureError::Overheated`] if the device became too hot before it could be seen, and
    /// [`MeasureError::NoCurve`].
    pub fn ensure_sustained(&self) -> Result<(), MeasureError> {
        if let Some(Stopped { heat, limit_c, .. }) =
            self.gates.as_ref().and_then(|gated| gated.stopped.clone())
        {
            return Err(MeasureError::Overheated {
                model: self.model.path.clone(),
                device: self.device.clone(),
                heat,
                limit_c,
            });
        }
        match self.no_curve.clone() {
            Some(few) => Err(MeasureError::NoCurve { model: self.model.path.clone(), few }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Heat;
    use crate::measure::Verdict;
    use crate::measure::measurement::tests::measurement;

    fn launch(us: impl Fn(usize) -> f64) -> Timed {
        let samples_us: Vec<f64> = (0..1200).map(us).collect();
        Timed {
            runtime_version: String::new(),
            threads: 1,
            threads_used: None,
            inputs: Vec::new(),
            load_us: 0.0,
            first_us: 0.0,
            warmup_runs: 0,
            settled: true,
            runs: 1_200_000,
            // One of a thousand runs was kept.
            timed_us: 1000.0 * samples_us.iter().sum::<f64>(),
            samples_us,
            too_hot: None,
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
        few.samples_us.truncate(LEAST - 1);
        (few.runs, few.timed_us) = (119, 30e6);
        let expected = NoCurve { runs: 119, seconds: 30.0, least: 120 };
        assert_eq!(Sustained::of(&few), Err(expected.clone()));
        let mut m = measurement(|_, _| 100.0);
        m.take_long(&few, &Gates::default());
        let error = m.ensure_sustained().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`m.onnx` made 119 runs in 30 s without a pause, a latency after so long needs 120"
        );
        assert!(!error.may_pass() && !error.concerns_every_model(), "it is this model's");
        let told = "119 runs in 30 s without a pause are too few for a curve: 120 are needed";
        assert_eq!(m.verdict(), (Verdict::Stable, vec![told.to_owned()]));
        assert!(Measurement::from_json(&m.to_json()).unwrap() == m);
    }

    #[test]
    fn a_device_that_became_too_hot_is_no_result_of_the_model() {
        let mut hot = launch(|_| 100.0);
        hot.too_hot = Some(Heat { zone: "cpu".into(), celsius: 85.0 });
        let gates = Gates { abort_c: Some(80.0), ..Gates::default() };
        let mut m = measurement(|_, _| 100.0);
        m.gates = Some(Gated::default());
        assert!(m.ensure_sustained().is_ok());
        m.take_long(&hot, &gates);
        let (verdict, reasons) = m.verdict();
        let reason =
            "`cpu` has 85.0 °C, 80 are allowed: the launch without a pause ended after 120 s";
        assert_eq!((verdict, reasons[0].as_str()), (Verdict::Throttled, reason));
        let error = m.ensure_sustained().unwrap_err();
        assert_eq!(
            error.to_string(),
            "fake became too hot to run `m.onnx` without a pause: `cpu` has 85.0 °C, 80 are allowed"
        );
        assert!(error.may_pass() && error.hint().is_some() && !error.is_the_models_fault());
        let third = error.overheats(3);
        assert!(!third.may_pass() && third.is_the_models_fault(), "{third}");
        assert!(third.to_string().starts_with("fake became too hot 3 times"), "{third}");
    }

    /// An agent that does not look, or has not looked since.
    #[test]
    fn a_device_that_is_too_hot_at_the_end_was_too_hot() {
        let mut hot = launch(|_| 100.0);
        hot.after.temperatures_c = Some(vec![("cpu".into(), 85.0)]);
        let mut m = measurement(|_, _| 100.0);
        m.gates = Some(Gated::default());
        m.take_long(&hot, &Gates { abort_c: Some(80.0), ..Gates::default() });
        assert!(m.ensure_sustained().is_err());
        m.gates = Some(Gated::default());
        m.take_long(&hot, &Gates { abort_c: Some(90.0), ..Gates::default() });
        assert!(m.ensure_sustained().is_ok());
    }
}
