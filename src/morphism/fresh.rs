//! Weights that were not there before.
use std::collections::BTreeSet;
use std::sync::Arc;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::graph::Activations;
use crate::graph::Conv;
use crate::graph::Graph;
use crate::graph::Network;
use crate::graph::NodeId;
use crate::graph::Observed;
use crate::graph::Op;
use crate::graph::Params;
use crate::graph::Shape;
use crate::graph::Tensor;

use super::MorphismError;
use super::repair;

/// Epsilon of every batch normalisation that morphisms and seeds make.
pub const EPSILON: f32 = 1e-5;

/// Nodes of `child` that `parent` lacks, in the order in which they were made (names count up).
pub(super) fn added(parent: &Graph, child: &Graph) -> Vec<NodeId> {
    let old: BTreeSet<NodeId> = parent.nodes().iter().map(|n| n.id).collect();
    let mut new: Vec<NodeId> = child.nodes().iter().map(|n| n.id).collect();
    new.retain(|id| !old.contains(id));
    new.sort();
    new
}

/// `graph` with the parameters of `parent` at every node that they still name.
pub(super) fn inherit(parent: &Network, graph: &Graph) -> Network {
    let kept =
        graph.nodes().iter().filter_map(|n| Some((n.id, parent.weights.get(&n.id)?.clone())));
    Network { graph: graph.clone(), weights: kept.collect() }
}

/// What was seen at `node`.
pub(super) fn observed<'a>(
    activations: &'a Activations,
    morphism: &'static str,
    node: NodeId,
) -> Result<&'a Observed, MorphismError> {
    activations.nodes.get(&node).ok_or(MorphismError::MissingActivations { morphism, node })
}

/// Gives `node` parameters.
pub(super) fn set(network: &mut Network, node: NodeId, params: Params) {
    network.weights.insert(node, Arc::new(params));
}

/// A convolution's weight without bias.
pub(super) fn conv(weight: Tensor) -> Params {
    Params::Conv { weight, bias: None }
}

/// Random numbers of mean 0 and this standard deviation, uniformly distributed.
pub(super) fn random(shape: &[usize], deviation: f32, rng: &mut ChaCha8Rng) -> Tensor {
    let reach = deviation * 3f32.sqrt();
    let len = shape.iter().product();
    let data = (0..len).map(|_| reach * rng.random_range(-1.0..1.0f32)).collect();
    Tensor::new(shape, data)
}

/// Random weights `[C_out, C_in / groups, k_h, k_w]` that keep the variance behind a ReLU.
///
/// # Source
///
/// He, Zhang, Ren, Sun, *Delving Deep into Rectifiers*, ICCV 2015.
pub(super) fn he(shape: &[usize], rng: &mut ChaCha8Rng) -> Tensor {
    let fan_in: usize = shape[1..].iter().product();
    random(shape, (2.0 / fan_in as f32).sqrt(), rng)
}

/// The convolution that computes nothing: 1 at the centre of each channel's own kernel.
///
/// `[channels, channels, k, k]`, or `[channels, 1, k, k]` if `depthwise`.
pub(super) fn identity(channels: usize, kernel: usize, depthwise: bool) -> Tensor {
    let read = if depthwise { 1 } else { channels };
    let mut weight = Tensor::zeros(&[channels, read, kernel, kernel]);
    let taps = kernel * kernel;
    for c in 0..channels {
        let own = if depthwise { 0 } else { c };
        weight.data[(c * read + own) * taps + taps / 2] = 1.0;
    }
    weight
}

/// A batch normalisation that computes nothing in evaluation mode and next to nothing in
/// training: with `m`, `v` as observed, `gamma = sqrt(v + epsilon)` and `beta = m` undo it.
pub(super) fn calibrated_norm(observed: &Observed) -> Params {
    let deviation = observed.variance.iter().map(|v| (v + EPSILON).sqrt()).collect();
    Params::BatchNorm {
        gamma: Tensor::vector(deviation),
        beta: Tensor::vector(observed.mean.clone()),
        mean: Tensor::vector(observed.mean.clone()),
        variance: Tensor::vector(observed.variance.clone()),
    }
}

/// A batch normalisation with `gamma = beta = 0`: whatever comes in, 0 comes out, and gamma has
/// a gradient.
pub(super) fn silent_norm(mean: Vec<f32>, variance: Vec<f32>) -> Params {
    let zeros = Tensor::zeros(&[mean.len()]);
    Params::BatchNorm {
        gamma: zeros.clone(),
        beta: zeros,
        mean: Tensor::vector(mean),
        variance: Tensor::vector(variance),
    }
}

/// Mean and variance of each output channel of a convolution with this weight on what was seen.
pub(super) fn moments(
    weight: &Tensor,
    conv: &Conv,
    seen: &Tensor,
    rng: &mut ChaCha8Rng,
) -> (Vec<f32>, Vec<f32>) {
    let read = repair::patches(seen, &Op::Conv(*conv), rng);
    let outputs = read * repair::matrix(weight).transpose();
    let values = |f: fn(&[f64]) -> f64| {
        outputs.column_iter().map(|c| f(c.as_slice()) as f32).collect::<Vec<f32>>()
    };
    (values(mean), values(variance))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn variance(values: &[f64]) -> f64 {
    let centre = mean(values);
    values.iter().map(|x| (x - centre) * (x - centre)).sum::<f64>() / values.len() as f64
}

/// Input shape of `node`.
pub(super) fn input_shape(graph: &Graph, node: NodeId) -> Shape {
    let inputs = &graph.node(node).expect("the node is in the graph").inputs;
    graph.shapes().expect("G3: shapes agree")[&inputs[0]]
}

/// The batch normalisation of this house.
pub(super) fn batch_norm() -> Op {
    Op::BatchNorm { epsilon: EPSILON }
}
