//! What happens when: the loop that owns all state of a search.
//!
//! Steps follow each other only here, and only the engine writes the store. A step is durable
//! before anything that depends on it begins; steps that arrive together share one transaction.
//! Everything that takes time happens in lanes; everything that decides happens in
//! the thread that called [`Engine::run`], from results of finished generations, so that the run
//! does not depend on which lane was faster.
mod begin;
mod close;
mod config;
mod develop;
mod devices;
mod durable;
mod early;
mod error;
mod evaluate;
mod event;
mod judge;
mod lanes;
mod plan;
mod propose;
mod refine;
mod repeat;
mod state;
mod view;
mod weights;

pub use begin::space_of;
pub use begin::starts_of;
pub use config::Budget;
pub use config::ConfigError;
pub use config::DeviceNames;
pub use config::Limit;
pub use config::RunConfig;
pub use config::SearchConfig;
pub use config::TrainingConfig;
pub use develop::DevelopError;
pub use develop::Developed;
pub use develop::Material;
pub use develop::Source;
pub use develop::develop;
pub use error::EngineError;
pub use event::Event;
pub use lanes::Gauge;
pub use state::Candidate;
pub use state::Counts;
pub use state::State;
pub use weights::WeightsError;
pub use weights::from_bytes as weights_from_bytes;
pub use weights::to_bytes as weights_to_bytes;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::graph::Graph;
use crate::graph::Network;
use crate::measure::Verdict;
use crate::morphism::Applied;
use crate::search::Evaluated;
use crate::search::Grown;
use crate::search::Strategy;
use crate::space::Architecture;
use crate::space::Space;
use crate::store::Accepted;
use crate::store::CandidateId;
use crate::store::DeviceAt;
use crate::store::EndKind;
use crate::store::Measured;
use crate::store::Record;
use crate::store::RunRecord;
use crate::store::Store;
use crate::train::Trainer;

use lanes::Lanes;
use plan::Scale;
use plan::Start;

/// Members of each front measured again after each generation.
const REMEASURED: usize = 3;
/// Rounds after which a front member is known well enough.
const ENOUGH_ROUNDS: usize = 5;
/// Fewest rounds of a front member when the run ends.
const FINAL_ROUNDS: usize = 3;
/// Members of each front measured in one step when the run ends.
const MEASURED_AT_ONCE: usize = 8;
/// Largest share of a time budget that is kept for that.
const MOST_FOR_FINISH: f64 = 0.2;
/// Streams of the run's generator below this number belong to candidates, above to generations.
const GENERATION_STREAMS: u64 = 1 << 40;
/// Longest silence of the loop.
const TICK: Duration = Duration::from_secs(1);
/// Time between two tries to write a full or read-only store.
const RETRY: Duration = Duration::from_secs(5);

/// Why a run ended; none of these is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The budget is spent.
    Budget,
    /// Asked to stop; the store has everything that is needed to go on.
    Interrupted,
    /// The strategy has nothing left to propose.
    NoMoreProposals,
}

/// A search: the owner of its state, its store and its lanes.
pub struct Engine {
    config: RunConfig,
    run: RunRecord,
    store: Store,
    state: State,
    space: Arc<dyn Space>,
    /// Members of it that are evaluated before all others.
    starts: Vec<Architecture>,
    /// Networks that the space begins with.
    seeds: Vec<Graph>,
    scale: Scale,
    strategy: Box<dyn Strategy>,
    material: Arc<Material>,
    lanes: Lanes,
    /// Weights of the front's members and of the open generation.
    networks: BTreeMap<CandidateId, Arc<Network>>,
    /// How the structures of the open generation came about, as far as they were proposed since the
    /// start.
    chains: BTreeMap<CandidateId, Vec<Applied>>,
    started: Instant,
    seconds_before: f64,
    /// What measuring a front member again took last.
    seconds_a_round: f64,
    /// Why a device has no figures of a candidate and is not asked for them again.
    failures: BTreeMap<(CandidateId, DeviceAt), String>,
    /// Devices that cannot measure anything any more.
    lost: BTreeSet<DeviceAt>,
    interrupted: Arc<AtomicBool>,
    stop_lanes: Arc<AtomicBool>,
    keep_blobs: bool,
    trainer: Arc<dyn Trainer>,
}

