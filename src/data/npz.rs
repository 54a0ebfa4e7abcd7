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
/// Most bytes of one array; images pass through floats, which may be four times as large.
const MAX_ARRAY: u64 = MAX_BYTES / 4;
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
        let array = Array::read(&mut file, MAX_ARRAY);
        drop(file);
        let path = self.path.join(name);
        array.map_err(|error| match error {
            ArrayError::Unusable(reason) => self.bad_array(name, reason),
            ArrayError::TooLarge(found) => DataError::TooLarge { path, found, limit: MAX_ARRAY },
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use ndarray::Array as Nd;
    use ndarray::Array1;
    use ndarray::ArrayD;
    use ndarray::IxDyn;
    use ndarray_npy::NpzWriter;
    use tempfile::TempDir;

    use super::*;
    use crate::data::DataSet;
    use crate::data::LoadOptions;
    use crate::data::Samples;
    use crate::data::load;

    /// A value for each place of an image.
    fn value(n: usize, c: usize, h: usize, w: usize) -> f32 {
        ((n * 31 + c * 7 + h * 3 + w) % 200) as f32 + n as f32 / 64.0
    }

    fn labels() -> Array1<i64> {
        (0..20).map(|n| n % 2).collect()
    }

    struct File {
        folder: TempDir,
        writer: NpzWriter<fs::File>,
    }

    impl File {
        fn create() -> File {
            let folder = TempDir::new().unwrap();
            let file = fs::File::create(folder.path().join("data.npz")).unwrap();
            File { folder, writer: NpzWriter::new_compressed(file) }
        }

        fn load(self) -> Result<DataSet, DataError> {
            self.writer.finish().unwrap();
            load(self.folder.path().join("data.npz").to_str().unwrap(), &LoadOptions::default())
        }
    }

    /// Images are told apart by their fraction, so each is found again after the split.
    #[track_caller]
    fn check_images(data: &DataSet, shape: [usize; 3]) {
        assert_eq!(data.shape, shape);
        let mut seen = 0;
        for part in [&data.train, &data.validation, &data.test] {
            seen += part.len();
            (0..part.len()).for_each(|index| check_image(part, index));
        }
        assert_eq!(seen, 20);
    }

    #[track_caller]
    fn check_image(part: &Samples, index: usize) {
        let [channels, height, width] = part.shape;
        let mut image = vec![0.0; part.image_len()];
        part.copy_image(index, &mut image);
        let n = (image[0].fract() * 64.0) as usize;
        assert_eq!(part.labels[index], n as u32 % 2);
        let mut values = image.into_iter();
        for c in 0..channels {
            for h in 0..height {
                for w in 0..width {
                    assert_eq!(values.next(), Some(value(n, c, h, w)));
                }
            }
        }
    }

    #[test]
    fn all_three_layouts_give_the_same_images() {
        let mut grey = File::create();
        let images = Nd::from_shape_fn((20, 5, 6), |(n, h, w)| value(n, 0, h, w));
        grey.writer.add_array("x_train", &images).unwrap();
        grey.writer.add_array("y_train", &labels()).unwrap();
        check_images(&grey.load().unwrap(), [1, 5, 6]);

        let mut last = File::create();
        let images = Nd::from_shape_fn((20, 5, 6, 3), |(n, h, w, c)| value(n, c, h, w));
        last.writer.add_array("images", &images).unwrap();
        last.writer.add_array("labels", &labels()).unwrap();
        let data = last.load().unwrap();
        check_images(&data, [3, 5, 6]);
        assert_eq!(data.notes, ["`images` of shape [20, 5, 6, 3] is read as [N, H, W, C]"]);

        let mut first = File::create();
        let images = Nd::from_shape_fn((20, 3, 5, 6), |(n, c, h, w)| value(n, c, h, w));
        first.writer.add_array("x", &images).unwrap();
        first.writer.add_array("y", &labels()).unwrap();
        let data = first.load().unwrap();
        check_images(&data, [3, 5, 6]);
        assert_eq!(data.notes, ["`x` of shape [20, 3, 5, 6] is read as [N, C, H, W]"]);
    }

    #[test]
    fn the_order_of_fortran_makes_no_difference() {
        let mut file = File::create();
        let reversed = Nd::from_shape_fn((6, 5, 3, 20), |(w, h, c, n)| value(n, c, h, w));
        file.writer.add_array("x", &reversed.reversed_axes()).unwrap();
        file.writer.add_array("y", &labels()).unwrap();
        check_images(&file.load().unwrap(), [3, 5, 6]);
    }

    #[test]
    fn the_channel_is_the_small_axis_or_the_one_that_is_no_side_of_a_square() {
        assert!(channels_last([28, 28, 1]) && channels_last([2, 7, 3]));
        assert!(!channels_last([1, 28, 28]) && !channels_last([3, 5, 7]));
        assert!(channels_last([8, 8, 16]) && !channels_last([16, 8, 8]));
        assert!(channels_last([3, 3, 3]) && channels_last([8, 9, 10]));
    }

    #[test]
    fn whole_numbers_to_255_become_bytes_whatever_their_type() {
        fn pixels<T: ndarray_npy::WritableElement>(of: impl Fn(usize) -> T) -> Pixels {
            let mut file = File::create();
            let images: ArrayD<T> = Nd::from_shape_fn(IxDyn(&[20, 2, 2]), |at| of(at[0] + at[2]));
            file.writer.add_array("X", &images).unwrap();
            file.writer.add_array("y", &labels()).unwrap();
            file.load().unwrap().train.pixels
        }
        let bytes = pixels(|n| n as u8);
        assert!(matches!(bytes, Pixels::U8(_)));
        assert_eq!(pixels(|n| n as i64), bytes);
        assert_eq!(pixels(|n| n as u16), bytes);
        assert_eq!(pixels(|n| n as f64), bytes);
        let signed = pixels(|n| -(n as i16));
        let floats = pixels(|n| -(n as f32));
        assert!(matches!(signed, Pixels::F32(_)));
        assert_eq!(signed, floats);
    }

    #[test]
    fn parts_of_the_archive_are_kept_as_they_are() {
        let mut file = File::create();
        let part = |count: usize, start: usize| {
            Nd::from_shape_fn((count, 2, 2), move |(n, h, w)| (start + 4 * n + 2 * h + w) as u8)
        };
        let column = |count: usize| Nd::from_shape_fn((count, 1), |(n, _)| (n % 2) as u8);
        for (name, count, start) in [("train", 20, 0), ("val", 4, 100), ("test", 6, 150)] {
            file.writer.add_array(format!("{name}_images"), &part(count, start)).unwrap();
            file.writer.add_array(format!("{name}_labels"), &column(count)).unwrap();
        }
        let data = file.load().unwrap();
        assert_eq!([data.train.len(), data.validation.len(), data.test.len()], [20, 4, 6]);
        assert_eq!(data.test.pixels, Pixels::U8(Arc::new((150..174).collect())));
    }

    #[test]
    fn a_pixel_that_is_not_finite_is_named() {
        for bad in [f32::NAN, f32::INFINITY] {
            let mut file = File::create();
            let mut images = Nd::from_shape_fn((20, 5, 6, 3), |(n, h, w, c)| value(n, c, h, w));
            images[[13, 4, 2, 1]] = bad;
            file.writer.add_array("x_train", &images).unwrap();
            file.writer.add_array("y_train", &labels()).unwrap();
            match file.load().unwrap_err() {
                DataError::NotFinite { path, image: 13, at: [1, 4, 2], value } => {
                    assert_eq!(value.to_bits(), bad.to_bits());
                    assert!(path.ends_with("data.npz/x_train"));
                }
                other => panic!("{other}"),
            }
        }
    }

    #[test]
    fn labels_that_are_no_classes_are_named() {
        fn error<T: ndarray_npy::WritableElement>(labels: &ArrayD<T>) -> String {
            let mut file = File::create();
            let images = Nd::from_shape_fn((20, 2, 2), |(n, h, w)| value(n, 0, h, w));
            file.writer.add_array("x", &images).unwrap();
            file.writer.add_array("y", labels).unwrap();
            file.load().unwrap_err().to_string()
        }
        let numbers = |of: fn(usize) -> f64| Nd::from_shape_fn(IxDyn(&[20]), |at| of(at[0]));
        assert!(error(&numbers(|n| n as f64 / 2.0)).ends_with("label 1 is 0.5, not a class"));
        assert!(error(&numbers(|n| 2.0 - n as f64)).ends_with("label 3 is -1, not a class"));
        assert!(error(&numbers(|_| f64::NAN)).ends_with("label 0 is NaN, not a class"));
        assert!(error(&numbers(|_| 1.0)).ends_with("has a single class, `1`"));
        assert!(
            error(&Nd::from_shape_fn(IxDyn(&[19]), |at| at[0] as u8))
                .ends_with("20 images but 19 labels")
        );
        assert!(
            error(&Nd::from_shape_fn(IxDyn(&[20, 10]), |at| at[1] as u8))
                .ends_with("has shape [20, 10], not [N]")
        );
        assert!(
            error(&Nd::from_shape_fn(IxDyn(&[20]), |at| at[0] as u8))
                .contains("has 1 of at least 3 images")
        );
    }

    #[test]
    fn arrays_under_other_names_are_listed() {
        let mut file = File::create();
        file.writer.add_array("pictures", &labels()).unwrap();
        let error = file.load().unwrap_err();
        assert!(error.to_string().ends_with("but [\"pictures.npy\"]"), "{error}");

        let mut file = File::create();
        file.writer.add_array("x_train", &labels()).unwrap();
        let error = file.load().unwrap_err();
        assert!(error.to_string().ends_with("lacks `y_train`"), "{error}");
    }

    #[test]
    fn shapes_that_are_no_images_are_named() {
        for shape in [&[20][..], &[20, 64], &[20, 2, 2, 2, 2]] {
            let mut file = File::create();
            file.writer.add_array("x", &ArrayD::<u8>::zeros(shape)).unwrap();
            file.writer.add_array("y", &labels()).unwrap();
            let error = file.load().unwrap_err().to_string();
            assert!(
                error.ends_with(&format!("has shape {shape:?}, not that of images")),
                "{error}"
            );
        }
        let mut file = File::create();
        file.writer.add_array("x", &ArrayD::<u8>::zeros(&[0, 2, 2][..])).unwrap();
        file.writer.add_array("y", &Array1::<u8>::zeros(0)).unwrap();
        assert!(matches!(file.load().unwrap_err(), DataError::Empty { .. }));
    }

    /// An archive whose only arrays are `x`, given by its bytes, and good labels.
    fn load_raw(x: &[u8]) -> DataError {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("data.npz");
        let mut zip = zip::ZipWriter::new(fs::File::create(&path).unwrap());
        let mut y = Vec::new();
        ndarray_npy::WriteNpyExt::write_npy(&labels(), &mut y).unwrap();
        for (name, bytes) in [("x.npy", x), ("y.npy", &y)] {
            zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap();
        load(path.to_str().unwrap(), &LoadOptions::default()).unwrap_err()
    }

    fn npy(header: &str, bytes: &[u8]) -> Vec<u8> {
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend((header.len() as u16).to_le_bytes());
        file.extend(header.as_bytes());
        file.extend(bytes);
        file
    }

    #[test]
    fn headers_are_not_believed() {
        let header = |descr: &str, shape: &str| {
            format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n")
        };
        let huge = load_raw(&npy(&header("'<f8'", "(99999999999, 99999999999, 9)"), &[]));
        assert!(matches!(huge, DataError::TooLarge { found: u64::MAX, .. }), "{huge}");
        let short = load_raw(&npy(&header("'|u1'", "(20, 2, 2)"), &[0; 79]));
        assert!(matches!(short, DataError::Truncated { expected: 80, found: 79, .. }), "{short}");
        let long = load_raw(&npy(&header("'|u1'", "(20, 2, 2)"), &[0; 81]));
        assert!(matches!(long, DataError::TrailingBytes { expected: 80, .. }), "{long}");
        for descr in ["'<c8'", "'|O'", "'<U4'", "[('a', '<f4')]", "'<f3'", "''", "'"] {
            let error = load_raw(&npy(&header(descr, "(20, 2, 2)"), &[]));
            assert!(matches!(error, DataError::BadArray { .. }), "{descr}: {error}");
        }
        for shape in ["(20, -2, 2)", "(20, 2", "20", "(20, x)"] {
            let error = load_raw(&npy(&header("'|u1'", shape), &[]));
            assert!(error.to_string().ends_with("has a shape that cannot be read"), "{error}");
        }
        for bytes in [&b""[..], b"PK", b"\x93NUMPY\x09\x00", b"\x93NUMPY\x02\x00\xff\xff\xff\xff"] {
            let error = load_raw(bytes);
            assert!(matches!(error, DataError::BadArray { .. }), "{error}");
        }
        let nested = "[".repeat(60_000);
        assert!(matches!(load_raw(&npy(&nested, &[])), DataError::BadArray { .. }));
    }

    #[test]
    fn every_truncation_of_an_archive_is_an_error() {
        let mut file = File::create();
        let images = Nd::from_shape_fn((20, 2, 2), |(n, h, w)| value(n, 0, h, w));
        file.writer.add_array("x", &images).unwrap();
        file.writer.add_array("y", &labels()).unwrap();
        let File { folder, writer } = file;
        writer.finish().unwrap();
        let path = folder.path().join("data.npz");
        let whole = fs::read(&path).unwrap();
        for end in (0..whole.len()).step_by(7) {
            fs::write(&path, &whole[..end]).unwrap();
            let error = load(path.to_str().unwrap(), &LoadOptions::default()).unwrap_err();
            assert!(matches!(error, DataError::NotNpz { .. }), "{end}: {error}");
        }
    }
}
