//! Why bytes are not a model that can be read.
use crate::graph::GraphError;

/// Why a model is refused. Names from the file are shortened and escaped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// More than a reader should hold.
    #[error("the model has {found} {what}, at most {most} are read")]
    TooLarge {
        /// Of what, e.g. `bytes`.
        what: &'static str,
        /// In the file.
        found: u64,
        /// The cap.
        most: u64,
    },
    /// Not the wire format of protocol buffers.
    #[error("byte {offset} does not belong to an ONNX file, is it damaged or cut off?")]
    Malformed {
        /// Where reading stopped.
        offset: usize,
    },
    /// The wire format holds, the types do not.
    #[error("the file is not an ONNX model")]
    Decode(#[from] prost::DecodeError),
    /// A part of ONNX that is never read.
    #[error("the model uses {0}, which is refused")]
    Refused(&'static str),
    /// Another operator set than the one that is written.
    #[error("the model needs operator set {found:?}, only {expected} of ONNX itself is read")]
    WrongOpset {
        /// What is written.
        expected: i64,
        /// Domain and version of the first few that are imported.
        found: Vec<(String, i64)>,
    },
    /// Inputs or outputs of the whole model.
    #[error("the model's {which} must be {expected}")]
    WrongInterface {
        /// `input` or `output`.
        which: &'static str,
        /// In words.
        expected: &'static str,
    },
    /// An operator that is not on the list.
    #[error("node `{node}` is a `{op_type}`, which is not among the operations that are read")]
    UnknownOp {
        /// Its name.
        node: String,
        /// Its operator.
        op_type: String,
    },
    /// An operator used in another way than it is written.
    #[error("node `{node}` must have {expected}")]
    UnexpectedNode {
        /// Its name.
        node: String,
        /// In words.
        expected: String,
    },
    /// A name that nothing before the node gives, or that is given twice.
    #[error("the value `{value}` at node `{node}` is given twice or not at all before it is read")]
    UnknownValue {
        /// Reader or second giver.
        node: String,
        /// The name.
        value: String,
    },
    /// A constant that is not what its header says.
    #[error("the constant `{name}` must have {expected}")]
    WrongConstant {
        /// Its name.
        name: String,
        /// In words.
        expected: &'static str,
    },
    /// A model of known parts that is no valid network.
    #[error("the model is not a valid network")]
    Invalid(#[from] GraphError),
}

/// `name` fit for a message: short, and without control characters.
pub(super) fn shown(name: &str) -> String {
    const LONGEST: usize = 60;
    let mut shown: String = name.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if name.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}
