//! Batches of training images: order, augmentation, soft targets.

use rand::seq::SliceRandom;

use crate::data::Augment;
use crate::data::Samples;
use crate::data::augment::symmetric_beta;
use crate::data::channel_statistics;
use crate::data::stream::Purpose;
use crate::data::stream::stream;

/// The batches of a training.
///
/// Every draw has its own stream, keyed by seed, epoch and image, so a batch depends neither on
/// the batches before it nor on who fills it: threads may share the work in any order.
///
/// ```
/// # use citronade::data::{Augment, Batches, LoadOptions, load};
/// let data = load("digits", &LoadOptions::default())?;
/// let batches = Batches::new(&data.train, data.classes.len(), Augment::default(), 7);
/// let (mut pixels, mut targets) = (vec![0.0; 32 * 64], vec![0.0; 32 * 10]);
/// for indices in batches.order(1).chunks(32) {
///     let n = indices.len();
///     batches.fill_batch(1, indices, &mut pixels[..n * 64], &mut targets[..n * 10]);
/// }
/// # Ok::<(), citronade::data::DataError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    samples: &'a Samples,
    classes: usize,
    augment: Augment,
    mean: Vec<f32>,
    seed: u64,
}

impl<'a> Batches<'a> {
    /// Batches of `samples`, whose labels are below `classes`.
    ///
    /// Passes over the pixels once if a cutout needs their mean.
    pub fn new(samples: &'a Samples, classes: usize, augment: Augment, seed: u64) -> Self {
        let mean = match augment.cutout {
            0 => vec![0.0; samples.shape[0]],
            _ => channel_statistics(samples).0,
        };
        Batches { samples, classes, augment, mean, seed }
    }

    /// Indices of all images in the order of `epoch`.
    pub fn order(&self, epoch: u32) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.samples.len()).collect();
        order.shuffle(&mut stream(self.seed, epoch, 0, Purpose::Order));
        order
    }

    /// Writes the images `indices`, augmented for `epoch`, and their targets.
    ///
    /// `pixels` is `[N, C, H, W]` in raw values, `targets` `[N, classes]`: rows that sum to 1,
    /// one-hot without mixup.
    ///
    /// Mixup draws one weight λ from Beta(α, α) a batch and mixes the batch with itself in
    /// reverse: `λ·x[i] + (1 − λ)·x[N − 1 − i]`, targets likewise; since the order is random, so
    /// is the partner.
    ///
    /// # Panics
    ///
    /// If an index is out of range or a slice has another length.
    ///
    /// # Source
    ///
    /// Zhang, Cissé, Dauphin, Lopez-Paz, *mixup: Beyond Empirical Risk Minimization*, ICLR 2018.
    pub fn fill_batch(
        &self,
        epoch: u32,
        indices: &[usize],
        pixels: &mut [f32],
        targets: &mut [f32],
    ) {
        let image_len = self.samples.image_len();
        assert_eq!(pixels.len(), indices.len() * image_len, "pixels of the batch");
        assert_eq!(targets.len(), indices.len() * self.classes, "targets of the batch");
        targets.fill(0.0);
        for (row, &index) in indices.iter().enumerate() {
            let image = &mut pixels[row * image_len..(row + 1) * image_len];
            self.fill_image(epoch, index, image);
            targets[row * self.classes + self.samples.labels[index] as usize] = 1.0;
        }
        if let (true, Some(&first)) = (self.augment.mixup > 0.0, indices.first()) {
            let mut random = stream(self.seed, epoch, first as u64, Purpose::Mixup);
            let weight = symmetric_beta(f64::from(self.augment.mixup), &mut random) as f32;
            mix_with_reverse(pixels, image_len, weight);
            mix_with_reverse(targets, self.classes, weight);
        }
    }

    fn fill_image(&self, epoch: u32, index: usize, image: &mut [f32]) {
        self.samples.copy_image(index, image);
        let mut random = stream(self.seed, epoch, index as u64, Purpose::Image);
        self.augment.apply(image, self.samples.shape[2], &self.mean, &mut random);
    }
}

/// Mixes row `i` of `rows` with row `N − 1 − i`; the middle row of an odd number stays.
fn mix_with_reverse(rows: &mut [f32], row_len: usize, weight: f32) {
    let half = rows.len() / row_len / 2 * row_len;
    let (front, rest) = rows.split_at_mut(half);
    for (a, b) in front.chunks_exact_mut(row_len).zip(rest.rchunks_exact_mut(row_len)) {
        for (a, b) in a.iter_mut().zip(b) {
            (*a, *b) = (weight * *a + (1.0 - weight) * *b, weight * *b + (1.0 - weight) * *a);
        }
    }
}
