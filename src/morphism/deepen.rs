//! Deeper: a block that computes the identity.
use rand_chacha::ChaCha8Rng;

use crate::graph::Activation;
use crate::graph::Activations;
use crate::graph::Conv;
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
use super::layout::MAX_CHANNELS;

/// Inserts convolution, batch normalisation and ReLU behind a node of non-negative values.
///
/// The kernel is the identity (1 at the centre of each channel's own filter), the batch
/// normalisation is calibrated to undo itself (`gamma = sqrt(v + epsilon)`, `beta = m` with the
/// observed mean and variance as its statistics), and `relu(x) = x` since `x >= 0`. Because the
/// statistics are those of the data, training mode starts near the parent too.
///
/// Costs `C·C·k²·H·W` additional multiply-accumulates.
///
/// # Source
///
/// "Net2DeeperNet" in Chen, Goodfellow, Shlens, *Net2Net*, ICLR 2016; used as an operator in
/// Elsken, Metzen, Hutter, *LEMONADE*, ICLR 2019.
pub struct Deepen;

/// As [`Deepen`], with a depthwise convolution followed by a 1×1 convolution, both the identity.
///
/// Costs `C·k²·H·W + C·C·H·W` additional multiply-accumulates.
pub struct DeepenSeparable;

impl Morphism for Deepen {
    fn name(&self) -> &'static str {
        "deepen"
    }

    fn exactness(&self) -> Exactness {
        Exactness::Exact
    }

    fn summary(&self) -> &'static str {
        "inserts a convolution, batch normalisation and ReLU that compute the identity"
    }

    fn choices(&self, layout: &Layout, site: NodeId) -> Result<Vec<Choice>, &'static str> {
        kernels(layout, site, &[1, 3])
    }

    fn edit(&self, layout: &Layout, site: NodeId, choice: Choice) -> Graph {
        let conv = Op::Conv(Conv::same(layout.channels(site), kernel_of(choice)));
        insert_block(layout, site, vec![conv])
    }

    fn observes(&self, _: &Graph, applied: &Applied) -> Vec<NodeId> {
        vec![applied.step.site]
    }

    fn initialise(
        &self,
        parent: &Network,
        applied: &Applied,
        activations: &Activations,
        _: &mut ChaCha8Rng,
    ) -> Result<Network, MorphismError> {
        identity_block(self.name(), parent, applied, activations)
    }
}

impl Morphism for DeepenSeparable {
    fn name(&self) -> &'static str {
        "deepen-separable"
    }

    fn exactness(&self) -> Exactness {
        Exactness::Exact
    }

    fn summary(&self) -> &'static str {
        "inserts a depthwise and a 1×1 convolution, batch normalisation and ReLU that compute the identity"
    }

    fn choices(&self, layout: &Layout, site: NodeId) -> Result<Vec<Choice>, &'static str> {
        match layout.channels(site) {
            1 => Err("one channel has nothing to separate"),
            _ => kernels(layout, site, &[3, 5]),
        }
    }

    fn edit(&self, layout: &Layout, site: NodeId, choice: Choice) -> Graph {
        let channels = layout.channels(site);
        let depthwise = Op::Conv(Conv::depthwise(channels, kernel_of(choice)));
        insert_block(layout, site, vec![depthwise, Op::Conv(Conv::same(channels, 1))])
    }

    fn observes(&self, _: &Graph, applied: &Applied) -> Vec<NodeId> {
        vec![applied.step.site]
    }

    fn initialise(
        &self,
        parent: &Network,
        applied: &Applied,
        activations: &Activations,
        _: &mut ChaCha8Rng,
    ) -> Result<Network, MorphismError> {
        identity_block(self.name(), parent, applied, activations)
    }
}

/// Those of the kernels whose outer taps meet the image at all.
fn kernels(layout: &Layout, site: NodeId, sides: &[usize]) -> Result<Vec<Choice>, &'static str> {
    layout.may_grow()?;
    let [channels, height, width] = layout.image(site)?;
    if !layout.ends_block(site) || !layout.non_negative(site) {
        return Err("a ReLU behind it would cut negative values off");
    }
    if layout.gates(site) {
        return Err("it is part of a gate");
    }
    if channels > MAX_CHANNELS {
        return Err("it has too many channels");
    }
    let reaches = |side: &&usize| **side / 2 < height.max(width);
    Ok(sides.iter().filter(reaches).map(|&kernel| Choice::Insert { kernel }).collect())
}

fn kernel_of(choice: Choice) -> usize {
    match choice {
        Choice::Insert { kernel } => kernel,
        other => panic!("`{other}` is no choice of deepen"),
    }
}

fn insert_block(layout: &Layout, site: NodeId, convolutions: Vec<Op>) -> Graph {
    let mut graph = layout.graph().clone();
    let rest = [fresh::batch_norm(), Op::Activation(Activation::Relu)];
    graph.insert_after(site, convolutions.into_iter().chain(rest).collect());
    graph
}

/// The child of `parent` whose added nodes compute the identity.
fn identity_block(
    morphism: &'static str,
    parent: &Network,
    applied: &Applied,
    activations: &Activations,
) -> Result<Network, MorphismError> {
    let seen = fresh::observed(activations, morphism, applied.step.site)?;
    let mut child = fresh::inherit(parent, &applied.graph);
    for id in fresh::added(&parent.graph, &applied.graph) {
        if let Op::Conv(conv) = applied.graph.op(id) {
            let weight = fresh::identity(conv.channels, conv.kernel[0], conv.groups > 1);
            fresh::set(&mut child, id, fresh::conv(weight));
        }
        if let Op::BatchNorm { .. } = applied.graph.op(id) {
            fresh::set(&mut child, id, fresh::calibrated_norm(seen));
        }
    }
    Ok(child)
}
