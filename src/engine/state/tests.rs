//! The fold of records, on runs made by hand.
use super::*;
use crate::graph::Graph;
use crate::store::ToldFront;

fn run(limits: &[&str]) -> State {
    let config = RunConfig {
        objectives: vec![Objective::Error, Objective::Latency],
        limits: limits.iter().map(|text| text.parse().unwrap()).collect(),
        ..RunConfig::default()
    };
    State::new(&config, vec![None])
}

fn accept(state: &mut State, candidate: CandidateId, parent: Option<CandidateId>) {
    let graph = Graph::new([1, 2, 2]);
    state.apply(&Record::Accepted(Accepted {
        candidate,
        parent,
        generation: state.generation(),
        proposed: 5,
        arch: graph.arch_id(),
        graph,
        choices: None,
        steps: Vec::new(),
        parameters: 1,
        macs: 1,
        predicted_latency_us: None,
        at_s: 0.0,
    }));
}

fn measure(state: &mut State, candidate: CandidateId, round: u32, latency_us: f64) {
    state.apply(&Record::Measured(Measured {
        candidate,
        device: 0,
        round,
        latency_us,
        latency_interval_us: [latency_us; 2],
        memory_bytes: None,
        model_bytes: 1,
        verdict: "stable".into(),
        json: String::new(),
        at_s: 0.0,
    }));
}

/// A generation of one candidate that is trained to this error at this latency.
fn live(state: &mut State, candidate: CandidateId, error: f64, latency_us: f64) {
    accept(state, candidate, None);
    train(state, candidate, error, latency_us);
}

fn train(state: &mut State, candidate: CandidateId, error: f64, latency_us: f64) {
    measure(state, candidate, 0, latency_us);
    state.apply(&Record::Trained(Trained {
        candidate,
        error,
        error_interval: [error; 2],
        outcomes: Vec::new(),
        curve: Vec::new(),
        weights: None,
        onnx: None,
        train_s: 1.0,
        at_s: 0.0,
    }));
    tell(state, vec![candidate]);
}

fn tell(state: &mut State, candidates: Vec<CandidateId>) {
    let archive = state.archive(0);
    let members = archive.members().into_iter().map(|m| FrontMember {
        candidate: m.id,
        values: m.point(),
        intervals: m.values.iter().map(|v| v.interval).collect(),
    });
    let told = Told {
        generation: state.generation(),
        candidates,
        proposed: state.counts().proposed,
        fronts: vec![ToldFront { hypervolume: 0.0, members: members.collect() }],
        at_s: 0.0,
    };
    state.apply(&Record::Told(told));
}

fn front(state: &State) -> Vec<CandidateId> {
    state.archive(0).members().iter().map(|m| m.id).collect()
}

#[test]
fn who_was_put_aside_by_noise_returns_when_what_did_it_is_gone() {
    let mut state = run(&[]);
    live(&mut state, 1, 0.020, 100.0);
    live(&mut state, 2, 0.019, 107.0);
    assert_eq!(front(&state), [2], "107 is no more than 100 up to noise");
    live(&mut state, 3, 0.018, 114.0);
    assert_eq!(front(&state), [1, 3], "100 is clearly below 114");
}

#[test]
fn what_a_member_was_trained_on_to_stands_in_its_place_even_if_it_is_worse() {
    let mut state = run(&[]);
    live(&mut state, 1, 0.01, 100.0);
    accept(&mut state, 2, Some(1));
    train(&mut state, 2, 0.02, 101.0);
    assert_eq!(front(&state), [2]);
}

#[test]
fn a_member_by_a_lucky_round_gives_its_place_back() {
    let mut state = run(&[]);
    live(&mut state, 1, 0.020, 100.0);
    live(&mut state, 2, 0.019, 100.0);
    assert_eq!(front(&state), [2]);
    (1..5).for_each(|round| measure(&mut state, 2, round, 160.0));
    assert_eq!(front(&state), [1, 2]);
}

#[test]
fn limits_hold_on_the_front_and_an_error_limit_once_it_can() {
    let mut state = run(&["latency<=110us", "error<=5%"]);
    live(&mut state, 1, 0.30, 50.0);
    assert_eq!(front(&state), [1], "nothing keeps the limit on the error yet");
    live(&mut state, 2, 0.04, 100.0);
    assert_eq!(front(&state), [2]);
    (1..5).for_each(|round| measure(&mut state, 2, round, 130.0));
    assert_eq!(front(&state), [1], "repeats are over the limit on the latency");
}

#[test]
fn whoever_breaks_a_limit_can_still_be_a_parent() {
    let mut state = run(&["latency<=110us"]);
    live(&mut state, 1, 0.30, 109.0);
    (1..5).for_each(|round| measure(&mut state, 1, round, 112.0));
    assert!(front(&state).is_empty());
    let all = state.archive_without_limits(0);
    assert_eq!(all.members().iter().map(|m| m.id).collect::<Vec<_>>(), [1]);
}

#[test]
fn proposals_are_counted_once_whether_a_generation_is_open_or_told() {
    let mut state = run(&[]);
    live(&mut state, 1, 0.2, 100.0);
    assert_eq!(state.counts().proposed, 5);
    accept(&mut state, 2, None);
    accept(&mut state, 3, None);
    assert_eq!(state.counts().proposed, 10);
}
