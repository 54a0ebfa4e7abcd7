//! What an architecture costs without running it.
use crate::units::Bytes;
use crate::units::Macs;

use super::Graph;
use super::NodeId;
use super::Op;
use super::Shape;
use super::shape::Placed;

/// Static cost of one forward pass of one sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Cost {
    /// Trainable parameters: convolution and linear weights and biases, gamma and beta.
    pub parameters: u64,
    /// Multiply-accumulates of convolutions and linear layers.
    pub macs: Macs,
    /// Buffers that live while the network runs.
    pub memory: MemoryPlan,
    /// Per node, in topological order.
    pub nodes: Vec<NodeCost>,
}

/// Static cost of one node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NodeCost {
    /// Which node.
    pub node: NodeId,
    /// Trainable parameters.
    pub parameters: u64,
    /// Multiply-accumulates (convolution, linear).
    pub macs: u64,
    /// Bytes read and written, parameters included, at four bytes a value.
    pub bytes_moved: u64,
}

/// Live activation memory when nodes run in stored order and a value is freed after its last use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Most bytes alive at any time, at four bytes a value; element-wise operations work in
    /// place when their input dies there.
    pub peak: Bytes,
    /// The node that runs then.
    pub at: NodeId,
}

impl Graph {
    /// Static cost of one forward pass of one sample.
    ///
    /// # Panics
    ///
    /// If the graph is not valid ([`super::check`]).
    pub fn cost(&self) -> Cost {
        let placed = self.placed().expect("G3: shapes agree");
        let nodes: Vec<NodeCost> =
            (0..self.nodes().len()).map(|at| node_cost(self, &placed, at)).collect();
        Cost {
            parameters: nodes.iter().map(|n| n.parameters).sum(),
            macs: Macs(nodes.iter().map(|n| n.macs).fold(0, u64::saturating_add)),
            memory: memory_plan(self, &placed),
            nodes,
        }
    }
}

fn node_cost(graph: &Graph, placed: &Placed, at: usize) -> NodeCost {
    let node = &graph.nodes()[at];
    let out = placed.shapes[at];
    let inputs = placed.inputs(at);
    let input = inputs.first().map_or(Shape::Vector(0), |&i| placed.shapes[i]);
    let all = Graph::parameter_shapes(&node.op, input);
    let count = |dims: &Vec<usize>| dims.iter().product::<usize>() as u64;
    let stored: u64 = all.iter().map(|(_, dims)| count(dims)).sum();
    let trained = |name: &str| matches!(name, "weight" | "bias" | "gamma" | "beta");
    let parameters = all.iter().filter(|(n, _)| trained(n)).map(|(_, d)| count(d)).sum();
    let macs = match &node.op {
        Op::Conv(conv) => {
            let taps = conv.kernel[0] * conv.kernel[1] * (input.channels() / conv.groups);
            (out.len() * taps) as u64
        }
        Op::Linear(_) => (out.len() * input.len()) as u64,
        _ => 0,
    };
    let read: usize = inputs.iter().map(|&i| placed.shapes[i].len()).sum();
    let moved = 4 * ((read + out.len()) as u64 + stored);
    NodeCost { node: node.id, parameters, macs, bytes_moved: moved }
}

/// May the operation write over its first input?
fn in_place(op: &Op) -> bool {
    match op {
        Op::Normalize
        | Op::BatchNorm { .. }
        | Op::Activation(_)
        | Op::Add
        | Op::Mul
        | Op::Flatten
        | Op::Dropout { .. } => true,
        Op::Input { .. }
        | Op::Conv(_)
        | Op::Concat
        | Op::MaxPool(_)
        | Op::AvgPool(_)
        | Op::GlobalAveragePool
        | Op::Linear(_)
        | Op::Resize(_) => false,
    }
}

fn memory_plan(graph: &Graph, placed: &Placed) -> MemoryPlan {
    let nodes = graph.nodes();
    let mut last_use: Vec<usize> = (0..nodes.len()).collect();
    for step in 0..nodes.len() {
        placed.inputs(step).iter().for_each(|&input| last_use[input] = step);
    }
    let bytes = |at: usize| 4 * placed.shapes[at].len() as u64;
    let mut live = vec![false; nodes.len()];
    let mut now = 0;
    let mut plan = MemoryPlan { peak: Bytes(0), at: graph.input() };
    for (step, node) in nodes.iter().enumerate() {
        let inputs = placed.inputs(step);
        let reused = inputs.first().filter(|&&first| {
            in_place(&node.op) && last_use[first] == step && bytes(first) == bytes(step)
        });
        let mut free = |at: usize, now: &mut u64| {
            if std::mem::take(&mut live[at]) {
                *now -= bytes(at);
            }
        };
        if let Some(&first) = reused {
            free(first, &mut now);
        }
        now += bytes(step);
        if now > plan.peak.0 {
            plan = MemoryPlan { peak: Bytes(now), at: node.id };
        }
        inputs.iter().filter(|&&i| last_use[i] == step).for_each(|&i| free(i, &mut now));
        live[step] = last_use[step] > step;
        if !live[step] {
            now -= bytes(step);
        }
    }
    plan
}
