//! Weights as safetensors: the blob beside each trained candidate.
use std::collections::BTreeMap;
use std::sync::Arc;

use safetensors::Dtype;
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

use crate::graph::Graph;
use crate::graph::GraphError;
use crate::graph::Network;
use crate::graph::NodeId;
use crate::graph::Params;
use crate::graph::Tensor;
use crate::graph::Weights;
use crate::graph::check_network;

/// Why bytes are not the weights of a graph.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// Not safetensors.
    #[error("the weights are damaged")]
    Format(#[from] safetensors::SafeTensorError),
    /// A tensor has a name or type that we do not write.
    #[error("tensor `{0}` is not one that citronade writes")]
    Unexpected(String),
    /// They do not fit the graph.
    #[error("the weights do not fit the graph")]
    Graph(#[from] GraphError),
}

/// The weights of `network`, tensors named `n12.weight`.
pub fn to_bytes(network: &Network) -> Vec<u8> {
    let mut tensors = Vec::new();
    for (id, params) in &network.weights {
        for (name, tensor) in params.tensors() {
            let bytes: Vec<u8> = tensor.data.iter().flat_map(|x| x.to_le_bytes()).collect();
            tensors.push((format!("{id}.{name}"), tensor.shape.clone(), bytes));
        }
    }
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
        (name.as_str(), view.expect("as many bytes as the shape asks for"))
    });
    safetensors::serialize(views, None).expect("tensors of known sizes serialise")
}

/// The network of `graph` with these weights.
///
/// # Errors
///
/// [`WeightsError`] for bytes that are damaged or belong to another graph.
pub fn from_bytes(graph: &Graph, bytes: &[u8]) -> Result<Network, WeightsError> {
    let file = SafeTensors::deserialize(bytes)?;
    let mut by_node: BTreeMap<NodeId, BTreeMap<String, Tensor>> = BTreeMap::new();
    for (name, view) in file.tensors() {
        let unexpected = || WeightsError::Unexpected(name.clone());
        let (node, field) = name.split_once('.').ok_or_else(unexpected)?;
        let id = node.strip_prefix('n').and_then(|n| n.parse().ok()).ok_or_else(unexpected)?;
        if view.dtype() != Dtype::F32 {
            return Err(unexpected());
        }
        let (values, _) = view.data().as_chunks::<4>();
        let data = values.iter().map(|b| f32::from_le_bytes(*b)).collect();
        let tensor = Tensor { shape: view.shape().to_vec(), data };
        by_node.entry(NodeId(id)).or_default().insert(field.to_owned(), tensor);
    }
    let mut weights = Weights::new();
    for (id, tensors) in by_node {
        let node = graph.node(id).ok_or_else(|| WeightsError::Unexpected(id.to_string()))?;
        let params = Params::from_tensors(&node.op, tensors);
        let params = params.ok_or_else(|| WeightsError::Unexpected(id.to_string()))?;
        weights.insert(id, Arc::new(params));
    }
    let network = Network { graph: graph.clone(), weights };
    check_network(&network)?;
    Ok(network)
}
