//! A graph compiled to kernels: which, in which order, on which buffers.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::graph::Activation;
use crate::graph::Graph;
use crate::graph::Node;
use crate::graph::NodeId;
use crate::graph::Op;
use crate::graph::Shape;

use super::conv::ConvPlan;
use super::depthwise::DepthwisePlan;
use super::parameters::Slot;
use super::pool::PoolPlan;
use super::resize::ResizePlan;
use super::simd::Simd;

/// A compiled graph.
///
/// Values are numbered in the order in which they are computed; value 0 is the input.
#[derive(Clone, Debug)]
pub struct Program {
    /// In order; step `i` computes value `i + 1`.
    pub steps: Vec<Step>,
    /// Shape `[h, w, c]` of every value of one image; `[1, 1, n]` for a vector.
    pub shapes: Vec<[usize; 3]>,
    /// Is this value an image, not a vector?
    pub is_image: Vec<bool>,
    /// Does the gradient of this value matter?
    pub wants_gradient: Vec<bool>,
    /// All trainable tensors.
    pub slots: Vec<Slot>,
    /// Number of parameters in all `slots`.
    pub parameters: usize,
    /// Batch normalisations in order.
    pub norms: Vec<NodeId>,
    /// Which value holds a node's output, if one does.
    pub value_of: BTreeMap<NodeId, usize>,
    /// Most scratch values that a kernel needs for one image.
    pub scratch: usize,
    /// For whose registers weights are packed.
    pub simd: Simd,
}

/// One kernel with what it reads; it writes the value after its own number.
#[derive(Clone, Debug)]
pub struct Step {
    /// The (first) node it computes.
    pub node: NodeId,
    /// What to do.
    pub kernel: Kernel,
    /// Values that are read.
    pub inputs: Vec<usize>,
    /// By input: is its gradient added to what a later step has put there?
    pub adds: Vec<bool>,
    /// Are there parameters to train?
    pub is_trained: bool,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum Kernel {
    /// `(x - mean) / std` with constants of the node.
    Normalize,
    /// Dense or grouped convolution, or a fully connected layer.
    Conv {
        /// Geometry.
        plan: Box<ConvPlan>,
        /// Index of the weight's slot.
        weight: usize,
        /// Index of the bias's slot.
        bias: Option<usize>,
    },
    /// Depthwise convolution.
    Depthwise {
        /// Geometry.
        plan: Box<DepthwisePlan>,
        /// Index of the weight's slot.
        weight: usize,
        /// Index of the bias's slot.
        bias: Option<usize>,
    },
    /// Batch normalisation with the activation that follows.
    Norm {
        /// Which, in the order of [`Program::norms`].
        index: usize,
        /// Index of gamma's slot; beta's is the next.
        gamma: usize,
        /// Added to the variance.
        epsilon: f32,
        /// Applied afterwards.
        activation: Option<Activation>,
        /// Are the running statistics constants even in training?
        is_frozen: bool,
    },
    /// A function of each value alone.
    Activation(Activation),
    /// Sum of all inputs.
    Add,
    /// Product of two equal shapes.
    Mul,
    /// Product of an image and one value per channel.
    Gate,
    /// Inputs one after the other along the channels.
    Concat,
    /// Largest value of each window.
    MaxPool(PoolPlan),
    /// Mean of each window.
    AvgPool(PoolPlan),
    /// Mean over height and width.
    GlobalAveragePool,
    /// From `[h, w, c]` to a vector in the graph's order.
    Flatten,
    /// Random zeros in training.
    Dropout {
        /// Share of zeros.
        rate: f32,
    },
    /// Another height and width.
    Resize(Box<ResizePlan>),
}

impl Kernel {
    /// For profiles.
    pub fn name(&self) -> &'static str {
        match self {
            Kernel::Normalize => "Normalize",
            Kernel::Conv { .. } => "Conv",
            Kernel::Depthwise { .. } => "Depthwise",
            Kernel::Norm { .. } => "Norm",
            Kernel::Activation(_) => "Activation",
            Kernel::Add => "Add",
            Kernel::Mul => "Mul",
            Kernel::Gate => "Gate",
            Kernel::Concat => "Concat",
            Kernel::MaxPool(_) => "MaxPool",
            Kernel::AvgPool(_) => "AvgPool",
            Kernel::GlobalAveragePool => "GlobalAveragePool",
            Kernel::Flatten => "Flatten",
            Kernel::Dropout { .. } => "Dropout",
            Kernel::Resize(_) => "Resize",
        }
    }
}

