//! What is known of a run: the records, folded.
//!
//! The same fold runs while a search goes on and when a store is opened again, so a resumed run
//! knows what the undisturbed one knew.
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Range;

use crate::latency::Predictor;
use crate::pareto::Archive;
use crate::pareto::Member;
use crate::pareto::Objective;
use crate::pareto::Reference;
use crate::pareto::Value;
use crate::space::Identity;
use crate::store::Accepted;
use crate::store::CandidateId;
use crate::store::DeviceAt;
use crate::store::EndKind;
use crate::store::Ended;
use crate::store::FrontMember;
use crate::store::Measured;
use crate::store::Record;
use crate::store::Told;
use crate::store::Trained;

use super::Limit;
use super::RunConfig;
use super::plan::Start;
use super::view::View;

/// Most candidates that are remembered as possible members; the oldest others are forgotten.
const MOST_CONTENDERS: usize = 1000;
/// Most candidates that a predictor learns from.
const PREDICTOR_MEMORY: usize = 400;

/// A candidate, as far as it has come.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Structure and origin.
    pub accepted: Accepted,
    /// Measurements on all devices, those of each by round.
    pub rounds: Vec<Measured>,
    /// Outcome of the training.
    pub trained: Option<Trained>,
    /// Why it went no further.
    pub ended: Option<Ended>,
}

impl Candidate {
    /// Its measurements on one device, by round.
    pub fn rounds_on(&self, device: DeviceAt) -> impl Iterator<Item = &Measured> {
        self.rounds.iter().filter(move |measured| measured.device == device)
    }

    /// Is there nothing left to do for it in its generation?
    pub fn is_finished(&self) -> bool {
        self.trained.is_some() || self.ended.is_some()
    }
}

/// Counts over a run, as `front --json` gives them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Structures looked at.
    pub proposed: u64,
    /// Accepted candidates.
    pub accepted: u64,
    /// Ended over a limit or dominated, before training.
    pub killed_before_training: u64,
    /// Stopped because their learning curve could not enter the front.
    pub stopped_in_training: u64,
    /// Trained to the end.
    pub trained: u64,
    /// Diverged, or the trainer or runner failed.
    pub failed: u64,
    /// Epochs trained.
    pub epochs: u64,
    /// Epochs that kills and stops saved.
    pub epochs_saved: u64,
}

/// The fold of a run's records.
#[derive(Clone, Debug)]
pub struct State {
    objectives: Vec<Objective>,
    candidates: BTreeMap<CandidateId, Candidate>,
    known: BTreeSet<Identity>,
    limits: Vec<Limit>,
    /// By device.
    views: Vec<View>,
    /// What a whole schedule made of a member, which stands in its place.
    replaced: BTreeMap<CandidateId, CandidateId>,
    /// Number of generations that were told.
    generations: u32,
    /// The last of them.
    last_told: Option<Told>,
    /// Seconds from the telling before it.
    last_took_s: f64,
    tested: BTreeMap<CandidateId, f64>,
    counts: Counts,
    last_at_s: f64,
}

impl State {
    /// A run of which nothing is known but the scale of the hypervolume on each of its devices.
    pub fn new(config: &RunConfig, references: Vec<Option<Reference>>) -> State {
        State {
            objectives: config.objectives.clone(),
            candidates: BTreeMap::new(),
            known: BTreeSet::new(),
            limits: config.limits.clone(),
            views: references.into_iter().map(View::new).collect(),
            replaced: BTreeMap::new(),
            generations: 0,
            last_told: None,
            last_took_s: 0.0,
            tested: BTreeMap::new(),
            counts: Counts::default(),
            last_at_s: 0.0,
        }
    }

