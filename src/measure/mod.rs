//! What a model costs on a device.
//!
//! Every launch is a fresh process of the agent, and the launch, not the run, is the independent
//! sample: launches differ more than runs. A [`Bench`] is one device with one runtime and thread
//! count; [`Bench::measure`] launches, keeps every raw sample and the conditions, and returns a
//! [`Measurement`], whose figures, intervals and verdict are computed when they are read. A [`Level`]
//! says how much that is at least; [`Gates`] say what state the device must be in. What is noisy is
//! measured again a few times, and the least noisy attempt kept, never a mean of them.
//!
//! Where the transport has a ledger, the bench looks after the device: a reference model runs at the
//! first use, each hour and after any fault, and says whose fault a crash was.
//!
//! Whoever measures sees to it that nothing else runs on the device meanwhile.
mod agreement;
mod bench;
mod care;
mod document;
mod drift;
mod error;
mod gates;
mod hold;
mod measurement;
mod plan;
mod plausible;
mod reference;
mod repeat;
mod spread;
mod survey;
mod sustained;
mod verdict;

pub use crate::agent::Heat;

pub use agreement::Agreement;
pub use bench::Bench;
pub use bench::Progress;
pub use bench::measure;
pub use care::Checked;
pub use care::check;
pub use document::Document;
pub use document::Latency;
pub use document::ReadMeasurementError;
pub use document::SCHEMA;
pub use error::MeasureError;
pub use gates::Gated;
pub use gates::Gates;
pub use gates::Stopped;
pub use hold::Hold;
pub use measurement::Launch;
pub use measurement::Measurement;
pub use measurement::MemoryCost;
pub use measurement::ModelFile;
pub use plan::Level;
pub use plan::Minimum;
pub use plan::Plan;
pub use repeat::Noise;
pub use survey::Survey;
pub use survey::survey;
pub use sustained::NoCurve;
pub use sustained::Sustained;
pub use verdict::Verdict;
pub use verdict::slower_in_words;
