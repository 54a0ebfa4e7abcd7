//! LEMONADE: Lamarckian evolution of a Pareto front by network morphisms.
//!
//! Elsken, Metzen, Hutter, *Efficient Multi-Objective Neural Architecture Search via Lamarckian
//! Evolution*, ICLR 2019. Parents are drawn where the front is sparse in the cheap objectives,
//! many children are made as structures only, and few are accepted. Acceptance by density is the
//! paper's second stage; acceptance by surrogate ranks the children by the hypervolume that a
//! draw of their error would add.
use std::collections::BTreeSet;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use serde::Serialize;

use crate::morphism::Applied;
use crate::pareto::gain;
use crate::stats::Density;

use super::Evaluated;
use super::Generation;
use super::Origin;
use super::Parent;
use super::Proposal;
use super::Situation;
use super::Strategy;
use super::surrogate::Results;
use super::surrogate::Surrogate;

/// How children are chosen among the proposed structures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Acceptance {
    /// With probability inverse to the density of the front there.
    Density,
    /// Greedily by the hypervolume that a draw of the surrogate promises.
    #[default]
    Surrogate,
}

/// The strategy; its only memory is what the surrogate learns from.
#[derive(Debug)]
pub struct Lemonade {
    acceptance: Acceptance,
    children: usize,
    inherit: bool,
    results: Results,
}

/// Most morphisms from a parent to a child.
const MAX_MORPHISMS: usize = 3;
/// Draws are repeated so many times before a generation without any new structure ends the search.
const PATIENCE: usize = 50;
/// Narrowest kernel of the density, on the logarithm of a cost: a twentieth hardly counts.
const NARROWEST: f64 = 0.05;
/// Share of a generation that the density accepts even under [`Acceptance::Surrogate`], so that
/// the surrogate also sees what it would not have chosen.
const EXPLORED: f64 = 0.125;

/// A structure with what is known of it before acceptance.
struct Child {
    parent: u64,
    parent_error: f64,
    steps: Vec<Applied>,
    costs: Vec<f64>,
}

impl Lemonade {
    /// `children` structures are made in each generation. Without `inherit` the children are
    /// trained from scratch: the ablation.
    pub fn new(acceptance: Acceptance, children: usize, inherit: bool) -> Self {
        Lemonade { acceptance, children, inherit, results: Results::default() }
    }

    fn children(
        &self,
        situation: &Situation<'_>,
        density: &Density,
        rng: &mut ChaCha8Rng,
    ) -> (Vec<Child>, u64) {
        let sparse = situation.front.iter().map(|p| 1.0 / density.at(&cheap(situation, p)));
        let mut weights: Vec<f64> = sparse.collect();
        let mut seen = BTreeSet::new();
        let mut children = Vec::new();
        let mut draws = 0;
        while draws < self.children || children.is_empty() && draws < PATIENCE * self.children {
            draws += 1;
            let at = draw(&weights, rng);
            let parent = &situation.front[at];
            let n = rng.random_range(1..=MAX_MORPHISMS);
            let steps = situation.space.mutate(&parent.graph, n, rng);
            let Some(last) = steps.last() else {
                // No morphism applies to it, now or later.
                weights[at] = 0.0;
                continue;
            };
            let id = last.graph.arch_id();
            if situation.known.contains(&id) || !seen.insert(id) {
                continue;
            }
            let Some(costs) = (situation.costs)(&last.graph) else { continue };
            let parent_error = parent.values[situation.error_at];
            children.push(Child { parent: parent.id, parent_error, steps, costs });
        }
        (children, draws as u64)
    }

    fn proposal(&self, child: Child) -> Proposal {
        let graph = child.steps.last().expect("a child has steps").graph.clone();
        let origin = match self.inherit {
            true => Origin::Child { parent: child.parent, steps: child.steps },
            false => Origin::Scratch,
        };
        Proposal { origin, graph }
    }
}

impl Strategy for Lemonade {
    fn name(&self) -> &'static str {
        "lemonade"
    }

    fn ask(&mut self, situation: &Situation<'_>, rng: &mut ChaCha8Rng) -> Generation {
        let seeds = seeds(situation);
        if !seeds.proposals.is_empty() {
            return seeds;
        }
        let Some(density) = front_density(situation) else { return Generation::default() };
        let (mut children, looked_at) = self.children(situation, &density, rng);
        let mut chosen = Vec::new();
        if self.acceptance == Acceptance::Surrogate
            && let (Some(surrogate), Some(_)) = (self.results.fit(rng), situation.reference)
        {
            let explored = (situation.room as f64 * EXPLORED).round() as usize;
            let wanted = situation.room - explored;
            chosen = by_gain(situation, &surrogate, &mut children, wanted, self.inherit, rng);
        }
        let rest = situation.room - chosen.len();
        chosen.extend(by_density(&density, &mut children, rest, rng));
        let proposals = chosen.into_iter().map(|child| self.proposal(child)).collect();
        Generation { proposals, looked_at }
    }

    fn tell(&mut self, evaluated: &Evaluated) {
        if self.acceptance == Acceptance::Surrogate {
            self.results.add(evaluated);
        }
    }
}

/// The trivial networks that come first: those that are not in the run yet.
fn seeds(situation: &Situation<'_>) -> Generation {
    let fits = |graph: &_| (situation.costs)(graph).is_some();
    let new = |graph: &crate::graph::Graph| !situation.known.contains(&graph.arch_id());
    let seeds: Vec<_> = situation.space.seeds();
    let looked_at = seeds.len() as u64;
    let proposals = seeds
        .into_iter()
        .filter(|graph| fits(graph) && new(graph))
        .map(|graph| Proposal { origin: Origin::Scratch, graph })
        .take(situation.room);
    Generation { proposals: proposals.collect(), looked_at }
}

