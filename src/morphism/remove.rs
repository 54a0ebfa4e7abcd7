//! Shallower: a block or a branch goes.
use rand_chacha::ChaCha8Rng;

use crate::graph::Activations;
use crate::graph::Graph;
use crate::graph::Network;
use crate::graph::NodeId;
use crate::graph::Op;

use super::Applied;
use super::Choice;
use super::Exactness;
use super::Layout;
use super::Morphism;
use super::MorphismError;
use super::channels::Group;
use super::fresh;
use super::scale;
use super::slice::Slice;

/// Removes a convolution with the batch normalisation and activation behind it, where input and
/// output have the same shape, or the gate of a squeeze-and-excitation.
///
/// The mean of a gate is absorbed by what stands before it.
pub struct DropNode;

/// Removes one input of an addition or concatenation, and the branch that leads to it.
///
/// Those who read the rest of a concatenation are refitted to their old outputs.
pub struct DropSkip;

impl Morphism for DropNode {
    fn name(&self) -> &'static str {
        "drop-node"
    }

    fn exactness(&self) -> Exactness {
        Exactness::Approximate
    }

    fn summary(&self) -> &'static str {
        "removes a convolution with what belongs to it, or a gate"
    }

    fn choices(&self, layout: &Layout, site: NodeId) -> Result<Vec<Choice>, &'static str> {
        let (input, last) = droppable(layout, site)?;
        if last == layout.graph().output() {
            return Err("it makes the network's output");
        }
        match layout.shape(input) == layout.shape(last) {
            true => Ok(vec![Choice::Whole]),
            false => Err("what goes in has another shape than what comes out"),
        }
    }

    fn edit(&self, layout: &Layout, site: NodeId, _: Choice) -> Graph {
        let (input, last) = droppable(layout, site).expect("a choice exists only at a site");
        let mut graph = layout.graph().clone();
        graph.bypass(last, input);
        graph
    }

    fn observes(&self, parent: &Graph, applied: &Applied) -> Vec<NodeId> {
        gate(parent, applied.step.site).into_iter().collect()
    }

    fn initialise(
        &self,
        parent: &Network,
        applied: &Applied,
        activations: &Activations,
        _: &mut ChaCha8Rng,
    ) -> Result<Network, MorphismError> {
        let mut child = fresh::inherit(parent, &applied.graph);
        if let Some(gate) = gate(&parent.graph, applied.step.site) {
            let factors = &fresh::observed(activations, self.name(), gate)?.mean;
            absorb(&mut child, &Layout::new(&parent.graph), applied, factors);
        }
        Ok(child)
    }
}

impl Morphism for DropSkip {
    fn name(&self) -> &'static str {
        "drop-skip"
    }

    fn exactness(&self) -> Exactness {
        Exactness::Approximate
    }

    fn summary(&self) -> &'static str {
        "removes one input of an addition or concatenation with its branch"
    }

    fn choices(&self, layout: &Layout, site: NodeId) -> Result<Vec<Choice>, &'static str> {
        let inputs = 0..layout.node(site).inputs.len();
        let (add, concat) = (*layout.op(site) == Op::Add, *layout.op(site) == Op::Concat);
        if !add && !concat {
            return Err("it is neither an addition nor a concatenation");
        }
        let alone = |&input: &usize| add || below(layout, site, input).is_ok();
        Ok(inputs.filter(alone).map(|input| Choice::Cut { input }).collect())
    }

    fn edit(&self, layout: &Layout, site: NodeId, choice: Choice) -> Graph {
        let input = input_of(choice);
        let mut graph = layout.graph().clone();
        if *layout.op(site) == Op::Concat {
            let group = below(layout, site, input).expect("a choice exists only at a site");
            graph = group.resize(&graph, 0);
        }
        let mut rest = layout.node(site).inputs.clone();
        rest.remove(input);
        if let [only] = rest[..] {
            graph.bypass(site, only);
        } else {
            graph.set_inputs(site, &rest);
            graph.remove_unused();
        }
        graph
    }

    fn observes(&self, parent: &Graph, applied: &Applied) -> Vec<NodeId> {
        let layout = Layout::new(parent);
        let (site, input) = (applied.step.site, input_of(applied.step.edit));
        if *layout.op(site) != Op::Concat {
            return Vec::new();
        }
        below(&layout, site, input).expect("a step is recorded at a site").read(&layout)
    }

    fn initialise(
        &self,
        parent: &Network,
        applied: &Applied,
        activations: &Activations,
        rng: &mut ChaCha8Rng,
    ) -> Result<Network, MorphismError> {
        let layout = Layout::new(&parent.graph);
        let (site, input) = (applied.step.site, input_of(applied.step.edit));
        if *layout.op(site) != Op::Concat {
            return Ok(fresh::inherit(parent, &applied.graph));
        }
        let group = below(&layout, site, input).expect("a step is recorded at a site");
        let slice = Slice { morphism: self.name(), parent, layout: &layout, group: &group };
        slice.without_the_rest(&applied.graph, &[], activations, rng)
    }
}

