//! Trained parameters as one vector, in the order that the kernels read.

use std::sync::Arc;

use crate::graph::Network;
use crate::graph::NodeId;
use crate::graph::Params;

/// Where one tensor lies in the vector of parameters.
#[derive(Clone, Debug)]
pub struct Slot {
    /// Owner.
    pub node: NodeId,
    /// Name of the tensor.
    pub name: &'static str,
    /// First value.
    pub offset: usize,
    /// `[outermost of the graph, all between, innermost of the graph]`: stored with the first
    /// last and the last first, `[C_out, C_in, k_h · k_w]` as `[k_h · k_w, C_in, C_out]`.
    pub dims: [usize; 3],
    /// Is it trained at all?
    pub is_trained: bool,
}

impl Slot {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// Does weight decay pull on it?
    pub fn decays(&self) -> bool {
        self.name == "weight"
    }

    /// The values in all parameters.
    pub fn of<'a>(&self, parameters: &'a [f32]) -> &'a [f32] {
        &parameters[self.offset..][..self.len()]
    }

    /// The values in all parameters, to be changed.
    pub fn of_mut<'a>(&self, parameters: &'a mut [f32]) -> &'a mut [f32] {
        &mut parameters[self.offset..][..self.len()]
    }

    fn each(&self, mut f: impl FnMut(usize, usize)) {
        let [o, i, t] = self.dims;
        for out in 0..o {
            for input in 0..i {
                for tap in 0..t {
                    f((out * i + input) * t + tap, (tap * i + input) * o + out);
                }
            }
        }
    }
}

/// Reads the tensors of all `slots` from `network`.
pub fn read(network: &Network, slots: &[Slot], parameters: &mut [f32]) {
    for slot in slots {
        let tensors = network.params(slot.node).tensors();
        let tensor = tensors.into_iter().find(|(name, _)| *name == slot.name);
        let (_, tensor) = tensor.expect("G6: parameters have the shapes of the graph");
        let to = slot.of_mut(parameters);
        slot.each(|graph, kernel| to[kernel] = tensor.data[graph]);
    }
}

/// Writes all trained `slots` back to `network`.
pub fn write(network: &mut Network, slots: &[Slot], parameters: &[f32]) {
    for slot in slots.iter().filter(|s| s.is_trained) {
        let tensors = network.params_mut(slot.node).tensors_mut();
        let tensor = tensors.into_iter().find(|(name, _)| *name == slot.name);
        let (_, tensor) = tensor.expect("G6: parameters have the shapes of the graph");
        let from = slot.of(parameters);
        slot.each(|graph, kernel| tensor.data[graph] = from[kernel]);
    }
}

/// Running statistics of a batch normalisation.
pub fn statistics(network: &Network, node: NodeId) -> [Vec<f32>; 2] {
    match network.params(node) {
        Params::BatchNorm { mean, variance, .. } => [mean.data.clone(), variance.data.clone()],
        Params::Normalize { .. } | Params::Conv { .. } | Params::Linear { .. } => {
            panic!("G6: {node} is a batch normalisation")
        }
    }
}

/// Sets the running statistics of a batch normalisation.
pub fn set_statistics(network: &mut Network, node: NodeId, statistics: &[Vec<f32>; 2]) {
    let params = network.weights.get_mut(&node).expect("G6: a normalisation has parameters");
    if let Params::BatchNorm { mean, variance, .. } = Arc::make_mut(params) {
        mean.data.clone_from(&statistics[0]);
        variance.data.clone_from(&statistics[1]);
    }
}
