//! What the networks of fixed spaces are put together from.
use crate::graph::Activation;
use crate::graph::Conv;
use crate::graph::Graph;
use crate::graph::Linear;
use crate::graph::NodeId;
use crate::graph::Op;
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
