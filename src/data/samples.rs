//! Samples and data sets as values: parts, counts, fingerprint.

use std::collections::HashSet;
use std::sync::Arc;

use rand::seq::SliceRandom;

use crate::data::DataSet;
use crate::data::Pixels;
use crate::data::Samples;
use crate::data::stream::Purpose;
use crate::data::stream::stream;

impl Samples {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// No image at all?
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Number of values of one image, `C·H·W`.
    pub fn image_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Copies image `index` into `out`, `[C, H, W]`.
    ///
    /// # Panics
    ///
    /// If `index` is out of range or `out` has another length than one image.
    pub fn copy_image(&self, index: usize, out: &mut [f32]) {
        let len = self.image_len();
        assert_eq!(out.len(), len, "one image");
        let range = index * len..(index + 1) * len;
        match &self.pixels {
            Pixels::U8(all) => {
                out.iter_mut().zip(&all[range]).for_each(|(o, &p)| *o = f32::from(p));
            }
            Pixels::F32(all) => out.copy_from_slice(&all[range]),
        }
    }

    /// The images `indices`, in their order, repeated as often as they are named.
    ///
    /// # Panics
    ///
    /// If an index is out of range.
    pub fn subset(&self, indices: &[usize]) -> Samples {
        let labels = indices.iter().map(|&i| self.labels[i]).collect();
        let pixels = match &self.pixels {
            Pixels::U8(all) => Pixels::U8(Arc::new(gather(all, self.image_len(), indices))),
            Pixels::F32(all) => Pixels::F32(Arc::new(gather(all, self.image_len(), indices))),
        };
        Samples { shape: self.shape, pixels, labels: Arc::new(labels) }
    }

    /// `count` images in the order they have here, chosen by `seed`, each class with its share.
    ///
    /// Shares are rounded by largest remainder; with `count` at or above [`len`](Self::len)
    /// everything is kept.
    pub fn take(&self, count: usize, seed: u64) -> Samples {
        if count >= self.len() {
            return self.clone();
        }
        let mut by_class = self.indices_by_class();
        let sizes: Vec<usize> = by_class.iter().map(Vec::len).collect();
        let mut random = stream(seed, 0, 0, Purpose::Subset);
        let mut kept = Vec::with_capacity(count);
        for (indices, quota) in by_class.iter_mut().zip(apportion(count, &sizes)) {
            indices.shuffle(&mut random);
            kept.extend_from_slice(&indices[..quota]);
        }
        kept.sort_unstable();
        self.subset(&kept)
    }

    /// Number of images of each of `classes` classes.
    ///
    /// # Panics
    ///
    /// If a label is not below `classes`.
    pub fn class_counts(&self, classes: usize) -> Vec<usize> {
        let mut counts = vec![0; classes];
        self.labels.iter().for_each(|&label| counts[label as usize] += 1);
        counts
    }

    /// Indices of the images of each class, up to the largest label that occurs.
    pub(super) fn indices_by_class(&self) -> Vec<Vec<usize>> {
        let classes = self.labels.iter().max().map_or(0, |&most| most as usize + 1);
        let mut by_class = vec![Vec::new(); classes];
        for (index, &label) in self.labels.iter().enumerate() {
            by_class[label as usize].push(index);
        }
        by_class
    }

    /// A digest of the values of each image; equal for identical images, however they are stored.
    pub(super) fn digests(&self) -> Vec<blake3::Hash> {
        let len = self.image_len();
        match &self.pixels {
            Pixels::U8(all) => all.chunks_exact(len).map(blake3::hash).collect(),
            Pixels::F32(all) => all.chunks_exact(len).map(digest_of_floats).collect(),
        }
    }
}

impl Pixels {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Pixels::U8(all) => all.len(),
            Pixels::F32(all) => all.len(),
        }
    }

    /// No value at all?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl DataSet {
    /// A hash of pixels, labels, class names and split, as 64 hexadecimal digits.
    ///
    /// Independent of the name, so that a folder may move.
    pub fn fingerprint(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        self.shape.iter().for_each(|&n| hash_number(&mut hasher, n));
        hash_number(&mut hasher, self.classes.len());
        for class in &self.classes {
            hash_number(&mut hasher, class.len());
            hasher.update(class.as_bytes());
        }
        for part in self.parts() {
            hash_number(&mut hasher, part.len());
            for (label, digest) in part.labels.iter().zip(part.digests()) {
                hash_number(&mut hasher, *label as usize);
                hasher.update(digest.as_bytes());
            }
        }
        hasher.finalize().to_hex().to_string()
    }

    /// Share of the largest class of the validation part: one minus the error of always guessing it.
    pub fn largest_class_share(&self) -> f64 {
        let counts = self.validation.class_counts(self.classes.len());
        let largest = counts.into_iter().max().unwrap_or(0);
        largest as f64 / self.validation.len().max(1) as f64
    }

    /// Number of images that also occur in another part; 0 for every data set that was loaded.
    pub fn leaks(&self) -> usize {
        let digests = self.parts().map(Samples::digests);
        let seen: [HashSet<&blake3::Hash>; 3] =
            [0, 1, 2].map(|part| digests[part].iter().collect());
        let elsewhere = |part: usize, digest| (0..3).any(|o| o != part && seen[o].contains(digest));
        (0..3).map(|part| digests[part].iter().filter(|d| elsewhere(part, *d)).count()).sum()
    }

    fn parts(&self) -> [&Samples; 3] {
        [&self.train, &self.validation, &self.test]
    }
}

