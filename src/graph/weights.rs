//! Numbers: tensors, parameters of a node, activations seen at a node.
use std::collections::BTreeMap;
use std::sync::Arc;

use super::Network;
use super::NodeId;
use super::Op;

/// A dense `f32` tensor, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// `shape.product()` values.
    pub data: Vec<f32>,
}

impl Tensor {
    /// A tensor of `shape` with these values.
    ///
    /// # Panics
    ///
    /// If their number is not the product of `shape`.
    pub fn new(shape: &[usize], data: Vec<f32>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), data.len(), "values for shape {shape:?}");
        Tensor { shape: shape.to_vec(), data }
    }

    /// A tensor of `shape` filled with `value`.
    pub fn full(shape: &[usize], value: f32) -> Self {
        Tensor { shape: shape.to_vec(), data: vec![value; shape.iter().product()] }
    }

    /// A tensor of zeros.
    pub fn zeros(shape: &[usize]) -> Self {
        Tensor::full(shape, 0.0)
    }

    /// A vector.
    pub fn vector(data: Vec<f32>) -> Self {
        Tensor { shape: vec![data.len()], data }
    }
}

/// Parameters of one node; tensors in the shapes of [`super::Graph::parameter_shapes`].
#[derive(Clone, Debug, PartialEq)]
pub enum Params {
    /// Of [`Op::Normalize`]: constants of the data set.
    Normalize {
        /// `[C]`.
        mean: Tensor,
        /// `[C]`, positive.
        std: Tensor,
    },
    /// Of [`Op::Conv`].
    Conv {
        /// `[C_out, C_in / groups, k_h, k_w]`.
        weight: Tensor,
        /// `[C_out]`.
        bias: Option<Tensor>,
    },
    /// Of [`Op::BatchNorm`]: all `[C]`; the last two are statistics, not trained by gradient.
    BatchNorm {
        /// Scale.
        gamma: Tensor,
        /// Shift.
        beta: Tensor,
        /// Running mean.
        mean: Tensor,
        /// Running (biased) variance.
        variance: Tensor,
    },
    /// Of [`Op::Linear`].
    Linear {
        /// `[features, length]`.
        weight: Tensor,
        /// `[features]`.
        bias: Option<Tensor>,
    },
}

impl Params {
    /// Names and tensors, in a fixed order.
    pub fn tensors(&self) -> Vec<(&'static str, &Tensor)> {
        match self {
            Params::Normalize { mean, std } => vec![("mean", mean), ("std", std)],
            Params::Conv { weight, bias } | Params::Linear { weight, bias } => {
                let mut all = vec![("weight", weight)];
                all.extend(bias.as_ref().map(|b| ("bias", b)));
                all
            }
            Params::BatchNorm { gamma, beta, mean, variance } => {
                vec![("gamma", gamma), ("beta", beta), ("mean", mean), ("variance", variance)]
            }
        }
    }

    /// As [`tensors`](Self::tensors), to be changed.
    pub fn tensors_mut(&mut self) -> Vec<(&'static str, &mut Tensor)> {
        match self {
            Params::Normalize { mean, std } => vec![("mean", mean), ("std", std)],
            Params::Conv { weight, bias } | Params::Linear { weight, bias } => {
                let mut all = vec![("weight", weight)];
                all.extend(bias.as_mut().map(|b| ("bias", b)));
                all
            }
            Params::BatchNorm { gamma, beta, mean, variance } => {
                vec![("gamma", gamma), ("beta", beta), ("mean", mean), ("variance", variance)]
            }
        }
    }

    /// The parameters of `op` from tensors by name; `None` if one is missing or left over.
    pub fn from_tensors(op: &Op, mut tensors: BTreeMap<String, Tensor>) -> Option<Params> {
        let mut take = |name: &str| tensors.remove(name);
        let params = match op {
            Op::Normalize => Params::Normalize { mean: take("mean")?, std: take("std")? },
            Op::Conv(_) => Params::Conv { weight: take("weight")?, bias: take("bias") },
            Op::Linear(_) => Params::Linear { weight: take("weight")?, bias: take("bias") },
            Op::BatchNorm { .. } => Params::BatchNorm {
                gamma: take("gamma")?,
                beta: take("beta")?,
                mean: take("mean")?,
                variance: take("variance")?,
            },
            Op::Input { .. }
            | Op::Activation(_)
            | Op::Add
            | Op::Mul
            | Op::Concat
            | Op::MaxPool(_)
            | Op::AvgPool(_)
            | Op::GlobalAveragePool
            | Op::Flatten
            | Op::Dropout { .. }
            | Op::Resize(_) => return None,
        };
        tensors.is_empty().then_some(params)
    }
}

/// Parameters by node, shared between a parent and its children (decision D2).
pub type Weights = BTreeMap<NodeId, Arc<Params>>;

impl Network {
    /// The parameters of `id`.
    ///
    /// # Panics
    ///
    /// If the node has none (G6).
    pub fn params(&self, id: NodeId) -> &Params {
        self.weights.get(&id).unwrap_or_else(|| panic!("G6: {id} has no parameters"))
    }

    /// The parameters of `id`, copied first if they are shared.
    ///
    /// # Panics
    ///
    /// If the node has none (G6).
    pub fn params_mut(&mut self, id: NodeId) -> &mut Params {
        let params = self.weights.get_mut(&id);
        Arc::make_mut(params.unwrap_or_else(|| panic!("G6: {id} has no parameters")))
    }
}

/// What was seen at one node while samples passed, in evaluation mode.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// Mean per channel over samples and positions, `[C]`.
    pub mean: Vec<f32>,
    /// Biased variance per channel over samples and positions, `[C]`.
    pub variance: Vec<f32>,
    /// The values themselves, `[N, C, H, W]` (`[N, C]` for a vector).
    pub values: Tensor,
}

/// What a morphism may know of the data: values at some nodes of the parent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Activations {
    /// By node.
    pub nodes: BTreeMap<NodeId, Observed>,
}
