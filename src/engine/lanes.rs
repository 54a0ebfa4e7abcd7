//! The threads that do what takes time: one for each device measures, some train.
//!
//! Lanes share nothing with the engine but two queues; all results come back through one inbox.
use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use rand_chacha::ChaCha8Rng;

use crate::graph::Graph;
use crate::graph::Network;
use crate::measure::Agreement;
use crate::measure::Bench;
use crate::measure::Level;
use crate::measure::MeasureError;
use crate::measure::Measurement;
use crate::measure::Plan;
use crate::onnx;
use crate::store::CandidateId;
use crate::store::DeviceAt;
use crate::store::Measured;
use crate::train::Epoch;
use crate::train::StopFlag;
use crate::train::TrainPlan;
use crate::train::Trainer;
use crate::train::Watch;

use super::RETRY;
use super::develop::DevelopError;
use super::develop::Developed;
use super::develop::Material;
use super::develop::Source;
use super::develop::develop;
use super::early::Experience;
use super::early::Prospect;
use super::early::is_hopeless;
use super::error::whole;

/// Results that come this soon after one another share a transaction: a full synchronisation takes
/// milliseconds.
const GATHERED: Duration = Duration::from_millis(20);

/// A device that is lost, or becomes too hot, so often while it runs one candidate is not at fault: it may
/// be brought down by it.
const MOST_LOSSES: u32 = 3;

/// A model to be measured.
pub struct MeasureJob {
    /// Whose.
    pub candidate: CandidateId,
    /// Where.
    pub device: DeviceAt,
    /// 0 for the first time there.
    pub round: u32,
    /// What is measured.
    pub model: Model,
    /// How thoroughly.
    pub level: Level,
}

/// What is measured.
pub enum Model {
    /// A structure with random weights: latency does not depend on them.
    Untrained(Box<Untrained>),
    /// The file of a trained network, which is compared with it the first time.
    Trained(Vec<u8>, Arc<Network>),
}

/// A structure that gets random weights.
pub struct Untrained {
    /// The structure.
    pub graph: Graph,
    /// Where the weights come from.
    pub rng: ChaCha8Rng,
    /// As its trained file will be written: a hundred bytes of metadata more are a file that is larger, and
    /// pages of memory more.
    pub options: onnx::ExportOptions,
}

/// A candidate to be developed.
pub struct TrainJob {
    /// Which.
    pub candidate: CandidateId,
    /// Where its weights come from.
    pub source: Source,
    /// How it is trained.
    pub plan: TrainPlan,
    /// Epochs of imitation after approximate morphisms.
    pub distill_epochs: u32,
    /// Its own stream.
    pub rng: ChaCha8Rng,
    /// Whether it may still enter a front, by device; empty if it is trained to the end in any case.
    pub prospects: Vec<Prospect>,
    /// What past curves teach.
    pub experience: Arc<Experience>,
}

/// What comes back.
pub enum Done {
    /// A measurement ended; there is no record without samples, and in it no time yet.
    Measured(DeviceAt, CandidateId, Box<Result<Option<Measured>, MeasureError>>),
    /// A training ended.
    Trained(CandidateId, Box<Result<Developed, DevelopError>>, Duration),
    /// An epoch of a training ended.
    Epoch(CandidateId, Epoch),
    /// The lane's code panicked: a bug, but not the end of the run.
    Panicked(Lane, CandidateId, String),
    /// The job was dropped because the run stops, or because the device is away.
    Dropped(Lane, CandidateId),
    /// There is no room for the model that is to be measured, or the device is away, taken or too hot;
    /// the lane waits and tries again.
    Paused(DeviceAt, String),
}

/// Which kind of lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// The one that measures on this device.
    Measure(DeviceAt),
    /// One of those that train.
    Train,
}

/// A device of the run, and where models are put for it.
pub struct Gauge {
    /// The device with the run's runtime.
    pub bench: Bench,
    /// A folder of this device in this run alone.
    pub folder: PathBuf,
    /// How long a model runs without a pause before its latency counts; `None` for that of short
    /// launches.
    pub sustained: Option<Duration>,
}

