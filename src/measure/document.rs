//! `citronade.measurement.v1`: what `measure --json` prints and the store keeps.
//!
//! The raw part is read back; the figures are for people and scripts, and computed anew.
use serde::Deserialize;
use serde::Serialize;

use crate::agent::Conditions;
use crate::agent::Facts;
use crate::agent::MemoryUse;
use crate::agent::OpTime;
use crate::agent::ProviderShare;
use crate::units::Micros;

use super::agreement::Agreement;
use super::gates::Gated;
use super::measurement::Launch;
use super::measurement::Measurement;
use super::measurement::MemoryCost;
use super::measurement::ModelFile;
use super::plan::Level;
use super::repeat::Noise;
use super::sustained::NoCurve;
use super::sustained::Sustained;
use super::verdict::Verdict;

/// Name and version of the format.
pub const SCHEMA: &str = "citronade.measurement.v1";

/// What numbers of 32 bits are computed in: no runtime is asked for less. Part of a measurement's key, as
/// runtime, version, provider and threads are.
const PRECISION: &str = "f32";

/// A measurement and the figures read from it, each computed once.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    schema: &'static str,
    model: &'a ModelFile,
    device: &'a str,
    runtime: &'a str,
    runtime_version: &'a str,
    threads: usize,
    precision: &'static str,
    level: Level,
    attempts: u32,
    /// Whether to trust it.
    pub verdict: Verdict,
    reasons: Vec<String>,
    load_us: Option<Micros>,
    first_us: Option<Micros>,
    /// Of a run.
    pub latency_us: Latency,
    /// What memory the model costs.
    pub memory_bytes: Option<MemoryCost>,
    conditions: Around<'a>,
    gates: Option<&'a Gated>,
    paced_hz: Option<f64>,
    sustained: Option<&'a Sustained>,
    no_curve: Option<&'a NoCurve>,
    outputs: Option<&'a Agreement>,
    outputs_not_compared: Option<&'a str>,
    providers: Option<&'a [ProviderShare]>,
    per_op: Option<&'a [OpTime]>,
    reference_slower: Option<f64>,
    facts: &'a Facts,
    noise: Noise,
    launches: Vec<Launch>,
    memory_launches: &'a [MemoryUse],
    baseline_launches: &'a [MemoryUse],
    samples_us: Vec<&'a [f64]>,
}

/// Quantiles of the runs' times.
#[derive(Debug, Serialize)]
pub struct Latency {
    n: usize,
    launches: usize,
    runs: u64,
    timed_us: Micros,
    outliers: usize,
    outliers_at: Vec<Vec<usize>>,
    launch_deviation: Option<f64>,
    within_deviation: Option<f64>,
    min: Option<Micros>,
    p10: Option<Micros>,
    /// The median.
    pub p50: Option<Micros>,
    p90: Option<Micros>,
    p95: Option<Micros>,
    p99: Option<Micros>,
    max: Option<Micros>,
    mad: Option<Micros>,
    /// 95 % interval of the median.
    pub p50_interval: Option<[Micros; 2]>,
    p90_interval: Option<[Micros; 2]>,
    p50_repeat_interval: Option<[Micros; 2]>,
}

#[derive(Debug, Serialize)]
struct Around<'a> {
    before: Option<&'a Conditions>,
    after: Option<&'a Conditions>,
}

#[derive(Deserialize)]
struct Read {
    schema: String,
    model: ModelFile,
    device: String,
    runtime: String,
    runtime_version: String,
    threads: usize,
    level: Level,
    #[serde(default = "once")]
    attempts: u32,
    #[serde(default)]
    gates: Option<Gated>,
    #[serde(default)]
    paced_hz: Option<f64>,
    #[serde(default)]
    sustained: Option<Sustained>,
    #[serde(default)]
    no_curve: Option<NoCurve>,
    #[serde(default)]
    outputs: Option<Agreement>,
    #[serde(default)]
    outputs_not_compared: Option<String>,
    #[serde(default)]
    per_op: Option<Vec<OpTime>>,
    #[serde(default)]
    reference_slower: Option<f64>,
    facts: Facts,
    noise: Noise,
    launches: Vec<Launch>,
    memory_launches: Vec<MemoryUse>,
    baseline_launches: Vec<MemoryUse>,
    samples_us: Vec<Vec<f64>>,
}

/// Attempts of a measurement from before they were counted.
fn once() -> u32 {
    1
}

/// A text that is not a measurement.
#[derive(Debug, thiserror::Error)]
pub enum ReadMeasurementError {
    /// Not JSON, or a field is missing or of another type.
    #[error("this is not a measurement")]
    Json(#[from] serde_json::Error),

    /// Of another kind or version.
    #[error("`{0}` is not `{SCHEMA}`")]
    Schema(String),

    /// Launches and samples do not belong together.
    #[error("{launches} launches have {samples} lists of samples")]
    Launches {
        /// How many launches.
        launches: usize,
        /// How many lists.
        samples: usize,
    },
}

impl Document<'_> {
    /// One `citronade.measurement.v1` object.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("numbers and texts can be written as JSON")
    }
}

impl Measurement {
    /// One `citronade.measurement.v1` object.
    pub fn to_json(&self) -> String {
        self.document().to_json()
    }

