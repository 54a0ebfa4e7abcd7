//! One device with one runtime, ready to measure model after model.
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::agent::Answer;
use crate::agent::Hello;
use crate::agent::MemoryRequest;
use crate::agent::MemoryUse;
use crate::agent::RuntimeFacts;
use crate::agent::Task;
use crate::agent::TimeRequest;
use crate::device::DeviceError;
use crate::device::Runner;
use crate::device::Transport;

use super::error::MeasureError;
use super::error::NO_MODEL;
use super::measurement::Launch;
use super::measurement::Measurement;
use super::measurement::ModelFile;
use super::plan::Level;
use super::plan::Plan;
use super::repeat::Noise;
use super::repeat::NoiseLearner;

/// How long the agent may take to say who it is, looking for runtimes included.
const HELLO_TIMEOUT: Duration = Duration::from_secs(30);

/// Launches that weigh the runtime itself, once for each bench.
const BASELINE_LAUNCHES: u32 = 3;

/// One device, runtime and thread count.
///
/// Opening it asks the device for its facts and weighs the runtime once. It learns the noise of
/// the device from every measurement it makes.
pub struct Bench {
    transport: Arc<dyn Transport>,
    hello: Hello,
    runtime: RuntimeFacts,
    threads: usize,
    baseline: Vec<MemoryUse>,
    noise: NoiseLearner,
}

/// Measures one model; [`Bench`] is for more than one.
///
/// # Errors
///
/// As for [`Bench::open`] and [`Bench::measure`].
pub fn measure(
    transport: Arc<dyn Transport>,
    model: &Path,
    plan: &Plan,
    runtime: &str,
    threads: usize,
) -> Result<Measurement, MeasureError> {
    Bench::open(transport, runtime, threads)?.measure(model, plan)
}

impl Bench {
    /// Asks the device for `runtime`.
    ///
    /// # Errors
    ///
    /// [`MeasureError::NoRuntime`] with a way out, [`MeasureError::Device`].
    pub fn open(
        transport: Arc<dyn Transport>,
        runtime: &str,
        threads: usize,
    ) -> Result<Self, MeasureError> {
        let hello = greet(&*transport)?;
        let runtime = choose(&hello, &transport.address(), runtime)?;
        let (baseline, noise) = (Vec::new(), NoiseLearner::default());
        let mut bench = Bench { transport, hello, runtime, threads, baseline, noise };
        for _ in 0..BASELINE_LAUNCHES {
            bench.baseline.push(bench.weigh(None, &Plan::of(Level::Screen))?);
        }
        Ok(bench)
    }

    /// As [`open`](Self::open), with tract where the device lacks `runtime`; then also says why.
    ///
    /// # Errors
    ///
    /// [`MeasureError::Device`].
    pub fn open_or_tract(
        transport: Arc<dyn Transport>,
        runtime: &str,
        threads: usize,
    ) -> Result<(Self, Option<MeasureError>), MeasureError> {
        match Bench::open(transport.clone(), runtime, threads) {
            Ok(bench) => Ok((bench, None)),
            Err(missing @ MeasureError::NoRuntime { .. }) => {
                Ok((Bench::open(transport, "tract", threads)?, Some(missing)))
            }
            Err(other) => Err(other),
        }
    }

    /// What the device said of itself.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// The runtime that is used.
    pub fn runtime(&self) -> &RuntimeFacts {
        &self.runtime
    }

    /// What was learnt of the device's noise so far.
    pub fn noise(&self) -> Noise {
        self.noise.noise()
    }

    /// Measures `model`.
    ///
    /// A launch that crashes or ends without an answer is made once more; a second time it is the
    /// result.
    ///
    /// # Errors
    ///
    /// [`MeasureError::Model`] if the file cannot be read here, else [`MeasureError::Device`].
    pub fn measure(&mut self, model: &Path, plan: &Plan) -> Result<Measurement, MeasureError> {
        self.measure_watched(model, plan, &mut |_, _| {})
    }

    /// As [`measure`](Self::measure); `watch` is told before each launch how many of how many are
    /// done.
    ///
    /// # Errors
    ///
    /// As for [`measure`](Self::measure).
    pub fn measure_watched(
        &mut self,
        model: &Path,
        plan: &Plan,
        watch: &mut dyn FnMut(u32, u32),
    ) -> Result<Measurement, MeasureError> {
        let file = read(model)?;
        let all = plan.launches + plan.memory_launches;
        let mut patience = Patience { crashes: 0 };
        let launches = (0..plan.launches).map(|launch| {
            watch(launch, all);
            patience.with(|| self.time(&file, plan))
        });
        let launches = launches.collect::<Result<_, _>>()?;
        let memory = (0..plan.memory_launches).map(|launch| {
            watch(plan.launches + launch, all);
            patience.with(|| self.weigh(Some(&file), plan))
        });
        let memory = memory.collect::<Result<_, _>>()?;
        let measurement = self.measurement(file, plan, launches, memory);
        self.noise.learn(&measurement);
        Ok(measurement)
    }

