//! The values that all renderings show.
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::pareto::Objective;
use crate::pareto::Reference;
use crate::pareto::knee;
use crate::store::Ancestor;
use crate::store::CandidateId;
use crate::store::CandidateRow;
use crate::store::Counts;
use crate::store::DeviceAt;
use crate::store::FrontMember;
use crate::store::Reader;
use crate::store::RunDevice;
use crate::store::RunRecord;
use crate::store::Told;

use super::ReportError;
use super::yields::MorphismYield;
use super::yields::Prediction;
use super::yields::Savings;
use super::yields::morphism_yields;
use super::yields::predictions;

/// The front of a run on one of its devices as it is now, and what it left behind.
#[derive(Clone, Debug, PartialEq)]
pub struct Front {
    /// Which run.
    pub run: RunRecord,
    /// Position of the device among the run's.
    pub at: DeviceAt,
    /// The device.
    pub device: RunDevice,
    /// What is minimised.
    pub objectives: Vec<Objective>,
    /// Seconds without a pause after which the latency counts; `None` for that of short launches.
    pub sustained_s: Option<f64>,
    /// Hard limits; what breaks one is never a member.
    pub limits: Vec<Limit>,
    /// The box of the hypervolume, once it is set.
    pub reference: Option<Reference>,
    /// Share of the box that the members dominate.
    pub hypervolume: Option<f64>,
    /// Where all candidates went.
    pub counts: Counts,
    /// Members along the [cost axis](Self::cost_axis), cheapest first.
    pub members: Vec<Candidate>,
    /// Trained candidates that are not members.
    pub others: Vec<Candidate>,
    /// The member where a little more of one objective stops buying much of another.
    pub knee: Option<CandidateId>,
    /// From the seed to each member.
    pub lineages: BTreeMap<CandidateId, Vec<Ancestor>>,
    /// Folder of the blobs, relative to that of the store.
    pub blobs: String,
}

/// A trained candidate.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// What is known of it.
    pub row: CandidateRow,
    /// The seed it descends from.
    pub seed: CandidateId,
    /// Number of the seed among all, from 0; decides colour and shape.
    pub family: usize,
}

/// A hard limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// Of what.
    pub objective: Objective,
    /// The most that is allowed, in the objective's unit.
    pub most: f64,
}

/// A front and how it came about.
#[derive(Clone, Debug, PartialEq)]
pub struct RunReport {
    /// The result.
    pub front: Front,
    /// Seconds and hypervolume after each generation.
    pub trace: Vec<[f64; 2]>,
    /// What each kind of morphism bought, most often used first.
    pub morphisms: Vec<MorphismYield>,
    /// Latency as predicted and as measured.
    pub predictions: Vec<Prediction>,
    /// What early ends left out.
    pub savings: Savings,
}

impl Front {
    /// Reads the front of `run` on the device at this position.
    ///
    /// # Errors
    ///
    /// [`ReportError`] if there is no such run or it cannot be read.
    ///
    /// # Panics
    ///
    /// If the run has no such device.
    pub fn read(reader: &Reader, run: &str, at: DeviceAt) -> Result<Front, ReportError> {
        let run = reader.run(run)?;
        let device = run.devices[at].clone();
        let objectives = objectives(&run)?;
        let limits = limits(&run);
        let reference = reference(&run, &device)?;
        let told = reader.last_told(&run.id)?;
        let front = told.and_then(|told| told.fronts.into_iter().nth(at)).unwrap_or_default();
        let front = front.members;
        let mut members = Vec::new();
        let mut others = Vec::new();
        let rows = reader.trained(&run.id, at)?;
        let of_refinements = rows.iter().filter(|row| row.is_refinement);
        let replaced: BTreeSet<CandidateId> = of_refinements.filter_map(|row| row.parent).collect();
        for mut candidate in with_families(rows) {
            match front.iter().find(|m| m.candidate == candidate.row.id) {
                Some(member) => {
                    as_told(&mut candidate.row, member, &objectives);
                    members.push(candidate);
                }
                // What it was trained on to stands in its place.
                None if replaced.contains(&candidate.row.id) => {}
                None => others.push(candidate),
            }
        }
        let axis = cost_axis(&objectives);
        members.sort_by(|a, b| cost(a, axis).total_cmp(&cost(b, axis)));
        let lineages = members
            .iter()
            .map(|m| Ok((m.row.id, reader.lineage(&run.id, m.row.id)?)))
            .collect::<Result<_, ReportError>>()?;
        let points = points(&members, &objectives);
        Ok(Front {
            hypervolume: reference.as_ref().map(|r| r.hypervolume(&points)),
            knee: knee_of(&members, &points, reference.as_ref()),
            counts: reader.counts(&run.id)?,
            blobs: folder_name(reader),
            sustained_s: sustained_s(&run),
            run,
            at,
            device,
            objectives,
            limits,
            reference,
            members,
            others,
            lineages,
        })
    }

    /// Why there is no member, for a person.
    pub(super) fn why_empty(&self) -> &'static str {
        match self.limits.is_empty() {
            true => "the first generation is not complete yet",
            false => "no trained candidate keeps the limits yet",
        }
    }

    /// The objective that error is shown against: latency if the run has it, else its first cost.
    pub fn cost_axis(&self) -> Objective {
        cost_axis(&self.objectives)
    }

    /// The limit of `objective`, if there is one.
    pub fn limit(&self, objective: Objective) -> Option<f64> {
        self.limits.iter().find(|l| l.objective == objective).map(|l| l.most)
    }

    /// Names of the morphisms from the seed to member `id`, in order.
    pub fn lineage(&self, id: CandidateId) -> Vec<&str> {
        let links = self.lineages.get(&id).into_iter().flatten();
        links.flat_map(|link| link.morphisms.iter().map(String::as_str)).collect()
    }

    /// Path of the member's ONNX file, relative to the folder of the store.
    pub fn onnx_path(&self, candidate: &Candidate) -> Option<String> {
        let hash = candidate.row.training.as_ref()?.onnx.as_ref()?;
        let group = hash.get(..2)?;
        Some(format!("{}/{group}/{hash}", self.blobs))
    }
}

