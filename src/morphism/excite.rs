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
use super::scale;

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
        scale::source(layout, site).ok_or("nothing before it can be doubled")?;
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
        let channels = layout.channels(applied.step.site);
        let source = scale::source(&layout, applied.step.site);
        let source = source.expect("a step is recorded at a site");
        scale::multiply(&mut child, source, &vec![2.0; channels]);
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
