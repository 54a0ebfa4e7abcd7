//! Raw samples, and the figures read from them.
use serde::Deserialize;
use serde::Serialize;

use crate::agent::Facts;
use crate::agent::MemoryUse;
use crate::agent::OpTime;
use crate::agent::ProviderShare;
use crate::agent::Timed;
use crate::stats::Resampling;
use crate::stats::bootstrap_quantiles;
use crate::stats::harrell_davis;
use crate::stats::mad;
use crate::stats::median;
use crate::stats::quantile;
use crate::units::Bytes;
use crate::units::Micros;

use super::agreement::Agreement;
use super::gates::Gated;
use super::plan::Level;
use super::repeat::Noise;
use super::sustained::NoCurve;
use super::sustained::Sustained;

/// Fewest samples beyond a quantile at one of the ends, so that it is not the minimum or the maximum
/// under another name: 50 samples for the 10th percentile and the 90th, 100 for the 95th, 500 for the
/// 99th.
const SAMPLES_BEYOND: f64 = 5.0;

/// Share of the samples beyond it up to which a quantile is at one of the ends.
const END: f64 = 0.1;

/// Fewer samples have no ends, and a median that jumps from one of them to the next.
const FEW: usize = 50;

/// Grain of the kernel's memory counters, to which intervals are rounded outwards.
pub const MEMORY_GRAIN: u64 = 64 * 1024;

/// All that was observed of one model on one device with one runtime.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// What was measured.
    pub model: ModelFile,
    /// Address of the device.
    pub device: String,
    /// What the device said of itself.
    pub facts: Facts,
    /// Name of the runtime.
    pub runtime: String,
    /// Its version.
    pub runtime_version: String,
    /// Threads that were asked for; [`Timed::threads_used`] tells how many worked.
    pub threads: usize,
    /// Of the plan.
    pub level: Level,
    /// How often it was measured, this time included: all others were noisier.
    pub attempts: u32,
    /// What the gates saw; `None` if there were none.
    pub gates: Option<Gated>,
    /// How often a run began, if not right after the one before.
    pub paced_hz: Option<f64>,
    /// A further, long launch without a pause, if one was asked for.
    pub sustained: Option<Sustained>,
    /// Why there is no such thing, if it made too few runs.
    pub no_curve: Option<NoCurve>,
    /// Outputs against those of the host, if they were compared.
    pub agreement: Option<Agreement>,
    /// Why they could not be compared, if they should have been.
    pub not_compared: Option<String>,
    /// What each operation took, if that was asked for: in a launch of its own, and not for comparing
    /// models.
    pub per_op: Option<Vec<OpTime>>,
    /// How many times as long as usual the reference model took on the device, if that is out of
    /// the ordinary.
    pub slower: Option<f64>,
    /// Launches in their order.
    pub launches: Vec<Launch>,
    /// Memory of the model, a launch each.
    pub memory: Vec<MemoryUse>,
    /// Memory of the runtime with the tiny built-in model, a launch each.
    pub baseline: Vec<MemoryUse>,
    /// What was known of the device's noise before.
    pub noise: Noise,
}

/// An ONNX file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFile {
    /// Where it was.
    pub path: String,
    /// Hash of its bytes, hexadecimal.
    pub blake3: String,
    /// Its size.
    pub bytes: u64,
}

/// One fresh process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Launch {
    /// From starting the process to its answer, as the host saw it, µs.
    pub wall_us: f64,
    /// What it said.
    pub timed: Timed,
}

/// What memory a model costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MemoryCost {
    /// Most anonymous memory of a process that loads and runs the model; median over launches.
    pub peak: Bytes,
    /// The same with the tiny built-in model.
    pub baseline: Bytes,
    /// `peak − baseline`: the objective.
    pub cost: Bytes,
    /// Least and most `cost` over launches, rounded outwards to 64 KiB.
    pub cost_interval: [Bytes; 2],
    /// Growth by loading the model: weights as the runtime keeps them.
    pub weights: Option<Bytes>,
    /// Growth from there to the most while running: inputs, activations, outputs.
    pub activations: Option<Bytes>,
    /// Largest resident set of the process while it ran the model, pages of files included; `None`
    /// from an agent that does not say.
    pub process_peak: Option<Bytes>,
}

