//! From bytes that nobody vouches for to a network.
use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use prost::Message;

use crate::graph::Activation;
use crate::graph::Conv;
use crate::graph::Graph;
use crate::graph::Interpolation;
use crate::graph::Linear;
use crate::graph::MAX_NODES;
use crate::graph::Network;
use crate::graph::NodeId;
use crate::graph::Op;
use crate::graph::Params;
use crate::graph::Pool;
use crate::graph::Resize;
use crate::graph::Tensor;
use crate::graph::Weights;
use crate::graph::check_network;

use super::OPSET;
use super::OnnxError;
use super::attributes::Attributes;
use super::constants::Constants;
use super::error::shown;
use super::interface::ensure_output_shape;
use super::interface::input_shape;
use super::interface::output_name;
use super::proto::ModelProto;
use super::proto::NodeProto;
use super::scan::scan;

/// The network in the ONNX file `bytes`, if [`super::export`] could have written it.
///
/// It computes what the exported network computes; it has no dropout, no batch normalisation
/// that was folded, and ids of its own. `Sub` and `Mul` by constants are a `Normalize` again,
/// `x · Sigmoid(x)` is a `Silu`; a sum of many stays a chain.
///
/// Safe for files from anywhere: size, fields, nesting and memory are bounded before anything
/// is allocated; every other operator, attribute, data type or place for data is refused; each
/// constant must have exactly the bytes of its shape, and one reader. Never panics.
///
/// # Errors
///
/// What was refused, and where.
pub fn read(bytes: &[u8]) -> Result<Network, OnnxError> {
    let model = decode(bytes)?;
    ensure_opset(&model)?;
    let graph = model.graph.as_ref().ok_or(OnnxError::Refused("no graph at all"))?;
    ensure_few_nodes(graph.node.len())?;
    let (input, shape) = input_shape(graph)?;
    let mut reader = Reader {
        network: Network { graph: Graph::new(shape), weights: Weights::new() },
        constants: Constants::new(&graph.initializer)?,
        values: HashMap::new(),
    };
    reader.define(input, "input", Value::Node(reader.network.graph.input()))?;
    graph.node.iter().try_for_each(|node| reader.node(node))?;
    reader.end_with(output_name(graph)?)?;
    check_network(&reader.network)?;
    ensure_output_shape(graph, &reader.network.graph)?;
    Ok(reader.network)
}

/// The messages of `bytes`, after [`scan`].
pub(super) fn decode(bytes: &[u8]) -> Result<ModelProto, OnnxError> {
    scan(bytes)?;
    Ok(ModelProto::decode(bytes)?)
}

fn ensure_opset(model: &ModelProto) -> Result<(), OnnxError> {
    let imports = model.opset_import.iter().take(4);
    let found: Vec<(String, i64)> = imports.map(|o| (shown(o.domain()), o.version())).collect();
    match found.as_slice() {
        [(domain, OPSET)] if domain.is_empty() => Ok(()),
        _ => Err(OnnxError::WrongOpset { expected: OPSET, found }),
    }
}

fn ensure_few_nodes(found: usize) -> Result<(), OnnxError> {
    let (found, most) = (found as u64, MAX_NODES as u64);
    match found > most {
        true => Err(OnnxError::TooLarge { what: "nodes", found, most }),
        false => Ok(()),
    }
}

struct Reader<'a> {
    network: Network,
    constants: Constants<'a>,
    values: HashMap<&'a str, Value>,
}

/// What a name stands for.
#[derive(Clone)]
enum Value {
    Node(NodeId),
    /// A node minus a constant per channel: the first half of a `Normalize`.
    Centred(NodeId, Tensor),
}

impl<'a> Reader<'a> {
    fn define(&mut self, name: &'a str, node: &str, value: Value) -> Result<(), OnnxError> {
        match name.is_empty() || self.values.insert(name, value).is_some() {
            true => Err(unknown_value(node, name)),
            false => Ok(()),
        }
    }

    fn node(&mut self, node: &'a NodeProto) -> Result<(), OnnxError> {
        let mut attributes = Attributes::of(node);
        let value = self.value_of(node, &mut attributes)?;
        attributes.finish()?;
        match node.output.as_slice() {
            [output] if node.domain().is_empty() => self.define(output, node.name(), value),
            _ => Err(unexpected(node, "one output and ONNX's own domain")),
        }
    }

