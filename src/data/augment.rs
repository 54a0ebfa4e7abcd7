//! Changes to training images that keep their class.

use rand::Rng;
use rand::RngExt;
use serde::Deserialize;
use serde::Serialize;

use crate::data::DataError;
use crate::data::DataSet;

/// Pixels along the shorter side from which on images are augmented by default.
const LARGE_SIDE: usize = 32;

/// What is done to training images; zeros do nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augment {
    /// Largest shift along both axes, in pixels.
    pub shift: usize,
    /// Mirror left and right with probability 1/2; wrong for digits and text.
    pub flip: bool,
    /// Side of the square that is blanked; 0 for none.
    pub cutout: usize,
    /// Alpha of the Beta distribution of mixup; 0 for none.
    pub mixup: f32,
}

impl Augment {
    /// A mild choice for `data`: nothing for images of fewer than 32 pixels along the shorter side,
    /// where it costs small networks with short trainings more than it gives; for larger ones
    /// shifts by up to a thirty-second of that side, and flips unless classes are numbers or single
    /// characters, whose mirror image is another sign or none.
    pub fn for_data(data: &DataSet) -> Augment {
        let side = data.shape[1].min(data.shape[2]);
        let is_sign = |class: &String| class.chars().count() == 1 || class.parse::<f64>().is_ok();
        let flip = side >= LARGE_SIDE && !data.classes.iter().any(is_sign);
        Augment { shift: side / LARGE_SIDE, flip, ..Augment::default() }
    }

    /// Can images of `shape`, `[C, H, W]`, be augmented so?
    ///
    /// # Errors
    ///
    /// [`DataError::BadOption`] if a shift or a cutout covers the image, or alpha is not a
    /// finite number from 0.
    pub fn check(&self, shape: [usize; 3]) -> Result<(), DataError> {
        let side = shape[1].min(shape[2]);
        let bad = |option, value, expected| Err(DataError::BadOption { option, value, expected });
        if self.shift > 0 && self.shift >= side {
            return bad("shift", self.shift.to_string(), "smaller than the image");
        }
        if self.cutout > 0 && self.cutout >= side {
            return bad("cutout", self.cutout.to_string(), "smaller than the image");
        }
        if !(self.mixup.is_finite() && self.mixup >= 0.0) {
            return bad("mixup", self.mixup.to_string(), "a finite number from 0");
        }
        Ok(())
    }

    /// Shifts, flips and cuts one image `[C, H, W]` in place, in this order.
    ///
    /// Both shifts are uniform in `-shift..=shift`; what comes in from outside is 0, the raw
    /// value. The square of the cutout has its centre anywhere in the image, is clipped at the
    /// border and filled with `mean`, one value a channel.
    ///
    /// # Source
    ///
    /// DeVries, Taylor, *Improved Regularization of Convolutional Neural Networks with Cutout*,
    /// 2017.
    pub(super) fn apply(
        &self,
        image: &mut [f32],
        width: usize,
        mean: &[f32],
        random: &mut impl Rng,
    ) {
        let height = image.len() / (mean.len() * width);
        if self.shift > 0 {
            let mut offset =
                || random.random_range(0..=2 * self.shift) as isize - self.shift as isize;
            let (down, right) = (offset(), offset());
            planes(image, height * width).for_each(|plane| shift(plane, width, down, right));
        }
        if self.flip && random.random_bool(0.5) {
            image.chunks_exact_mut(width).for_each(<[f32]>::reverse);
        }
        if self.cutout > 0 {
            let centre = [random.random_range(0..height), random.random_range(0..width)];
            for (plane, &fill) in planes(image, height * width).zip(mean) {
                cutout(plane, width, centre, self.cutout, fill);
            }
        }
    }
}

fn planes(image: &mut [f32], len: usize) -> std::slice::ChunksExactMut<'_, f32> {
    image.chunks_exact_mut(len)
}

/// Moves a plane `[H, W]` down and right by whole pixels.
fn shift(plane: &mut [f32], width: usize, down: isize, right: isize) {
    slide(plane, down * width as isize);
    plane.chunks_exact_mut(width).for_each(|row| slide(row, right));
}

/// Moves values towards the end, or the start if `by` is negative; zeros come in.
fn slide(values: &mut [f32], by: isize) {
    let gap = by.unsigned_abs();
    let kept = values.len() - gap;
    if by > 0 {
        values.copy_within(..kept, gap);
        values[..gap].fill(0.0);
    } else {
        values.copy_within(gap.., 0);
        values[kept..].fill(0.0);
    }
}

