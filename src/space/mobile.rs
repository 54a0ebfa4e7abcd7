//! Inverted residuals, chosen layer by layer.
use crate::graph::Conv;
use crate::graph::Graph;

use super::ChoiceError;
use super::ChoiceSpace;
use super::Choices;
use super::Scale;
use super::Sketch;
use super::parts;
use super::parts::Image;
use super::parts::Inverted;

const EXPANSIONS: [usize; 3] = [1, 3, 6];
const KERNELS: [usize; 2] = [3, 5];
const GROUPS: [usize; 2] = [1, 2];
/// The option of the first decision that leaves a layer out.
const SKIP: u8 = EXPANSIONS.len() as u8;
/// Decisions of a layer: expansion, kernel, groups.
const DECISIONS: usize = 3;
/// Stages, each on images half as large as the one before.
const STAGES: usize = 4;

/// A 3×3 convolution, then stages of `repeats` layers each, with twice the channels on images half
/// as large from one to the next as long as the image has room, then a 1×1 convolution to four times
/// the channels. A layer is an inverted residual: expansion 1, 3 or 6, kernel 3 or 5, 1×1
/// convolutions in 1 or 2 groups; or it is left out, unless it is the first of its stage.
/// (12 · 16^(repeats - 1))^stages vectors of choices; with 2 repeats (12 · 13)^stages networks.
///
/// Repair resets kernel and groups of layers that are left out, and moves those to the end of their
/// stage.
///
/// # Source
///
/// The choices of Wu et al., *FBNet: Hardware-Aware Efficient ConvNet Design via Differentiable
/// Neural Architecture Search*, CVPR 2019, section 3.1, in all combinations; there 22 layers in
/// seven stages. Groups without its shuffle, and no expanding convolution at expansion 1.
#[derive(Clone, Debug)]
pub struct Mobile {
    /// Size of the networks; an odd `width` becomes the next even one.
    pub scale: Scale,
    options: Vec<usize>,
}

impl Mobile {
    /// The space at this size.
    pub fn new(scale: Scale) -> Mobile {
        let layers = parts::stages(scale.input, STAGES) * scale.repeats.max(1);
        let options = (0..layers).flat_map(|layer| {
            let may_skip = usize::from(layer % scale.repeats.max(1) > 0);
            [EXPANSIONS.len() + may_skip, KERNELS.len(), GROUPS.len()]
        });
        Mobile { scale, options: options.collect() }
    }

    fn read_layer(word: &str) -> Option<[u8; DECISIONS]> {
        if word == "skip" {
            return Some([SKIP, 0, 0]);
        }
        let (expansion, rest) = word.strip_prefix('e')?.split_once('k')?;
        let (kernel, groups) = rest.split_once('g').unwrap_or((rest, "1"));
        let find = |list: &[usize], text: &str| {
            let number: usize = text.parse().ok()?;
            list.iter().position(|option| *option == number).map(|at| at as u8)
        };
        Some([find(&EXPANSIONS, expansion)?, find(&KERNELS, kernel)?, find(&GROUPS, groups)?])
    }
}

impl ChoiceSpace for Mobile {
    fn name(&self) -> &str {
        "mobile"
    }

    fn options(&self) -> &[usize] {
        &self.options
    }

    fn repair(&self, choices: &mut Choices) {
        for stage in choices.chunks_exact_mut(DECISIONS * self.scale.repeats.max(1)) {
            let (first, rest) = stage.split_at_mut(DECISIONS);
            debug_assert_ne!(first[0], SKIP, "the first layer of a stage cannot be left out");
            let layers = rest.chunks_exact(DECISIONS).filter(|layer| layer[0] != SKIP);
            let mut kept: Choices = layers.flatten().copied().collect();
            while kept.len() < rest.len() {
                kept.extend([SKIP, 0, 0]);
            }
            rest.copy_from_slice(&kept);
        }
    }

    fn sketches(&self, _choices: &Choices) -> Vec<Sketch> {
        Vec::new()
    }

    fn build(&self, choices: &Choices) -> Option<Graph> {
        let mut graph = Graph::new(self.scale.input);
        let mut channels = self.scale.width.next_multiple_of(2);
        let mut at = Image::first(&mut graph, self.scale.input);
        at = at.conv_norm(&mut graph, Conv::same(channels, 3)).relu(&mut graph);
        let repeats = self.scale.repeats.max(1);
        for (number, layer) in choices.chunks_exact(DECISIONS).enumerate() {
            let halves = number > 0 && number % repeats == 0;
            let stride = if halves { 2 } else { 1 };
            channels *= stride;
            let [expansion, kernel, groups] = [0, 1, 2].map(|at| usize::from(layer[at]));
            let Some(&expansion) = EXPANSIONS.get(expansion) else { continue };
            let (kernel, groups) = (KERNELS[kernel], GROUPS[groups]);
            at = Inverted { channels, stride, expansion, kernel, groups }.push(&mut graph, at);
        }
        at = at.conv_norm(&mut graph, Conv::same(4 * channels, 1)).relu(&mut graph);
        parts::classify(&mut graph, at.node, self.scale.classes);
        Some(graph)
    }

    /// One word a layer: `e6k5` has expansion 6 and kernel 5, `e1k3g2` two groups; `skip` is left out.
    fn text(&self, choices: &Choices) -> String {
        let words = choices.chunks_exact(DECISIONS).map(|layer| {
            let [expansion, kernel, groups] = [0, 1, 2].map(|at| usize::from(layer[at]));
            let groups = if groups == 1 { "g2" } else { "" };
            match EXPANSIONS.get(expansion) {
                Some(expansion) => format!("e{expansion}k{}{groups}", KERNELS[kernel]),
                None => "skip".to_owned(),
            }
        });
        words.collect::<Vec<_>>().join(" ")
    }

    fn parse(&self, text: &str) -> Result<Choices, ChoiceError> {
        let words = text.split_whitespace().map(|word| {
            let wanted = "a layer such as `e3k5`, `e6k3g2` or `skip`: expansion 1, 3 or 6, kernel 3 or 5, \
                          groups 1 or 2";
            let wrong = || ChoiceError::Text { found: word.to_owned(), wanted: wanted.to_owned() };
            Mobile::read_layer(word).ok_or_else(wrong)
        });
        self.checked(words.collect::<Result<Vec<_>, _>>()?.concat())
    }
}
