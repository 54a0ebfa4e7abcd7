//! The bundled digits of `models/digits/`.

use std::io::Read;
use std::sync::Arc;

use flate2::read::GzDecoder;

use crate::data::Pixels;
use crate::data::Samples;
use crate::data::source::Source;

/// As [`load`](crate::data::load) takes it.
pub(super) const NAME: &str = "digits";

/// Rows of 64 pixels, 0 to 16, and the digit.
const DIGITS: &[u8] = include_bytes!("../../models/digits/digits.csv.gz");

/// All 1797 images, `[1, 8, 8]`, not split.
pub(super) fn read() -> Source {
    let mut text = String::new();
    GzDecoder::new(DIGITS).read_to_string(&mut text).expect("the bundled digits unpack");
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let (image, label) = line.rsplit_once(',').expect("the bundled digits have labels");
        let number = |field: &str| field.parse::<u8>().expect("the bundled digits are bytes");
        pixels.extend(image.split(',').map(number));
        labels.push(u32::from(number(label)));
    }
    let pixels = Pixels::U8(Arc::new(pixels));
    Source::of_one_part(
        (0..10).map(|digit| digit.to_string()).collect(),
        Samples { shape: [1, 8, 8], pixels, labels: Arc::new(labels) },
    )
}
