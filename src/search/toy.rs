//! For tests: what strategies are told of a small space, without a table or an engine.
pub(super) mod open;

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
use super::STRATEGIES;
use super::Settings;
use super::Situation;
use super::Strategy;
use super::VARIANTS;
use super::strategy;

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

/// Results of the space's starts and of random architectures, the same ones each time.
pub(super) fn results(wanted: usize) -> Vec<Evaluated> {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut seen = BTreeSet::new();
    let random = std::iter::repeat_with(|| space().sample(&mut rng));
    let all = space().starts().into_iter().chain(random);
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
    propose_within(strategy, told, room, seed, &[], f64::INFINITY)
}

/// The same with limits that the strategy is told, and a front whose errors are below `most` if any is.
fn propose_within(
    strategy: &mut dyn Strategy,
    told: &[Evaluated],
    room: usize,
    seed: u64,
    limits: &[Option<f64>],
    most: f64,
) -> Vec<Architecture> {
    let points: Vec<[f64; 2]> = told.iter().map(|e| values(&e.architecture)).collect();
    let parent = |i: usize| Parent {
        id: told[i].id,
        architecture: told[i].architecture.clone(),
        values: points[i].to_vec(),
    };
    let mut front: Vec<Parent> = non_dominated(&points).into_iter().map(parent).collect();
    if front.iter().any(|member| member.values[0] <= most) {
        front.retain(|member| member.values[0] <= most);
    }
    let mut known: BTreeSet<Identity> = told.iter().map(|e| e.architecture.identity()).collect();
    let situation = Situation {
        space: &space(),
        front: &front,
        known: &known.clone(),
        reference: Some(&reference()),
        limits,
        // A hard limit of the latency.
        costs: &|architecture| (values(architecture)[1] < 150.0).then(|| vec![None]),
        device: 0,
        error_at: 0,
        room,
    };
    let generation = strategy.ask(&situation, &mut ChaCha8Rng::seed_from_u64(seed));
    let proposals: Vec<Architecture> =
        generation.proposals.into_iter().map(|proposal| proposal.architecture).collect();
    // Some complete their first generation before they go on.
    let is_whole = proposals.len() == room || told.len() < MOST_FIRST && !proposals.is_empty();
    let (name, found) = (strategy.name(), proposals.len());
    assert!(is_whole, "{name}: {found} proposals after {} results", told.len());
    for proposal in &proposals {
        assert!(known.insert(proposal.identity()), "{proposal:?} is proposed twice");
        assert!(values(proposal)[1] < 150.0, "{proposal:?} is over the limit");
    }
    proposals
}

/// Most architectures that any strategy begins with.
const MOST_FIRST: usize = 30;

/// One is asked on its way, some proposals being lost, the other only told: they go on alike.
fn check_telling_restores(name: &str, asked: &mut dyn Strategy, told_again: &mut dyn Strategy) {
    let mut told = Vec::new();
    for turn in 0..6 {
        let mut proposals = propose(asked, &told, 7, turn);
        if proposals.len() > 1 {
            proposals.pop();
        }
        for architecture in proposals {
            let evaluated = evaluated(told.len(), architecture);
            asked.tell(&evaluated);
            told.push(evaluated);
        }
    }
    told.iter().for_each(|evaluated| told_again.tell(evaluated));
    for seed in 0..3 {
        let [one, other] = [propose(asked, &told, 7, seed), propose(told_again, &told, 7, seed)];
        assert_eq!(one, other, "{name}");
    }
    assert_ne!(propose(asked, &told, 7, 1), propose(asked, &told, 7, 2), "{name}");
}

/// Candidates that were killed, failed or have no result but their latency, and a batch of any size.
fn check_goes_on_without_results(strategy: &mut dyn Strategy) {
    let told = results(40);
    for (room, evaluated) in (1..).zip(&told) {
        let failed = Evaluated { error: None, costs: vec![vec![None]], ..evaluated.clone() };
        let killed = Evaluated { error: None, ..evaluated.clone() };
        strategy.tell([&failed, &killed, evaluated][room % 3]);
        propose(strategy, &told[..room], 1 + room % 12, 1);
    }
}

/// All strategies and variants that can search here.
fn all() -> impl Iterator<Item = (&'static str, impl Fn() -> Box<dyn Strategy>)> {
    let names = STRATEGIES.iter().chain(VARIANTS).map(|(name, _)| *name);
    let made = |name| move || strategy(name, Settings::default()).unwrap();
    let all = names.map(move |name| (name, made(name)));
    all.filter(|(_, made)| made().cannot_run_on(&space()).is_none())
}

#[test]
fn telling_again_restores_every_strategy() {
    for (name, made) in all() {
        check_telling_restores(name, made().as_mut(), made().as_mut());
    }
}

#[test]
fn every_strategy_goes_on_where_results_are_missing() {
    for (_, made) in all() {
        check_goes_on_without_results(made().as_mut());
    }
}

/// The others know of a limit on the error by the front alone, or not at all.
fn learning() -> impl Iterator<Item = (&'static str, impl Fn() -> Box<dyn Strategy>)> {
    all().filter(|(name, _)| !["lemonade:density", "local-search", "random"].contains(name))
}

/// Values of what is proposed after these results, told of a limit on the error or not; the front is the same.
fn told_and_not(
    strategy: &dyn Fn() -> Box<dyn Strategy>,
    told: &[Evaluated],
    limit: f64,
) -> [Vec<[f64; 2]>; 2] {
    [vec![Some(limit), None], Vec::new()].map(|limits| {
        let mut strategy = strategy();
        told.iter().for_each(|evaluated| strategy.tell(evaluated));
        let proposals = (0..5)
            .flat_map(|seed| propose_within(strategy.as_mut(), told, 10, seed, &limits, limit));
        proposals.map(|proposal| values(&proposal)).collect()
    })
}

/// But for `lemonade`, whose few children with the luckiest draws tell nothing here.
#[test]
fn a_limit_on_the_error_is_where_gain_begins() {
    let (told, limit) = (results(200), 0.25);
    for (name, made) in learning().filter(|(name, _)| *name != "lemonade") {
        let keep = |all: Vec<[f64; 2]>| all.iter().filter(|values| values[0] <= limit).count();
        let [with, without] = told_and_not(&|| made(), &told, limit).map(keep);
        assert!(10 * with > 12 * without, "{name}: {with} keep it, {without} if it is not told");
    }
}

#[test]
fn the_lowest_error_counts_alone_until_something_keeps_its_limit() {
    let told = results(90);
    for (name, made) in learning() {
        let sums = told_and_not(&|| made(), &told, 0.05)
            .map(|proposals| proposals.into_iter().map(|[error, _]| error).sum::<f64>());
        assert!(sums[0] < 0.9 * sums[1], "{name}: {sums:?}");
    }
}
