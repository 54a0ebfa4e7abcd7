//! What is known of a run's candidates on one device.
use std::collections::BTreeSet;

use crate::pareto::Objective;
use crate::pareto::Reference;
use crate::pareto::Value;
use crate::store::CandidateId;
use crate::store::Measured;

use super::Candidate;
use super::is_wrong;
use super::repeat::Repeats;

/// What is known on one device.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// Trained candidates that no other surely dominates there.
    pub(super) contenders: BTreeSet<CandidateId>,
    /// Those whose files compute something else there than they should.
    wrong: BTreeSet<CandidateId>,
    latency: Repeats,
    memory: Repeats,
    /// Scale of its hypervolume, once it is fixed.
    pub(super) reference: Option<Reference>,
}

impl View {
    /// Nothing but the scale of the hypervolume.
    pub(super) fn new(reference: Option<Reference>) -> View {
        View {
            contenders: BTreeSet::new(),
            wrong: BTreeSet::new(),
            latency: Repeats::of_latency(),
            memory: Repeats::of_memory(),
            reference,
        }
    }

    /// Adds a measurement of a candidate that is trained already, or not.
    pub(super) fn measure(&mut self, measured: &Measured, is_trained: bool) {
        let id = measured.candidate;
        self.latency.add(id, measured.latency_us);
        if let Some(memory) = measured.memory_bytes {
            self.memory.add(id, memory as f64);
        }
        if is_wrong(measured) {
            self.wrong.insert(id);
        }
        if measured.round == 0 && is_trained {
            // The device was away when it was trained.
            self.contenders.insert(id);
        }
    }

    /// Does it compute there what it should, as far as is known?
    pub(super) fn is_right(&self, candidate: CandidateId) -> bool {
        !self.wrong.contains(&candidate)
    }

    /// A cheap objective; `None` for the error and for what was not measured.
    pub(super) fn cheap(&self, candidate: &Candidate, objective: Objective) -> Option<Value> {
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

    /// The same right after the first measurement, which is not part of the view yet.
    pub(super) fn cheap_with(
        &self,
        measured: &Measured,
        candidate: &Candidate,
        objective: Objective,
    ) -> Option<Value> {
        match objective {
            Objective::Latency => Some(self.latency.first(measured.latency_us)),
            Objective::Memory => Some(self.memory.first(measured.memory_bytes? as f64)),
            Objective::ModelBytes => Some(Value::exact(measured.model_bytes as f64)),
            Objective::Error | Objective::Parameters | Objective::Macs => {
                self.cheap(candidate, objective)
            }
        }
    }
}
