//! Random valid networks with random weights, the quantifier of the property tests.
use std::sync::Arc;

use citronade::graph::*;
use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// A random valid network that uses every operation now and then: mixed strides, groups,
/// depthwise, dilation, residual and concatenation branches, squeeze-and-excite, all poolings.
pub fn random_network(seed: u64) -> Network {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let input = [rng.random_range(1..=3), rng.random_range(6..=11), rng.random_range(6..=11)];
    let mut graph = Graph::new(input);
    let mut at = graph.input();
    if rng.random_bool(0.5) {
        at = graph.push(Op::Normalize, &[at]);
    }
    for _ in 0..rng.random_range(1..=4) {
        at = random_block(&mut graph, at, &mut rng);
    }
    let at = random_head(&mut graph, at, &mut rng);
    graph.push(Op::Linear(Linear { features: rng.random_range(2..=4), bias: rng.random() }), &[at]);
    check(&graph).expect("the generator makes valid graphs");
    let weights = random_weights(&graph, &mut rng);
    let network = Network { graph, weights };
    check_network(&network).expect("the generator makes valid networks");
    network
}

/// Random weights of sensible scale for every node of `graph`.
pub fn random_weights(graph: &Graph, rng: &mut ChaCha8Rng) -> Weights {
    let shapes = graph.shapes().unwrap();
    let mut weights = Weights::new();
    for node in graph.nodes() {
        let Some(first) = node.inputs.first() else { continue };
        let named = Graph::parameter_shapes(&node.op, shapes[first]);
        if named.is_empty() {
            continue;
        }
        let tensors = named.into_iter().map(|(name, shape)| {
            let fan_in: usize = shape[1..].iter().product();
            let scale = (3.0 / fan_in as f32).sqrt();
            let range = match name {
                "weight" => -scale..scale,
                "gamma" | "variance" | "std" => 0.5..1.5,
                _ => -0.5..0.5,
            };
            let len = shape.iter().product::<usize>();
            let data = (0..len).map(|_| rng.random_range(range.clone())).collect();
            (name.to_owned(), Tensor::new(&shape, data))
        });
        let params = Params::from_tensors(&node.op, tensors.collect()).unwrap();
        weights.insert(node.id, Arc::new(params));
    }
    weights
}