    fn measurement(
        &self,
        model: ModelFile,
        plan: &Plan,
        launches: Vec<Launch>,
        memory: Vec<MemoryUse>,
    ) -> Measurement {
        Measurement {
            model,
            device: self.transport.address(),
            facts: self.hello.facts.clone(),
            runtime: self.runtime.name.clone(),
            runtime_version: self.runtime.version.clone().unwrap_or_default(),
            threads: self.threads,
            level: plan.level,
            launches,
            memory,
            baseline: self.baseline.clone(),
            noise: self.noise.noise(),
        }
    }

    /// One launch that takes samples.
    fn time(&self, model: &ModelFile, plan: &Plan) -> Result<Launch, MeasureError> {
        let request = TimeRequest {
            model: model.path.clone(),
            runtime: self.runtime.name.clone(),
            library: self.runtime.library.clone(),
            threads: self.threads,
            warmup: plan.warmup,
            sampling: plan.sampling,
        };
        let start = Instant::now();
        let answer = self.ask(Task::Time(request), plan.timeout, &model.path)?;
        let wall_us = start.elapsed().as_secs_f64() * 1e6;
        match answer {
            Answer::Timed(timed) => Ok(Launch { wall_us, timed: *timed }),
            other => Err(unexpected(&*self.transport, &model.path, &other)),
        }
    }

    /// One launch that looks at memory; that of the runtime itself if there is no model.
    fn weigh(&self, model: Option<&ModelFile>, plan: &Plan) -> Result<MemoryUse, MeasureError> {
        let request = MemoryRequest {
            model: model.map(|m| m.path.clone()),
            runtime: self.runtime.name.clone(),
            library: self.runtime.library.clone(),
            threads: self.threads,
            runs: plan.memory_runs,
        };
        let name = model.map_or(NO_MODEL, |m| &m.path);
        match self.ask(Task::Memory(request), plan.timeout, name)? {
            Answer::Memory(memory) => Ok(memory),
            other => Err(unexpected(&*self.transport, name, &other)),
        }
    }

    fn ask(&self, task: Task, timeout: Duration, model: &str) -> Result<Answer, MeasureError> {
        let answer = Runner::launch(&*self.transport).and_then(|mut r| r.ask(task, timeout));
        answer.map_err(|source| MeasureError::Device { model: model.to_owned(), source })
    }
}

fn greet(transport: &dyn Transport) -> Result<Hello, MeasureError> {
    let answer = Runner::launch(transport).and_then(|mut r| r.ask(Task::Hello, HELLO_TIMEOUT));
    let name = NO_MODEL;
    match answer.map_err(|source| MeasureError::Device { model: name.to_owned(), source })? {
        Answer::Hello(hello) => Ok(*hello),
        other => Err(unexpected(transport, name, &other)),
    }
}

/// The runtime of that name if it is ready. One that the agent does not list, but knows, is taken
/// at its word.
fn choose(hello: &Hello, device: &str, name: &str) -> Result<RuntimeFacts, MeasureError> {
    let listed = hello.runtimes.iter().find(|r| r.name == name).cloned();
    let unlisted = || RuntimeFacts {
        name: name.to_owned(),
        version: Some(hello.version.clone()),
        library: None,
        missing: None,
    };
    let runtime = listed.unwrap_or_else(unlisted);
    match &runtime.missing {
        None => Ok(runtime),
        Some(reason) => Err(MeasureError::NoRuntime {
            runtime: name.to_owned(),
            device: device.to_owned(),
            reason: reason.clone(),
        }),
    }
}

/// The file, by its absolute path, since the agent may run elsewhere.
fn read(model: &Path) -> Result<ModelFile, MeasureError> {
    let unreadable = |source| MeasureError::Model { path: model.to_owned(), source };
    if !fs::metadata(model).map_err(unreadable)?.is_file() {
        let reason = "not a regular file";
        return Err(unreadable(io::Error::new(io::ErrorKind::InvalidInput, reason)));
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(fs::File::open(model).map_err(unreadable)?).map_err(unreadable)?;
    let path = std::path::absolute(model).map_err(unreadable)?;
    Ok(ModelFile {
        path: path.to_string_lossy().into_owned(),
        blake3: hasher.finalize().to_hex().to_string(),
        bytes: hasher.count(),
    })
}

/// One crash of a measurement is forgiven.
struct Patience {
    crashes: u32,
}

impl Patience {
    /// Makes a launch, and once more if it crashed and none did before.
    fn with<T>(&mut self, launch: impl Fn() -> Result<T, MeasureError>) -> Result<T, MeasureError> {
        match launch() {
            Err(error) if error.is_transient() && self.crashes == 0 && !is_hung(&error) => {
                self.crashes += 1;
                launch()
            }
            result => result,
        }
    }
}

/// Waiting as long again would tell nothing new.
fn is_hung(error: &MeasureError) -> bool {
    matches!(error, MeasureError::Device { source: DeviceError::Hung { .. }, .. })
}

fn unexpected(transport: &dyn Transport, model: &str, answer: &Answer) -> MeasureError {
    let kind = match answer {
        Answer::Hello(_) => "hello",
        Answer::Timed(_) => "samples",
        Answer::Memory(_) => "memory",
        Answer::Outputs(_) => "outputs",
        Answer::Refused { .. } => "a refusal",
    };
    let reason = format!("it answers with {kind}, which was not asked for");
    let source = DeviceError::Garbage { address: transport.address(), reason };
    MeasureError::Device { model: model.to_owned(), source }
}
