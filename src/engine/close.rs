//! The end of a generation, and of the run.
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::measure::Level;
use crate::pareto::Member;
use crate::pareto::Objective;
use crate::pareto::Reference;
use crate::store::CandidateId;
use crate::store::DeviceAt;
use crate::store::EndKind;
use crate::store::FrontMember;
use crate::store::Measured;
use crate::store::Record;
use crate::store::Told;
use crate::store::ToldFront;

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
use super::lanes::Lanes;
use super::lanes::MeasureJob;
use super::lanes::Model;
use super::tell;

impl Engine {
    /// Members of the device's front with the fewest rounds there, at most `n`, that have fewer than
    /// `enough`.
    pub(super) fn least_measured(
        &self,
        device: DeviceAt,
        n: usize,
        enough: usize,
    ) -> Vec<CandidateId> {
        let archive = self.state.archive(device);
        let mut ids: Vec<CandidateId> = archive.members().iter().map(|m| m.id).collect();
        ids.retain(|id| self.rounds(device, *id) < enough);
        ids.sort_by_key(|id| (self.rounds(device, *id), *id));
        ids.truncate(n);
        ids
    }

    /// What the devices that are there measure again: the least measured of their front's members, and
    /// what they missed while they were away.
    pub(super) fn to_measure_again(&self, n: usize, enough: usize) -> Vec<(DeviceAt, CandidateId)> {
        let present = self.state.devices().filter(|device| self.lanes.is_present(*device));
        let of_device = |device| {
            let mut ids = self.state.missing(device);
            ids.retain(|id| !self.failures.contains_key(&(*id, device)));
            ids.truncate(MEASURED_AT_ONCE);
            ids.extend(self.least_measured(device, n, enough));
            ids.into_iter().map(move |id| (device, id))
        };
        present.flat_map(of_device).collect()
    }

    /// Measures trained models again, as far as their devices are there. `None` if the run is
    /// interrupted.
    ///
    /// As briefly as the first time: a measurement differs more from one of another moment than its launches
    /// differ among themselves, so many moments tell more than many launches.
    ///
    /// Nothing is written yet: the rounds become durable together with the front that they shape.
    pub(super) fn measure_again(
        &mut self,
        jobs: Vec<(DeviceAt, CandidateId)>,
        watch: &mut dyn FnMut(&Event, &State),
    ) -> Result<Option<Vec<Measured>>, EngineError> {
        let started = Instant::now();
        for &(device, id) in &jobs {
            let candidate = &self.state.candidates()[&id];
            let round = self.rounds(device, id) as u32;
            let blob = candidate.trained.as_ref().and_then(|t| t.onnx.clone());
            let model = match blob {
                Some(hash) => Model::Trained(self.store.blob(&hash)?, self.network(id)?),
                None => self.untrained(id),
            };
            let level = Level::Screen;
            self.lanes.measure(MeasureJob { candidate: id, device, round, model, level });
        }
        let mut rounds: Vec<Measured> = Vec::new();
        // The members stand without these rounds, so a device that is away is not waited for.
        while self.lanes.is_any_measuring() {
            let done = self.lanes.wait(TICK);
            if done.is_empty() {
                watch(&Event::Tick, &self.state);
            }
            for done in done {
                match done {
                    Done::Paused(device, why) => self.miss(device, why, watch),
                    // Where it fails, the rounds before stand.
                    Done::Measured(device, id, result) => {
                        rounds.extend(self.arrived(device, id, *result, watch)?);
                    }
                    _ => {}
                }
            }
            if self.is_interrupted() {
                self.stop_lanes.store(true, Ordering::Relaxed);
                return Ok(None);
            }
        }
        let on = |device| jobs.iter().filter(|(at, _)| *at == device).count();
        let most = self.state.devices().map(on).max().unwrap_or(0);
        if most > 0 && rounds.len() >= jobs.len() {
            self.seconds_a_round = started.elapsed().as_secs_f64() / most as f64;
        }
        rounds.sort_by_key(|m| (m.candidate, m.device));
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
        let mut fronts = Vec::new();
        for device in self.state.devices() {
            fronts.push(self.front_to_tell(device, is_whole, watch)?);
        }
        let told = Record::Told(Told {
            generation: self.state.generation(),
            candidates: open.clone(),
            proposed: self.state.counts().proposed,
            fronts,
            at_s: self.seconds(),
        });
        let (generation, candidates) = (self.state.generation(), open);
        records.push(told.clone());
        self.patiently(watch, |engine| engine.store.commit(&engine.run.id, &records))?;
        self.state.apply(&told);
        announce(&records, &self.state, watch);
        tell(self.strategy.as_mut(), &self.state, &candidates);
        let kept = self.state.on_fronts();
        self.networks.retain(|id, _| kept.contains(id));
        self.chains.clear();
        watch(&Event::Generation(generation), &self.state);
        Ok(())
    }

    /// The device's front by what is known now; fixes the scale of its hypervolume if that can be done.
    fn front_to_tell(
        &mut self,
        device: DeviceAt,
        is_whole: bool,
        watch: &mut dyn FnMut(&Event, &State),
    ) -> Result<ToldFront, EngineError> {
        let fixed = self.state.reference(device).cloned();
        let reference = match &fixed {
            Some(reference) => reference.clone(),
            None => match reference(&self.config, &self.state, device, &self.material) {
                Some(reference) => reference,
                // It was away all the time.
                None => return Ok(ToldFront::default()),
            },
        };
        if fixed.is_none() && is_whole {
            let json = serde_json::to_string(&reference).map_err(EngineError::Reference)?;
            self.patiently(watch, |engine| {
                engine.store.set_reference(&engine.run.id, device, &json)
            })?;
            self.state.set_reference(device, reference.clone());
        }
        let archive = self.state.archive(device);
        let points: Vec<Vec<f64>> = archive.members().iter().map(|m| m.point()).collect();
        Ok(ToldFront {
            hypervolume: reference.hypervolume(&points),
            members: archive.members().into_iter().map(front_member).collect(),
        })
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
            let again = self.to_measure_again(MEASURED_AT_ONCE, FINAL_ROUNDS);
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
        let is_busy = |lanes: &Lanes| lanes.is_any_measuring() || lanes.training > 0;
        while is_busy(&self.lanes) && !self.is_interrupted() {
            self.lanes.wait(TICK);
            watch(&Event::Tick, &self.state);
        }
    }

    /// Looks at the test split, once for each member of a front; false if the run was interrupted before
    /// all were tested.
    fn test_front(&mut self, watch: &mut dyn FnMut(&Event, &State)) -> Result<bool, EngineError> {
        for id in self.state.on_fronts() {
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

/// The scale of a device's hypervolume: set once, from the first generation that it measured. `None`
/// before that.
fn reference(
    config: &RunConfig,
    state: &State,
    device: DeviceAt,
    material: &Material,
) -> Option<Reference> {
    let guess = 1.0 - material.data.largest_class_share();
    let mut measured = state.candidates().values().flat_map(|c| c.rounds_on(device));
    measured.next()?;
    let largest = |objective| {
        let all = state.candidates().values().filter_map(|c| state.cheap(device, c, objective));
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
    let reference = Reference::new(config.objectives.clone(), points.collect());
    Some(reference.expect("limits are positive, and so is what was measured"))
}
