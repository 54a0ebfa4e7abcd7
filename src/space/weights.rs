//! Weights of a network that has no parent.
use std::sync::Arc;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::graph::Graph;
use crate::graph::Network;
use crate::graph::Op;
use crate::graph::Params;
use crate::graph::Shape;
use crate::graph::Tensor;
use crate::graph::Weights;

/// `graph` with random weights, ready to be trained from scratch.
///
/// Convolutions and linear layers keep the variance of what they read (He; without the factor 2
/// in front of the output), biases and betas are 0, gammas 1. `mean` and `std` of the data set,
/// one per input channel, become the constants of [`Op::Normalize`].
///
/// # Panics
///
/// If the graph is not valid, or `mean` and `std` have another length than the input channels
/// while a normalisation reads them.
///
/// # Source
///
/// He, Zhang, Ren, Sun, *Delving Deep into Rectifiers*, ICCV 2015.
pub fn initial_weights(graph: &Graph, mean: &[f32], std: &[f32], rng: &mut ChaCha8Rng) -> Network {
    let shapes = graph.shapes().expect("G3: shapes agree");
    let mut weights = Weights::new();
    for node in graph.nodes() {
        let input = node.inputs.first().map_or(Shape::Vector(1), |i| shapes[i]);
        let gain = if node.id == graph.output() { 1.0 } else { 2.0 };
        if let Some(params) = initial(&node.op, input, gain, mean, std, rng) {
            weights.insert(node.id, Arc::new(params));
        }
    }
    Network { graph: graph.clone(), weights }
}

fn initial(
    op: &Op,
    input: Shape,
    gain: f32,
    mean: &[f32],
    std: &[f32],
    rng: &mut ChaCha8Rng,
) -> Option<Params> {
    let tensors = Graph::parameter_shapes(op, input).into_iter().map(|(name, shape)| {
        let tensor = match (op, name) {
            (Op::Normalize, "mean") => Tensor::vector(mean.to_vec()),
            (Op::Normalize, _) => Tensor::vector(std.to_vec()),
            (_, "weight") => random(&shape, gain, rng),
            (_, "gamma" | "variance") => Tensor::full(&shape, 1.0),
            (_, _) => Tensor::zeros(&shape),
        };
        (name.to_owned(), tensor)
    });
    Params::from_tensors(op, tensors.collect())
}

/// Uniform with variance `gain / fan_in`.
fn random(shape: &[usize], gain: f32, rng: &mut ChaCha8Rng) -> Tensor {
    let fan_in: usize = shape[1..].iter().product();
    let reach = (3.0 * gain / fan_in as f32).sqrt();
    let len = shape.iter().product();
    Tensor::new(shape, (0..len).map(|_| reach * rng.random_range(-1.0..1.0f32)).collect())
}
