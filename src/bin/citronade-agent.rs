//! The runner on a device: JSON lines on standard input and output.
fn main() {}
