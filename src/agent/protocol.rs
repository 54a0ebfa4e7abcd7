//! What host and agent say to each other.
//!
//! A line holds one object. Fields are added, never renamed or removed; golden lines of every
//! version are kept in the tests. No line is longer than [`MAX_LINE`].
use std::path::Path;

use serde::Deserialize;
use serde::Serialize;

use super::conditions::Conditions;
use super::conditions::Facts;
use super::heat::Heat;
use super::heat::HeatLimit;
use super::inputs::Fill;
use super::inputs::InputSpec;
use super::inputs::TensorData;

/// Newest version of the protocol that this program speaks.
///
/// A request carries the first version that has its task, so that an agent one version older serves
/// every task it knows; an agent serves all versions up to its own.
pub const PROTOCOL: u32 = 2;

/// Execution providers that ONNX Runtime may be asked for, as `ort:PROVIDER`.
pub const PROVIDERS: [&str; 7] = ["cpu", "xnnpack", "nnapi", "qnn", "coreml", "cuda", "tensorrt"];

/// Longest line either side accepts, in bytes.
pub const MAX_LINE: usize = 1 << 20;

/// What the host asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// That of [`Task::since`].
    pub protocol: u32,
    /// Repeated in the answer.
    pub id: u64,
    /// What to do.
    pub task: Task,
    /// How long the host will wait for the answer, µs; 0 from one that does not say.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub deadline_us: f64,
}

/// What the agent can do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Say who you are.
    Hello,
    /// Load a model and time it.
    Time(TimeRequest),
    /// Load a model and see what memory it takes.
    Memory(MemoryRequest),
    /// Load a model, run it once, return its outputs.
    Run(RunRequest),
    /// Load a model and time each of its operations.
    PerOp(PerOpRequest),
    /// Take the device for yourself, or renew that; it ends with this process, at the latest.
    Hold(HoldRequest),
}

impl Task {
    /// First version of the protocol that has it.
    pub fn since(&self) -> u32 {
        match self {
            Task::Time(request) if request.sampling.pace_us > 0.0 => 2,
            Task::Hello | Task::Time(_) | Task::Memory(_) | Task::Run(_) => 1,
            Task::PerOp(_) | Task::Hold(_) => 2,
        }
    }
}

/// What a task wants of a model, and of the process that loads it.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// Its file; `None` for the tiny built-in one.
    pub model: Option<&'a Path>,
    /// Name of the runtime.
    pub runtime: &'a str,
    /// The runtime's library, if it is loaded from a file.
    pub library: Option<&'a Path>,
    /// Threads the runtime shall use.
    pub threads: usize,
    /// Is each operation to be timed?
    pub is_per_op: bool,
}

impl Task {
    /// What it wants of a model, if there is one to load.
    pub fn job(&self) -> Option<Job<'_>> {
        let (model, runtime, library, threads) = match self {
            Task::Time(r) => (Some(&r.model), &r.runtime, &r.library, r.threads),
            Task::Memory(r) => (r.model.as_ref(), &r.runtime, &r.library, r.threads),
            Task::Run(r) => (Some(&r.model), &r.runtime, &r.library, r.threads),
            Task::PerOp(r) => (Some(&r.model), &r.runtime, &r.library, r.threads),
            Task::Hello | Task::Hold(_) => return None,
        };
        Some(Job {
            model: model.map(Path::new),
            runtime,
            library: library.as_deref().map(Path::new),
            threads,
            is_per_op: matches!(self, Task::PerOp(_)),
        })
    }
}

impl Job<'_> {
    /// Does the runtime speak to a driver, through devices and helpers that only it knows?
    pub fn needs_drivers(&self) -> bool {
        let provider = self.runtime.split_once(':').map_or("cpu", |(_, provider)| provider);
        !["cpu", "xnnpack"].contains(&provider)
    }

    /// Does the runtime write a file? ONNX Runtime writes its profile.
    pub fn writes(&self) -> bool {
        self.is_per_op && self.runtime.starts_with("ort")
    }

    /// Processor time that all its threads can take within the deadline, and a second for the rest
    /// of the process; `None` if there is no deadline.
    pub fn processor_seconds(&self, deadline_us: f64) -> Option<u64> {
        let seconds = deadline_us / 1e6 * self.threads.max(1) as f64;
        (seconds > 0.0).then(|| seconds.ceil() as u64 + 1)
    }
}

/// Load a model and time each of its operations, as the runtime has merged them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PerOpRequest {
    /// Path of the ONNX file on the device.
    pub model: String,
    /// Name of the runtime.
    pub runtime: String,
    /// The runtime's library, if it is loaded from a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub library: Option<String>,
    /// Threads the runtime shall use.
    pub threads: usize,
    /// Runs that count; as many before them do not.
    pub runs: u32,
}

