//! npz archives of NumPy.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use zip::ZipArchive;
use zip::result::ZipError;

use crate::data::DataError;
use crate::data::Pixels;
use crate::data::file::MAX_BYTES;
use crate::data::file::open;
use crate::data::npy::Array;
use crate::data::npy::ArrayError;
use crate::data::parts::Part;
use crate::data::parts::assemble;
use crate::data::source::Source;

/// Names of images and labels of the training part, as Keras, MedMNIST and people write them.
const TRAIN: &[[&str; 2]] = &[
    ["x_train", "y_train"],
    ["train_images", "train_labels"],
    ["images", "labels"],
    ["x", "y"],
    ["X", "y"],
];
/// Of the validation part.
const VALIDATION: &[[&str; 2]] = &[["x_val", "y_val"], ["val_images", "val_labels"]];
/// Of the test part.
const TEST: &[[&str; 2]] = &[["x_test", "y_test"], ["test_images", "test_labels"]];
/// Names that an error lists.
const LISTED: usize = 8;

/// Reads the archive `path`.
///
/// Images are `[N, H, W]`, `[N, H, W, C]` or `[N, C, H, W]`; which of the two is decided by
/// [`channels_last`] and said in a note. Values that are whole numbers from 0 to 255 throughout
/// are kept as bytes, whatever their type.
///
/// # Errors
///
/// What is wrong with the first bad array.
pub(super) fn read(path: &Path) -> Result<Source, DataError> {
    let mut archive = Archive::open(path)?;
    let mut notes = Vec::new();
    let Some(train) = archive.part(TRAIN, &mut notes)? else { return Err(archive.no_arrays()) };
    let validation = archive.part(VALIDATION, &mut notes)?;
    let test = archive.part(TEST, &mut notes)?;
    Ok(Source { notes, ..assemble(train, validation, test, None)? })
}

struct Archive {
    path: PathBuf,
    zip: ZipArchive<BufReader<File>>,
}

impl Archive {
    fn open(path: &Path) -> Result<Archive, DataError> {
        let zip = ZipArchive::new(open(path)?).map_err(|error| not_npz(path, &error))?;
        Ok(Archive { path: path.to_owned(), zip })
    }

    /// The part of the first pair of `names` that the archive has.
    fn part(
        &mut self,
        names: &[[&str; 2]],
        notes: &mut Vec<String>,
    ) -> Result<Option<Part>, DataError> {
        let has = |name: &str| self.zip.index_for_name(&format!("{name}.npy")).is_some();
        let pair = names.iter().find(|[x, y]| has(x) && has(y));
        let Some([x, y]) = pair.or(names.iter().find(|[x, _]| has(x))) else { return Ok(None) };
        if !has(y) {
            return Err(DataError::MissingFile { folder: self.path.clone(), file: y.to_string() });
        }
        let (images, labels) = (self.array(x)?, self.array(y)?);
        let (view, note) = View::of(&images).map_err(|reason| self.bad_array(x, reason))?;
        notes.extend(
            note.map(|note| format!("`{x}` of shape {:?} is read as {note}", images.shape)),
        );
        let labels = labels_of(&labels).map_err(|bad| match bad {
            BadLabels::Shape => self.bad_array(y, format!("has shape {:?}, not [N]", labels.shape)),
            BadLabels::Value(index, label) => {
                DataError::BadLabel { path: self.path.join(y), index, label: label.to_string() }
            }
        })?;
        Ok(Some(Part {
            images_from: self.path.join(x),
            shape: view.shape,
            pixels: narrow(view.gather(&images)),
            labels_from: self.path.join(y),
            labels,
        }))
    }

