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
use tract_onnx::pb::NodeProto;
use tract_onnx::pb::TensorProto;
use tract_onnx::pb::TrainingInfoProto;
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
    match in_model(&proto) {
        None => Ok(proto),
        Some(tensor) => Err(RuntimeError::ExternalData { tensor: tensor.name.clone() }),
    }
}

fn in_model(model: &ModelProto) -> Option<&TensorProto> {
    let graph = model.graph.as_ref().and_then(in_graph);
    graph
        .or_else(|| in_nodes(model.functions.iter().flat_map(|function| &function.node)))
        .or_else(|| model.training_info.iter().find_map(in_training))
}

fn in_training(info: &TrainingInfoProto) -> Option<&TensorProto> {
    info.initialization.iter().chain(&info.algorithm).find_map(in_graph)
}

fn in_graph(graph: &GraphProto) -> Option<&TensorProto> {
    let initialisers = graph.initializer.iter().find(|t| is_external(t));
    let sparse = graph.sparse_initializer.iter();
    let mut sparse = sparse.flat_map(|s| s.values.iter().chain(&s.indices));
    initialisers.or_else(|| sparse.find(|t| is_external(t))).or_else(|| in_nodes(&graph.node))
}

fn in_nodes<'a>(nodes: impl IntoIterator<Item = &'a NodeProto>) -> Option<&'a TensorProto> {
    nodes.into_iter().flat_map(|node| &node.attribute).find_map(in_attribute)
}

fn in_attribute(attribute: &AttributeProto) -> Option<&TensorProto> {
    let sparse = attribute.sparse_tensor.iter().chain(&attribute.sparse_tensors);
    let sparse = sparse.flat_map(|s| s.values.iter().chain(&s.indices));
    let mut tensors = attribute.t.iter().chain(&attribute.tensors).chain(sparse);
    let mut graphs = attribute.g.iter().chain(&attribute.graphs);
    tensors.find(|t| is_external(t)).or_else(|| graphs.find_map(in_graph))
}

fn is_external(tensor: &TensorProto) -> bool {
    tensor.data_location == Some(DataLocation::External as i32) || !tensor.external_data.is_empty()
}
