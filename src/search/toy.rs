//! For tests: what strategies are told of a small space, without a table or an engine.
use std::collections::BTreeSet;
use std::sync::Arc;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::graph::Graph;
use crate::pareto::Objective;
use crate::pareto::Reference;
use crate::pareto::front as non_dominated;
use crate::space::Architecture;
use crate::space::ChoiceSpace;
use crate::space::Choices;
use crate::space::Fixed;
use crate::space::Identity;
use crate::space::Sketch;
use crate::space::Space;

use super::Evaluated;
use super::Parent;
use super::Situation;
use super::Strategy;

/// Six decisions between four options.
#[derive(Debug)]
struct Toy;

impl ChoiceSpace for Toy {
    fn name(&self) -> &str {
        "toy"
    }

    fn options(&self) -> &[usize] {
        &[4; 6]
    }

    fn sketches(&self, _choices: &Choices) -> Vec<Sketch> {
        Vec::new()
    }

    fn build(&self, _choices: &Choices) -> Option<Graph> {
        None
    }
}

/// The space.
pub(super) fn space() -> Fixed {
    Fixed(Arc::new(Toy))
}

/// Error and latency of an architecture: what lowers one raises the other, and some lower neither.
pub(super) fn values(architecture: &Architecture) -> [f64; 2] {
    let choices = architecture.choices().unwrap();
    let of = |option: u8| choices.iter().filter(|&&choice| choice == option).count() as f64;
    let places: f64 = choices.iter().zip(1..).map(|(&c, at)| f64::from(c) * f64::from(at)).sum();
    [0.5 / (1.0 + of(3)) + 0.002 * places, 10.0 + 20.0 * of(3) + 10.0 * of(2) + places]
}

pub(super) fn reference() -> Reference {
    Reference::between(vec![Objective::Error, Objective::Latency], vec![0.0, 5.0], vec![0.9, 300.0])
        .unwrap()
}

fn evaluated(id: usize, architecture: Architecture) -> Evaluated {
    let [error, latency] = values(&architecture);
    let (error, costs) = (Some(error), vec![vec![Some(latency)]]);
    Evaluated { id: id as u64, architecture, grown: None, parent_error: None, error, costs }
}

/// Results of random architectures, the same ones each time.
pub(super) fn results(wanted: usize) -> Vec<Evaluated> {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut seen = BTreeSet::new();
    let all = std::iter::repeat_with(|| space().sample(&mut rng));
    let new = all.filter(|a| seen.insert(a.identity())).take(wanted);
    new.enumerate().map(|(id, architecture)| evaluated(id, architecture)).collect()
}

/// Values of the non-dominated among these.
pub(super) fn front(told: &[Evaluated]) -> Vec<[f64; 2]> {
    let points: Vec<[f64; 2]> = told.iter().map(|e| values(&e.architecture)).collect();
    non_dominated(&points).into_iter().map(|i| points[i]).collect()
}

/// What the strategy proposes after it was told these; checks that all is new.
pub(super) fn propose(
    strategy: &mut dyn Strategy,
    told: &[Evaluated],
    room: usize,
    seed: u64,
) -> Vec<Architecture> {
    let points: Vec<[f64; 2]> = told.iter().map(|e| values(&e.architecture)).collect();
    let parent = |i: usize| Parent {
        id: told[i].id,
        architecture: told[i].architecture.clone(),
        values: points[i].to_vec(),
    };
    let front: Vec<Parent> = non_dominated(&points).into_iter().map(parent).collect();
    let mut known: BTreeSet<Identity> = told.iter().map(|e| e.architecture.identity()).collect();
    let situation = Situation {
        space: &space(),
        front: &front,
        known: &known.clone(),
        reference: Some(&reference()),
        // A hard limit of the latency.
        costs: &|architecture| (values(architecture)[1] < 150.0).then(|| vec![None]),
        device: 0,
        error_at: 0,
        room,
    };
    let generation = strategy.ask(&situation, &mut ChaCha8Rng::seed_from_u64(seed));
    let proposals: Vec<Architecture> =
        generation.proposals.into_iter().map(|proposal| proposal.architecture).collect();
    assert_eq!(proposals.len(), room);
    for proposal in &proposals {
        assert!(known.insert(proposal.identity()), "{proposal:?} is proposed twice");
        assert!(values(proposal)[1] < 150.0, "{proposal:?} is over the limit");
    }
    proposals
}

/// One is asked on its way, some proposals being lost, the other only told: they go on alike.
pub(super) fn check_telling_restores(asked: &mut dyn Strategy, told_again: &mut dyn Strategy) {
    let mut told = Vec::new();
    for turn in 0..6 {
        for architecture in propose(asked, &told, 7, turn).into_iter().skip(1) {
            let evaluated = evaluated(told.len(), architecture);
            asked.tell(&evaluated);
            told.push(evaluated);
        }
    }
    told.iter().for_each(|evaluated| told_again.tell(evaluated));
    for seed in 0..3 {
        assert_eq!(propose(asked, &told, 7, seed), propose(told_again, &told, 7, seed));
    }
    assert_ne!(propose(asked, &told, 7, 1), propose(asked, &told, 7, 2));
}

/// Candidates that were killed, failed or have no result but their latency, and a batch of any size.
pub(super) fn check_goes_on_without_results(strategy: &mut dyn Strategy) {
    let told = results(40);
    for (room, evaluated) in (1..).zip(&told) {
        let failed = Evaluated { error: None, costs: vec![vec![None]], ..evaluated.clone() };
        let killed = Evaluated { error: None, ..evaluated.clone() };
        strategy.tell([&failed, &killed, evaluated][room % 3]);
        propose(strategy, &told[..room], 1 + room % 12, 1);
    }
}
