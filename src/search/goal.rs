//! What counts as better under the run's hard limits.
use crate::pareto::gain;

use super::Situation;

impl Situation<'_> {
    /// The corner from which hypervolume is counted, in the units of the objectives: the reference, or a limit
    /// below it, since what breaks a limit can never be on the front. `None` before there is a reference.
    pub(super) fn corner(&self) -> Option<Vec<f64>> {
        let reference = self.reference?.reference().iter().enumerate();
        Some(reference.map(|(at, &most)| self.limit(at).map_or(most, |l| l.min(most))).collect())
    }

    /// Does nothing on the front keep the limit on the error yet? Then a lower error is all that counts.
    pub(super) fn needs_lower_error(&self) -> bool {
        let Some(limit) = self.limit(self.error_at) else { return false };
        self.front.iter().all(|member| member.values[self.error_at] > limit)
    }

    /// The lowest error of the front.
    pub(super) fn lowest_error(&self) -> Option<f64> {
        self.front.iter().map(|member| member.values[self.error_at]).reduce(f64::min)
    }

    /// How far values of the objectives are beyond the limits, each as a share of its limit, in all; 0 if they
    /// keep them.
    pub(super) fn violation(&self, values: &[f64]) -> f64 {
        let beyond = |(at, value): (usize, &f64)| {
            let limit = self.limit(at)?;
            Some(((value - limit) / limit.max(f64::MIN_POSITIVE)).max(0.0))
        };
        values.iter().enumerate().filter_map(beyond).sum()
    }

    /// The hard limit on the objective at this position.
    pub(super) fn limit(&self, objective: usize) -> Option<f64> {
        self.limits.get(objective).copied().flatten()
    }
}

/// The front that drawn candidates shall improve, on axes of which lower is better.
pub(super) struct Goal {
    front: Vec<Vec<f64>>,
    corner: Vec<f64>,
    /// Where the error is, and the lowest of the front, if nothing else counts.
    error_alone: Option<(usize, f64)>,
}

impl Goal {
    /// `place` puts values of the objectives on the axes. `None` before there is a reference.
    pub(super) fn of(
        situation: &Situation<'_>,
        place: impl Fn(&[f64]) -> Vec<f64>,
    ) -> Option<Goal> {
        let corner = place(&situation.corner()?);
        let front: Vec<Vec<f64>> = situation.front.iter().map(|p| place(&p.values)).collect();
        let at = situation.error_at;
        let least = front.iter().map(|point| point[at]).fold(corner[at], f64::min);
        let error_alone = situation.needs_lower_error().then_some((at, least));
        Some(Goal { front, corner, error_alone })
    }

    /// What a point adds to the front; nothing or less if it adds nothing.
    pub(super) fn worth(&self, point: &[f64]) -> f64 {
        match self.error_alone {
            Some((at, least)) => least - point[at],
            None => gain(&self.front, point, &self.corner),
        }
    }

    /// Takes a point in. Of the error alone several may be the lowest.
    pub(super) fn take(&mut self, point: Vec<f64>) {
        if self.error_alone.is_none() {
            self.front.push(point);
        }
    }
}
