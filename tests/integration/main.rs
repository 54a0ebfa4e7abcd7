//! All integration tests in one binary: one link, one run.
mod architecture;
mod device;
mod measure;
mod networks;
mod support;