impl RunReport {
    /// Reads everything there is to tell of `run` on one device.
    ///
    /// # Errors
    ///
    /// As [`Front::read`].
    pub fn read(reader: &Reader, run: &str, at: DeviceAt) -> Result<RunReport, ReportError> {
        let front = Front::read(reader, run, at)?;
        let rows = reader.candidates(run, at)?;
        let trace = |told: Told| [told.at_s, told.fronts[at].hypervolume];
        Ok(RunReport {
            trace: reader.told(run)?.into_iter().map(trace).collect(),
            morphisms: morphism_yields(&reader.outcomes(run)?, &rows, &front.lineages),
            predictions: predictions(&rows),
            savings: Savings::of(&front.counts, &rows),
            front,
        })
    }
}

fn objectives(run: &RunRecord) -> Result<Vec<Objective>, ReportError> {
    let parsed = run.objectives.iter().map(|name| name.parse());
    parsed
        .collect::<Result<_, _>>()
        .map_err(|source| ReportError::Objective { run: run.id.clone(), source })
}

fn sustained_s(run: &RunRecord) -> Option<f64> {
    let config: serde_json::Value = serde_json::from_str(&run.config).ok()?;
    config.get("sustained_s")?.as_f64()
}

fn limits(run: &RunRecord) -> Vec<Limit> {
    let of = |objective: Objective| {
        let most = *run.limits.get(objective.field())?;
        Some(Limit { objective, most })
    };
    Objective::ALL.into_iter().filter_map(of).collect()
}

fn reference(run: &RunRecord, device: &RunDevice) -> Result<Option<Reference>, ReportError> {
    let parsed = device.reference.as_deref().map(serde_json::from_str).transpose();
    parsed.map_err(|source| ReportError::Reference { run: run.id.clone(), source })
}

/// Puts in a member's row what the engine knew of it when it told the front: its combined rounds
/// and where a repeat is expected.
fn as_told(row: &mut CandidateRow, member: &FrontMember, objectives: &[Objective]) {
    let Some(measurement) = row.measurement.as_mut() else { return };
    let told = member.values.iter().zip(&member.intervals);
    for (objective, (&value, &interval)) in objectives.iter().zip(told) {
        match objective {
            Objective::Latency => {
                measurement.latency_us = value;
                measurement.latency_interval_us = interval;
            }
            Objective::Memory => {
                measurement.memory_bytes = Some(value.round() as u64);
                measurement.memory_interval_bytes = Some(interval.map(|end| end.round() as u64));
            }
            Objective::Error | Objective::Parameters | Objective::Macs | Objective::ModelBytes => {}
        }
    }
}

/// A parent has a smaller number than its children, so one pass finds all seeds.
fn with_families(rows: Vec<CandidateRow>) -> Vec<Candidate> {
    let mut seeds: BTreeMap<CandidateId, CandidateId> = BTreeMap::new();
    for row in &rows {
        let seed = row.parent.and_then(|p| seeds.get(&p).copied()).unwrap_or(row.id);
        seeds.insert(row.id, seed);
    }
    let distinct: Vec<CandidateId> =
        seeds.values().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let family = |seed| distinct.binary_search(&seed).expect("every seed is listed");
    rows.into_iter()
        .map(|row| {
            let seed = seeds[&row.id];
            Candidate { row, seed, family: family(seed) }
        })
        .collect()
}

fn cost_axis(objectives: &[Objective]) -> Objective {
    let first_cost = objectives.iter().copied().find(|o| o.is_cheap());
    match objectives.contains(&Objective::Latency) {
        true => Objective::Latency,
        false => first_cost.unwrap_or(Objective::Parameters),
    }
}

fn cost(candidate: &Candidate, axis: Objective) -> f64 {
    candidate.row.value(axis).map_or(f64::INFINITY, |v| v.value)
}

fn points(members: &[Candidate], objectives: &[Objective]) -> Vec<Vec<f64>> {
    let value = |m: &Candidate, o| m.row.value(o).expect("members have every objective").value;
    members.iter().map(|m| objectives.iter().map(|&o| value(m, o)).collect()).collect()
}

/// Lower errors are alike for the knee.
const LEAST_ERROR: f64 = 1e-3;

fn knee_of(
    members: &[Candidate],
    points: &[Vec<f64>],
    reference: Option<&Reference>,
) -> Option<CandidateId> {
    let Some(reference) = reference else { return knee(points).map(|at| members[at].row.id) };
    // One axis of error, by its logarithm, against one of cost: several costs that go together would
    // outvote the error.
    let of_error = |o: &Objective| *o == Objective::Error;
    let scaled = points.iter().map(|point| {
        let scaled = reference.normalise(point);
        let axes = reference.objectives().iter().zip(point.iter().zip(&scaled));
        let (errors, costs): (Vec<_>, Vec<_>) = axes.partition(|(o, _)| of_error(o));
        let error: f64 = errors.iter().map(|(_, (error, _))| error.max(LEAST_ERROR).ln()).sum();
        let cost: f64 = costs.iter().map(|(_, (_, scaled))| *scaled).sum();
        [error, cost / costs.len().max(1) as f64]
    });
    let scaled: Vec<[f64; 2]> = scaled.collect();
    knee(&scaled).map(|at| members[at].row.id)
}

fn folder_name(reader: &Reader) -> String {
    let name = reader.blobs().folder().file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
