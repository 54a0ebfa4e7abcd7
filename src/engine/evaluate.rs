//! Measuring and training the open generation.
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::graph::Graph;
use crate::measure::Level;
use crate::morphism;
use crate::morphism::Applied;
use crate::morphism::Step;
use crate::onnx;
use crate::pareto::Objective;
use crate::stats::wilson;
use crate::store::Accepted;
use crate::store::CandidateId;
use crate::store::EndKind;
use crate::store::Record;
use crate::store::Trained;
use crate::train::TrainError;

use super::Engine;
use super::EngineError;
use super::Event;
use super::State;
use super::StopReason;
use super::TICK;
use super::announce;
use super::develop::DevelopError;
use super::develop::Developed;
use super::develop::Source;
use super::judge::Judge;
use super::lanes::Done;
use super::lanes::MeasureJob;
use super::lanes::Model;
use super::lanes::TrainJob;
use super::lanes::Untrained;
use super::plan::train_plan;
use super::weights;

impl Engine {
    /// Measures and trains the open generation. `Some` if the run must stop before it is done.
    pub(super) fn evaluate_open(
        &mut self,
        watch: &mut dyn FnMut(&Event, &State),
    ) -> Result<Option<StopReason>, EngineError> {
        let deadline = self.deadline();
        let judge = Judge::of(self);
        let mut training = BTreeSet::new();
        loop {
            // What is measured is not disturbed by what is trained, and the other way round.
            if self.lanes.training == 0 {
                self.send_first_measurements();
            }
            if !self.lanes.is_any_measuring() {
                self.train_measured(&judge, &mut training)?;
            }
            let open = self.state.open();
            if open.iter().all(|id| self.state.candidates()[id].is_finished()) {
                return Ok(None);
            }
            let done = self.lanes.wait(TICK);
            if done.is_empty() {
                watch(&Event::Tick, &self.state);
            }
            let mut records = self.digest(done, watch)?;
            records.extend(self.judged(&records, &judge, &training));
            self.commit(&records, watch)?;
            announce(&records, &self.state, watch);
            let time_is_up = deadline.is_some_and(|s| self.seconds() >= s);
            if self.is_interrupted() || time_is_up {
                self.stop_lanes.store(true, Ordering::Relaxed);
                return Ok(Some(match self.is_interrupted() {
                    true => StopReason::Interrupted,
                    false => StopReason::Budget,
                }));
            }
        }
    }

    /// Sends what the generation was not measured on to the devices.
    fn send_first_measurements(&mut self) {
        for id in self.state.open() {
            if self.state.candidates()[&id].is_finished() {
                continue;
            }
            for device in self.state.devices() {
                let is_done = self.rounds(device, id) > 0
                    || self.failures.contains_key(&(id, device))
                    || self.lanes.is_measuring(device, id);
                if is_done || self.lost.contains(&device) {
                    continue;
                }
                let (model, level) = (self.untrained(id), Level::Screen);
                self.lanes.measure(MeasureJob { candidate: id, device, round: 0, model, level });
            }
        }
    }

    /// Sends the candidates of the generation that every device has measured as far as it is there, and
    /// that were not ended by that, to be trained.
    fn train_measured(
        &mut self,
        judge: &Judge,
        training: &mut BTreeSet<CandidateId>,
    ) -> Result<(), EngineError> {
        let mut ready = self.state.open();
        ready.retain(|id| {
            let candidate = &self.state.candidates()[id];
            let is_waiting = !candidate.is_finished() && !training.contains(id);
            is_waiting && !candidate.rounds.is_empty() && self.is_measured(*id, &[])
        });
        self.sort_for_training(&mut ready);
        for id in ready {
            let job = self.train_job(id, judge)?;
            self.lanes.train(job);
            training.insert(id);
        }
        Ok(())
    }

    /// The seeds from the smallest, so that something is on the front soon; later the longest
    /// training first, so that no lane waits long for another.
    fn sort_for_training(&self, candidates: &mut [CandidateId]) {
        let macs = |id: &CandidateId| self.state.candidates()[id].accepted.macs;
        match self.state.generation() {
            0 => candidates.sort_by_key(|id| (macs(id), *id)),
            _ => candidates.sort_by_key(|id| (Reverse(macs(id)), *id)),
        }
    }