/// What an operation took, and who computed it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpTime {
    /// As the runtime calls the node.
    pub name: String,
    /// What it computes, e.g. `Conv`.
    pub op: String,
    /// The execution provider, where the runtime has such things.
    #[serde(default)]
    pub provider: Option<String>,
    /// Median over runs, µs.
    pub us: f64,
}

/// Take the lock of the device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HoldRequest {
    /// Folder of the lock, which all who measure on the device share.
    pub folder: String,
    /// Who asks, for those who find it taken.
    pub owner: String,
    /// How long to wait while somebody else has it, µs.
    pub wait_us: f64,
    /// After how long it ends unless it is renewed, µs.
    pub lease_us: f64,
}

/// Load a model, warm up, take samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimeRequest {
    /// Path of the ONNX file on the device.
    pub model: String,
    /// Name of the runtime, e.g. `tract`.
    pub runtime: String,
    /// The runtime's library, if it is loaded from a file; as [`RuntimeFacts::library`] gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub library: Option<String>,
    /// Threads the runtime shall use.
    pub threads: usize,
    /// How to warm up.
    pub warmup: Warmup,
    /// How many samples to take.
    pub sampling: Sampling,
    /// When to end before they are all taken; an agent that does not know this takes all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heat_limit: Option<HeatLimit>,
}

/// Runs before the first sample: at least `min_runs`, then until the median of the last ten is
/// within `tolerance` of that of the ten before, `max_runs` are done or `max_us` have passed.
///
/// `max_us` holds even before `min_runs` are done, so that a slow model is not warmed up for
/// minutes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Warmup {
    /// Runs that are made if there is time.
    pub min_runs: u32,
    /// Runs after which to give up settling.
    pub max_runs: u32,
    /// Relative difference of medians, e.g. 0.02.
    pub tolerance: f64,
    /// Budget, µs.
    pub max_us: f64,
}

/// Runs to time: `min` in any case; then until `max_us` have passed, or `enough` runs are made and
/// `min_us` have passed.
///
/// At most `max` of them are kept as samples: of more, every second, every fourth, …, so that what
/// is kept always spreads evenly over all of them. An agent that does not know `enough` and `min_us`
/// stops at `max`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// Least number of runs.
    pub min: u32,
    /// Most samples to keep; 20 000 at most, so that the answer fits a line.
    pub max: u32,
    /// Budget, µs.
    pub max_us: f64,
    /// Runs that are wanted within the budget; 0 for `max`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub enough: u32,
    /// Time in runs that is wanted within the budget, µs.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub min_us: f64,
    /// Time from the beginning of a run to that of the next, µs, if the run is not longer; 0 for
    /// none after another.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub pace_us: f64,
}

/// Load a model, run it a few times, read the memory of this process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryRequest {
    /// Path of the ONNX file on the device; `None` for the tiny built-in model, whose memory is
    /// the runtime's own.
    pub model: Option<String>,
    /// Name of the runtime.
    pub runtime: String,
    /// The runtime's library, if it is loaded from a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub library: Option<String>,
    /// Threads the runtime shall use.
    pub threads: usize,
    /// Runs after loading.
    pub runs: u32,
}

/// Load a model and run it once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRequest {
    /// Path of the ONNX file on the device.
    pub model: String,
    /// Name of the runtime.
    pub runtime: String,
    /// The runtime's library, if it is loaded from a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub library: Option<String>,
    /// Threads the runtime shall use.
    pub threads: usize,
    /// What to run it on.
    pub fill: Fill,
}

/// What the agent says, one a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// That of the request; the agent's own if the request could not be read.
    pub protocol: u32,
    /// That of the request; 0 if the request could not be read.
    pub id: u64,
    /// The answer.
    pub answer: Answer,
}

/// The answer to a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// To [`Task::Hello`].
    Hello(Box<Hello>),
    /// To [`Task::Time`].
    Timed(Box<Timed>),
    /// To [`Task::Memory`].
    Memory(MemoryUse),
    /// To [`Task::Run`].
    Outputs(Outputs),
    /// To [`Task::PerOp`]: the slowest first, a thousand at most.
    PerOp(Vec<OpTime>),
    /// To [`Task::Hold`]: it is yours.
    Held,
    /// To [`Task::Hold`]: somebody else has it.
    Busy {
        /// As they said it.
        owner: String,
    },
    /// To any task that could not be done; the agent stays alive.
    Refused {
        /// Whose fault it is.
        kind: Refusal,
        /// For a person, e.g. `unknown operator "FooBar"`.
        reason: String,
    },
}

