//! From a network to the bytes of an ONNX file.
use std::collections::BTreeMap;

use prost::Message;

use crate::graph::Activation;
use crate::graph::Interpolation;
use crate::graph::Network;
use crate::graph::Node;
use crate::graph::NodeId;
use crate::graph::Op;
use crate::graph::Params;
use crate::graph::Resize;

use super::IR_VERSION;
use super::OPSET;
use super::fold;
use super::message::avg_pool_attributes;
use super::message::conv_attributes;
use super::message::float;
use super::message::floats_tensor;
use super::message::int;
use super::message::ints;
use super::message::ints_tensor;
use super::message::pool_attributes;
use super::message::text;
use super::message::value_info;
use super::proto::AttributeProto;
use super::proto::GraphProto;
use super::proto::ModelProto;
use super::proto::NodeProto;
use super::proto::OperatorSetIdProto;
use super::proto::StringStringEntryProto;

/// Name of the input of every exported model: `float32 [N, C, H, W]`, values as the data set
/// has them.
pub const INPUT: &str = "input";
/// Name of the output of every exported model: `float32`, one row a sample.
pub const OUTPUT: &str = "output";

/// How many samples a model takes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batch {
    /// Exactly so many; runtimes plan best for a known shape.
    Fixed(usize),
    /// Any number, the symbol `N`.
    Any,
}

/// What an exported model says besides the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportOptions {
    /// Samples at once.
    pub batch: Batch,
    /// Written into the file's `metadata_props`, in the order of the keys.
    pub metadata: BTreeMap<String, String>,
}

impl Default for ExportOptions {
    /// One sample, as it is measured; no metadata.
    fn default() -> Self {
        ExportOptions { batch: Batch::Fixed(1), metadata: BTreeMap::new() }
    }
}

/// The ONNX file of `network`, folded by [`fold`]; the same network and options give the same
/// bytes.
///
/// Nodes are named after their id and operation (`n12_Conv`), constants after their node
/// (`n12_Conv.weight`). `Normalize` becomes `Sub` and `Mul`, `Silu` becomes `Sigmoid` and
/// `Mul`, `Relu6` becomes `Clip`, and a sum of many a chain of `Add`.
///
/// # Panics
///
/// If the network is not valid ([`crate::graph::check_network`]).
pub fn export(network: &Network, options: &ExportOptions) -> Vec<u8> {
    let network = fold(network);
    let shapes = network.graph.shapes().expect("G3: shapes agree");
    let (input, output) = (shapes[&network.graph.input()], shapes[&network.graph.output()]);
    let values = value_names(&network);
    let mut writer = Writer { network: &network, values, written: GraphProto::default() };
    network.graph.nodes().iter().for_each(|node| writer.node(node));
    let graph = GraphProto {
        name: Some("network".to_owned()),
        input: vec![value_info(INPUT, options.batch, input)],
        output: vec![value_info(OUTPUT, options.batch, output)],
        ..writer.written
    };
    let opset = OperatorSetIdProto { domain: Some(String::new()), version: Some(OPSET) };
    let model = ModelProto {
        ir_version: Some(IR_VERSION),
        producer_name: Some(env!("CARGO_PKG_NAME").to_owned()),
        producer_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        opset_import: vec![opset],
        graph: Some(graph),
        metadata_props: options.metadata.iter().map(entry).collect(),
        ..ModelProto::default()
    };
    model.encode_to_vec()
}

fn entry((key, value): (&String, &String)) -> StringStringEntryProto {
    StringStringEntryProto { key: Some(key.clone()), value: Some(value.clone()) }
}

struct Writer<'a> {
    network: &'a Network,
    values: BTreeMap<NodeId, String>,
    written: GraphProto,
}

