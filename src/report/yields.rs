//! What the parts of a search brought: morphisms, predictions, early ends.
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::stats::median;
use crate::stats::spearman;
use crate::store::Ancestor;
use crate::store::CandidateId;
use crate::store::CandidateRow;
use crate::store::Counts;
use crate::store::StepOutcome;

/// What one kind of morphism did over the whole run.
#[derive(Clone, Debug, PartialEq)]
pub struct MorphismYield {
    /// Its name.
    pub morphism: String,
    /// Times it was applied to candidates that were trained.
    pub count: usize,
    /// Median change of the validation error right after it, before any training.
    pub change_at_once: f64,
    /// Median change of the error from the trained parent to the trained child.
    pub change_trained: Option<f64>,
    /// Trained candidates made with it.
    pub children: usize,
    /// Those of them from which a member of the front descends, or which are one.
    pub in_front: usize,
}

/// Latency of one candidate before and after measuring.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// Whose.
    pub candidate: CandidateId,
    /// As predicted, µs.
    pub predicted_us: f64,
    /// As measured, µs.
    pub measured_us: f64,
    /// Did it train?
    pub trained: bool,
}

/// What early ends left out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Savings {
    /// Candidates that were accepted.
    pub accepted: u64,
    /// Ended by measured cost alone.
    pub killed_before_training: u64,
    /// Ended by their learning curve.
    pub stopped_in_training: u64,
    /// Epochs that were trained.
    pub epochs: u64,
    /// Epochs that were not.
    pub epochs_saved: u64,
    /// What those would have taken, at the mean time of an epoch; `None` before the first.
    pub seconds_saved: Option<f64>,
}

impl Savings {
    pub(super) fn of(counts: &Counts, rows: &[CandidateRow]) -> Savings {
        let trainings = || rows.iter().filter_map(|row| row.training.as_ref());
        let epochs: u32 = trainings().map(|t| t.epochs).sum();
        let seconds: f64 = trainings().map(|t| t.train_s).sum();
        let an_epoch = (epochs > 0).then(|| seconds / f64::from(epochs));
        Savings {
            accepted: counts.accepted,
            killed_before_training: counts.killed_before_training,
            stopped_in_training: counts.stopped_in_training,
            epochs: counts.epochs,
            epochs_saved: counts.epochs_saved,
            seconds_saved: an_epoch.map(|s| s * counts.epochs_saved as f64),
        }
    }

    /// Share of all epochs that were not trained.
    pub fn share(&self) -> f64 {
        let all = self.epochs + self.epochs_saved;
        if all == 0 { 0.0 } else { self.epochs_saved as f64 / all as f64 }
    }
}

/// How near predictions were: number, median of the relative distance, rank correlation.
pub(super) fn accuracy(predictions: &[Prediction]) -> Option<(usize, f64, Option<f64>)> {
    let away: Vec<f64> =
        predictions.iter().map(|p| (p.predicted_us / p.measured_us - 1.0).abs()).collect();
    let of = |side: fn(&Prediction) -> f64| predictions.iter().map(side).collect::<Vec<f64>>();
    let rank = spearman(&of(|p| p.predicted_us), &of(|p| p.measured_us));
    Some((predictions.len(), median(&away)?, rank))
}

pub(super) fn predictions(rows: &[CandidateRow]) -> Vec<Prediction> {
    let both = |row: &CandidateRow| {
        let measured_us = row.measurement.as_ref()?.latency_us;
        let predicted_us = row.predicted_latency_us?;
        let trained = row.training.is_some();
        Some(Prediction { candidate: row.id, predicted_us, measured_us, trained })
    };
    rows.iter().filter_map(both).collect()
}

pub(super) fn morphism_yields(
    outcomes: &[(CandidateId, StepOutcome)],
    rows: &[CandidateRow],
    lineages: &BTreeMap<CandidateId, Vec<Ancestor>>,
) -> Vec<MorphismYield> {
    let in_front: BTreeSet<CandidateId> =
        lineages.values().flatten().map(|ancestor| ancestor.id).collect();
    let changes = changes(rows);
    let mut groups: BTreeMap<&str, Vec<&(CandidateId, StepOutcome)>> = BTreeMap::new();
    for entry in outcomes {
        groups.entry(&entry.1.step.morphism).or_default().push(entry);
    }
    let mut yields: Vec<MorphismYield> = groups
        .into_iter()
        .map(|(morphism, group)| {
            let at_once: Vec<f64> =
                group.iter().map(|(_, o)| o.error_after - o.error_before).collect();
            let children: BTreeSet<CandidateId> = group.iter().map(|(id, _)| *id).collect();
            let trained: Vec<f64> =
                children.iter().filter_map(|id| changes.get(id).copied()).collect();
            MorphismYield {
                morphism: morphism.to_owned(),
                count: group.len(),
                change_at_once: median(&at_once).unwrap_or(0.0),
                change_trained: median(&trained),
                children: children.len(),
                in_front: children.intersection(&in_front).count(),
            }
        })
        .collect();
    yields.sort_by(|a, b| b.count.cmp(&a.count).then(a.morphism.cmp(&b.morphism)));
    yields
}

/// Error of each trained child less that of its trained parent.
fn changes(rows: &[CandidateRow]) -> BTreeMap<CandidateId, f64> {
    let errors: BTreeMap<CandidateId, f64> =
        rows.iter().filter_map(|r| Some((r.id, r.training.as_ref()?.error))).collect();
    let change = |row: &CandidateRow| {
        let (child, parent) = (errors.get(&row.id)?, errors.get(&row.parent?)?);
        Some((row.id, child - parent))
    };
    rows.iter().filter_map(change).collect()
}
