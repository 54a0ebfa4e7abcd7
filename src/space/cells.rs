//! The cells of NASNet.
use crate::graph::Graph;

use super::ChoiceError;
use super::ChoiceSpace;
use super::Choices;
use super::Drawing;
use super::Scale;
use super::Sketch;
use super::cell;
use super::cell::Block;
use super::cell::Cell;
use super::cell::Combine;
use super::cell::INPUTS;
use super::cell::Operation;
use super::cell_text;

const OPERATIONS: [Operation; 13] = [
    Operation::Skip,
    Operation::Conv(1),
    Operation::Conv(3),
    Operation::Pair(3),
    Operation::Pair(7),
    Operation::Dilated(3),
    Operation::Mean(3),
    Operation::Max(3),
    Operation::Max(5),
    Operation::Max(7),
    Operation::Separable(3),
    Operation::Separable(5),
    Operation::Separable(7),
];

/// Decisions of a block: what one part reads, what it does, the same of the other, how they become
/// one.
const DECISIONS: usize = 5;

/// A normal and a reduction cell, each of some blocks: two of 13 operations, on outputs of the two
/// cells before or on earlier blocks, added or joined. Blocks that no other reads are joined to
/// the cell's output. For 5 blocks 5 · 10³⁶ vectors of choices.
///
/// Repair orders the two parts of a block, whose order means nothing (of a joined block: only which
/// channels come first), and resets the reduction cell where no image is left to reduce. Cells that
/// differ in the order of their blocks alone stay apart.
///
/// # Source
///
/// Zoph, Vasudevan, Shlens, Le, *Learning Transferable Architectures for Scalable Image
/// Recognition*, CVPR 2018, with its operations; the dilated convolution is depthwise and the
/// stem that of CIFAR. Its best network on CIFAR has 5 blocks, 6 repeats and width 32.
#[derive(Clone, Debug)]
pub struct NasNet {
    /// Size of the networks.
    pub scale: Scale,
    options: Vec<usize>,
}

impl NasNet {
    /// The space of cells of so many blocks, at least 1.
    pub fn new(scale: Scale, blocks: usize) -> NasNet {
        let n = OPERATIONS.len();
        let cell = (INPUTS..INPUTS + blocks.max(1)).flat_map(|places| [places, n, places, n, 2]);
        let cell: Vec<usize> = cell.collect();
        NasNet { scale, options: [&cell[..], &cell].concat() }
    }

    fn blocks(&self) -> usize {
        self.options.len() / (2 * DECISIONS)
    }

    fn cells(&self, choices: &Choices) -> cell::Cells {
        let (normal, reduction) = choices.split_at(choices.len() / 2);
        let cell =
            |choices: &[u8]| Cell::of_unread(choices.chunks_exact(DECISIONS).map(block).collect());
        cell::Cells { normal: cell(normal), reduction: cell(reduction) }
    }
}

fn block(choices: &[u8]) -> Block {
    let part = |at: usize| (usize::from(choices[at]), OPERATIONS[usize::from(choices[at + 1])]);
    let combine = if choices[4] == 0 { Combine::Add } else { Combine::Concat };
    Block { parts: [part(0), part(2)], combine }
}

fn choices_of(block: &Block) -> [u8; DECISIONS] {
    let number = |operation| OPERATIONS.iter().position(|o| *o == operation).unwrap_or(0) as u8;
    let [(a, one), (b, other)] = block.parts;
    [a as u8, number(one), b as u8, number(other), u8::from(block.combine == Combine::Concat)]
}

impl ChoiceSpace for NasNet {
    fn name(&self) -> &str {
        "cells"
    }

    fn options(&self) -> &[usize] {
        &self.options
    }

    fn repair(&self, choices: &mut Choices) {
        for block in choices.chunks_exact_mut(DECISIONS) {
            if block[..2] > block[2..4] {
                block[..4].rotate_left(2);
            }
        }
        if !self.scale.has_reductions() {
            let half = choices.len() / 2;
            choices[half..].fill(0);
        }
    }

    fn sketches(&self, choices: &Choices) -> Vec<Sketch> {
        let cells = self.cells(choices);
        vec![cells.normal.sketch(&OPERATIONS), cells.reduction.sketch(&OPERATIONS)]
    }

    fn drawings(&self, choices: &Choices) -> Vec<Drawing> {
        self.cells(choices).drawings()
    }

    fn build(&self, choices: &Choices) -> Option<Graph> {
        Some(self.scale.network(&self.cells(choices)))
    }

    /// Normal and reduction cell as `max3(0)+sep3(1) skip(1)&sep5(2) / …`: operations, each with
    /// what it reads (0 the last cell but one, 1 the last, 2 the first block, …), added or joined.
    fn text(&self, choices: &Choices) -> String {
        cell_text::write(&self.cells(choices))
    }

    fn parse(&self, text: &str) -> Result<Choices, ChoiceError> {
        let cells = cell_text::read(text, self.blocks(), &OPERATIONS)?;
        self.checked(cells.iter().flatten().flat_map(choices_of).collect())
    }
}
