//! ONNX files for tests: some by hand, byte by byte, and the real ones of `../shared/models`.
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::support::skipped::not_tried;

/// A field of wire type 2 of a protobuf message.
pub fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = content.len();
    while length > 127 {
        field.push(length as u8 | 128);
        length >>= 7;
    }
    field.push(length as u8);
    [field, content.to_vec()].concat()
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

/// `y`, which is `x` doubled so many times by a `Loop`: less than a second for thousands, for ever for
/// `i64::MAX`. Tract has no `Loop`.
pub fn doubled(times: i64) -> Vec<u8> {
    let node = |inputs: &[&[u8]], output: &[u8], op: &[u8]| {
        let inputs: Vec<u8> = inputs.iter().flat_map(|input| field(1, input)).collect();
        [inputs, field(2, output), field(4, op)].concat()
    };
    let scalar = |name: &[u8], element: u8| {
        let tensor = [vec![0x08, element], field(2, &[])].concat();
        [field(1, name), field(2, &field(1, &tensor))].concat()
    };
    let constant = |name: &[u8], element: u8, raw: &[u8]| {
        field(5, &[vec![0x10, element], field(8, name), field(9, raw)].concat())
    };
    let (int64, bool) = (7, 9);
    let body = [
        field(1, &node(&[b"on"], b"goes_on", b"Identity")),
        field(1, &node(&[b"v", b"v"], b"w", b"Add")),
        field(2, b"body"),
        field(11, &scalar(b"i", int64)),
        field(11, &scalar(b"on", bool)),
        field(11, &value_info("v")),
        field(12, &scalar(b"goes_on", bool)),
        field(12, &value_info("w")),
    ];
    let body = [field(1, b"body"), field(6, &body.concat()), vec![0xa0, 0x01, 5]].concat();
    let node = [node(&[b"times", b"yes", b"x"], b"y", b"Loop"), field(5, &body)].concat();
    let rest = [
        constant(b"times", int64, &times.to_le_bytes()),
        constant(b"yes", bool, &[1]),
        field(11, &value_info("x")),
        field(12, &value_info("y")),
    ];
    model(&node, &rest, "")
}

/// `y = x + p`, with `p` the `4096 × 4096` zeros multiplied with themselves so many times: 69 billion
/// multiply-accumulates each.
pub fn powers(times: usize) -> Vec<u8> {
    let node = |inputs: &[String], output: &str, op: &str| {
        let inputs: Vec<u8> = inputs.iter().flat_map(|name| field(1, name.as_bytes())).collect();
        [inputs, field(2, output.as_bytes()), field(4, op.as_bytes())].concat()
    };
    let power = |n: usize| format!("p{n}");
    let products = (1..=times).map(|n| node(&[power(n - 1), power(0)], &power(n), "MatMul"));
    let sum = node(&[power(times), "x".to_owned()], "y", "Add");
    let shape = [&[0x08, 2, 0x10, 7][..], &field(7, &[0x80, 0x20, 0x80, 0x20]), &field(8, b"s")];
    let size = field(1, &[0x08, 0x80, 0x20]);
    let output = field(1, &[vec![0x08, 1], field(2, &[size.clone(), size].concat())].concat());
    let mut rest: Vec<Vec<u8>> = products.chain([sum]).map(|node| field(1, &node)).collect();
    rest.push(field(5, &shape.concat()));
    rest.push(field(11, &value_info("x")));
    rest.push(field(12, &[field(1, b"y"), field(2, &output)].concat()));
    model(&node(&["s".to_owned()], &power(0), "ConstantOfShape"), &rest, "")
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
        not_tried(&format!("`{}` is absent: not tried on this real model", path.display()));
        return None;
    }
    Some(path)
}