    /// The candidate's file as it will be, but with random weights.
    pub(super) fn untrained(&self, id: CandidateId) -> Model {
        let graph = self.state.candidates()[&id].accepted.graph.clone();
        let (rng, options) = (self.stream(id), self.export_options(id));
        Model::Untrained(Box::new(Untrained { graph, rng, options }))
    }

    pub(super) fn train_job(
        &mut self,
        id: CandidateId,
        judge: &Judge,
    ) -> Result<TrainJob, EngineError> {
        let prospects = self.prospects(id, judge);
        let accepted = self.state.candidates()[&id].accepted.clone();
        let plan = train_plan(&self.config, &accepted, &self.material.data, self.scale);
        let source = match accepted.parent {
            None if self.is_weightless() => {
                Source::Nowhere { graph: accepted.graph, steps: Vec::new() }
            }
            None => Source::Scratch(accepted.graph),
            Some(parent) if self.is_weightless() => {
                let graph = self.state.candidates()[&parent].accepted.graph.clone();
                let steps = self.chain(&graph, &accepted)?;
                Source::Nowhere { graph, steps }
            }
            Some(parent) => {
                let network = self.network(parent)?;
                let steps = self.chain(&network.graph, &accepted)?;
                Source::Parent { network, steps }
            }
        };
        Ok(TrainJob {
            candidate: id,
            source,
            plan,
            distill_epochs: self.config.training.epochs_of_distillation,
            rng: self.stream(id),
            prospects,
            experience: judge.experience.clone(),
        })
    }

    /// How a candidate came from `parent`: as it was proposed, or after a resumption replayed.
    fn chain(&mut self, parent: &Graph, accepted: &Accepted) -> Result<Vec<Applied>, EngineError> {
        match self.chains.remove(&accepted.candidate) {
            Some(chain) => Ok(chain),
            None => replayed(parent, &accepted.steps),
        }
    }

    /// Does nobody look at weights? So in a benchmark of the engine itself.
    fn is_weightless(&self) -> bool {
        !self.keep_blobs && !self.trainer.reads_weights()
    }

    /// Turns results into records.
    fn digest(
        &mut self,
        done: Vec<Done>,
        watch: &mut dyn FnMut(&Event, &State),
    ) -> Result<Vec<Record>, EngineError> {
        let mut records = Vec::new();
        for done in done {
            match done {
                Done::Epoch(id, epoch) => watch(&Event::Epoch(id, epoch), &self.state),
                Done::Dropped(..) => {}
                Done::Paused(device, why) => self.miss(device, why, watch),
                Done::Panicked(_, id, text) => {
                    records.push(self.ended(id, EndKind::Failed, format!("internal: {text}"), 0));
                }
                Done::Measured(device, id, result) => {
                    let measured = self.arrived(device, id, *result, watch)?;
                    records.extend(measured.map(Record::Measured));
                }
                Done::Trained(id, result, took) => {
                    records.push(self.trained(id, *result, took, watch)?);
                }
            }
        }
        Ok(records)
    }

    /// The record of a training's end; blobs are written before it.
    pub(super) fn trained(
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
            ("citronade.candidate", id.to_string()),
            ("citronade.data", self.run.data.clone()),
            ("citronade.classes", self.material.data.classes.join(",")),
        ];
        let metadata = metadata.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        onnx::ExportOptions { metadata, ..onnx::ExportOptions::default() }
    }
}

/// The chain of structures that recorded steps make of `parent`.
pub(super) fn replayed(parent: &Graph, steps: &[Step]) -> Result<Vec<Applied>, EngineError> {
    let mut chain: Vec<Applied> = Vec::new();
    for step in steps {
        let graph = chain.last().map_or(parent, |applied| &applied.graph);
        chain.push(morphism::replay(graph, step)?);
    }
    Ok(chain)
}
