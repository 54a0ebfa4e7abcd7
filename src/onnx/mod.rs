//! How a network leaves and enters: ONNX files.
//!
//! [`export`] writes any valid network; [`read`] takes back what [`export`] writes and refuses
//! everything else before it costs memory; [`inspect`] tells facts about any model. Performs no
//! I/O: a model is bytes.
mod attributes;
mod constants;
mod error;
mod export;
mod fold;
mod inspect;
mod interface;
mod message;
mod proto;
mod read;
mod scan;

pub use error::OnnxError;
pub use export::Batch;
pub use export::ExportOptions;
pub use export::INPUT;
pub use export::OUTPUT;
pub use export::export;
pub use fold::fold;
pub use inspect::ModelFacts;
pub use inspect::ValueFacts;
pub use inspect::inspect;
pub use read::read;
pub use scan::MAX_MODEL_BYTES;

/// Version of the standard operator set: the first in which `Resize` names its axes, so that
/// the batch may stay open. tract and ONNX Runtime (from 1.14) know it.
pub const OPSET: i64 = 18;

/// Version of the file format, the one that belongs to [`OPSET`].
const IR_VERSION: i64 = 8;

#[cfg(test)]
mod tests;
