//! Two cells, normal and reduction, and the network that repeats them.
use crate::graph::Conv;
use crate::graph::Graph;
use crate::graph::Op;
use crate::graph::Pool;

use super::Drawing;
use super::Edge;
use super::Label;
use super::Row;
use super::Sketch;
use super::cell_text;
use super::parts;
use super::parts::Image;

/// Cells read the outputs of two cells before: 0 is that of the last but one, 1 that of the last.
pub(super) const INPUTS: usize = 2;
/// Most stages; a reduction cell between two.
const STAGES: usize = 3;

/// How large the networks of a space of cells are; the choices are the same at any size, so a cell
/// that was found in a small network can be transferred to a large one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// `[C, H, W]`.
    pub input: [usize; 3],
    /// Classes.
    pub classes: usize,
    /// Filters of each operation in the first stage (F); doubled by each reduction.
    pub width: usize,
    /// Normal cells in each stage (N), at least 1.
    pub repeats: usize,
}

/// What the parts of a block do, in the words of texts: the number is the side of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// Nothing; a 1×1 convolution where the shape must change.
    Skip,
    /// ReLU, convolution.
    Conv(usize),
    /// ReLU, convolution 1×k; ReLU, convolution k×1.
    Pair(usize),
    /// Twice: ReLU, depthwise k×k, 1×1.
    Separable(usize),
    /// ReLU, depthwise k×k with taps 2 apart, 1×1.
    Dilated(usize),
    /// Largest of k×k.
    Max(usize),
    /// Mean of k×k.
    Mean(usize),
}

impl Operation {
    pub fn name(self) -> String {
        match self {
            Operation::Skip => "skip".to_owned(),
            Operation::Conv(k) => format!("conv{k}"),
            Operation::Pair(k) => format!("pair{k}"),
            Operation::Separable(k) => format!("sep{k}"),
            Operation::Dilated(k) => format!("dil{k}"),
            Operation::Max(k) => format!("max{k}"),
            Operation::Mean(k) => format!("avg{k}"),
        }
    }

    fn push(self, graph: &mut Graph, from: Image, channels: usize, stride: usize) -> Image {
        let step = [stride; 2];
        match self {
            Operation::Skip if stride == 1 && from.channels == channels => from,
            Operation::Skip => shaped(graph, from, channels, stride),
            Operation::Conv(k) => {
                from.relu(graph).conv_norm(graph, Conv { stride: step, ..Conv::same(channels, k) })
            }
            Operation::Pair(k) => {
                let along = Conv { stride: [1, stride], ..same([1, k], channels) };
                let down = Conv { stride: [stride, 1], ..same([k, 1], channels) };
                let at = from.relu(graph).conv_norm(graph, along);
                at.relu(graph).conv_norm(graph, down)
            }
            Operation::Separable(k) => {
                let first = Conv { stride: step, ..Conv::depthwise(from.channels, k) };
                let at = depthwise(graph, from, first, channels);
                depthwise(graph, at, Conv::depthwise(channels, k), channels)
            }
            Operation::Dilated(k) => {
                let padding = [2 * (k / 2); 2];
                let plain = Conv::depthwise(from.channels, k);
                let apart = Conv { stride: step, padding, dilation: [2; 2], ..plain };
                depthwise(graph, from, apart, channels)
            }
            Operation::Max(k) => {
                pooled(graph, from, Op::MaxPool(pool(k, stride)), channels, stride)
            }
            Operation::Mean(k) => {
                pooled(graph, from, Op::AvgPool(pool(k, stride)), channels, stride)
            }
        }
    }
}

fn same(kernel: [usize; 2], channels: usize) -> Conv {
    Conv { kernel, padding: kernel.map(|side| side / 2), ..Conv::same(channels, 1) }
}

fn pool(kernel: usize, stride: usize) -> Pool {
    Pool { kernel: [kernel; 2], stride: [stride; 2], padding: [kernel / 2; 2] }
}

