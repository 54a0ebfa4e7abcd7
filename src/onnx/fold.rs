//! The copy of a network that is exported: nothing in it is only for training.
use std::collections::BTreeMap;
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
    let dropouts = folded.graph.nodes().iter().filter(|n| matches!(n.op, Op::Dropout { .. }));
    let dropouts = dropouts.map(|n| (n.id, n.inputs[0])).collect();
    folded.graph.bypass_all(&dropouts);
    let mut norms = BTreeMap::new();
    for node in folded.graph.nodes().to_vec() {
        if let Op::BatchNorm { epsilon } = node.op {
            let source = node.inputs[0];
            let conv = norms.get(&source).copied().unwrap_or(source);
            let alone = folded.graph.users(source).len() == 1;
            if alone && fold_batch_norm(&mut folded, conv, node.id, epsilon) {
                norms.insert(node.id, conv);
            }
        }
    }
    folded.graph.bypass_all(&norms);
    folded
}

/// Was `norm` folded into `source`?
fn fold_batch_norm(network: &mut Network, source: NodeId, norm: NodeId, epsilon: f32) -> bool {
    let Op::Conv(mut conv) = *network.graph.op(source) else { return false };
    let folded = folded_conv(network.params(source), network.params(norm), epsilon);
    let Some(params) = folded else { return false };
    conv.bias = true;
    network.graph.set_op(source, Op::Conv(conv));
    network.weights.insert(source, Arc::new(params));
    network.weights.remove(&norm);
    true
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
