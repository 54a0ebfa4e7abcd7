//! Asking the strategy for a generation.
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::graph::Cost;
use crate::graph::Graph;
use crate::latency::Predictor;
use crate::morphism::Applied;
use crate::pareto::Objective;
use crate::search::Costs as KnownCosts;
use crate::search::Generation;
use crate::search::Parent;
use crate::search::Proposal;
use crate::search::Situation;
use crate::space::Architecture;
use crate::space::Identity;
use crate::space::Space;
use crate::store::Accepted;
use crate::store::CandidateId;
use crate::store::DeviceAt;
use crate::store::Record;

use super::Engine;
use super::EngineError;
use super::Event;
use super::GENERATION_STREAMS;
use super::Limit;
use super::RunConfig;
use super::State;
use super::architecture;
use super::plan::Scale;

impl Engine {
    /// Asks the strategy for a generation and writes it down; false if there is none.
    pub(super) fn propose(
        &mut self,
        watch: &mut dyn FnMut(&Event, &State),
    ) -> Result<bool, EngineError> {
        let generation = self.state.generation();
        let mut rng = self.stream(GENERATION_STREAMS + u64::from(generation));
        let device = self.turn_of(generation);
        let front = self.parents(device);
        let costs = Costs::new(&self.config, &self.state, device, self.scale);
        // The scale of the hypervolume comes from the first generation, so it has room for all seeds.
        let wanted = match generation {
            0 => self.config.search.accept.max(self.seeds.len()),
            _ => self.config.search.accept,
        };
        let left = self.candidates_left();
        let mut known = Cow::Borrowed(self.state.known());
        let starts = self.begin(&mut known, left);
        let (space, known) = (self.space.as_ref(), known.as_ref());
        let room = wanted.min(left - starts.len());
        let limits: Vec<Option<f64>> =
            self.config.objectives.iter().map(|o| self.config.limit(*o)).collect();
        let situation = Situation {
            space,
            front: &front,
            known,
            reference: self.state.reference(device),
            limits: &limits,
            costs: &|architecture| costs.of(new_graph(space, known, architecture)?.as_ref()),
            error_at: self.config.error_at(),
            device,
            room,
        };
        let mut asked = match room {
            0 => Generation::default(),
            _ => self.strategy.ask(&situation, &mut rng),
        };
        asked.looked_at += starts.len() as u64;
        asked.proposals.splice(0..0, starts);
        if asked.proposals.is_empty() {
            return Ok(false);
        }
        let latency = match device {
            0 => costs.latency,
            _ => self.state.predictor(0, Objective::Latency),
        };
        let accepted = self.accept_predicted(asked, &latency, watch)?;
        watch(&Event::Proposed { generation, accepted }, &self.state);
        Ok(true)
    }

    /// The device whose front a generation shall improve: those that are there, and have a front, take
    /// turns. What is found is measured on all of them.
    fn turn_of(&self, generation: u32) -> DeviceAt {
        let has_a_front = |device: &DeviceAt| {
            self.lanes.is_present(*device) && self.state.reference(*device).is_some()
        };
        let there: Vec<DeviceAt> = self.state.devices().filter(has_a_front).collect();
        match there.len() {
            0 => 0,
            n => there[generation as usize % n],
        }
    }

    /// Writes a generation down and returns its candidates.
    pub(super) fn accept(
        &mut self,
        asked: Generation,
        watch: &mut dyn FnMut(&Event, &State),
    ) -> Result<Vec<CandidateId>, EngineError> {
        let latency = self.state.predictor(0, Objective::Latency);
        self.accept_predicted(asked, &latency, watch)
    }

    fn accept_predicted(
        &mut self,
        asked: Generation,
        latency: &Predictor,
        watch: &mut dyn FnMut(&Event, &State),
    ) -> Result<Vec<CandidateId>, EngineError> {
        let generation = self.state.generation();
        let first = self.state.candidates().keys().next_back().map_or(1, |id| id + 1);
        let proposed = asked.looked_at;
        let at_s = self.seconds();
        let mut chains = BTreeMap::new();
        let built = asked.proposals.into_iter().map(|p| {
            let graph = self.space.build(&p.architecture);
            (p, graph.expect("a proposal has costs, so it has a network"))
        });
        // Different choices may make the same network.
        let mut seen = BTreeSet::new();
        let records: Vec<Record> = built
            .filter(|(_, graph)| seen.insert(graph.arch_id()))
            .zip(first..)
            .map(|((p, graph), id)| {
                let choices = p.architecture.choices().cloned();
                let (parent, chain) = self.inheritance(p);
                let steps = chain.iter().map(|applied| applied.step.clone()).collect();
                if !chain.is_empty() {
                    chains.insert(id, chain);
                }
                let cost = graph.cost();
                Record::Accepted(Accepted {
                    candidate: id,
                    parent,
                    choices,
                    generation,
                    proposed,
                    arch: graph.arch_id(),
                    predicted_latency_us: predicted_latency(latency, &graph, &cost),
                    graph,
                    steps,
                    parameters: cost.parameters,
                    macs: cost.macs.0,
                    at_s,
                })
            })
            .collect();
        self.commit(&records, watch)?;
        self.chains.extend(chains);
        Ok(self.state.open())
    }

