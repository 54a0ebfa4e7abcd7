//! The messages of an ONNX file, made from `onnx.proto` by `build.rs`.
include!(concat!(env!("OUT_DIR"), "/onnx.rs"));
