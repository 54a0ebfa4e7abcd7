//! What a strategy was told.
use crate::space::Architecture;

use super::Evaluated;
use super::Situation;

/// Everything that was told, oldest first.
#[derive(Debug, Default)]
pub(super) struct History {
    evaluated: Vec<Evaluated>,
}

/// A candidate whose objectives are all known.
#[derive(Clone, Debug)]
pub(super) struct Individual<'a> {
    pub id: u64,
    pub architecture: &'a Architecture,
    /// All objectives on the axes of the run's reference, 0 to 1 and beyond.
    pub point: Vec<f64>,
    /// How far it is beyond the hard limits; 0 if it keeps them.
    pub violation: f64,
}

impl History {
    pub(super) fn add(&mut self, evaluated: &Evaluated) {
        self.evaluated.push(evaluated.clone());
    }

    pub(super) fn evaluated(&self) -> &[Evaluated] {
        &self.evaluated
    }

    /// Who has all objectives, oldest first; nobody before there is a scale for them.
    pub(super) fn individuals(&self, situation: &Situation<'_>) -> Vec<Individual<'_>> {
        let Some(reference) = situation.reference else { return Vec::new() };
        let whole = self.evaluated.iter().filter_map(|e| {
            let values = e.values(situation)?;
            let (point, violation) = (reference.normalise(&values), situation.violation(&values));
            Some(Individual { id: e.id, architecture: &e.architecture, point, violation })
        });
        whole.collect()
    }
}