    fn value_of(
        &mut self,
        node: &'a NodeProto,
        attributes: &mut Attributes,
    ) -> Result<Value, OnnxError> {
        let op = match node.op_type() {
            "Identity" => return Ok(Value::Node(self.inputs::<1>(node)?[0])),
            "Sub" => return self.centre(node),
            "Mul" => return self.product(node),
            "Conv" => return self.conv(node, attributes),
            "BatchNormalization" => return self.batch_norm(node, attributes),
            "Gemm" => return self.linear(node, attributes),
            "Clip" => return self.clip(node),
            "Resize" => return self.resize(node, attributes),
            "Relu" => Op::Activation(Activation::Relu),
            "HardSwish" => Op::Activation(Activation::HardSwish),
            "Sigmoid" => Op::Activation(Activation::Sigmoid),
            "Add" => Op::Add,
            "Concat" => {
                attributes.ensure_size("axis", 1)?;
                Op::Concat
            }
            "MaxPool" => Op::MaxPool(pool(attributes)?),
            "AveragePool" => {
                attributes.ensure_size("count_include_pad", 0)?;
                Op::AvgPool(pool(attributes)?)
            }
            "GlobalAveragePool" => Op::GlobalAveragePool,
            "Flatten" => {
                attributes.ensure_size("axis", 1)?;
                Op::Flatten
            }
            other => {
                let (node, op_type) = (shown(node.name()), shown(other));
                return Err(OnnxError::UnknownOp { node, op_type });
            }
        };
        let inputs = (0..node.input.len()).map(|i| self.input(node, i));
        let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
        Ok(self.push(op, &inputs))
    }

    fn centre(&mut self, node: &NodeProto) -> Result<Value, OnnxError> {
        let source = self.input(node, 0)?;
        Ok(Value::Centred(source, self.per_channel(node)?))
    }

    /// `Mul` ends a `Normalize`, ends a `Silu`, or multiplies two values.
    fn product(&mut self, node: &NodeProto) -> Result<Value, OnnxError> {
        if let Some(Value::Centred(source, mean)) = self.values.get(name_of(node, 0)).cloned() {
            let mut std = self.per_channel(node)?;
            std.data.iter_mut().for_each(|s| *s = 1.0 / *s);
            return Ok(self.push_with(Op::Normalize, source, Params::Normalize { mean, std }));
        }
        let [left, right] = self.inputs(node)?;
        let gate = &self.network.graph.nodes()[right.0 as usize];
        match gate.op == Op::Activation(Activation::Sigmoid) && gate.inputs == [left] {
            true => Ok(self.push(Op::Activation(Activation::Silu), &[left])),
            false => Ok(self.push(Op::Mul, &[left, right])),
        }
    }

    fn conv(&mut self, node: &NodeProto, attributes: &mut Attributes) -> Result<Value, OnnxError> {
        let source = self.input(node, 0)?;
        let (weight, bias) = self.weight_and_bias(node)?;
        let conv = Conv {
            channels: weight.shape.first().copied().unwrap_or(0),
            kernel: attributes.sizes("kernel_shape")?,
            stride: attributes.sizes("strides")?,
            padding: attributes.padding()?,
            dilation: attributes.sizes("dilations")?,
            groups: attributes.size("group")?,
            bias: bias.is_some(),
        };
        Ok(self.push_with(Op::Conv(conv), source, Params::Conv { weight, bias }))
    }

    fn linear(
        &mut self,
        node: &NodeProto,
        attributes: &mut Attributes,
    ) -> Result<Value, OnnxError> {
        attributes.ensure_size("transB", 1)?;
        let source = self.input(node, 0)?;
        let (weight, bias) = self.weight_and_bias(node)?;
        let features = weight.shape.first().copied().unwrap_or(0);
        let linear = Linear { features, bias: bias.is_some() };
        Ok(self.push_with(Op::Linear(linear), source, Params::Linear { weight, bias }))
    }

    fn batch_norm(
        &mut self,
        node: &NodeProto,
        attributes: &mut Attributes,
    ) -> Result<Value, OnnxError> {
        ensure_inputs(node, 5..=5)?;
        let source = self.input(node, 0)?;
        let params = Params::BatchNorm {
            gamma: self.constants.floats(name_of(node, 1))?,
            beta: self.constants.floats(name_of(node, 2))?,
            mean: self.constants.floats(name_of(node, 3))?,
            variance: self.constants.floats(name_of(node, 4))?,
        };
        let epsilon = attributes.float("epsilon")?;
        Ok(self.push_with(Op::BatchNorm { epsilon }, source, params))
    }

    fn clip(&mut self, node: &NodeProto) -> Result<Value, OnnxError> {
        ensure_inputs(node, 3..=3)?;
        let source = self.input(node, 0)?;
        let low = self.constants.floats(name_of(node, 1))?;
        let high = self.constants.floats(name_of(node, 2))?;
        match low.data == [0.0] && high.data == [6.0] {
            true => Ok(self.push(Op::Activation(Activation::Relu6), &[source])),
            false => Err(unexpected(node, "the limits 0 and 6")),
        }
    }

