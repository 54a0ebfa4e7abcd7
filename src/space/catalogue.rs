//! All spaces by name, at sizes that suit the data.
use std::sync::Arc;

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

/// The space called `name` for images of `input` (`[C, H, W]`) in so many `classes`; its networks
/// are twice as wide, and most of them deeper, from 10,000 training `images` on. `None` if there is none.
pub fn by_name(
    name: &str,
    input: [usize; 3],
    classes: usize,
    images: usize,
) -> Option<Arc<dyn Space>> {
    let many = images >= MANY_IMAGES;
    let larger = if many { 2 } else { 1 };
    let scale = |width, repeats| Scale { input, classes, width: larger * width, repeats };
    let space: Arc<dyn ChoiceSpace> = match name {
        "morphism" => return Some(Arc::new(MorphismSpace::new(input, classes, images))),
        "nb201" => Arc::new(Nb201 { input, classes, width: larger * 8, repeats: larger }),
        "cells" => Arc::new(NasNet::new(scale(4, larger), BLOCKS)),
        "darts-cells" => Arc::new(Darts { scale: scale(4, larger) }),
        "chain" => Arc::new(Chain::new(scale(6, if many { 8 } else { 6 }))),
        "mobile" => Arc::new(Mobile::new(scale(8, 1 + larger))),
        "macro" => Arc::new(MacroBench { input, classes, width: larger * 8 }),
        _ => return None,
    };
    Some(Arc::new(Fixed(space)))
}

/// The choices of a member of the space called `name` for images of `input`, in the space's own words;
/// `None` where they are none of its members.
pub fn words(name: &str, input: [usize; 3], choices: &[u8]) -> Option<String> {
    // How many images there were shows in the number of decisions, or not at all.
    [0, MANY_IMAGES].into_iter().find_map(|images| {
        let space = by_name(name, input, 1, images)?;
        let space = space.choices()?;
        space.checked(choices.to_vec()).ok()?;
        Some(space.text(&choices.to_vec()))
    })
}
