//! Changes to training images that keep their class.

use rand::Rng;
use rand::RngExt;
use serde::Deserialize;
use serde::Serialize;

use crate::data::DataError;
use crate::data::DataSet;

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
    /// A mild choice for `data`: shifts by up to an eighth of the shorter side, and flips unless
    /// classes are numbers or single characters, whose mirror image is another sign or none.
    pub fn for_data(data: &DataSet) -> Augment {
        let [_, height, width] = data.shape;
        let is_sign = |class: &String| class.chars().count() == 1 || class.parse::<f64>().is_ok();
        let flip = !data.classes.iter().any(is_sign);
        Augment { shift: height.min(width) / 8, flip, ..Augment::default() }
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

/// Moves a plane `[H, W]` by whole pixels; zeros come in.
fn shift(plane: &mut [f32], width: usize, down: isize, right: isize) {
    let rows = plane.len() / width;
    if down > 0 {
        plane.copy_within(..(rows - down as usize) * width, down as usize * width);
        plane[..down as usize * width].fill(0.0);
    } else if down < 0 {
        let up = down.unsigned_abs() * width;
        plane.copy_within(up.., 0);
        plane[rows * width - up..].fill(0.0);
    }
    for row in plane.chunks_exact_mut(width) {
        if right > 0 {
            row.copy_within(..width - right as usize, right as usize);
            row[..right as usize].fill(0.0);
        } else if right < 0 {
            row.copy_within(right.unsigned_abs().., 0);
            row[width - right.unsigned_abs()..].fill(0.0);
        }
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
