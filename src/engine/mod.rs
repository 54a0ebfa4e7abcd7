//! What happens when: the loop that owns all state of a search.
//!
//! Steps follow each other only here, and only the engine writes the store. A step is durable
//! before anything that depends on it begins; steps that arrive together share one transaction.
//! Everything that takes time happens in lanes; everything that decides happens in
//! the thread that called [`Engine::run`], from results of finished generations, so that the run
//! does not depend on which lane was faster.
mod config;
mod develop;
mod early;
mod error;
mod event;
mod lanes;
mod repeat;
mod state;
mod weights;

pub use config::Budget;
pub use config::ConfigError;
pub use config::Limit;
pub use config::RunConfig;
pub use config::SearchConfig;
pub use config::TrainingConfig;
pub use config::nearest;
pub use develop::Material;
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
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::data::Augment;
use crate::data::DataSet;
use crate::graph::Graph;
use crate::graph::Network;
use crate::measure;
use crate::measure::Measurement;
use crate::morphism;
use crate::morphism::Applied;
use crate::morphism::Step;
use crate::onnx;
use crate::pareto::Archive;
use crate::pareto::Member;
use crate::pareto::Objective;
use crate::pareto::Reference;
use crate::pareto::Value;
use crate::search::Acceptance;
use crate::search::Evaluated;
use crate::search::Lemonade;
use crate::search::Origin;
use crate::search::Parent;
use crate::search::Random;
use crate::search::Situation;
use crate::search::Strategy;
use crate::space::MorphismSpace;
use crate::stats::wilson;
use crate::store::Accepted;
use crate::store::CandidateId;
use crate::store::EndKind;
use crate::store::Ended;
use crate::store::FrontMember;
use crate::store::Measured;
use crate::store::Record;
use crate::store::RunRecord;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::Told;
use crate::store::Trained;
use crate::train::TrainError;
use crate::train::TrainPlan;
use crate::train::Trainer;

use develop::DevelopError;
use develop::Developed;
use develop::Source;
use early::Experience;
use early::Prospect;
use lanes::Done;
use lanes::Lane;
use lanes::Lanes;
use lanes::MeasureJob;
use lanes::Model;
use lanes::TrainJob;

