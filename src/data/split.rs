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
    notes.push(format!("{count} images of the {name} part left out: identical ones are held out"));
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