/// The queues.
pub struct Lanes {
    devices: Vec<Queue>,
    train: Sender<TrainJob>,
    inbox: Receiver<Done>,
    /// Trainings queued or running.
    pub training: usize,
}

/// What waits for a device.
struct Queue {
    jobs: Sender<MeasureJob>,
    /// Whose measurements are queued or running.
    open: BTreeSet<CandidateId>,
    /// Is the device away? Then one measurement is tried again and again, and nobody waits for it.
    is_away: bool,
    /// Set while it is: all other jobs are dropped.
    drop_jobs: Arc<AtomicBool>,
}

impl Lanes {
    /// Starts one measure lane for each device and `n` train lanes; they end when the value is dropped,
    /// or leave their jobs undone once `stop` is set.
    pub fn start(
        gauges: Vec<Gauge>,
        trainer: Arc<dyn Trainer>,
        material: Arc<Material>,
        n: usize,
        stop: Arc<AtomicBool>,
    ) -> Lanes {
        let (done, inbox) = mpsc::channel();
        let mut devices = Vec::new();
        for (device, gauge) in gauges.into_iter().enumerate() {
            let (jobs, queue) = mpsc::channel();
            let drop_jobs = Arc::new(AtomicBool::new(false));
            let lane = MeasureLane {
                device,
                gauge,
                compared: BTreeSet::new(),
                material: material.clone(),
                done: done.clone(),
                stop: stop.clone(),
                drop_jobs: drop_jobs.clone(),
            };
            thread::spawn(move || lane.serve(queue));
            devices.push(Queue { jobs, open: BTreeSet::new(), is_away: false, drop_jobs });
        }
        let (train, jobs) = mpsc::channel();
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..n {
            let lane = TrainLane {
                trainer: trainer.clone(),
                material: material.clone(),
                done: done.clone(),
                stop: stop.clone(),
            };
            let jobs = jobs.clone();
            thread::spawn(move || lane.serve(&jobs));
        }
        Lanes { devices, train, inbox, training: 0 }
    }

    /// Queues a measurement. If the device is away, only one at a time, to see whether it is back.
    pub fn measure(&mut self, job: MeasureJob) {
        let queue = &mut self.devices[job.device];
        if queue.is_away && !queue.open.is_empty() {
            return;
        }
        queue.drop_jobs.store(false, Ordering::Relaxed);
        queue.open.insert(job.candidate);
        queue.jobs.send(job).expect("a measure lane lives as long as the engine");
    }

    /// Is a measurement of the candidate queued or running on the device?
    pub fn is_measuring(&self, device: DeviceAt, candidate: CandidateId) -> bool {
        self.devices[device].open.contains(&candidate)
    }

    /// Is a measurement queued or running on a device that is there?
    pub fn is_any_measuring(&self) -> bool {
        self.devices.iter().any(|queue| !queue.is_away && !queue.open.is_empty())
    }

    /// Is it there, as far as is known?
    pub fn is_present(&self, device: DeviceAt) -> bool {
        !self.devices[device].is_away
    }

    /// Nobody waits for the device any more.
    pub fn set_away(&mut self, device: DeviceAt) {
        let queue = &mut self.devices[device];
        queue.is_away = true;
        queue.drop_jobs.store(true, Ordering::Relaxed);
    }

    /// The device answered.
    pub fn set_present(&mut self, device: DeviceAt) {
        let queue = &mut self.devices[device];
        queue.is_away = false;
        queue.drop_jobs.store(false, Ordering::Relaxed);
    }

    /// Queues a training.
    pub fn train(&mut self, job: TrainJob) {
        self.training += 1;
        self.train.send(job).expect("the train lanes live as long as the engine");
    }

