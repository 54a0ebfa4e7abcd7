//! ONNX files: written, read back, seen by tract, and damaged.
use std::collections::BTreeSet;

use citronade::graph::Network;
use citronade::graph::Op;
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
use tract_onnx::prelude::*;

use crate::support::networks::random_network;
use crate::support::networks::random_sample;
use crate::support::networks::relative_gap;

fn samples(network: &Network, count: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| random_sample(network, &mut rng)).collect()
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

fn is_plain(network: &Network) -> bool {
    network.graph.nodes().iter().all(|n| n.op != Op::Add || n.inputs.len() == 2)
}

#[test]
fn folding_keeps_the_function_and_leaves_nothing_of_training() {
    for seed in 0..300 {
        let network = random_network(seed);
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
    for seed in 0..300 {
        let network = random_network(seed);
        let copy = read(&export_plain(&network)).unwrap();
        check_equal(&network, &copy, seed);
        if is_plain(&network) {
            assert_eq!(copy.graph.arch_id(), fold(&network).graph.arch_id(), "seed {seed}");
        }
        let again = read(&export_plain(&copy)).unwrap();
        assert_eq!(again.graph, copy.graph, "seed {seed}: a second trip changes nothing");
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

fn tract_model(model: &[u8]) -> InferenceModel {
    let mut bytes = model;
    tract_onnx::onnx().model_for_read(&mut bytes).unwrap()
}

fn tract_outputs(model: &[u8], shape: [usize; 4], values: &[f32]) -> Vec<f32> {
    let model = tract_model(model).with_input_fact(0, f32::fact(shape).into()).unwrap();
    let model = model.into_optimized().unwrap().into_runnable().unwrap();
    let input = Tensor::from_shape(&shape, values).unwrap();
    let outputs = model.run(tvec!(input.into())).unwrap();
    outputs[0].to_plain_array_view::<f32>().unwrap().iter().copied().collect()
}

#[test]
fn tract_computes_what_the_reference_computes() {
    for seed in 0..200 {
        let network = random_network(seed);
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
    for seed in 0..100 {
        let network = random_network(seed);
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
    for seed in 0..40 {
        let model = export_plain(&random_network(seed));
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
