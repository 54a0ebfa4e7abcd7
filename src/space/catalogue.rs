//! All spaces by name, at sizes that suit the data.
use std::sync::Arc;

use crate::graph::Graph;

use super::Chain;
use super::ChoiceSpace;
use super::Darts;
use super::Fixed;
use super::MacroBench;
use super::Mobile;
use super::MorphismSpace;
use super::NasNet;
use super::Nb201;
use super::Scale;
use super::Space;
use super::seeds::MANY_IMAGES;

/// Names and one-line summaries of all spaces.
pub const SPACES: &[(&str, &str)] = &[
    (
        "morphism",
        "everything that morphisms make of some seed networks; open, children inherit weights",
    ),
    ("nb201", "the cell of NAS-Bench-201: six of five operations between four places"),
    ("cells", "the cells of NASNet: normal and reduction, each of five blocks of two operations"),
    ("darts-cells", "the cells of DARTS: normal and reduction, each of four nodes that read two"),
    ("chain", "convolutions with skips, as Zoph and Le: sides, filters, stride, what each reads"),
    ("mobile", "inverted residuals, as FBNet: expansion, kernel, groups of each layer, or none"),
    ("macro", "the eight layers of NAS-Bench-Macro: identity or one of two inverted residuals"),
];

/// Blocks of a cell of `cells`, as in its source.
const BLOCKS: usize = 5;

/// How large the networks of a fixed space are, as far as somebody says so; the data decide the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Cells or layers in each stage, layers of a `chain` (N).
    pub repeats: Option<usize>,
    /// Filters of the first stage, fewest filters of a layer of a `chain` (F).
    pub filters: Option<usize>,
    /// Blocks of a cell (B).
    pub blocks: Option<usize>,
}

/// Which parts of a [`Size`] the space called `name` has.
pub fn sizes(name: &str) -> &'static [&'static str] {
    match name {
        "cells" => &["repeats", "filters", "blocks"],
        "nb201" | "darts-cells" | "chain" | "mobile" => &["repeats", "filters"],
        "macro" => &["filters"],
        _ => &[],
    }
}

/// The space called `name` as [`sized`] by the data alone.
pub fn by_name(
    name: &str,
    input: [usize; 3],
    classes: usize,
    images: usize,
) -> Option<Arc<dyn Space>> {
    sized(name, Size::default(), input, classes, images)
}

/// The space called `name` for images of `input` (`[C, H, W]`) in so many `classes`; where `size` does
/// not say it, its networks are twice as wide, and most of them deeper, from 10,000 training `images` on.
/// `None` if there is none.
pub fn sized(
    name: &str,
    size: Size,
    input: [usize; 3],
    classes: usize,
    images: usize,
) -> Option<Arc<dyn Space>> {
    let many = images >= MANY_IMAGES;
    let larger = if many { 2 } else { 1 };
    let filters = |narrow: usize| size.filters.unwrap_or(larger * narrow);
    let repeats = |usual: usize| size.repeats.unwrap_or(usual);
    let scale = |narrow, usual| {
        let (width, repeats) = (filters(narrow), repeats(usual));
        Scale { input, classes, width, repeats }
    };
    let space: Arc<dyn ChoiceSpace> = match name {
        "morphism" => return Some(Arc::new(MorphismSpace::new(input, classes, images))),
        "nb201" => Arc::new(Nb201 { input, classes, width: filters(8), repeats: repeats(larger) }),
        "cells" => Arc::new(NasNet::new(scale(4, larger), size.blocks.unwrap_or(BLOCKS))),
        "darts-cells" => Arc::new(Darts { scale: scale(4, larger) }),
        "chain" => Arc::new(Chain::new(scale(6, if many { 8 } else { 6 }))),
        "mobile" => Arc::new(Mobile::new(scale(8, 1 + larger))),
        "macro" => Arc::new(MacroBench { input, classes, width: filters(8) }),
        _ => return None,
    };
    Some(Arc::new(Fixed(space)))
}

/// The choices that made `graph` in the space called `name`, in the space's own words; `None` where they
/// make no such network.
pub fn words(name: &str, size: Size, graph: &Graph, choices: &[u8]) -> Option<String> {
    let classes = graph.shapes().ok()?[&graph.output()].len();
    let made = graph.arch_id();
    // How many images there were is not known, but shows in the network.
    [0, MANY_IMAGES].into_iter().find_map(|images| {
        let space = sized(name, size, graph.input_shape(), classes, images)?;
        let space = space.choices()?;
        let choices = space.checked(choices.to_vec()).ok()?;
        let is_it = space.build(&choices)?.arch_id() == made;
        is_it.then(|| space.text(&choices))
    })
}