    fn resize(
        &mut self,
        node: &NodeProto,
        attributes: &mut Attributes,
    ) -> Result<Value, OnnxError> {
        ensure_inputs(node, 4..=4)?;
        let source = self.input(node, 0)?;
        let [h, w] = self.constants.sizes(name_of(node, 3))?[..] else {
            return Err(unexpected(node, "two sizes"));
        };
        let axes = attributes.sizes("axes")? == [2, 3];
        let half_pixel = attributes.text("coordinate_transformation_mode") == b"half_pixel";
        let unscaled = name_of(node, 1).is_empty() && name_of(node, 2).is_empty();
        let interpolation = match (attributes.text("mode"), attributes.text("nearest_mode")) {
            (b"nearest", b"round_prefer_floor") => Some(Interpolation::Nearest),
            (b"linear", b"") => Some(Interpolation::Bilinear),
            _ => None,
        };
        let interpolation = interpolation.filter(|_| axes && half_pixel && unscaled);
        let interpolation = interpolation
            .ok_or_else(|| unexpected(node, "half-pixel sizes of height and width"))?;
        Ok(self.push(Op::Resize(Resize { size: [h, w], interpolation }), &[source]))
    }

    /// The constant of `node`'s second input, `[1, C, 1, 1]`, as a vector.
    fn per_channel(&mut self, node: &NodeProto) -> Result<Tensor, OnnxError> {
        ensure_inputs(node, 2..=2)?;
        let constant = self.constants.floats(name_of(node, 1))?;
        match constant.shape[..] {
            [1, _, 1, 1] => Ok(Tensor::vector(constant.data)),
            _ => Err(unexpected(node, "a constant per channel")),
        }
    }

    fn weight_and_bias(&mut self, node: &NodeProto) -> Result<(Tensor, Option<Tensor>), OnnxError> {
        ensure_inputs(node, 2..=3)?;
        let weight = self.constants.floats(name_of(node, 1))?;
        let bias = node.input.get(2).map(|name| self.constants.floats(name)).transpose()?;
        Ok((weight, bias))
    }

    /// The nodes that `node` reads, `N` exactly.
    fn inputs<const N: usize>(&self, node: &NodeProto) -> Result<[NodeId; N], OnnxError> {
        ensure_inputs(node, N..=N)?;
        let mut ids = [NodeId(0); N];
        for (i, id) in ids.iter_mut().enumerate() {
            *id = self.input(node, i)?;
        }
        Ok(ids)
    }

    fn input(&self, node: &NodeProto, i: usize) -> Result<NodeId, OnnxError> {
        match self.values.get(name_of(node, i)) {
            Some(&Value::Node(id)) => Ok(id),
            Some(Value::Centred(..)) | None => Err(unknown_value(node.name(), name_of(node, i))),
        }
    }

    fn push(&mut self, op: Op, inputs: &[NodeId]) -> Value {
        Value::Node(self.network.graph.push(op, inputs))
    }

    fn push_with(&mut self, op: Op, source: NodeId, params: Params) -> Value {
        let id = self.network.graph.push(op, &[source]);
        self.network.weights.insert(id, Arc::new(params));
        Value::Node(id)
    }

    /// Makes sure that `output` is the last node, and drops what does not lead to it: the
    /// sigmoid of each `Silu`.
    fn end_with(&mut self, output: &str) -> Result<(), OnnxError> {
        match self.values.get(output) {
            Some(&Value::Node(id)) if id == self.network.graph.output() => {
                self.network.graph.remove_unused();
                let Network { graph, weights } = &mut self.network;
                weights.retain(|&id, _| graph.node(id).is_some());
                Ok(())
            }
            _ => Err(unknown_value("output", output)),
        }
    }
}

fn pool(attributes: &mut Attributes) -> Result<Pool, OnnxError> {
    Ok(Pool {
        kernel: attributes.sizes("kernel_shape")?,
        stride: attributes.sizes("strides")?,
        padding: attributes.padding()?,
    })
}

/// Name of input `i`, empty if there is none.
fn name_of(node: &NodeProto, i: usize) -> &str {
    node.input.get(i).map_or("", String::as_str)
}

fn ensure_inputs(node: &NodeProto, count: RangeInclusive<usize>) -> Result<(), OnnxError> {
    match count.contains(&node.input.len()) {
        true => Ok(()),
        false => Err(unexpected(node, "as many inputs as its operator")),
    }
}

fn unexpected(node: &NodeProto, expected: &str) -> OnnxError {
    OnnxError::UnexpectedNode { node: shown(node.name()), expected: expected.to_owned() }
}

fn unknown_value(node: &str, value: &str) -> OnnxError {
    OnnxError::UnknownValue { node: shown(node), value: shown(value) }
}
