//! The end of a generation, and of the run.
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::measure::Level;
use crate::pareto::Member;
use crate::pareto::Objective;
use crate::pareto::Reference;
use crate::store::CandidateId;
use crate::store::EndKind;
use crate::store::FrontMember;
use crate::store::Measured;
use crate::store::Record;
use crate::store::Told;

use super::Engine;
use super::EngineError;
use super::Event;
use super::FINAL_ROUNDS;
use super::MEASURED_AT_ONCE;
use super::Material;
use super::RunConfig;
use super::State;
use super::StopReason;
use super::TICK;
use super::announce;
use super::lanes::Done;
use super::lanes::MeasureJob;
use super::lanes::Model;
use super::tell;

impl Engine {
    /// Front members with the fewest rounds, at most `n`, that have fewer than `enough`.
    pub(super) fn least_measured(&self, n: usize, enough: usize) -> Vec<CandidateId> {
        let archive = self.state.archive();
        let rounds = |id: &CandidateId| self.state.candidates()[id].rounds.len();
        let mut ids: Vec<CandidateId> = archive.members().iter().map(|m| m.id).collect();
        ids.retain(|id| rounds(id) < enough);
        ids.sort_by_key(|id| (rounds(id), *id));
        ids.truncate(n);
        ids
    }

    /// Measures trained models again. `None` if the run is interrupted.
    ///
    /// As briefly as the first time: a measurement differs more from one of another moment than its launches
    /// differ among themselves, so many moments tell more than many launches.
    ///
    /// Nothing is written yet: the rounds become durable together with the front that they shape.
    pub(super) fn measure_again(
        &mut self,
        ids: Vec<CandidateId>,
        watch: &mut dyn FnMut(&Event, &State),
    ) -> Result<Option<Vec<Measured>>, EngineError> {
        let (started, n) = (Instant::now(), ids.len());
        for id in &ids {
            let candidate = &self.state.candidates()[id];
            let round = candidate.rounds.len() as u32;
            let blob = candidate.trained.as_ref().and_then(|t| t.onnx.as_ref());
            let model = match blob {
                Some(hash) => Model::Onnx(self.store.blob(hash)?),
                None => self.untrained(*id),
            };
            let level = Level::Screen;
            self.lanes.measure(MeasureJob { candidate: *id, round, model, level });
        }
        let (mut rounds, mut paused) = (Vec::new(), false);
        while self.lanes.measuring > 0 {
            let done = self.lanes.wait(TICK);
            if done.is_empty() {
                watch(&Event::Tick, &self.state);
            }
            for done in done {
                if let Done::Paused(why) = &done {
                    paused = true;
                    watch(&Event::Paused(why.clone()), &self.state);
                }
                let Done::Measured(_, result) = done else { continue };
                match *result {
                    Ok(measured) => {
                        let at_s = self.seconds();
                        rounds.extend(measured.map(|m| Measured { at_s, ..m }));
                    }
                    Err(error) if error.concerns_every_model() => {
                        return Err(EngineError::Measure(error));
                    }
                    // The rounds before stand.
                    Err(_) => {}
                }
            }
            if self.is_interrupted() {
                self.stop_lanes.store(true, Ordering::Relaxed);
                return Ok(None);
            }
            // The members stand without these rounds; a device that is away must not keep the run.
            let is_over = self.config.budget.seconds.is_some_and(|most| self.seconds() >= most);
            if paused && is_over {
                self.stop_lanes.store(true, Ordering::Relaxed);
            }
        }
        if n > 0 && !paused {
            self.seconds_a_round = started.elapsed().as_secs_f64() / n as f64;
        }
        rounds.sort_by_key(|m| m.candidate);
        Ok(Some(rounds))
    }

    /// Makes the new front durable and tells the strategy.
    pub(super) fn close_generation(
        &mut self,
        rounds: Vec<Measured>,
        watch: &mut dyn FnMut(&Event, &State),
    ) -> Result<(), EngineError> {
        let mut records: Vec<Record> = rounds.into_iter().map(Record::Measured).collect();
        // Known before they are durable, but nothing comes of that before the commit below.
        records.iter().for_each(|record| self.state.apply(record));
        let open = self.state.open();
        let is_unfinished = |id: &CandidateId| {
            let ended = self.state.candidates()[id].ended.as_ref();
            ended.is_some_and(|e| e.kind == EndKind::Unfinished)
        };
        let is_whole = !open.iter().any(is_unfinished);
        let reference = match self.state.reference() {
            Some(reference) => reference.clone(),
            None => reference(&self.config, &self.state, &self.material),
        };
        if self.state.reference().is_none() && is_whole {
            let json = serde_json::to_string(&reference).map_err(EngineError::Reference)?;
            self.patiently(watch, |engine| engine.store.set_reference(&engine.run.id, &json))?;
            self.state.set_reference(reference.clone());
        }
        let archive = self.state.archive();
        let points: Vec<Vec<f64>> = archive.members().iter().map(|m| m.point()).collect();
        let told = Record::Told(Told {
            generation: self.state.generation(),
            candidates: open.clone(),
            proposed: self.state.counts().proposed,
            hypervolume: reference.hypervolume(&points),
            front: archive.members().into_iter().map(front_member).collect(),
            at_s: self.seconds(),
        });
        let (generation, candidates) = (self.state.generation(), open);
        records.push(told.clone());
        self.patiently(watch, |engine| engine.store.commit(&engine.run.id, &records))?;
        self.state.apply(&told);
        announce(&records, &self.state, watch);
        tell(self.strategy.as_mut(), &self.state, &candidates);
        let kept: Vec<CandidateId> = self.state.front().iter().map(|m| m.candidate).collect();
        self.networks.retain(|id, _| kept.contains(id));
        self.chains.clear();
        watch(&Event::Generation(generation), &self.state);
        Ok(())
    }

