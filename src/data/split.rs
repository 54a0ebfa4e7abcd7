//! The split into three parts; its rules are stated at the top of the room.

use std::collections::HashMap;
use std::collections::HashSet;

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::data::DataError;
use crate::data::DataSet;
use crate::data::LoadOptions;
use crate::data::Samples;
use crate::data::source::Source;
use crate::data::stream::Purpose;
use crate::data::stream::stream;

/// Indices of identical images, in order.
type Group = Vec<usize>;

/// Splits `source` by the rules of the room.
///
/// # Errors
///
/// [`DataError::OnlyDuplicates`], [`DataError::TooFew`].
pub(super) fn split(
    name: &str,
    source: Source,
    options: &LoadOptions,
) -> Result<DataSet, DataError> {
    let Source { classes, train, validation, test, mut notes } = source;
    let empty = train.subset(&[]);
    let own_test = test.as_ref().unwrap_or(&empty);
    let own_validation =
        validation.map(|part| without(&part, &[own_test], "validation", &mut notes));
    let others = [own_test, own_validation.as_ref().unwrap_or(&empty)];
    let train = without(&train, &others, "training", &mut notes);
    let train = options.limit.map_or(train.clone(), |limit| train.take(limit, options.seed));

    let shares = Shares {
        validation: if own_validation.is_some() { 0.0 } else { options.validation },
        test: if test.is_some() { 0.0 } else { options.test },
    };
    let cut = deal(name, &classes, &train, shares, options.seed)?;
    let data = DataSet {
        name: name.to_owned(),
        shape: train.shape,
        validation: own_validation.unwrap_or_else(|| train.subset(&cut.validation)),
        test: test.unwrap_or_else(|| train.subset(&cut.test)),
        train: train.subset(&cut.train),
        classes,
        notes,
    };
    ensure_no_part_is_empty(&data)?;
    ensure_validation_has_two_classes(&data)?;
    debug_assert_eq!(data.leaks(), 0);
    Ok(data)
}

/// Shares to be cut from the training part; 0 where the source has its own.
#[derive(Clone, Copy, Debug)]
struct Shares {
    validation: f64,
    test: f64,
}

/// Indices of the parts, ascending.
#[derive(Default)]
struct Cut {
    train: Vec<usize>,
    validation: Vec<usize>,
    test: Vec<usize>,
}

/// `part` without the images that `others` have too.
fn without(part: &Samples, others: &[&Samples], name: &str, notes: &mut Vec<String>) -> Samples {
    let taken: HashSet<blake3::Hash> = others.iter().flat_map(|o| o.digests()).collect();
    if taken.is_empty() {
        return part.clone();
    }
    let digests = part.digests();
    let kept: Vec<usize> = (0..part.len()).filter(|&i| !taken.contains(&digests[i])).collect();
    if kept.len() == part.len() {
        return part.clone();
    }
    let count = part.len() - kept.len();
    notes.push(format!("left out of the {name} part as identical to held-out images: {count}"));
    part.subset(&kept)
}

/// Deals the groups of each class to the parts.
fn deal(
    name: &str,
    classes: &[String],
    samples: &Samples,
    shares: Shares,
    seed: u64,
) -> Result<Cut, DataError> {
    let needed = 1 + usize::from(shares.validation > 0.0) + usize::from(shares.test > 0.0);
    let mut random = stream(seed, 0, 0, Purpose::Split);
    let mut cut = Cut::default();
    for (class, groups) in classes.iter().zip(groups_by_class(samples, classes.len())) {
        let found = groups.iter().map(Vec::len).sum();
        if found < needed {
            let (name, class) = (name.to_owned(), class.clone());
            return Err(DataError::TooFew { name, class, found, needed });
        }
        deal_class(groups, quotas(found, shares), &mut random, &mut cut);
    }
    cut.train.sort_unstable();
    cut.validation.sort_unstable();
    cut.test.sort_unstable();
    Ok(cut)
}

/// Identical images together, under the class of the first of them.
fn groups_by_class(samples: &Samples, classes: usize) -> Vec<Vec<Group>> {
    let mut places = HashMap::new();
    let mut by_class: Vec<Vec<Group>> = vec![Vec::new(); classes];
    for (index, digest) in samples.digests().into_iter().enumerate() {
        let (class, group) = *places.entry(digest).or_insert_with(|| {
            let class = samples.labels[index] as usize;
            by_class[class].push(Group::new());
            (class, by_class[class].len() - 1)
        });
        by_class[class][group].push(index);
    }
    by_class
}

/// Images of a class of `count` for validation and test: the nearest whole number, at least 1
/// where the share is above 0, and 1 is left for training.
fn quotas(count: usize, shares: Shares) -> [usize; 2] {
    let whole = |share: f64| match share {
        0.0 => 0,
        share => ((count as f64 * share).round() as usize).max(1),
    };
    let mut quotas = [whole(shares.validation), whole(shares.test)];
    while quotas[0] + quotas[1] >= count {
        let larger = usize::from(quotas[1] > quotas[0]);
        quotas[larger] -= 1;
    }
    quotas
}