    /// Waits at most `timeout` for something, then takes all that comes until [`GATHERED`] after it or
    /// until nothing is left to come.
    pub fn wait(&mut self, timeout: Duration) -> Vec<Done> {
        let Ok(first) = self.inbox.recv_timeout(timeout) else { return Vec::new() };
        let until = Instant::now() + GATHERED;
        let mut all = Vec::new();
        let mut next = Some(first);
        while let Some(done) = next {
            self.count(&done);
            all.push(done);
            let left = until.saturating_duration_since(Instant::now());
            let is_over = left.is_zero() || !self.is_any_measuring() && self.training == 0;
            next = if is_over { None } else { self.inbox.recv_timeout(left).ok() };
        }
        all
    }

    fn count(&mut self, done: &Done) {
        match done {
            Done::Measured(device, id, _) => drop(self.devices[*device].open.remove(id)),
            Done::Trained(..) => self.training -= 1,
            Done::Epoch(..) | Done::Paused(..) => {}
            Done::Panicked(lane, id, _) | Done::Dropped(lane, id) => match lane {
                Lane::Measure(device) => drop(self.devices[*device].open.remove(id)),
                Lane::Train => self.training -= 1,
            },
        }
    }
}

struct MeasureLane {
    device: DeviceAt,
    gauge: Gauge,
    /// Whose files compute there what they should, or do not.
    compared: BTreeSet<CandidateId>,
    material: Arc<Material>,
    done: Sender<Done>,
    stop: Arc<AtomicBool>,
    drop_jobs: Arc<AtomicBool>,
}

impl MeasureLane {
    fn serve(mut self, jobs: Receiver<MeasureJob>) {
        for job in jobs {
            let (lane, id) = (Lane::Measure(self.device), job.candidate);
            let unwanted = [&self.stop, &self.drop_jobs].iter().any(|f| f.load(Ordering::Relaxed));
            let done = match unwanted {
                true => Done::Dropped(lane, id),
                false => caught(lane, id, || self.one(job)),
            };
            if self.done.send(done).is_err() {
                break;
            }
        }
    }

    fn one(&mut self, job: MeasureJob) -> Done {
        let (bytes, network) = match job.model {
            Model::Trained(bytes, network) => (bytes, Some(network)),
            Model::Untrained(untrained) => {
                let Untrained { graph, mut rng, options } = *untrained;
                (onnx::export(&self.material.scratch(&graph, &mut rng), &options), None)
            }
        };
        let (id, round, size) = (job.candidate, job.round, bytes.len() as u64);
        let network = network.filter(|_| !self.compared.contains(&id));
        let (mut losses, mut overheated) = (0, 0);
        let result = loop {
            let result = self.gauge.measure(&bytes, job.level, network.as_deref());
            let is_lost = |error: &MeasureError| error.is_a_lost_run_of(&self.gauge.file());
            losses += u32::from(result.as_ref().is_err_and(is_lost));
            overheated += u32::from(matches!(&result, Err(MeasureError::Overheated { .. })));
            match result {
                Err(error) if losses >= MOST_LOSSES => break Err(error.brings_down(losses)),
                Err(error) if overheated >= MOST_LOSSES => break Err(error.overheats(overheated)),
                Err(error) if error.may_pass() => {
                    let paused = Done::Paused(self.device, whole(&error));
                    if self.done.send(paused).is_err() || !self.wait() {
                        return Done::Dropped(Lane::Measure(self.device), id);
                    }
                }
                result => break result,
            }
        };
        if result.as_ref().is_ok_and(|measurement| measurement.agreement.is_some()) {
            self.compared.insert(id);
        }
        let is_sustained = self.gauge.sustained.is_some();
        let record = result.map(|m| recorded(self.device, id, round, size, is_sustained, &m));
        Done::Measured(self.device, id, Box::new(record))
    }

    /// Waits for the next try; false if the run stops.
    fn wait(&self) -> bool {
        let until = Instant::now() + RETRY;
        while Instant::now() < until && !self.stop.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(100));
        }
        !self.stop.load(Ordering::Relaxed)
    }
}