    /// Marks what the budget left undone.
    pub(super) fn abandon_open(
        &mut self,
        watch: &mut dyn FnMut(&Event, &State),
    ) -> Result<(), EngineError> {
        let open = self.state.open();
        let unfinished = open.iter().filter(|id| !self.state.candidates()[id].is_finished());
        let reason = "the budget was spent first";
        let records: Vec<Record> = unfinished
            .map(|&id| self.ended(id, EndKind::Unfinished, reason.to_owned(), 0))
            .collect();
        self.commit(&records, watch)
    }

    /// The last measurements and the test errors of the front, unless the user wants out.
    pub(super) fn end(
        &mut self,
        reason: StopReason,
        watch: &mut dyn FnMut(&Event, &State),
    ) -> Result<StopReason, EngineError> {
        if reason == StopReason::Interrupted || self.state.generation() == 0 {
            return Ok(reason);
        }
        watch(&Event::Finishing, &self.state);
        self.drain_lanes(watch);
        if self.is_interrupted() {
            return Ok(StopReason::Interrupted);
        }
        self.stop_lanes.store(false, Ordering::Relaxed);
        loop {
            let again = self.least_measured(MEASURED_AT_ONCE, FINAL_ROUNDS);
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
        if !self.test_front(watch)? {
            return Ok(StopReason::Interrupted);
        }
        self.spend_what_is_left(reason, watch)?;
        Ok(reason)
    }

    /// The time that the last measurements needed less than was kept for them is spent as well: the
    /// same command must not begin another generation with it.
    fn spend_what_is_left(
        &mut self,
        reason: StopReason,
        watch: &mut dyn FnMut(&Event, &State),
    ) -> Result<(), EngineError> {
        let left = self.config.budget.seconds.map_or(0.0, |budget| budget - self.seconds());
        if reason != StopReason::Budget || left <= 0.0 {
            return Ok(());
        }
        self.seconds_before += left;
        self.close_generation(Vec::new(), watch)
    }

    /// Waits until nothing trains any more, so that nothing disturbs what is measured.
    fn drain_lanes(&mut self, watch: &mut dyn FnMut(&Event, &State)) {
        while self.lanes.measuring + self.lanes.training > 0 && !self.is_interrupted() {
            self.lanes.wait(TICK);
            watch(&Event::Tick, &self.state);
        }
    }

    /// Looks at the test split, once for each front member; false if the run was interrupted before
    /// all were tested.
    fn test_front(&mut self, watch: &mut dyn FnMut(&Event, &State)) -> Result<bool, EngineError> {
        let front: Vec<CandidateId> = self.state.front().iter().map(|m| m.candidate).collect();
        for id in front {
            if self.is_interrupted() {
                return Ok(false);
            }
            if self.state.tested().contains_key(&id) || self.material.data.test.is_empty() {
                continue;
            }
            let network = self.network(id)?;
            let score = self.trainer.evaluate(&network, &self.material.data.test);
            if let Ok(score) = score {
                self.commit(&[Record::Tested { candidate: id, error: score.error.0 }], watch)?;
            }
            watch(&Event::Tick, &self.state);
        }
        Ok(true)
    }
}

pub(super) fn front_member(member: &Member) -> FrontMember {
    FrontMember {
        candidate: member.id,
        values: member.values.iter().map(|v| v.value).collect(),
        intervals: member.values.iter().map(|v| v.interval).collect(),
    }
}

/// The scale of the hypervolume: set once, from the first generation (`architecture.md`).
pub(super) fn reference(config: &RunConfig, state: &State, material: &Material) -> Reference {
    let guess = 1.0 - material.data.largest_class_share();
    let largest = |objective| {
        let all = state.candidates().values().filter_map(|c| state.cheap(c, objective));
        all.map(|v| v.value).reduce(f64::max).unwrap_or(1.0)
    };
    let points = config.objectives.iter().map(|&objective| match objective {
        Objective::Error => guess,
        // A limit far above all that grows from the seeds would leave no room to tell them apart.
        _ => {
            let grown = (4.0 * largest(objective)).max(f64::MIN_POSITIVE);
            config.limit(objective).map_or(grown, |limit| limit.min(grown))
        }
    });
    Reference::new(config.objectives.clone(), points.collect())
        .expect("limits are positive, and so is what was measured")
}
