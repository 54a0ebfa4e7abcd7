//! The front for programs: `citronade.front.v1`.
use std::collections::BTreeMap;

use serde::Serialize;

use crate::pareto::Objective;
use crate::pareto::Value;
use crate::store::CandidateId;

use super::Candidate;
use super::Front;

/// Field by field as `interfaces` documents them; add freely, rename never.
#[derive(Serialize)]
struct Written<'a> {
    schema: &'static str,
    run: &'a str,
    device: &'a str,
    runtime: &'a str,
    runtime_version: Option<&'a str>,
    threads: usize,
    data: &'a str,
    objectives: Vec<&'static str>,
    limits: BTreeMap<&'static str, f64>,
    reference: Option<BTreeMap<&'static str, f64>>,
    hypervolume: Option<f64>,
    candidates: Candidates,
    knee: Option<CandidateId>,
    members: Vec<WrittenMember<'a>>,
}

#[derive(Serialize)]
struct Candidates {
    proposed: u64,
    accepted: u64,
    killed_before_training: u64,
    stopped_in_training: u64,
    trained: u64,
    failed: u64,
}

#[derive(Serialize)]
struct WrittenMember<'a> {
    id: CandidateId,
    parent: Option<CandidateId>,
    seed: CandidateId,
    lineage: Vec<&'a str>,
    error: Option<f64>,
    error_interval: Option<[f64; 2]>,
    test_error: Option<f64>,
    latency_us: Option<f64>,
    latency_interval_us: Option<[f64; 2]>,
    memory_bytes: Option<u64>,
    parameters: u64,
    macs: u64,
    model_bytes: Option<u64>,
    verdict: Option<&'a str>,
    rounds: usize,
    epochs: Option<u32>,
    onnx: Option<String>,
}

/// One object in one line, `citronade.front.v1`; `null` means unknown.
pub fn json(front: &Front) -> String {
    let run = &front.run;
    let (runtime, runtime_version) = match front.device.runtime.split_once(' ') {
        Some((name, version)) => (name, Some(version)),
        None => (front.device.runtime.as_str(), None),
    };
    let reference = front.reference.as_ref().map(|r| {
        r.objectives().iter().map(|o| o.field()).zip(r.reference().iter().copied()).collect()
    });
    let counts = &front.counts;
    let written = Written {
        schema: "citronade.front.v1",
        run: &run.id,
        device: &front.device.name,
        runtime,
        runtime_version,
        threads: run.threads,
        data: &run.data,
        objectives: front.objectives.iter().map(|o| o.name()).collect(),
        limits: front.limits.iter().map(|l| (l.objective.field(), l.most)).collect(),
        reference,
        hypervolume: front.hypervolume,
        candidates: Candidates {
            proposed: counts.proposed,
            accepted: counts.accepted,
            killed_before_training: counts.killed_before_training,
            stopped_in_training: counts.stopped_in_training,
            trained: counts.trained,
            failed: counts.failed,
        },
        knee: front.knee,
        members: front.members.iter().map(|m| member(front, m)).collect(),
    };
    serde_json::to_string(&written).expect("a front is plain data")
}

fn member<'a>(front: &'a Front, candidate: &'a Candidate) -> WrittenMember<'a> {
    let row = &candidate.row;
    let (error, latency) = (row.value(Objective::Error), row.value(Objective::Latency));
    let best = |v: Option<Value>| v.map(|v| v.value);
    let interval = |v: Option<Value>| v.map(|v| v.interval);
    WrittenMember {
        id: row.id,
        parent: row.parent,
        seed: candidate.seed,
        lineage: front.lineage(row.id),
        error: best(error),
        error_interval: interval(error),
        test_error: row.test_error,
        latency_us: best(latency),
        latency_interval_us: interval(latency),
        memory_bytes: row.measurement.as_ref().and_then(|m| m.memory_bytes),
        parameters: row.parameters,
        macs: row.macs,
        model_bytes: row.measurement.as_ref().map(|m| m.model_bytes),
        verdict: row.measurement.as_ref().map(|m| m.verdict.as_str()),
        rounds: row.rounds.len(),
        epochs: row.training.as_ref().map(|t| t.epochs),
        onnx: front.onnx_path(candidate),
    }
}
