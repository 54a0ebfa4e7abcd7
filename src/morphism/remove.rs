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
use super::slice::Slice;

/// Removes a convolution with the batch normalisation and activation behind it, where input and
/// output have the same shape, or the gate of a squeeze-and-excitation.
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

    fn observes(&self, _: &Graph, _: &Applied) -> Vec<NodeId> {
        Vec::new()
    }

    fn initialise(
        &self,
        parent: &Network,
        applied: &Applied,
        _: &Activations,
        _: &mut ChaCha8Rng,
    ) -> Result<Network, MorphismError> {
        Ok(fresh::inherit(parent, &applied.graph))
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
        match layout.op(site) {
            Op::Add => Ok(inputs.map(|input| Choice::Cut { input }).collect()),
            Op::Concat => {
                let alone = |&input: &usize| below(layout, site, input).is_ok();
                Ok(inputs.filter(alone).map(|input| Choice::Cut { input }).collect())
            }
            _ => Err("it is neither an addition nor a concatenation"),
        }
    }

    fn edit(&self, layout: &Layout, site: NodeId, choice: Choice) -> Graph {
        let input = input_of(choice);
        let mut graph = match layout.op(site) {
            Op::Concat => {
                let group = below(layout, site, input).expect("a choice exists only at a site");
                group.resize(layout.graph(), 0)
            }
            _ => layout.graph().clone(),
        };
        let mut rest = layout.node(site).inputs.clone();
        rest.remove(input);
        match rest[..] {
            [only] => graph.bypass(site, only),
            _ => {
                graph.set_inputs(site, &rest);
                graph.remove_unused();
            }
        }
        graph
    }

    fn observes(&self, parent: &Graph, applied: &Applied) -> Vec<NodeId> {
        let layout = Layout::new(parent);
        let (site, input) = (applied.step.site, input_of(applied.step.edit));
        match layout.op(site) {
            Op::Concat => below(&layout, site, input).map_or(Vec::new(), |g| g.read(&layout)),
            _ => Vec::new(),
        }
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
    match layout.op(site) {
        Op::Mul => Ok((input, site)),
        Op::Conv(_) => {
            let norm = follower(layout, site, |op| matches!(op, Op::BatchNorm { .. }));
            let last = follower(layout, norm, |op| matches!(op, Op::Activation(_)));
            Ok((input, last))
        }
        _ => Err("it is neither a convolution nor a gate"),
    }
}

/// The only user of `id` if it is of that kind, else `id` itself.
fn follower(layout: &Layout, id: NodeId, kind: impl Fn(&Op) -> bool) -> NodeId {
    layout.only_user(id).filter(|&user| kind(layout.op(user))).unwrap_or(id)
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
