//! What is written down: one record for each step of a candidate's life.
use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

use crate::graph::ArchId;
use crate::graph::Graph;
use crate::morphism::Step;
use crate::train::Epoch;

/// Number of a candidate within its run, from 1 in order of acceptance.
pub type CandidateId = u64;

/// A run: one search with one configuration and seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Sortable unique name, e.g. `20261124-131502-7f3a`.
    pub id: String,
    /// Unix seconds.
    pub created: i64,
    /// Configuration as it was resolved, JSON.
    pub config: String,
    /// Name of the data set.
    pub data: String,
    /// Fingerprint of the data set and its split, hexadecimal.
    pub data_hash: String,
    /// Where candidates are measured, in the order of the configuration; at least one.
    pub devices: Vec<RunDevice>,
    /// Threads the runtime uses.
    pub threads: usize,
    /// Names of the objectives, in order.
    pub objectives: Vec<String>,
    /// Hard limits by the objective's name with its unit, e.g. `latency_us`.
    pub limits: BTreeMap<String, f64>,
}

/// A device of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunDevice {
    /// Name or address, as the user gave it.
    pub name: String,
    /// Runtime with version, e.g. `tract 0.23.9`.
    pub runtime: String,
    /// Reference point and ideal of its hypervolume, JSON; set once (`None` before).
    pub reference: Option<String>,
}

/// Position of a device among those of its run, from 0.
pub type DeviceAt = usize;

/// One durable step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// A candidate was accepted.
    Accepted(Accepted),
    /// A candidate (or front member, again) was measured.
    Measured(Measured),
    /// Weights were made and trained.
    Trained(Trained),
    /// A candidate ended before or in training.
    Ended(Ended),
    /// A generation is complete and was told to the strategy, in this order.
    Told(Told),
    /// Test error of a front member, looked at once.
    Tested {
        /// Whose.
        candidate: CandidateId,
        /// On the test split.
        error: f64,
    },
}

/// A candidate enters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Accepted {
    /// Number within the run.
    pub candidate: CandidateId,
    /// Whose weights it inherits; `None` for seeds and candidates from scratch.
    pub parent: Option<CandidateId>,
    /// Counted from 0, the seeds.
    pub generation: u32,
    /// Proposals of this generation up to and including this one that were looked at.
    pub proposed: u64,
    /// Structure.
    pub graph: Graph,
    /// Identity of the structure.
    pub arch: ArchId,
    /// Its choices, if it is of a fixed space.
    #[serde(default)]
    pub choices: Option<Vec<u8>>,
    /// Morphisms from the parent, in order.
    pub steps: Vec<Step>,
    /// Trainable parameters.
    pub parameters: u64,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Latency as predicted before measuring, µs.
    pub predicted_latency_us: Option<f64>,
    /// Seconds since the start of the run (time in the program, pauses not counted).
    pub at_s: f64,
}

/// A measurement of a candidate on a device of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Whose.
    pub candidate: CandidateId,
    /// Where.
    #[serde(default)]
    pub device: DeviceAt,
    /// 0 for the first there, counted on for repeats.
    pub round: u32,
    /// The run's latency statistic, µs.
    pub latency_us: f64,
    /// 95 % interval of it, µs.
    pub latency_interval_us: [f64; 2],
    /// Peak minus baseline, if readable.
    pub memory_bytes: Option<u64>,
    /// Size of the ONNX file.
    pub model_bytes: u64,
    /// `stable`, `noisy`, `throttled`, `too-few` or `failed`.
    pub verdict: String,
    /// The whole `citronade.measurement.v1` object with raw samples.
    pub json: String,
    /// Seconds since the start of the run.
    pub at_s: f64,
}

/// What one morphism did to the error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepOutcome {
    /// Which.
    pub step: Step,
    /// Validation error before.
    pub error_before: f64,
    /// Validation error right after (recalibrated if approximate, before any training).
    pub error_after: f64,
}

/// A candidate was trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trained {
    /// Whose.
    pub candidate: CandidateId,
    /// Validation error.
    pub error: f64,
    /// 95 % interval of it, from the size of the split.
    pub error_interval: [f64; 2],
    /// What each morphism did before training.
    pub outcomes: Vec<StepOutcome>,
    /// Training curve.
    pub curve: Vec<Epoch>,
    /// Blob of the weights (safetensors); `None` where blobs are switched off.
    pub weights: Option<String>,
    /// Blob of the trained ONNX file.
    pub onnx: Option<String>,
    /// Seconds of training.
    pub train_s: f64,
    /// Seconds since the start of the run.
    pub at_s: f64,
}

/// Why a candidate went no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndKind {
    /// Over a hard limit or dominated at an optimistic error, before training.
    KilledBeforeTraining,
    /// Its learning curve could not enter the front any more.
    StoppedInTraining,
    /// The loss was not finite.
    Diverged,
    /// The runner or the trainer failed.
    Failed,
    /// The budget ran out first.
    Unfinished,
}

impl EndKind {
    /// Name in the store and in machine-readable output, e.g. `killed-before-training`.
    pub fn name(self) -> &'static str {
        match self {
            EndKind::KilledBeforeTraining => "killed-before-training",
            EndKind::StoppedInTraining => "stopped-in-training",
            EndKind::Diverged => "diverged",
            EndKind::Failed => "failed",
            EndKind::Unfinished => "unfinished",
        }
    }

    /// The kind of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        let all = [
            EndKind::KilledBeforeTraining,
            EndKind::StoppedInTraining,
            EndKind::Diverged,
            EndKind::Failed,
            EndKind::Unfinished,
        ];
        all.into_iter().find(|kind| kind.name() == name)
    }
}

/// A candidate ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// Whose.
    pub candidate: CandidateId,
    /// How.
    pub kind: EndKind,
    /// For a person.
    pub reason: String,
    /// Epochs trained by then.
    pub epochs: u32,
    /// Epochs that were not trained because of it.
    pub epochs_saved: u32,
    /// Seconds since the start of the run.
    pub at_s: f64,
}

/// A generation is complete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// Counted from 0.
    pub generation: u32,
    /// In the order told.
    pub candidates: Vec<CandidateId>,
    /// Proposals looked at over the whole run so far.
    pub proposed: u64,
    /// The front of each device afterwards, in their order.
    pub fronts: Vec<ToldFront>,
    /// Seconds since the start of the run.
    pub at_s: f64,
}

/// The front of one device as it was told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ToldFront {
    /// Share of the device's box that the members dominate; 0 before there is a box.
    pub hypervolume: f64,
    /// By candidate number.
    pub members: Vec<FrontMember>,
}

/// A member of the front as it was known then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrontMember {
    /// Which candidate.
    pub candidate: CandidateId,
    /// Objectives, in the run's order.
    pub values: Vec<f64>,
    /// What a repeat is expected to lie in, for each objective.
    pub intervals: Vec<[f64; 2]>,
}
