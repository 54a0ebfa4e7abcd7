//! All integration tests in one binary: one link, one run.
mod architecture;
mod networks;
mod onnx;
mod store;
mod support;
