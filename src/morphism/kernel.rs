//! Kernels one ring wider or narrower.
use rand_chacha::ChaCha8Rng;

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
use super::repair;

/// Largest kernel that is made.
const MAX_KERNEL: usize = 7;

/// Puts a ring of zeros around a kernel and as much padding around its image.
///
/// The new taps multiply by 0, the old ones meet the pixels they met. Costs
/// `((k + 2)² - k²)·C_in/groups·C_out·H·W` additional multiply-accumulates.
pub struct WiderKernel;

/// Takes the outer ring of a kernel and of its padding away.
///
/// The taps that remain are refitted to the old outputs by least squares.
pub struct ShrinkKernel;

impl Morphism for WiderKernel {
    fn name(&self) -> &'static str {
        "wider-kernel"
    }

    fn exactness(&self) -> Exactness {
        Exactness::Exact
    }

    fn summary(&self) -> &'static str {
        "puts a ring of zeros around a convolution's kernel"
    }

    fn choices(&self, layout: &Layout, site: NodeId) -> Result<Vec<Choice>, &'static str> {
        layout.may_grow()?;
        let conv = convolution(layout, site)?;
        let input = layout.first_input(site).map_or([1; 2], |i| layout.shape(i).size());
        let wider = ring(conv, true);
        if wider.kernel.iter().any(|&k| k > MAX_KERNEL) {
            return Err("its kernel is as large as it may become");
        }
        if (0..2).all(|d| conv.dilation[d] * (conv.kernel[d] / 2 + 1) >= input[d]) {
            return Err("the new taps would only meet padding");
        }
        Ok(vec![Choice::Kernel { from: conv.kernel, to: wider.kernel }])
    }

    fn edit(&self, layout: &Layout, site: NodeId, _: Choice) -> Graph {
        ringed(layout, site, true)
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
        let mut child = fresh::inherit(parent, &applied.graph);
        if let Params::Conv { weight, .. } = child.params_mut(applied.step.site) {
            *weight = padded(weight);
        }
        Ok(child)
    }
}

impl Morphism for ShrinkKernel {
    fn name(&self) -> &'static str {
        "shrink-kernel"
    }

    fn exactness(&self) -> Exactness {
        Exactness::Approximate
    }

    fn summary(&self) -> &'static str {
        "takes the outer ring of a convolution's kernel away"
    }

    fn choices(&self, layout: &Layout, site: NodeId) -> Result<Vec<Choice>, &'static str> {
        let conv = convolution(layout, site)?;
        if (0..2).any(|d| conv.kernel[d] < 3 || conv.padding[d] < conv.dilation[d]) {
            return Err("its kernel and padding have no ring to spare");
        }
        Ok(vec![Choice::Kernel { from: conv.kernel, to: ring(conv, false).kernel }])
    }

    fn edit(&self, layout: &Layout, site: NodeId, _: Choice) -> Graph {
        ringed(layout, site, false)
    }

    fn observes(&self, parent: &Graph, applied: &Applied) -> Vec<NodeId> {
        parent.node(applied.step.site).map_or(Vec::new(), |n| n.inputs.clone())
    }

    fn initialise(
        &self,
        parent: &Network,
        applied: &Applied,
        activations: &Activations,
        rng: &mut ChaCha8Rng,
    ) -> Result<Network, MorphismError> {
        let site = applied.step.site;
        let input = self.observes(&parent.graph, applied)[0];
        let seen = fresh::observed(activations, self.name(), input)?;
        let mut child = fresh::inherit(parent, &applied.graph);
        let Params::Conv { weight, .. } = child.params_mut(site) else {
            panic!("G6: a convolution has a kernel")
        };
        let whole = weight.clone();
        let inner = inner_taps(&whole);
        *weight = cropped(&whole, &inner);
        let op = parent.graph.op(site);
        if matches!(op, Op::Conv(conv) if conv.groups == 1) {
            repair::refit(&mut child, site, op, &whole, &inner, &seen.values, rng);
        }
        Ok(child)
    }
}

fn convolution<'a>(layout: &Layout<'a>, site: NodeId) -> Result<&'a Conv, &'static str> {
    let Op::Conv(conv) = layout.op(site) else { return Err("it is not a convolution") };
    Ok(conv)
}

/// `conv` with a ring more, or less.
fn ring(conv: &Conv, more: bool) -> Conv {
    let moved = |n: usize, by: usize| if more { n + by } else { n - by };
    Conv {
        kernel: conv.kernel.map(|k| moved(k, 2)),
        padding: [0, 1].map(|d| moved(conv.padding[d], conv.dilation[d])),
        ..*conv
    }
}

fn ringed(layout: &Layout, site: NodeId, more: bool) -> Graph {
    let mut graph = layout.graph().clone();
    let conv = convolution(layout, site).expect("a choice exists only at a site");
    graph.set_op(site, Op::Conv(ring(conv, more)));
    graph
}

/// `[.., h, w]` to `[.., h + 2, w + 2]` with zeros around.
fn padded(weight: &Tensor) -> Tensor {
    let [rows, columns, h, w] = weight.shape[..].try_into().expect("G6: a kernel has 4 sizes");
    let mut wide = Tensor::zeros(&[rows, columns, h + 2, w + 2]);
    for (i, &value) in weight.data.iter().enumerate() {
        let (plane, y, x) = (i / (h * w), i / w % h, i % w);
        wide.data[(plane * (h + 2) + y + 1) * (w + 2) + x + 1] = value;
    }
    wide
}

/// Positions within one output's weights `[C_in / groups, h, w]` that are not on the outer ring.
fn inner_taps(weight: &Tensor) -> Vec<usize> {
    let [_, columns, h, w] = weight.shape[..].try_into().expect("G6: a kernel has 4 sizes");
    let inside = |&i: &usize| {
        let (y, x) = (i / w % h, i % w);
        y > 0 && y < h - 1 && x > 0 && x < w - 1
    };
    (0..columns * h * w).filter(inside).collect()
}

fn cropped(weight: &Tensor, inner: &[usize]) -> Tensor {
    let [rows, columns, h, w] = weight.shape[..].try_into().expect("G6: a kernel has 4 sizes");
    let row = |r: usize| inner.iter().map(move |&i| weight.data[r * columns * h * w + i]);
    Tensor::new(&[rows, columns, h - 2, w - 2], (0..rows).flat_map(row).collect())
}
