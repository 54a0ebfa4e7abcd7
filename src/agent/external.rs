//! Models that point out of their own file are refused.
//!
//! An ONNX tensor may name another file as the place of its data. A stranger's model could so
//! read any file of the device (CVE-2022-25882 and its followers), and both runtimes still follow
//! hard links. citronade writes every weight into the model file, hence the rule is simple.
use std::fs::File;
use std::io::Read;

use tract_onnx::pb::AttributeProto;
use tract_onnx::pb::GraphProto;
use tract_onnx::pb::ModelProto;
use tract_onnx::pb::TensorProto;
use tract_onnx::pb::tensor_proto::DataLocation;
use tract_onnx::prelude::Framework;

use super::runtime::RuntimeError;
use super::runtime::Source;

/// Parses the model, which must hold all its tensors itself.
pub fn read(model: Source<'_>) -> Result<ModelProto, RuntimeError> {
    let mut reader: Box<dyn Read> = match model {
        Source::File(path) => Box::new(File::open(path)?),
        Source::Bytes(bytes) => Box::new(bytes),
    };
    let proto = tract_onnx::onnx().proto_model_for_read(&mut reader);
    let proto = proto.map_err(|e| RuntimeError::Model {
        runtime: "the ONNX parser",
        doing: "read",
        reason: format!("{e:#}"),
    })?;
    match proto.graph.as_ref().and_then(in_graph) {
        None => Ok(proto),
        Some(tensor) => Err(RuntimeError::ExternalData { tensor: tensor.name.clone() }),
    }
}

fn in_graph(graph: &GraphProto) -> Option<&TensorProto> {
    let initialisers = graph.initializer.iter().find(|t| is_external(t));
    let sparse = graph.sparse_initializer.iter();
    let mut sparse = sparse.flat_map(|s| s.values.iter().chain(&s.indices));
    initialisers
        .or_else(|| sparse.find(|t| is_external(t)))
        .or_else(|| graph.node.iter().flat_map(|n| &n.attribute).find_map(in_attribute))
}

fn in_attribute(attribute: &AttributeProto) -> Option<&TensorProto> {
    let tensors = attribute.t.iter().chain(&attribute.tensors);
    let graphs = attribute.g.iter().chain(&attribute.graphs);
    tensors.into_iter().find(|t| is_external(t)).or_else(|| graphs.into_iter().find_map(in_graph))
}

fn is_external(tensor: &TensorProto) -> bool {
    tensor.data_location == Some(DataLocation::External as i32) || !tensor.external_data.is_empty()
}
