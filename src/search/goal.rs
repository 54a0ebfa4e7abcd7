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
    /// Where the error is, and the guess rate, if nothing else counts.
    error_alone: Option<(usize, f64)>,
}

impl Goal {
    /// `place` puts values of the objectives on the axes. `None` before there is a reference.
    pub(super) fn of(
        situation: &Situation<'_>,
        place: impl Fn(&[f64]) -> Vec<f64>,
    ) -> Option<Goal> {
        let corner = place(&situation.corner()?);
        let front = situation.front.iter().map(|member| place(&member.values)).collect();
        let at = situation.error_at;
        let guess = place(situation.reference?.reference())[at];
        let error_alone = situation.needs_lower_error().then_some((at, guess));
        Some(Goal { front, corner, error_alone })
    }

    /// What a point adds to the front, or how far its error is below the guess rate: nothing or less if it is not
    /// worth anything.
    pub(super) fn worth(&self, point: &[f64]) -> f64 {
        match self.error_alone {
            Some((at, guess)) => guess - point[at],
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

#[cfg(test)]
mod tests {
    use super::super::Parent;
    use super::super::toy;
    use super::*;
    use crate::space::Space;
    use std::collections::BTreeSet;

    /// What points of error and latency are worth to a front of one, under a limit on each.
    fn worth(member: [f64; 2], limits: [Option<f64>; 2], points: [[f64; 2]; 2]) -> [f64; 2] {
        let space = toy::space();
        let architecture = space.starts().remove(0);
        let front = [Parent { id: 0, architecture, values: member.to_vec() }];
        let reference = toy::reference();
        let situation = Situation {
            space: &space,
            front: &front,
            known: &BTreeSet::new(),
            reference: Some(&reference),
            limits: &limits,
            costs: &|_| None,
            device: 0,
            error_at: 0,
            room: 1,
        };
        let goal = Goal::of(&situation, |values| reference.normalise(values)).unwrap();
        points.map(|point| goal.worth(&reference.normalise(&point)))
    }

    #[test]
    fn beyond_a_limit_nothing_is_gained() {
        let points = [[0.15, 20.0], [0.3, 8.0]];
        let [within, beyond] = worth([0.1, 30.0], [None, None], points);
        assert!(0.0 < within && within < beyond, "{within} {beyond}");
        let [within, beyond] = worth([0.1, 30.0], [Some(0.2), None], points);
        assert!(within > 0.0 && beyond == 0.0, "{within} {beyond}");
        let [within, beyond] = worth([0.1, 10.0], [None, Some(25.0)], [[0.05, 20.0], [0.02, 40.0]]);
        assert!(within > 0.0 && beyond == 0.0, "{within} {beyond}");
    }

    #[test]
    fn until_the_limit_on_the_error_is_kept_the_lower_error_is_worth_more() {
        let points = [[0.25, 290.0], [0.3, 8.0]];
        let [low, high] = worth([0.3, 20.0], [Some(0.2), None], points);
        assert!(low > high && high > 0.0, "{low} {high}");
        let [low, high] = worth([0.19, 20.0], [Some(0.2), None], points);
        assert_eq!([low, high], [0.0, 0.0]);
    }

    #[test]
    fn violations_are_shares_of_their_limits() {
        let (space, reference) = (toy::space(), toy::reference());
        let situation = Situation {
            space: &space,
            front: &[],
            known: &BTreeSet::new(),
            reference: Some(&reference),
            limits: &[Some(0.1), Some(50.0)],
            costs: &|_| None,
            device: 0,
            error_at: 0,
            room: 1,
        };
        assert_eq!(situation.violation(&[0.1, 50.0]), 0.0);
        assert!((situation.violation(&[0.2, 75.0]) - 1.5).abs() < 1e-12);
    }
}
