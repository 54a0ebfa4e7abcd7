//! Who goes on: hard limits, and what cannot enter the front any more.
use std::sync::Arc;

use crate::graph::Cost;
use crate::graph::Graph;
use crate::pareto::Archive;
use crate::pareto::Member;
use crate::pareto::Objective;
use crate::pareto::Value;
use crate::store::CandidateId;
use crate::store::EndKind;
use crate::store::Ended;
use crate::store::Measured;
use crate::store::Record;

use super::Candidate;
use super::Engine;
use super::EngineError;
use super::Limit;
use super::early::Experience;
use super::early::Prospect;
use super::early::is_spared;
use super::plan::Start;
use super::plan::epochs_of;
use super::propose::structural;

impl Engine {
    /// A record of the kill, if the measured candidate breaks a hard limit or cannot enter the
    /// front even with the lowest error that is believable.
    pub(super) fn killed(
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
        if is_spared(&self.state.candidates()[&id].accepted) {
            return None;
        }
        let error = self.optimistic_error(id, experience);
        let prospect = self.prospect_after(measured, archive)?;
        (!prospect.enters_at(error)).then(|| {
            let error = Objective::Error.format(error);
            let reason = format!("dominated even at an error of {error}");
            self.ended(id, EndKind::KilledBeforeTraining, reason, 0)
        })
    }

    pub(super) fn optimistic_error(&self, id: CandidateId, experience: &Experience) -> f64 {
        let parent = self.state.candidates()[&id].accepted.parent;
        let parent = parent.and_then(|p| self.state.candidates()[&p].trained.as_ref());
        parent.map_or(0.0, |p| experience.optimistic_child(p.error))
    }

    /// The candidate's prospect, with a measurement that is not part of the state yet.
    pub(super) fn prospect_after(
        &self,
        measured: &Measured,
        archive: &Arc<Archive>,
    ) -> Option<Prospect> {
        let values = self.state.values_with(measured)?;
        Some(Prospect { archive: archive.clone(), values, error_at: self.config.error_at() })
    }

    pub(super) fn ended(
        &self,
        candidate: CandidateId,
        kind: EndKind,
        reason: String,
        epochs: u32,
    ) -> Record {
        let accepted = &self.state.candidates()[&candidate].accepted;
        let planned = epochs_of(&self.config, Start::of(accepted), self.scale, accepted.macs);
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
    pub(super) fn told_archive(&self) -> Archive {
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

    /// If nothing of the first generation met the hard limits, the user must hear by how much.
    pub(super) fn reject_impossible_limits(&self) -> Result<(), EngineError> {
        let open = self.state.open();
        let all: Vec<&Candidate> = open.iter().map(|id| &self.state.candidates()[id]).collect();
        if self.state.generation() > 0 || all.iter().any(|c| c.trained.is_some()) {
            return Ok(());
        }
        for limit in &self.config.limits {
            let values = all.iter().filter_map(|c| self.state.cheap(c, limit.objective));
            reject_below(limit, values.map(|v| v.value).reduce(f64::min))?;
        }
        let reason = all.iter().find_map(|c| c.ended.as_ref()).map(|e| e.reason.clone());
        Err(EngineError::NothingTrained { reason: reason.unwrap_or_default() })
    }

    /// If not one seed could be proposed, a limit on what the structure alone decides rules all of them out.
    pub(super) fn reject_limits_without_a_seed(&self) -> Result<(), EngineError> {
        if !self.state.candidates().is_empty() {
            return Ok(());
        }
        let costs: Vec<Cost> = self.space.seeds().iter().map(Graph::cost).collect();
        for limit in &self.config.limits {
            let values = costs.iter().filter_map(|cost| structural(limit.objective, cost));
            reject_below(limit, values.reduce(f64::min))?;
        }
        let reason = "no network is small enough for all limits together".to_owned();
        Err(EngineError::NothingTrained { reason })
    }
}

/// An error if not even the least of all values keeps the limit.
fn reject_below(limit: &Limit, least: Option<f64>) -> Result<(), EngineError> {
    match least.filter(|least| *least > limit.most) {
        None => Ok(()),
        Some(least) => Err(EngineError::ImpossibleLimit {
            objective: limit.objective,
            most: limit.objective.format(limit.most),
            least: limit.objective.format(least),
            factor: least / limit.most,
        }),
    }
}
