//! Convolutions one after the other, with skips.
use std::collections::BTreeSet;

use crate::graph::Conv;
use crate::graph::Graph;
use crate::graph::NodeId;
use crate::graph::Op;

use super::ChoiceError;
use super::ChoiceSpace;
use super::Choices;
use super::Edge;
use super::Label;
use super::Scale;
use super::Sketch;
use super::parts;
use super::parts::Image;

/// Heights and widths of filters.
const SIDES: [usize; 4] = [1, 3, 5, 7];
/// Filters of a layer, at a width of 24.
const COUNTS: [usize; 4] = [24, 36, 48, 64];
/// Decisions of a layer before those on what it reads: height, width, count, stride.
const DECISIONS: usize = 4;
/// Image sizes, each half the one before.
const LEVELS: usize = 4;

/// Layers of convolution, batch normalisation and ReLU, each with its filters' height and width,
/// their number, a stride of 1 or 2, and one anchor point for each earlier layer: does it read that
/// one? What a layer reads is joined; a layer that reads none reads the image. Layers that
/// no other reads are joined before the classifier, so none is without effect.
/// 128ⁿ · 2ⁿ⁽ⁿ⁻¹⁾ᐟ² vectors of choices for n layers.
///
/// Repair resets strides for which the image is too small. Where images of different sizes meet,
/// the larger ones are halved by means; the source pads the smaller ones with zeros instead, and has
/// strides of 3 too.
///
/// # Source
///
/// Zoph, Le, *Neural Architecture Search with Reinforcement Learning*, ICLR 2017, sections 3.3 and 4.1;
/// there a width of 24 and 15 layers.
#[derive(Clone, Debug)]
pub struct Chain {
    /// Size of the networks: `width` filters where the source has 24; `repeats` layers.
    pub scale: Scale,
    options: Vec<usize>,
}

/// A layer as its choices say, as far as the image allows.
struct Layer {
    kernel: [usize; 2],
    count: usize,
    stride: usize,
    /// Earlier layers that are read.
    reads: Vec<usize>,
    /// How often the image is halved behind it.
    level: usize,
}

impl Chain {
    /// The space of chains of `scale.repeats` layers. From a width of 2 on the four numbers of filters
    /// differ.
    pub fn new(scale: Scale) -> Chain {
        let layers = 0..scale.repeats.max(1);
        let options = layers.flat_map(|layer| {
            let sides = [SIDES.len(), SIDES.len(), COUNTS.len(), 2];
            sides.into_iter().chain(vec![2; layer])
        });
        Chain { scale, options: options.collect() }
    }

    /// Filters of each option.
    fn counts(&self) -> [usize; 4] {
        COUNTS.map(|count| (count * self.scale.width).div_ceil(COUNTS[0]))
    }

    fn layers(&self, choices: &[u8]) -> Vec<Layer> {
        let most = parts::stages(self.scale.input, LEVELS) - 1;
        let counts = self.counts();
        let mut layers: Vec<Layer> = Vec::new();
        let mut left = choices;
        while let [height, width, count, stride, rest @ ..] = left {
            let (anchors, rest) = rest.split_at(layers.len());
            let reads: Vec<usize> = (0..anchors.len()).filter(|&at| anchors[at] == 1).collect();
            let above = reads.iter().map(|&at| layers[at].level).max().unwrap_or(0);
            let halves = *stride == 1 && above < most;
            layers.push(Layer {
                kernel: [height, width].map(|side| SIDES[usize::from(*side)]),
                count: counts[usize::from(*count)],
                stride: 1 + usize::from(halves),
                reads,
                level: above + usize::from(halves),
            });
            left = rest;
        }
        layers
    }

    fn read_layer(&self, word: &str, before: usize) -> Option<Vec<u8>> {
        let (word, reads) = word.split_once('@').unwrap_or((word, ""));
        let (word, halves) = word.strip_suffix("/2").map_or((word, false), |word| (word, true));
        let (kernel, count) = word.split_once('-')?;
        let (height, width) = kernel.split_once('x')?;
        let find = |list: &[usize], text: &str| {
            let number: usize = text.parse().ok()?;
            list.iter().position(|option| *option == number).map(|at| at as u8)
        };
        let count = find(&self.counts(), count)?;
        let mut choices =
            vec![find(&SIDES, height)?, find(&SIDES, width)?, count, u8::from(halves)];
        choices.resize(DECISIONS + before, 0);
        for read in reads.split('.').filter(|read| !read.is_empty()) {
            let read: usize = read.parse().ok().filter(|read| *read < before)?;
            choices[DECISIONS + read] = 1;
        }
        Some(choices)
    }
}

/// Layers that no other reads.
fn unread(layers: &[Layer]) -> Vec<usize> {
    let read: BTreeSet<usize> = layers.iter().flat_map(|layer| layer.reads.clone()).collect();
    (0..layers.len()).filter(|layer| !read.contains(layer)).collect()
}