/// Fills the square of `side` around `centre` (row, column) of a plane `[H, W]`.
fn cutout(plane: &mut [f32], width: usize, centre: [usize; 2], side: usize, fill: f32) {
    let rows = plane.len() / width;
    let span = |at: usize, end: usize| at.saturating_sub(side / 2)..(at + side - side / 2).min(end);
    for row in span(centre[0], rows) {
        plane[row * width..(row + 1) * width][span(centre[1], width)].fill(fill);
    }
}

/// One draw from Beta(alpha, alpha), in `0.0..=1.0`.
///
/// As `X / (X + Y)` of two Gamma(alpha) variates; alpha is above 0.
pub(super) fn symmetric_beta(alpha: f64, random: &mut impl Rng) -> f64 {
    let (x, y) = (gamma(alpha, random), gamma(alpha, random));
    // Both underflow for tiny alpha, where Beta is a coin.
    if x + y > 0.0 { x / (x + y) } else { f64::from(u8::from(random.random::<bool>())) }
}

/// One draw from Gamma(shape, 1).
///
/// # Source
///
/// Marsaglia, Tsang, *A Simple Method for Generating Gamma Variables*, ACM TOMS 26(3), 2000;
/// shapes below 1 by its section 6: `Gamma(a) = Gamma(a + 1) · U^(1/a)`.
fn gamma(shape: f64, random: &mut impl Rng) -> f64 {
    if shape < 1.0 {
        let boost = open_unit(random).powf(1.0 / shape);
        return boost * gamma(shape + 1.0, random);
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = normal(random);
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 && open_unit(random).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return d * v;
        }
    }
}

/// One standard normal draw, by Box and Muller.
fn normal(random: &mut impl Rng) -> f64 {
    let radius = (-2.0 * open_unit(random).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.random::<f64>()).cos()
}