impl Launch {
    /// Runs that were timed, of which some were kept as samples.
    pub fn runs(&self) -> u64 {
        u64::from(self.timed.runs).max(self.timed.samples_us.len() as u64)
    }

    /// What the timed runs took together.
    pub fn timed(&self) -> Micros {
        Micros(self.timed.timed_us.max(self.timed.samples_us.iter().sum()))
    }
}

impl Measurement {
    /// Runs that were timed, over all launches.
    pub fn runs(&self) -> u64 {
        self.launches.iter().map(Launch::runs).sum()
    }

    /// What the timed runs took together, over all launches.
    pub fn timed(&self) -> Micros {
        Micros(self.launches.iter().map(|l| l.timed().0).sum())
    }

    /// Every sample, launch by launch, µs.
    pub fn samples(&self) -> Vec<f64> {
        self.launches.iter().flat_map(|l| l.timed.samples_us.iter().copied()).collect()
    }

    /// A quantile over all samples; `None` without samples, or if too few lie beyond it: the 10th
    /// percentile and the 90th need 50, the 95th 100, the 99th 500. Of fewer than 50 it is a weighted
    /// mean of them all ([`harrell_davis`]).
    pub fn quantile(&self, q: f64) -> Option<Micros> {
        let samples = self.samples();
        self.is_estimable(q).then_some(())?;
        match samples.len() < FEW {
            true => harrell_davis(&samples, q),
            false => quantile(&samples, q),
        }
        .map(Micros)
    }

    /// Do enough samples lie beyond the quantile? Minimum and maximum are what they are.
    fn is_estimable(&self, q: f64) -> bool {
        let share = q.min(1.0 - q);
        let is_end = share > 0.0 && share < END + 1e-9;
        // A little less for the rounding of `1 - q`.
        !is_end || self.samples().len() as f64 * share > SAMPLES_BEYOND - 1e-6
    }

    /// Who computes what: nodes and partitions of each execution provider, where the runtime has
    /// such things and tells.
    pub fn providers(&self) -> Option<&[ProviderShare]> {
        self.launches.first()?.timed.providers.as_deref()
    }

    /// The median: the latency, unless said otherwise.
    pub fn p50(&self) -> Option<Micros> {
        self.quantile(0.5)
    }

    /// 95 % interval of a quantile, from resampling launches and samples within; `None` where there is
    /// no [`quantile`](Self::quantile).
    pub fn interval(&self, q: f64) -> Option<[Micros; 2]> {
        self.intervals([q])[0]
    }

    /// The same of several quantiles, for the price of one.
    pub(super) fn intervals<const N: usize>(&self, qs: [f64; N]) -> [Option<[Micros; 2]>; N] {
        let launches: Vec<Vec<f64>> =
            self.launches.iter().map(|l| l.timed.samples_us.clone()).collect();
        let intervals = bootstrap_quantiles(&launches, qs, Resampling::default());
        std::array::from_fn(|i| {
            let interval = intervals.map(|intervals| intervals[i].map(Micros));
            interval.filter(|_| self.is_estimable(qs[i]))
        })
    }

    /// Median absolute deviation over all samples.
    pub fn mad(&self) -> Option<Micros> {
        mad(&self.samples()).map(Micros)
    }

    /// Median of each launch, µs; a launch without samples is left out.
    pub fn launch_medians(&self) -> Vec<f64> {
        self.launches.iter().filter_map(|l| median(&l.timed.samples_us)).collect()
    }

    /// From the file to a session that is ready, median over launches.
    pub fn load(&self) -> Option<Micros> {
        self.over_launches(|t| t.load_us)
    }

    /// The first run, median over launches.
    pub fn first(&self) -> Option<Micros> {
        self.over_launches(|t| t.first_us)
    }

