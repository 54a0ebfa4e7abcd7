//! Who goes on: hard limits, and what cannot enter the front any more.
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::graph::Cost;
use crate::graph::Graph;
use crate::pareto::Archive;
use crate::pareto::Member;
use crate::pareto::Objective;
use crate::pareto::Value;
use crate::store::CandidateId;
use crate::store::DeviceAt;
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

/// What a generation is judged by: what was known when it was proposed.
pub(super) struct Judge {
    /// The front of each device.
    fronts: Vec<Arc<Archive>>,
    /// What past curves teach.
    pub(super) experience: Arc<Experience>,
}

impl Judge {
    pub(super) fn of(engine: &Engine) -> Judge {
        let devices = engine.state.devices();
        let fronts = devices.map(|device| Arc::new(engine.told_archive(device)));
        Judge { fronts: fronts.collect(), experience: Arc::new(Experience::of(&engine.state)) }
    }
}

/// Where a candidate stands on one device.
enum Standing {
    /// It may be worth its training.
    Open,
    /// It is not, for this reason.
    Hopeless(String),
    /// There is a figure missing, for this reason.
    Unknown(String),
}

impl Engine {
    /// The ends of candidates that are measured now, with `records` that are not part of the state yet:
    /// no device has a use for them, or none could measure them.
    pub(super) fn judged(
        &self,
        records: &[Record],
        judge: &Judge,
        training: &BTreeSet<CandidateId>,
    ) -> Vec<Record> {
        let mut fresh = Vec::new();
        let mut ended = BTreeSet::new();
        for record in records {
            match record {
                Record::Measured(measured) => fresh.push(measured),
                Record::Ended(record) => drop(ended.insert(record.candidate)),
                _ => {}
            }
        }
        let mut open = self.state.open();
        open.retain(|id| {
            let is_done = self.state.candidates()[id].is_finished() || ended.contains(id);
            !is_done && !training.contains(id) && self.is_measured(*id, &fresh)
        });
        open.into_iter().filter_map(|id| self.end_of(id, &fresh, judge)).collect()
    }

    /// Has every device measured the candidate that is there, or failed at it?
    pub(super) fn is_measured(&self, id: CandidateId, fresh: &[&Measured]) -> bool {
        let is_by = |device: DeviceAt| {
            self.first_round(device, id, fresh).is_some()
                || self.failures.contains_key(&(id, device))
        };
        let there = self.state.devices().filter(|device| self.lanes.is_present(*device));
        self.state.devices().any(is_by) && there.into_iter().all(is_by)
    }

    fn first_round<'a>(
        &'a self,
        device: DeviceAt,
        id: CandidateId,
        fresh: &[&'a Measured],
    ) -> Option<&'a Measured> {
        let is_it = |m: &&&Measured| (m.candidate, m.device, m.round) == (id, device, 0);
        let known = || self.state.candidates()[&id].rounds_on(device).next();
        fresh.iter().find(is_it).copied().or_else(known)
    }

    fn end_of(&self, id: CandidateId, fresh: &[&Measured], judge: &Judge) -> Option<Record> {
        let (mut killed, mut failed) = (None, None);
        for device in self.state.devices() {
            let standing = match self.first_round(device, id, fresh) {
                Some(measured) => self.standing(measured, judge),
                None => match self.failures.get(&(id, device)) {
                    Some(reason) => Standing::Unknown(reason.clone()),
                    None => continue,
                },
            };
            match standing {
                Standing::Open => return None,
                Standing::Hopeless(reason) => killed = killed.or(Some(self.on(device) + &reason)),
                Standing::Unknown(reason) => failed = failed.or(Some(reason)),
            }
        }
        let killed = killed.map(|reason| self.ended(id, EndKind::KilledBeforeTraining, reason, 0));
        killed.or_else(|| Some(self.ended(id, EndKind::Failed, failed?, 0)))
    }

    /// Does the measured candidate keep the hard limits on this device, and can it enter its front with
    /// the lowest error that is believable?
    fn standing(&self, measured: &Measured, judge: &Judge) -> Standing {
        let id = measured.candidate;
        if let Some(reason) = self.over_a_limit(measured) {
            return Standing::Hopeless(reason);
        }
        let Some(values) = self.state.values_with(measured) else {
            let reason = "its memory could not be read; leave `memory` out of --objectives if this \
                          device never tells it";
            return Standing::Unknown(self.on(measured.device) + reason);
        };
        if is_spared(&self.state.candidates()[&id].accepted) {
            return Standing::Open;
        }
        let error = self.optimistic_error(id, &judge.experience);
        let archive = judge.fronts[measured.device].clone();
        let prospect = Prospect { archive, values, error_at: self.config.error_at() };
        if prospect.enters_at(error) {
            return Standing::Open;
        }
        let error = Objective::Error.format(error);
        Standing::Hopeless(format!("dominated even at an error of {error}"))
    }

    /// Which hard limit the measured candidate breaks, if any.
    fn over_a_limit(&self, measured: &Measured) -> Option<String> {
        self.config.limits.iter().find_map(|limit| {
            let value = match limit.objective {
                Objective::Latency => measured.latency_us,
                Objective::Memory => measured.memory_bytes? as f64,
                Objective::ModelBytes => measured.model_bytes as f64,
                Objective::Error | Objective::Parameters | Objective::Macs => return None,
            };
            let [found, most] = [value, limit.most].map(|v| limit.objective.format(v));
            let reason = format!("{} {found} is over the limit {most}", limit.objective);
            (value > limit.most).then_some(reason)
        })
    }

    fn optimistic_error(&self, id: CandidateId, experience: &Experience) -> f64 {
        let parent = self.state.candidates()[&id].accepted.parent;
        let parent = parent.and_then(|p| self.state.candidates()[&p].trained.as_ref());
        parent.map_or(0.0, |p| experience.optimistic_child(p.error))
    }

    /// What a candidate that is trained now may hope for on each device; nothing if no rule may stop it.
    pub(super) fn prospects(&self, id: CandidateId, judge: &Judge) -> Vec<Prospect> {
        let candidate = &self.state.candidates()[&id];
        if is_spared(&candidate.accepted) {
            return Vec::new();
        }
        let first = candidate.rounds.iter().filter(|measured| measured.round == 0);
        let fitting = first.filter(|measured| self.over_a_limit(measured).is_none());
        let prospect = |measured: &Measured| {
            let (device, error_at) = (measured.device, self.config.error_at());
            let values = self.state.values_at(device, candidate, 0.0)?;
            Some(Prospect { archive: judge.fronts[device].clone(), values, error_at })
        };
        fitting.filter_map(prospect).collect()
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

    /// The device's front as it was last told.
    fn told_archive(&self, device: DeviceAt) -> Archive {
        let members = self.state.front(device).iter().map(|m| Member {
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
            let on = |device| {
                all.iter().filter_map(move |c| self.state.cheap(device, c, limit.objective))
            };
            let values = self.state.devices().flat_map(on);
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
        let costs: Vec<Cost> = self.seeds.iter().map(Graph::cost).collect();
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
