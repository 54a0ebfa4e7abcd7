//! The cells of DARTS.
use crate::graph::Graph;

use super::ChoiceError;
use super::ChoiceSpace;
use super::Choices;
use super::Drawing;
use super::Scale;
use super::Sketch;
use super::cell::Block;
use super::cell::Cell;
use super::cell::Cells;
use super::cell::Combine;
use super::cell::INPUTS;
use super::cell::Operation;
use super::cell_text;

/// The source's, in its order; `none` is only for its supernet.
const OPERATIONS: [Operation; 7] = [
    Operation::Max(3),
    Operation::Mean(3),
    Operation::Skip,
    Operation::Separable(3),
    Operation::Separable(5),
    Operation::Dilated(3),
    Operation::Dilated(5),
];

/// Nodes of a cell.
const NODES: usize = 4;
/// Decisions of a node: which two it reads, and the operations on them.
const DECISIONS: usize = 3;
/// Pairs of two inputs and the nodes before.
const OPTIONS: [usize; 2 * NODES * DECISIONS] = {
    let node = [[1, 7, 7], [3, 7, 7], [6, 7, 7], [10, 7, 7]];
    let mut options = [0; 2 * NODES * DECISIONS];
    let mut at = 0;
    while at < options.len() {
        options[at] = node[at / DECISIONS % NODES][at % DECISIONS];
        at += 1;
    }
    options
};

/// A normal and a reduction cell, each of four nodes that add up two operations of seven, on two
/// different ones of the two cells before and the earlier nodes. All nodes are joined to the
/// cell's output. (180 · 7⁸)² ≈ 10¹⁸ members, all different but for the order of nodes.
///
/// Repair resets the reduction cell where no image is left to reduce.
///
/// # Source
///
/// Liu, Simonyan, Yang, *DARTS: Differentiable Architecture Search*, ICLR 2019; its networks on
/// CIFAR have 20 cells, which are 6 repeats, and width 36.
#[derive(Clone, Debug)]
pub struct Darts {
    /// Size of the networks.
    pub scale: Scale,
}

impl ChoiceSpace for Darts {
    fn name(&self) -> &str {
        "darts-cells"
    }

    fn options(&self) -> &[usize] {
        &OPTIONS
    }

    fn repair(&self, choices: &mut Choices) {
        if !self.scale.has_reductions() {
            choices[NODES * DECISIONS..].fill(0);
        }
    }

    fn sketches(&self, choices: &Choices) -> Vec<Sketch> {
        let cells = cells(choices);
        vec![cells.normal.sketch(&OPERATIONS), cells.reduction.sketch(&OPERATIONS)]
    }

    fn drawings(&self, choices: &Choices) -> Vec<Drawing> {
        cells(choices).drawings()
    }

    fn build(&self, choices: &Choices) -> Option<Graph> {
        Some(self.scale.network(&cells(choices)))
    }

    /// Normal and reduction cell as `sep3(0)+sep3(1) skip(0)+dil3(2) … / …`: operations, each with
    /// what it reads (0 the last cell but one, 1 the last, 2 the first node, …).
    fn text(&self, choices: &Choices) -> String {
        cell_text::write(&cells(choices))
    }

    fn parse(&self, text: &str) -> Result<Choices, ChoiceError> {
        let cells = cell_text::read(text, NODES, &OPERATIONS)?;
        let nodes = cells.iter().flatten().map(|block| {
            let wanted = "a sum of operations on two different places".to_owned();
            let found = || cell_text::block(block);
            choices_of(block).ok_or_else(|| ChoiceError::Text { found: found(), wanted })
        });
        self.checked(nodes.collect::<Result<Vec<_>, _>>()?.concat())
    }
}

/// All pairs of places that a node may read, by their numbers; those of later nodes begin alike.
fn pairs() -> impl Iterator<Item = [usize; 2]> {
    (1..INPUTS + NODES - 1).flat_map(|b| (0..b).map(move |a| [a, b]))
}

fn cells(choices: &Choices) -> Cells {
    let (normal, reduction) = choices.split_at(NODES * DECISIONS);
    let cell = |choices: &[u8]| Cell {
        blocks: choices.chunks_exact(DECISIONS).map(node).collect(),
        output: (INPUTS..INPUTS + NODES).collect(),
    };
    Cells { normal: cell(normal), reduction: cell(reduction) }
}

fn node(choices: &[u8]) -> Block {
    let [a, b] = pairs().nth(usize::from(choices[0])).expect("a pair that the node has");
    let operation = |at: usize| OPERATIONS[usize::from(choices[at])];
    Block { parts: [(a, operation(1)), (b, operation(2))], combine: Combine::Add }
}

/// `None` for what a node cannot be.
fn choices_of(node: &Block) -> Option<[u8; DECISIONS]> {
    let mut parts = node.parts;
    parts.sort_by_key(|(from, _)| *from);
    let [(a, one), (b, other)] = parts;
    let pair = pairs().position(|pair| pair == [a, b])?;
    let number = |operation| OPERATIONS.iter().position(|o| *o == operation);
    let is_sum = node.combine == Combine::Add;
    is_sum.then_some([pair as u8, number(one)? as u8, number(other)? as u8])
}
