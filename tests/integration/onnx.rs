//! ONNX files: written, read back, run by tract and ONNX Runtime, and damaged.
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;

use citronade::graph::Activation;
use citronade::graph::Conv;
use citronade::graph::Graph;
use citronade::graph::Network;
use citronade::graph::NodeId;
use citronade::graph::Op;
use citronade::graph::check;
use citronade::graph::check_network;
use citronade::graph::eval;
use citronade::onnx::Batch;
use citronade::onnx::ExportOptions;
use citronade::onnx::export;
use citronade::onnx::fold;
use citronade::onnx::inspect;
use citronade::onnx::read;
use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::support::networks::random_network;
use crate::support::networks::random_sample;
use crate::support::networks::random_weights;
use crate::support::networks::relative_gap;
use crate::support::python::check_with_onnx_runtime;
use crate::support::runtime::tract_model;
use crate::support::runtime::tract_outputs;

/// What the generator never makes: one line each, `n` is the input.
fn rare_graphs() -> Vec<Graph> {
    let relu = Op::Activation(Activation::Relu);
    let sigmoid = Op::Activation(Activation::Sigmoid);
    let norm = Op::BatchNorm { epsilon: 1e-3 };
    let dropout = Op::Dropout { rate: 0.5 };
    let conv = Op::Conv(Conv::same(2, 3));
    let build = |chain: &[(&Op, &[u32])]| {
        let mut graph = Graph::new([2, 5, 4]);
        for (op, inputs) in chain {
            graph.push((*op).clone(), &inputs.iter().map(|&i| NodeId(i)).collect::<Vec<_>>());
        }
        check(&graph).unwrap();
        graph
    };
    vec![
        build(&[]),
        build(&[(&dropout, &[0])]),
        build(&[(&norm, &[0]), (&norm, &[1]), (&dropout, &[2])]),
        build(&[(&conv, &[0]), (&norm, &[1]), (&norm, &[2]), (&dropout, &[3]), (&norm, &[4])]),
        build(&[(&conv, &[0]), (&norm, &[1]), (&Op::Add, &[2, 1])]),
        build(&[(&conv, &[0]), (&dropout, &[1]), (&norm, &[2]), (&Op::Add, &[3, 0])]),
        build(&[(&sigmoid, &[0]), (&Op::Mul, &[0, 1]), (&Op::Add, &[2, 1])]),
        build(&[(&sigmoid, &[0]), (&Op::Mul, &[1, 0]), (&Op::Mul, &[2, 2])]),
        build(&[(&Op::Normalize, &[0]), (&Op::Normalize, &[1])]),
        build(&[(&relu, &[0]), (&Op::Add, &[1, 0, 1, 1, 0]), (&Op::Concat, &[2, 2, 0])]),
        build(&[(&Op::Flatten, &[0]), (&Op::Flatten, &[1]), (&Op::Add, &[1, 2]), (&relu, &[3])]),
    ]
}

/// Random and rare networks, each with a number that names it.
fn networks(random: u64) -> impl Iterator<Item = (u64, Network)> {
    let rare = rare_graphs().into_iter().map(|graph| {
        let weights = random_weights(&graph, &mut ChaCha8Rng::seed_from_u64(3));
        Network { graph, weights }
    });
    (1000..).zip(rare).chain((0..random).map(|seed| (seed, random_network(seed))))
}

/// Values up to ±20, so that every activation is driven to its limits.
fn samples(network: &Network, count: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut sample = || random_sample(network, &mut rng).iter().map(|x| 20.0 * x).collect();
    (0..count).map(|_| sample()).collect()
}

fn export_plain(network: &Network) -> Vec<u8> {
    export(network, &ExportOptions::default())
}

/// Asserts that both compute the same, to rounding in sums of a few hundred products.
#[track_caller]
fn check_equal(network: &Network, other: &Network, seed: u64) {
    for sample in samples(network, 2, seed) {
        let gap = relative_gap(&eval(network, &sample), &eval(other, &sample));
        assert!(gap < 1e-4, "seed {seed}: outputs differ by {gap}");
    }
}

/// Is every part of the network written as one that reads as the same part?
fn is_plain(network: &Network) -> bool {
    let graph = &network.graph;
    graph.nodes().iter().all(|node| match node.op {
        Op::Add => node.inputs.len() == 2,
        Op::Mul => graph.node(node.inputs[1]).unwrap().inputs != [node.inputs[0]],
        _ => true,
    })
}

#[test]
fn folding_keeps_the_function_and_leaves_nothing_of_training() {
    for (seed, network) in networks(300) {
        let folded = fold(&network);
        check_network(&folded).unwrap();
        check_equal(&network, &folded, seed);
        for node in folded.graph.nodes() {
            assert!(!matches!(node.op, Op::Dropout { .. }), "seed {seed}");
            let source = node.inputs.first().map(|&i| folded.graph.op(i));
            let alone = || folded.graph.users(node.inputs[0]).len() == 1;
            let foldable = matches!(node.op, Op::BatchNorm { .. })
                && matches!(source, Some(Op::Conv(_)))
                && alone();
            assert!(!foldable, "seed {seed}: {} is left", node.id);
        }
    }
}

