//! The half that runs on the device: one JSON request a line in, one JSON answer a line out.
//!
//! The agent needs nothing but its standard input and output, so the same code runs under
//! `adb shell`, under `ssh`, as a local child and, in tests, at the other end of a pipe. It keeps
//! nothing between requests but the device's lock ([`Task::Hold`]), and opens no port. It writes no
//! file but that lock and, when it is started for that, those that the host brings ([`files`]). What is measured and how often is the host's decision; the agent only does
//! it and reports every sample.
//!
//! [`serve`] is the loop, [`main_loop`] the whole life of the process around it, [`Runtime`] the
//! door to an inference library.
mod android;
#[cfg(feature = "ort")]
mod assignment;
mod clock;
mod conditions;
#[cfg(feature = "ort")]
mod discovery;
pub mod files;
mod heat;
mod inputs;
mod installed;
mod lock;
mod main_loop;
mod memory;
mod metronome;
#[cfg(feature = "ort")]
mod onnx_runtime;
mod outputs;
mod protocol;
#[cfg(feature = "ort")]
mod provider;
mod runtime;
mod sandbox;
mod scan;
mod self_test;
mod serve;
mod stopped;
mod tasks;
mod timing;
mod tiny;
mod tract;

pub use clock::since_boot;
pub use conditions::Battery;
pub use conditions::Conditions;
pub use conditions::Facts;
pub use conditions::OwnTime;
pub use conditions::Ticks;
pub use heat::Heat;
pub use heat::HeatLimit;
pub use inputs::Element;
pub use inputs::Fill;
pub use inputs::InputSpec;
pub use inputs::TensorData;
pub use installed::Installed;
pub use main_loop::main_loop;
pub use metronome::Metronome;
pub use protocol::Answer;
pub use protocol::Hello;
pub use protocol::HoldRequest;
pub use protocol::Job;
pub use protocol::MAX_LINE;
pub use protocol::MemoryRequest;
pub use protocol::MemoryUse;
pub use protocol::OpTime;
pub use protocol::Outputs;
pub use protocol::PROTOCOL;
pub use protocol::PROVIDERS;
pub use protocol::PerOpRequest;
pub use protocol::ProviderShare;
pub use protocol::Refusal;
pub use protocol::Reply;
pub use protocol::Request;
pub use protocol::RunRequest;
pub use protocol::RuntimeFacts;
pub use protocol::Sampling;
pub use protocol::Task;
pub use protocol::Thinned;
pub use protocol::TimeRequest;
pub use protocol::Timed;
pub use protocol::Warmup;
pub use runtime::Loaded;
pub use runtime::Runtime;
pub use runtime::RuntimeError;
pub use runtime::Runtimes;
pub use runtime::Source;
pub use scan::MAX_MODEL_BYTES;
pub use scan::ScanError;
pub use self_test::self_test;
pub use serve::serve;
pub use tiny::TINY_MODEL;
