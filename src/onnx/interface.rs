//! Input and output of a whole model.
use crate::graph::Graph;

use super::OnnxError;
use super::proto::GraphProto;
use super::proto::ValueInfoProto;
use super::proto::tensor_proto::DataType;
use super::proto::tensor_shape_proto::dimension;
use super::proto::type_proto;

/// Name and `[C, H, W]` of the only input.
pub(super) fn input_shape(graph: &GraphProto) -> Result<(&str, [usize; 3]), OnnxError> {
    let expected = "one `float32` value of shape `[N, C, H, W]`";
    let wrong = OnnxError::WrongInterface { which: "input", expected };
    let [input] = graph.input.as_slice() else { return Err(wrong) };
    match dims(input).as_deref() {
        Some([_, Some(c), Some(h), Some(w)]) => Ok((input.name(), [*c, *h, *w])),
        _ => Err(wrong),
    }
}

/// Name of the only output.
pub(super) fn output_name(graph: &GraphProto) -> Result<&str, OnnxError> {
    match graph.output.as_slice() {
        [output] => Ok(output.name()),
        _ => Err(OnnxError::WrongInterface { which: "output", expected: "one value" }),
    }
}

/// Refuses a model that promises another output than `network` has.
pub(super) fn ensure_output_shape(graph: &GraphProto, network: &Graph) -> Result<(), OnnxError> {
    let shape = network.shapes()?[&network.output()];
    let batch = dims(&graph.input[0]).and_then(|dims| dims.first().copied());
    let sizes = shape.dims().into_iter().map(Some);
    let expected: Option<Vec<_>> = batch.map(|n| std::iter::once(n).chain(sizes).collect());
    match expected == dims(&graph.output[0]) {
        true => Ok(()),
        false => Err(OnnxError::WrongInterface {
            which: "output",
            expected: "a `float32` value of the shape that its nodes give",
        }),
    }
}

/// Sizes of a `float32` tensor, `None` where there is only a symbol.
pub(super) fn dims(value: &ValueInfoProto) -> Option<Vec<Option<usize>>> {
    let Some(type_proto::Value::TensorType(tensor)) = &value.r#type.as_ref()?.value else {
        return None;
    };
    if tensor.elem_type != Some(DataType::Float.into()) {
        return None;
    }
    let dims = tensor.shape.as_ref()?.dim.iter().map(|dim| match dim.value.as_ref()? {
        dimension::Value::DimValue(n) => usize::try_from(*n).ok().map(Some),
        dimension::Value::DimParam(_) => Some(None),
    });
    dims.collect()
}