#[test]
fn what_is_exported_can_be_read_and_computes_the_same() {
    for (seed, network) in networks(300) {
        let copy = read(&export_plain(&network)).unwrap();
        check_equal(&network, &copy, seed);
        if is_plain(&network) {
            assert_eq!(copy.graph.arch_id(), fold(&network).graph.arch_id(), "seed {seed}");
        }
        let again = read(&export_plain(&copy)).unwrap();
        let trips = [&again, &copy].map(|n| n.graph.arch_id());
        assert_eq!(trips[0], trips[1], "seed {seed}: a second trip changes nothing");
    }
}

#[test]
fn equal_networks_give_equal_bytes() {
    for seed in 0..50 {
        let [first, second] = [(); 2].map(|()| export_plain(&random_network(seed)));
        assert_eq!(first, second);
    }
}

#[test]
fn metadata_and_batch_are_in_the_file() {
    let metadata = [("candidate", "412"), ("arch", "00ff")];
    let metadata = metadata.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    let network = random_network(7);
    let options = ExportOptions { batch: Batch::Any, metadata };
    let facts = inspect(&export(&network, &options)).unwrap();
    assert_eq!(facts.metadata, options.metadata);
    assert_eq!(facts.opset, citronade::onnx::OPSET);
    assert_eq!(facts.producer, concat!("citronade ", env!("CARGO_PKG_VERSION")));
    let sizes = network.graph.input_shape().map(Some);
    assert_eq!(facts.inputs[0].shape, Some([&[None], sizes.as_slice()].concat()));
    let fixed = ExportOptions { batch: Batch::Fixed(8), ..Default::default() };
    let facts = inspect(&export(&network, &fixed)).unwrap();
    assert_eq!(facts.inputs[0].shape.as_ref().unwrap()[0], Some(8));
}

#[test]
fn tract_computes_what_the_reference_computes() {
    for (seed, network) in networks(200) {
        let [c, h, w] = network.graph.input_shape();
        for (batch, count) in [(Batch::Fixed(1), 1), (Batch::Any, 3)] {
            let samples = samples(&network, count, seed);
            let expected: Vec<f32> = samples.iter().flat_map(|s| eval(&network, s)).collect();
            let model = export(&network, &ExportOptions { batch, ..Default::default() });
            let found = tract_outputs(&model, [count, c, h, w], &samples.concat());
            let gap = relative_gap(&expected, &found);
            assert!(gap < 1e-4, "seed {seed}, {batch:?}: {gap}");
        }
    }
}

#[test]
fn names_are_unique_and_carry_the_id_of_their_node() {
    for (seed, network) in networks(100) {
        let model = tract_model(&export_plain(&network));
        let names: Vec<&str> = model.nodes.iter().map(|n| n.name.as_str()).collect();
        let unique: BTreeSet<&str> = names.iter().copied().collect();
        assert_eq!(unique.len(), names.len(), "seed {seed}: {names:?}");
        for node in fold(&network).graph.nodes().iter().skip(1) {
            let name = format!("{}_{}", node.id, node.op.name());
            let there = unique.iter().any(|n| n.starts_with(&name));
            assert!(there, "seed {seed}: {name} is not among {names:?}");
        }
    }
}

/// Damages `bytes` in one of the ways in which files are damaged, or attacked.
fn mutate(bytes: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    let at = rng.random_range(0..bytes.len());
    let to = rng.random_range(at..bytes.len());
    match rng.random_range(0..7) {
        0 => bytes[at] ^= 1 << rng.random_range(0..8),
        1 => bytes[at] = rng.random(),
        2 => bytes[at] = [0, 0x7f, 0x80, 0xff][rng.random_range(0..4)],
        3 => bytes.truncate(at.max(1)),
        4 => drop(bytes.drain(at..to)),
        5 => bytes.insert(at, rng.random()),
        _ => bytes.extend_from_within(at..to),
    }
}

#[test]
fn damaged_models_are_refused_or_read_but_never_panic() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut readable = 0;
    for (_, network) in networks(40) {
        let model = export_plain(&network);
        for _ in 0..250 {
            let mut mutant = model.clone();
            (0..rng.random_range(1..=3)).for_each(|_| mutate(&mut mutant, &mut rng));
            drop(inspect(&mutant).map_err(|e| e.to_string()));
            if let Ok(network) = read(&mutant) {
                check_network(&network).unwrap();
                read(&export_plain(&network)).unwrap();
                readable += 1;
            }
        }
    }
    assert!(readable > 100, "the mutants reach beyond the wire format: {readable} were read");
}

#[test]
fn onnx_and_onnx_runtime_agree_with_the_reference() {
    check_with_onnx_runtime(networks(120).map(|(seed, network)| {
        let (batch, count) = if seed % 3 == 0 { (Batch::Any, 2) } else { (Batch::Fixed(1), 1) };
        let samples = samples(&network, count, seed);
        (format!("seed-{seed}"), network, batch, samples)
    }));
}

#[test]
fn a_model_of_version_1_is_still_read_and_computes_the_same() {
    let golden = |name: &str| fs::read(format!("tests/golden/{name}")).unwrap();
    let model = golden("network-v1.onnx");
    let case: BTreeMap<String, Vec<f32>> =
        serde_json::from_slice(&golden("network-v1.json")).unwrap();
    let network = read(&model).unwrap();
    assert!(relative_gap(&case["output"], &eval(&network, &case["input"])) < 1e-6);
    assert_eq!(inspect(&model).unwrap().metadata["candidate"], "412");
}
