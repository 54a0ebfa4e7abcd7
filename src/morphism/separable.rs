//! A dense convolution as a depthwise and a 1×1 convolution.
use nalgebra::DMatrix;
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

/// Replaces a dense convolution by a depthwise one with its kernel, stride and padding, followed
/// by a 1×1 convolution, which keeps the name.
///
/// For each input channel the best rank-1 factors of its `[C_out, k²]` kernels become depthwise
/// kernel and 1×1 column; the 1×1 convolution is then refitted to the old outputs.
/// Saves `C_in·C_out·(k² - 1) - C_in·k²` weights.
pub struct Separable;

impl Morphism for Separable {
    fn name(&self) -> &'static str {
        "separable"
    }

    fn exactness(&self) -> Exactness {
        Exactness::Approximate
    }

    fn summary(&self) -> &'static str {
        "replaces a dense convolution by a depthwise and a 1×1 convolution"
    }

    fn choices(&self, layout: &Layout, site: NodeId) -> Result<Vec<Choice>, &'static str> {
        let Op::Conv(conv) = layout.op(site) else { return Err("it is not a convolution") };
        let input = layout.first_input(site).map_or(0, |i| layout.channels(i));
        match conv.groups == 1 && conv.kernel != [1; 2] && input > 1 {
            true => Ok(vec![Choice::Whole]),
            false => Err("there is nothing to separate"),
        }
    }

    fn edit(&self, layout: &Layout, site: NodeId, _: Choice) -> Graph {
        let Op::Conv(conv) = *layout.op(site) else { panic!("a choice exists only at a site") };
        let input = layout.first_input(site).expect("G3: a convolution reads one image");
        let groups = layout.channels(input);
        let mut graph = layout.graph().clone();
        let depthwise = Conv { channels: groups, groups, bias: false, ..conv };
        let depthwise = graph.insert(Op::Conv(depthwise), &[input]);
        graph.set_op(site, Op::Conv(Conv { bias: conv.bias, ..Conv::same(conv.channels, 1) }));
        graph.rewire(site, input, depthwise);
        graph
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
        let dense = weight.clone();
        let (depthwise, pointwise) = factors(&dense);
        *weight = pointwise;
        let new = fresh::added(&parent.graph, &applied.graph)[0];
        fresh::set(&mut child, new, fresh::conv(depthwise.clone()));

        let read = repair::patches(&seen.values, parent.graph.op(site), rng);
        let inputs = filtered(&read, &depthwise);
        let before = &read * repair::matrix(&dense).transpose();
        let now = &inputs * repair::matrix(super::channels::weight_of(&child, site)).transpose();
        let fit = repair::ridge(&inputs, &(before - now), repair::has_bias(&child, site));
        repair::mend(&mut child, site, &fit);
        Ok(child)
    }
}

/// Depthwise `[C_in, 1, k_h, k_w]` and pointwise `[C_out, C_in, 1, 1]` kernels whose product is
/// nearest to the dense kernel in each input channel.
fn factors(dense: &Tensor) -> (Tensor, Tensor) {
    let [rows, columns, h, w] = dense.shape[..].try_into().expect("G6: a kernel has 4 sizes");
    let mut depthwise = Tensor::zeros(&[columns, 1, h, w]);
    let mut pointwise = Tensor::zeros(&[rows, columns, 1, 1]);
    for column in 0..columns {
        let own = DMatrix::from_fn(rows, h * w, |r, tap| {
            f64::from(dense.data[(r * columns + column) * h * w + tap])
        });
        let direction = first_direction(&own);
        let strength = &own * &direction;
        (0..h * w).for_each(|tap| depthwise.data[column * h * w + tap] = direction[tap] as f32);
        (0..rows).for_each(|r| pointwise.data[r * columns + column] = strength[r] as f32);
    }
    (depthwise, pointwise)
}

/// The first right singular vector of `matrix`: the direction in which its rows lie most.
fn first_direction(matrix: &DMatrix<f64>) -> nalgebra::DVector<f64> {
    let eigen = matrix.tr_mul(matrix).symmetric_eigen();
    let (largest, _) = eigen.eigenvalues.argmax();
    eigen.eigenvectors.column(largest).into_owned()
}

/// What the depthwise convolution makes of the patches that the dense one read.
fn filtered(patches: &DMatrix<f64>, depthwise: &Tensor) -> DMatrix<f64> {
    let columns = depthwise.shape[0];
    let taps = depthwise.data.len() / columns;
    DMatrix::from_fn(patches.nrows(), columns, |r, c| {
        (0..taps)
            .map(|tap| patches[(r, c * taps + tap)] * f64::from(depthwise.data[c * taps + tap]))
            .sum()
    })
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn kernels_that_are_separable_are_separated_without_loss() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let (rows, columns, taps) = (5, 3, 6);
        let depthwise = fresh::he(&[columns, 1, 2, 3], &mut rng);
        let pointwise = fresh::he(&[rows, columns, 1, 1], &mut rng);
        let product = |depthwise: &Tensor, pointwise: &Tensor| {
            let at = |i: usize| {
                let (r, c, tap) = (i / taps / columns, i / taps % columns, i % taps);
                pointwise.data[r * columns + c] * depthwise.data[c * taps + tap]
            };
            Tensor::new(&[rows, columns, 2, 3], (0..rows * columns * taps).map(at).collect())
        };
        let dense = product(&depthwise, &pointwise);
        let (found_depthwise, found_pointwise) = factors(&dense);
        let found = product(&found_depthwise, &found_pointwise);
        for (a, b) in dense.data.iter().zip(&found.data) {
            assert!((a - b).abs() < 1e-6, "{a} and {b}");
        }
    }
}