/// A layer's output, and what is left of it after each halving that somebody needs.
struct Halvings(Vec<Image>);

impl Halvings {
    fn of_size(&mut self, graph: &mut Graph, size: [usize; 2]) -> Image {
        loop {
            if let Some(image) = self.0.iter().find(|image| image.size == size) {
                return *image;
            }
            let smallest = *self.0.last().expect("there is the output itself");
            self.0.push(smallest.halved(graph));
        }
    }
}

/// Outputs of layers joined at the size of the smallest.
fn joined(graph: &mut Graph, outputs: &mut [Halvings], layers: &[usize]) -> Image {
    let sizes = layers.iter().map(|&layer| outputs[layer].0[0].size);
    let size = sizes.min().expect("something is joined");
    let images = layers.iter().map(|&layer| outputs[layer].of_size(graph, size));
    let images: Vec<Image> = images.collect();
    if let [one] = images[..] {
        return one;
    }
    let nodes: Vec<NodeId> = images.iter().map(|image| image.node).collect();
    let channels = images.iter().map(|image| image.channels).sum();
    Image { node: graph.push(Op::Concat, &nodes), channels, size }
}

impl ChoiceSpace for Chain {
    fn name(&self) -> &str {
        "chain"
    }

    fn options(&self) -> &[usize] {
        &self.options
    }

    fn repair(&self, choices: &mut Choices) {
        let mut at = 0;
        for (number, layer) in self.layers(choices).iter().enumerate() {
            choices[at + 3] = u8::from(layer.stride == 2);
            at += DECISIONS + number;
        }
    }

    /// Layers as places, all with the same operation: how deep it is, and by how many ways.
    fn sketches(&self, choices: &Choices) -> Vec<Sketch> {
        let layers = self.layers(choices);
        let mut edges = Vec::new();
        for (at, layer) in layers.iter().enumerate() {
            let edge = |from| Edge { from, to: at + 1, label: Label::Operation(0) };
            match layer.reads[..] {
                [] => edges.push(edge(0)),
                _ => edges.extend(layer.reads.iter().map(|read| edge(read + 1))),
            }
        }
        let to = layers.len() + 1;
        let output = unread(&layers).into_iter();
        edges.extend(output.map(|layer| Edge { from: layer + 1, to, label: Label::Identity }));
        vec![Sketch { inputs: 1, places: to + 1, edges, operations: 1 }]
    }

    fn build(&self, choices: &Choices) -> Option<Graph> {
        let layers = self.layers(choices);
        let mut graph = Graph::new(self.scale.input);
        let image = Image::first(&mut graph, self.scale.input);
        let mut outputs: Vec<Halvings> = Vec::new();
        for layer in &layers {
            let from = match layer.reads[..] {
                [] => image,
                _ => joined(&mut graph, &mut outputs, &layer.reads),
            };
            let padding = layer.kernel.map(|side| side / 2);
            let stride = [layer.stride; 2];
            let plain = Conv::same(layer.count, 1);
            let conv = Conv { kernel: layer.kernel, padding, stride, ..plain };
            outputs.push(Halvings(vec![from.conv_norm(&mut graph, conv).relu(&mut graph)]));
        }
        let at = joined(&mut graph, &mut outputs, &unread(&layers));
        parts::classify(&mut graph, at.node, self.scale.classes);
        Some(graph)
    }

    /// One word a layer: `3x5-36/2@0.2` has 36 filters 3 high and 5 wide, stride 2, and reads layers
    /// 0 and 2; without `/2` the stride is 1, without `@` the image is read.
    fn text(&self, choices: &Choices) -> String {
        let words = self.layers(choices).into_iter().map(|layer| {
            let [height, width] = layer.kernel;
            let stride = if layer.stride == 2 { "/2" } else { "" };
            let reads: Vec<String> = layer.reads.iter().map(usize::to_string).collect();
            let reads =
                if reads.is_empty() { String::new() } else { format!("@{}", reads.join(".")) };
            format!("{height}x{width}-{}{stride}{reads}", layer.count)
        });
        words.collect::<Vec<_>>().join(" ")
    }

    fn parse(&self, text: &str) -> Result<Choices, ChoiceError> {
        let words = text.split_whitespace().enumerate().map(|(before, word)| {
            let [a, b, c, d] = self.counts();
            let wanted = format!(
                "a layer such as `3x5-{a}/2@0.1`: sides of 1, 3, 5 or 7, {a}, {b}, {c} or {d} filters, \
                 stride, earlier layers that are read"
            );
            let layer = self.read_layer(word, before);
            layer.ok_or_else(|| ChoiceError::Text { found: word.to_owned(), wanted })
        });
        self.checked(words.collect::<Result<Vec<_>, _>>()?.concat())
    }
}
