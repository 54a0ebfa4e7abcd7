//! All integration tests in one binary: one link, one run.
mod architecture;
mod data;
mod networks;
mod support;
