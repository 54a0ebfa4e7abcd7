//! How a network leaves and enters: ONNX files.
//!
//! [`export`] writes any valid network; [`read`] takes back what [`export`] writes and refuses
//! everything else before it costs memory. Performs no I/O: a model is bytes.
mod export;
mod fold;
mod message;
mod proto;

pub use export::Batch;
pub use export::ExportOptions;
pub use export::INPUT;
pub use export::OUTPUT;
pub use export::export;
pub use fold::fold;

/// Version of the standard operator set: the first in which `Resize` names its axes, so that
/// the batch may stay open. tract and ONNX Runtime (from 1.14) know it.
pub const OPSET: i64 = 18;

/// Version of the file format, the one that belongs to [`OPSET`].
const IR_VERSION: i64 = 8;
