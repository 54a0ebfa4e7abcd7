//! One device with one runtime, ready to measure model after model.
mod extras;
mod launch;
mod visit;

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use crate::agent::Heat;
use crate::agent::Hello;
use crate::agent::MAX_MODEL_BYTES;
use crate::agent::MemoryUse;
use crate::agent::RuntimeFacts;
use crate::device::DeviceError;
use crate::device::Profile;
use crate::device::Transport;

use super::care::blamed;
use super::care::ensure_usable;
use super::error::MeasureError;
use super::error::NO_MODEL;
use super::gates::Gated;
use super::gates::Gates;
use super::measurement::Launch;
use super::measurement::Measurement;
use super::measurement::ModelFile;
use super::plan::Level;
use super::plan::Plan;
use super::repeat::Noise;
use super::repeat::NoiseLearner;
use super::verdict::Verdict;
pub(super) use launch::greet;

use launch::choose;
use visit::Visit;

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
    gates: Gates,
}

/// What [`Bench::measure_watched`] tells while it measures.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// The reference model is measured first: at the first use, each hour, and after a fault.
    Reference,
    /// A launch begins.
    Launch {
        /// Launches that are done.
        done: u32,
        /// Launches in all, if it need not be measured again.
        of: u32,
    },
    /// It was noisy, and is measured once more.
    Again {
        /// Which attempt begins; the first is 1.
        attempt: u32,
        /// The last that may be.
        of: u32,
    },
    /// The device is too hot and is waited for.
    Cooling {
        /// The hottest zone that counts.
        heat: Heat,
        /// At which temperature it begins, °C.
        limit_c: f64,
        /// Since when.
        waited: Duration,
    },
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
        ensure_usable(&*transport)?;
        let opened = Bench::open_even_in_quarantine(transport.clone(), runtime, threads);
        opened.map_err(|error| blamed(&*transport, error))
    }

    pub(super) fn open_even_in_quarantine(
        transport: Arc<dyn Transport>,
        runtime: &str,
        threads: usize,
    ) -> Result<Self, MeasureError> {
        let hello = greet(&*transport)?;
        let runtime = choose(&hello, &transport.address(), runtime)?;
        let (baseline, noise) = (Vec::new(), NoiseLearner::default());
        let gates = Gates::default();
        let mut bench = Bench { transport, hello, runtime, threads, baseline, noise, gates };
        let _hold = bench.hold(Plan::of(Level::Screen).longest())?;
        for _ in 0..BASELINE_LAUNCHES {
            bench.baseline.push(bench.weigh(None, &Plan::of(Level::Screen))?);
        }
        Ok(bench)
    }

    /// With the gates that the device's profile asks for; where that says whether it is an emulator,
    /// it is right.
    pub fn with_profile(mut self, profile: &Profile) -> Self {
        self.hello.facts.emulated = profile.emulated.or(self.hello.facts.emulated);
        self.with_gates(Gates::from(profile))
    }

    /// With a look at the device before each measurement and after each of its launches.
    pub fn with_gates(mut self, gates: Gates) -> Self {
        self.gates = gates;
        self
    }

    pub(super) fn transport(&self) -> &dyn Transport {
        &*self.transport
    }

    pub(super) fn threads(&self) -> usize {
        self.threads
    }

    /// What the device said of itself.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Do its times say nothing about a real device?
    pub fn is_emulated(&self) -> bool {
        self.hello.facts.emulated == Some(true)
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
    /// result. A noisy measurement is made again, as often as the plan says and the gates let it; if
    /// it stays noisy, the attempt that spreads least is the result. A launch without a pause watches
    /// its temperature itself.
    ///
    /// # Errors
    ///
    /// [`MeasureError::Model`] if the file cannot be read here; [`MeasureError::TooHot`],
    /// [`MeasureError::LowBattery`] and [`MeasureError::NotCharging`] if a gate stays closed; else
    /// [`MeasureError::Device`].
    pub fn measure(&mut self, model: &Path, plan: &Plan) -> Result<Measurement, MeasureError> {
        self.measure_watched(model, plan, &mut |_| {})
    }

    /// As [`measure`](Self::measure); `watch` is told what goes on.
    ///
    /// # Errors
    ///
    /// As for [`measure`](Self::measure).
    pub fn measure_watched(
        &mut self,
        model: &Path,
        plan: &Plan,
        watch: &mut dyn FnMut(&Progress),
    ) -> Result<Measurement, MeasureError> {
        self.prepare(watch)?;
        let result = self.measure_whole(model, plan, watch);
        let measurement = self.judged(result, watch)?;
        self.noise.learn(&measurement);
        Ok(measurement)
    }

    /// One visit to the device; another one if somebody has emptied its folder: then everything is
    /// brought there again.
    pub(super) fn measure_whole(
        &self,
        model: &Path,
        plan: &Plan,
        watch: &mut dyn FnMut(&Progress),
    ) -> Result<Measurement, MeasureError> {
        match self.measure_in_one_visit(model, plan, watch) {
            Err(MeasureError::Device { source, .. }) if source.is_missing_runner() => {
                self.measure_in_one_visit(model, plan, watch)
            }
            result => result,
        }
    }

    fn measure_in_one_visit(
        &self,
        model: &Path,
        plan: &Plan,
        watch: &mut dyn FnMut(&Progress),
    ) -> Result<Measurement, MeasureError> {
        let file = read(model)?;
        let mut visit = self.visit(model, &file, plan)?;
        let mut measurement = self.least_noisy(&mut visit, plan, watch)?;
        let memory = (0..plan.memory_launches).map(|launch| {
            watch(&Progress::launch(plan.launches + launch, plan));
            self.keep(&mut visit)?;
            let Visit { placed, patience, .. } = &mut visit;
            patience.with(|| self.weigh(Some((&file.path, placed)), plan))
        });
        measurement.memory = memory.collect::<Result<_, _>>()?;
        let is_too_hot = measurement.gates.as_ref().is_some_and(|gated| gated.stopped.is_some());
        if let Some(long) = plan.long_launch().filter(|_| !is_too_hot) {
            self.keep(&mut visit)?;
            let Visit { placed, patience, .. } = &mut visit;
            let limit = self.gates.heat_limit();
            let launch = patience.with(|| self.time(&file.path, placed, &long, limit.clone()))?;
            measurement.take_long(&launch.timed, &self.gates);
        }
        Ok(measurement)
    }

    /// The first attempt that is not noisy; if all are, the one that spreads least. Without memory.
    fn least_noisy(
        &self,
        visit: &mut Visit<'_>,
        plan: &Plan,
        watch: &mut dyn FnMut(&Progress),
    ) -> Result<Measurement, MeasureError> {
        let mut best = self.attempt(visit, plan, watch)?;
        let mut attempts = 1;
        while best.verdict().0 == Verdict::Noisy && attempts <= plan.retries {
            watch(&Progress::Again { attempt: attempts + 1, of: 1 + plan.retries });
            let next = match self.attempt(visit, plan, watch) {
                // What there is is worth more than the reason why there is not more of it.
                Err(error) if error.is_a_closed_gate() => break,
                next => next?,
            };
            attempts += 1;
            let is_better = next.verdict().0 != Verdict::Noisy;
            if is_better || next.disturbance() < best.disturbance() {
                best = next;
            }
        }
        best.attempts = attempts;
        Ok(best)
    }

    /// All launches that take samples, or fewer if the device becomes too hot.
    fn attempt(
        &self,
        visit: &mut Visit<'_>,
        plan: &Plan,
        watch: &mut dyn FnMut(&Progress),
    ) -> Result<Measurement, MeasureError> {
        let mut gated = Gated::default();
        self.pass(&mut gated, visit, watch)?;
        let mut launches = Vec::new();
        while launches.len() < plan.launches as usize && gated.stopped.is_none() {
            if let Some(pause) = self.gates.cool_down.filter(|_| !launches.is_empty()) {
                thread::sleep(pause);
            }
            watch(&Progress::launch(launches.len() as u32, plan));
            let Visit { file, placed, patience, .. } = &mut *visit;
            let launch = patience.with(|| self.time(&file.path, placed, plan, None))?;
            // Nothing that was measured beside somebody else is returned.
            if self.keep(visit)? {
                gated.stopped = self.gates.stopped(&launch.timed.after, &mut gated);
                launches.push(launch);
            }
        }
        let gates = (!self.gates.are_open()).then_some(gated);
        Ok(self.measurement(visit.file.clone(), plan, launches, gates))
    }

    /// Looks at the device until it may be measured.
    fn pass(
        &self,
        gated: &mut Gated,
        visit: &mut Visit<'_>,
        watch: &mut dyn FnMut(&Progress),
    ) -> Result<(), MeasureError> {
        let (device, start) = (self.transport.address(), Instant::now());
        let [wait, pause] = self.gates.waiting();
        if !self.gates.look_before() {
            return Ok(());
        }
        loop {
            self.keep(visit)?;
            let now = visit.patience.with(|| greet(&*self.transport))?.conditions;
            let waited = start.elapsed();
            match self.gates.pass(&device, &now, gated) {
                Err(MeasureError::TooHot { heat, limit_c, .. }) if waited < wait => {
                    watch(&Progress::Cooling { heat, limit_c, waited });
                    thread::sleep(pause);
                }
                Err(MeasureError::TooHot { device, heat, limit_c, .. }) => {
                    return Err(MeasureError::TooHot { device, heat, limit_c, waited });
                }
                passed => {
                    gated.waited_s = waited.as_secs_f64();
                    return passed;
                }
            }
        }
    }

    fn measurement(
        &self,
        model: ModelFile,
        plan: &Plan,
        launches: Vec<Launch>,
        gates: Option<Gated>,
    ) -> Measurement {
        Measurement {
            model,
            device: self.transport.address(),
            facts: self.hello.facts.clone(),
            runtime: self.runtime.name.clone(),
            runtime_version: self.runtime.version.clone().unwrap_or_default(),
            threads: self.threads,
            level: plan.level,
            attempts: 1,
            gates,
            paced_hz: plan.paced_hz,
            sustained: None,
            no_curve: None,
            agreement: None,
            not_compared: None,
            per_op: None,
            slower: None,
            launches,
            memory: Vec::new(),
            baseline: self.baseline.clone(),
            noise: self.noise.noise(),
        }
    }

    fn failed(&self, model: &str, source: DeviceError) -> MeasureError {
        MeasureError::Device { model: model.to_owned(), source }
    }

    /// Does the runtime run models, and take the time it says? The metronome does not.
    pub fn computes(&self) -> bool {
        self.runtime.name != "metronome"
    }
}

impl Progress {
    fn launch(done: u32, plan: &Plan) -> Self {
        Progress::Launch { done, of: plan.launches + plan.memory_launches }
    }
}

/// The file, by its absolute path, since the agent may run elsewhere.
fn read(model: &Path) -> Result<ModelFile, MeasureError> {
    let unreadable = |source| MeasureError::Model { path: model.to_owned(), source };
    let metadata = fs::metadata(model).map_err(unreadable)?;
    let bytes = metadata.len();
    if !metadata.is_file() {
        let reason = "not a regular file";
        return Err(unreadable(io::Error::new(io::ErrorKind::InvalidInput, reason)));
    }
    if bytes > MAX_MODEL_BYTES {
        let reason = format!("{bytes} bytes; no model has more than {MAX_MODEL_BYTES}");
        return Err(unreadable(io::Error::new(io::ErrorKind::FileTooLarge, reason)));
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
