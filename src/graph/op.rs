//! The operations: a closed set, matched exhaustively everywhere (decision D1).
use serde::Deserialize;
use serde::Serialize;

/// What a node computes. Names and semantics are ONNX's, for one sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// The image as the data set has it, `[channels, height, width]`.
    Input {
        /// `[C, H, W]`.
        shape: [usize; 3],
    },
    /// `(x - mean) / std` per channel, with constants taken from the data; never trained.
    Normalize,
    /// Convolution with zero padding.
    Conv(Conv),
    /// `gamma (x - mean) / sqrt(variance + epsilon) + beta` per channel.
    BatchNorm {
        /// Added to the variance.
        epsilon: f32,
    },
    /// A function of each value alone.
    Activation(Activation),
    /// Sum of two or more inputs of equal shape.
    Add,
    /// Product of two inputs of equal shape, or of `[C, H, W]` and `[C, 1, 1]` in this order.
    Mul,
    /// Two or more images one after the other along the channels.
    Concat,
    /// Largest value of each window; padding never wins.
    MaxPool(Pool),
    /// Mean of each window; padding is not counted.
    AvgPool(Pool),
    /// Mean over height and width: `[C, H, W]` to `[C, 1, 1]`.
    GlobalAveragePool,
    /// `[C, H, W]` to a vector of `C·H·W`.
    Flatten,
    /// `W x + b` on a vector (ONNX Gemm).
    Linear(Linear),
    /// Zeroes values at random while training, the identity otherwise.
    Dropout {
        /// Share of values that are dropped, `0.0..1.0`.
        rate: f32,
    },
    /// Changes height and width.
    Resize(Resize),
}

/// Attributes of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conv {
    /// Output channels; a multiple of `groups`.
    pub channels: usize,
    /// `[height, width]` of the kernel.
    pub kernel: [usize; 2],
    /// Step `[y, x]`.
    pub stride: [usize; 2],
    /// Zeros added on both sides `[y, x]`.
    pub padding: [usize; 2],
    /// Distance of the kernel's taps `[y, x]`.
    pub dilation: [usize; 2],
    /// Groups of channels; equal to the input channels for a depthwise convolution.
    pub groups: usize,
    /// Is a bias added?
    pub bias: bool,
}

impl Conv {
    /// A dense "same" convolution of an odd square `kernel`, stride 1, without bias.
    pub fn same(channels: usize, kernel: usize) -> Self {
        Conv {
            channels,
            kernel: [kernel; 2],
            stride: [1; 2],
            padding: [kernel / 2; 2],
            dilation: [1; 2],
            groups: 1,
            bias: false,
        }
    }

    /// A depthwise "same" convolution of an odd square `kernel`, stride 1, without bias.
    pub fn depthwise(channels: usize, kernel: usize) -> Self {
        Conv { groups: channels, ..Conv::same(channels, kernel) }
    }

    /// Does the output have the height and width of the input?
    pub fn keeps_size(&self) -> bool {
        (0..2).all(|d| {
            self.stride[d] == 1 && 2 * self.padding[d] == self.dilation[d] * (self.kernel[d] - 1)
        })
    }
}

/// A function of each value alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `x · clamp(x / 6 + 1 / 2, 0, 1)`.
    HardSwish,
    /// `x · sigmoid(x)`.
    Silu,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
}

impl Activation {
    /// All of them.
    pub const ALL: [Activation; 5] = [
        Activation::Relu,
        Activation::Relu6,
        Activation::HardSwish,
        Activation::Silu,
        Activation::Sigmoid,
    ];

    /// The value of the function at `x`.
    pub fn apply(self, x: f32) -> f32 {
        match self {
            Activation::Relu => x.max(0.0),
            Activation::Relu6 => x.clamp(0.0, 6.0),
            Activation::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
            Activation::Silu => x / (1.0 + (-x).exp()),
            Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        }
    }
}

/// Attributes of a pooling window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// `[height, width]` of the window.
    pub kernel: [usize; 2],
    /// Step `[y, x]`.
    pub stride: [usize; 2],
    /// Added on both sides `[y, x]`; less than the kernel.
    pub padding: [usize; 2],
}

/// Attributes of a fully connected layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Linear {
    /// Length of the output.
    pub features: usize,
    /// Is a bias added?
    pub bias: bool,
}

/// Attributes of a change of size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    /// `[height, width]` of the output.
    pub size: [usize; 2],
    /// How values between pixels are found.
    pub interpolation: Interpolation,
}

/// How [`Op::Resize`] finds values between pixels (ONNX `half_pixel` coordinates).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// The pixel whose cell contains the point (ONNX `round_prefer_floor`).
    Nearest,
    /// Linear in both directions, clamped at the border.
    Bilinear,
}

impl Op {
    /// The operation's name: ONNX's, where ONNX has one.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Input { .. } => "Input",
            Op::Normalize => "Normalize",
            Op::Conv(_) => "Conv",
            Op::BatchNorm { .. } => "BatchNormalization",
            Op::Activation(Activation::Relu) => "Relu",
            Op::Activation(Activation::Relu6) => "Relu6",
            Op::Activation(Activation::HardSwish) => "HardSwish",
            Op::Activation(Activation::Silu) => "Silu",
            Op::Activation(Activation::Sigmoid) => "Sigmoid",
            Op::Add => "Add",
            Op::Mul => "Mul",
            Op::Concat => "Concat",
            Op::MaxPool(_) => "MaxPool",
            Op::AvgPool(_) => "AveragePool",
            Op::GlobalAveragePool => "GlobalAveragePool",
            Op::Flatten => "Flatten",
            Op::Linear(_) => "Gemm",
            Op::Dropout { .. } => "Dropout",
            Op::Resize(_) => "Resize",
        }
    }
}