/// Front members measured again after each generation.
const REMEASURED: usize = 3;
/// Rounds after which a front member is known well enough.
const ENOUGH_ROUNDS: usize = 5;
/// Fewest rounds of a front member when the run ends.
const FINAL_ROUNDS: usize = 3;
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
    space: MorphismSpace,
    strategy: Box<dyn Strategy>,
    material: Arc<Material>,
    lanes: Lanes,
    /// Weights of the front's members and of the open generation.
    networks: BTreeMap<CandidateId, Arc<Network>>,
    started: Instant,
    seconds_before: f64,
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
    /// The run's device.
    pub gauge: Gauge,
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
    /// [`EngineError`] if the store cannot be read.
    pub fn start(parts: Parts) -> Result<Engine, EngineError> {
        let Parts { config, run, store, material, trainer, gauge, interrupted, keep_blobs } =
            parts;
        let reference = match &run.reference {
            Some(json) => Some(serde_json::from_str(json).map_err(EngineError::Reference)?),
            None => None,
        };
        let mut state = State::new(&config.objectives, reference);
        let mut strategy = strategy(&config);
        for record in store.reader()?.records(&run.id)? {
            state.apply(&record);
            if let Record::Told(told) = &record {
                tell(strategy.as_mut(), &state, &told.candidates);
            }
        }
        let data = &material.data;
        let space = MorphismSpace::new(data.shape, data.classes.len(), data.train.len());
        let stop_lanes = Arc::new(AtomicBool::new(false));
        let n = lanes(&config);
        let lanes =
            Lanes::start(gauge, trainer.clone(), material.clone(), n, stop_lanes.clone());
        let seconds_before = state.seconds();
        let networks = BTreeMap::new();
        let started = Instant::now();
        Ok(Engine {
            config,
            run,
            store,
            state,
            space,
            strategy,
            material,
            lanes,
            networks,
            started,
            seconds_before,
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
        let resumed = !self.state.candidates().is_empty();
        watch(&Event::Started { resumed }, &self.state);
        loop {
            if let Some(reason) = self.stop_reason() {
                return self.end(reason, watch);
            }
            if self.state.open().is_empty() && !self.propose(watch)? {
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
            let again = self.least_measured(REMEASURED, ENOUGH_ROUNDS);
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
        let Budget { seconds, candidates, epochs } = self.config.budget;
        let counts = self.state.counts();
        let spent = seconds.is_some_and(|s| self.seconds() >= s)
            || candidates.is_some_and(|n| counts.accepted >= n && self.state.open().is_empty())
            || epochs.is_some_and(|n| counts.epochs >= n);
        spent.then_some(StopReason::Budget)
    }

    /// Asks the strategy for a generation and writes it down; false if there is none.
    fn propose(&mut self, watch: &mut dyn FnMut(&Event, &State)) -> Result<bool, EngineError> {
        let generation = self.state.generation();
        let mut rng = self.stream(GENERATION_STREAMS + u64::from(generation));
        let front = self.parents();
        let costs = Costs::of(&self.config, &self.state);
        let room = self.room();
        let situation = Situation {
            space: &self.space,
            front: &front,
            known: self.state.known(),
            reference: self.state.reference(),
            costs: &|graph| costs.of_graph(graph),
            error_at: self.config.error_at(),
            room,
        };
        let asked = self.strategy.ask(&situation, &mut rng);
        if asked.proposals.is_empty() {
            return Ok(false);
        }
        let first = self.state.candidates().keys().next_back().map_or(1, |id| id + 1);
        let proposed = self.state.counts().proposed + asked.looked_at;
        let at_s = self.seconds();
        let records: Vec<Record> = asked.proposals.into_iter().zip(first..).map(|(p, id)| {
            let (parent, steps) = match p.origin {
                Origin::Scratch => (None, Vec::new()),
                Origin::Child { parent, steps } => {
                    (Some(parent), steps.into_iter().map(|applied| applied.step).collect())
                }
            };
            let cost = p.graph.cost();
            Record::Accepted(Accepted {
                candidate: id,
                parent,
                generation,
                proposed,
                arch: p.graph.arch_id(),
                predicted_latency_us: costs.predicted_latency(&p.graph),
                graph: p.graph,
                steps,
                parameters: cost.parameters,
                macs: cost.macs.0,
                at_s,
            })
        }).collect();
        self.commit(&records, watch)?;
        let accepted = self.state.open();
        watch(&Event::Proposed { generation, accepted }, &self.state);
        Ok(true)
    }

    /// Candidates that the generation may have, so that the budget is met exactly.
    fn room(&self) -> usize {
        let left = self.config.budget.candidates;
        let left = left.map_or(u64::MAX, |n| n.saturating_sub(self.state.counts().accepted));
        self.config.search.accept.min(usize::try_from(left).unwrap_or(usize::MAX))
    }

    fn stream(&self, number: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.config.seed);
        rng.set_stream(number);
        rng
    }

    fn parents(&self) -> Vec<Parent> {
        let members = self.state.front().iter().map(|member| {
            let graph = self.state.candidates()[&member.candidate].accepted.graph.clone();
            Parent { id: member.candidate, graph, values: member.values.clone() }
        });
        members.collect()
    }

    /// Measures and trains the open generation. `Some` if the run must stop before it is done.
    fn evaluate_open(
        &mut self,
        watch: &mut dyn FnMut(&Event, &State),
    ) -> Result<Option<StopReason>, EngineError> {
        let archive = Arc::new(self.told_archive());
        let experience = Arc::new(Experience::of(&self.state));
        let mut to_train = VecDeque::new();
        for id in self.state.open() {
            let candidate = &self.state.candidates()[&id];
            if candidate.is_finished() {
                continue;
            }
            match candidate.rounds.is_empty() {
                true => self.send_first_measurement(id),
                false => to_train.push_back(id),
            }
        }
        loop {
            if self.lanes.measuring == 0 {
                for id in std::mem::take(&mut to_train) {
                    let job = self.train_job(id, &archive, &experience)?;
                    self.lanes.train(job);
                }
            }
            if self.lanes.measuring == 0 && self.lanes.training == 0 {
                return Ok(None);
            }
            let done = self.lanes.wait(TICK);
            if done.is_empty() {
                watch(&Event::Tick, &self.state);
            }
            let records = self.digest(done, &archive, &experience, &mut to_train, watch)?;
            self.commit(&records, watch)?;
            announce(&records, &self.state, watch);
            let time_is_up = self.config.budget.seconds.is_some_and(|s| self.seconds() >= s);
            if self.is_interrupted() || time_is_up {
                self.stop_lanes.store(true, Ordering::Relaxed);
                return Ok(Some(match self.is_interrupted() {
                    true => StopReason::Interrupted,
                    false => StopReason::Budget,
                }));
            }
        }
    }

    /// Turns results into records, and measured candidates into trainings or kills.
    fn digest(
        &mut self,
        done: Vec<Done>,
        archive: &Arc<Archive>,
        experience: &Experience,
        to_train: &mut VecDeque<CandidateId>,
        watch: &mut dyn FnMut(&Event, &State),
    ) -> Result<Vec<Record>, EngineError> {
        let mut records = Vec::new();
        for done in done {
            match done {
                Done::Epoch(id, epoch) => watch(&Event::Epoch(id, epoch), &self.state),
                Done::Dropped(..) => {}
                Done::Panicked(_, id, text) => {
                    records.push(self.ended(id, EndKind::Failed, format!("internal: {text}"), 0));
                }
                Done::Measured(id, round, bytes, result) => match *result {
                    Ok(measurement) => {
                        let measured = self.measured(id, round, bytes, &measurement);
                        let killed = self.killed(&measured, archive, experience);
                        records.push(Record::Measured(measured));
                        match killed {
                            Some(record) => records.push(record),
                            None => to_train.push_back(id),
                        }
                    }
                    Err(error) if error.is_fatal() => return Err(EngineError::Measure(error)),
                    Err(error) => {
                        records.push(self.ended(id, EndKind::Failed, error.to_string(), 0));
                    }
                },
                Done::Trained(id, result, took) => {
                    records.push(self.trained(id, *result, took, watch)?);
                }
            }
        }
        Ok(records)
    }

    fn send_first_measurement(&mut self, id: CandidateId) {
        let graph = self.state.candidates()[&id].accepted.graph.clone();
        let model = Model::Untrained(Box::new(graph), self.stream(id));
        let plan = measure::Plan::screen();
        self.lanes.measure(MeasureJob { candidate: id, round: 0, model, plan });
    }

    fn measured(
        &self,
        candidate: CandidateId,
        round: u32,
        model_bytes: u64,
        measurement: &Measurement,
    ) -> Measured {
        let latency = measurement.latency();
        Measured {
            candidate,
            round,
            latency_us: latency.p50.0,
            latency_interval_us: latency.p50_interval.map(|us| us.0),
            memory_bytes: measurement.memory_above_baseline().map(|b| b.0),
            model_bytes,
            verdict: measurement.verdict().to_string(),
            json: measurement.to_json(),
            at_s: self.seconds(),
        }
    }

    /// A record of the kill, if the measured candidate breaks a hard limit or cannot enter the
    /// front even with the lowest error that is believable.
    fn killed(
        &self,
        measured: &Measured,
        archive: &Arc<Archive>,
        experience: &Experience,
    ) -> Option<Record> {
        let id = measured.candidate;
        for limit in &self.config.limits {
            let value = match limit.objective {
                Objective::Latency => Some(measured.latency_us),
                Objective::Memory => measured.memory_bytes.map(|b| b as f64),
                Objective::ModelBytes => Some(measured.model_bytes as f64),
                Objective::Error | Objective::Parameters | Objective::Macs => None,
            };
            if value.is_some_and(|v| v > limit.most) {
                let found = limit.objective.format(value.unwrap_or_default());
                let most = limit.objective.format(limit.most);
                let reason = format!("{} {found} is over the limit {most}", limit.objective);
                return Some(self.ended(id, EndKind::KilledBeforeTraining, reason, 0));
            }
        }
        let error = self.optimistic_error(id, experience);
        let prospect = self.prospect_after(measured, archive)?;
        (!prospect.enters_at(error)).then(|| {
            let error = Objective::Error.format(error);
            let reason = format!("dominated even at an error of {error}");
            self.ended(id, EndKind::KilledBeforeTraining, reason, 0)
        })
    }

    fn optimistic_error(&self, id: CandidateId, experience: &Experience) -> f64 {
        let parent = self.state.candidates()[&id].accepted.parent;
        let parent = parent.and_then(|p| self.state.candidates()[&p].trained.as_ref());
        parent.map_or(0.0, |p| experience.optimistic_child(p.error))
    }

    /// The candidate's prospect, with a measurement that is not part of the state yet.
    fn prospect_after(&self, measured: &Measured, archive: &Arc<Archive>) -> Option<Prospect> {
        let values = self.state.values_with(measured)?;
        Some(Prospect {
            archive: archive.clone(),
            values,
            error_at: self.config.error_at(),
        })
    }

    fn train_job(
        &mut self,
        id: CandidateId,
        archive: &Arc<Archive>,
        experience: &Arc<Experience>,
    ) -> Result<TrainJob, EngineError> {
        let candidate = self.state.candidates()[&id].clone();
        let values = self.state.values_at(&candidate, 0.0);
        let prospect = values.map(|values| Prospect {
            archive: archive.clone(),
            values,
            error_at: self.config.error_at(),
        });
        let accepted = candidate.accepted;
        let source = match accepted.parent {
            None => Source::Scratch(accepted.graph),
            Some(parent) => {
                let network = self.network(parent)?;
                let steps = replayed(&network.graph, &accepted.steps)?;
                Source::Parent { network, steps }
            }
        };
        let plan = train_plan(&self.config, &source, &self.material.data, id);
        Ok(TrainJob {
            candidate: id,
            source,
            plan,
            distill_epochs: self.config.training.epochs_of_distillation,
            rng: self.stream(id),
            prospect,
            experience: experience.clone(),
        })
    }

    /// The trained network of a candidate, from memory or from its blob.
    fn network(&mut self, id: CandidateId) -> Result<Arc<Network>, EngineError> {
        if let Some(network) = self.networks.get(&id) {
            return Ok(network.clone());
        }
        let candidate = &self.state.candidates()[&id];
        let graph = &candidate.accepted.graph;
        let hash = candidate.trained.as_ref().and_then(|t| t.weights.as_ref());
        let network = match hash {
            Some(hash) => {
                let bytes = self.store.blob(hash)?;
                weights::from_bytes(graph, &bytes)
                    .map_err(|source| EngineError::Weights { candidate: id, source })?
            }
            None => self.material.scratch(graph, &mut self.stream(id)),
        };
        let network = Arc::new(network);
        self.networks.insert(id, network.clone());
        Ok(network)
    }

    /// The record of a training's end; blobs are written before it.
    fn trained(
        &mut self,
        id: CandidateId,
        result: Result<Developed, DevelopError>,
        took: Duration,
        watch: &mut dyn FnMut(&Event, &State),
    ) -> Result<Record, EngineError> {
        let developed = match result {
            Ok(developed) => developed,
            Err(DevelopError::Train(error @ TrainError::Diverged { epoch })) => {
                return Ok(self.ended(id, EndKind::Diverged, error.to_string(), epoch));
            }
            Err(error) => return Ok(self.ended(id, EndKind::Failed, error.to_string(), 0)),
        };
        let epochs = developed.curve.len() as u32;
        if developed.stopped {
            let reason = format!(
                "its learning curve cannot enter the front: {} after epoch {epochs}",
                Objective::Error.format(developed.error)
            );
            return Ok(self.ended(id, EndKind::StoppedInTraining, reason, epochs));
        }
        let (mut weights, mut onnx) = (None, None);
        if self.keep_blobs {
            let file = onnx::export(&developed.network, &self.export_options(id));
            let bytes = weights::to_bytes(&developed.network);
            onnx = Some(self.put_blob(&file, watch)?);
            weights = Some(self.put_blob(&bytes, watch)?);
        }
        self.networks.insert(id, Arc::new(developed.network));
        let n = self.material.data.validation.len();
        let wrong = (developed.error * n as f64).round();
        let error_interval = wilson(wrong as u64, n as u64, 0.95);
        Ok(Record::Trained(Trained {
            candidate: id,
            error: developed.error,
            error_interval,
            outcomes: developed.outcomes,
            curve: developed.curve,
            weights,
            onnx,
            train_s: took.as_secs_f64(),
            at_s: self.seconds(),
        }))
    }

    fn export_options(&self, id: CandidateId) -> onnx::ExportOptions {
        let metadata = [
            ("citronade.run", self.run.id.clone()),
            ("citronade.candidate", id.to_string()),
            ("citronade.data", self.run.data.clone()),
            ("citronade.classes", self.material.data.classes.join(",")),
        ];
        let metadata = metadata.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        onnx::ExportOptions { metadata, ..onnx::ExportOptions::default() }
    }

    fn ended(&self, candidate: CandidateId, kind: EndKind, reason: String, epochs: u32) -> Record {
        let accepted = &self.state.candidates()[&candidate].accepted;
        let n = self.material.data.train.len();
        let planned = epochs_of(&self.config, accepted.parent.is_some(), n);
        let saved = match kind {
            EndKind::KilledBeforeTraining | EndKind::StoppedInTraining => {
                planned.saturating_sub(epochs)
            }
            EndKind::Diverged | EndKind::Failed | EndKind::Unfinished => 0,
        };
        let at_s = self.seconds();
        Record::Ended(Ended { candidate, kind, reason, epochs, epochs_saved: saved, at_s })
    }

    /// The front as it was last told.
    fn told_archive(&self) -> Archive {
        let members = self.state.front().iter().map(|m| Member {
            id: m.candidate,
            values: m
                .values
                .iter()
                .zip(&m.intervals)
                .map(|(&value, &interval)| Value { value, interval })
                .collect(),
        });
        Archive::from_members(self.config.objectives.clone(), members)
    }

    /// Marks what the budget left undone.
    fn abandon_open(&mut self, watch: &mut dyn FnMut(&Event, &State)) -> Result<(), EngineError> {
        let open = self.state.open();
        let unfinished = open.iter().filter(|id| !self.state.candidates()[id].is_finished());
        let reason = "the budget was spent first";
        let records: Vec<Record> = unfinished
            .map(|&id| self.ended(id, EndKind::Unfinished, reason.to_owned(), 0))
            .collect();
        self.commit(&records, watch)
    }

    /// If nothing of the first generation met the hard limits, the user must hear by how much.
    fn reject_impossible_limits(&self) -> Result<(), EngineError> {
        let open = self.state.open();
        let all: Vec<&Candidate> = open.iter().map(|id| &self.state.candidates()[id]).collect();
        if self.state.generation() > 0 || all.iter().any(|c| c.trained.is_some()) {
            return Ok(());
        }
        for limit in &self.config.limits {
            let values = all.iter().filter_map(|c| self.state.cheap(c, limit.objective));
            let least = values.map(|v| v.value).reduce(f64::min);
            if let Some(least) = least.filter(|least| *least > limit.most) {
                return Err(EngineError::ImpossibleLimit {
                    objective: limit.objective,
                    most: limit.objective.format(limit.most),
                    least: limit.objective.format(least),
                    factor: least / limit.most,
                });
            }
        }
        let reason = all.iter().find_map(|c| c.ended.as_ref()).map(|e| e.reason.clone());
        Err(EngineError::NothingTrained { reason: reason.unwrap_or_default() })
    }

    /// Front members with the fewest rounds, at most `n`, that have fewer than `enough`.
    fn least_measured(&self, n: usize, enough: usize) -> Vec<CandidateId> {
        let archive = self.state.archive();
        let rounds = |id: &CandidateId| self.state.candidates()[id].rounds.len();
        let mut ids: Vec<CandidateId> = archive.members().iter().map(|m| m.id).collect();
        ids.retain(|id| rounds(id) < enough);
        ids.sort_by_key(|id| (rounds(id), *id));
        ids.truncate(n);
        ids
    }

    /// Measures trained models again, more thoroughly. `None` if the run is interrupted.
    ///
    /// Nothing is written yet: the rounds become durable together with the front that they shape.
    fn measure_again(
        &mut self,
        ids: Vec<CandidateId>,
        watch: &mut dyn FnMut(&Event, &State),
    ) -> Result<Option<Vec<Measured>>, EngineError> {
        for id in &ids {
            let candidate = &self.state.candidates()[id];
            let round = candidate.rounds.len() as u32;
            let blob = candidate.trained.as_ref().and_then(|t| t.onnx.as_ref());
            let model = match blob {
                Some(hash) => Model::Onnx(self.store.blob(hash)?),
                None => {
                    let graph = candidate.accepted.graph.clone();
                    Model::Untrained(Box::new(graph), self.stream(*id))
                }
            };
            let plan = measure::Plan::search();
            self.lanes.measure(MeasureJob { candidate: *id, round, model, plan });
        }
        let mut rounds = Vec::new();
        while self.lanes.measuring > 0 {
            let done = self.lanes.wait(TICK);
            if done.is_empty() {
                watch(&Event::Tick, &self.state);
            }
            for done in done {
                if let Done::Measured(id, round, bytes, result) = done
                    && let Ok(measurement) = *result
                {
                    rounds.push(self.measured(id, round, bytes, &measurement));
                }
            }
            if self.is_interrupted() {
                self.stop_lanes.store(true, Ordering::Relaxed);
                return Ok(None);
            }
        }
        rounds.sort_by_key(|m| m.candidate);
        Ok(Some(rounds))
    }

    /// Makes the new front durable and tells the strategy.
    fn close_generation(
        &mut self,
        rounds: Vec<Measured>,
        watch: &mut dyn FnMut(&Event, &State),
    ) -> Result<(), EngineError> {
        let records: Vec<Record> = rounds.into_iter().map(Record::Measured).collect();
        let mut preview = self.state.clone();
        records.iter().for_each(|r| preview.apply(r));
        if preview.reference().is_none() {
            let reference = reference(&self.config, &preview, &self.material);
            let json = serde_json::to_string(&reference).map_err(EngineError::Reference)?;
            self.store.set_reference(&self.run.id, &json)?;
            self.state.set_reference(reference.clone());
            preview.set_reference(reference);
        }
        let archive = preview.archive();
        let reference = preview.reference().expect("it was just set");
        let points: Vec<Vec<f64>> = archive.members().iter().map(|m| m.point()).collect();
        let told = Told {
            generation: preview.generation(),
            candidates: preview.open(),
            proposed: preview.counts().proposed,
            hypervolume: reference.hypervolume(&points),
            front: archive.members().into_iter().map(front_member).collect(),
            at_s: self.seconds(),
        };
        let (generation, candidates) = (told.generation, told.candidates.clone());
        let mut records = records;
        records.push(Record::Told(told));
        self.commit(&records, watch)?;
        announce(&records, &self.state, watch);
        tell(self.strategy.as_mut(), &self.state, &candidates);
        let kept: Vec<CandidateId> = self.state.front().iter().map(|m| m.candidate).collect();
        self.networks.retain(|id, _| kept.contains(id));
        watch(&Event::Generation(generation), &self.state);
        Ok(())
    }

    /// The last measurements and the test errors of the front, unless the user wants out.
    fn end(
        &mut self,
        reason: StopReason,
        watch: &mut dyn FnMut(&Event, &State),
    ) -> Result<StopReason, EngineError> {
        if reason == StopReason::Interrupted || self.state.told().is_empty() {
            return Ok(reason);
        }
        watch(&Event::Finishing, &self.state);
        self.drain_lanes();
        self.stop_lanes.store(false, Ordering::Relaxed);
        loop {
            let again = self.least_measured(usize::MAX, FINAL_ROUNDS);
            if again.is_empty() {
                break;
            }
            let Some(rounds) = self.measure_again(again, watch)? else {
                return Ok(StopReason::Interrupted);
            };
            if rounds.is_empty() {
                break;
            }
            self.close_generation(rounds, watch)?;
        }
        self.test_front(watch)?;
        Ok(reason)
    }

    /// Waits until nothing trains any more, so that nothing disturbs what is measured.
    fn drain_lanes(&mut self) {
        while self.lanes.measuring + self.lanes.training > 0 {
            self.lanes.wait(TICK);
        }
    }

    /// Looks at the test split, once for each front member.
    fn test_front(&mut self, watch: &mut dyn FnMut(&Event, &State)) -> Result<(), EngineError> {
        let front: Vec<CandidateId> = self.state.front().iter().map(|m| m.candidate).collect();
        let mut records = Vec::new();
        for id in front {
            if self.state.tested().contains_key(&id) || self.material.data.test.is_empty() {
                continue;
            }
            let network = self.network(id)?;
            let score = self.trainer.evaluate(&network, &self.material.data.test);
            if let Ok(score) = score {
                records.push(Record::Tested { candidate: id, error: score.error.0 });
            }
        }
        self.commit(&records, watch)
    }

    /// Makes records durable, then known. A store that cannot be written is tried again until it
    /// can, or until the run is interrupted.
    fn commit(
        &mut self,
        records: &[Record],
        watch: &mut dyn FnMut(&Event, &State),
    ) -> Result<(), EngineError> {
        if records.is_empty() {
            return Ok(());
        }
        self.patiently(watch, |engine| engine.store.commit(&engine.run.id, records))?;
        records.iter().for_each(|record| self.state.apply(record));
        Ok(())
    }

    fn put_blob(
        &mut self,
        bytes: &[u8],
        watch: &mut dyn FnMut(&Event, &State),
    ) -> Result<String, EngineError> {
        self.patiently(watch, |engine| engine.store.put_blob(bytes))
    }

    fn patiently<T>(
        &mut self,
        watch: &mut dyn FnMut(&Event, &State),
        mut write: impl FnMut(&mut Engine) -> Result<T, StoreError>,
    ) -> Result<T, EngineError> {
        loop {
            let error = match write(self) {
                Ok(value) => return Ok(value),
                Err(error) if error.is_full() && !self.is_interrupted() => error,
                Err(error) => return Err(error.into()),
            };
            watch(&Event::Paused(error.to_string()), &self.state);
            let until = Instant::now() + RETRY;
            while Instant::now() < until && !self.is_interrupted() {
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

fn strategy(config: &RunConfig) -> Box<dyn Strategy> {
    let search = &config.search;
    match search.strategy.as_str() {
        "random" => Box::new(Random),
        _ => Box::new(Lemonade::new(search.acceptance, search.children, search.inherit)),
    }
}

/// The chain of structures that recorded steps make of `parent`.
fn replayed(parent: &Graph, steps: &[Step]) -> Result<Vec<Applied>, EngineError> {
    let mut chain: Vec<Applied> = Vec::new();
    for step in steps {
        let graph = chain.last().map_or(parent, |applied| &applied.graph);
        chain.push(morphism::replay(graph, step)?);
    }
    Ok(chain)
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
        let error = |c: &Candidate| c.trained.as_ref().map(|t| t.error);
        let parent = candidate.accepted.parent.map(|p| &state.candidates()[&p]);
        strategy.tell(&Evaluated {
            id: *id,
            graph: candidate.accepted.graph.clone(),
            parent_error: parent.and_then(error),
            error: error(candidate),
        });
    }
}

fn announce(records: &[Record], state: &State, watch: &mut dyn FnMut(&Event, &State)) {
    for record in records {
        match record {
            Record::Measured(measured) => watch(&Event::Measured(measured.clone()), state),
            Record::Trained(trained) => watch(&Event::Trained(trained.clone()), state),
            Record::Ended(ended) => watch(&Event::Ended(ended.clone()), state),
            Record::Accepted(_) | Record::Told(_) | Record::Tested { .. } => {}
        }
    }
}

fn front_member(member: &Member) -> FrontMember {
    FrontMember {
        candidate: member.id,
        values: member.values.iter().map(|v| v.value).collect(),
        intervals: member.values.iter().map(|v| v.interval).collect(),
    }
}

/// The scale of the hypervolume: set once, from the first generation (`architecture.md`).
fn reference(config: &RunConfig, state: &State, material: &Material) -> Reference {
    let guess = 1.0 - material.data.largest_class_share();
    let largest = |objective| {
        let all = state.candidates().values().filter_map(|c| state.cheap(c, objective));
        all.map(|v| v.value).reduce(f64::max).unwrap_or(1.0)
    };
    let points = config.objectives.iter().map(|&objective| match objective {
        Objective::Error => guess,
        _ => config.limit(objective).unwrap_or_else(|| 4.0 * largest(objective)),
    });
    Reference::new(config.objectives.clone(), points.collect())
        .expect("limits are positive, and so is what was measured")
}

/// Epochs that a candidate is trained for; 0 in the configuration means by the size of the data.
fn epochs_of(config: &RunConfig, inherits: bool, images: usize) -> u32 {
    let by_size = |wanted: usize, most: u32| {
        (wanted.div_ceil(images.max(1)) as u32).clamp(1, most)
    };
    match (inherits, &config.training) {
        (false, t) if t.epochs_from_scratch > 0 => t.epochs_from_scratch,
        (false, _) => by_size(120_000, 40),
        (true, t) if t.epochs_of_child > 0 => t.epochs_of_child,
        (true, _) => by_size(40_000, 15),
    }
}

fn train_plan(config: &RunConfig, source: &Source, data: &DataSet, id: CandidateId) -> TrainPlan {
    let training = &config.training;
    let inherits = matches!(source, Source::Parent { .. });
    TrainPlan {
        epochs: epochs_of(config, inherits, data.train.len()),
        batch: training.batch,
        learning_rate: match inherits {
            true => training.learning_rate_of_child,
            false => training.learning_rate,
        },
        momentum: training.momentum,
        weight_decay: training.weight_decay,
        label_smoothing: training.label_smoothing,
        augment: training.augment.unwrap_or(Augment::for_data(data)),
        seed: config.seed ^ id.rotate_left(32),
        threads: 1,
        ..TrainPlan::default()
    }
}

/// Cheap objectives of structures, predicted where they would have to be measured.
struct Costs<'a> {
    config: &'a RunConfig,
    latency: crate::latency::Predictor,
    memory: crate::latency::Predictor,
}

impl<'a> Costs<'a> {
    fn of(config: &'a RunConfig, state: &State) -> Costs<'a> {
        let latency = state.predictor(Objective::Latency);
        let memory = state.predictor(Objective::Memory);
        Costs { config, latency, memory }
    }

    fn predicted_latency(&self, graph: &Graph) -> Option<f64> {
        let prediction = self.latency.predict(graph);
        (prediction.samples > 0).then_some(prediction.latency_us)
    }

    /// `None` if a hard limit rules the structure out, as far as that is known.
    fn of_graph(&self, graph: &Graph) -> Option<Vec<f64>> {
        let cost = graph.cost();
        let objectives = self.config.objectives.iter().filter(|o| **o != Objective::Error);
        let value = |objective: Objective| match objective {
            Objective::Error => (0.0, 0.0),
            Objective::Latency => predicted(&self.latency, graph),
            Objective::Memory => predicted(&self.memory, graph),
            Objective::Parameters => (cost.parameters as f64, cost.parameters as f64),
            Objective::Macs => (cost.macs.0 as f64, cost.macs.0 as f64),
            Objective::ModelBytes => (4.0 * cost.parameters as f64, 4.0 * cost.parameters as f64),
        };
        let breaks = |limit: &Limit| value(limit.objective).1 > limit.most;
        if self.config.limits.iter().any(breaks) {
            return None;
        }
        Some(objectives.map(|&o| value(o).0).collect())
    }
}

/// A prediction, and the least it could be if enough was measured to know.
fn predicted(predictor: &crate::latency::Predictor, graph: &Graph) -> (f64, f64) {
    let prediction = predictor.predict(graph);
    let known = prediction.samples >= crate::latency::ENOUGH;
    (prediction.latency_us, if known { prediction.interval_us[0] } else { 0.0 })
}
