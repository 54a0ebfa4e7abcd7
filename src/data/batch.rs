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
    /// Passes over the pixels if a cutout needs their mean.
    ///
    /// # Panics
    ///
    /// If `augment` does not pass [`Augment::check`].
    pub fn new(samples: &'a Samples, classes: usize, augment: Augment, seed: u64) -> Self {
        augment.check(samples.shape).expect("augmentation fits the images");
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::DataSet;
    use crate::data::LoadOptions;
    use crate::data::load;

    const ALL: Augment = Augment { shift: 1, flip: true, cutout: 3, mixup: 0.0 };

    fn digits() -> DataSet {
        load("digits", &LoadOptions::default()).unwrap()
    }

    fn batch(batches: &Batches, epoch: u32, indices: &[usize]) -> (Vec<f32>, Vec<f32>) {
        let mut pixels = vec![f32::NAN; 64 * indices.len()];
        let mut targets = vec![f32::NAN; 10 * indices.len()];
        batches.fill_batch(epoch, indices, &mut pixels, &mut targets);
        (pixels, targets)
    }

    #[test]
    fn an_epoch_visits_each_image_once_in_its_own_order() {
        let data = digits();
        let batches = Batches::new(&data.train, 10, ALL, 3);
        let (first, second) = (batches.order(1), batches.order(2));
        assert_ne!(first, second);
        assert_eq!(first, batches.order(1));
        assert_ne!(first, Batches::new(&data.train, 10, ALL, 4).order(1));
        for mut order in [first, second] {
            order.sort_unstable();
            assert!(order.iter().copied().eq(0..data.train.len()));
        }
    }

    #[test]
    fn without_augmentation_a_batch_is_its_images_and_labels() {
        let data = digits();
        let batches = Batches::new(&data.train, 10, Augment::default(), 3);
        let (pixels, targets) = batch(&batches, 1, &[5, 700, 5]);
        for (row, index) in [5, 700, 5].into_iter().enumerate() {
            let mut image = [0.0; 64];
            data.train.copy_image(index, &mut image);
            assert_eq!(pixels[64 * row..][..64], image);
            let hot = |class| f32::from(data.train.labels[index] == class);
            assert!(targets[10 * row..][..10].iter().copied().eq((0..10).map(hot)));
        }
    }

    #[test]
    fn an_image_is_augmented_alike_in_any_company_and_anew_each_epoch() {
        let data = digits();
        let batches = Batches::new(&data.train, 10, ALL, 3);
        let (pixels, _) = batch(&batches, 1, &[5, 9, 700]);
        assert_eq!(batch(&batches, 1, &[9]).0, pixels[64..128]);
        assert_eq!(batch(&batches.clone(), 1, &[5, 9, 700]).0, pixels);
        assert_ne!(batch(&batches, 2, &[5, 9, 700]).0, pixels);
        assert_ne!(batch(&Batches::new(&data.train, 10, ALL, 4), 1, &[5, 9, 700]).0, pixels);
    }

    #[test]
    fn mixup_mixes_pixels_and_targets_of_the_reversed_batch_alike() {
        let data = digits();
        let mixing = Augment { mixup: 1.0, ..ALL };
        let (plain, mixing) = [ALL, mixing].map(|a| Batches::new(&data.train, 10, a, 3)).into();
        for count in 1..8 {
            // Two in turn of different class; labels tell the weight.
            let indices: Vec<usize> = batches_of_different_classes(&data, count);
            let (pixels, targets) = batch(&plain, 1, &indices);
            let (mixed_pixels, mixed_targets) = batch(&mixing, 1, &indices);
            let weight = mixed_targets[data.train.labels[indices[0]] as usize];
            assert!(count == 1 || (0.0..1.0).contains(&weight));
            let mix = |rows: &[f32], len: usize, row: usize, at: usize| {
                weight * rows[row * len + at] + (1.0 - weight) * rows[(count - 1 - row) * len + at]
            };
            for row in 0..count {
                for at in 0..64 {
                    let gap = mixed_pixels[row * 64 + at] - mix(&pixels, 64, row, at);
                    assert!(gap.abs() < 1e-5 * 16.0, "{gap}");
                }
                let sum: f32 = mixed_targets[row * 10..][..10].iter().sum();
                assert!((sum - 1.0).abs() < 1e-6);
                for at in 0..10 {
                    let gap = mixed_targets[row * 10 + at] - mix(&targets, 10, row, at);
                    assert!(gap.abs() < 1e-6, "{gap}");
                }
            }
        }
    }

    /// `count` images, the first half of one class, the others of another.
    fn batches_of_different_classes(data: &DataSet, count: usize) -> Vec<usize> {
        let of = |class| move |&index: &usize| data.train.labels[index] == class;
        let (front, back) = (count.div_ceil(2), count / 2);
        let zeros = (0..data.train.len()).filter(of(0)).take(front);
        zeros.chain((0..data.train.len()).filter(of(1)).take(back)).collect()
    }

    #[test]
    fn weights_of_mixup_differ_from_batch_to_batch() {
        let data = digits();
        let mixing = Augment { mixup: 1.0, ..Augment::default() };
        let batches = Batches::new(&data.train, 10, mixing, 3);
        let pair = batches_of_different_classes(&data, 2);
        let weights: Vec<f32> = (1..20).map(|epoch| batch(&batches, epoch, &pair).1[0]).collect();
        assert!(weights.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
