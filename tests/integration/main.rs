//! All integration tests in one binary: one link, one run.
mod architecture;
mod latency;
mod networks;
mod pareto;
mod support;
