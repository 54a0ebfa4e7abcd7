//! All integration tests in one binary: one link, one run.
mod architecture;
mod networks;
mod support;
mod train;
