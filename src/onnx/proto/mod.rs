//! The messages of an ONNX file, made from `onnx.proto` by `build.rs`.
#![expect(clippy::enum_variant_names, reason = "generated, the names are ONNX's")]

include!(concat!(env!("OUT_DIR"), "/onnx.rs"));