impl Program {
    /// Compiles `graph`. Nodes in `keep` get a value of their own, parameters of nodes in
    /// `frozen` are not trained.
    pub fn compile(graph: &Graph, simd: Simd, keep: &[NodeId], frozen: &[NodeId]) -> Program {
        let shapes = graph.shapes().expect("G3: shapes agree");
        let input = layout(shapes[&graph.input()]);
        let mut compiler = Compiler {
            graph,
            shapes,
            keep: keep.iter().copied().collect(),
            frozen: frozen.iter().copied().collect(),
            program: Program {
                steps: Vec::new(),
                shapes: vec![input],
                is_image: vec![true],
                wants_gradient: vec![false],
                slots: Vec::new(),
                parameters: 0,
                norms: Vec::new(),
                value_of: BTreeMap::from([(graph.input(), 0)]),
                scratch: 0,
                simd,
            },
        };
        let nodes = graph.nodes();
        nodes.iter().skip(1).for_each(|node| compiler.add(node));
        compiler.flatten_output();
        compiler.program.mark_additions();
        compiler.program
    }

    /// The backward pass meets the readers of a value from last to first: all but the first add.
    fn mark_additions(&mut self) {
        let mut is_written = vec![false; self.shapes.len()];
        for step in self.steps.iter_mut().rev() {
            for (value, adds) in step.inputs.iter().zip(&mut step.adds) {
                *adds = std::mem::replace(&mut is_written[*value], true);
            }
        }
    }

    /// Number of values of one image.
    pub fn len(&self, value: usize) -> usize {
        self.shapes[value].iter().product()
    }

    /// Length of all packed weights.
    pub fn packed_len(&self) -> usize {
        let mut len = 0;
        for step in &self.steps {
            if let Kernel::Conv { plan, .. } = &step.kernel {
                len += plan.packed_len(self.simd);
            }
        }
        len
    }

    /// Outputs of the network.
    pub fn classes(&self) -> usize {
        self.len(self.output())
    }

    /// The value that is the output.
    pub fn output(&self) -> usize {
        self.steps.len()
    }

    /// For every value, the last step that reads it in a forward pass.
    pub fn last_uses(&self) -> Vec<usize> {
        let mut last: Vec<usize> = (0..self.shapes.len()).map(|v| v.saturating_sub(1)).collect();
        for (i, step) in self.steps.iter().enumerate() {
            step.inputs.iter().for_each(|&v| last[v] = i);
        }
        last[self.output()] = self.steps.len();
        last
    }
}

/// `[h, w, c]` of a shape of the graph.
fn layout(shape: Shape) -> [usize; 3] {
    let [h, w] = shape.size();
    [h, w, shape.channels()]
}

struct Compiler<'a> {
    graph: &'a Graph,
    shapes: BTreeMap<NodeId, Shape>,
    keep: BTreeSet<NodeId>,
    frozen: BTreeSet<NodeId>,
    program: Program,
}

