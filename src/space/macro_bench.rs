//! The layers and the skeleton of NAS-Bench-Macro.
use crate::graph::Conv;
use crate::graph::Graph;

use super::ChoiceError;
use super::ChoiceSpace;
use super::Choices;
use super::Sketch;
use super::choice::digits;
use super::parts;
use super::parts::Image;
use super::parts::Inverted;

/// Layers by option: 0 identity, 1 expansion 3 and kernel 3, 2 expansion 6 and kernel 5.
const OPTIONS: [usize; 8] = [3; 8];
/// Layers that halve the image (where it has room) and double the channels, and so begin a stage.
const FIRST: [usize; 3] = [0, 2, 5];
/// Channels behind the last convolution, for each of the stem's.
const HEAD: usize = 40;

/// Eight layers, each an identity or an inverted residual: 6,561 vectors of choices, which are 3,969
/// networks.
///
/// A network is a 3×3 convolution, the layers in stages of 2, 3 and 3, a 1×1 convolution, the mean
/// over the image and a linear layer. The first layer of each stage halves the image and doubles
/// the channels, where an identity is a 1×1 convolution. Images without room for three halvings
/// keep their size in the first stages.
///
/// Repair moves identities behind the other layers of their stage, but for its first layer: where
/// nothing is done makes no difference.
///
/// # Source
///
/// Su et al., *Prioritized Architecture Sampling with Monto-Carlo Tree Search*, CVPR 2021,
/// section 4; there the width is 32 and the last convolution has 1,280 channels.
#[derive(Clone, Debug)]
pub struct MacroBench {
    /// `[C, H, W]`.
    pub input: [usize; 3],
    /// Classes.
    pub classes: usize,
    /// Channels of the first convolution; the last has 40 times as many.
    pub width: usize,
}

impl ChoiceSpace for MacroBench {
    fn name(&self) -> &str {
        "macro"
    }

    fn options(&self) -> &[usize] {
        &OPTIONS
    }

    fn repair(&self, choices: &mut Choices) {
        for (first, end) in FIRST.into_iter().zip([FIRST[1], FIRST[2], OPTIONS.len()]) {
            choices[first + 1..end].sort_by_key(|choice| *choice == 0);
        }
    }

    fn sketches(&self, _choices: &Choices) -> Vec<Sketch> {
        Vec::new()
    }

    fn build(&self, choices: &Choices) -> Option<Graph> {
        let mut graph = Graph::new(self.input);
        let image = Image::first(&mut graph, self.input);
        let stem = image.conv_norm(&mut graph, Conv::same(self.width, 3));
        let mut at = stem.relu(&mut graph);
        let halvings = parts::stages(self.input, 1 + FIRST.len()) - 1;
        for (number, choice) in choices.iter().enumerate() {
            let stage = FIRST.iter().position(|first| *first == number);
            let halves = stage.is_some_and(|stage| stage + halvings >= FIRST.len());
            let channels = if stage.is_some() { 2 * at.channels } else { at.channels };
            let stride = if halves { 2 } else { 1 };
            let [expansion, kernel] = match choice {
                0 if stage.is_none() => continue,
                0 => {
                    let conv = Conv { stride: [stride; 2], ..Conv::same(channels, 1) };
                    at = at.conv_norm(&mut graph, conv);
                    continue;
                }
                1 => [3, 3],
                _ => [6, 5],
            };
            at = Inverted { channels, stride, expansion, kernel, groups: 1 }.push(&mut graph, at);
        }
        at = at.conv_norm(&mut graph, Conv::same(HEAD * self.width, 1)).relu(&mut graph);
        parts::classify(&mut graph, at.node, self.classes);
        Some(graph)
    }

    /// Eight digits, as in the benchmark's table.
    fn text(&self, choices: &Choices) -> String {
        choices.iter().map(u8::to_string).collect()
    }

    fn parse(&self, text: &str) -> Result<Choices, ChoiceError> {
        self.checked(digits(text, "eight digits from 0 to 2, one for each layer")?)
    }
}
