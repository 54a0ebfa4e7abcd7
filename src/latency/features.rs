//! What the graph alone tells about latency.
use crate::graph::Graph;
use crate::graph::Node;
use crate::graph::NodeCost;
use crate::graph::Op;

/// A graph in numbers.
pub(super) struct Features {
    /// Logarithm of its multiply-accumulates.
    pub(super) ln_macs: f64,
    /// The regressors, always as many.
    pub(super) values: Vec<f64>,
}

/// Kinds of operation that run at different speeds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Convolution over all channels with a kernel larger than 1×1.
    Dense,
    /// 1×1 convolution.
    Pointwise,
    /// Convolution in groups, depthwise among them.
    Grouped,
    Linear,
    /// Scale and shift by channel; most runtimes fold it into the convolution before.
    Normal,
    Activation,
    /// Sums, products and concatenations of whole images.
    Merge,
    Pool,
    /// Costs nothing, or next to it.
    Free,
}

const KINDS: [Kind; 8] = [
    Kind::Dense,
    Kind::Pointwise,
    Kind::Grouped,
    Kind::Linear,
    Kind::Normal,
    Kind::Activation,
    Kind::Merge,
    Kind::Pool,
];

impl Kind {
    fn of(op: &Op) -> Kind {
        match op {
            Op::Conv(conv) if conv.groups > 1 => Kind::Grouped,
            Op::Conv(conv) if conv.kernel == [1, 1] => Kind::Pointwise,
            Op::Conv(_) => Kind::Dense,
            Op::Linear(_) => Kind::Linear,
            Op::Normalize | Op::BatchNorm { .. } => Kind::Normal,
            Op::Activation(_) => Kind::Activation,
            Op::Add | Op::Mul | Op::Concat | Op::Resize(_) => Kind::Merge,
            Op::MaxPool(_) | Op::AvgPool(_) | Op::GlobalAveragePool => Kind::Pool,
            Op::Input { .. } | Op::Flatten | Op::Dropout { .. } => Kind::Free,
        }
    }
}

/// Logarithms of the totals (multiply-accumulates, bytes moved, nodes), and each kind's share of
/// them.
///
/// If the latency is a sum over kinds, `Σ aₖ mₖ`, its logarithm is that of the total `m` plus, to
/// first order, a linear function of the shares `mₖ / m`.
pub(super) fn features(graph: &Graph) -> Features {
    let cost = graph.cost();
    let nodes: Vec<(Kind, &NodeCost)> = graph.nodes().iter().map(kind).zip(&cost.nodes).collect();
    let counted = |n: &NodeCost| n.macs as f64;
    let moved = |n: &NodeCost| n.bytes_moved as f64;
    let one = |_: &NodeCost| 1.0;
    let sum = |of: &dyn Fn(&NodeCost) -> f64, only: Option<Kind>| -> f64 {
        let wanted = |kind: Kind| only.map_or(kind != Kind::Free, |k| k == kind);
        nodes.iter().filter(|(kind, _)| wanted(*kind)).map(|(_, n)| of(n)).sum()
    };
    let mut values = Vec::new();
    for of in [&counted as &dyn Fn(&NodeCost) -> f64, &moved, &one] {
        let total = sum(of, None);
        values.push(total.ln_1p());
        values.extend(KINDS.iter().map(|&k| sum(of, Some(k)) / total.max(1.0)));
    }
    Features { ln_macs: (cost.macs.0 as f64).ln_1p(), values }
}

fn kind(node: &Node) -> Kind {
    Kind::of(&node.op)
}
