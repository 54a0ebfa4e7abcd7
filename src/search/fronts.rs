//! The fronts that a strategy expects to improve, and the candidates worth most for that.
use super::Costs;
use super::Situation;
use super::axes::Axes;
use super::beliefs::Moments;
use super::goal::Goal;
use super::greedy::Offer;
use super::greedy::choose;
use super::improvement::Belief;
use super::improvement::Front;

/// Where the error is looked at under more than two objectives, in standard deviations, with weights:
/// Gauss-Hermite of five points.
const NODES: [(f64, f64); 5] = [
    (-2.856_970, 0.011_257),
    (-1.355_626, 0.222_076),
    (0.0, 0.533_333),
    (1.355_626, 0.222_076),
    (2.856_970, 0.011_257),
];

/// What is believed of the candidates of a pool.
pub(super) struct Outlook {
    /// Of the logarithm.
    pub error: Moments,
    /// Of the logarithm of each cost that is not known.
    pub costs: Vec<Option<Moments>>,
    /// What lies behind the observed points, `[error, logarithm of the cost]`, drawn some times; none
    /// where the front is what was observed.
    pub drawn: Vec<Vec<(f64, f64)>>,
}

/// What is worth most, greedily: each stands on the front with the median that is believed of it when
/// the next is chosen.
pub(super) fn chosen(
    situation: &Situation<'_>,
    free: &[(usize, Costs)],
    outlook: &Outlook,
    wanted: usize,
) -> Vec<usize> {
    let mut fronts = Fronts::of(situation, outlook);
    let common = fronts.common();
    let offer = |(at, costs): &(usize, Costs)| {
        let prospect = Prospect::of(*at, costs, outlook);
        // Of thousands only those that may be the best are looked at under each front.
        let worth = common.as_ref().unwrap_or(&fronts).worth(&prospect);
        Offer { worth, item: (*at, prospect) }
    };
    let mut offers: Vec<Offer<(usize, Prospect)>> = free.iter().map(offer).collect();
    let worth = |fronts: &Fronts<'_>, (_, prospect): &(usize, Prospect)| fronts.worth(prospect);
    let chosen = choose(&mut offers, wanted, &mut fronts, worth, |fronts, (_, prospect)| {
        fronts.insert(prospect);
    });
    chosen.into_iter().map(|(at, _)| at).collect()
}

/// What is believed of one candidate.
struct Prospect {
    error: (f64, f64),
    /// Of the logarithm of each cost.
    costs: Vec<Belief>,
}

impl Prospect {
    fn of(at: usize, costs: &Costs, outlook: &Outlook) -> Prospect {
        let believed =
            costs.iter().zip(&outlook.costs).map(|(cost, moments)| match (cost, moments) {
                (Some(cost), _) => Belief::Exact(cost.max(f64::MIN_POSITIVE).ln()),
                (None, Some(moments)) => {
                    Belief::Gaussian { mean: moments[at].0, std: moments[at].1 }
                }
                (None, None) => Belief::Exact(f64::INFINITY),
            });
        Prospect { error: outlook.error[at], costs: believed.collect() }
    }

    /// Of the objectives, the error so many deviations from the middle.
    fn values(&self, error_at: usize, deviations: f64) -> Vec<f64> {
        let mut values: Vec<f64> = self.costs.iter().map(|cost| cost.middle().exp()).collect();
        let (mean, std) = self.error;
        values.insert(error_at, (mean + deviations * std).exp());
        values
    }

    fn error_belief(&self) -> Belief {
        Belief::log_normal(self.error.0, self.error.1)
    }
}

/// The front that is to be improved.
enum Fronts<'a> {
    /// Of the error alone, the lowest so far: what comes first while nothing keeps the limit on it.
    Error(f64),
    /// Of the error and the logarithm of one cost; several where noise hides which it is.
    Plane(Vec<Front>),
    /// Of more objectives.
    Space { goal: Goal, axes: Axes<'a>, error_at: usize },
}