    /// All figures. Costs a bootstrap.
    pub fn document(&self) -> Document<'_> {
        let (verdict, reasons) = self.verdict();
        Document {
            schema: SCHEMA,
            model: &self.model,
            device: &self.device,
            runtime: &self.runtime,
            runtime_version: &self.runtime_version,
            threads: self.threads,
            precision: PRECISION,
            level: self.level,
            attempts: self.attempts,
            verdict,
            reasons,
            load_us: self.load(),
            first_us: self.first(),
            latency_us: latency(self),
            memory_bytes: self.memory_cost(),
            conditions: Around {
                before: self.launches.first().map(|l| &l.timed.before),
                after: self.launches.last().map(|l| &l.timed.after),
            },
            gates: self.gates.as_ref(),
            paced_hz: self.paced_hz,
            sustained: self.sustained.as_ref(),
            no_curve: self.no_curve.as_ref(),
            outputs: self.agreement.as_ref(),
            outputs_not_compared: self.not_compared.as_deref(),
            providers: self.providers(),
            per_op: self.per_op.as_deref(),
            reference_slower: self.slower,
            facts: &self.facts,
            noise: self.noise,
            launches: self.launches.iter().map(without_samples).collect(),
            memory_launches: &self.memory,
            baseline_launches: &self.baseline,
            samples_us: self.launches.iter().map(|l| l.timed.samples_us.as_slice()).collect(),
        }
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    ///
    /// [`ReadMeasurementError`].
    pub fn from_json(text: &str) -> Result<Self, ReadMeasurementError> {
        let read: Read = serde_json::from_str(text)?;
        if read.schema != SCHEMA {
            return Err(ReadMeasurementError::Schema(read.schema));
        }
        let (launches, samples) = (read.launches.len(), read.samples_us.len());
        if launches != samples {
            return Err(ReadMeasurementError::Launches { launches, samples });
        }
        Ok(Measurement {
            model: read.model,
            device: read.device,
            facts: read.facts,
            runtime: read.runtime,
            runtime_version: read.runtime_version,
            threads: read.threads,
            level: read.level,
            attempts: read.attempts,
            gates: read.gates,
            paced_hz: read.paced_hz,
            sustained: read.sustained,
            no_curve: read.no_curve,
            agreement: read.outputs,
            not_compared: read.outputs_not_compared,
            per_op: read.per_op,
            slower: read.reference_slower,
            launches: read.launches.into_iter().zip(read.samples_us).map(with_samples).collect(),
            memory: read.memory_launches,
            baseline: read.baseline_launches,
            noise: read.noise,
        })
    }
}

fn latency(m: &Measurement) -> Latency {
    let [p50_interval, p90_interval] = m.intervals([0.5, 0.9]);
    Latency {
        n: m.samples().len(),
        launches: m.launches.len(),
        runs: m.runs(),
        timed_us: m.timed(),
        outliers: m.outliers(),
        outliers_at: m.outliers_at(),
        launch_deviation: m.launch_deviation(),
        within_deviation: m.within_deviation(),
        min: m.quantile(0.0),
        p10: m.quantile(0.1),
        p50: m.p50(),
        p90: m.quantile(0.9),
        p95: m.quantile(0.95),
        p99: m.quantile(0.99),
        max: m.quantile(1.0),
        mad: m.mad(),
        p50_interval,
        p90_interval,
        p50_repeat_interval: m.prediction_interval(),
    }
}

/// The samples of all launches stand together at the end of the object.
fn without_samples(launch: &Launch) -> Launch {
    let mut launch = launch.clone();
    launch.timed.samples_us.clear();
    launch
}

fn with_samples((mut launch, samples_us): (Launch, Vec<f64>)) -> Launch {
    launch.timed.samples_us = samples_us;
    launch
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As it was written before runs, attempts and gates were: never edited.
    const WITHOUT_RUNS: &str = r#"{"schema":"citronade.measurement.v1","model":{"path":"/m.onnx","blake3":"00ff","bytes":9},"device":"local","runtime":"tract","runtime_version":"0.23.9","threads":1,"level":"screen","verdict":"stable","reasons":[],"load_us":2300.0,"first_us":410.0,"latency_us":{"n":3,"launches":1,"min":142.5,"p10":142.6,"p50":143.0,"p90":143.16,"p95":null,"p99":null,"max":143.25,"mad":0.25,"p50_interval":[142.5,143.25],"p90_interval":[142.5,143.25],"p50_repeat_interval":[130.0,157.0]},"memory_bytes":null,"conditions":{"before":null,"after":null},"per_op":null,"facts":{"host":"pi5","arch":"aarch64","os":null,"kernel":null,"cpu":null,"cores":4,"memory_bytes":null,"virtual_machine":null},"noise":{"launches":0.01,"repeats":0.015,"measurements":0,"repeated":0},"launches":[{"wall_us":99000.0,"timed":{"runtime_version":"0.23.9","threads":1,"inputs":[],"load_us":2300.0,"first_us":410.0,"warmup_runs":20,"settled":true,"before":{"clocks_mhz":null,"governor":null,"temperatures_c":null,"load":null,"available_bytes":null,"cpu_pressure_percent":null,"ticks":null,"own":null},"after":{"clocks_mhz":null,"governor":null,"temperatures_c":null,"load":null,"available_bytes":null,"cpu_pressure_percent":null,"ticks":null,"own":null}}}],"memory_launches":[],"baseline_launches":[],"samples_us":[[143.0,142.5,143.25]]}"#;

    #[test]
    fn a_measurement_from_before_runs_were_counted_is_judged_by_its_samples() {
        let m = Measurement::from_json(WITHOUT_RUNS).unwrap();
        assert_eq!((m.attempts, m.runs(), m.timed()), (1, 3, Micros(428.75)));
        let p50 = m.p50().unwrap().0;
        assert!(m.gates.is_none() && (142.5..143.25).contains(&p50), "{p50}");
        let (verdict, reasons) = m.verdict();
        assert_eq!((verdict, reasons.len()), (Verdict::TooFew, 3), "{reasons:?}");
        assert_eq!(Measurement::from_json(&m.to_json()).unwrap(), m);
    }
}
