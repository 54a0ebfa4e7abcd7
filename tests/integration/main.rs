//! All integration tests in one binary: one link, one run.
#![expect(clippy::unwrap_used, reason = "what helps a test may fail like a test")]
mod architecture;
mod morphisms;
mod data;
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod architecture;
mod graph;
mod networks;
mod onnx;
mod space;
mod store;
mod store_process;
mod latency;
mod networks;
mod pareto;
mod support;
mod train;