/// ReLU, `conv`, which is depthwise, a 1×1 convolution to `channels`, normalisation.
fn depthwise(graph: &mut Graph, from: Image, conv: Conv, channels: usize) -> Image {
    let size = from.size.map(|side| side.div_ceil(conv.stride[0]));
    let at = parts::relu(graph, from.node);
    let node = graph.push(Op::Conv(conv), &[at]);
    Image { node, channels: conv.channels, size }.conv_norm(graph, Conv::same(channels, 1))
}

/// A pooling, and a 1×1 convolution if the channels must change.
fn pooled(graph: &mut Graph, from: Image, op: Op, channels: usize, stride: usize) -> Image {
    let node = graph.push(op, &[from.node]);
    let at = Image { node, size: from.size.map(|side| side.div_ceil(stride)), ..from };
    match at.channels == channels {
        true => at,
        false => at.conv_norm(graph, Conv::same(channels, 1)),
    }
}

/// ReLU, 1×1 convolution; of the mean where it halves.
///
/// The sources read every second pixel there, DARTS with two convolutions to half the channels of
/// pixels that lie one apart; a mean sees all pixels too, with as many parameters.
fn shaped(graph: &mut Graph, from: Image, channels: usize, stride: usize) -> Image {
    let at = from.relu(graph);
    let at = if stride == 1 { at } else { at.halved(graph) };
    at.conv_norm(graph, Conv::same(channels, 1))
}

/// How two parts become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Combine {
    Add,
    Concat,
}

/// Two operations, each on an input of the cell or on an earlier block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// What is read, by its place, and what is done to it.
    pub parts: [(usize, Operation); 2],
    pub combine: Combine,
}

/// Blocks and which of them, by their places, are joined to the output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub blocks: Vec<Block>,
    pub output: Vec<usize>,
}

impl Cell {
    /// The cell whose output is of all blocks that no other reads.
    pub fn of_unread(blocks: Vec<Block>) -> Cell {
        let read = |place| blocks.iter().any(|b| b.parts.iter().any(|(from, _)| *from == place));
        let places = INPUTS..INPUTS + blocks.len();
        let output = places.filter(|&place| !read(place)).collect();
        Cell { blocks, output }
    }

    /// Is each of the two inputs read?
    pub fn reads(&self) -> [bool; INPUTS] {
        let parts = || self.blocks.iter().flat_map(|block| block.parts);
        [0, 1].map(|input| parts().any(|(from, _)| from == input))
    }

    /// `operations` are those of the space.
    pub fn sketch(&self, operations: &[Operation]) -> Sketch {
        let computing = || operations.iter().filter(|operation| **operation != Operation::Skip);
        let label = |operation| match computing().position(|o| *o == operation) {
            Some(number) => Label::Operation(number),
            None => Label::Identity,
        };
        let mut edges = Vec::new();
        for (block, to) in self.blocks.iter().zip(INPUTS..) {
            let parts = block.parts.iter();
            edges.extend(parts.map(|&(from, op)| Edge { from, to, label: label(op) }));
        }
        let to = INPUTS + self.blocks.len();
        let output = self.output.iter();
        edges.extend(output.map(|&from| Edge { from, to, label: Label::Identity }));
        Sketch { inputs: INPUTS, places: to + 1, edges, operations: computing().count() }
    }

    /// Places with their numbers and what is done there.
    fn drawing(&self, title: &str) -> Drawing {
        let row = |label: String, mut reads: Vec<usize>| {
            reads.sort_unstable();
            reads.dedup();
            Row { label, size: String::new(), reads }
        };
        let inputs = ["0: last cell but one", "1: last cell"];
        let mut rows: Vec<Row> = inputs.map(|label| row(label.to_owned(), Vec::new())).into();
        for block in &self.blocks {
            let label = format!("{}: {}", rows.len(), cell_text::block(block));
            rows.push(row(label, block.parts.map(|(from, _)| from).into()));
        }
        let joined: Vec<String> = self.output.iter().map(usize::to_string).collect();
        rows.push(row(format!("output: {}", joined.join(" & ")), self.output.clone()));
        Drawing { title: title.to_owned(), rows }
    }

