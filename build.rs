//! Makes Rust types of `onnx.proto` for the host; the agent does not need them.

#[cfg(feature = "host")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    const DIR: &str = "src/onnx/proto";
    println!("cargo::rerun-if-changed={DIR}/onnx.proto");
    let descriptors = protox::compile(["onnx.proto"], [DIR])?;
    prost_build::Config::new().disable_comments(["."]).compile_fds(descriptors)?;
    Ok(())
}

#[cfg(not(feature = "host"))]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
