//! The cell and the skeleton of NAS-Bench-201.
use crate::graph::Conv;
use crate::graph::Graph;
use crate::graph::NodeId;
use crate::graph::Op;
use crate::graph::Pool;

use super::ChoiceError;
use super::ChoiceSpace;
use super::Choices;
use super::Drawing;
use super::Edge;
use super::Label;
use super::Row;
use super::Sketch;
use super::choice::digits;
use super::parts;

/// Operations by option: 0 none, 1 skip, 2 convolution 1×1, 3 convolution 3×3, 4 mean of 3×3.
const OPTIONS: [usize; 6] = [5; 6];
/// Which places each decision joins.
const ENDS: [(usize, usize); 6] = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)];
/// Places of a cell.
const PLACES: usize = 4;
/// Operations in words, by option.
const NAMES: [&str; 5] = ["none", "skip", "conv1", "conv3", "avg3"];

/// Six operations between four places: 15,625 cells, of which some 6,500 differ.
///
/// A network is a 3×3 convolution, then three stages (fewer on images below 8 pixels) of `repeats` cells each, with a residual block
/// that halves the image and doubles the width between them, then normalisation, ReLU, the mean
/// over the image and a linear layer.
///
/// # Source
///
/// Dong, Yang, *NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search*,
/// ICLR 2020, section 2.1; there the width is 16 and `repeats` is 5.
#[derive(Clone, Debug)]
pub struct Nb201 {
    /// `[C, H, W]`.
    pub input: [usize; 3],
    /// Classes.
    pub classes: usize,
    /// Channels of the first stage.
    pub width: usize,
    /// Cells in each stage.
    pub repeats: usize,
}

impl ChoiceSpace for Nb201 {
    fn name(&self) -> &str {
        "nb201"
    }

    fn options(&self) -> &[usize] {
        &OPTIONS
    }

    fn sketches(&self, choices: &Choices) -> Vec<Sketch> {
        vec![sketch(choices)]
    }

    fn drawings(&self, choices: &Choices) -> Vec<Drawing> {
        vec![drawing(choices)]
    }

    fn build(&self, choices: &Choices) -> Option<Graph> {
        let cell = sketch(choices);
        let mut graph = Graph::new(self.input);
        let mut at = graph.push(Op::Normalize, &[graph.input()]);
        let mut channels = self.width;
        at = parts::conv_norm(&mut graph, at, Conv::same(channels, 3));
        let [_, mut height, mut width] = self.input;
        for stage in 0..parts::stages(self.input, 3) {
            if stage > 0 {
                channels *= 2;
                at = residual_block(&mut graph, at, channels, [height, width]);
                (height, width) = (height.div_ceil(2), width.div_ceil(2));
            }
            for _ in 0..self.repeats {
                at = parts::wire(&mut graph, &cell, &[at], &mut |graph, operation, from, _| {
                    operate(graph, operation, from, channels)
                })?;
            }
        }
        at = parts::norm(&mut graph, at);
        at = parts::relu(&mut graph, at);
        parts::classify(&mut graph, at, self.classes);
        Some(graph)
    }

    /// Six digits, one for each edge, in the order (1←0) (2←0) (2←1) (3←0) (3←1) (3←2).
    fn text(&self, choices: &Choices) -> String {
        choices.iter().map(u8::to_string).collect()
    }

    /// Also what NAS-Bench-201 itself writes, `|none~0|+|skip_connect~0|none~1|+|…|`: its edges are in the same
    /// order.
    fn parse(&self, text: &str) -> Result<Choices, ChoiceError> {
        match text.starts_with('|') {
            true => self.checked(published(text)?),
            false => {
                self.checked(digits(text, "six digits from 0 to 4, one for each edge of the cell")?)
            }
        }
    }
}

/// Operations by option, as NAS-Bench-201 calls them.
const PUBLISHED: [&str; 5] =
    ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"];

