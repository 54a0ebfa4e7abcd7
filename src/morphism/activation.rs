//! Another activation.
use rand_chacha::ChaCha8Rng;

use crate::graph::Activation;
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
use super::fresh;

/// Activations that replace one another; a sigmoid is a gate and stays.
const ALIKE: [Activation; 4] =
    [Activation::Relu, Activation::Relu6, Activation::HardSwish, Activation::Silu];

/// Replaces an activation by another of similar shape; all weights stay.
pub struct ChangeActivation;

impl Morphism for ChangeActivation {
    fn name(&self) -> &'static str {
        "change-activation"
    }

    fn exactness(&self) -> Exactness {
        Exactness::Approximate
    }

    fn summary(&self) -> &'static str {
        "replaces an activation by another of similar shape"
    }

    fn choices(&self, layout: &Layout, site: NodeId) -> Result<Vec<Choice>, &'static str> {
        let Op::Activation(from) = *layout.op(site) else { return Err("it is no activation") };
        if !ALIKE.contains(&from) {
            return Err("it is a gate");
        }
        let others = ALIKE.into_iter().filter(|&to| to != from);
        Ok(others.map(|to| Choice::Activation { from, to }).collect())
    }

    fn edit(&self, layout: &Layout, site: NodeId, choice: Choice) -> Graph {
        let Choice::Activation { to, .. } = choice else {
            panic!("`{choice}` is no choice of change-activation")
        };
        let mut graph = layout.graph().clone();
        graph.set_op(site, Op::Activation(to));
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