    /// Appends the cell behind two images, `stride` from the second on.
    fn push(&self, graph: &mut Graph, inputs: [Image; 2], channels: usize, stride: usize) -> Image {
        let mut places = self.prepared(graph, inputs, channels);
        for block in &self.blocks {
            let [one, other] = block.parts.map(|(from, operation)| {
                let stride = if from < INPUTS { stride } else { 1 };
                let from = places[from].expect("what a block reads is prepared");
                operation.push(graph, from, channels, stride)
            });
            let terms = [one.node, other.node];
            places.push(Some(match block.combine {
                Combine::Add => Image { node: graph.push(Op::Add, &terms), ..one },
                Combine::Concat => {
                    Image { node: graph.push(Op::Concat, &terms), channels: 2 * channels, ..one }
                }
            }));
        }
        let joined: Vec<Image> = self.output.iter().filter_map(|&place| places[place]).collect();
        let channels = joined.iter().map(|image| image.channels).sum();
        let nodes: Vec<_> = joined.iter().map(|image| image.node).collect();
        match nodes[..] {
            [_] => joined[0],
            _ => Image { node: graph.push(Op::Concat, &nodes), channels, ..joined[0] },
        }
    }

    /// The inputs that are read, with the cell's channels and as large as the second one.
    fn prepared(
        &self,
        graph: &mut Graph,
        [before, last]: [Image; 2],
        channels: usize,
    ) -> Vec<Option<Image>> {
        let reads = self.reads();
        let stride = if before.size == last.size { 1 } else { 2 };
        let inputs = [(before, stride), (last, 1)].into_iter().zip(reads);
        let shape = |((image, stride), read): (_, bool)| {
            read.then(|| shaped(graph, image, channels, stride))
        };
        inputs.map(shape).collect()
    }
}

/// The two cells of a member.
pub(super) struct Cells {
    pub normal: Cell,
    pub reduction: Cell,
}

impl Cells {
    pub fn drawings(&self) -> Vec<Drawing> {
        vec![self.normal.drawing("normal cell"), self.reduction.drawing("reduction cell")]
    }
}

impl Scale {
    /// Is each cell of the network a reduction, in order?
    fn reductions(&self) -> Vec<bool> {
        let stages = parts::stages(self.input, STAGES);
        let normal = vec![false; self.repeats.max(1)];
        vec![normal; stages].join(&true)
    }

    /// Is there a reduction cell at all? However many cells there are: what a member says must not depend on
    /// the size of its network. (Where normal cells read the last but one alone, an odd number of them
    /// passes by the reductions.)
    pub(super) fn has_reductions(&self) -> bool {
        parts::stages(self.input, STAGES) > 1
    }

    /// A 3×3 convolution to three times the width, then `repeats` normal cells, a reduction cell
    /// with twice the filters, and so on, at most two reductions and none that the image has no room
    /// for; then the mean over the image and a linear layer.
    pub(super) fn network(&self, cells: &Cells) -> Graph {
        let mut graph = Graph::new(self.input);
        let image = Image::first(&mut graph, self.input);
        let stem = image.conv_norm(&mut graph, Conv::same(3 * self.width, 3));
        let (mut before, mut last) = (stem, stem);
        let mut channels = self.width;
        for is_reduction in self.reductions() {
            let (cell, stride) = match is_reduction {
                true => (&cells.reduction, 2),
                false => (&cells.normal, 1),
            };
            channels *= stride;
            let next = cell.push(&mut graph, [before, last], channels, stride);
            (before, last) = (last, next);
        }
        parts::classify(&mut graph, last.node, self.classes);
        graph.remove_unused();
        graph
    }
}
