//! What the networks of fixed spaces are put together from.
use crate::graph::Activation;
use crate::graph::Conv;
use crate::graph::Graph;
use crate::graph::Linear;
use crate::graph::NodeId;
use crate::graph::Op;
use crate::graph::Pool;
use crate::morphism::EPSILON;

use super::Edge;
use super::Label;
use super::Sketch;

/// Makes the nodes of an operation, by its number, that reads a node and lies on an edge.
pub(super) type Operate<'a> = dyn FnMut(&mut Graph, usize, NodeId, Edge) -> NodeId + 'a;

/// The live part of a cell that reads `inputs`, its places being sums; `None` if nothing comes
/// through.
pub(super) fn wire(
    graph: &mut Graph,
    cell: &Sketch,
    inputs: &[NodeId],
    operate: &mut Operate<'_>,
) -> Option<NodeId> {
    let live = cell.live();
    let mut places: Vec<Option<NodeId>> = inputs.iter().copied().map(Some).collect();
    for place in cell.inputs..cell.places {
        let mut terms = Vec::new();
        for &edge in live.iter().filter(|edge| edge.to == place) {
            let from = places[edge.from].expect("a live edge reads a live place");
            terms.push(match edge.label {
                Label::Operation(operation) => operate(graph, operation, from, edge),
                Label::Identity | Label::Zero => from,
            });
        }
        places.push(sum(graph, &terms));
    }
    places.pop().flatten()
}

/// Of one term it is the term itself, of none there is none.
pub(super) fn sum(graph: &mut Graph, terms: &[NodeId]) -> Option<NodeId> {
    match terms {
        [] => None,
        [one] => Some(*one),
        several => Some(graph.push(Op::Add, several)),
    }
}

pub(super) fn conv_norm(graph: &mut Graph, from: NodeId, conv: Conv) -> NodeId {
    let at = graph.push(Op::Conv(conv), &[from]);
    norm(graph, at)
}

pub(super) fn norm(graph: &mut Graph, from: NodeId) -> NodeId {
    graph.push(Op::BatchNorm { epsilon: EPSILON }, &[from])
}

pub(super) fn relu(graph: &mut Graph, from: NodeId) -> NodeId {
    graph.push(Op::Activation(Activation::Relu), &[from])
}

/// Mean over the image and a linear layer.
pub(super) fn classify(graph: &mut Graph, from: NodeId, classes: usize) -> NodeId {
    let at = graph.push(Op::GlobalAveragePool, &[from]);
    let at = graph.push(Op::Flatten, &[at]);
    graph.push(Op::Linear(Linear { features: classes, bias: true }), &[at])
}

/// How many stages, each half the size of the one before, an image has room for: at least 2 pixels
/// remain along the shorter side, if it has so many.
pub(super) fn stages(input: [usize; 3], most: usize) -> usize {
    let side = input[1].min(input[2]);
    most.min(1 + (side / 2).max(1).ilog2() as usize)
}

/// A node with what is known of its value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Image {
    pub node: NodeId,
    pub channels: usize,
    /// `[H, W]`.
    pub size: [usize; 2],
}

impl Image {
    /// The input of a new graph, normalised.
    pub fn first(graph: &mut Graph, [channels, height, width]: [usize; 3]) -> Image {
        let node = graph.push(Op::Normalize, &[graph.input()]);
        Image { node, channels, size: [height, width] }
    }

    /// Behind a "same" convolution and batch normalisation.
    pub fn conv_norm(self, graph: &mut Graph, conv: Conv) -> Image {
        let size = [0, 1].map(|d| self.size[d].div_ceil(conv.stride[d]));
        Image { node: conv_norm(graph, self.node, conv), channels: conv.channels, size }
    }

    /// Behind a ReLU.
    pub fn relu(self, graph: &mut Graph) -> Image {
        Image { node: relu(graph, self.node), ..self }
    }

    /// Half as high and wide, rounded up, by the mean.
    pub fn halved(self, graph: &mut Graph) -> Image {
        let node = mean_of_halves(graph, self.node, self.size);
        Image { node, size: self.size.map(|side| side.div_ceil(2)), ..self }
    }
}

/// Halves an image of `size`. Along an odd side the mean is of three, so that the size is that
/// behind a convolution of stride 2.
pub(super) fn mean_of_halves(graph: &mut Graph, from: NodeId, size: [usize; 2]) -> NodeId {
    let odd = size.map(|side| side % 2);
    let pool = Pool { kernel: odd.map(|odd| 2 + odd), stride: [2; 2], padding: odd };
    graph.push(Op::AvgPool(pool), &[from])
}

/// An inverted residual: 1×1 convolution to `expansion` times the channels (none if that is 1),
/// depthwise convolution, 1×1 convolution to the block's channels; ReLU behind the first two, the
/// input added where the shapes agree. The 1×1 convolutions are in so many `groups`, without a
/// shuffle between them.
///
/// # Source
///
/// Sandler et al., *MobileNetV2: Inverted Residuals and Linear Bottlenecks*, CVPR 2018.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inverted {
    pub channels: usize,
    pub stride: usize,
    pub expansion: usize,
    pub kernel: usize,
    pub groups: usize,
}

impl Inverted {
    pub fn push(self, graph: &mut Graph, from: Image) -> Image {
        let point = |channels| Conv { groups: self.groups, ..Conv::same(channels, 1) };
        let hidden = self.expansion * from.channels;
        let mut at = from;
        if self.expansion > 1 {
            at = at.conv_norm(graph, point(hidden)).relu(graph);
        }
        let depthwise = Conv { stride: [self.stride; 2], ..Conv::depthwise(hidden, self.kernel) };
        at = at.conv_norm(graph, depthwise).relu(graph);
        at = at.conv_norm(graph, point(self.channels));
        if self.stride > 1 || self.channels != from.channels {
            return at;
        }
        Image { node: graph.push(Op::Add, &[at.node, from.node]), ..at }
    }
}