/// Density of the front over the logarithms of the cheap objectives.
fn front_density(situation: &Situation<'_>) -> Option<Density> {
    let points: Vec<Vec<f64>> = situation.front.iter().map(|p| cheap(situation, p)).collect();
    (!points.is_empty()).then(|| Density::fit(&points, NARROWEST))
}

/// Logarithms of a front member's cheap objectives.
fn cheap(situation: &Situation<'_>, parent: &Parent) -> Vec<f64> {
    let costs = parent.values.iter().enumerate().filter(|(i, _)| *i != situation.error_at);
    costs.map(|(_, &cost)| log(cost)).collect()
}

fn log(cost: f64) -> f64 {
    cost.max(1e-9).ln()
}

/// Position drawn with probability proportional to its weight.
fn draw(weights: &[f64], rng: &mut ChaCha8Rng) -> usize {
    let mut left = rng.random::<f64>() * weights.iter().sum::<f64>();
    for (i, weight) in weights.iter().enumerate() {
        left -= weight;
        if left < 0.0 {
            return i;
        }
    }
    weights.len() - 1
}

/// Draws without replacement, with probability inverse to the density of the parents' front: this
/// rewards children that fill its gaps.
fn by_density(
    density: &Density,
    children: &mut Vec<Child>,
    wanted: usize,
    rng: &mut ChaCha8Rng,
) -> Vec<Child> {
    let point = |child: &Child| child.costs.iter().map(|&c| log(c)).collect::<Vec<_>>();
    let mut weights: Vec<f64> = children.iter().map(|c| 1.0 / density.at(&point(c))).collect();
    let mut chosen = Vec::new();
    while chosen.len() < wanted && !children.is_empty() {
        let at = draw(&weights, rng);
        weights.remove(at);
        chosen.push(children.remove(at));
    }
    chosen
}

/// Greedily the children that add most hypervolume at a drawn error: draws from a forest, then greedy
/// gain. The error counts by its logarithm here, as costs do: on the linear axis of the reported
/// hypervolume a halved error is hardly worth a step towards larger networks. Gains only shrink while others are chosen, so a child whose
/// old gain is below another's new one need not be computed again.
fn by_gain(
    situation: &Situation<'_>,
    surrogate: &Surrogate,
    children: &mut Vec<Child>,
    wanted: usize,
    inherit: bool,
    rng: &mut ChaCha8Rng,
) -> Vec<Child> {
    let Some(reference) = situation.reference else { return Vec::new() };
    let at = situation.error_at;
    let errors = situation.front.iter().map(|p| p.values[at]);
    let scale = LogError::new(errors.fold(1.0, f64::min), reference.reference()[at]);
    // Placed once, since each gain looks at the whole front.
    let placed = |mut values: Vec<f64>| {
        values[at] = scale.place(values[at]);
        reference.normalise(&values)
    };
    let corner = vec![1.0; reference.objectives().len()];
    let mut front: Vec<Vec<f64>> =
        situation.front.iter().map(|p| placed(p.values.clone())).collect();
    let mut offers: Vec<(f64, Vec<f64>, Child)> = Vec::new();
    for child in children.drain(..) {
        let graph = &child.steps.last().expect("a child has steps").graph;
        let mut values = child.costs.clone();
        let parent_error = inherit.then_some(child.parent_error);
        values.insert(at, surrogate.draw(graph, parent_error, rng));
        let point = placed(values);
        offers.push((gain(&front, &point, &corner), point, child));
    }
    let mut chosen = Vec::new();
    while chosen.len() < wanted {
        offers.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut best: Option<(usize, f64)> = None;
        for (i, (worth, point, _)) in offers.iter_mut().enumerate() {
            if best.is_some_and(|(_, b)| b >= *worth) {
                break;
            }
            *worth = gain(&front, point, &corner);
            if best.is_none_or(|(_, b)| *worth > b) {
                best = Some((i, *worth));
            }
        }
        let Some((i, worth)) = best else { break };
        if worth <= 0.0 {
            break;
        }
        let (_, point, child) = offers.remove(i);
        front.push(point);
        chosen.push(child);
    }
    children.extend(offers.into_iter().map(|(_, _, child)| child));
    chosen
}

/// Places errors by their logarithm on the linear axis that the reference has for them.
struct LogError {
    /// An error that would be a great step forward.
    least: f64,
    /// The reference's.
    most: f64,
}

impl LogError {
    /// `best` is the lowest error of the front.
    fn new(best: f64, most: f64) -> LogError {
        LogError { least: (best / 4.0).max(1e-4).min(most / 4.0), most }
    }

    /// 0 at the least error or below, the reference's error at the reference.
    fn place(&self, error: f64) -> f64 {
        self.most * (error.max(self.least) / self.least).ln() / (self.most / self.least).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halved_errors_are_equal_steps_and_the_reference_stays() {
        let scale = LogError::new(0.08, 0.9);
        assert!((scale.place(0.9) - 0.9).abs() < 1e-12);
        let step = |from: f64| scale.place(from) - scale.place(from / 2.0);
        assert!((step(0.4) - step(0.1)).abs() < 1e-12);
        assert_eq!(scale.place(0.0), 0.0);
    }
}