/// A random sample for `network`, values in -1..1.
pub fn random_sample(network: &Network, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let len = network.graph.input_shape().iter().product();
    (0..len).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// Largest difference of two outputs, relative to the largest output.
pub fn relative_gap(expected: &[f32], found: &[f32]) -> f32 {
    assert_eq!(expected.len(), found.len());
    let largest = expected.iter().fold(1e-3f32, |m, x| m.max(x.abs()));
    let gap = expected.iter().zip(found).fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
    gap / largest
}

fn shape(graph: &Graph, node: NodeId) -> [usize; 3] {
    match graph.shapes().unwrap()[&node] {
        Shape::Image(shape) => shape,
        Shape::Vector(n) => [n, 1, 1],
    }
}

fn random_activation(rng: &mut ChaCha8Rng) -> Op {
    match rng.random_range(0..10) {
        i @ 0..5 => Op::Activation(Activation::ALL[i]),
        _ => Op::Activation(Activation::Relu),
    }
}

/// Convolution, then perhaps normalisation and activation, each sometimes left out.
fn conv_bn_act(graph: &mut Graph, at: NodeId, conv: Conv, rng: &mut ChaCha8Rng) -> NodeId {
    let mut at = graph.push(Op::Conv(conv), &[at]);
    if rng.random_bool(0.8) {
        at = graph.push(Op::BatchNorm { epsilon: 1e-3 }, &[at]);
    }
    if rng.random_bool(0.8) {
        at = graph.push(random_activation(rng), &[at]);
    }
    at
}

fn random_block(graph: &mut Graph, at: NodeId, rng: &mut ChaCha8Rng) -> NodeId {
    let [c, h, w] = shape(graph, at);
    let channels = rng.random_range(1..=6) * 2;
    match rng.random_range(0..10) {
        0 => {
            let conv = Conv {
                channels,
                kernel: [rng.random_range(1..=3), rng.random_range(1..=3)],
                stride: [rng.random_range(1..=2), rng.random_range(1..=2)],
                padding: [rng.random_range(0..=2), rng.random_range(0..=2)],
                dilation: [1; 2],
                groups: if c % 2 == 0 { rng.random_range(1..=2) } else { 1 },
                bias: rng.random(),
            };
            match h + 2 * conv.padding[0] < 3 || w + 2 * conv.padding[1] < 3 {
                true => at,
                false => conv_bn_act(graph, at, conv, rng),
            }
        }
        1 => {
            let kernel = [3, 5][rng.random_range(0..2)];
            let at = conv_bn_act(graph, at, Conv::depthwise(c, kernel), rng);
            conv_bn_act(graph, at, Conv::same(channels, 1), rng)
        }
        2 => {
            let dilated = Conv { dilation: [2; 2], padding: [2; 2], ..Conv::same(channels, 3) };
            conv_bn_act(graph, at, dilated, rng)
        }
        3 => {
            let left = conv_bn_act(graph, at, Conv::same(channels, 3), rng);
            let right = conv_bn_act(graph, at, Conv::same(channels, 1), rng);
            let sum = match c == channels {
                true => graph.push(Op::Add, &[left, at, right]),
                false => graph.push(Op::Add, &[left, right]),
            };
            graph.push(random_activation(rng), &[sum])
        }
        4 => {
            let left = conv_bn_act(graph, at, Conv::same(channels, 3), rng);
            let right = conv_bn_act(graph, at, Conv::same(2, 1), rng);
            graph.push(Op::Concat, &[left, at, right])
        }
        5 => {
            let squeezed = graph.push(Op::GlobalAveragePool, &[at]);
            let conv = Conv { bias: true, ..Conv::same(2, 1) };
            let hidden = graph.push(Op::Conv(conv), &[squeezed]);
            let hidden = graph.push(Op::Activation(Activation::Relu), &[hidden]);
            let conv = Conv { bias: true, ..Conv::same(c, 1) };
            let gate = graph.push(Op::Conv(conv), &[hidden]);
            let gate = graph.push(Op::Activation(Activation::Sigmoid), &[gate]);
            graph.push(Op::Mul, &[at, gate])
        }
        6 if h >= 4 && w >= 4 => {
            let pool = Pool { kernel: [2; 2], stride: [2; 2], padding: [0; 2] };
            match rng.random() {
                true => graph.push(Op::MaxPool(pool), &[at]),
                false => graph.push(Op::AvgPool(pool), &[at]),
            }
        }
        7 => {
            let pool = Pool { kernel: [3; 2], stride: [1; 2], padding: [1; 2] };
            match rng.random() {
                true => graph.push(Op::MaxPool(pool), &[at]),
                false => graph.push(Op::AvgPool(pool), &[at]),
            }
        }
        8 => {
            let size = [rng.random_range(h..=h + 3), rng.random_range(w..=w + 3)];
            let interpolation = match rng.random() {
                true => Interpolation::Nearest,
                false => Interpolation::Bilinear,
            };
            graph.push(Op::Resize(Resize { size, interpolation }), &[at])
        }
        _ => {
            let at = conv_bn_act(graph, at, Conv::same(channels, 3), rng);
            graph.push(Op::Dropout { rate: 0.2 }, &[at])
        }
    }
}

/// From an image to a vector.
fn random_head(graph: &mut Graph, at: NodeId, rng: &mut ChaCha8Rng) -> NodeId {
    let at = match rng.random_range(0..3) {
        0 => at,
        _ => graph.push(Op::GlobalAveragePool, &[at]),
    };
    let at = graph.push(Op::Flatten, &[at]);
    if rng.random_bool(0.3) {
        let hidden = graph.push(Op::Linear(Linear { features: 5, bias: true }), &[at]);
        return graph.push(random_activation(rng), &[hidden]);
    }
    at
}
