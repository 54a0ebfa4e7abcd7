//! All integration tests in one binary: one link, one run.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stderr, reason = "what was not checked is said")]
mod adbd;
mod architecture;
mod cli;
mod data;
mod device;
mod emulated;
mod engine;
mod faults;
mod graph;
mod health;
mod latency;
mod learners;
mod measure;
mod measure_cli;
mod members;
mod morphisms;
mod mutants;
mod networks;
mod onnx;
mod pareto;
mod remote;
mod report;
mod search;
mod space;
mod spaces;
mod store;
mod store_process;
mod strategies;
mod support;
mod sustained;
mod tabular;
mod train;
mod transfer;
mod trust;