/// Choices in the words of NAS-Bench-201.
fn published(text: &str) -> Result<Choices, ChoiceError> {
    let wanted = format!("like |none~0|+|none~0|none~1|+|…|, of {}", PUBLISHED.join(", "));
    let wrong = || ChoiceError::Text { found: text.to_owned(), wanted: wanted.clone() };
    let words: Vec<&str> = text.split(['|', '+']).filter(|word| !word.is_empty()).collect();
    if words.len() != ENDS.len() {
        return Err(wrong());
    }
    let choice = |(word, (from, _)): (&str, (usize, usize))| {
        let (name, place) = word.split_once('~')?;
        let option = PUBLISHED.iter().position(|published| *published == name)?;
        (place.parse() == Ok(from)).then_some(option as u8)
    };
    words.into_iter().zip(ENDS).map(choice).collect::<Option<_>>().ok_or_else(wrong)
}

fn sketch(choices: &Choices) -> Sketch {
    let edges = ENDS.iter().zip(choices).map(|(&(from, to), &choice)| {
        let label = match choice {
            0 => Label::Zero,
            1 => Label::Identity,
            operation => Label::Operation(usize::from(operation) - 2),
        };
        Edge { from, to, label }
    });
    Sketch { inputs: 1, places: PLACES, edges: edges.collect(), operations: 3 }
}

/// The live part of the cell.
fn drawing(choices: &Choices) -> Drawing {
    let live = sketch(choices).live();
    let mut rows = vec![Row { label: "0: input".to_owned(), size: String::new(), reads: vec![] }];
    for place in 1..PLACES {
        let arriving = ENDS.iter().zip(choices).filter(|((from, to), _)| {
            *to == place && live.iter().any(|edge| (edge.from, edge.to) == (*from, *to))
        });
        let (reads, words): (Vec<usize>, Vec<String>) = arriving
            .map(|((from, _), choice)| (*from, format!("{}({from})", NAMES[usize::from(*choice)])))
            .unzip();
        let words = if words.is_empty() { "nothing".to_owned() } else { words.join("+") };
        rows.push(Row { label: format!("{place}: {words}"), size: String::new(), reads });
    }
    Drawing { title: "cell".to_owned(), rows }
}

fn operate(graph: &mut Graph, operation: usize, from: NodeId, channels: usize) -> NodeId {
    match operation {
        0 | 1 => {
            let at = parts::relu(graph, from);
            parts::conv_norm(graph, at, Conv::same(channels, 1 + 2 * operation))
        }
        _ => {
            let pool = Pool { kernel: [3; 2], stride: [1; 2], padding: [1; 2] };
            graph.push(Op::AvgPool(pool), &[from])
        }
    }
}

/// Halves an image of `size`; the way around it is a mean and a 1×1 convolution.
fn residual_block(graph: &mut Graph, from: NodeId, channels: usize, size: [usize; 2]) -> NodeId {
    let halved = Conv { stride: [2; 2], ..Conv::same(channels, 3) };
    let mut at = parts::relu(graph, from);
    at = parts::conv_norm(graph, at, halved);
    at = parts::relu(graph, at);
    at = parts::conv_norm(graph, at, Conv::same(channels, 3));
    let around = parts::mean_of_halves(graph, from, size);
    let around = graph.push(Op::Conv(Conv::same(channels, 1)), &[around]);
    graph.push(Op::Add, &[at, around])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_read_as_nas_bench_201_writes_them() {
        let space = Nb201 { input: [3, 8, 8], classes: 10, width: 4, repeats: 1 };
        // The second of the published list.
        let text = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|";
        assert_eq!(space.parse(text).unwrap(), [3, 3, 4, 1, 3, 1]);
        assert_eq!(space.parse("334131"), space.parse(text));
        for wrong in [
            &text[..text.len() - 16],
            &text.replace("nor_conv_3x3~1", "nor_conv_3x3~0"),
            &text.replace("skip", "jump"),
        ] {
            let said = space.parse(wrong).unwrap_err().to_string();
            assert!(said.contains("is not like |none~0|+") && said.contains("avg_pool"), "{said}");
        }
    }
}
