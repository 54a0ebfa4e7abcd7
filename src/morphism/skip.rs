//! Shortcuts: a node's value reaches a later block as well.
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
use super::layout::MAX_GROWING_VALUES;

/// Adds a branch from the end of a block to a later node.
///
/// The branch ends in a batch normalisation with `gamma = beta = 0`, so it adds 0, in evaluation
/// and in training, and gamma has a gradient. Before it stands a convolution, or nothing where
/// the channels agree. It ends in front of an activation, as in a residual network; or at the
/// site itself, with a ReLU behind (the site's values are not negative): a new residual block.
pub struct AddSkip;

/// Lets a later convolution read the end of a block as well.
///
/// Its kernels get zeros for the new channels; these have a gradient.
pub struct ConcatSkip;

impl Morphism for AddSkip {
    fn name(&self) -> &'static str {
        "add-skip"
    }

    fn exactness(&self) -> Exactness {
        Exactness::Exact
    }

    fn summary(&self) -> &'static str {
        "adds a branch that ends in a silent batch normalisation to a later node"
    }

    fn choices(&self, layout: &Layout, site: NodeId) -> Result<Vec<Choice>, &'static str> {
        let [channels, height, width] = start(layout, site)?;
        let mut choices = Vec::new();
        if layout.non_negative(site) && height.max(width) > 1 {
            choices.push(Choice::Branch { to: site, kernel: Some(3) });
        }
        for to in later(layout, site).filter(|&to| awaits_activation(layout, to)) {
            let Ok([wide, h, w]) = layout.image(to) else { continue };
            if [h, w] != [height, width] || wide > MAX_CHANNELS {
                continue;
            }
            choices.push(Choice::Branch { to, kernel: Some(1) });
            if wide == channels {
                choices.push(Choice::Branch { to, kernel: None });
            }
        }
        Ok(choices)
    }

    fn edit(&self, layout: &Layout, site: NodeId, choice: Choice) -> Graph {
        let Choice::Branch { to, kernel } = choice else {
            panic!("`{choice}` is no choice of add-skip")
        };
        let mut graph = layout.graph().clone();
        let users = graph.users(to);
        let mut branch = site;
        if let Some(kernel) = kernel {
            branch = graph.insert(Op::Conv(Conv::same(layout.channels(to), kernel)), &[branch]);
        }
        branch = graph.insert(fresh::batch_norm(), &[branch]);
        let mut sum = graph.insert(Op::Add, &[to, branch]);
        if to == site {
            sum = graph.insert(Op::Activation(Activation::Relu), &[sum]);
        }
        users.into_iter().for_each(|user| graph.rewire(user, to, sum));
        graph
    }

    fn observes(&self, _: &Graph, applied: &Applied) -> Vec<NodeId> {
        vec![applied.step.site]
    }

    fn initialise(
        &self,
        parent: &Network,
        applied: &Applied,
        activations: &Activations,
        rng: &mut ChaCha8Rng,
    ) -> Result<Network, MorphismError> {
        let seen = fresh::observed(activations, self.name(), applied.step.site)?;
        let mut child = fresh::inherit(parent, &applied.graph);
        let (mut mean, mut variance) = (seen.mean.clone(), seen.variance.clone());
        for id in fresh::added(&parent.graph, &applied.graph) {
            if let Op::Conv(conv) = applied.graph.op(id) {
                let [k_h, k_w] = conv.kernel;
                let weight = fresh::he(&[conv.channels, mean.len(), k_h, k_w], rng);
                (mean, variance) = fresh::moments(&weight, conv, &seen.values, rng);
                fresh::set(&mut child, id, fresh::conv(weight));
            }
            if let Op::BatchNorm { .. } = applied.graph.op(id) {
                fresh::set(&mut child, id, fresh::silent_norm(mean.clone(), variance.clone()));
            }
        }
        Ok(child)
    }
}

