//! All integration tests in one binary: one link, one run.
#![expect(clippy::unwrap_used, reason = "what helps a test may fail like a test")]

mod architecture;
mod latency;
mod networks;
mod pareto;
mod report;
mod store;
mod store_process;
mod support;
