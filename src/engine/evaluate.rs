//! Measuring and training the open generation.
use std::cmp::Reverse;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::graph::Graph;
use crate::measure::Level;
use crate::morphism;
use crate::morphism::Applied;
use crate::morphism::Step;
use crate::onnx;
use crate::pareto::Archive;
use crate::pareto::Objective;
use crate::stats::wilson;
use crate::store::Accepted;
use crate::store::CandidateId;
use crate::store::EndKind;
use crate::store::Measured;
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
use super::early::Experience;
use super::early::Prospect;
use super::early::is_spared;
use super::error::whole;
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
                self.sort_for_training(to_train.make_contiguous());
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

    /// The seeds from the smallest, so that something is on the front soon; later the longest
    /// training first, so that no lane waits long for another.
    fn sort_for_training(&self, candidates: &mut [CandidateId]) {
        let macs = |id: &CandidateId| self.state.candidates()[id].accepted.macs;
        match self.state.generation() {
            0 => candidates.sort_by_key(|id| (macs(id), *id)),
            _ => candidates.sort_by_key(|id| (Reverse(macs(id)), *id)),
        }
    }

    pub(super) fn send_first_measurement(&mut self, id: CandidateId) {
        let (model, level) = (self.untrained(id), Level::Screen);
        self.lanes.measure(MeasureJob { candidate: id, round: 0, model, level });
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
        archive: &Arc<Archive>,
        experience: &Arc<Experience>,
    ) -> Result<TrainJob, EngineError> {
        let candidate = self.state.candidates()[&id].clone();
        let values = self.state.values_at(&candidate, 0.0);
        let spared = is_spared(&candidate.accepted);
        let prospect = values.filter(|_| !spared).map(|values| Prospect {
            archive: archive.clone(),
            values,
            error_at: self.config.error_at(),
        });
        let accepted = candidate.accepted;
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
            prospect,
            experience: experience.clone(),
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

    /// Turns results into records, and measured candidates into trainings or kills.
    pub(super) fn digest(
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
                Done::Paused(why) => watch(&Event::Paused(why), &self.state),
                Done::Panicked(_, id, text) => {
                    records.push(self.ended(id, EndKind::Failed, format!("internal: {text}"), 0));
                }
                Done::Measured(id, result) => match *result {
                    Ok(None) => {
                        let reason = "the device sent no samples".to_owned();
                        records.push(self.ended(id, EndKind::Failed, reason, 0));
                    }
                    Ok(Some(measured)) => {
                        let measured = Measured { at_s: self.seconds(), ..measured };
                        if self.state.values_with(&measured).is_none() {
                            let reason = "its memory could not be read; leave `memory` out of \
                                          --objectives if this device never tells it";
                            records.push(Record::Measured(measured));
                            records.push(self.ended(id, EndKind::Failed, reason.to_owned(), 0));
                            continue;
                        }
                        let killed = self.killed(&measured, archive, experience);
                        records.push(Record::Measured(measured));
                        match killed {
                            Some(record) => records.push(record),
                            None => to_train.push_back(id),
                        }
                    }
                    Err(error) if error.concerns_every_model() => {
                        return Err(EngineError::Measure(error));
                    }
                    Err(error) => {
                        records.push(self.ended(id, EndKind::Failed, whole(&error), 0));
                    }
                },
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