    fn over_launches(&self, phase: impl Fn(&Timed) -> f64) -> Option<Micros> {
        let phases: Vec<f64> = self.launches.iter().map(|l| phase(&l.timed)).collect();
        median(&phases).map(Micros)
    }

    /// What memory the model costs; `None` where the kernel did not say.
    pub fn memory_cost(&self) -> Option<MemoryCost> {
        let baseline = middle(&self.baseline, |m| m.peak)?;
        let peak = middle(&self.memory, |m| m.peak)?;
        let costs = self.memory.iter().filter_map(|m| Some(m.peak?.saturating_sub(baseline)));
        let least = costs.clone().min()? / MEMORY_GRAIN * MEMORY_GRAIN;
        let most = costs.max()?.div_ceil(MEMORY_GRAIN) * MEMORY_GRAIN;
        let grown = |from: fn(&MemoryUse) -> Option<u64>, to: fn(&MemoryUse) -> Option<u64>| {
            let grown = middle(&self.memory, |m| Some(to(m)?.saturating_sub(from(m)?)))?;
            let runtime = middle(&self.baseline, |m| Some(to(m)?.saturating_sub(from(m)?)))?;
            Some(Bytes(grown.saturating_sub(runtime)))
        };
        Some(MemoryCost {
            peak: Bytes(peak),
            baseline: Bytes(baseline),
            cost: Bytes(peak.saturating_sub(baseline)),
            cost_interval: [Bytes(least), Bytes(most)],
            weights: grown(|m| m.before, |m| m.loaded),
            activations: grown(|m| m.loaded, |m| m.running),
            process_peak: middle(&self.memory, |m| m.process_peak).map(Bytes),
        })
    }
}

/// Middle value over launches, the lower of two.
fn middle(launches: &[MemoryUse], value: impl Fn(&MemoryUse) -> Option<u64>) -> Option<u64> {
    let mut values: Vec<u64> = launches.iter().filter_map(value).collect();
    values.sort_unstable();
    values.get(values.len().checked_sub(1)? / 2).copied()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::agent::Conditions;

    /// Ten launches of 50 samples that took two seconds together: `us(launch, sample)`.
    pub fn measurement(mut us: impl FnMut(usize, usize) -> f64) -> Measurement {
        let launch = |l: usize| Launch {
            wall_us: 1e4,
            timed: Timed {
                runtime_version: "1".into(),
                threads: 1,
                threads_used: None,
                inputs: Vec::new(),
                load_us: 1.0,
                first_us: 1.0,
                warmup_runs: 20,
                settled: true,
                samples_us: (0..50).map(|s| us(l, s)).collect(),
                runs: 2000,
                timed_us: 0.2e6,
                too_hot: None,
                providers: None,
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
            attempts: 1,
            gates: None,
            paced_hz: None,
            sustained: None,
            no_curve: None,
            agreement: None,
            not_compared: None,
            per_op: None,
            slower: None,
            launches: (0..10).map(launch).collect(),
            memory: Vec::new(),
            baseline: Vec::new(),
            noise: Noise::default(),
        }
    }

    #[test]
    fn an_agent_that_keeps_every_run_has_timed_what_it_kept() {
        let mut m = measurement(|_, _| 100.0);
        assert_eq!((m.runs(), m.timed()), (20_000, Micros(2e6)));
        for launch in &mut m.launches {
            (launch.timed.runs, launch.timed.timed_us) = (0, 0.0);
        }
        assert_eq!((m.runs(), m.timed()), (500, Micros(50_000.0)));
    }

    #[test]
    fn the_median_of_few_samples_weighs_them_all() {
        let m = |samples| {
            let mut m = measurement(|_, s| if s == 0 { 101.0 } else { 100.0 });
            m.launches.truncate(1);
            m.launches[0].timed.samples_us.truncate(samples);
            m
        };
        let few = m(5).p50().unwrap().0;
        assert!(few > 100.01 && few < 100.1, "{few}");
        assert_eq!(m(50).p50(), Some(Micros(100.0)));
    }
}