impl Writer<'_> {
    fn node(&mut self, node: &Node) {
        let (op_type, attributes) = match &node.op {
            Op::Input { .. } => return self.input(node),
            Op::Normalize => return self.normalize(node),
            Op::Activation(f) => return self.activation(*f, node),
            Op::Add => return self.sum(node),
            Op::Resize(resize) => return self.resize(resize, node),
            Op::Conv(conv) => ("Conv", conv_attributes(conv)),
            Op::BatchNorm { epsilon } => ("BatchNormalization", vec![float("epsilon", *epsilon)]),
            Op::Mul => ("Mul", vec![]),
            Op::Concat => ("Concat", vec![int("axis", 1)]),
            Op::MaxPool(pool) => ("MaxPool", pool_attributes(pool)),
            Op::AvgPool(pool) => ("AveragePool", avg_pool_attributes(pool)),
            Op::GlobalAveragePool => ("GlobalAveragePool", vec![]),
            Op::Flatten => ("Flatten", vec![int("axis", 1)]),
            Op::Linear(_) => ("Gemm", vec![int("transB", 1)]),
            Op::Dropout { .. } => unreachable!("folding removes dropout"),
        };
        let mut inputs = self.inputs(node);
        inputs.extend(self.params(node));
        self.push(op_type, &name(node), inputs, &self.value(node.id), attributes);
    }

    /// Nothing, unless the network is its own input: ONNX wants a node for the output.
    fn input(&mut self, node: &Node) {
        if self.network.graph.output() == node.id {
            self.push("Identity", &name(node), vec![INPUT.to_owned()], OUTPUT, vec![]);
        }
    }

    fn normalize(&mut self, node: &Node) {
        let name = name(node);
        let Params::Normalize { mean, std } = self.network.params(node.id) else {
            unreachable!("G6: the constants of a normalisation")
        };
        let shape = [1, mean.data.len(), 1, 1];
        let scale: Vec<f32> = std.data.iter().map(|s| 1.0 / s).collect();
        let mut inputs = self.inputs(node);
        inputs.push(self.floats(&format!("{name}.mean"), &shape, &mean.data));
        let centred = format!("{name}_Sub");
        self.push("Sub", &centred, inputs, &centred, vec![]);
        let inputs = vec![centred, self.floats(&format!("{name}.scale"), &shape, &scale)];
        self.push("Mul", &name, inputs, &self.value(node.id), vec![]);
    }

    fn activation(&mut self, f: Activation, node: &Node) {
        let name = name(node);
        let output = self.value(node.id);
        let mut inputs = self.inputs(node);
        let op_type = match f {
            Activation::Relu => "Relu",
            Activation::HardSwish => "HardSwish",
            Activation::Sigmoid => "Sigmoid",
            Activation::Relu6 => {
                inputs.push(self.floats(&format!("{name}.min"), &[], &[0.0]));
                inputs.push(self.floats(&format!("{name}.max"), &[], &[6.0]));
                "Clip"
            }
            Activation::Silu => {
                let gate = format!("{name}_Sigmoid");
                self.push("Sigmoid", &gate, inputs.clone(), &gate, vec![]);
                inputs.push(gate);
                "Mul"
            }
        };
        self.push(op_type, &name, inputs, &output, vec![]);
    }

    /// Runtimes fuse `Add` with what precedes it; few know the n-ary `Sum` as well.
    fn sum(&mut self, node: &Node) {
        let name = name(node);
        let inputs = self.inputs(node);
        let (last, rest) = inputs[1..].split_last().expect("G3: a sum has two inputs or more");
        let mut sum = inputs[0].clone();
        for (i, next) in rest.iter().enumerate() {
            let partial = format!("{name}_{i}");
            self.push("Add", &partial, vec![sum, next.clone()], &partial, vec![]);
            sum = partial;
        }
        self.push("Add", &name, vec![sum, last.clone()], &self.value(node.id), vec![]);
    }

    fn resize(&mut self, resize: &Resize, node: &Node) {
        let name = name(node);
        let sizes = format!("{name}.sizes");
        self.written.initializer.push(ints_tensor(&sizes, &resize.size));
        let mut inputs = self.inputs(node);
        inputs.extend([String::new(), String::new(), sizes]);
        let mut attributes =
            vec![ints("axes", &[2, 3]), text("coordinate_transformation_mode", "half_pixel")];
        match resize.interpolation {
            Interpolation::Nearest => {
                attributes.push(text("mode", "nearest"));
                attributes.push(text("nearest_mode", "round_prefer_floor"));
            }
            Interpolation::Bilinear => attributes.push(text("mode", "linear")),
        }
        self.push("Resize", &name, inputs, &self.value(node.id), attributes);
    }

    /// Writes the parameters of `node` and gives their names, in ONNX's order.
    fn params(&mut self, node: &Node) -> Vec<String> {
        let network = self.network;
        let Some(params) = network.weights.get(&node.id) else { return vec![] };
        let tensors = params.tensors().into_iter();
        let named = tensors.map(|(part, tensor)| (format!("{}.{part}", name(node)), tensor));
        named.map(|(name, tensor)| self.floats(&name, &tensor.shape, &tensor.data)).collect()
    }

    /// Writes a constant and gives its name back.
    fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        self.written.initializer.push(floats_tensor(name, shape, values));
        name.to_owned()
    }

    fn push(
        &mut self,
        op_type: &str,
        name: &str,
        input: Vec<String>,
        output: &str,
        attribute: Vec<AttributeProto>,
    ) {
        self.written.node.push(NodeProto {
            op_type: Some(op_type.to_owned()),
            name: Some(name.to_owned()),
            input,
            output: vec![output.to_owned()],
            attribute,
            ..NodeProto::default()
        });
    }

    fn inputs(&self, node: &Node) -> Vec<String> {
        node.inputs.iter().map(|&i| self.value(i)).collect()
    }

    /// Name of the value of `id`.
    fn value(&self, id: NodeId) -> String {
        self.values[&id].clone()
    }
}

fn value_names(network: &Network) -> BTreeMap<NodeId, String> {
    let nodes = network.graph.nodes().iter();
    let mut names: BTreeMap<NodeId, String> = nodes.map(|n| (n.id, name(n))).collect();
    names.insert(network.graph.output(), OUTPUT.to_owned());
    names.insert(network.graph.input(), INPUT.to_owned());
    names
}

fn name(node: &Node) -> String {
    format!("{}_{}", node.id, node.op.name())
}
