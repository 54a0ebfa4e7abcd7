//! How fast the store is: commits in groups, opening, and the rows of a front.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints and may fail")]
use std::path::Path;
use std::time::Instant;

use citronade::graph::*;
use citronade::morphism::Choice;
use citronade::morphism::Step;
use citronade::report::Front;

use citronade::store::*;
use citronade::train::Epoch;
use citronade::units::Fraction;
use tempfile::TempDir;

const CANDIDATES: u64 = 100_000;
/// Of which every fourth is trained.
const GROUP: u64 = 32;

fn main() {
    let folder = TempDir::new_in(".").unwrap();
    let path = folder.path().join("citronade.db");
    write(&path);
    let bytes = std::fs::metadata(&path).unwrap().len();
    println!("size                 {:8.1} MB", bytes as f64 / 1e6);
    time("open", || drop(Store::open(&path).unwrap()));
    time("read-only open", || drop(Reader::open(&path).unwrap()));
    let reader = Reader::open(&path).unwrap();
    time("front", || assert!(!Front::read(&reader, "run", 0).unwrap().members.is_empty()));
    time("counts", || assert_eq!(reader.counts("run").unwrap().accepted, CANDIDATES));
    time("candidates", || assert_eq!(reader.candidates("run", 0).unwrap().len(), 100_000));
    time("one candidate", || assert!(reader.candidate("run", 77_777).unwrap().is_some()));
    time("records (resume)", || assert!(reader.records("run").unwrap().len() > 100_000));
}

/// Prints the best of five.
fn time(what: &str, work: impl Fn()) {
    let seconds = || {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    };
    let best = (0..5).map(|_| seconds()).fold(f64::INFINITY, f64::min);
    println!("{what:20} {:8.1} ms", 1e3 * best);
}

fn write(path: &Path) {
    let mut store = Store::open(path).unwrap();
    store.begin_run(&run()).unwrap();
    let start = Instant::now();
    for first in (1..=CANDIDATES).step_by(GROUP as usize) {
        let last = (first + GROUP).min(CANDIDATES + 1);
        let steps: Vec<Record> = (first..last).flat_map(life).collect();
        store.commit("run", &steps).unwrap();
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("commits of {GROUP:2}        {:8.0} candidates/s", CANDIDATES as f64 / seconds);
}

fn run() -> RunRecord {
    RunRecord {
        id: "run".into(),
        created: 0,
        config: "{}".into(),
        data: "digits".into(),
        data_hash: String::new(),
        devices: vec![RunDevice { name: "local".into(), runtime: "tract".into(), reference: None }],
        threads: 1,
        objectives: vec!["error".into(), "latency".into(), "parameters".into()],
        limits: Default::default(),
    }
}

/// Accepted and measured; then trained or killed.
fn life(candidate: u64) -> Vec<Record> {
    let graph = network();
    let noise =
        |k: u64| (candidate.wrapping_mul(k).wrapping_mul(0x9e37_79b9) % 9973) as f64 / 9973.0;
    let latency_us = 50.0 + 100.0 * noise(3);
    let accepted = Accepted {
        candidate,
        parent: (candidate > 3).then_some(1 + candidate / 3),
        generation: (candidate / 64) as u32,
        proposed: 1 + candidate % 64,
        arch: graph.arch_id(),
        graph,
        choices: None,
        steps: vec![step()],
        parameters: 1000 + candidate % 5000,
        macs: 1_000_000,
        predicted_latency_us: Some(latency_us * 1.1),
        at_s: candidate as f64,
    };
    let measured = Measured {
        candidate,
        device: 0,
        round: 0,
        latency_us,
        latency_interval_us: [0.98 * latency_us, 1.02 * latency_us],
        memory_bytes: Some(1_000_000),
        model_bytes: 40_000,
        verdict: "stable".into(),
        json: format!("{{\"samples_us\":[[{}]]}}", "143.25,".repeat(200)),
        at_s: candidate as f64,
    };
    let end =
        if candidate.is_multiple_of(4) { trained(candidate, noise(7)) } else { killed(candidate) };
    let mut steps = vec![Record::Accepted(accepted), Record::Measured(measured), end];
    steps.extend((candidate % 64 == 63).then(|| told(candidate)));
    steps
}

fn told(candidate: u64) -> Record {
    Record::Told(Told {
        generation: (candidate / 64) as u32,
        candidates: (candidate - 63..=candidate).collect(),
        proposed: 4 * candidate,
        fronts: vec![ToldFront {
            hypervolume: 0.8,
            members: (1..=40).map(|n| member(4 * n)).collect(),
        }],
        at_s: candidate as f64,
    })
}

fn step() -> Step {
    let edit = Choice::Insert { kernel: 3 };
    Step { morphism: "deepen".into(), site: NodeId(3), choice: "3×3 convolution".into(), edit }
}

fn member(candidate: u64) -> FrontMember {
    let values = vec![0.02, 60.0, 1000.0];
    let intervals = values.iter().map(|v| [*v, *v]).collect();
    FrontMember { candidate, values, intervals }
}

fn trained(candidate: u64, noise: f64) -> Record {
    let epoch = |epoch| Epoch {
        epoch,
        train_loss: 1.0,
        validation_error: Fraction(0.3),
        validation_loss: 1.0,
    };
    Record::Trained(Trained {
        candidate,
        error: 0.02 + 0.1 * noise,
        error_interval: [0.01, 0.2],
        outcomes: Vec::new(),
        curve: (1..=10).map(epoch).collect(),
        weights: Some("a".repeat(64)),
        onnx: Some("b".repeat(64)),
        train_s: 3.0,
        at_s: candidate as f64,
    })
}

fn killed(candidate: u64) -> Record {
    Record::Ended(Ended {
        candidate,
        kind: EndKind::KilledBeforeTraining,
        reason: "dominated at an optimistic error".into(),
        epochs: 0,
        epochs_saved: 10,
        at_s: candidate as f64,
    })
}

/// Twelve nodes.
fn network() -> Graph {
    let mut graph = Graph::new([1, 8, 8]);
    let mut at = graph.input();
    for _ in 0..3 {
        at = graph.push(Op::Conv(Conv::same(16, 3)), &[at]);
        at = graph.push(Op::BatchNorm { epsilon: 1e-5 }, &[at]);
        at = graph.push(Op::Activation(Activation::Relu), &[at]);
    }
    at = graph.push(Op::Flatten, &[at]);
    graph.push(Op::Linear(Linear { features: 10, bias: true }), &[at]);
    graph
}