/// What an engine is made of.
pub struct Parts {
    /// Resolved and valid.
    pub config: RunConfig,
    /// As it stands in the store.
    pub run: RunRecord,
    /// Open for writing, holding the run.
    pub store: Store,
    /// The run's data.
    pub material: Arc<Material>,
    /// The run's trainer.
    pub trainer: Arc<dyn Trainer>,
    /// The run's devices, in their order.
    pub gauges: Vec<Gauge>,
    /// Set from outside to stop the run.
    pub interrupted: Arc<AtomicBool>,
    /// Are weights and ONNX files kept? Only a benchmark of the engine itself says no.
    pub keep_blobs: bool,
}

impl Engine {
    /// Opens a run: folds what the store knows of it and starts the lanes.
    ///
    /// # Errors
    ///
    /// [`EngineError`] if the store cannot be read; as [`space_of`] and [`starts_of`].
    pub fn start(parts: Parts) -> Result<Engine, EngineError> {
        let Parts { config, run, store, material, trainer, gauges, interrupted, keep_blobs } =
            parts;
        let references = run.devices.iter().map(|device| {
            let json = device.reference.as_deref();
            json.map(serde_json::from_str).transpose().map_err(EngineError::Reference)
        });
        let mut state = State::new(&config, references.collect::<Result<_, _>>()?);
        let space = space_of(&config, &material.data)?;
        let starts = starts_of(&config, space.as_ref())?;
        let mut strategy = begin::strategy(&config);
        for record in store.reader()?.records(&run.id)? {
            state.apply(&record);
            if let Record::Told(told) = &record {
                tell(strategy.as_mut(), &state, &told.candidates);
            }
        }
        let seeds = begin::first_networks(space.as_ref());
        let largest_seed = seeds.iter().map(|seed| seed.cost().macs.0).max().unwrap_or(0);
        let scale = Scale { images: material.data.train.len(), largest_seed };
        let stop_lanes = Arc::new(AtomicBool::new(false));
        let n = lanes(&config);
        let lanes = Lanes::start(gauges, trainer.clone(), material.clone(), n, stop_lanes.clone());
        let seconds_before = state.seconds();
        let networks = BTreeMap::new();
        let started = Instant::now();
        Ok(Engine {
            config,
            run,
            store,
            state,
            space,
            starts,
            seeds,
            scale,
            strategy,
            material,
            lanes,
            networks,
            chains: BTreeMap::new(),
            started,
            seconds_before,
            seconds_a_round: 1.0,
            failures: BTreeMap::new(),
            lost: BTreeSet::new(),
            interrupted,
            stop_lanes,
            keep_blobs,
            trainer,
        })
    }

    /// What is known of the run.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Searches until the budget is spent, the strategy is out of proposals, or the run is
    /// interrupted. `watch` sees every event in the order in which it became durable.
    ///
    /// # Errors
    ///
    /// [`EngineError::ImpossibleLimit`] if no candidate of the first generation meets the hard
    /// limits, or what the store answers.
    pub fn run(
        &mut self,
        watch: &mut dyn FnMut(&Event, &State),
    ) -> Result<StopReason, EngineError> {
        match self.search(watch) {
            Err(EngineError::InterruptedWhilePaused) => Ok(StopReason::Interrupted),
            result => result,
        }
    }

    fn search(&mut self, watch: &mut dyn FnMut(&Event, &State)) -> Result<StopReason, EngineError> {
        let resumed = !self.state.candidates().is_empty();
        watch(&Event::Started { resumed }, &self.state);
        loop {
            if let Some(reason) = self.stop_reason() {
                if reason == StopReason::Budget && !self.state.open().is_empty() {
                    self.abandon_open(watch)?;
                    self.close_generation(Vec::new(), watch)?;
                }
                return self.end(reason, watch);
            }
            let nothing_open = self.state.open().is_empty();
            if nothing_open && !self.refine(watch)? && !self.propose(watch)? {
                self.reject_limits_without_a_seed()?;
                return self.end(StopReason::NoMoreProposals, watch);
            }
            match self.evaluate_open(watch)? {
                Some(StopReason::Interrupted) => return Ok(StopReason::Interrupted),
                Some(reason) => {
                    self.abandon_open(watch)?;
                    self.close_generation(Vec::new(), watch)?;
                    return self.end(reason, watch);
                }
                None => {}
            }
            self.reject_impossible_limits()?;
            let again = self.to_measure_again(REMEASURED, ENOUGH_ROUNDS);
            let Some(rounds) = self.measure_again(again, watch)? else { continue };
            self.close_generation(rounds, watch)?;
        }
    }

