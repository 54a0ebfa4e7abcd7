//! LEMONADE: Lamarckian evolution of a Pareto front by network morphisms.
//!
//! Elsken, Metzen, Hutter, *Efficient Multi-Objective Neural Architecture Search via Lamarckian
//! Evolution*, ICLR 2019. Parents are drawn where the front is sparse in the cheap objectives,
//! many children are made as structures only, and few are accepted. Acceptance by density is the
//! paper's second stage; acceptance by surrogate ranks the children by the hypervolume that a
//! draw of their error would add.
use std::mem;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use serde::Serialize;

use crate::space::Architecture;
use crate::space::Features;
use crate::stats::Density;

use super::Costs;
use super::Evaluated;
use super::Generation;
use super::Parent;
use super::Situation;
use super::Strategy;
use super::axes::Axes;
use super::batch::Batch;
use super::goal::Goal;
use super::greedy::Offer;
use super::greedy::choose;
use super::random::begin;
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

/// Most changes from a parent to a child.
const MAX_CHANGES: usize = 3;
/// Draws are repeated so many times before a generation without any new structure ends the search.
const PATIENCE: usize = 50;
/// Narrowest kernel of the density, on the logarithm of a cost: a twentieth hardly counts.
const NARROWEST: f64 = 0.05;
/// Share of a generation that the density accepts even under [`Acceptance::Surrogate`], so that
/// the surrogate also sees what it would not have chosen.
const EXPLORED: f64 = 0.125;
/// Architectures of a fixed space that come first, random ones after those that stand for an option.
const FIRST: usize = 16;

/// Accepted in a generation, where nothing else decides that.
const BATCH: usize = 8;

/// An architecture with what is known of it before acceptance.
struct Child {
    parent: u64,
    parent_error: f64,
    architecture: Architecture,
    costs: Costs,
    /// Where it lies among the cheap objectives.
    place: Vec<f64>,
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
        cheap: &Cheap,
        batch: &mut Batch<'_>,
        rng: &mut ChaCha8Rng,
    ) -> Vec<Child> {
        let mut weights: Vec<f64> = cheap.parents.iter().map(|place| cheap.rarity(place)).collect();
        let mut children = Vec::new();
        let mut draws = 0;
        while draws < self.children || children.is_empty() && draws < PATIENCE * self.children {
            draws += 1;
            let at = draw(&weights, rng);
            let parent = &situation.front[at];
            let n = rng.random_range(1..=MAX_CHANGES);
            let Some(architecture) = situation.space.mutate(&parent.architecture, n, rng) else {
                // No change was found for it, and hardly will be in this generation.
                weights[at] = 0.0;
                continue;
            };
            let Some(costs) = batch.look_at(&architecture) else { continue };
            let place = cheap.place(situation, &architecture, &costs);
            let parent_error = parent.values[situation.error_at];
            children.push(Child { parent: parent.id, parent_error, architecture, costs, place });
        }
        children
    }
}

impl Strategy for Lemonade {
    fn name(&self) -> &'static str {
        "lemonade"
    }

    fn ask(&mut self, situation: &Situation<'_>, rng: &mut ChaCha8Rng) -> Generation {
        let mut batch = Batch::new(situation);
        begin(&mut batch, situation, true, FIRST, rng);
        let Some(cheap) = Cheap::of(situation) else { return batch.done() };
        if batch.room() < situation.room {
            return batch.done();
        }
        let mut children = self.children(situation, &cheap, &mut batch, rng);
        let mut chosen = Vec::new();
        if self.acceptance == Acceptance::Surrogate
            && let Some(example) = children.first().map(|child| child.costs.clone())
            && let (Some(surrogate), Some(_)) =
                (self.results.fit(situation, &example, rng), situation.reference)
        {
            let explored = (situation.room as f64 * EXPLORED).round() as usize;
            let wanted = situation.room - explored;
            chosen = by_gain(situation, &surrogate, &mut children, wanted, self.inherit, rng);
        }
        let rest = situation.room - chosen.len();
        chosen.extend(by_density(&cheap, &mut children, rest, rng));
        for child in chosen {
            let parent = self.inherit.then_some(child.parent);
            batch.add(child.architecture, parent);
        }
        batch.done()
    }

    fn batch(&self) -> usize {
        BATCH
    }

    fn tell(&mut self, evaluated: &Evaluated) {
        if self.acceptance == Acceptance::Surrogate {
            self.results.add(evaluated);
        }
    }
}

