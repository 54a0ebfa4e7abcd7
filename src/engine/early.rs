//! Which candidates cannot enter the front any more, before and during training.
//!
//! Both rules ask the same: would the candidate enter at the lowest error that is still
//! believable? Before training that is the parent's error times a low quantile of what
//! comparable children made of their parents' errors. During training it is the error after the
//! epoch times a low quantile of what finished trainings of the same length still gained from
//! there. This is the curve-stopping idea of Golovin et al., *Google Vizier*, KDD 2017, section
//! 3.2, with an optimistic quantile in place of the median and dominance in place of one
//! objective. Only results of finished generations are used, so the decision does not depend on
//! which lane was faster.
//!
//! What survives the rules is no fair sample: whoever was bad early and good late is missing in
//! it, and rules that learn from it become stricter and stricter. So every fourth candidate is a
//! *control*: no rule of this file touches it, and only controls are learnt from.
use crate::pareto::Archive;
use crate::pareto::Value;
use crate::store::Accepted;
use crate::store::CandidateId;
use crate::store::Trained;

use super::plan::Start;
use super::state::State;

/// Fewest comparable results before a rule decides anything.
const ENOUGH: usize = 10;
/// Quantile of past improvements that is still believed: one in twenty did better.
const OPTIMISM: f64 = 0.05;
/// Newest controls that the rules learn from.
const MEMORY: usize = 150;
/// One candidate in so many is a control.
const CONTROL_EVERY: u64 = 4;

/// Is this candidate always trained to the end (unless it breaks a hard limit)?
fn is_control(candidate: CandidateId) -> bool {
    candidate.is_multiple_of(CONTROL_EVERY)
}

/// Does no rule of this file touch this candidate: is it a control, or a member that is trained on?
pub fn is_spared(accepted: &Accepted) -> bool {
    is_control(accepted.candidate) || Start::of(accepted) == Start::Refinement
}

/// Learnt once a generation.
#[derive(Clone, Debug)]
pub struct Experience {
    /// Low quantile of child error / parent error.
    inheritance: Option<f64>,
    /// Curves of finished trainings: validation errors by epoch.
    curves: Vec<Vec<f64>>,
}

impl Experience {
    /// What the finished generations teach.
    pub fn of(state: &State) -> Experience {
        let open = state.generation();
        let newest = state.candidates().values().rev();
        let done = newest.filter(|c| c.accepted.generation < open && c.trained.is_some());
        let controls = done.filter(|c| is_control(c.accepted.candidate));
        let controls = controls.filter(|c| Start::of(&c.accepted) != Start::Refinement);
        let trained: Vec<_> = controls.take(MEMORY).collect();
        let error = |t: &Option<Trained>| t.as_ref().map(|t| t.error);
        let ratios = trained.iter().filter_map(|c| {
            let parent = state.candidates().get(&c.accepted.parent?)?;
            Some(ratio(error(&c.trained)?, error(&parent.trained)?))
        });
        let inheritance = low_quantile(ratios.collect());
        let curves = trained
            .iter()
            .filter_map(|c| c.trained.as_ref())
            .map(|t| t.curve.iter().map(|e| e.validation_error.0).collect());
        Experience { inheritance, curves: curves.collect() }
    }

    /// Lowest believable error of a child of a parent with this error.
    pub fn optimistic_child(&self, parent_error: f64) -> f64 {
        self.inheritance.map_or(0.0, |r| r * (parent_error + FLOOR) - FLOOR).max(0.0)
    }

    /// Lowest believable final error after `epoch` of `epochs` with this error.
    pub fn optimistic_end(&self, epoch: u32, epochs: u32, error: f64) -> f64 {
        let same = self.curves.iter().filter(|c| c.len() == epochs as usize);
        let ratios = same.map(|c| ratio(c[epochs as usize - 1], c[epoch as usize - 1]));
        let gained = low_quantile(ratios.collect());
        gained.map_or(0.0, |r| r.min(1.0) * (error + FLOOR) - FLOOR).max(0.0)
    }
}

/// Keeps ratios of tiny errors in bounds: half a mistake in 500.
const FLOOR: f64 = 1e-3;

fn ratio(later: f64, earlier: f64) -> f64 {
    (later + FLOOR) / (earlier + FLOOR)
}

fn low_quantile(mut ratios: Vec<f64>) -> Option<f64> {
    ratios.sort_by(f64::total_cmp);
    let at = (OPTIMISM * ratios.len() as f64) as usize;
    (ratios.len() >= ENOUGH).then(|| ratios[at])
}

/// May a candidate still enter the front of the generation's start?
#[derive(Clone, Debug)]
pub struct Prospect {
    /// That front.
    pub archive: std::sync::Arc<Archive>,
    /// The candidate's objectives; the error is replaced.
    pub values: Vec<Value>,
    /// Position of the error.
    pub error_at: usize,
}

/// Is there no front that a candidate could enter with this error? Never without prospects.
pub fn is_hopeless(prospects: &[Prospect], error: f64) -> bool {
    !prospects.is_empty() && prospects.iter().all(|prospect| !prospect.enters_at(error))
}

impl Prospect {
    /// Would it enter with this error?
    pub fn enters_at(&self, error: f64) -> bool {
        let mut values = self.values.clone();
        values[self.error_at] = Value::exact(error);
        self.archive.could_enter(&values)
    }
}
