//! RENA: a policy that reads a network layer by layer and changes it where that was rewarded.
//!
//! Zhou, Ebrahimi, Arık, Yu, Liu, Diamos, *Resource-Efficient Neural Architect*, 2018: a layer is
//! scaled, inserted or removed; the reward is the accuracy, less for each bound that is broken. Other
//! than in the paper
//!
//! - an action is one of our morphisms, so that a child inherits weights; which of those that do the
//!   action at the layer is drawn uniformly, and so is what there is to choose for it;
//! - the bound of a cost is its value in the run's reference point: hard limits are kept by proposing
//!   nothing beyond them. There are upper bounds only;
//! - the next parent is drawn from the few members of the front with the highest reward;
//! - the policy learns from the standing of a reward among those before it, so that late gains, which
//!   are small, count as much as early ones.
//!
//! What it has learnt depends on what it was told alone, and on the reference point of the device, which
//! is set once: for each device a policy of its own.
use std::collections::BTreeMap;

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use crate::graph::Graph;
use crate::morphism;
use crate::morphism::Applied;
use crate::pareto::Reference;
use crate::space::Architecture;
use crate::space::Space;

use super::Evaluated;
use super::Generation;
use super::Grown;
use super::Parent;
use super::Situation;
use super::Strategy;
use super::batch::Batch;
use super::history::History;
use super::layers::Layers;
use super::random::begin;
use super::surgeon::Episode;
use super::surgeon::Operation;
use super::surgeon::Surgeon;

/// The strategy.
#[derive(Debug, Default)]
pub struct Rena {
    history: History,
    /// By device.
    pupils: BTreeMap<usize, Pupil>,
}

/// A policy and what it has learnt from.
#[derive(Debug)]
struct Pupil {
    surgeon: Surgeon,
    /// Rewards of the oldest results, those that it has learnt from.
    rewards: Vec<f64>,
}

/// Results between two steps of learning.
const BATCH: usize = 5;
/// Most actions from a parent to a child.
const MAX_ACTIONS: usize = 3;
/// Members of the front that may become a parent: those with the highest reward.
const PARENTS: usize = 4;
/// What is left of the reward of a cost of twice its bound. 0.9 in the paper.
const PENALTY: f64 = 0.9;
/// Draws for each wanted child before the generation is left smaller.
const TRIES: usize = 50;
/// What the temperature rises by when a draw brings nothing new.
const WARMER: f64 = 0.1;

impl Strategy for Rena {
    fn name(&self) -> &'static str {
        "rena"
    }

    fn cannot_run_on(&self, space: &dyn Space) -> Option<String> {
        let is_fixed = space.choices().is_some();
        is_fixed
            .then(|| "it changes layers by morphisms, which a fixed space does not have".to_owned())
    }

    fn ask(&mut self, situation: &Situation<'_>, rng: &mut ChaCha8Rng) -> Generation {
        let mut batch = Batch::new(situation);
        begin(&mut batch, situation, true, 0, rng);
        if batch.room() < situation.room {
            return batch.done();
        }
        let pupil = self.pupils.entry(situation.device).or_default();
        pupil.learn(self.history.evaluated(), situation);
        let parents = best(situation);
        let mut temperature = 1.0;
        for _ in 0..TRIES * situation.room {
            let Some(parent) = parents.choose(rng).filter(|_| batch.room() > 0) else { break };
            let child = child(&pupil.surgeon, parent, temperature, rng);
            let is_new = child.is_some_and(|child| batch.offer(child, Some(parent.id)));
            temperature = if is_new { 1.0 } else { temperature + WARMER };
        }
        batch.done()
    }

    fn tell(&mut self, evaluated: &Evaluated) {
        self.history.add(evaluated);
    }
}

impl Default for Pupil {
    fn default() -> Pupil {
        Pupil { surgeon: Surgeon::new(), rewards: Vec::new() }
    }
}

impl Pupil {
    /// Learns from all whole batches that were told since the last time; nothing before there is a
    /// bound for the costs.
    fn learn(&mut self, told: &[Evaluated], situation: &Situation<'_>) {
        if situation.reference.is_none() {
            return;
        }
        let new = told.get(self.rewards.len()..).unwrap_or_default();
        for batch in new.chunks_exact(BATCH) {
            let mut episodes = Vec::new();
            for evaluated in batch {
                // One that was killed or failed, or has a cost that nobody knows, has earned nothing.
                let values = evaluated.values(situation);
                let reward = values.map_or(0.0, |values| reward(&values, situation));
                self.rewards.push(reward);
                let operations = evaluated.grown.as_ref().and_then(operations);
                let reward = standing(&self.rewards, reward);
                episodes.extend(operations.map(|operations| Episode { operations, reward }));
            }
            self.surgeon.learn(&episodes);
        }
    }
}

/// Share of the rewards that are lower.
fn standing(rewards: &[f64], reward: f64) -> f64 {
    rewards.iter().filter(|other| **other < reward).count() as f64 / rewards.len() as f64
}

/// Accuracy, less for each cost beyond its bound.
fn reward(values: &[f64], situation: &Situation<'_>) -> f64 {
    let bounds = situation.reference.map_or(&[][..], Reference::reference);
    let costs = values.iter().zip(bounds).enumerate().filter(|(at, _)| *at != situation.error_at);
    let violation: f64 = costs.map(|(_, (cost, bound))| (cost / bound - 1.0).max(0.0)).sum();
    (1.0 - values[situation.error_at]) * PENALTY.powf(violation)
}

