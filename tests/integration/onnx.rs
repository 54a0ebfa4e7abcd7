//! ONNX files, seen by tract.
use citronade::graph::Network;
use citronade::graph::eval;
use citronade::onnx::Batch;
use citronade::onnx::ExportOptions;
use citronade::onnx::export;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tract_onnx::prelude::*;

use crate::support::networks::random_network;
use crate::support::networks::random_sample;
use crate::support::networks::relative_gap;

fn tract_outputs(model: &[u8], shape: [usize; 4], values: &[f32]) -> Vec<f32> {
    let mut bytes = model;
    let model = tract_onnx::onnx().model_for_read(&mut bytes).unwrap();
    let model = model.with_input_fact(0, f32::fact(shape).into()).unwrap();
    let model = model.into_optimized().unwrap().into_runnable().unwrap();
    let input = Tensor::from_shape(&shape, values).unwrap();
    let outputs = model.run(tvec!(input.into())).unwrap();
    outputs[0].to_plain_array_view::<f32>().unwrap().iter().copied().collect()
}

fn samples(network: &Network, count: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| random_sample(network, &mut rng)).collect()
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