    fn array(&mut self, name: &str) -> Result<Array, DataError> {
        let mut file = self
            .zip
            .by_name(&format!("{name}.npy"))
            .map_err(|error| not_npz(&self.path, &error))?;
        let array = Array::read(&mut file, MAX_BYTES);
        drop(file);
        let path = self.path.join(name);
        array.map_err(|error| match error {
            ArrayError::Unusable(reason) => self.bad_array(name, reason),
            ArrayError::TooLarge(found) => DataError::TooLarge { path, found, limit: MAX_BYTES },
            ArrayError::Truncated(expected, found) => {
                DataError::Truncated { path, expected, found }
            }
            ArrayError::Trailing(expected) => DataError::TrailingBytes { path, expected },
        })
    }

    fn bad_array(&self, array: &str, reason: String) -> DataError {
        DataError::BadArray { path: self.path.clone(), array: array.to_owned(), reason }
    }

    fn no_arrays(&self) -> DataError {
        let mut found: Vec<String> = self.zip.file_names().map(str::to_owned).collect();
        found.sort();
        found.truncate(LISTED);
        DataError::NoArrays { path: self.path.clone(), found }
    }
}

fn not_npz(path: &Path, error: &ZipError) -> DataError {
    DataError::NotNpz { path: path.to_owned(), reason: error.to_string() }
}

/// An array seen as `[N, C, H, W]`.
struct View {
    count: usize,
    shape: [usize; 3],
    /// Elements from one image, channel, row, column to the next.
    strides: [usize; 4],
}

impl View {
    /// The view, and how four axes were understood; or why there is none.
    fn of(array: &Array) -> Result<(View, Option<&'static str>), String> {
        let strides = &array.strides;
        let view = |c: Option<usize>, h: usize, w: usize| View {
            count: array.shape[0],
            shape: [c.map_or(1, |c| array.shape[c]), array.shape[h], array.shape[w]],
            strides: [strides[0], c.map_or(0, |c| strides[c]), strides[h], strides[w]],
        };
        match array.shape[..] {
            [_, _, _] => Ok((view(None, 1, 2), None)),
            [_, a, b, c] if channels_last([a, b, c]) => {
                Ok((view(Some(3), 1, 2), Some("[N, H, W, C]")))
            }
            [_, _, _, _] => Ok((view(Some(1), 2, 3), Some("[N, C, H, W]"))),
            _ => Err(format!("has shape {:?}, not that of images", array.shape)),
        }
    }

    fn gather(&self, array: &Array) -> Vec<f32> {
        let [channels, height, width] = self.shape;
        let [per_image, per_channel, per_row, per_column] = self.strides;
        let mut out = Vec::with_capacity(array.len());
        for image in (0..self.count).map(|n| n * per_image) {
            for channel in (0..channels).map(|c| image + c * per_channel) {
                for row in (0..height).map(|h| channel + h * per_row) {
                    out.extend((0..width).map(|w| array.value(row + w * per_column) as f32));
                }
            }
        }
        out
    }
}

/// Is the last of the three axes of an image the channel, not the first?
///
/// The one of up to 4 entries is; else the one that is not a side of a square; else the last, as
/// in Keras.
fn channels_last([first, middle, last]: [usize; 3]) -> bool {
    match (first <= 4, last <= 4) {
        (true, false) => false,
        (false, true) => true,
        (true, true) | (false, false) => first == middle || middle != last,
    }
}

enum BadLabels {
    Shape,
    Value(usize, f64),
}

/// Whole numbers from 0 of an array `[N]` or `[N, 1]`.
fn labels_of(array: &Array) -> Result<Vec<i64>, BadLabels> {
    match array.shape[..] {
        [_] | [_, 1] => (),
        _ => return Err(BadLabels::Shape),
    }
    let label = |index| match array.value(index) {
        value if value >= 0.0 && value.fract() == 0.0 => Ok(value as i64),
        value => Err(BadLabels::Value(index, value)),
    };
    (0..array.len()).map(label).collect()
}

/// Bytes if all values are.
fn narrow(values: Vec<f32>) -> Pixels {
    if values.iter().all(|&value| f32::from(value as u8) == value) {
        return Pixels::U8(Arc::new(values.iter().map(|&value| value as u8).collect()));
    }
    Pixels::F32(Arc::new(values))
}