impl Morphism for ConcatSkip {
    fn name(&self) -> &'static str {
        "concat-skip"
    }

    fn exactness(&self) -> Exactness {
        Exactness::Exact
    }

    fn summary(&self) -> &'static str {
        "lets a later convolution read a node as well, with weights of 0"
    }

    fn choices(&self, layout: &Layout, site: NodeId) -> Result<Vec<Choice>, &'static str> {
        let [channels, height, width] = start(layout, site)?;
        let reads = |&to: &NodeId| {
            let Op::Conv(conv) = layout.op(to) else { return false };
            let input = layout.first_input(to).expect("G3: a convolution reads one image");
            let [own, h, w] = layout.image(input).expect("G3: a convolution reads one image");
            let taps = conv.kernel[0] * conv.kernel[1];
            conv.groups == 1
                && input != site
                && [h, w] == [height, width]
                && sources(layout, input).iter().all(|&source| source != site)
                && own + channels <= MAX_CHANNELS
                && conv.channels * (own + channels) * taps <= MAX_GROWING_VALUES
        };
        Ok(later(layout, site).filter(reads).map(|to| Choice::Concat { to }).collect())
    }

    fn edit(&self, layout: &Layout, site: NodeId, choice: Choice) -> Graph {
        let to = reader(choice);
        let input = layout.first_input(to).expect("G3: a convolution reads one image");
        let mut graph = layout.graph().clone();
        let mut all = sources(layout, input);
        all.push(site);
        match extends(layout, input) {
            true => graph.set_inputs(input, &all),
            false => {
                let concat = graph.insert(Op::Concat, &all);
                graph.rewire(to, input, concat);
            }
        }
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
        let to = reader(applied.step.edit);
        let mut child = fresh::inherit(parent, &applied.graph);
        let channels = fresh::input_shape(&applied.graph, to).channels();
        if let Params::Conv { weight, .. } = child.params_mut(to) {
            *weight = with_zero_columns(weight, channels);
        }
        Ok(child)
    }
}

/// Shape of a node from which a shortcut may start.
fn start(layout: &Layout, site: NodeId) -> Result<[usize; 3], &'static str> {
    layout.may_grow()?;
    let shape = layout.image(site)?;
    if !layout.ends_block(site) {
        return Err("no block ends here");
    }
    if layout.gates(site) {
        return Err("it is part of a gate");
    }
    if shape[0] > MAX_CHANNELS {
        return Err("it has too many channels");
    }
    Ok(shape)
}

/// Nodes from which `site` cannot be reached, `site` itself not among them.
fn later<'a>(layout: &'a Layout, site: NodeId) -> impl Iterator<Item = NodeId> + 'a {
    let above = layout.ancestors(site);
    layout.graph().nodes().iter().map(|n| n.id).filter(move |id| !above.contains(id))
}

/// Is it a convolution, normalisation or sum that only an activation reads?
fn awaits_activation(layout: &Layout, id: NodeId) -> bool {
    let inside = matches!(layout.op(id), Op::Conv(_) | Op::BatchNorm { .. } | Op::Add);
    let user = layout.only_user(id).map(|user| layout.op(user));
    inside && matches!(user, Some(Op::Activation(_)))
}

/// May further inputs be appended to `input` instead of concatenating once more?
fn extends(layout: &Layout, input: NodeId) -> bool {
    *layout.op(input) == Op::Concat && layout.only_user(input).is_some()
}

/// What a reader of `input` reads, part by part.
fn sources(layout: &Layout, input: NodeId) -> Vec<NodeId> {
    match extends(layout, input) {
        true => layout.node(input).inputs.clone(),
        false => vec![input],
    }
}

fn reader(choice: Choice) -> NodeId {
    match choice {
        Choice::Concat { to } => to,
        other => panic!("`{other}` is no choice of concat-skip"),
    }
}

/// `[rows, c, h, w]` to `[rows, channels, h, w]`, with zeros behind.
fn with_zero_columns(weight: &Tensor, channels: usize) -> Tensor {
    let [rows, columns, h, w] = weight.shape[..].try_into().expect("G6: a kernel has 4 sizes");
    let zeros = vec![0.0; (channels - columns) * h * w];
    let wide = weight.data.chunks(columns * h * w).flat_map(|row| row.iter().chain(&zeros));
    Tensor::new(&[rows, channels, h, w], wide.copied().collect())
}