/// The density of the front over the logarithms of the cheap objectives: those that are known before
/// training, or where nothing is, what the structure alone tells.
struct Cheap {
    are_costs_known: bool,
    parents: Vec<Vec<f64>>,
    /// `None` where nothing at all is known: all places are alike.
    density: Option<Density>,
}

impl Cheap {
    /// `None` without a front.
    fn of(situation: &Situation<'_>) -> Option<Cheap> {
        let first = situation.front.first()?;
        let costs = (situation.costs)(&first.architecture);
        let are_costs_known = costs.is_none_or(|costs| costs.iter().all(Option::is_some));
        let place = |parent: &Parent| match are_costs_known {
            true => {
                let mut values = parent.values.clone();
                values.remove(situation.error_at);
                values.into_iter().map(log).collect()
            }
            false => situation.space.features(&parent.architecture).costs,
        };
        let parents: Vec<Vec<f64>> = situation.front.iter().map(place).collect();
        let density = (!parents[0].is_empty()).then(|| Density::fit(&parents, NARROWEST));
        Some(Cheap { are_costs_known, parents, density })
    }

    fn place(
        &self,
        situation: &Situation<'_>,
        architecture: &Architecture,
        costs: &Costs,
    ) -> Vec<f64> {
        match self.are_costs_known {
            true => costs.iter().map(|cost| log(cost.unwrap_or(0.0))).collect(),
            false => situation.space.features(architecture).costs,
        }
    }

    fn rarity(&self, place: &[f64]) -> f64 {
        self.density.as_ref().map_or(1.0, |density| 1.0 / density.at(place))
    }
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
    cheap: &Cheap,
    children: &mut Vec<Child>,
    wanted: usize,
    rng: &mut ChaCha8Rng,
) -> Vec<Child> {
    let mut weights: Vec<f64> = children.iter().map(|child| cheap.rarity(&child.place)).collect();
    let mut chosen = Vec::new();
    while chosen.len() < wanted && !children.is_empty() {
        let at = draw(&weights, rng);
        weights.remove(at);
        chosen.push(children.remove(at));
    }
    chosen
}

/// Greedily the children that add most hypervolume at a drawn error: draws from a forest, then greedy
/// gain.
fn by_gain(
    situation: &Situation<'_>,
    surrogate: &Surrogate,
    children: &mut Vec<Child>,
    wanted: usize,
    inherit: bool,
    rng: &mut ChaCha8Rng,
) -> Vec<Child> {
    let Some(axes) = Axes::of(situation) else { return Vec::new() };
    let Some(mut goal) = Goal::of(situation, |values| axes.place(values)) else {
        return Vec::new();
    };
    // Children in a fixed space are trained from scratch.
    let inherits = inherit && situation.space.choices().is_none();
    let mut offers = Vec::new();
    for child in mem::take(children) {
        let features: Features = situation.space.features(&child.architecture);
        let Some(mut values) = surrogate.complete(&child.costs, &features, rng) else {
            children.push(child);
            continue;
        };
        let parent_error = inherits.then_some(child.parent_error);
        values.insert(situation.error_at, surrogate.draw(&features, parent_error, rng));
        let point = axes.place(&values);
        offers.push(Offer { worth: goal.worth(&point), item: (point, child) });
    }
    let worth = |goal: &Goal, (point, _): &(Vec<f64>, Child)| goal.worth(point);
    let chosen = choose(&mut offers, wanted, &mut goal, worth, |goal, (point, _)| {
        goal.take(point.clone());
    });
    children.extend(offers.into_iter().map(|offer| offer.item.1));
    chosen.into_iter().map(|(_, child)| child).collect()
}
