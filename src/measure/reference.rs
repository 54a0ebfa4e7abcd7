//! A model that is always the same, to ask a device how it is.
use std::sync::Arc;
use std::sync::LazyLock;
use std::time::Duration;

use crate::graph::Activation;
use crate::graph::Conv;
use crate::graph::Graph;
use crate::graph::Network;
use crate::graph::Op;
use crate::graph::Params;
use crate::graph::Tensor;
use crate::onnx;

use super::plan::Level;
use super::plan::Plan;

/// Values of the image, and channels of all that follows.
const IMAGE: [usize; 3] = [16, 32, 32];

/// Convolutions: together 9.4 million multiply-accumulates, some milliseconds on a slow board.
const CONVOLUTIONS: usize = 4;

/// How long a launch of it may take, the start of the runner included.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The ONNX file.
static MODEL: LazyLock<Vec<u8>> = LazyLock::new(made);

/// The ONNX file of the reference model.
pub fn model() -> &'static [u8] {
    &MODEL
}

/// A name for it that changes with it.
pub fn id() -> String {
    blake3::hash(model()).to_hex()[..16].to_owned()
}

/// A chain of 3×3 convolutions, each with a ReLU. It works long enough for clocks to
/// matter and is small enough for every device.
fn made() -> Vec<u8> {
    let conv = Conv::same(IMAGE[0], 3);
    let mut graph = Graph::new(IMAGE);
    let (mut at, mut convolutions) = (graph.input(), Vec::new());
    for _ in 0..CONVOLUTIONS {
        at = graph.push(Op::Conv(conv), &[at]);
        convolutions.push(at);
        at = graph.push(Op::Activation(Activation::Relu), &[at]);
    }
    let shape = [IMAGE[0], IMAGE[0], 3, 3];
    let values = (0..shape.iter().product()).map(|i: usize| ((i * 7 % 13) as f32 - 6.0) / 100.0);
    let weight = Tensor::new(&shape, values.collect());
    let params = Arc::new(Params::Conv { weight, bias: None });
    let weights = convolutions.into_iter().map(|id| (id, params.clone())).collect();
    onnx::export(&Network { graph, weights }, &onnx::ExportOptions::default())
}

/// How it is measured: as briefly as a candidate, and without memory.
pub fn plan() -> Plan {
    Plan { memory_launches: 0, timeout: TIMEOUT, ..Plan::of(Level::Screen) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_always_the_same_and_small() {
        assert_eq!((made().as_slice(), model().len() < 50_000), (model(), true));
    }
}