impl<'a> Fronts<'a> {
    fn of(situation: &'a Situation<'a>, outlook: &Outlook) -> Fronts<'a> {
        let at = situation.error_at;
        let corner = situation.corner().expect("a model has a scale");
        if situation.needs_lower_error() {
            return Fronts::Error(situation.lowest_error().unwrap_or(corner[at]));
        }
        if outlook.costs.len() != 1 {
            let axes = Axes::of(situation).expect("a model has a scale");
            let goal = Goal::of(situation, |values| axes.place(values)).expect("there is a scale");
            return Fronts::Space { goal, axes, error_at: at };
        }
        let corner = (corner[at], corner[1 - at].ln());
        let recorded = || {
            let points = situation.front.iter();
            points.map(|p| (p.values[at], p.values[1 - at].ln())).collect::<Vec<_>>()
        };
        let all = match outlook.drawn.is_empty() {
            true => vec![recorded()],
            false => outlook.drawn.clone(),
        };
        let front = |points: Vec<(f64, f64)>| {
            let mut front = Front::new(corner);
            for point in points {
                front.insert(point);
            }
            front
        };
        Fronts::Plane(all.into_iter().map(front).collect())
    }

    /// What all of several fronts dominate: under it everything is worth as much or more. `None` of a single one.
    fn common(&self) -> Option<Fronts<'a>> {
        match self {
            Fronts::Plane(fronts) if fronts.len() > 1 => {
                Some(Fronts::Plane(vec![Front::common(fronts)?]))
            }
            Fronts::Plane(_) | Fronts::Error(_) | Fronts::Space { .. } => None,
        }
    }

    /// Expected improvement of the hypervolume.
    fn worth(&self, prospect: &Prospect) -> f64 {
        match self {
            Fronts::Error(least) => prospect.error_belief().gain_below(*least, least.ln()),
            Fronts::Plane(fronts) => {
                let (error, cost) = (prospect.error_belief(), prospect.costs[0]);
                let sum: f64 = fronts.iter().map(|front| front.improvement(&error, &cost)).sum();
                sum / fronts.len() as f64
            }
            Fronts::Space { goal, axes, error_at } => {
                let at = |(z, weight): &(f64, f64)| {
                    weight * goal.worth(&axes.place(&prospect.values(*error_at, *z)))
                };
                NODES.iter().map(at).sum()
            }
        }
    }

    /// Takes a candidate in as the median that is believed of it. Of the error alone several may be the lowest.
    fn insert(&mut self, prospect: &Prospect) {
        match self {
            Fronts::Error(_) => {}
            Fronts::Plane(fronts) => {
                let point = (prospect.error.0.exp(), prospect.costs[0].middle());
                fronts.iter_mut().for_each(|front| {
                    front.insert(point);
                });
            }
            Fronts::Space { goal, axes, error_at } => {
                goal.take(axes.place(&prospect.values(*error_at, 0.0)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    use crate::pareto::Objective;
    use crate::pareto::Reference;
    use crate::search::Parent;
    use crate::search::toy;
    use crate::space::Space;

    /// On the linear axis of the error the second adds half as much again as the first.
    #[test]
    fn a_third_of_the_error_is_worth_more_than_a_fifth_of_the_latency() {
        let objectives = vec![Objective::Error, Objective::Latency, Objective::Parameters];
        let reference =
            Reference::between(objectives, vec![0.0, 5.0, 1e3], vec![0.9, 300.0, 1e6]).unwrap();
        let space = toy::space();
        let architecture = space.starts().remove(0);
        let front = [Parent { id: 0, architecture, values: vec![0.1, 20.0, 1e4] }];
        let situation = Situation {
            space: &space,
            front: &front,
            known: &BTreeSet::new(),
            reference: Some(&reference),
            limits: &[],
            costs: &|_| None,
            device: 0,
            error_at: 0,
            room: 1,
        };
        let free = [(0, vec![Some(40.0), Some(2e4)]), (1, vec![Some(16.0), Some(1e4)])];
        let error = [0.03_f64, 0.1].map(|error| (error.ln(), 0.01)).to_vec();
        let outlook = Outlook { error, costs: vec![None, None], drawn: Vec::new() };
        assert_eq!(chosen(&situation, &free, &outlook, 1), [0]);
    }
}
