//! Squeeze-and-excitation.
use rand_chacha::ChaCha8Rng;

use crate::graph::Activation;
use crate::graph::Activations;
use crate::graph::Conv;
use crate::graph::Graph;
use crate::graph::Network;
use crate::graph::NodeId;
use crate::graph::Op;
use crate::graph::Params;
use crate::graph::Tensor;

use super::Applied;
use super::Choice;
use super::Exactness;
use super::Layout;
use super::Morphism;
use super::MorphismError;
use super::fresh;
use super::layout::MAX_CHANNELS;

/// Inserts squeeze-and-excitation: each channel is multiplied by a gate in 0..1 that is computed
/// from the means of all channels.
///
/// The last convolution of the gate is 0, so every gate is `sigmoid(0) = 1/2`, in the middle of
/// its range where its slope is largest. What is gated is doubled in the batch normalisation or
/// convolution that makes it: `relu(2x) = 2·relu(x)`, and poolings keep the factor as well.
/// Both factors are powers of two, so the child computes the same bits, in evaluation and in
/// training.
///
/// # Source
///
/// Hu, Shen, Sun, *Squeeze-and-Excitation Networks*, CVPR 2018.
pub struct Excite;

impl Morphism for Excite {
    fn name(&self) -> &'static str {
        "excite"
    }

    fn exactness(&self) -> Exactness {
        Exactness::Exact
    }

    fn summary(&self) -> &'static str {
        "inserts squeeze-and-excitation: gates that start half open, before them all is doubled"
    }

    fn choices(&self, layout: &Layout, site: NodeId) -> Result<Vec<Choice>, &'static str> {
        layout.may_grow()?;
        let [channels, height, width] = layout.image(site)?;
        if height.max(width) == 1 || channels > MAX_CHANNELS {
            return Err("there is nothing to squeeze");
        }
        if !gateable(layout, site) {
            return Err("it stands inside a block");
        }
        source_of_scale(layout, site).ok_or("nothing before it can be doubled")?;
        Ok(vec![Choice::Excite { hidden: (channels / 4).max(4) }])
    }

    fn edit(&self, layout: &Layout, site: NodeId, choice: Choice) -> Graph {
        let Choice::Excite { hidden } = choice else { panic!("`{choice}` is no choice of excite") };
        let pointwise = |channels| Op::Conv(Conv { bias: true, ..Conv::same(channels, 1) });
        let mut graph = layout.graph().clone();
        let users = graph.users(site);
        let mut gate = site;
        for op in [
            Op::GlobalAveragePool,
            pointwise(hidden),
            Op::Activation(Activation::Relu),
            pointwise(layout.channels(site)),
            Op::Activation(Activation::Sigmoid),
        ] {
            gate = graph.insert(op, &[gate]);
        }
        let product = graph.insert(Op::Mul, &[site, gate]);
        users.into_iter().for_each(|user| graph.rewire(user, site, product));
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
        rng: &mut ChaCha8Rng,
    ) -> Result<Network, MorphismError> {
        let layout = Layout::new(&parent.graph);
        let mut child = fresh::inherit(parent, &applied.graph);
        let source = source_of_scale(&layout, applied.step.site);
        double(&mut child, source.expect("a step is recorded at a site"));
        let channels = layout.channels(applied.step.site);
        let Choice::Excite { hidden } = applied.step.edit else {
            panic!("`{}` is no choice of excite", applied.step.edit)
        };
        let new = fresh::added(&parent.graph, &applied.graph);
        let squeeze = fresh::he(&[hidden, channels, 1, 1], rng);
        let excite = Tensor::zeros(&[channels, hidden, 1, 1]);
        for (id, weight) in [(new[1], squeeze), (new[3], excite)] {
            let bias = Some(Tensor::zeros(&[weight.shape[0]]));
            fresh::set(&mut child, id, Params::Conv { weight, bias });
        }
        Ok(child)
    }
}

/// Is it the end of a block, or of a branch that is added to another?
fn gateable(layout: &Layout, site: NodeId) -> bool {
    let added = layout.only_user(site).is_some_and(|user| *layout.op(user) == Op::Add);
    layout.ends_block(site) || added
}

/// The batch normalisation or convolution whose scale is the scale of `site`: between them are
/// only operations that keep a positive factor, and nobody else reads along the way.
fn source_of_scale(layout: &Layout, site: NodeId) -> Option<NodeId> {
    let mut at = site;
    loop {
        match layout.op(at) {
            Op::BatchNorm { .. } | Op::Conv(_) => return Some(at),
            Op::Activation(Activation::Relu)
            | Op::MaxPool(_)
            | Op::AvgPool(_)
            | Op::Dropout { .. }
            | Op::Resize(_) => {
                at = layout.first_input(at)?;
                layout.only_user(at)?;
            }
            Op::Input { .. }
            | Op::Normalize
            | Op::Activation(
                Activation::Relu6 | Activation::HardSwish | Activation::Silu | Activation::Sigmoid,
            )
            | Op::Add
            | Op::Mul
            | Op::Concat
            | Op::GlobalAveragePool
            | Op::Flatten
            | Op::Linear(_) => return None,
        }
    }
}

/// Doubles what a batch normalisation or convolution gives.
fn double(network: &mut Network, id: NodeId) {
    let twice = |tensor: &mut Tensor| tensor.data.iter_mut().for_each(|x| *x *= 2.0);
    match network.params_mut(id) {
        Params::BatchNorm { gamma, beta, .. } => [gamma, beta].into_iter().for_each(twice),
        Params::Conv { weight, bias } => [weight].into_iter().chain(bias).for_each(twice),
        Params::Normalize { .. } | Params::Linear { .. } => {
            panic!("only a batch normalisation or convolution is a source of scale")
        }
    }
}
