//! Architectures as rows that read earlier ones, to be drawn.
use std::collections::BTreeMap;

use crate::graph::Activation;
use crate::graph::Conv;
use crate::graph::Graph;
use crate::graph::Node;
use crate::graph::NodeId;
use crate::graph::Op;
use crate::graph::Pool;
use crate::graph::Shape;

/// An architecture, or one cell of it, from its input downwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawing {
    /// What it is, e.g. `normal cell`.
    pub title: String,
    /// In an order in which each reads only earlier ones.
    pub rows: Vec<Row>,
}

/// What is computed at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// In a few words.
    pub label: String,
    /// Size of the result, e.g. `16×8×8`; may be empty.
    pub size: String,
    /// Rows that are read, each once, in order.
    pub reads: Vec<usize>,
}

impl Drawing {
    /// A whole network: a row for each operation, normalisations and activations with what
    /// they follow.
    ///
    /// # Panics
    ///
    /// If the graph is not valid.
    pub fn of_graph(title: &str, graph: &Graph) -> Drawing {
        let shapes = graph.shapes().expect("G3: shapes agree");
        let mut rows: Vec<Row> = Vec::new();
        let mut row_of: BTreeMap<NodeId, usize> = BTreeMap::new();
        for node in graph.nodes() {
            let label = label(node);
            let size = size(shapes[&node.id]);
            let alone = |&input: &NodeId| graph.users(input).len() == 1;
            match node.inputs.first().filter(|input| follows(&node.op) && alone(input)) {
                Some(input) => {
                    let row = row_of[input];
                    let said = &mut rows[row];
                    if !label.is_empty() {
                        said.label = format!("{}, {label}", said.label);
                    }
                    said.size = size;
                    row_of.insert(node.id, row);
                }
                None => {
                    let mut reads: Vec<usize> = node.inputs.iter().map(|i| row_of[i]).collect();
                    reads.sort_unstable();
                    reads.dedup();
                    row_of.insert(node.id, rows.len());
                    rows.push(Row { label, size, reads });
                }
            }
        }
        Drawing { title: title.to_owned(), rows }
    }
}

/// Is it told with what it reads?
fn follows(op: &Op) -> bool {
    matches!(op, Op::Normalize | Op::BatchNorm { .. } | Op::Activation(_) | Op::Flatten)
}

fn size(shape: Shape) -> String {
    match shape {
        Shape::Image([c, h, w]) => format!("{c}×{h}×{w}"),
        Shape::Vector(n) => n.to_string(),
    }
}

/// Empty for what goes without saying.
fn label(node: &Node) -> String {
    match &node.op {
        Op::Input { .. } => "image".to_owned(),
        Op::Normalize | Op::Flatten => String::new(),
        Op::BatchNorm { .. } => "norm".to_owned(),
        Op::Conv(conv) => conv_label(conv),
        Op::Activation(activation) => activation_label(*activation).to_owned(),
        Op::Add => "add".to_owned(),
        Op::Mul => "multiply".to_owned(),
        Op::Concat => "join".to_owned(),
        Op::MaxPool(pool) => pool_label("max", pool),
        Op::AvgPool(pool) => pool_label("mean", pool),
        Op::GlobalAveragePool => "mean over the image".to_owned(),
        Op::Linear(_) => "linear".to_owned(),
        Op::Dropout { .. } => "dropout".to_owned(),
        Op::Resize(_) => "resize".to_owned(),
    }
}

fn conv_label(conv: &Conv) -> String {
    let kind = match conv.groups {
        1 => String::new(),
        groups if groups == conv.channels => " depthwise".to_owned(),
        groups => format!(" in {groups} groups"),
    };
    let apart = if conv.dilation == [1, 1] { "" } else { ", dilated" };
    format!("conv {}{kind}{apart}{}", sides(conv.kernel), stride(conv.stride))
}

fn pool_label(kind: &str, pool: &Pool) -> String {
    format!("{kind} {}{}", sides(pool.kernel), stride(pool.stride))
}

fn sides([height, width]: [usize; 2]) -> String {
    format!("{height}×{width}")
}

fn stride(stride: [usize; 2]) -> String {
    match stride {
        [1, 1] => String::new(),
        [y, x] if y == x => format!(", stride {y}"),
        [y, x] => format!(", stride {y}×{x}"),
    }
}

fn activation_label(activation: Activation) -> &'static str {
    match activation {
        Activation::Relu => "relu",
        Activation::Relu6 => "relu6",
        Activation::HardSwish => "hard-swish",
        Activation::Silu => "silu",
        Activation::Sigmoid => "sigmoid",
    }
}
