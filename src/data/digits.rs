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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digits_are_those_of_scikit_learn() {
        let source = read();
        // `load_digits()`: the counts of its documentation, and its first row.
        let counts = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180];
        assert_eq!(source.train.class_counts(10), counts);
        let mut first = [0.0; 64];
        source.train.copy_image(0, &mut first);
        assert_eq!(
            first[..16],
            [0., 0., 5., 13., 9., 1., 0., 0., 0., 0., 13., 15., 10., 15., 5., 0.]
        );
        assert_eq!(source.train.labels[0], 0);
        let Pixels::U8(pixels) = &source.train.pixels else { unreachable!("bytes") };
        assert_eq!((pixels.len(), pixels.iter().max()), (1797 * 64, Some(&16)));
    }
}
