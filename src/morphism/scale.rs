//! Where a factor of each channel can be absorbed.
use crate::graph::Activation;
use crate::graph::Network;
use crate::graph::NodeId;
use crate::graph::Op;
use crate::graph::Params;

use super::Layout;
use super::remap::scale_rows;

/// The batch normalisation or convolution whose scale is the scale of `site`: between them are
/// only operations that keep a positive factor, and nobody else reads along the way. Who reads
/// `site` is not looked at.
pub(super) fn source(layout: &Layout, site: NodeId) -> Option<NodeId> {
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

/// Multiplies each output channel of a batch normalisation or convolution by its factor.
pub(super) fn multiply(network: &mut Network, id: NodeId, factors: &[f32]) {
    match network.params_mut(id) {
        Params::BatchNorm { gamma, beta, .. } => {
            [gamma, beta].into_iter().for_each(|tensor| scale_rows(tensor, factors));
        }
        Params::Conv { weight, bias } => {
            [weight].into_iter().chain(bias).for_each(|tensor| scale_rows(tensor, factors));
        }
        Params::Normalize { .. } | Params::Linear { .. } => {
            panic!("only a batch normalisation or convolution is a source of scale")
        }
    }
}