/// What `site` and its followers read, and the last of them.
fn droppable(layout: &Layout, site: NodeId) -> Result<(NodeId, NodeId), &'static str> {
    let input = layout.first_input(site).ok_or("it reads nothing")?;
    if *layout.op(site) == Op::Mul {
        return Ok((input, site));
    }
    let Op::Conv(_) = layout.op(site) else { return Err("it is neither a convolution nor a gate") };
    let norm = follower(layout, site, |op| matches!(op, Op::BatchNorm { .. }));
    let last = follower(layout, norm, |op| matches!(op, Op::Activation(_)));
    Ok((input, last))
}

/// The only user of `id` if it is of that kind, else `id` itself.
fn follower(layout: &Layout, id: NodeId, kind: impl Fn(&Op) -> bool) -> NodeId {
    layout.only_user(id).filter(|&user| kind(layout.op(user))).unwrap_or(id)
}

/// What the product `site` multiplies its first input by.
fn gate(graph: &Graph, site: NodeId) -> Option<NodeId> {
    let node = graph.node(site).filter(|n| n.op == Op::Mul)?;
    node.inputs.get(1).copied()
}

/// Multiplies what was gated by the mean of its gate, where something before it can take that.
fn absorb(child: &mut Network, parent: &Layout, applied: &Applied, factors: &[f32]) {
    let site = applied.step.site;
    let gated = parent.first_input(site).expect("G3: a product has two inputs");
    let layout = Layout::new(&applied.graph);
    let for_the_gate = |&user: &NodeId| user == site || parent.gates(user);
    let nobody_else =
        parent.users(gated).iter().all(for_the_gate) && layout.users(gated) == parent.users(site);
    let source = scale::source(&layout, gated).filter(|_| nobody_else);
    if let Some(source) = source.filter(|_| factors.iter().all(|&factor| factor > 0.0)) {
        scale::multiply(child, source, factors);
    }
}

/// What reads input number `input` of the concatenation `concat`.
fn below(layout: &Layout, concat: NodeId, input: usize) -> Result<Group, &'static str> {
    let widths: Vec<usize> =
        layout.node(concat).inputs.iter().map(|&i| layout.channels(i)).collect();
    let first = widths[..input].iter().sum();
    Group::below(layout, concat, first, widths[input])
}

fn input_of(choice: Choice) -> usize {
    match choice {
        Choice::Cut { input } => input,
        other => panic!("`{other}` is no choice of drop-skip"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rand::SeedableRng;

    use super::*;
    use crate::graph::Activation;
    use crate::graph::Conv;
    use crate::graph::Linear;
    use crate::graph::Observed;
    use crate::graph::Params;
    use crate::graph::Tensor;

    /// Weight of the convolution in front of a gate of constant 1/4, after the gate was dropped;
    /// it was 1.
    fn weight_without_gate(read_elsewhere: bool) -> f32 {
        let mut graph = Graph::new([1, 2, 2]);
        let conv = graph.push(Op::Conv(Conv::same(1, 1)), &[graph.input()]);
        let relu = graph.push(Op::Activation(Activation::Relu), &[conv]);
        let pool = graph.push(Op::GlobalAveragePool, &[relu]);
        let gate = graph.push(Op::Activation(Activation::Sigmoid), &[pool]);
        let mut last = graph.push(Op::Mul, &[relu, gate]);
        let product = last;
        if read_elsewhere {
            last = graph.push(Op::Add, &[last, relu]);
        }
        let flat = graph.push(Op::Flatten, &[last]);
        let linear = graph.push(Op::Linear(Linear { features: 2, bias: false }), &[flat]);
        let conv_params = fresh::conv(Tensor::full(&[1, 1, 1, 1], 1.0));
        let linear_params = Params::Linear { weight: Tensor::full(&[2, 4], 1.0), bias: None };
        let weights = [(conv, Arc::new(conv_params)), (linear, Arc::new(linear_params))];
        let parent = Network { graph, weights: weights.into() };

        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let applied = DropNode.apply(&parent.graph, product, &mut rng).unwrap();
        let values = Tensor::full(&[1, 1, 1, 1], 0.25);
        let seen = Observed { mean: vec![0.25], variance: vec![0.0], values };
        let seen = Activations { nodes: [(gate, seen)].into() };
        let child = DropNode.initialise(&parent, &applied, &seen, &mut rng).unwrap();
        assert!(child.graph.node(pool).is_none());
        child.params(conv).tensors()[0].1.data[0]
    }

    #[test]
    fn what_stands_before_a_dropped_gate_takes_its_mean() {
        assert_eq!(weight_without_gate(false), 0.25);
    }

    #[test]
    fn a_value_that_others_read_too_is_not_scaled_for_a_dropped_gate() {
        assert_eq!(weight_without_gate(true), 1.0);
    }
}