/// Whose fault a refusal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The request could not be understood, or is of another protocol.
    Request,
    /// The runtime is not known or not installed on this device.
    Runtime,
    /// The model cannot be read, loaded or run; trying again does not help.
    Model,
}

/// Who the agent is and what its device has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// Version of citronade.
    pub version: String,
    /// Every runtime the agent knows, the ready ones first in the order of preference.
    pub runtimes: Vec<RuntimeFacts>,
    /// The machine.
    pub facts: Facts,
    /// Its state now.
    pub conditions: Conditions,
    /// Memory a model may take before it is refused; `None` if there is no limit.
    pub memory_limit_bytes: Option<u64>,
}

/// What is known of a runtime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeFacts {
    /// As requests name it.
    pub name: String,
    /// Its version; `None` if it is not ready.
    pub version: Option<String>,
    /// File it was loaded from, to be repeated in requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub library: Option<String>,
    /// Its execution providers, for the name `RUNTIME:PROVIDER`; empty if it has no such thing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<String>,
    /// Why it is not ready, with a way out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

/// Everything one launch has to say of a model's latency.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timed {
    /// Version of the runtime.
    pub runtime_version: String,
    /// Threads that a run may use.
    pub threads: usize,
    /// Threads that worked while runs were timed; `None` where the kernel does not say.
    #[serde(default)]
    pub threads_used: Option<usize>,
    /// Inputs the model was run on.
    pub inputs: Vec<InputSpec>,
    /// From the file to a session that is ready to run, µs.
    pub load_us: f64,
    /// The first run, µs.
    pub first_us: f64,
    /// Warm-up runs after the first.
    pub warmup_runs: u32,
    /// Did the warm-up settle?
    pub settled: bool,
    /// One latency a run, in the order of the runs, µs; left out if there is none. Of many runs
    /// every second, every fourth, … is kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples_us: Vec<f64>,
    /// Runs that were timed; 0 from an agent that keeps every one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub runs: u32,
    /// What they took together, µs; 0 from an agent that keeps every one.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub timed_us: f64,
    /// What became too hot amid the runs, which then ended.
    #[serde(default)]
    pub too_hot: Option<Heat>,
    /// Who computes what, as ONNX Runtime tells it.
    #[serde(default)]
    pub providers: Option<Vec<ProviderShare>>,
    /// Right before the first sample.
    pub before: Conditions,
    /// Right after the last.
    pub after: Conditions,
}

/// Memory of the agent's process around one model, in bytes; `None` where the kernel does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryUse {
    /// Anonymous memory before the model was touched.
    pub before: Option<u64>,
    /// Anonymous memory when it was loaded.
    pub loaded: Option<u64>,
    /// Most anonymous memory at any moment from there on, loading included.
    pub peak: Option<u64>,
    /// Most anonymous memory while it ran.
    pub running: Option<u64>,
    /// Largest resident set of the process while it ran, pages of files included: what the system
    /// tells of it when it has ended (`/usr/bin/time -v`).
    #[serde(default)]
    pub process_peak: Option<u64>,
}

/// What a model computed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outputs {
    /// Inputs it was run on.
    pub inputs: Vec<InputSpec>,
    /// One tensor an output, in the model's order.
    pub tensors: Vec<TensorData>,
    /// What was left out of each tensor; empty if nothing was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thinned: Vec<Thinned>,
}

/// A tensor too long for a line: of its values every so many-th is there, and the last. What is
/// finite among all of them is told in three numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Thinned {
    /// From one value that was kept to the next.
    pub stride: usize,
    /// The least.
    pub least: Option<f64>,
    /// The most.
    pub most: Option<f64>,
    /// The mean.
    pub mean: Option<f64>,
    /// How many are not finite.
    pub not_finite: usize,
}

/// What an execution provider of ONNX Runtime has to do for a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderShare {
    /// As ONNX Runtime calls it, e.g. `XnnpackExecutionProvider`.
    pub name: String,
    /// Nodes of the graph that it computes.
    pub nodes: u64,
    /// Pieces in which it was given them.
    pub partitions: u64,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

