//! What the graph alone tells about latency.
use crate::graph::Cost;
use crate::graph::Graph;
use crate::graph::Op;

/// Parts of which a latency is a sum: multiply-accumulates of four kinds, bytes moved, nodes, and
/// what every network costs.
pub(super) const PARTS: usize = 7;

/// A graph in numbers.
pub(super) struct Features {
    /// Logarithm of one more than its multiply-accumulates.
    pub(super) ln_macs: f64,
    /// See [`PARTS`].
    pub(super) parts: [f64; PARTS],
    /// Logarithms of the totals (multiply-accumulates, bytes moved, nodes), each followed by the
    /// share of every kind in it.
    ///
    /// If a latency is a sum over kinds, `Σ aₖ mₖ`, its logarithm is that of the total `m` plus,
    /// to first order, a linear function of the shares `mₖ / m`.
    pub(super) shares: Vec<f64>,
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

/// The kinds that cost something.
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

/// Multiply-accumulates, bytes moved and nodes of one kind.
type Totals = [f64; 3];

/// The numbers of `graph`, whose static cost is known.
pub(super) fn features(graph: &Graph, cost: &Cost) -> Features {
    let by_kind = totals_by_kind(graph, cost);
    let total = |of: usize| by_kind.iter().map(|kind| kind[of]).sum::<f64>();
    let [dense, pointwise, grouped, linear, ..] = by_kind;
    let shares = (0..3).flat_map(|of| {
        let parts = by_kind.iter().map(move |kind| kind[of] / total(of).max(1.0));
        std::iter::once(total(of).ln_1p()).chain(parts)
    });
    Features {
        ln_macs: (cost.macs.0 as f64).ln_1p(),
        parts: [dense[0], pointwise[0], grouped[0], linear[0], total(1), total(2), 1.0],
        shares: shares.collect(),
    }
}

/// In the order of [`KINDS`].
fn totals_by_kind(graph: &Graph, cost: &Cost) -> [Totals; KINDS.len()] {
    let mut totals = [[0.0; 3]; KINDS.len()];
    for (node, cost) in graph.nodes().iter().zip(&cost.nodes) {
        if let Some(k) = KINDS.iter().position(|&k| k == Kind::of(&node.op)) {
            totals[k][0] += cost.macs as f64;
            totals[k][1] += cost.bytes_moved as f64;
            totals[k][2] += 1.0;
        }
    }
    totals
}
