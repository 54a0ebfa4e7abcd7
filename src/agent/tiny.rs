//! A model that does nothing, so that what is left is the runtime.

/// `y = Relu(x)` over one number; ONNX in protobuf, written by hand.
#[rustfmt::skip]
pub const TINY_MODEL: &[u8] = &[
    0x08, 7, // ir_version
    0x3a, 51, // graph
        0x0a, 12, // node
            0x0a, 1, b'x', // input
            0x12, 1, b'y', // output
            0x22, 4, b'R', b'e', b'l', b'u', // op_type
        0x12, 1, b'g', // name
        0x5a, 15, // input
            0x0a, 1, b'x', // name
            0x12, 10, 0x0a, 8, // type, tensor_type
                0x08, 1, // elem_type: float
                0x12, 4, 0x0a, 2, 0x08, 1, // shape, dim, dim_value
        0x62, 15, // output
            0x0a, 1, b'y',
            0x12, 10, 0x0a, 8,
                0x08, 1,
                0x12, 4, 0x0a, 2, 0x08, 1,
    0x42, 2, 0x10, 13, // opset_import, version
];
