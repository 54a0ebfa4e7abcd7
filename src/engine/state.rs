//! What is known of a run: the records, folded.
//!
//! The same fold runs while a search goes on and when a store is opened again, so a resumed run
//! knows what the undisturbed one knew.
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::graph::ArchId;
use crate::latency::Predictor;
use crate::pareto::Archive;
use crate::pareto::Member;
use crate::pareto::Objective;
use crate::pareto::Reference;
use crate::pareto::Value;
use crate::store::Accepted;
use crate::store::CandidateId;
use crate::store::EndKind;
use crate::store::Ended;
use crate::store::FrontMember;
use crate::store::Measured;
use crate::store::Record;
use crate::store::Told;
use crate::store::Trained;

use super::repeat::Repeats;

/// Most candidates that a predictor learns from.
const PREDICTOR_MEMORY: usize = 400;

/// A candidate, as far as it has come.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Structure and origin.
    pub accepted: Accepted,
    /// Measurements, by round.
    pub rounds: Vec<Measured>,
    /// Outcome of the training.
    pub trained: Option<Trained>,
    /// Why it went no further.
    pub ended: Option<Ended>,
}

impl Candidate {
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
    known: BTreeSet<ArchId>,
    /// Generations that were told, in order.
    told: Vec<Told>,
    tested: BTreeMap<CandidateId, f64>,
    latency: Repeats,
    memory: Repeats,
    counts: Counts,
    reference: Option<Reference>,
    last_at_s: f64,
}

impl State {
    /// A run of which nothing is known.
    pub fn new(objectives: &[Objective], reference: Option<Reference>) -> State {
        State {
            objectives: objectives.to_vec(),
            candidates: BTreeMap::new(),
            known: BTreeSet::new(),
            told: Vec::new(),
            tested: BTreeMap::new(),
            latency: Repeats::of_latency(),
            memory: Repeats::of_memory(),
            counts: Counts::default(),
            reference,
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
                self.candidate_mut(trained.candidate).trained = Some(trained.clone());
            }
            Record::Ended(ended) => self.end(ended),
            Record::Told(told) => {
                self.counts.proposed = told.proposed;
                self.at(told.at_s);
                self.told.push(told.clone());
            }
            Record::Tested { candidate, error } => {
                self.tested.insert(*candidate, *error);
            }
        }
    }

    fn accept(&mut self, accepted: &Accepted) {
        self.counts.accepted += 1;
        self.counts.proposed = self.counts.proposed.max(accepted.proposed);
        self.at(accepted.at_s);
        self.known.insert(accepted.arch);
        let accepted = accepted.clone();
        let (rounds, trained, ended) = (Vec::new(), None, None);
        let id = accepted.candidate;
        self.candidates.insert(id, Candidate { accepted, rounds, trained, ended });
    }

    fn measure(&mut self, measured: &Measured) {
        self.at(measured.at_s);
        self.latency.add(measured.candidate, measured.latency_us);
        if let Some(memory) = measured.memory_bytes {
            self.memory.add(measured.candidate, memory as f64);
        }
        self.candidate_mut(measured.candidate).rounds.push(measured.clone());
    }

    fn end(&mut self, ended: &Ended) {
        match ended.kind {
            EndKind::KilledBeforeTraining => self.counts.killed_before_training += 1,
            EndKind::StoppedInTraining => self.counts.stopped_in_training += 1,
            EndKind::Diverged | EndKind::Failed => self.counts.failed += 1,
            EndKind::Unfinished => {}
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

    /// Structures that are in the run.
    pub fn known(&self) -> &BTreeSet<ArchId> {
        &self.known
    }

    /// Generations that were told, in order.
    pub fn told(&self) -> &[Told] {
        &self.told
    }

    /// Counts over the run.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Test errors that were looked at.
    pub fn tested(&self) -> &BTreeMap<CandidateId, f64> {
        &self.tested
    }

    /// Scale of the hypervolume, once it is fixed.
    pub fn reference(&self) -> Option<&Reference> {
        self.reference.as_ref()
    }

    /// Fixes the scale of the hypervolume.
    pub fn set_reference(&mut self, reference: Reference) {
        self.reference = Some(reference);
    }

    /// Seconds of the run so far.
    pub fn seconds(&self) -> f64 {
        self.last_at_s
    }

    /// Number of the generation that is open.
    pub fn generation(&self) -> u32 {
        self.told.len() as u32
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

    /// Members of the front that was last told.
    pub fn front(&self) -> &[FrontMember] {
        self.told.last().map_or(&[], |told| &told.front)
    }

    /// Objectives of a trained candidate in the run's order, with the interval of a repeat; `None`
    /// while one is missing.
    pub fn values(&self, candidate: &Candidate) -> Option<Vec<Value>> {
        self.values_at(candidate, candidate.trained.as_ref()?.error)
    }

    /// Objectives of a candidate right after its first measurement, which is not part of the state
    /// yet; the error is 0.
    pub fn values_with(&self, measured: &Measured) -> Option<Vec<Value>> {
        let candidate = self.candidates.get(&measured.candidate)?;
        let each = self.objectives.iter().map(|&o| match o {
            Objective::Error => Some(Value::exact(0.0)),
            Objective::Latency => Some(self.latency.first(measured.latency_us)),
            Objective::Memory => Some(self.memory.first(measured.memory_bytes? as f64)),
            Objective::ModelBytes => Some(Value::exact(measured.model_bytes as f64)),
            Objective::Parameters | Objective::Macs => self.cheap(candidate, o),
        });
        each.collect()
    }

    /// As [`values`](Self::values), at an error that is not known yet.
    pub fn values_at(&self, candidate: &Candidate, error: f64) -> Option<Vec<Value>> {
        let error = Value::exact(error);
        let each = self.objectives.iter().map(|&o| match o {
            Objective::Error => Some(error),
            _ => self.cheap(candidate, o),
        });
        each.collect()
    }

    /// A cheap objective; `None` for the error and for what was not measured.
    pub fn cheap(&self, candidate: &Candidate, objective: Objective) -> Option<Value> {
        let accepted = &candidate.accepted;
        let first = candidate.rounds.first();
        match objective {
            Objective::Error => None,
            Objective::Latency => self.latency.value(accepted.candidate),
            Objective::Memory => self.memory.value(accepted.candidate),
            Objective::Parameters => Some(Value::exact(accepted.parameters as f64)),
            Objective::Macs => Some(Value::exact(accepted.macs as f64)),
            Objective::ModelBytes => first.map(|m| Value::exact(m.model_bytes as f64)),
        }
    }

    /// The front of the last told one and what was finished since.
    pub fn archive(&self) -> Archive {
        let open = self.open();
        let ids = self.front().iter().map(|m| m.candidate).chain(open);
        let members = ids.filter_map(|id| {
            let candidate = &self.candidates[&id];
            Some(Member { id, values: self.values(candidate)? })
        });
        Archive::from_members(self.objectives.clone(), members)
    }

    /// Predictor of a measured cost from structure, learnt from the newest candidates of finished
    /// generations.
    pub fn predictor(&self, objective: Objective) -> Predictor {
        let open = self.generation();
        let done = self.candidates.values().rev().filter(|c| c.accepted.generation < open);
        let known = done.take(PREDICTOR_MEMORY).filter_map(|c| {
            let value = self.cheap(c, objective)?.value;
            Some((&c.accepted.graph, value))
        });
        Predictor::fit(known)
    }
}
