//! All integration tests in one binary: one link, one run.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod architecture;
mod graph;
mod networks;
mod onnx;
mod support;
