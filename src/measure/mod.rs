//! What a model costs on a device.
//!
//! Every launch is a fresh process of the agent, and the launch, not the run, is the independent
//! sample: launches differ more than runs. A [`Bench`] is one device with one runtime and thread
//! count; [`Bench::measure`] launches, keeps every raw sample and the conditions, and returns a
//! [`Measurement`], whose figures, intervals and verdict are computed when they are read.
//!
//! Whoever measures sees to it that nothing else runs on the device meanwhile.
mod bench;
mod document;
mod error;
mod measurement;
mod plan;
mod repeat;
mod verdict;

pub use bench::Bench;
pub use bench::measure;
pub use document::Document;
pub use document::Latency;
pub use document::ReadMeasurementError;
pub use document::SCHEMA;
pub use error::MeasureError;
pub use measurement::Launch;
pub use measurement::Measurement;
pub use measurement::MemoryCost;
pub use measurement::ModelFile;
pub use plan::Level;
pub use plan::Plan;
pub use repeat::Noise;
pub use verdict::Verdict;
