//! What a network is: a graph of operations, and weights keyed by node.
//!
//! Performs no I/O, reads no clock, draws no random number. Image tensors are `[C, H, W]` per
//! sample and weights `[C_out, C_in / groups, k_h, k_w]`: ONNX's order.
//!
//! # Invariants
//!
//! [`check`] enforces them; every other function may assume them.
//!
//! - **G1** nodes are stored in topological order: an input precedes its user;
//! - **G2** a [`NodeId`] is never reused, so weights stay attached across edits; no checked graph
//!   is near the end of the ids;
//! - **G3** shapes agree along every edge;
//! - **G4** exactly one [`Op::Input`], the first node, and one output, the last node; every node
//!   leads to the output;
//! - **G5** every size is at least 1 and the network stays below the caps of [`check`];
//! - **G6** every node that has parameters has them in [`Network::weights`], in the shapes of
//!   [`Graph::parameter_shapes`], finite, no variance negative and every deviation positive, and
//!   nothing else has any.
mod arch_id;
mod check;
mod cost;
mod eval;
mod op;
mod shape;
mod weights;

pub use arch_id::ArchId;
pub use check::GraphError;
pub use check::MAX_NODES;
pub use check::MAX_VALUES;
pub use check::check;
pub use check::check_network;
pub use cost::Cost;
pub use cost::MemoryPlan;
pub use cost::NodeCost;
pub use eval::eval;
pub use eval::eval_all;
pub use op::Activation;
pub use op::Conv;
pub use op::Interpolation;
pub use op::Linear;
pub use op::Op;
pub use op::Pool;
pub use op::Resize;
pub use shape::Shape;
pub use weights::Activations;
pub use weights::Observed;
pub use weights::Params;
pub use weights::Tensor;
pub use weights::Weights;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::iter::successors;

use serde::Deserialize;
use serde::Serialize;

/// Stable name of a node; survives edits (invariant G2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub u32);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

/// One node: an operation and the nodes it reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Stable name.
    pub id: NodeId,
    /// What it computes.
    pub op: Op,
    /// What it reads, in the order the operation expects.
    pub inputs: Vec<NodeId>,
}

/// The structure of a network, without weights.
///
/// Edits keep G1 and G2; whether the result is a valid network is for [`check`] to say. What is
/// deserialised has passed it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Graph {
    nodes: Vec<Node>,
    next_id: u32,
}

/// A graph as somebody wrote it down.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    nodes: Vec<Node>,
    next_id: u32,
}

impl TryFrom<Unchecked> for Graph {
    type Error = GraphError;

    fn try_from(unchecked: Unchecked) -> Result<Self, GraphError> {
        let Unchecked { nodes, next_id } = unchecked;
        let graph = Graph { nodes, next_id };
        check(&graph).map(|()| graph)
    }
}

/// A graph together with its weights. Cloning shares all tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// The architecture.
    pub graph: Graph,
    /// Parameters per node (invariant G6).
    pub weights: Weights,
}

impl Graph {
    /// A graph with only an input of shape `[channels, height, width]`.
    pub fn new(input: [usize; 3]) -> Self {
        let node = Node { id: NodeId(0), op: Op::Input { shape: input }, inputs: Vec::new() };
        Graph { nodes: vec![node], next_id: 1 }
    }

