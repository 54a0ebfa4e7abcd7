//! The fronts that a strategy expects to improve, and the candidates worth most for that.
use super::Costs;
use super::Situation;
use super::beliefs::Moments;
use super::greedy::Offer;
use super::greedy::choose;
use super::improvement::Belief;
use super::improvement::Front;

/// What is believed of the candidates of a pool.
pub(super) struct Outlook {
    /// Of the logarithm.
    pub error: Moments,
    /// Of the logarithm of each cost that is not known.
    pub costs: Vec<Option<Moments>>,
    /// What lies behind the observed points, drawn some times, by cost: logarithms of error and cost; none
    /// where the front is what was observed.
    pub drawn: Vec<Vec<Vec<(f64, f64)>>>,
}

/// What is worth most, greedily: each stands on the front with the median that is believed of it when
/// the next is chosen.
///
/// With several costs each has its share of the batch, which is to improve the front of the error and that
/// cost alone. (In the volume of all together a large network counts for nothing: it is dear in every
/// cost at once, and the little that is left of each is multiplied.)
pub(super) fn chosen(
    situation: &Situation<'_>,
    free: &[(usize, Costs)],
    outlook: &Outlook,
    wanted: usize,
) -> Vec<usize> {
    let mut left: Vec<(usize, Prospect)> =
        free.iter().map(|(at, costs)| (*at, Prospect::of(*at, costs, outlook))).collect();
    let mut chosen: Vec<(usize, Prospect)> = Vec::new();
    let mut aims = Aim::all(situation, outlook);
    // Another is first each time, so that none starves where batches are small.
    let first = situation.known.len() % aims.len();
    aims.rotate_left(first);
    let turns = aims.len();
    for (turn, mut aim) in aims.into_iter().enumerate() {
        chosen.iter().for_each(|(_, prospect)| aim.insert(prospect));
        let share = (wanted - chosen.len()).div_ceil(turns - turn);
        // Of thousands only those that may be the best are looked at under each front.
        let common = aim.common();
        let bound = common.as_ref().unwrap_or(&aim);
        let offer = |(at, prospect): (usize, Prospect)| Offer {
            worth: bound.worth(&prospect),
            item: (at, prospect),
        };
        let mut offers: Vec<Offer<(usize, Prospect)>> = left.drain(..).map(offer).collect();
        let worth = |aim: &Aim, (_, prospect): &(usize, Prospect)| aim.worth(prospect);
        let take = |aim: &mut Aim, (_, prospect): &(usize, Prospect)| aim.insert(prospect);
        chosen.extend(choose(&mut offers, share, &mut aim, worth, take));
        left = offers.into_iter().map(|offer| offer.item).collect();
    }
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
}

/// What is to be improved.
enum Aim {
    /// The error alone, the lowest so far: what comes first while nothing keeps the limit on it.
    Error(f64),
    /// The front of the error and one cost, or several where noise hides which it is.
    Plane(Plane),
}

/// Costs are logarithms; so is the error where there are more costs than one: a halved error is a step
/// wherever it is halved.
struct Plane {
    cost: usize,
    is_log: bool,
    fronts: Vec<Front>,
}

impl Aim {
    fn all(situation: &Situation<'_>, outlook: &Outlook) -> Vec<Aim> {
        let corner = situation.corner().expect("a model has a scale");
        if situation.needs_lower_error() {
            let worst = corner[situation.error_at];
            return vec![Aim::Error(situation.lowest_error().unwrap_or(worst))];
        }
        let plane = |cost| Aim::Plane(Plane::of(situation, outlook, cost, &corner));
        (0..outlook.costs.len()).map(plane).collect()
    }

    /// What all of several fronts dominate: under it everything is worth as much or more. `None` of a single one.
    fn common(&self) -> Option<Aim> {
        let Aim::Plane(Plane { cost, is_log, fronts }) = self else { return None };
        let several = (fronts.len() > 1).then_some(fronts)?;
        let fronts = vec![Front::common(several)?];
        Some(Aim::Plane(Plane { cost: *cost, is_log: *is_log, fronts }))
    }

    /// Expected improvement: of the error, or of the hypervolume.
    fn worth(&self, prospect: &Prospect) -> f64 {
        match self {
            Aim::Error(least) => {
                let (mean, std) = prospect.error;
                Belief::log_normal(mean, std).gain_below(*least, least.ln())
            }
            Aim::Plane(plane) => plane.worth(prospect),
        }
    }

    /// Takes a candidate in as the median that is believed of it. Of the error alone several may be the lowest.
    fn insert(&mut self, prospect: &Prospect) {
        match self {
            Aim::Error(_) => {}
            Aim::Plane(plane) => plane.insert(prospect),
        }
    }
}

impl Plane {
    fn of(situation: &Situation<'_>, outlook: &Outlook, cost: usize, corner: &[f64]) -> Plane {
        let is_log = outlook.costs.len() > 1;
        // Objectives are the costs, and the error among them.
        let at = cost + usize::from(cost >= situation.error_at);
        let place = |error: f64, log_cost: f64| (if is_log { error.ln() } else { error }, log_cost);
        let of_values = |values: &[f64]| place(values[situation.error_at], values[at].ln());
        let recorded = || situation.front.iter().map(|p| of_values(&p.values)).collect();
        let all: Vec<Vec<(f64, f64)>> = match outlook.drawn.get(cost) {
            None => vec![recorded()],
            Some(drawn) => {
                let placed = |points: &Vec<(f64, f64)>| {
                    points.iter().map(|&(error, cost)| place(error.exp(), cost)).collect()
                };
                drawn.iter().map(placed).collect()
            }
        };
        let front = |points: Vec<(f64, f64)>| {
            let mut front = Front::new(of_values(corner));
            for point in points {
                front.insert(point);
            }
            front
        };
        Plane { cost, is_log, fronts: all.into_iter().map(front).collect() }
    }

    fn error(&self, (mean, std): (f64, f64)) -> Belief {
        match self.is_log {
            true => Belief::Gaussian { mean, std },
            false => Belief::log_normal(mean, std),
        }
    }

    fn worth(&self, prospect: &Prospect) -> f64 {
        let (error, cost) = (self.error(prospect.error), prospect.costs[self.cost]);
        let sum: f64 = self.fronts.iter().map(|front| front.improvement(&error, &cost)).sum();
        sum / self.fronts.len() as f64
    }

    fn insert(&mut self, prospect: &Prospect) {
        let error = self.error(prospect.error).middle();
        let point = (error, prospect.costs[self.cost].middle());
        self.fronts.iter_mut().for_each(|front| {
            front.insert(point);
        });
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
