//! The one place that decides validity.
use std::collections::BTreeSet;

use super::Graph;
use super::Network;
use super::NodeId;
use super::Op;
use super::Shape;

/// Most nodes of a graph (G5).
pub const MAX_NODES: usize = 10_000;
/// Most values of one sample at one node, and most parameters of one node (G5): 1 GiB of `f32`.
pub const MAX_VALUES: usize = 1 << 28;

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
    let shapes = graph.shapes()?;
    for node in graph.nodes() {
        let shape = shapes[&node.id];
        let too_large = |what| GraphError::OutOfRange { node: node.id, op: node.op.name(), what };
        checked_len(&shape.dims()).ok_or_else(|| too_large("its output"))?;
        if let Some(first) = node.inputs.first() {
            for (name, dims) in Graph::parameter_shapes(&node.op, shapes[first]) {
                checked_len(&dims).ok_or_else(|| too_large(name))?;
            }
        }
    }
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
            if !tensor.data.iter().all(|x| x.is_finite()) {
                return Err(GraphError::NotFinite { node: node.id, name });
            }
        }
    }
    match network.weights.keys().find(|id| !owners.contains(id)) {
        Some(&id) => Err(GraphError::WrongParams(id)),
        None => Ok(()),
    }
}

fn within_caps(graph: &Graph) -> Result<(), GraphError> {
    match graph.nodes().len() {
        n if n > MAX_NODES => Err(GraphError::TooManyNodes(n)),
        _ => Ok(()),
    }
}

fn ids_are_unique(graph: &Graph) -> Result<(), GraphError> {
    let mut seen = BTreeSet::new();
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
        let positive = |what: &'static str, sizes: &[usize]| match sizes.iter().all(|&s| s > 0) {
            true => Ok(()),
            false => Err(GraphError::OutOfRange { node: node.id, op: node.op.name(), what }),
        };
        let holds = |what: &'static str, ok: bool| positive(what, &[usize::from(ok)]);
        match &node.op {
            Op::Input { shape } => positive("its shape", shape)?,
            Op::Conv(conv) => {
                positive("its channels", &[conv.channels, conv.groups])?;
                positive("its kernel", &conv.kernel)?;
                positive("its stride", &conv.stride)?;
                positive("its dilation", &conv.dilation)?;
            }
            Op::BatchNorm { epsilon } => {
                holds("epsilon", epsilon.is_finite() && *epsilon > 0.0)?;
            }
            Op::MaxPool(pool) | Op::AvgPool(pool) => {
                positive("its window", &pool.kernel)?;
                positive("its stride", &pool.stride)?;
            }
            Op::Linear(linear) => positive("its features", &[linear.features])?,
            Op::Dropout { rate } => holds("its rate", (0.0..1.0).contains(rate))?,
            Op::Resize(resize) => positive("its size", &resize.size)?,
            Op::Normalize
            | Op::Activation(_)
            | Op::Add
            | Op::Mul
            | Op::Concat
            | Op::GlobalAveragePool
            | Op::Flatten => {}
        }
    }
    Ok(())
}

fn checked_len(dims: &[usize]) -> Option<usize> {
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