/// Groups in random order: each to test while it fits there, else to validation, else to train.
fn deal_class(
    mut groups: Vec<Group>,
    [mut validation, mut test]: [usize; 2],
    random: &mut ChaCha8Rng,
    cut: &mut Cut,
) {
    groups.shuffle(random);
    for group in groups {
        let (part, room) = if group.len() <= test {
            (&mut cut.test, &mut test)
        } else if group.len() <= validation {
            (&mut cut.validation, &mut validation)
        } else {
            cut.train.extend(group);
            continue;
        };
        *room -= group.len();
        part.extend(group);
    }
}

fn ensure_no_part_is_empty(data: &DataSet) -> Result<(), DataError> {
    let parts = [(&data.train, "training"), (&data.validation, "validation"), (&data.test, "test")];
    match parts.into_iter().find(|(samples, _)| samples.is_empty()) {
        Some((_, part)) => Err(DataError::OnlyDuplicates { name: data.name.clone(), part }),
        None => Ok(()),
    }
}

/// Where all validation images are of one class, always guessing it makes no error.
fn ensure_validation_has_two_classes(data: &DataSet) -> Result<(), DataError> {
    let counts = data.validation.class_counts(data.classes.len());
    let mut there = counts.iter().zip(&data.classes).filter(|(count, _)| **count > 0);
    match (there.next(), there.next()) {
        (Some((_, class)), None) => Err(DataError::OneClass {
            name: format!("the validation part of {}", data.name),
            class: class.clone(),
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::data::Pixels;

    const SHAPE: [usize; 3] = [1, 1, 2];

    /// Images of two bytes with their labels.
    fn samples(images: &[([u8; 2], u32)]) -> Samples {
        Samples {
            shape: SHAPE,
            pixels: Pixels::U8(Arc::new(images.iter().flat_map(|(pixels, _)| *pixels).collect())),
            labels: Arc::new(images.iter().map(|&(_, label)| label).collect()),
        }
    }

    /// All images are different.
    fn distinct(labels: &[u32]) -> Samples {
        let pixels = |n: usize| (n as u16).to_le_bytes();
        let images: Vec<_> = labels.iter().enumerate().map(|(n, &l)| (pixels(n), l)).collect();
        samples(&images)
    }

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|class| format!("class {class}")).collect()
    }

    /// Every image with its label, in any order.
    fn contents(parts: &[&Samples]) -> Vec<([u32; 2], u32)> {
        let mut all = Vec::new();
        for part in parts {
            for index in 0..part.len() {
                let mut image = [0.0f32; 2];
                part.copy_image(index, &mut image);
                all.push((image.map(f32::to_bits), part.labels[index]));
            }
        }
        all.sort_unstable();
        all
    }

    fn any_options() -> impl Strategy<Value = LoadOptions> {
        (any::<u64>(), 0.02..0.48, 0.02..0.48).prop_map(|(seed, validation, test)| LoadOptions {
            seed,
            validation,
            test,
            ..LoadOptions::default()
        })
    }

    /// Two to five classes with 3 to 60 images each, in random order.
    fn any_labels() -> impl Strategy<Value = Vec<u32>> {
        prop::collection::vec(3usize..60, 2..=5)
            .prop_map(|sizes| {
                let of_class = |(class, &size): (usize, &usize)| vec![class as u32; size];
                sizes.iter().enumerate().flat_map(of_class).collect::<Vec<u32>>()
            })
            .prop_shuffle()
    }

    proptest! {
        /// Training takes what the two others leave, so their roundings add up there.
        #[test]
        fn each_part_has_its_share_of_each_class_within_one(
            labels in any_labels(),
            options in any_options(),
        ) {
            let classes = 1 + *labels.iter().max().unwrap() as usize;
            let all = distinct(&labels);
            let source = Source::of_one_part(names(classes), all.clone());
            let data = split("any", source, &options).unwrap();
            let of_all = all.class_counts(classes);
            for (part, share) in [(&data.validation, options.validation), (&data.test, options.test)] {
                for (count, of_class) in part.class_counts(classes).into_iter().zip(&of_all) {
                    let exact = *of_class as f64 * share;
                    prop_assert!(count >= 1 && (count as f64 - exact).abs() < 1.0, "{count} of {exact}");
                }
            }
            prop_assert!(data.train.class_counts(classes).iter().all(|&count| count >= 1));
            let parts = [&data.train, &data.validation, &data.test];
            prop_assert_eq!(contents(&parts), contents(&[&all]));
        }

        /// Few different pixels, so identical images abound, also with different labels.
        #[test]
        fn identical_images_never_part(
            images in prop::collection::vec((prop::array::uniform2(0u8..7), 0u32..3), 40..200),
            options in any_options(),
        ) {
            let all = samples(&images);
            match split("any", Source::of_one_part(names(3), all.clone()), &options) {
                Ok(data) => {
                    prop_assert_eq!(contents(&[&data.train, &data.validation, &data.test]), contents(&[&all]));
                    let [train, validation, test] = [&data.train, &data.validation, &data.test].map(|p| contents(&[p]));
                    let disjoint = |a: &[([u32; 2], u32)], b: &[([u32; 2], u32)]| {
                        a.iter().all(|(image, _)| b.iter().all(|(other, _)| image != other))
                    };
                    prop_assert!(disjoint(&train, &validation) && disjoint(&train, &test) && disjoint(&validation, &test));
                    prop_assert_eq!(data.leaks(), 0);
                }
                Err(
                    DataError::TooFew { .. }
                    | DataError::OnlyDuplicates { .. }
                    | DataError::OneClass { .. },
                ) => (),
                Err(other) => prop_assert!(false, "{}", other),
            }
        }

        /// A group counts with all its images; the class follows from the pixels.
        #[test]
        fn held_out_parts_lack_less_than_a_group(
            pixels in prop::collection::vec(0u8..8, 40..200),
            options in any_options(),
        ) {
            let images: Vec<_> = pixels.iter().map(|&p| ([p, p], u32::from(p % 2))).collect();
            let all = samples(&images);
            let Ok(data) = split("any", Source::of_one_part(names(2), all.clone()), &options) else {
                return Ok(());
            };
            for class in 0..2 {
                let of_class = all.class_counts(2)[class] as f64;
                let of_pixel = |pixel: u8| pixels.iter().filter(|&&p| p == pixel).count();
                let largest = (0..8).filter(|p| usize::from(p % 2) == class).map(of_pixel).max().unwrap();
                for (part, share) in [(&data.validation, options.validation), (&data.test, options.test)] {
                    let (count, exact) = (part.class_counts(2)[class] as f64, of_class * share);
                    prop_assert!(count - exact < 1.0, "{} of {}", count, exact);
                    prop_assert!(exact - count < 1.0 + largest as f64, "{} of {}", count, exact);
                }
            }
        }

        #[test]
        fn the_same_seed_splits_the_same_and_another_does_not(labels in any_labels(), seed: u64) {
            let classes = 1 + *labels.iter().max().unwrap() as usize;
            let part = |seed| {
                let options = LoadOptions { seed, ..LoadOptions::default() };
                split("any", Source::of_one_part(names(classes), distinct(&labels)), &options).unwrap()
            };
            prop_assert_eq!(part(seed), part(seed));
            prop_assert_eq!(part(seed).fingerprint(), part(seed).fingerprint());
            let others = (1..9).map(|n| part(seed.wrapping_add(n)).fingerprint());
            prop_assert!(others.filter(|print| *print == part(seed).fingerprint()).count() < 8);
        }
    }

    #[test]
    fn own_parts_win_over_training_and_test_wins_over_validation() {
        let source = Source {
            classes: names(2),
            train: samples(&[
                ([1, 1], 0),
                ([2, 2], 1),
                ([3, 3], 0),
                ([4, 4], 1),
                ([1, 1], 1),
                ([7, 7], 0),
            ]),
            validation: Some(samples(&[([3, 3], 1), ([5, 5], 0), ([6, 6], 1)])),
            test: Some(samples(&[([6, 6], 0), ([1, 1], 1)])),
            notes: Vec::new(),
        };
        let data = split("any", source, &LoadOptions::default()).unwrap();
        assert_eq!(data.test, samples(&[([6, 6], 0), ([1, 1], 1)]));
        assert_eq!(data.validation, samples(&[([3, 3], 1), ([5, 5], 0)]));
        assert_eq!(data.train, samples(&[([2, 2], 1), ([4, 4], 1), ([7, 7], 0)]));
        assert_eq!(data.notes.len(), 2);
    }

    #[test]
    fn a_part_that_only_repeats_the_test_part_is_an_error() {
        let source = Source {
            validation: Some(samples(&[([6, 6], 1)])),
            test: Some(samples(&[([6, 6], 0)])),
            ..Source::of_one_part(names(2), distinct(&[0, 1, 0, 1, 0, 1]))
        };
        let error = split("any", source, &LoadOptions::default()).unwrap_err();
        assert!(matches!(error, DataError::OnlyDuplicates { part: "validation", .. }), "{error}");
    }

    #[test]
    fn a_class_too_small_to_split_is_named() {
        let source = Source::of_one_part(names(2), distinct(&[0, 0, 0, 0, 1, 1]));
        let error = split("any", source, &LoadOptions::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "class `class 1` of `any` is too small to split: it has 2 of at least 3 images"
        );
    }

    #[test]
    fn a_limit_counts_training_and_validation_and_spares_the_own_test_part() {
        let labels: Vec<u32> = (0..200).map(|n| n % 2).collect();
        let source = Source {
            test: Some(samples(&[([250, 250], 0), ([251, 251], 1)])),
            ..Source::of_one_part(names(2), distinct(&labels))
        };
        let options = LoadOptions { limit: Some(50), ..LoadOptions::default() };
        let data = split("any", source, &options).unwrap();
        assert_eq!([data.train.len(), data.validation.len(), data.test.len()], [40, 10, 2]);
        assert_eq!(data.train.class_counts(2), [20, 20]);
    }
}
