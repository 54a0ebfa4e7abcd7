//! An architecture as a short list of numbers.
use std::collections::BTreeMap;

use crate::graph::Activation;
use crate::graph::Conv;
use crate::graph::Cost;
use crate::graph::Graph;
use crate::graph::NodeId;
use crate::graph::Op;
use crate::graph::Shape;

/// Length of [`MorphismSpace::features`](super::MorphismSpace::features).
pub const FEATURES: usize = TOTALS + DEPTHS + KINDS + 3 * SIZES;
/// Logarithms of parameters, multiply-accumulates, peak memory and bytes moved.
pub(super) const TOTALS: usize = 4;
/// Nodes and convolutions on the longest path.
pub(super) const DEPTHS: usize = 2;
/// Kinds of operations that are told apart.
pub(super) const KINDS: usize = 11;
/// Image sizes that are told apart: the input's, its half, and so on; the last means "or less".
const SIZES: usize = 5;

/// [`super::MorphismSpace::features`].
pub(super) fn features(graph: &Graph) -> Vec<f64> {
    let cost = graph.cost();
    let mut features = totals(&cost).to_vec();
    features.extend(depths(graph));
    features.extend(counts(graph));
    features.extend(stages(graph, &cost));
    debug_assert_eq!(features.len(), FEATURES);
    features
}

/// [`TOTALS`] in their order.
pub(super) fn totals(cost: &Cost) -> [f64; TOTALS] {
    let moved: u64 = cost.nodes.iter().map(|n| n.bytes_moved).sum();
    let totals = [cost.parameters, cost.macs.0, cost.memory.peak.0, moved];
    totals.map(|n| (1.0 + n as f64).ln())
}

/// Nodes and convolutions on the path that has most of them.
fn depths(graph: &Graph) -> [f64; DEPTHS] {
    let longest = |weighs: fn(&Op) -> bool| {
        let mut depth: BTreeMap<NodeId, u32> = BTreeMap::new();
        for node in graph.nodes() {
            let before = node.inputs.iter().map(|i| depth[i]).max().unwrap_or(0);
            depth.insert(node.id, before + u32::from(weighs(&node.op)));
        }
        f64::from(depth[&graph.output()])
    };
    [longest(|_| true), longest(|op| matches!(op, Op::Conv(_)))]
}

/// How often each kind of operation occurs.
fn counts(graph: &Graph) -> [f64; KINDS] {
    let mut counts = [0.0; KINDS];
    for kind in graph.nodes().iter().filter_map(|n| kind(&n.op)) {
        counts[kind] += 1.0;
    }
    counts
}

fn kind(op: &Op) -> Option<usize> {
    match op {
        Op::Conv(Conv { groups: 1, kernel: [1, 1], .. }) => Some(0),
        Op::Conv(Conv { groups: 1, .. }) => Some(1),
        Op::Conv(conv) if conv.groups != conv.channels => Some(2),
        Op::Conv(Conv { kernel: [0..=3, 0..=3], .. }) => Some(3),
        Op::Conv(_) => Some(4),
        Op::Add => Some(5),
        Op::Concat => Some(6),
        Op::Mul => Some(7),
        Op::MaxPool(_) | Op::AvgPool(_) => Some(8),
        Op::Activation(Activation::Relu | Activation::Relu6) => Some(9),
        Op::Activation(Activation::HardSwish | Activation::Silu | Activation::Sigmoid) => Some(10),
        Op::Input { .. }
        | Op::Normalize
        | Op::BatchNorm { .. }
        | Op::GlobalAveragePool
        | Op::Flatten
        | Op::Linear(_)
        | Op::Dropout { .. }
        | Op::Resize(_) => None,
    }
}

/// Convolutions, logarithm of their mean width and share of the multiply-accumulates at each of
/// [`SIZES`] sizes.
fn stages(graph: &Graph, cost: &Cost) -> Vec<f64> {
    let shapes = graph.shapes().expect("G3: shapes agree");
    let side = |shape: Shape| shape.size()[0].max(shape.size()[1]);
    let whole = side(shapes[&graph.input()]);
    let (mut convs, mut widths, mut macs) = ([0.0; SIZES], [0.0; SIZES], [0.0; SIZES]);
    for (node, node_cost) in graph.nodes().iter().zip(&cost.nodes) {
        let Op::Conv(conv) = node.op else { continue };
        let halvings = (whole / side(shapes[&node.id])).max(1).ilog2() as usize;
        let stage = halvings.min(SIZES - 1);
        convs[stage] += 1.0;
        widths[stage] += conv.channels as f64;
        macs[stage] += node_cost.macs as f64 / cost.macs.0 as f64;
    }
    let mean = |stage: usize| (1.0 + widths[stage] / f64::max(convs[stage], 1.0)).ln();
    (0..SIZES).flat_map(|stage| [convs[stage], mean(stage), macs[stage]]).collect()
}