/// Uniform above 0, up to 1.
fn open_unit(random: &mut impl Rng) -> f64 {
    1.0 - random.random::<f64>()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::data::LoadOptions;
    use crate::data::load;

    /// Every value is different and none is 0.
    fn image(len: usize) -> Vec<f32> {
        (1..=len).map(|n| n as f32).collect()
    }

    proptest! {
        #[test]
        fn a_shift_reads_each_pixel_from_its_origin(
            height in 1isize..7, width in 1isize..7, down: i8, right: i8,
        ) {
            let (down, right) = (down as isize % height, right as isize % width);
            let before = image((height * width) as usize);
            let mut after = before.clone();
            shift(&mut after, width as usize, down, right);
            for row in 0..height {
                for column in 0..width {
                    let from = (row - down, column - right);
                    let inside = (0..height).contains(&from.0) && (0..width).contains(&from.1);
                    let expected = if inside { before[(from.0 * width + from.1) as usize] } else { 0.0 };
                    prop_assert_eq!(after[(row * width + column) as usize], expected);
                }
            }
        }

        #[test]
        fn a_cutout_fills_a_clipped_square_and_nothing_else(
            height in 1usize..9, width in 1usize..9, at in any::<(usize, usize)>(), side in 1usize..9,
        ) {
            let centre = [at.0 % height, at.1 % width];
            let before = image(height * width);
            let mut after = before.clone();
            cutout(&mut after, width, centre, side, -1.0);
            for (index, (after, before)) in after.into_iter().zip(before).enumerate() {
                let inside = |place: usize, centre: usize| {
                    let from_start = (place + side / 2).checked_sub(centre);
                    from_start.is_some_and(|n| n < side)
                };
                let cut = inside(index / width, centre[0]) && inside(index % width, centre[1]);
                prop_assert_eq!(after, if cut { -1.0 } else { before });
            }
        }
    }

    /// One application to a `[2, 5, 6]` image of ascending numbers.
    fn applied(augment: Augment, seed: u64) -> Vec<f32> {
        let mut pixels = image(60);
        augment.apply(&mut pixels, 6, &[-1.0, -2.0], &mut ChaCha8Rng::seed_from_u64(seed));
        pixels
    }

    #[test]
    fn all_shifts_occur_and_channels_move_together() {
        let augment = Augment { shift: 2, ..Augment::default() };
        let mut seen = BTreeSet::new();
        for seed in 0..1000 {
            let pixels = applied(augment, seed);
            // The pixel that was in row 2, column 2 never leaves the image.
            let place = |value: f32| pixels.iter().position(|&p| p == value).unwrap();
            assert_eq!(place(45.0), place(15.0) + 30);
            seen.insert(place(15.0));
        }
        let everywhere = (0..5).flat_map(|row| (0..5).map(move |column| 6 * row + column));
        assert_eq!(seen, everywhere.collect());
    }

    #[test]
    fn half_of_the_images_are_mirrored() {
        let augment = Augment { flip: true, ..Augment::default() };
        let mirrored: Vec<f32> =
            (0..60).map(|index| (index / 6 * 6 + 5 - index % 6 + 1) as f32).collect();
        let flips = (0..1000).filter(|&seed| {
            let pixels = applied(augment, seed);
            assert!(pixels == mirrored || pixels == image(60));
            pixels == mirrored
        });
        // Five standard deviations of Binomial(1000, 1/2).
        assert!(flips.count().abs_diff(500) < 80);
    }

    #[test]
    fn a_cutout_takes_the_mean_of_its_channel() {
        let augment = Augment { cutout: 3, ..Augment::default() };
        for seed in 0..100 {
            let pixels = applied(augment, seed);
            let cut: Vec<bool> = pixels.iter().map(|&p| p < 0.0).collect();
            assert_eq!(cut[..30], cut[30..]);
            assert!(pixels[..30].iter().all(|&p| p == -1.0 || p > 0.0));
            assert!(pixels[30..].iter().all(|&p| p == -2.0 || p > 0.0));
            assert!((4..=9).contains(&cut[..30].iter().filter(|&&c| c).count()));
        }
    }

    #[test]
    fn nothing_is_done_by_default() {
        assert_eq!(applied(Augment::default(), 0), image(60));
    }

    #[test]
    fn the_beta_distribution_has_its_mean_and_variance() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        for alpha in [0.05, 0.2, 1.0, 4.0] {
            let draws: Vec<f64> = (0..40_000).map(|_| symmetric_beta(alpha, &mut random)).collect();
            assert!(draws.iter().all(|draw| (0.0..=1.0).contains(draw)));
            let mean = draws.iter().sum::<f64>() / 40_000.0;
            let variance = draws.iter().map(|d| (d - 0.5).powi(2)).sum::<f64>() / 40_000.0;
            let expected = 0.25 / (2.0 * alpha + 1.0);
            // Five standard errors of a mean of 40,000 values of at most this variance.
            assert!((mean - 0.5).abs() < 5.0 * expected.sqrt() / 200.0, "{alpha}: {mean}");
            assert!((variance - expected).abs() < 5.0 * 0.125 / 200.0, "{alpha}: {variance}");
        }
        let tiny: f64 = (0..1000).map(|_| symmetric_beta(1e-6, &mut random)).sum();
        assert!((tiny - 500.0).abs() < 80.0, "a coin: {tiny}");
    }

    #[test]
    fn what_no_image_can_bear_is_refused() {
        let refused = |augment: Augment| augment.check([3, 8, 9]).is_err();
        assert!(!refused(Augment { shift: 7, flip: true, cutout: 7, mixup: 0.2 }));
        assert!(refused(Augment { shift: 8, ..Augment::default() }));
        assert!(refused(Augment { cutout: 8, ..Augment::default() }));
        assert!(refused(Augment { mixup: -0.1, ..Augment::default() }));
        assert!(refused(Augment { mixup: f32::NAN, ..Augment::default() }));
    }

    #[test]
    fn large_images_are_shifted_and_mirrored_unless_they_show_signs() {
        let digits = load("digits", &LoadOptions::default()).unwrap();
        let choice = |shape, classes: [&str; 2]| {
            let classes = classes.map(str::to_owned).to_vec();
            Augment::for_data(&DataSet { shape, classes, ..digits.clone() })
        };
        let large = Augment { shift: 2, ..Augment::default() };
        assert_eq!(choice([3, 64, 80], ["cat", "dog"]), Augment { flip: true, ..large });
        assert_eq!(choice([3, 64, 80], ["a", "7"]), large);
        assert_eq!(choice([1, 28, 28], ["cat", "dog"]), Augment::default());
    }
}
