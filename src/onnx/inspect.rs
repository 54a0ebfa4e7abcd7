//! Facts about any ONNX file.
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::OnnxError;
use super::interface::dims;
use super::proto::ModelProto;
use super::proto::TensorProto;
use super::proto::ValueInfoProto;
use super::proto::tensor_proto::DataType;
use super::read::decode;

/// What a model says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFacts {
    /// Program that wrote it, with version.
    pub producer: String,
    /// Version of ONNX's own operator set; 0 if there is none.
    pub opset: i64,
    /// What it reads.
    pub inputs: Vec<ValueFacts>,
    /// What it gives.
    pub outputs: Vec<ValueFacts>,
    /// Nodes by operator.
    pub operators: BTreeMap<String, usize>,
    /// Values in its floating-point initializers.
    pub parameters: u64,
    /// Its `metadata_props`.
    pub metadata: BTreeMap<String, String>,
}

/// An input or output of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueFacts {
    /// Its name.
    pub name: String,
    /// Its sizes, `None` where one is open; `None` altogether unless it is `float32`.
    pub shape: Option<Vec<Option<usize>>>,
}

/// Facts about the ONNX file `bytes`, which may use any operators.
///
/// Guarded as [`super::read`]: bounded memory, no panic. A model that passes is not yet safe to
/// run.
///
/// # Errors
///
/// If the file is damaged, too large, or uses data in other files, graphs inside of nodes,
/// functions of its own or sparse constants.
pub fn inspect(bytes: &[u8]) -> Result<ModelFacts, OnnxError> {
    let model = decode(bytes)?;
    let graph = model.graph.as_ref().ok_or(OnnxError::Refused("no graph at all"))?;
    let mut operators = BTreeMap::new();
    for node in &graph.node {
        *operators.entry(node.op_type().to_owned()).or_default() += 1;
    }
    // Old files list their constants among the inputs.
    let constants: BTreeSet<&str> = graph.initializer.iter().map(|t| t.name()).collect();
    let inputs = graph.input.iter().filter(|input| !constants.contains(input.name()));
    let pairs = model.metadata_props.iter();
    Ok(ModelFacts {
        producer: [model.producer_name(), model.producer_version()].join(" ").trim().to_owned(),
        opset: opset(&model),
        inputs: inputs.map(value_facts).collect(),
        outputs: graph.output.iter().map(value_facts).collect(),
        operators,
        parameters: graph.initializer.iter().map(float_values).fold(0, u64::saturating_add),
        metadata: pairs.map(|p| (p.key().to_owned(), p.value().to_owned())).collect(),
    })
}

fn opset(model: &ModelProto) -> i64 {
    let own = model.opset_import.iter().find(|o| matches!(o.domain(), "" | "ai.onnx"));
    own.map_or(0, |o| o.version())
}

fn value_facts(value: &ValueInfoProto) -> ValueFacts {
    ValueFacts { name: value.name().to_owned(), shape: dims(value) }
}

fn float_values(tensor: &TensorProto) -> u64 {
    let floats = [DataType::Float, DataType::Float16, DataType::Bfloat16, DataType::Double];
    match floats.iter().any(|&kind| tensor.data_type == Some(kind.into())) {
        true => tensor.dims.iter().fold(1, |n, &d| n.saturating_mul(d.max(0) as u64)),
        false => 0,
    }
}
