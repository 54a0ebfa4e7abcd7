//! What host and agent say to each other.
//!
//! A line holds one object. Fields are added, never renamed or removed; golden lines of every
//! version are kept in the tests. No line is longer than [`MAX_LINE`].
use serde::Deserialize;
use serde::Serialize;

use super::conditions::Conditions;
use super::conditions::Facts;
use super::inputs::Fill;
use super::inputs::InputSpec;
use super::inputs::TensorData;

/// Version of the protocol; the agent refuses any other.
pub const PROTOCOL: u32 = 1;

/// Longest line either side accepts, in bytes.
pub const MAX_LINE: usize = 1 << 20;

/// What the host asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Always [`PROTOCOL`].
    pub protocol: u32,
    /// Repeated in the answer.
    pub id: u64,
    /// What to do.
    pub task: Task,
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

/// Samples to take: `min` in any case, then until `max` are taken or `max_us` have passed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// Least number.
    pub min: u32,
    /// Largest number; 20 000 at most, so that the answer fits a line.
    pub max: u32,
    /// Budget, µs.
    pub max_us: f64,
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
    /// Always [`PROTOCOL`].
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
    /// Why it is not ready, with a way out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

/// Everything one launch has to say of a model's latency.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timed {
    /// Version of the runtime.
    pub runtime_version: String,
    /// Threads it really used.
    pub threads: usize,
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
    /// One latency a run, in the order of the runs, µs; left out if there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples_us: Vec<f64>,
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
}

/// What a model computed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outputs {
    /// Inputs it was run on.
    pub inputs: Vec<InputSpec>,
    /// One tensor an output, in the model's order.
    pub tensors: Vec<TensorData>,
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::*;

    /// Lines of version 1 are never edited, only added: hosts and agents of other releases send
    /// them.
    #[track_caller]
    fn check_golden<T: DeserializeOwned + Serialize + Debug>(golden: &str) -> T {
        let value: T = serde_json::from_str(golden).unwrap();
        assert_eq!(serde_json::to_string(&value).unwrap(), golden);
        value
    }

    #[test]
    fn requests_of_version_1_still_parse() {
        let hello: Request = check_golden(r#"{"protocol":1,"id":1,"task":"hello"}"#);
        assert_eq!((hello.protocol, hello.task), (PROTOCOL, Task::Hello));
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
    }

    #[test]
    fn answers_of_version_1_still_parse() {
        check_golden::<Reply>(
            r#"{"protocol":1,"id":2,"answer":{"timed":{"runtime_version":"0.23.9","threads":1,"inputs":[{"name":"x","element":"u8","shape":[1,3,8,8]}],"load_us":2300.0,"first_us":410.0,"warmup_runs":20,"settled":true,"samples_us":[143.0,142.5],"before":{"clocks_mhz":[1800.0],"governor":"performance","temperatures_c":[["cpu-thermal",41.5]],"load":0.1,"available_bytes":900000000,"cpu_pressure_percent":0.0,"ticks":{"busy":10,"idle":90,"steal":0},"own":{"ticks":3,"preempted":0}},"after":{"clocks_mhz":null,"governor":null,"temperatures_c":null,"load":null,"available_bytes":null,"cpu_pressure_percent":null,"ticks":null,"own":null}}}}"#,
        );
        check_golden::<Reply>(
            r#"{"protocol":1,"id":3,"answer":{"memory":{"before":1000000,"loaded":1100000,"peak":1300000,"running":null}}}"#,
        );
        check_golden::<Reply>(
            r#"{"protocol":1,"id":0,"answer":{"refused":{"kind":"request","reason":"protocol 9 is not 1"}}}"#,
        );
        check_golden::<Reply>(
            r#"{"protocol":1,"id":1,"answer":{"hello":{"version":"0.1.0","runtimes":[{"name":"tract","version":"0.23.9"},{"name":"ort","version":null,"missing":"not found"}],"facts":{"host":"pi5","arch":"aarch64","os":null,"kernel":"6.12.0","cpu":"Raspberry Pi 5","cores":4,"memory_bytes":8000000000,"virtual_machine":false},"conditions":{"clocks_mhz":null,"governor":null,"temperatures_c":null,"load":null,"available_bytes":null,"cpu_pressure_percent":null,"ticks":null,"own":null},"memory_limit_bytes":null}}}"#,
        );
    }

    #[test]
    fn a_field_from_the_future_does_no_harm() {
        let line = r#"{"protocol":1,"id":1,"task":"hello","priority":"high"}"#;
        assert_eq!(serde_json::from_str::<Request>(line).unwrap().id, 1);
    }
}
