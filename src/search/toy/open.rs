//! For tests: what strategies are told of the open space, without training.
use std::collections::BTreeSet;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::graph::Graph;
use crate::pareto::Objective;
use crate::pareto::Reference;
use crate::pareto::front as non_dominated;
use crate::search::Evaluated;
use crate::search::Generation;
use crate::search::Grown;
use crate::search::Parent;
use crate::search::Proposal;
use crate::search::STRATEGIES;
use crate::search::Settings;
use crate::search::Situation;
use crate::search::Strategy;
use crate::search::layers::Layers;
use crate::search::strategy;
use crate::space::Architecture;
use crate::space::Identity;
use crate::space::MorphismSpace;

/// Error and parameters; an error of `None` is not known.
pub(in crate::search) type Judge = fn(&Graph) -> Option<f64>;

/// A search in the open space without training.
pub(in crate::search) struct Game {
    judge: Judge,
    told: Vec<Evaluated>,
}

pub(in crate::search) fn space() -> MorphismSpace {
    MorphismSpace::new([1, 8, 8], 10, 1_000)
}

pub(in crate::search) fn graph(architecture: &Architecture) -> &Graph {
    match architecture {
        Architecture::Grown { graph, .. } => graph,
        Architecture::Chosen(_) => unreachable!("the open space has no choices"),
    }
}

fn parameters(architecture: &Architecture) -> f64 {
    graph(architecture).cost().parameters as f64
}

pub(in crate::search) fn layers(graph: &Graph) -> f64 {
    Layers::of(graph).features.len() as f64
}

pub(in crate::search) fn deep_is_good(graph: &Graph) -> Option<f64> {
    Some(1.0 / (1.0 + layers(graph)))
}

pub(in crate::search) fn shallow_is_good(graph: &Graph) -> Option<f64> {
    Some(1.0 - 1.0 / (1.0 + layers(graph)))
}

fn some_have_no_error(graph: &Graph) -> Option<f64> {
    (!graph.cost().parameters.is_multiple_of(3)).then_some(0.5)
}

pub(in crate::search) fn reference() -> Reference {
    let objectives = vec![Objective::Error, Objective::Parameters];
    Reference::between(objectives, vec![0.0, 10.0], vec![0.9, 1e5]).unwrap()
}

/// Nothing larger may be proposed.
const LIMIT: f64 = 3e4;

impl Game {
    pub(in crate::search) fn new(judge: Judge) -> Game {
        Game { judge, told: Vec::new() }
    }

    /// What is proposed now; checks that it is new and within the limit.
    pub(in crate::search) fn propose(
        &self,
        strategy: &mut dyn Strategy,
        room: usize,
        seed: u64,
    ) -> Generation {
        let values = |e: &Evaluated| Some([e.error?, parameters(&e.architecture)]);
        let whole: Vec<(&Evaluated, [f64; 2])> =
            self.told.iter().filter_map(|e| Some((e, values(e)?))).collect();
        let points: Vec<[f64; 2]> = whole.iter().map(|(_, values)| *values).collect();
        let parent = |i: usize| Parent {
            id: whole[i].0.id,
            architecture: whole[i].0.architecture.clone(),
            values: points[i].to_vec(),
        };
        let front: Vec<Parent> = non_dominated(&points).into_iter().map(parent).collect();
        let mut known: BTreeSet<Identity> =
            self.told.iter().map(|e| e.architecture.identity()).collect();
        let cost = |architecture: &Architecture| Some(parameters(architecture));
        let situation = Situation {
            space: &space(),
            front: &front,
            known: &known.clone(),
            reference: Some(&reference()),
            limits: &[],
            costs: &|a| cost(a).filter(|cost| *cost <= LIMIT).map(|cost| vec![Some(cost)]),
            device: 0,
            error_at: 0,
            room,
        };
        let generation = strategy.ask(&situation, &mut ChaCha8Rng::seed_from_u64(seed));
        for Proposal { architecture, .. } in &generation.proposals {
            assert!(known.insert(architecture.identity()), "{architecture:?} is known");
            assert!(parameters(architecture) <= LIMIT);
        }
        generation
    }

    /// What becomes of a proposal; as a store has it, without the graphs on its way.
    fn evaluate(&mut self, proposal: Proposal) -> Evaluated {
        let of = |id: u64| self.told.iter().find(|told| told.id == id).unwrap();
        let parent = proposal.parent.map(|id| graph(&of(id).architecture).clone());
        let Architecture::Grown { graph, steps } = proposal.architecture else { unreachable!() };
        let steps = steps.into_iter().map(|applied| applied.step).collect();
        let error = (self.judge)(&graph);
        let architecture = Architecture::grown(graph);
        let evaluated = Evaluated {
            id: self.told.len() as u64,
            grown: parent.map(|parent| Grown { parent, steps }),
            parent_error: None,
            error,
            costs: vec![vec![Some(parameters(&architecture))]],
            architecture,
        };
        self.told.push(evaluated.clone());
        evaluated
    }

    /// Some generations; the last proposal of each is lost, but none of the starts.
    pub(in crate::search) fn play(&mut self, strategy: &mut dyn Strategy, generations: u64) {
        for seed in 0..generations {
            let mut proposals = self.propose(strategy, 7, seed).proposals;
            if seed > 0 {
                proposals.pop();
            }
            for proposal in proposals {
                let evaluated = self.evaluate(proposal);
                strategy.tell(&evaluated);
            }
        }
    }
}

/// All strategies that can search here.
fn all() -> impl Iterator<Item = (&'static str, impl Fn() -> Box<dyn Strategy>)> {
    let made = |name| move || strategy(name, Settings::default()).unwrap();
    let all = STRATEGIES.iter().map(move |(name, _)| (*name, made(*name)));
    all.filter(|(_, made)| made().cannot_run_on(&space()).is_none())
}

#[test]
fn telling_again_restores_every_strategy() {
    for (name, made) in all() {
        let (mut asked, mut told_again) = (made(), made());
        let mut game = Game::new(deep_is_good);
        game.play(asked.as_mut(), 5);
        game.told.iter().for_each(|evaluated| told_again.tell(evaluated));
        for seed in 0..3 {
            let proposals = game.propose(asked.as_mut(), 7, seed).proposals;
            assert_eq!(proposals.len(), 7, "{name}");
            let again = game.propose(told_again.as_mut(), 7, seed).proposals;
            assert_eq!(proposals, again, "{name}");
        }
    }
}

#[test]
fn every_strategy_goes_on_where_results_are_missing() {
    for (name, made) in all() {
        let mut game = Game::new(some_have_no_error);
        game.play(made().as_mut(), 5);
        assert!(game.told.len() > 20, "{name}: {}", game.told.len());
    }
}