/// The record of a measurement; `None` if it holds no samples. Made here, so that nothing else is computed
/// while this machine measures itself.
fn recorded(
    device: DeviceAt,
    candidate: CandidateId,
    round: u32,
    model_bytes: u64,
    is_sustained: bool,
    measurement: &Measurement,
) -> Option<Measured> {
    let document = measurement.document();
    let (latency_us, latency_interval_us) = match is_sustained {
        true => measurement.sustained.as_ref()?.end()?,
        false => {
            let (p50, interval) = (document.latency_us.p50?, document.latency_us.p50_interval?);
            (p50.0, interval.map(|us| us.0))
        }
    };
    Some(Measured {
        candidate,
        device,
        round,
        latency_us,
        latency_interval_us,
        memory_bytes: document.memory_bytes.map(|memory| memory.cost.0),
        model_bytes,
        verdict: document.verdict.to_string(),
        json: document.to_json(),
        at_s: 0.0,
    })
}

impl Gauge {
    /// Where a model lies while it is measured.
    fn file(&self) -> PathBuf {
        self.folder.join("candidate.onnx")
    }

    /// Measures the file; with a network, also what it computes.
    fn measure(
        &mut self,
        model: &[u8],
        level: Level,
        network: Option<&Network>,
    ) -> Result<Measurement, MeasureError> {
        let path = self.file();
        // A file that is truncated and written again is sent to the disk at once (ext4).
        std::fs::remove_file(&path).ok();
        std::fs::write(&path, model)
            .map_err(|source| MeasureError::NotWritten { path: path.clone(), source })?;
        let plan = Plan { sustained: self.sustained, ..Plan::of(level) };
        let measurement = self.bench.measure(&path, &plan)?;
        if self.sustained.is_some() {
            measurement.ensure_sustained()?;
        }
        let network = network.filter(|_| self.bench.computes());
        let compared = network.map(|network| self.bench.compare_with(&path, network));
        let agreement: Option<Agreement> = compared.transpose()?;
        Ok(Measurement { agreement, ..measurement })
    }
}

struct TrainLane {
    trainer: Arc<dyn Trainer>,
    material: Arc<Material>,
    done: Sender<Done>,
    stop: Arc<AtomicBool>,
}

impl TrainLane {
    fn serve(self, jobs: &Mutex<Receiver<TrainJob>>) {
        loop {
            let next = jobs.lock().expect("no lane panics while it waits").recv();
            let Ok(job) = next else { break };
            let id = job.candidate;
            let done = match self.stop.load(Ordering::Relaxed) {
                true => Done::Dropped(Lane::Train, id),
                false => caught(Lane::Train, id, || self.one(job)),
            };
            if self.done.send(done).is_err() {
                break;
            }
        }
    }

    fn one(&self, job: TrainJob) -> Done {
        let started = Instant::now();
        let TrainJob { candidate, source, plan, distill_epochs, mut rng, prospects, experience } =
            job;
        let plan = TrainPlan { stop: StopFlag(self.stop.clone()), ..plan };
        let epochs = plan.epochs;
        let mut watch = |epoch: &Epoch| {
            let _ = self.done.send(Done::Epoch(candidate, *epoch));
            if self.stop.load(Ordering::Relaxed) {
                return Watch::Stop;
            }
            let optimistic =
                experience.optimistic_end(epoch.epoch, epochs, epoch.validation_error.0);
            let hopeless = epoch.epoch < epochs && is_hopeless(&prospects, optimistic);
            if hopeless { Watch::Stop } else { Watch::Continue }
        };
        let (trainer, material) = (self.trainer.as_ref(), self.material.as_ref());
        let result =
            develop(trainer, material, source, &plan, distill_epochs, &mut rng, &mut watch);
        match self.stop.load(Ordering::Relaxed) {
            true => Done::Dropped(Lane::Train, candidate),
            false => Done::Trained(candidate, Box::new(result), started.elapsed()),
        }
    }
}

fn caught(lane: Lane, candidate: CandidateId, work: impl FnOnce() -> Done) -> Done {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        Done::Panicked(lane, candidate, text.unwrap_or_else(|| "no message".to_owned()))
    })
}
