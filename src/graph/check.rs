//! The one place that decides validity.
use std::collections::BTreeSet;

use super::Graph;
use super::Network;
use super::Node;
use super::NodeId;
use super::Op;
use super::Shape;
use super::Tensor;

/// Most nodes of a graph (G5).
pub const MAX_NODES: usize = 10_000;
/// Most values of one sample at one node, and most parameters of one node (G5): 1 GiB of `f32`.
pub const MAX_VALUES: usize = 1 << 28;
/// Most inputs of one node (G5).
pub const MAX_INPUTS: usize = 1024;
/// Ids of a checked graph are below this, so that edits do not run out of them (G2).
const MAX_IDS: u32 = 1 << 31;

/// A violated invariant, with the node that violates it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// G1.
    #[error("{node} reads {input}, which does not precede it")]
    NotTopological {
        /// Reader.
        node: NodeId,
        /// Missing source.
        input: NodeId,
    },
    /// G2.
    #[error("the name {0} is used twice or was never given out")]
    BadId(NodeId),
    /// G3.
    #[error("{op} at {node} expects {expected}, got {found}")]
    ShapeMismatch {
        /// Offender.
        node: NodeId,
        /// Its operation.
        op: &'static str,
        /// In words.
        expected: String,
        /// Shapes of the inputs.
        found: String,
    },
    /// G4.
    #[error("the first node must be the only input, {0} is not in its place")]
    BadInput(NodeId),
    /// G4.
    #[error("{0} does not lead to the output")]
    Unused(NodeId),
    /// G5.
    #[error("{op} at {node} has {what} out of range")]
    OutOfRange {
        /// Offender.
        node: NodeId,
        /// Its operation.
        op: &'static str,
        /// Which attribute.
        what: &'static str,
    },
    /// G5.
    #[error("a graph of {0} nodes is too large")]
    TooManyNodes(usize),
    /// G6.
    #[error("{0} has no parameters, or some that it should not have")]
    WrongParams(NodeId),
    /// G6.
    #[error("`{name}` of {node} has shape {found:?}, expected {expected:?}")]
    WrongParamShape {
        /// Owner.
        node: NodeId,
        /// Parameter.
        name: &'static str,
        /// From the graph.
        expected: Vec<usize>,
        /// From the weights.
        found: Vec<usize>,
    },
    /// G6.
    #[error("`{name}` of {node} holds a value that is not finite")]
    NotFinite {
        /// Owner.
        node: NodeId,
        /// Parameter.
        name: &'static str,
    },
    /// G6.
    #[error("`{name}` of {node} holds a value below its range")]
    BelowRange {
        /// Owner.
        node: NodeId,
        /// Parameter.
        name: &'static str,
    },
}

/// Decides whether `graph` is a valid architecture: G1 to G5.
///
/// # Errors
///
/// The first violation.
pub fn check(graph: &Graph) -> Result<(), GraphError> {
    within_caps(graph)?;
    ids_are_unique(graph)?;
    input_comes_first(graph)?;
    attributes_are_in_range(graph)?;
    parameters_are_in_range(graph)?;
    everything_is_used(graph)
}

/// Decides whether `network` is valid: [`check`] and G6.
///
/// # Errors
///
/// The first violation.
pub fn check_network(network: &Network) -> Result<(), GraphError> {
    check(&network.graph)?;
    let shapes = network.graph.shapes()?;
    let mut owners = BTreeSet::new();
    for node in network.graph.nodes() {
        let input = node.inputs.first().map_or(Shape::Vector(1), |i| shapes[i]);
        let expected = Graph::parameter_shapes(&node.op, input);
        if expected.is_empty() {
            continue;
        }
        owners.insert(node.id);
        let params = network.weights.get(&node.id).ok_or(GraphError::WrongParams(node.id))?;
        let found = params.tensors();
        if found.len() != expected.len() {
            return Err(GraphError::WrongParams(node.id));
        }
        for ((name, shape), (found_name, tensor)) in expected.into_iter().zip(found) {
            if name != found_name {
                return Err(GraphError::WrongParams(node.id));
            }
            let whole =
                shape == tensor.shape && tensor.data.len() == shape.iter().product::<usize>();
            if !whole {
                let found = tensor.shape.clone();
                let node = node.id;
                return Err(GraphError::WrongParamShape { node, name, expected: shape, found });
            }
            values_are_in_range(node.id, name, tensor)?;
        }
    }
    match network.weights.keys().find(|id| !owners.contains(id)) {
        Some(&id) => Err(GraphError::WrongParams(id)),
        None => Ok(()),
    }
}

fn within_caps(graph: &Graph) -> Result<(), GraphError> {
    if graph.nodes().len() > MAX_NODES {
        return Err(GraphError::TooManyNodes(graph.nodes().len()));
    }
    match graph.nodes().iter().find(|n| n.inputs.len() > MAX_INPUTS) {
        Some(node) => Err(out_of_range(node, "the number of its inputs")),
        None => Ok(()),
    }
}

