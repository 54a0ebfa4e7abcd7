use super::*;
use crate::agent::TINY_MODEL;

/// A field of wire type 2.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = varint(u64::from(number) << 3 | 2);
    bytes.extend(varint(content.len() as u64));
    [bytes.as_slice(), content].concat()
}

fn number(field: u8, value: u64) -> Vec<u8> {
    [varint(u64::from(field) << 3), varint(value)].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A model of one initializer `w`.
fn with_tensor(fields: &[Vec<u8>]) -> Vec<u8> {
    let tensor = [fields.concat(), field(8, b"w")].concat();
    field(7, &field(5, &tensor))
}

#[track_caller]
fn check_refused(model: &[u8], expected: &str) {
    assert_eq!(scan(model).unwrap_err().to_string(), expected);
}

#[test]
fn a_model_of_known_parts_passes() {
    assert_eq!(scan(TINY_MODEL), Ok(()));
}

#[test]
fn every_cut_of_a_model_is_refused_or_ends_between_two_fields() {
    for end in 0..TINY_MODEL.len() {
        match scan(&TINY_MODEL[..end]) {
            Err(ScanError::Malformed { .. } | ScanError::NoGraph) => {}
            other => assert!(end == 55, "{end}: {other:?}"),
        }
    }
}

#[test]
fn what_is_not_protocol_buffers_is_named_with_its_place() {
    check_refused(b"", "the model has no graph; is this an ONNX file?");
    let place = "does not belong to an ONNX model; is the file damaged or cut off?";
    check_refused(b"not a model", &format!("byte 1 {place}"));
    check_refused(&field(7, &[0x0a, 200]), &format!("byte 4 {place}"));
    check_refused(&[0xff; 20], &format!("byte 10 {place}"));
}

#[test]
fn a_tensor_must_hold_what_it_declares() {
    let float = number(2, 1);
    let tensor = |dims: &[u64], data: Vec<u8>| {
        with_tensor(&[
            field(1, &dims.iter().flat_map(|d| varint(*d)).collect::<Vec<_>>()),
            float.clone(),
            data,
        ])
    };
    assert_eq!(scan(&tensor(&[2, 3], field(9, &[0; 24]))), Ok(()));
    assert_eq!(scan(&tensor(&[2, 3], field(4, &[0; 24]))), Ok(()));
    assert_eq!(scan(&tensor(&[0, u64::MAX >> 1, 9], Vec::new())), Ok(()), "it has no elements");
    let raw = "tensor `w` declares 24 bytes and holds";
    check_refused(&tensor(&[2, 3], field(9, &[0; 23])), &format!("{raw} 23"));
    check_refused(&tensor(&[2, 3], field(9, &[0; 25])), &format!("{raw} 25"));
    check_refused(
        &tensor(&[1 << 20, 1 << 20], field(4, &[0; 8])),
        "tensor `w` declares 1099511627776 elements and holds 2",
    );
    for dims in [[1 << 40, 1 << 40], [1, u64::MAX], [1 << 32, 1 << 30]] {
        let expected = "tensor `w` has impossible dimensions";
        check_refused(&tensor(&dims, field(9, &[0; 8])), expected);
    }
}

#[test]
fn numbers_of_half_a_byte_share_one() {
    let tensor = |bytes| with_tensor(&[number(1, 5), number(2, 22), field(9, &vec![0; bytes])]);
    assert_eq!(scan(&tensor(3)), Ok(()));
    check_refused(&tensor(2), "tensor `w` declares 3 bytes and holds 2");
}

#[test]
fn weights_in_another_file_are_refused_wherever_the_tensor_is() {
    let outside = [field(8, b"a\nb"), field(13, b""), number(2, 1)].concat();
    let expected = "tensor `a\\nb` is stored outside the model file; put the weights inside it";
    let attribute = |number, content: &[u8]| field(1, &field(5, &field(number, content)));
    let sparse = field(2, &outside);
    for graph in [
        field(5, &outside),
        field(15, &sparse),
        attribute(5, &outside),
        attribute(10, &outside),
        attribute(22, &sparse),
        attribute(6, &field(5, &outside)),
        attribute(11, &attribute(5, &outside)),
    ] {
        check_refused(&field(7, &graph), expected);
    }
    let function = field(7, &field(5, &field(5, &outside)));
    check_refused(&field(25, &function), expected);
    check_refused(&field(20, &field(2, &field(5, &outside))), expected);
    let by_number = with_tensor(&[number(14, 1)]);
    assert!(matches!(scan(&by_number), Err(ScanError::External { .. })));
}

#[test]
fn graphs_nest_only_so_deep_and_types_too() {
    let nested =
        |depth| (0..depth).fold(Vec::new(), |graph, _| field(1, &field(5, &field(6, &graph))));
    assert_eq!(scan(&field(7, &nested(10))), Ok(()));
    let expected = "the model has more than 48 messages inside of each other";
    check_refused(&field(7, &nested(20)), expected);
    let of = (0..100).fold(Vec::new(), |t, _| field(4, &field(1, &t)));
    check_refused(&field(7, &field(11, &field(2, &of))), expected);
}

#[test]
fn small_files_that_become_large_are_refused() {
    let nodes = field(1, b"").repeat(MAX_MESSAGES as usize);
    check_refused(&field(7, &nodes), "the model has more than 2000000 messages");
    let names = field(1, &field(1, b"").repeat(MAX_TEXTS as usize + 1));
    check_refused(&field(7, &names), "the model has more than 8000000 texts and lists");
    let name = field(1, &field(4, &[b'x'; 1 + (1 << 16)]));
    check_refused(&field(7, &name), "the model has more than 65536 bytes in one name");
}

#[test]
fn a_part_that_decoders_would_merge_is_refused() {
    let twice = [field(7, b""), field(7, b"")].concat();
    check_refused(&twice, "the model has two of a graph where one belongs, at byte 4");
}

#[test]
fn a_declared_shape_may_be_open_but_not_endless() {
    let value = |sizes: &[u64]| {
        let dims = sizes.iter().flat_map(|size| field(1, &number(1, *size))).collect::<Vec<_>>();
        field(7, &field(11, &field(2, &field(1, &field(2, &dims)))))
    };
    assert_eq!(scan(&value(&[u64::MAX, 3, 0, 1 << 20])), Ok(()));
    let error = scan(&value(&[1 << 21, 1 << 20])).unwrap_err();
    assert!(matches!(error, ScanError::Shape { .. }), "{error}");
}
