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
use super::lemonade::begin;
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

/// Results between two steps of learning, and proposals of a generation.
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
        begin(&mut batch, situation, 0, rng);
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

    fn batch(&self) -> usize {
        BATCH
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
