//! ONNX files for tests: some by hand, byte by byte, and the real ones of `../shared/models`.
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use tempfile::TempDir;

/// A field of wire type 2 of a protobuf message.
pub fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).ok().filter(|l| *l < 128);
    [&[number << 3 | 2, length.expect("short fields only")], content].concat()
}

/// A value called `name` of `float[1]`.
pub fn value_info(name: &str) -> Vec<u8> {
    let dimension = field(1, &[0x08, 1]);
    let tensor = [vec![0x08, 1], field(2, &dimension)].concat();
    [field(1, name.as_bytes()), field(2, &field(1, &tensor))].concat()
}

/// A model of one node, opset 13, with what else its graph and it hold.
pub fn model(node: &[u8], rest_of_graph: &[Vec<u8>], producer: &str) -> Vec<u8> {
    let graph = [field(1, node), field(2, b"g"), rest_of_graph.concat()].concat();
    let producer = field(2, producer.as_bytes());
    [vec![0x08, 7], producer, field(7, &graph), field(8, &[0x10, 13])].concat()
}

/// 99 bytes that ask for 2^18 x 2^18 64-bit integers: 512 GiB.
pub fn bomb() -> Vec<u8> {
    let shape = [&[0x08, 2, 0x10, 7][..], &field(7, &[0x80, 0x80, 0x10, 0x80, 0x80, 0x10])];
    let shape = [shape.concat(), field(8, b"s")].concat();
    let zero = [&[0x08, 1, 0x10, 7][..], &field(7, &[0])].concat();
    let value = [field(1, b"value"), field(5, &zero), vec![0xa0, 0x01, 4]].concat();
    let node = [field(1, b"s"), field(2, b"y"), field(4, b"ConstantOfShape"), field(5, &value)];
    model(&node.concat(), &[field(5, &shape), field(12, &value_info("y"))], "a bomb")
}

/// `y = x + w`, with `w` said to be in the file `secret` beside the model.
pub fn external() -> Vec<u8> {
    let entry = |key: &[u8], value: &[u8]| field(13, &[field(1, key), field(2, value)].concat());
    let w = [&[0x08, 1, 0x10, 1][..], &field(8, b"w"), &entry(b"location", b"secret"), &[0x70, 1]];
    let node = [field(1, b"x"), field(1, b"w"), field(2, b"y"), field(4, b"Add")].concat();
    let graph = [field(5, &w.concat()), field(11, &value_info("x")), field(12, &value_info("y"))];
    model(&node, &graph, "")
}

/// A file of its own with these bytes; it goes with the folder.
pub fn file(bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

/// A model of `../shared/models`; says so if the folder is not there.
pub fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new("../shared/models").join(name);
    if !path.is_file() {
        eprintln!("`{}` is absent: not tried on this real model", path.display());
        return None;
    }
    Some(path)
}