    fn seconds(&self) -> f64 {
        self.seconds_before + self.started.elapsed().as_secs_f64()
    }

    fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    fn stop_reason(&self) -> Option<StopReason> {
        if self.is_interrupted() {
            return Some(StopReason::Interrupted);
        }
        let Budget { candidates, epochs, .. } = self.config.budget;
        let counts = self.state.counts();
        // Candidates and epochs are counted by whole generations.
        let counted = candidates.is_some_and(|n| counts.accepted >= n)
            || epochs.is_some_and(|n| counts.epochs >= n);
        let time_is_up = self.deadline().is_some_and(|s| self.seconds() >= s);
        let spent = time_is_up || counted && self.state.open().is_empty();
        spent.then_some(StopReason::Budget)
    }

    /// When the search must end so that the fronts' last measurements still fit the time budget,
    /// in seconds of the run.
    fn deadline(&self) -> Option<f64> {
        let budget = self.config.budget.seconds?;
        // Devices measure side by side.
        let rounds = self.state.devices().map(|device| {
            let members = self.least_measured(device, usize::MAX, FINAL_ROUNDS).into_iter();
            members.map(|id| FINAL_ROUNDS - self.rounds(device, id)).sum::<usize>()
        });
        let needed = rounds.max().unwrap_or(0) as f64 * self.seconds_a_round;
        Some(budget - needed.min(MOST_FOR_FINISH * budget))
    }

    fn stream(&self, number: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.config.seed);
        rng.set_stream(number);
        rng
    }
}

fn lanes(config: &RunConfig) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    match config.training.lanes {
        0 => cores,
        n => n,
    }
}

/// Tells the strategy about candidates, in this order.
fn tell(strategy: &mut dyn Strategy, state: &State, candidates: &[CandidateId]) {
    for id in candidates {
        let candidate = &state.candidates()[id];
        let is_unfinished =
            candidate.ended.as_ref().is_some_and(|ended| ended.kind == EndKind::Unfinished);
        // What a whole schedule makes of a member says nothing about children, and the end of the
        // budget nothing about whom it met.
        if is_unfinished || Start::of(&candidate.accepted) == Start::Refinement {
            continue;
        }
        let error = |c: &Candidate| c.trained.as_ref().map(|t| t.error);
        let parent = candidate.accepted.parent.map(|p| &state.candidates()[&p]);
        strategy.tell(&Evaluated {
            id: *id,
            architecture: architecture(&candidate.accepted),
            grown: parent.and_then(|parent| grown(parent, &candidate.accepted)),
            parent_error: parent.and_then(error),
            error: error(candidate),
            costs: state.devices().map(|device| state.costs(device, candidate)).collect(),
        });
    }
}

/// `None` in a fixed space, where weights come without morphisms.
fn grown(parent: &Candidate, accepted: &Accepted) -> Option<Grown> {
    let steps = accepted.steps.clone();
    (!steps.is_empty()).then(|| Grown { parent: parent.accepted.graph.clone(), steps })
}

/// As its space writes it down.
fn architecture(accepted: &Accepted) -> Architecture {
    match &accepted.choices {
        Some(choices) => Architecture::Chosen(choices.clone()),
        None => Architecture::grown(accepted.graph.clone()),
    }
}

/// What is to be told if its outputs were not those of the network.
fn wrong(measured: &Measured) -> Option<Event> {
    if !is_wrong(measured) {
        return None;
    }
    let json: serde_json::Value = serde_json::from_str(&measured.json).ok()?;
    let (device, reason) = (json["device"].as_str()?, json["reasons"][0].as_str()?);
    let (candidate, device, reason) = (measured.candidate, device.to_owned(), reason.to_owned());
    Some(Event::Wrong { candidate, device, reason })
}

/// A measurement without samples is not recorded, so it is its outputs that failed.
fn is_wrong(measured: &Measured) -> bool {
    measured.verdict == Verdict::Failed.to_string()
}

fn announce(records: &[Record], state: &State, watch: &mut dyn FnMut(&Event, &State)) {
    for record in records {
        match record {
            Record::Measured(measured) => {
                watch(&Event::Measured(measured.clone()), state);
                wrong(measured).iter().for_each(|event| watch(event, state));
            }
            Record::Trained(trained) => watch(&Event::Trained(trained.clone()), state),
            Record::Ended(ended) => watch(&Event::Ended(ended.clone()), state),
            Record::Accepted(_) | Record::Told(_) | Record::Tested { .. } => {}
        }
    }
}
