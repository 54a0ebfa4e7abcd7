//! A graph with what morphisms ask of it, computed once.
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::graph::Activation;
use crate::graph::Graph;
use crate::graph::Node;
use crate::graph::NodeId;
use crate::graph::Op;
use crate::graph::Shape;

/// Most channels that a morphism makes.
pub(super) const MAX_CHANNELS: usize = 1024;
/// Growth ends here, so that no edit reaches the caps of [`crate::graph::check`]: one edit
/// multiplies a node's values by 2 and its parameters by 9 at most (a 1×1 kernel becomes 3×3).
pub(super) const MAX_GROWING_VALUES: usize = (1 << 28) / 16;
/// As above; one edit adds 6 nodes at most.
const MAX_GROWING_NODES: usize = 9_000;

/// A valid graph with shapes and users; makes asking for sites cheap.
pub struct Layout<'a> {
    graph: &'a Graph,
    nodes: BTreeMap<NodeId, &'a Node>,
    shapes: BTreeMap<NodeId, Shape>,
    users: BTreeMap<NodeId, Vec<NodeId>>,
    non_negative: BTreeSet<NodeId>,
    gating: BTreeSet<NodeId>,
    growing: bool,
}

impl<'a> Layout<'a> {
    /// Lays out `graph`.
    ///
    /// # Panics
    ///
    /// If the graph is not valid ([`crate::graph::check`]).
    pub fn new(graph: &'a Graph) -> Self {
        let shapes = graph.shapes().expect("G3: shapes agree");
        let mut users: BTreeMap<NodeId, Vec<NodeId>> = BTreeMap::new();
        let mut non_negative = BTreeSet::new();
        for node in graph.nodes() {
            users.insert(node.id, Vec::new());
            for input in node.inputs.iter().collect::<BTreeSet<_>>() {
                users.get_mut(input).expect("G1: inputs precede their users").push(node.id);
            }
            if keeps_non_negative(node, &non_negative) {
                non_negative.insert(node.id);
            }
        }
        let nodes = graph.nodes().iter().map(|n| (n.id, n)).collect();
        let gating = gating(graph, &users);
        let growing = may_grow(graph, &shapes);
        Layout { graph, nodes, shapes, users, non_negative, gating, growing }
    }

