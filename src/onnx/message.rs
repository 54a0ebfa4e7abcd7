//! Small parts of an ONNX file.
use crate::graph::Conv;
use crate::graph::Pool;
use crate::graph::Shape;

use super::Batch;
use super::proto::AttributeProto;
use super::proto::TensorProto;
use super::proto::TensorShapeProto;
use super::proto::TypeProto;
use super::proto::ValueInfoProto;
use super::proto::attribute_proto::AttributeType;
use super::proto::tensor_proto::DataType;
use super::proto::tensor_shape_proto::Dimension;
use super::proto::tensor_shape_proto::dimension;
use super::proto::type_proto;

pub(super) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { i: Some(value), ..attribute(name, AttributeType::Int) }
}

pub(super) fn ints(name: &str, values: &[usize]) -> AttributeProto {
    let ints = values.iter().map(|&v| v as i64).collect();
    AttributeProto { ints, ..attribute(name, AttributeType::Ints) }
}

pub(super) fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { f: Some(value), ..attribute(name, AttributeType::Float) }
}

pub(super) fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto { s: Some(value.into()), ..attribute(name, AttributeType::String) }
}

fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto { name: Some(name.to_owned()), r#type: Some(kind.into()), ..Default::default() }
}

pub(super) fn conv_attributes(conv: &Conv) -> Vec<AttributeProto> {
    vec![
        ints("dilations", &conv.dilation),
        int("group", conv.groups as i64),
        ints("kernel_shape", &conv.kernel),
        ints("pads", &both_sides(conv.padding)),
        ints("strides", &conv.stride),
    ]
}

pub(super) fn pool_attributes(pool: &Pool) -> Vec<AttributeProto> {
    vec![
        ints("kernel_shape", &pool.kernel),
        ints("pads", &both_sides(pool.padding)),
        ints("strides", &pool.stride),
    ]
}

/// Padding is not counted.
pub(super) fn avg_pool_attributes(pool: &Pool) -> Vec<AttributeProto> {
    [vec![int("count_include_pad", 0)], pool_attributes(pool)].concat()
}

/// ONNX wants begins before ends.
fn both_sides([y, x]: [usize; 2]) -> [usize; 4] {
    [y, x, y, x]
}

pub(super) fn floats_tensor(name: &str, shape: &[usize], values: &[f32]) -> TensorProto {
    tensor(name, shape, DataType::Float, values.iter().flat_map(|v| v.to_le_bytes()).collect())
}

pub(super) fn ints_tensor(name: &str, values: &[usize]) -> TensorProto {
    let bytes = values.iter().flat_map(|&v| (v as i64).to_le_bytes()).collect();
    tensor(name, &[values.len()], DataType::Int64, bytes)
}

fn tensor(name: &str, shape: &[usize], kind: DataType, bytes: Vec<u8>) -> TensorProto {
    TensorProto {
        name: Some(name.to_owned()),
        dims: shape.iter().map(|&d| d as i64).collect(),
        data_type: Some(kind.into()),
        raw_data: Some(bytes),
        ..TensorProto::default()
    }
}

/// A `float32` value of `batch` samples of `shape`.
pub(super) fn value_info(name: &str, batch: Batch, shape: Shape) -> ValueInfoProto {
    let samples = match batch {
        Batch::Fixed(n) => dimension::Value::DimValue(n as i64),
        Batch::Any => dimension::Value::DimParam("N".to_owned()),
    };
    let sizes = shape.dims().into_iter().map(|d| dimension::Value::DimValue(d as i64));
    let dim = |value| Dimension { denotation: None, value: Some(value) };
    let shape = TensorShapeProto { dim: std::iter::once(samples).chain(sizes).map(dim).collect() };
    let tensor = type_proto::Tensor { elem_type: Some(DataType::Float.into()), shape: Some(shape) };
    let value = Some(type_proto::Value::TensorType(tensor));
    let kind = TypeProto { denotation: None, value };
    ValueInfoProto { name: Some(name.to_owned()), r#type: Some(kind), ..Default::default() }
}
