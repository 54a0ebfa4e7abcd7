//! The copy of a network that is exported: nothing in it is only for training.
use std::sync::Arc;

use crate::graph::Network;
use crate::graph::NodeId;
use crate::graph::Op;
use crate::graph::Params;
use crate::graph::Tensor;

/// `network` without dropout, and with each batch normalisation folded into the convolution
/// before it where nothing else reads that convolution.
///
/// Computes what `network` computes in evaluation mode, up to rounding: with
/// `s = gamma / sqrt(variance + epsilon)`, `s (W x + b - mean) + beta = (s W) x + s (b - mean) + beta`.
/// The convolution keeps its id. A fold that would leave the range of `f32` is not made.
///
/// # Panics
///
/// If the network is not valid ([`crate::graph::check_network`]).
pub fn fold(network: &Network) -> Network {
    let mut folded = network.clone();
    for node in network.graph.nodes() {
        match node.op {
            Op::Dropout { .. } => {
                let source = source_of(&folded, node.id);
                folded.graph.bypass(node.id, source);
            }
            Op::BatchNorm { epsilon } => fold_batch_norm(&mut folded, node.id, epsilon),
            Op::Input { .. }
            | Op::Normalize
            | Op::Conv(_)
            | Op::Activation(_)
            | Op::Add
            | Op::Mul
            | Op::Concat
            | Op::MaxPool(_)
            | Op::AvgPool(_)
            | Op::GlobalAveragePool
            | Op::Flatten
            | Op::Linear(_)
            | Op::Resize(_) => {}
        }
    }
    folded
}

fn source_of(network: &Network, id: NodeId) -> NodeId {
    network.graph.node(id).expect("G2: ids stay").inputs[0]
}

fn fold_batch_norm(network: &mut Network, norm: NodeId, epsilon: f32) {
    let source = source_of(network, norm);
    let Op::Conv(mut conv) = *network.graph.op(source) else { return };
    let only_user = network.graph.users(source) == [norm];
    let folded = folded_conv(network.params(source), network.params(norm), epsilon);
    let Some(params) = folded.filter(|_| only_user) else { return };
    conv.bias = true;
    network.graph.set_op(source, Op::Conv(conv));
    network.graph.bypass(norm, source);
    network.weights.insert(source, Arc::new(params));
    network.weights.remove(&norm);
}

/// `None` if a value would not be finite.
fn folded_conv(conv: &Params, norm: &Params, epsilon: f32) -> Option<Params> {
    let Params::Conv { weight, bias } = conv else { panic!("G6: a convolution has its own") };
    let Params::BatchNorm { gamma, beta, mean, variance } = norm else {
        panic!("G6: a batch normalisation has its own")
    };
    let mut scaled = weight.clone();
    let mut shift = beta.clone();
    let per_channel = weight.data.len() / beta.data.len();
    for (o, filter) in scaled.data.chunks_mut(per_channel).enumerate() {
        let deviation = (f64::from(variance.data[o]) + f64::from(epsilon)).sqrt();
        let scale = f64::from(gamma.data[o]) / deviation;
        filter.iter_mut().for_each(|w| *w = (f64::from(*w) * scale) as f32);
        let before = bias.as_ref().map_or(0.0, |b| f64::from(b.data[o]));
        let centred = before - f64::from(mean.data[o]);
        shift.data[o] = (centred * scale + f64::from(beta.data[o])) as f32;
    }
    let finite = |t: &Tensor| t.data.iter().all(|x| x.is_finite());
    (finite(&scaled) && finite(&shift))
        .then_some(Params::Conv { weight: scaled, bias: Some(shift) })
}