    /// Whose weights a proposal inherits, and through which morphisms: none where nothing is to be
    /// inherited, or nothing can be. Whoever is trained on has no morphisms, but keeps what it has.
    fn inheritance(&self, proposal: Proposal) -> (Option<CandidateId>, Vec<Applied>) {
        let Some(parent) = proposal.parent else { return (None, Vec::new()) };
        let is_trained_on =
            |graph: &Graph| *graph == self.state.candidates()[&parent].accepted.graph;
        match proposal.architecture {
            Architecture::Chosen(choices) => {
                let same = self.state.candidates()[&parent].accepted.choices == Some(choices);
                (Some(parent).filter(|_| same), Vec::new())
            }
            Architecture::Grown { graph, steps } => {
                match self.config.search.inherit || is_trained_on(&graph) {
                    true => (Some(parent), steps),
                    false => (None, Vec::new()),
                }
            }
        }
    }

    /// Candidates that the budget still allows.
    pub(super) fn candidates_left(&self) -> usize {
        let left = self.config.budget.candidates;
        let left = left.map_or(u64::MAX, |n| n.saturating_sub(self.state.counts().accepted));
        usize::try_from(left).unwrap_or(usize::MAX)
    }

    /// Members of the device's front. Where repeats put all of it over a hard limit, those that would be on it without
    /// limits: what grows from them may keep the limit again.
    fn parents(&self, device: DeviceAt) -> Vec<Parent> {
        let parent = |id: CandidateId, values: Vec<f64>| {
            let architecture = architecture(&self.state.candidates()[&id].accepted);
            Parent { id, architecture, values }
        };
        let front = self.state.front(device);
        match front.is_empty() {
            true => {
                let unlimited = self.state.archive_without_limits(device);
                unlimited.members().into_iter().map(|m| parent(m.id, m.point())).collect()
            }
            false => front.iter().map(|m| parent(m.candidate, m.values.clone())).collect(),
        }
    }
}

/// The network of an architecture; `None` if nothing comes through it, or if other choices made the
/// same one.
fn new_graph<'a>(
    space: &dyn Space,
    known: &BTreeSet<Identity>,
    architecture: &'a Architecture,
) -> Option<Cow<'a, Graph>> {
    match architecture {
        Architecture::Grown { graph, .. } => Some(Cow::Borrowed(graph)),
        Architecture::Chosen(_) => {
            let graph = space.build(architecture)?;
            let structure = Identity::Structure(graph.arch_id());
            (!known.contains(&structure)).then_some(Cow::Owned(graph))
        }
    }
}

/// Cheap objectives of structures, predicted where they would have to be measured.
struct Costs<'a> {
    config: &'a RunConfig,
    latency: Predictor,
    memory: Predictor,
    /// Multiply-accumulates of the largest network that can be trained whole in a time budget.
    most_macs: f64,
}

impl<'a> Costs<'a> {
    fn new(config: &'a RunConfig, state: &State, device: DeviceAt, scale: Scale) -> Costs<'a> {
        let latency = state.predictor(device, Objective::Latency);
        let reads_memory = config.objectives.contains(&Objective::Memory)
            || config.limits.iter().any(|limit| limit.objective == Objective::Memory);
        let memory = match reads_memory {
            true => state.predictor(device, Objective::Memory),
            false => Predictor::fit([]),
        };
        let most_macs = state.most_macs(config, scale);
        Costs { config, latency, memory, most_macs }
    }

    /// `None` if a hard limit rules the structure out, or the time budget, as far as that is known.
    fn of(&self, graph: &Graph) -> Option<KnownCosts> {
        let cost = graph.cost();
        let objectives = self.config.objectives.iter().filter(|o| **o != Objective::Error);
        let value = |objective: Objective| match objective {
            Objective::Error => (0.0, 0.0),
            Objective::Latency => predicted(&self.latency, graph, &cost),
            Objective::Memory => predicted(&self.memory, graph, &cost),
            Objective::Parameters | Objective::Macs | Objective::ModelBytes => {
                let known = structural(objective, &cost).unwrap_or_default();
                (known, known)
            }
        };
        let breaks = |limit: &Limit| value(limit.objective).1 > limit.most;
        if cost.macs.0 as f64 > self.most_macs || self.config.limits.iter().any(breaks) {
            return None;
        }
        Some(objectives.map(|&o| Some(value(o).0)).collect())
    }
}

/// A cost that follows from the structure alone; of a file nearly, without its names.
pub(super) fn structural(objective: Objective, cost: &Cost) -> Option<f64> {
    match objective {
        Objective::Parameters => Some(cost.parameters as f64),
        Objective::Macs => Some(cost.macs.0 as f64),
        Objective::ModelBytes => Some(4.0 * cost.parameters as f64),
        Objective::Error | Objective::Latency | Objective::Memory => None,
    }
}

/// `None` before the first measurement.
fn predicted_latency(latency: &Predictor, graph: &Graph, cost: &Cost) -> Option<f64> {
    let prediction = latency.predict_of(graph, cost);
    (prediction.samples > 0).then_some(prediction.latency_us)
}

/// A prediction, and the least it could be if enough was measured to know.
pub(super) fn predicted(predictor: &Predictor, graph: &Graph, cost: &Cost) -> (f64, f64) {
    let prediction = predictor.predict_of(graph, cost);
    let known = prediction.samples >= Predictor::ENOUGH;
    (prediction.latency_us, if known { prediction.interval_us[0] } else { 0.0 })
}