impl Compiler<'_> {
    fn add(&mut self, node: &Node) {
        if self.program.value_of.contains_key(&node.id) {
            return;
        }
        let from = layout(self.shapes[&node.inputs[0]]);
        let to = layout(self.shapes[&node.id]);
        let kernel = match &node.op {
            Op::Input { .. } => panic!("G4: only the first node is an input"),
            Op::Normalize => Kernel::Normalize,
            Op::Conv(conv) => {
                let [weight, bias] = self.weight_and_bias(node);
                let weight = weight.expect("a convolution has weights");
                if conv.groups > 1 && conv.groups == from[2] && conv.channels == from[2] {
                    let plan = Box::new(DepthwisePlan::new(conv, from, to));
                    self.needs_scratch(plan.scratch());
                    Kernel::Depthwise { plan, weight, bias }
                } else {
                    let plan = Box::new(ConvPlan::new(conv, from, to));
                    self.needs_scratch(plan.scratch());
                    Kernel::Conv { plan, weight, bias }
                }
            }
            Op::Linear(linear) => {
                let [weight, bias] = self.weight_and_bias(node);
                let weight = weight.expect("a linear layer has weights");
                let plan = Box::new(ConvPlan::linear(from[2], linear.features));
                Kernel::Conv { plan, weight, bias }
            }
            Op::BatchNorm { epsilon } => return self.add_norm(node, *epsilon),
            Op::Activation(f) => Kernel::Activation(*f),
            Op::Add => Kernel::Add,
            Op::Mul if self.shapes[&node.inputs[0]] == self.shapes[&node.inputs[1]] => Kernel::Mul,
            Op::Mul => Kernel::Gate,
            Op::Concat => Kernel::Concat,
            Op::MaxPool(pool) => Kernel::MaxPool(PoolPlan::new(pool, from, to)),
            Op::AvgPool(pool) => Kernel::AvgPool(PoolPlan::new(pool, from, to)),
            Op::GlobalAveragePool => Kernel::GlobalAveragePool,
            Op::Flatten => Kernel::Flatten,
            Op::Dropout { rate } => Kernel::Dropout { rate: *rate },
            Op::Resize(resize) => Kernel::Resize(Box::new(ResizePlan::new(resize, from))),
        };
        self.push(node, kernel, to);
    }

    /// A normalisation takes the activation after it with it, if nothing else reads it.
    fn add_norm(&mut self, node: &Node, epsilon: f32) {
        let shape = layout(self.shapes[&node.id]);
        let gamma = self.slot(node, "gamma", [shape[2], 1, 1]);
        self.slot(node, "beta", [shape[2], 1, 1]);
        let users = self.graph.users(node.id);
        let mut follower = None;
        if let ([user], false) = (users.as_slice(), self.keep.contains(&node.id))
            && let Op::Activation(f) = self.graph.op(*user)
        {
            follower = Some((*user, *f));
        }
        let index = self.program.norms.len();
        self.program.norms.push(node.id);
        let activation = follower.map(|(_, f)| f);
        let is_frozen = self.frozen.contains(&node.id);
        self.push(node, Kernel::Norm { index, gamma, epsilon, activation, is_frozen }, shape);
        if let Some((id, _)) = follower {
            let value = self.program.value_of.remove(&node.id).expect("it was just computed");
            self.program.value_of.insert(id, value);
        }
    }

    fn push(&mut self, node: &Node, kernel: Kernel, shape: [usize; 3]) {
        let inputs: Vec<usize> = node.inputs.iter().map(|i| self.program.value_of[i]).collect();
        let has_parameters = self.program.slots.last().is_some_and(|s| s.node == node.id);
        let is_trained = has_parameters && !self.frozen.contains(&node.id);
        let wants = is_trained || inputs.iter().any(|&i| self.program.wants_gradient[i]);
        let adds = vec![false; inputs.len()];
        self.program.steps.push(Step { node: node.id, kernel, inputs, adds, is_trained });
        self.program.value_of.insert(node.id, self.program.shapes.len());
        self.program.shapes.push(shape);
        self.program.is_image.push(matches!(self.shapes[&node.id], Shape::Image(_)));
        self.program.wants_gradient.push(wants);
    }

    /// An image as output is read as a vector.
    fn flatten_output(&mut self) {
        let [h, w, c] = self.program.shapes[self.program.output()];
        if h * w > 1 {
            let node = self.graph.output();
            let inputs = vec![self.program.output()];
            let kernel = Kernel::Flatten;
            let adds = vec![false];
            self.program.steps.push(Step { node, kernel, inputs, adds, is_trained: false });
            self.program.shapes.push([1, 1, h * w * c]);
            self.program.is_image.push(false);
            let wants = self.program.wants_gradient.last().copied().unwrap_or(false);
            self.program.wants_gradient.push(wants);
        }
    }

    fn needs_scratch(&mut self, len: usize) {
        self.program.scratch = self.program.scratch.max(len);
    }

    fn weight_and_bias(&mut self, node: &Node) -> [Option<usize>; 2] {
        let named = Graph::parameter_shapes(&node.op, self.shapes[&node.inputs[0]]);
        let mut found = [None, None];
        for (name, dims) in named {
            let inner: usize = dims.get(2..).unwrap_or(&[]).iter().product();
            let dims = [dims[0], dims.get(1).copied().unwrap_or(1), inner];
            found[usize::from(name == "bias")] = Some(self.slot(node, name, dims));
        }
        found
    }

    fn slot(&mut self, node: &Node, name: &'static str, dims: [usize; 3]) -> usize {
        let offset = self.program.parameters;
        let is_trained = !self.frozen.contains(&node.id);
        let slot = Slot { node: node.id, name, offset, dims, is_trained };
        self.program.parameters += slot.len();
        self.program.slots.push(slot);
        self.program.slots.len() - 1
    }
}