    /// Folds one record in.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Accepted(accepted) => self.accept(accepted),
            Record::Measured(measured) => self.measure(measured),
            Record::Trained(trained) => {
                self.counts.trained += 1;
                self.counts.epochs += trained.curve.len() as u64;
                self.at(trained.at_s);
                let candidate = self.candidate_mut(trained.candidate);
                candidate.trained = Some(trained.clone());
                let start = Start::of(&candidate.accepted);
                let parent = candidate.accepted.parent.filter(|_| start == Start::Refinement);
                self.replaced.extend(parent.map(|parent| (parent, trained.candidate)));
            }
            Record::Ended(ended) => self.end(ended),
            Record::Told(told) => self.tell(told),
            Record::Tested { candidate, error } => {
                self.tested.insert(*candidate, *error);
            }
        }
    }

    fn tell(&mut self, told: &Told) {
        self.counts.proposed = told.proposed;
        self.at(told.at_s);
        self.contend(&told.candidates);
        let before = self.last_told.as_ref().map_or(0.0, |t| t.at_s);
        self.last_took_s = told.at_s - before;
        self.generations += 1;
        self.last_told = Some(told.clone());
    }

    /// Takes these candidates among the contenders of each device, and drops who is none any more.
    fn contend(&mut self, candidates: &[CandidateId]) {
        for device in 0..self.views.len() {
            let contenders = &self.views[device].contenders;
            let ids = contenders.iter().chain(candidates).copied().collect();
            let members = self.members(device, ids);
            let archive = Archive::from_members(self.objectives.clone(), members);
            let mut contenders: BTreeSet<CandidateId> = archive.contenders().collect();
            let superfluous = contenders.len().saturating_sub(MOST_CONTENDERS);
            let others = contenders.iter().copied().filter(|id| !archive.is_member(*id));
            for id in others.take(superfluous).collect::<Vec<_>>() {
                contenders.remove(&id);
            }
            self.views[device].contenders = contenders;
        }
    }

    fn accept(&mut self, accepted: &Accepted) {
        self.counts.accepted += 1;
        let told = self.last_told.as_ref().map_or(0, |told| told.proposed);
        self.counts.proposed = told + accepted.proposed;
        self.at(accepted.at_s);
        self.known.insert(Identity::Structure(accepted.arch));
        self.known.extend(accepted.choices.clone().map(Identity::Choices));
        let accepted = accepted.clone();
        let (rounds, trained, ended) = (Vec::new(), None, None);
        let id = accepted.candidate;
        self.candidates.insert(id, Candidate { accepted, rounds, trained, ended });
    }

    fn measure(&mut self, measured: &Measured) {
        self.at(measured.at_s);
        let id = measured.candidate;
        let is_trained = self.candidates[&id].trained.is_some();
        self.views[measured.device].measure(measured, is_trained);
        // The raw samples stay in the store.
        let measured = Measured { json: String::new(), ..measured.clone() };
        self.candidate_mut(id).rounds.push(measured);
    }

    fn end(&mut self, ended: &Ended) {
        match ended.kind {
            EndKind::KilledBeforeTraining => self.counts.killed_before_training += 1,
            EndKind::StoppedInTraining => self.counts.stopped_in_training += 1,
            EndKind::Diverged | EndKind::Failed => self.counts.failed += 1,
            // Its structure may be proposed again.
            EndKind::Unfinished => {
                let accepted = &self.candidates[&ended.candidate].accepted;
                if Start::of(accepted) != Start::Refinement {
                    self.known.remove(&Identity::Structure(accepted.arch));
                    if let Some(choices) = &accepted.choices {
                        self.known.remove(&Identity::Choices(choices.clone()));
                    }
                }
            }
        }
        self.counts.epochs += u64::from(ended.epochs);
        self.counts.epochs_saved += u64::from(ended.epochs_saved);
        self.at(ended.at_s);
        self.candidate_mut(ended.candidate).ended = Some(ended.clone());
    }

    fn at(&mut self, seconds: f64) {
        self.last_at_s = self.last_at_s.max(seconds);
    }

    fn candidate_mut(&mut self, id: CandidateId) -> &mut Candidate {
        let known = self.candidates.get_mut(&id);
        known.expect("a record follows the acceptance of its candidate")
    }

    /// What is minimised, in order.
    pub fn objectives(&self) -> &[Objective] {
        &self.objectives
    }

    /// All candidates by number.
    pub fn candidates(&self) -> &BTreeMap<CandidateId, Candidate> {
        &self.candidates
    }

    /// Architectures that are in the run.
    pub fn known(&self) -> &BTreeSet<Identity> {
        &self.known
    }

    /// A candidate's objectives without the error, in order, as known now on a device.
    pub(super) fn costs(&self, device: DeviceAt, candidate: &Candidate) -> Vec<Option<f64>> {
        let costs = self.objectives.iter().filter(|o| **o != Objective::Error);
        costs.map(|&o| self.cheap(device, candidate, o).map(|value| value.value)).collect()
    }

    /// Seconds that the last finished generation took.
    pub fn seconds_of_last_generation(&self) -> f64 {
        self.last_took_s
    }

    /// Counts over the run.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Test errors that were looked at.
    pub fn tested(&self) -> &BTreeMap<CandidateId, f64> {
        &self.tested
    }

    /// Positions of the run's devices.
    pub fn devices(&self) -> Range<DeviceAt> {
        0..self.views.len()
    }

    /// Scale of a device's hypervolume, once it is fixed.
    pub fn reference(&self, device: DeviceAt) -> Option<&Reference> {
        self.views[device].reference.as_ref()
    }

    /// Fixes the scale of a device's hypervolume.
    pub fn set_reference(&mut self, device: DeviceAt, reference: Reference) {
        self.views[device].reference = Some(reference);
    }

    /// Seconds of the run so far.
    pub fn seconds(&self) -> f64 {
        self.last_at_s
    }

    /// Number of the generation that is open.
    pub fn generation(&self) -> u32 {
        self.generations
    }

    /// Candidates of the open generation, by number.
    pub fn open(&self) -> Vec<CandidateId> {
        let generation = self.generation();
        let all = self.candidates.iter().rev();
        let mut open: Vec<_> = all
            .take_while(|(_, c)| c.accepted.generation == generation)
            .map(|(id, _)| *id)
            .collect();
        open.reverse();
        open
    }

    /// Members of the device's front that was last told.
    pub fn front(&self, device: DeviceAt) -> &[FrontMember] {
        let front = self.last_told.as_ref().and_then(|told| told.fronts.get(device));
        front.map_or(&[], |front| &front.members)
    }

    /// Who is on a front that was last told, of any device.
    pub fn on_fronts(&self) -> BTreeSet<CandidateId> {
        self.devices().flat_map(|device| self.front(device)).map(|m| m.candidate).collect()
    }

    /// Trained candidates that may be on another device's front, but were never measured on this one.
    pub fn missing(&self, device: DeviceAt) -> Vec<CandidateId> {
        let all: BTreeSet<_> = self.views.iter().flat_map(|v| &v.contenders).copied().collect();
        let is_missing = |id: &CandidateId| self.candidates[id].rounds_on(device).next().is_none();
        all.into_iter().filter(is_missing).collect()
    }

    /// Objectives of a trained candidate on a device in the run's order, with the interval of a repeat;
    /// `None` while one is missing.
    pub fn values(&self, device: DeviceAt, candidate: &Candidate) -> Option<Vec<Value>> {
        self.values_at(device, candidate, candidate.trained.as_ref()?.error)
    }

    /// Objectives of a candidate right after its first measurement, which is not part of the state
    /// yet; the error is 0.
    pub fn values_with(&self, measured: &Measured) -> Option<Vec<Value>> {
        let candidate = self.candidates.get(&measured.candidate)?;
        let view = &self.views[measured.device];
        let each = self.objectives.iter().map(|&o| match o {
            Objective::Error => Some(Value::exact(0.0)),
            _ => view.cheap_with(measured, candidate, o),
        });
        each.collect()
    }

    /// As [`values`](Self::values), at an error that is not known yet.
    pub fn values_at(
        &self,
        device: DeviceAt,
        candidate: &Candidate,
        error: f64,
    ) -> Option<Vec<Value>> {
        let error = Value::exact(error);
        let each = self.objectives.iter().map(|&o| match o {
            Objective::Error => Some(error),
            _ => self.cheap(device, candidate, o),
        });
        each.collect()
    }

    /// A cheap objective; `None` for the error and for what was not measured.
    pub fn cheap(
        &self,
        device: DeviceAt,
        candidate: &Candidate,
        objective: Objective,
    ) -> Option<Value> {
        self.views[device].cheap(candidate, objective)
    }

    /// The front of a device by what is known now.
    ///
    /// Who breaks a hard limit on a cost is no member; nor, once something keeps a limit on the
    /// error, is who breaks that one: until then the search needs parents.
    pub fn archive(&self, device: DeviceAt) -> Archive {
        let view = &self.views[device];
        let ids = view.contenders.iter().copied().chain(self.open()).collect();
        let mut members = self.members(device, ids);
        for limit in &self.limits {
            let keeps = |member: &Member| {
                let candidate = &self.candidates[&member.id];
                let value = match limit.objective {
                    Objective::Error => candidate.trained.as_ref().map(|t| t.error),
                    cost => self.cheap(device, candidate, cost).map(|v| v.value),
                };
                value.is_some_and(|v| v <= limit.most)
            };
            if limit.objective != Objective::Error || members.iter().any(keeps) {
                members.retain(keeps);
            }
        }
        let at = self.objectives.iter().position(|o| *o == Objective::Error);
        if let Some((reference, at)) = view.reference.as_ref().zip(at) {
            // Always guessing the same class is no network.
            let guess = reference.reference()[at];
            let learnt = |m: &Member| m.values[at].value < guess;
            if members.iter().any(learnt) {
                members.retain(learnt);
            }
        }
        Archive::from_members(self.objectives.clone(), members)
    }

    /// As [`archive`](Self::archive), whatever the limits.
    pub fn archive_without_limits(&self, device: DeviceAt) -> Archive {
        let members = self.members(device, self.views[device].contenders.clone());
        Archive::from_members(self.objectives.clone(), members)
    }

    /// Those of the candidates that have all values, compute on the device what they should, and were not
    /// trained on: of many brief trainings the best validation error is partly luck, and a fresh one tells more.
    fn members(&self, device: DeviceAt, ids: BTreeSet<CandidateId>) -> Vec<Member> {
        let is_right = |id: &&CandidateId| self.views[device].is_right(**id);
        let values = |id: &CandidateId| {
            let id = Some(id).filter(is_right)?;
            self.values(device, &self.candidates[id])
        };
        let is_replaced = |id: &CandidateId| {
            self.replaced.get(id).is_some_and(|instead| values(instead).is_some())
        };
        let ids = ids.into_iter().filter(|id| !is_replaced(id));
        ids.filter_map(|id| Some(Member { id, values: values(&id)? })).collect()
    }

    /// Predictor of a measured cost on a device from structure, learnt from the newest candidates of
    /// finished generations.
    pub fn predictor(&self, device: DeviceAt, objective: Objective) -> Predictor {
        let open = self.generation();
        let done = self.candidates.values().rev().filter(|c| c.accepted.generation < open);
        let known = done.take(PREDICTOR_MEMORY).filter_map(|c| {
            let value = self.cheap(device, c, objective)?.value;
            Some((&c.accepted.graph, value))
        });
        Predictor::fit(known)
    }
}

#[cfg(test)]
mod tests;
