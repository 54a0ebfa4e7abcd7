//! The picture of the front as pixels.
use std::sync::Arc;

use resvg::tiny_skia::Pixmap;
use resvg::tiny_skia::Transform;
use resvg::usvg::Options;
use resvg::usvg::Tree;
use resvg::usvg::fontdb::Database;

use super::Front;
use super::ReportError;
use super::svg;

/// The only font of pictures, so that they are the same on every machine.
const FONT: &[u8] = include_bytes!("font/DejaVuSans-subset.ttf");

/// Pixels for each unit of the SVG.
const SCALE: f32 = 2.0;

/// [`svg`](super::svg) as a PNG file of 1720 by 1040 pixels.
///
/// # Errors
///
/// [`ReportError::Picture`].
pub fn png(front: &Front) -> Result<Vec<u8>, ReportError> {
    rasterise(&svg(front))
}

fn rasterise(svg: &str) -> Result<Vec<u8>, ReportError> {
    let failed = |reason: String| ReportError::Picture { reason };
    let mut fonts = Database::new();
    fonts.load_font_data(FONT.to_vec());
    let options = Options {
        font_family: "DejaVu Sans".to_owned(),
        fontdb: Arc::new(fonts),
        ..Options::default()
    };
    let tree = Tree::from_str(svg, &options).map_err(|e| failed(e.to_string()))?;
    let size = tree.size();
    let [width, height] = [size.width(), size.height()].map(|side| (SCALE * side) as u32);
    let mut pixels =
        Pixmap::new(width, height).ok_or_else(|| failed(format!("{width} by {height} pixels")))?;
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
    pixels.encode_png().map_err(|e| failed(e.to_string()))
}