    /// The graph itself.
    pub fn graph(&self) -> &'a Graph {
        self.graph
    }

    /// The node named `id`.
    pub(super) fn node(&self, id: NodeId) -> &'a Node {
        self.nodes[&id]
    }

    /// Its operation.
    pub(super) fn op(&self, id: NodeId) -> &'a Op {
        &self.nodes[&id].op
    }

    /// Its first input; the input itself has none.
    pub(super) fn first_input(&self, id: NodeId) -> Option<NodeId> {
        self.nodes[&id].inputs.first().copied()
    }

    /// Shape of its output.
    pub(super) fn shape(&self, id: NodeId) -> Shape {
        self.shapes[&id]
    }

    /// Shape of its output, if that is an image.
    pub(super) fn image(&self, id: NodeId) -> Result<[usize; 3], &'static str> {
        match self.shapes[&id] {
            Shape::Image(shape) => Ok(shape),
            Shape::Vector(_) => Err("it is not an image"),
        }
    }

    /// Who reads it, in node order.
    pub(super) fn users(&self, id: NodeId) -> &[NodeId] {
        &self.users[&id]
    }

    /// Its only user.
    pub(super) fn only_user(&self, id: NodeId) -> Option<NodeId> {
        match self.users[&id][..] {
            [user] => Some(user),
            _ => None,
        }
    }

    /// Everything on a path to `id`, itself included.
    pub(super) fn ancestors(&self, id: NodeId) -> BTreeSet<NodeId> {
        let mut found = BTreeSet::from([id]);
        let mut wanted = vec![id];
        while let Some(next) = wanted.pop() {
            wanted.extend(self.nodes[&next].inputs.iter().filter(|&&i| found.insert(i)));
        }
        found
    }

    /// Is no value of its output ever below 0, whatever the weights?
    pub(super) fn non_negative(&self, id: NodeId) -> bool {
        self.non_negative.contains(&id)
    }

    /// Does its value only make gates, the second inputs of products?
    pub(super) fn gates(&self, id: NodeId) -> bool {
        self.gating.contains(&id)
    }

    /// Do values leave a block here? So after activations, poolings and the like; a convolution
    /// or batch normalisation is still inside.
    pub(super) fn ends_block(&self, id: NodeId) -> bool {
        match self.op(id) {
            Op::Normalize
            | Op::Activation(_)
            | Op::Add
            | Op::Mul
            | Op::Concat
            | Op::MaxPool(_)
            | Op::AvgPool(_)
            | Op::GlobalAveragePool
            | Op::Dropout { .. }
            | Op::Resize(_) => true,
            Op::Input { .. } | Op::Conv(_) | Op::BatchNorm { .. } | Op::Flatten | Op::Linear(_) => {
                false
            }
        }
    }

    /// Neighbouring values that one channel has in a vector: height times width of the image
    /// that was flattened, else 1.
    pub(super) fn per_channel(&self, id: NodeId) -> usize {
        let Shape::Vector(_) = self.shape(id) else { return 1 };
        match (self.op(id), self.first_input(id)) {
            (Op::Flatten, Some(input)) => {
                self.shape(input).size().iter().product::<usize>() * self.per_channel(input)
            }
            (Op::Linear(_), _) | (_, None) => 1,
            (_, Some(input)) => self.per_channel(input),
        }
    }

    /// Channels of an image, or of the image that became a vector.
    pub(super) fn channels(&self, id: NodeId) -> usize {
        self.shape(id).channels() / self.per_channel(id)
    }

    /// May it grow at all?
    pub(super) fn may_grow(&self) -> Result<(), &'static str> {
        match self.growing {
            true => Ok(()),
            false => Err("the network is as large as it may become"),
        }
    }
}

/// Is every value and parameter far from the caps?
fn may_grow(graph: &Graph, shapes: &BTreeMap<NodeId, Shape>) -> bool {
    let small = |node: &Node| {
        let input = node.inputs.first().map_or(Shape::Vector(1), |i| shapes[i]);
        let parameters = Graph::parameter_shapes(&node.op, input);
        let most = parameters.iter().map(|(_, dims)| dims.iter().product::<usize>()).max();
        shapes[&node.id].len().max(most.unwrap_or(0)) <= MAX_GROWING_VALUES
    };
    graph.nodes().len() <= MAX_GROWING_NODES && graph.nodes().iter().all(small)
}

/// Nodes that lead nowhere but to second inputs of products.
fn gating(graph: &Graph, users: &BTreeMap<NodeId, Vec<NodeId>>) -> BTreeSet<NodeId> {
    let mut gating = BTreeSet::new();
    let gated: BTreeSet<(NodeId, NodeId)> = graph
        .nodes()
        .iter()
        .filter(|n| n.op == Op::Mul && n.inputs[0] != n.inputs[1])
        .map(|n| (n.inputs[1], n.id))
        .collect();
    for node in graph.nodes().iter().rev() {
        let users = &users[&node.id];
        let only = |user| gating.contains(user) || gated.contains(&(node.id, *user));
        if !users.is_empty() && users.iter().all(only) {
            gating.insert(node.id);
        }
    }
    gating
}

fn keeps_non_negative(node: &Node, non_negative: &BTreeSet<NodeId>) -> bool {
    match &node.op {
        Op::Activation(Activation::Relu | Activation::Relu6 | Activation::Sigmoid) => true,
        Op::Add
        | Op::Mul
        | Op::Concat
        | Op::MaxPool(_)
        | Op::AvgPool(_)
        | Op::GlobalAveragePool
        | Op::Flatten
        | Op::Dropout { .. }
        | Op::Resize(_) => node.inputs.iter().all(|i| non_negative.contains(i)),
        Op::Input { .. }
        | Op::Normalize
        | Op::Conv(_)
        | Op::BatchNorm { .. }
        | Op::Activation(Activation::HardSwish | Activation::Silu)
        | Op::Linear(_) => false,
    }
}
