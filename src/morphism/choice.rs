//! The free choices of a morphism at a site.
use std::fmt;

use serde::Deserialize;
use serde::Serialize;

use crate::graph::Activation;
use crate::graph::NodeId;

/// What was chosen at a site; [`Display`](fmt::Display) says it in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Choice {
    /// Another number of output channels.
    Channels {
        /// Before.
        from: usize,
        /// After.
        to: usize,
    },
    /// Another kernel.
    Kernel {
        /// `[height, width]` before.
        from: [usize; 2],
        /// `[height, width]` after.
        to: [usize; 2],
    },
    /// A new convolution behind the site.
    Insert {
        /// Side of its kernel.
        kernel: usize,
    },
    /// A new branch that is added to a later node.
    Branch {
        /// Whose value it is added to.
        to: NodeId,
        /// Side of its convolution's kernel; without one, the site is only normalised.
        kernel: Option<usize>,
    },
    /// A later convolution reads the site as well.
    Concat {
        /// Which convolution.
        to: NodeId,
    },
    /// Squeeze-and-excitation.
    Excite {
        /// Channels between its two convolutions.
        hidden: usize,
    },
    /// An input is no longer read.
    Cut {
        /// Position among the inputs.
        input: usize,
    },
    /// Another activation.
    Activation {
        /// Before.
        from: Activation,
        /// After.
        to: Activation,
    },
    /// There is one way only.
    Whole,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Choice::Channels { from, to } => write!(f, "{from} → {to} channels"),
            Choice::Kernel { from: [h, w], to: [h2, w2] } => {
                write!(f, "{h}×{w} → {h2}×{w2} kernel")
            }
            Choice::Insert { kernel } => write!(f, "{kernel}×{kernel} convolution"),
            Choice::Branch { to, kernel: Some(k) } => write!(f, "to {to} by a {k}×{k} convolution"),
            Choice::Branch { to, kernel: None } => write!(f, "to {to}"),
            Choice::Concat { to } => write!(f, "to {to}"),
            Choice::Excite { hidden } => write!(f, "{hidden} hidden channels"),
            Choice::Cut { input } => write!(f, "without input {}", input + 1),
            Choice::Activation { from, to } => write!(f, "{from:?} → {to:?}"),
            Choice::Whole => write!(f, "the whole block"),
        }
    }
}
