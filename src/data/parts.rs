//! Parts whose labels are numbers, checked and put together; shared by IDX and npz.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use crate::data::DataError;
use crate::data::Pixels;
use crate::data::Samples;
use crate::data::source::Source;

/// Images and their labels, as they were read.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// Where the images come from, for errors.
    pub images_from: PathBuf,
    /// `[C, H, W]` of one image.
    pub shape: [usize; 3],
    /// `[N, C, H, W]`.
    pub pixels: Pixels,
    /// Where the labels come from, for errors.
    pub labels_from: PathBuf,
    /// One an image, any numbers.
    pub labels: Vec<i64>,
}

/// Checks the parts and gives each label its class.
///
/// With `names`, label `i` is class `names[i]`; otherwise the classes are the numbers that occur
/// in the training part, ascending, so sets that count from 1 have no empty class.
///
/// # Errors
///
/// [`DataError::Empty`], [`DataError::CountMismatch`], [`DataError::ShapeMismatch`],
/// [`DataError::NotFinite`], [`DataError::BadLabel`].
pub(super) fn assemble(
    train: Part,
    validation: Option<Part>,
    test: Option<Part>,
    names: Option<&[&str]>,
) -> Result<Source, DataError> {
    let numbers = match names {
        Some(names) => (0..names.len() as i64).collect(),
        None => distinct(&train.labels),
    };
    let classes = match names {
        Some(names) => names.iter().map(|&name| name.to_owned()).collect(),
        None => numbers.iter().map(i64::to_string).collect(),
    };
    let shape = train.shape;
    let samples = |part: Part| checked(part, shape, &numbers);
    Ok(Source {
        classes,
        train: samples(train)?,
        validation: validation.map(samples).transpose()?,
        test: test.map(samples).transpose()?,
        notes: Vec::new(),
    })
}

fn distinct(labels: &[i64]) -> Vec<i64> {
    let mut numbers = labels.to_vec();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

fn checked(part: Part, expected: [usize; 3], numbers: &[i64]) -> Result<Samples, DataError> {
    let Part { images_from, shape, pixels, labels_from, labels } = part;
    if pixels.is_empty() {
        return Err(DataError::Empty { path: images_from });
    }
    if shape != expected {
        return Err(DataError::ShapeMismatch { path: images_from, expected, found: shape });
    }
    let images = pixels.len() / shape.iter().product::<usize>();
    if images != labels.len() {
        let labels = labels.len();
        return Err(DataError::CountMismatch { path: labels_from, images, labels });
    }
    ensure_finite(&pixels, shape, &images_from)?;
    let labels = Arc::new(classes_of(&labels, numbers, &labels_from)?);
    Ok(Samples { shape, pixels, labels })
}

fn ensure_finite(pixels: &Pixels, shape: [usize; 3], path: &Path) -> Result<(), DataError> {
    let values = match pixels {
        Pixels::U8(_) => return Ok(()),
        Pixels::F32(values) => values,
    };
    let Some(at) = values.iter().position(|value| !value.is_finite()) else { return Ok(()) };
    let [channels, height, width] = shape;
    Err(DataError::NotFinite {
        path: path.to_owned(),
        image: at / (channels * height * width),
        at: [at / (height * width) % channels, at / width % height, at % width],
        value: values[at],
    })
}

fn classes_of(labels: &[i64], numbers: &[i64], path: &Path) -> Result<Vec<u32>, DataError> {
    let class = |(index, label): (usize, &i64)| match numbers.binary_search(label) {
        Ok(class) => Ok(class as u32),
        Err(_) => {
            Err(DataError::BadLabel { path: path.to_owned(), index, label: label.to_string() })
        }
    };
    labels.iter().enumerate().map(class).collect()
}