    /// Nodes in topological order (G1).
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node named `id`, if there is one.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.iter().find(|n| n.id == id)
    }

    /// The operation of `id`.
    ///
    /// # Panics
    ///
    /// If there is no such node.
    pub fn op(&self, id: NodeId) -> &Op {
        &self.node(id).unwrap_or_else(|| panic!("{id} is not in this graph")).op
    }

    /// The input node (G4).
    pub fn input(&self) -> NodeId {
        self.nodes[0].id
    }

    /// The output node (G4).
    pub fn output(&self) -> NodeId {
        self.nodes[self.nodes.len() - 1].id
    }

    /// Shape `[channels, height, width]` of the input.
    pub fn input_shape(&self) -> [usize; 3] {
        match self.nodes[0].op {
            Op::Input { shape } => shape,
            _ => panic!("G4: the first node is the input"),
        }
    }

    /// Nodes that read `id`, in topological order; a node that reads it twice is listed once.
    pub fn users(&self, id: NodeId) -> Vec<NodeId> {
        self.nodes.iter().filter(|n| n.inputs.contains(&id)).map(|n| n.id).collect()
    }

    /// Appends `op` reading `inputs` and returns its id.
    pub fn push(&mut self, op: Op, inputs: &[NodeId]) -> NodeId {
        let id = self.fresh_id();
        self.nodes.push(Node { id, op, inputs: inputs.to_vec() });
        id
    }

    /// Adds `op` reading `inputs` directly after the latest of them; nothing reads it yet.
    ///
    /// # Panics
    ///
    /// If `inputs` is empty or names an unknown node.
    pub fn insert(&mut self, op: Op, inputs: &[NodeId]) -> NodeId {
        let latest = inputs.iter().map(|&i| self.position(i)).max();
        let at = latest.expect("an inserted node reads something") + 1;
        let id = self.fresh_id();
        self.nodes.insert(at, Node { id, op, inputs: inputs.to_vec() });
        id
    }

    /// Inserts the chain `ops` on every edge that leaves `site`; returns the new ids in order.
    ///
    /// If `site` was the output, the last new node is the output now.
    pub fn insert_after(&mut self, site: NodeId, ops: Vec<Op>) -> Vec<NodeId> {
        let users = self.users(site);
        let mut ids = Vec::new();
        let mut tail = site;
        for op in ops {
            tail = self.insert(op, &[tail]);
            ids.push(tail);
        }
        for user in users {
            self.rewire(user, site, tail);
        }
        ids
    }

    /// Replaces the operation of `id`.
    ///
    /// # Panics
    ///
    /// If there is no such node.
    pub fn set_op(&mut self, id: NodeId, op: Op) {
        let at = self.position(id);
        self.nodes[at].op = op;
    }

    /// Makes `user` read `new` wherever it read `old`, and restores G1.
    ///
    /// # Panics
    ///
    /// If `new` depends on `user` (a cycle), or a node is unknown.
    pub fn rewire(&mut self, user: NodeId, old: NodeId, new: NodeId) {
        let at = self.position(user);
        for input in &mut self.nodes[at].inputs {
            if *input == old {
                *input = new;
            }
        }
        self.sort();
    }

    /// Replaces all inputs of `user`, and restores G1.
    ///
    /// # Panics
    ///
    /// As [`rewire`](Self::rewire).
    pub fn set_inputs(&mut self, user: NodeId, inputs: &[NodeId]) {
        let at = self.position(user);
        self.nodes[at].inputs = inputs.to_vec();
        self.sort();
    }

    /// Makes every user of `old` read `new` instead, then removes what no longer leads to the
    /// output. If `old` was the output, `new` becomes it.
    ///
    /// # Panics
    ///
    /// As [`rewire`](Self::rewire).
    pub fn bypass(&mut self, old: NodeId, new: NodeId) {
        self.bypass_all(&BTreeMap::from([(old, new)]));
    }

    /// [`bypass`](Self::bypass) of every key in favour of its value, which may be a key itself;
    /// in one go, since each restores G1.
    ///
    /// # Panics
    ///
    /// As [`rewire`](Self::rewire).
    pub fn bypass_all(&mut self, bypassed: &BTreeMap<NodeId, NodeId>) {
        let next = |id: &NodeId| bypassed.get(id).copied();
        let end = |id| successors(Some(id), next).last().expect("there is the first");
        let old_output = self.output();
        for input in self.nodes.iter_mut().flat_map(|n| &mut n.inputs) {
            *input = end(*input);
        }
        self.sort();
        let output = next(&old_output).map_or(self.output(), end);
        self.keep_only_ancestors(output);
    }

    /// Removes every node that does not lead to the output.
    pub fn remove_unused(&mut self) {
        self.keep_only_ancestors(self.output());
    }

    /// Is `ancestor` on some path to `node`, or the node itself?
    pub fn depends_on(&self, node: NodeId, ancestor: NodeId) -> bool {
        let mut wanted = vec![node];
        let mut seen = BTreeSet::new();
        while let Some(id) = wanted.pop() {
            if id == ancestor {
                return true;
            }
            if seen.insert(id) {
                wanted.extend(self.node(id).into_iter().flat_map(|n| n.inputs.iter().copied()));
            }
        }
        false
    }

    fn fresh_id(&mut self) -> NodeId {
        let id = NodeId(self.next_id);
        self.next_id = id.0.checked_add(1).expect("G2: there are ids left");
        id
    }

    fn position(&self, id: NodeId) -> usize {
        let found = self.nodes.iter().position(|n| n.id == id);
        found.unwrap_or_else(|| panic!("{id} is not in this graph"))
    }

    fn keep_only_ancestors(&mut self, output: NodeId) {
        let mut keep = BTreeSet::from([output]);
        for node in self.nodes.iter().rev() {
            if keep.contains(&node.id) {
                keep.extend(node.inputs.iter().copied());
            }
        }
        self.nodes.retain(|n| keep.contains(&n.id) || matches!(n.op, Op::Input { .. }));
        let at = self.position(output);
        let output = self.nodes.remove(at);
        self.nodes.push(output);
    }

    /// Stable topological order: of the nodes that may come next, the one that stood first.
    fn sort(&mut self) {
        let places = self.nodes.iter().enumerate().map(|(at, node)| (node.id, at));
        let places: BTreeMap<NodeId, usize> = places.collect();
        let mut users = vec![Vec::new(); self.nodes.len()];
        let mut missing = vec![0; self.nodes.len()];
        for (at, node) in self.nodes.iter().enumerate() {
            for input in &node.inputs {
                let source = places.get(input);
                users[*source.unwrap_or_else(|| panic!("{input} is not in this graph"))].push(at);
                missing[at] += 1;
            }
        }
        let mut ready: BTreeSet<usize> = (0..missing.len()).filter(|&i| missing[i] == 0).collect();
        let mut order = Vec::with_capacity(missing.len());
        while let Some(at) = ready.pop_first() {
            order.push(at);
            for &user in &users[at] {
                missing[user] -= 1;
                if missing[user] == 0 {
                    ready.insert(user);
                }
            }
        }
        assert_eq!(order.len(), self.nodes.len(), "G1: an edit must not make a cycle");
        self.nodes = order.into_iter().map(|at| self.nodes[at].clone()).collect();
    }
}