fn ids_are_unique(graph: &Graph) -> Result<(), GraphError> {
    let mut seen = BTreeSet::new();
    if graph.next_id > MAX_IDS {
        return Err(GraphError::BadId(NodeId(graph.next_id)));
    }
    for node in graph.nodes() {
        if !seen.insert(node.id) || node.id.0 >= graph.next_id {
            return Err(GraphError::BadId(node.id));
        }
    }
    Ok(())
}

fn input_comes_first(graph: &Graph) -> Result<(), GraphError> {
    for (i, node) in graph.nodes().iter().enumerate() {
        if matches!(node.op, Op::Input { .. }) != (i == 0) {
            return Err(GraphError::BadInput(node.id));
        }
    }
    match graph.nodes().is_empty() {
        true => Err(GraphError::BadInput(NodeId(0))),
        false => Ok(()),
    }
}

fn attributes_are_in_range(graph: &Graph) -> Result<(), GraphError> {
    for node in graph.nodes() {
        let attributes = attributes_in_range(&node.op);
        if let Some((what, _)) = attributes.into_iter().find(|(_, holds)| !holds) {
            return Err(out_of_range(node, what));
        }
    }
    Ok(())
}

/// Each attribute of `op` in words, and whether its value may be.
fn attributes_in_range(op: &Op) -> Vec<(&'static str, bool)> {
    let sizes = |sizes: &[usize]| sizes.iter().all(|s| (1..=MAX_VALUES).contains(s));
    let padding = |padding: &[usize]| padding.iter().all(|&p| p <= MAX_VALUES);
    match op {
        Op::Input { shape } => vec![("its shape", sizes(shape))],
        Op::Conv(conv) => vec![
            ("its channels", sizes(&[conv.channels, conv.groups])),
            ("its kernel", sizes(&conv.kernel)),
            ("its stride", sizes(&conv.stride)),
            ("its padding", padding(&conv.padding)),
            ("its dilation", sizes(&conv.dilation)),
        ],
        Op::BatchNorm { epsilon } => {
            vec![("epsilon", epsilon.is_finite() && *epsilon > 0.0)]
        }
        Op::MaxPool(pool) | Op::AvgPool(pool) => vec![
            ("its window", sizes(&pool.kernel)),
            ("its stride", sizes(&pool.stride)),
            ("its padding", padding(&pool.padding)),
        ],
        Op::Linear(linear) => vec![("its features", sizes(&[linear.features]))],
        Op::Dropout { rate } => vec![("its rate", (0.0..1.0).contains(rate))],
        Op::Resize(resize) => vec![("its size", sizes(&resize.size))],
        Op::Normalize
        | Op::Activation(_)
        | Op::Add
        | Op::Mul
        | Op::Concat
        | Op::GlobalAveragePool
        | Op::Flatten => vec![],
    }
}

fn parameters_are_in_range(graph: &Graph) -> Result<(), GraphError> {
    let shapes = graph.shapes()?;
    for node in graph.nodes() {
        let Some(first) = node.inputs.first() else { continue };
        let parameters = Graph::parameter_shapes(&node.op, shapes[first]);
        let large = parameters.into_iter().find(|(_, dims)| capped_len(dims).is_none());
        if let Some((name, _)) = large {
            return Err(out_of_range(node, name));
        }
    }
    Ok(())
}

fn values_are_in_range(
    node: NodeId,
    name: &'static str,
    tensor: &Tensor,
) -> Result<(), GraphError> {
    let all = |holds: fn(f32) -> bool| tensor.data.iter().all(|&x| holds(x));
    let in_range = match name {
        "variance" => all(|x| x >= 0.0),
        "std" => all(|x| x > 0.0),
        _ => true,
    };
    match all(f32::is_finite) {
        true if in_range => Ok(()),
        true => Err(GraphError::BelowRange { node, name }),
        false => Err(GraphError::NotFinite { node, name }),
    }
}

pub(super) fn out_of_range(node: &Node, what: &'static str) -> GraphError {
    GraphError::OutOfRange { node: node.id, op: node.op.name(), what }
}

/// The product of `dims`, unless it is beyond [`MAX_VALUES`].
pub(super) fn capped_len(dims: &[usize]) -> Option<usize> {
    let len = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d))?;
    (len <= MAX_VALUES).then_some(len)
}

fn everything_is_used(graph: &Graph) -> Result<(), GraphError> {
    let mut used = BTreeSet::from([graph.output()]);
    for node in graph.nodes().iter().rev() {
        if !used.contains(&node.id) {
            return Err(GraphError::Unused(node.id));
        }
        used.extend(node.inputs.iter().copied());
    }
    Ok(())
}