fn is_nothing(us: &f64) -> bool {
    *us == 0.0
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use serde::Serialize;
    use serde::de::DeserializeOwned;
    use serde_json::Value;

    use super::*;

    /// Lines of version 1 are never edited, only added: hosts and agents of other releases send
    /// them. What is unknown may be left out, or be null.
    #[track_caller]
    fn check_golden<T: DeserializeOwned + Serialize + Debug>(golden: &str) -> T {
        let value: T = serde_json::from_str(golden).unwrap();
        let told = serde_json::to_value(&value).unwrap();
        assert_eq!(without_nulls(told), without_nulls(serde_json::from_str(golden).unwrap()));
        value
    }

    fn without_nulls(value: Value) -> Value {
        match value {
            Value::Object(object) => {
                let known = object.into_iter().filter(|(_, value)| !value.is_null());
                known.map(|(key, value)| (key, without_nulls(value))).collect()
            }
            Value::Array(values) => values.into_iter().map(without_nulls).collect(),
            other => other,
        }
    }

    #[test]
    fn requests_of_version_1_still_parse() {
        let hello: Request = check_golden(r#"{"protocol":1,"id":1,"task":"hello"}"#);
        assert_eq!((hello.protocol, hello.task.since()), (1, 1));
        check_golden::<Request>(
            r#"{"protocol":1,"id":2,"task":{"time":{"model":"/data/local/tmp/m.onnx","runtime":"tract","threads":1,"warmup":{"min_runs":20,"max_runs":200,"tolerance":0.02,"max_us":40000.0},"sampling":{"min":5,"max":100,"max_us":40000.0}}}}"#,
        );
        check_golden::<Request>(
            r#"{"protocol":1,"id":3,"task":{"memory":{"model":null,"runtime":"ort","library":"/lib/libonnxruntime.so","threads":4,"runs":3}}}"#,
        );
        check_golden::<Request>(
            r#"{"protocol":1,"id":4,"task":{"run":{"model":"m.onnx","runtime":"tract","threads":1,"fill":{"given":[{"name":"x","element":"f32","shape":[2],"values":[0.5,null]}]}}}}"#,
        );
        check_golden::<Request>(
            r#"{"protocol":1,"id":5,"task":{"run":{"model":"m.onnx","runtime":"tract","threads":1,"fill":"ramp"}}}"#,
        );
        check_golden::<Request>(
            r#"{"protocol":1,"id":6,"task":{"time":{"model":"m.onnx","runtime":"tract","threads":1,"warmup":{"min_runs":20,"max_runs":200,"tolerance":0.02,"max_us":500000.0},"sampling":{"min":3,"max":500,"max_us":6000000.0,"enough":52,"min_us":3000000.0}}}}"#,
        );
    }

    #[test]
    fn answers_of_version_1_still_parse() {
        check_golden::<Reply>(
            r#"{"protocol":1,"id":2,"answer":{"timed":{"runtime_version":"0.23.9","threads":1,"inputs":[{"name":"x","element":"u8","shape":[1,3,8,8]}],"load_us":2300.0,"first_us":410.0,"warmup_runs":20,"settled":true,"samples_us":[143.0,142.5],"before":{"clocks_mhz":[1800.0],"governor":"performance","temperatures_c":[["cpu-thermal",41.5]],"load":0.1,"available_bytes":900000000,"cpu_pressure_percent":0.0,"ticks":{"busy":10,"idle":90,"steal":0},"own":{"ticks":3,"preempted":0}},"after":{"clocks_mhz":null,"governor":null,"temperatures_c":null,"load":null,"available_bytes":null,"cpu_pressure_percent":null,"ticks":null,"own":null}}}}"#,
        );
        check_golden::<Reply>(
            r#"{"protocol":1,"id":2,"answer":{"timed":{"runtime_version":"0.23.9","threads":1,"inputs":[],"load_us":2300.0,"first_us":410.0,"warmup_runs":20,"settled":true,"samples_us":[143.0,142.5],"runs":4,"timed_us":571.25,"before":{"clocks_mhz":null,"governor":null,"temperatures_c":null,"load":null,"available_bytes":null,"cpu_pressure_percent":null,"ticks":null,"own":null},"after":{"clocks_mhz":null,"governor":null,"temperatures_c":[["cpu-thermal",41.5]],"load":null,"available_bytes":null,"cpu_pressure_percent":null,"ticks":null,"own":null,"battery":{"percent":81.0,"charging":false,"celsius":null}}}}}"#,
        );
        check_golden::<Reply>(
            r#"{"protocol":1,"id":3,"answer":{"memory":{"before":1000000,"loaded":1100000,"peak":1300000,"running":null}}}"#,
        );
        check_golden::<Reply>(
            r#"{"protocol":1,"id":3,"answer":{"memory":{"before":1000000,"loaded":1100000,"peak":1300000,"running":1300000,"process_peak":21300000}}}"#,
        );
        check_golden::<Reply>(
            r#"{"protocol":1,"id":0,"answer":{"refused":{"kind":"request","reason":"protocol 9 is not 1"}}}"#,
        );
        check_golden::<Reply>(
            r#"{"protocol":1,"id":1,"answer":{"hello":{"version":"0.1.0","runtimes":[{"name":"tract","version":"0.23.9"},{"name":"ort","version":null,"missing":"not found"}],"facts":{"host":"pi5","arch":"aarch64","os":null,"kernel":"6.12.0","cpu":"Raspberry Pi 5","cores":4,"memory_bytes":8000000000,"virtual_machine":false},"conditions":{"clocks_mhz":null,"governor":null,"temperatures_c":null,"load":null,"available_bytes":null,"cpu_pressure_percent":null,"ticks":null,"own":null},"memory_limit_bytes":null}}}"#,
        );
    }

    #[test]
    fn lines_of_version_2_still_parse() {
        let hold: Request = check_golden(
            r#"{"protocol":2,"id":1,"task":{"hold":{"folder":"/tmp","owner":"ann on desk, process 7","wait_us":1000000.0,"lease_us":30000000.0}}}"#,
        );
        assert_eq!(hold.task.since(), 2);
        check_golden::<Request>(
            r#"{"protocol":2,"id":2,"task":{"per_op":{"model":"m.onnx","runtime":"tract","threads":1,"runs":10}}}"#,
        );
        check_golden::<Reply>(
            r#"{"protocol":2,"id":2,"answer":{"per_op":[{"name":"conv1","op":"Conv","provider":"cpu","us":12.5}]}}"#,
        );
        check_golden::<Reply>(r#"{"protocol":2,"id":1,"answer":"held"}"#);
        check_golden::<Reply>(r#"{"protocol":2,"id":1,"answer":{"busy":{"owner":"bob"}}}"#);
    }

    #[test]
    fn lines_that_were_added_to_since_still_parse() {
        check_golden::<Reply>(
            r#"{"protocol":1,"id":2,"answer":{"outputs":{"inputs":[],"tensors":[],"thinned":[{"stride":3,"least":-1.5,"most":null,"mean":0.25,"not_finite":0}]}}}"#,
        );
        check_golden::<Request>(
            r#"{"protocol":1,"id":2,"task":{"time":{"model":"m.onnx","runtime":"tract","threads":1,"warmup":{"min_runs":20,"max_runs":200,"tolerance":0.02,"max_us":40000.0},"sampling":{"min":5,"max":100,"max_us":40000.0},"heat_limit":{"zones":["cpu"],"limit_c":80.0,"every_us":5000000.0}}}}"#,
        );
        check_golden::<Reply>(
            r#"{"protocol":1,"id":2,"answer":{"timed":{"runtime_version":"0.23.9","threads":2,"threads_used":1,"inputs":[],"load_us":2300.0,"first_us":410.0,"warmup_runs":20,"settled":true,"samples_us":[143.0,142.5],"runs":4,"timed_us":571.25,"too_hot":{"zone":"cpu","celsius":81.5},"before":{"clocks_mhz":[1800.0,null],"governor":null,"temperatures_c":null,"load":null,"available_bytes":null,"cpu_pressure_percent":null,"ticks":null,"own":null},"after":{"clocks_mhz":null,"governor":null,"temperatures_c":null,"load":null,"available_bytes":null,"cpu_pressure_percent":null,"ticks":null,"own":null}}}}"#,
        );
        check_golden::<ProviderShare>(
            r#"{"name":"XnnpackExecutionProvider","nodes":12,"partitions":3}"#,
        );
    }

    #[test]
    fn a_deadline_is_told_and_may_be_left_out() {
        let golden = r#"{"protocol":1,"id":1,"task":"hello","deadline_us":30000000.0}"#;
        assert_eq!(check_golden::<Request>(golden).deadline_us, 30e6);
    }

    #[test]
    fn processor_time_is_that_of_all_threads_until_the_deadline() {
        let task = |threads| {
            Task::Memory(MemoryRequest {
                model: None,
                runtime: "ort:cuda".into(),
                library: None,
                threads,
                runs: 1,
            })
        };
        let seconds = |threads, us| task(threads).job().unwrap().processor_seconds(us);
        assert_eq!([seconds(1, 0.2e6), seconds(4, 120e6), seconds(0, 2e6)], [2, 481, 3].map(Some));
        assert_eq!(seconds(1, 0.0), None);
        assert!(task(1).job().unwrap().needs_drivers() && Task::Hello.job().is_none());
    }

    #[test]
    fn a_field_from_the_future_does_no_harm() {
        let line = r#"{"protocol":1,"id":1,"task":"hello","priority":"high"}"#;
        assert_eq!(serde_json::from_str::<Request>(line).unwrap().id, 1);
    }
}