/// As that of bytes if all values are bytes.
fn digest_of_floats(image: &[f32]) -> blake3::Hash {
    if image.iter().all(|&value| f32::from(value as u8) == value) {
        let bytes: Vec<u8> = image.iter().map(|&value| value as u8).collect();
        return blake3::hash(&bytes);
    }
    // Adding zero makes one zero of both.
    let bytes: Vec<u8> = image.iter().flat_map(|value| (value + 0.0).to_le_bytes()).collect();
    blake3::hash(&bytes)
}

fn hash_number(hasher: &mut blake3::Hasher, number: usize) {
    hasher.update(&(number as u64).to_le_bytes());
}

fn gather<T: Copy>(all: &[T], image_len: usize, indices: &[usize]) -> Vec<T> {
    let mut out = Vec::with_capacity(indices.len() * image_len);
    indices.iter().for_each(|&i| out.extend_from_slice(&all[i * image_len..(i + 1) * image_len]));
    out
}

/// Splits `count` in proportion to `sizes`, by largest remainder; ties go to the earlier.
fn apportion(count: usize, sizes: &[usize]) -> Vec<usize> {
    let total: usize = sizes.iter().sum::<usize>().max(1);
    let mut quotas: Vec<usize> = sizes.iter().map(|size| count * size / total).collect();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|&class| std::cmp::Reverse(count * sizes[class] % total));
    let missing = count - quotas.iter().sum::<usize>();
    order.iter().take(missing).for_each(|&class| quotas[class] += 1);
    quotas
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::data::LoadOptions;
    use crate::data::load;

    fn digits() -> DataSet {
        load("digits", &LoadOptions::default()).unwrap()
    }

    fn numbered(labels: Vec<u32>) -> Samples {
        let pixels = Pixels::F32(Arc::new((0..labels.len()).map(|n| n as f32).collect()));
        Samples { shape: [1, 1, 1], pixels, labels: Arc::new(labels) }
    }

    proptest! {
        #[test]
        fn a_smaller_set_keeps_order_and_shares(
            labels in prop::collection::vec(0u32..4, 1..300),
            count in 0usize..310,
            seed: u64,
        ) {
            let all = numbered(labels);
            let kept = all.take(count, seed);
            prop_assert_eq!(kept.len(), count.min(all.len()));
            prop_assert_eq!(&kept, &all.take(count, seed));
            let Pixels::F32(numbers) = &kept.pixels else { unreachable!("as written") };
            prop_assert!(numbers.is_sorted_by(|a, b| a < b));
            for (number, label) in numbers.iter().zip(kept.labels.iter()) {
                prop_assert_eq!(all.labels[*number as usize], *label);
            }
            for (class, &of_class) in all.class_counts(4).iter().enumerate() {
                let exact = (kept.len() * of_class) as f64 / all.len() as f64;
                prop_assert!((kept.class_counts(4)[class] as f64 - exact).abs() < 1.0);
            }
        }
    }

    #[test]
    fn a_subset_may_repeat_and_reorder() {
        let part = numbered(vec![3, 1, 2]).subset(&[2, 0, 2]);
        assert_eq!(part.pixels, Pixels::F32(Arc::new(vec![2.0, 0.0, 2.0])));
        assert_eq!(part.labels.as_slice(), [2, 3, 2]);
    }

    #[test]
    fn the_fingerprint_sees_every_change_but_not_the_name() {
        let data = digits();
        let print = data.fingerprint();
        assert_eq!(print.len(), 64);
        assert_eq!(DataSet { name: "else".into(), ..data.clone() }.fingerprint(), print);

        let mut changed = vec![data.clone(); 4];
        changed[0].classes[3] = "three".into();
        Arc::make_mut(&mut changed[1].test.labels)[5] ^= 1;
        if let Pixels::U8(pixels) = &mut changed[2].validation.pixels {
            Arc::make_mut(pixels)[77] ^= 1;
        }
        let DataSet { validation, test, .. } = &mut changed[3];
        std::mem::swap(validation, test);
        for other in changed {
            assert_ne!(other.fingerprint(), print);
        }
    }

    #[test]
    fn bytes_and_floats_of_the_same_value_are_the_same_image() {
        let of = |pixels, shape| Samples { shape, pixels, labels: Arc::new(vec![0]) };
        let floats = |values: &[f32]| Pixels::F32(Arc::new(values.to_vec()));
        let bytes = of(Pixels::U8(Arc::new(vec![7, 0])), [1, 1, 2]);
        assert_eq!(bytes.digests(), of(floats(&[7.0, -0.0]), [1, 1, 2]).digests());
        let (plus, minus) = (floats(&[0.5, 0.0]), floats(&[0.5, -0.0]));
        assert_eq!(of(plus.clone(), [1, 1, 2]).digests(), of(minus, [1, 1, 2]).digests());
        assert_ne!(of(plus, [1, 1, 2]).digests(), bytes.digests());
    }

    #[test]
    fn leaks_are_counted_on_both_sides() {
        let mut data = digits();
        assert_eq!(data.leaks(), 0);
        data.test = data.train.subset(&[4, 9, 4]);
        assert_eq!(data.leaks(), 5);
    }

    #[test]
    fn the_largest_class_is_that_of_validation() {
        let data = DataSet { validation: numbered(vec![0, 2, 2, 1]), ..digits() };
        assert_eq!(data.largest_class_share(), 0.5);
    }
}