/// Members of the front with the highest reward.
fn best<'a>(situation: &Situation<'a>) -> Vec<&'a Parent> {
    let mut members: Vec<(f64, &Parent)> =
        situation.front.iter().map(|parent| (reward(&parent.values, situation), parent)).collect();
    members.sort_by(|a, b| b.0.total_cmp(&a.0));
    members.into_iter().take(PARENTS).map(|(_, parent)| parent).collect()
}

/// What the policy makes of a parent by some actions; `None` if nothing can be done.
fn child(
    surgeon: &Surgeon,
    parent: &Parent,
    temperature: f64,
    rng: &mut ChaCha8Rng,
) -> Option<Architecture> {
    let Architecture::Grown { graph: parent, .. } = &parent.architecture else { return None };
    let mut steps: Vec<Applied> = Vec::new();
    for _ in 0..rng.random_range(1..=MAX_ACTIONS) {
        let last = steps.last().map_or(parent, |applied| &applied.graph);
        let Some(applied) = operate(surgeon, last, temperature, rng) else { break };
        steps.push(applied);
    }
    let graph = steps.last()?.graph.clone();
    Some(Architecture::Grown { graph, steps })
}

fn operate(
    surgeon: &Surgeon,
    graph: &Graph,
    temperature: f64,
    rng: &mut ChaCha8Rng,
) -> Option<Applied> {
    let layers = Layers::of(graph);
    let (action, layer) = surgeon.draw(&layers, temperature, rng)?;
    let edit = layers.edits(action, layer).choose(rng)?;
    let site = edit.sites.choose(rng)?;
    edit.morphism.apply(graph, *site, rng).ok()
}

/// What was done; `None` if it was not done by actions.
fn operations(grown: &Grown) -> Option<Vec<Operation>> {
    let mut graph = grown.parent.clone();
    let mut operations = Vec::new();
    for step in &grown.steps {
        let layers = Layers::of(&graph);
        let (action, layer) = layers.place(step)?;
        operations.push(Operation { layers, action, layer });
        graph = morphism::replay(&graph, step).ok()?.graph;
    }
    Some(operations)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng;

    use super::super::layers::Action;
    use super::super::toy;
    use super::super::toy::open::Game;
    use super::super::toy::open::Judge;
    use super::super::toy::open::deep_is_good;
    use super::super::toy::open::reference;
    use super::super::toy::open::shallow_is_good;
    use super::super::toy::open::space;
    use super::*;

    #[test]
    fn what_was_learnt_matters() {
        let mut asked = Rena::default();
        let mut game = Game::new(deep_is_good);
        game.play(&mut asked, 5);
        let untold = game.propose(&mut Rena::default(), 7, 1);
        assert_ne!(game.propose(&mut asked, 7, 1), untold, "nothing was learnt");
    }

    /// Share of insertions among the actions that come after some generations.
    fn insertions(judge: Judge) -> f64 {
        let mut strategy = Rena::default();
        let mut game = Game::new(judge);
        game.play(&mut strategy, 12);
        let proposals = game.propose(&mut strategy, 20, 1).proposals;
        let steps: Vec<Action> = proposals
            .iter()
            .flat_map(|proposal| match &proposal.architecture {
                Architecture::Grown { steps, .. } => steps.as_slice(),
                Architecture::Chosen(_) => &[],
            })
            .filter_map(|applied| Action::of(&applied.step.morphism))
            .collect();
        let inserted = steps.iter().filter(|action| **action == Action::Insert).count();
        inserted as f64 / steps.len() as f64
    }

    #[test]
    fn it_inserts_where_depth_is_rewarded_and_hardly_where_it_is_not() {
        let (deep, shallow) = (insertions(deep_is_good), insertions(shallow_is_good));
        assert!(deep > shallow + 0.1, "{deep} {shallow}");
    }

    #[test]
    fn what_was_done_is_found_again_from_the_parent_and_the_steps() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let parent = space().seeds().remove(3);
        let surgeon = Surgeon::new();
        let mut last = parent.clone();
        let (mut steps, mut drawn) = (Vec::new(), Vec::new());
        for _ in 0..4 {
            let layers = Layers::of(&last);
            let (action, layer) = surgeon.draw(&layers, 1.0, &mut rng).unwrap();
            let edit = &layers.edits(action, layer)[0];
            let applied = edit.morphism.apply(&last, edit.sites[0], &mut rng).unwrap();
            drawn.push((action, layer));
            steps.push(applied.step);
            last = applied.graph;
        }
        let found = operations(&Grown { parent, steps }).unwrap();
        let found: Vec<_> = found.iter().map(|o| (o.action, o.layer)).collect();
        assert_eq!(found, drawn);
    }

    #[test]
    fn the_reward_is_the_accuracy_less_for_each_cost_beyond_its_bound() {
        let situation = Situation {
            space: &space(),
            front: &[],
            known: &BTreeSet::new(),
            reference: Some(&reference()),
            limits: &[],
            costs: &|_| None,
            device: 0,
            error_at: 0,
            room: 1,
        };
        assert_eq!(reward(&[0.2, 1e5], &situation), 0.8);
        assert!((reward(&[0.2, 2e5], &situation) - 0.8 * 0.9).abs() < 1e-12);
        assert!((reward(&[0.2, 3e5], &situation) - 0.8 * 0.81).abs() < 1e-12);
    }

    #[test]
    fn a_fixed_space_has_no_layers_to_change() {
        let strategy = Rena::default();
        assert!(strategy.cannot_run_on(&toy::space()).unwrap().contains("morphisms"));
        assert_eq!(strategy.cannot_run_on(&space()), None);
    }
}
