//! IDX, the format of MNIST, gzipped or not.
//!
//! A file is `0 0 8 rank`, then `rank` big-endian 32-bit sizes, then that many unsigned bytes.
//! Source: LeCun, Cortes, Burges, *The MNIST database*, "File formats".

use std::io;
use std::io::BufRead;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;

use crate::data::DataError;
use crate::data::Pixels;
use crate::data::file::MAX_BYTES;
use crate::data::file::open;
use crate::data::parts::Part;
use crate::data::parts::assemble;
use crate::data::source::Source;

/// Does `folder` have a file of MNIST's names?
pub(super) fn is_here(folder: &Path) -> bool {
    ["train", "t10k", "test"].iter().any(|part| images(folder, part).is_some())
        || labels(folder, "train").is_some()
}

/// Reads `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and, if they are there, the same
/// of `t10k` (or `test`), each also with `.` before `idx` and with `.gz`.
///
/// # Errors
///
/// What is wrong with the first bad file.
pub(super) fn read_folder(folder: &Path, names: Option<&[&str]>) -> Result<Source, DataError> {
    let train = read_part(folder, "train")?;
    let is_part = |part: &&str| images(folder, part).is_some() || labels(folder, part).is_some();
    let test = ["t10k", "test"].into_iter().find(is_part);
    let test = test.map(|part| read_part(folder, part)).transpose()?;
    assemble(train, None, test, names)
}

fn images(folder: &Path, part: &str) -> Option<PathBuf> {
    find(folder, part, "images", "idx3-ubyte")
}

fn labels(folder: &Path, part: &str) -> Option<PathBuf> {
    find(folder, part, "labels", "idx1-ubyte")
}

fn find(folder: &Path, part: &str, what: &str, kind: &str) -> Option<PathBuf> {
    let names = ["-", "."].map(|joint| format!("{part}-{what}{joint}{kind}"));
    let names = names.iter().flat_map(|name| [name.clone(), format!("{name}.gz")]);
    names.map(|name| folder.join(name)).find(|path| path.exists())
}

fn read_part(folder: &Path, part: &str) -> Result<Part, DataError> {
    let missing = |file| DataError::MissingFile { folder: folder.to_owned(), file };
    let images_from =
        images(folder, part).ok_or_else(|| missing(format!("{part}-images-idx3-ubyte")))?;
    let labels_from =
        labels(folder, part).ok_or_else(|| missing(format!("{part}-labels-idx1-ubyte")))?;
    let (sizes, pixels) = read(&images_from, 3, "3 (images)")?;
    let (_, labels) = read(&labels_from, 1, "1 (labels)")?;
    Ok(Part {
        images_from,
        shape: [1, sizes[1], sizes[2]],
        pixels: Pixels::U8(Arc::new(pixels)),
        labels_from,
        labels: labels.into_iter().map(i64::from).collect(),
    })
}

/// Sizes and bytes of the IDX file `path`, which must have `rank` dimensions.
fn read(path: &Path, rank: u8, expected: &'static str) -> Result<(Vec<usize>, Vec<u8>), DataError> {
    let mut reader = unpacked(path)?;
    let magic = read_up_to(&mut reader, 4, path)?;
    let found = match magic.as_slice() {
        [0, 0, 8, found] => *found,
        _ => return Err(DataError::NotIdx { path: path.to_owned(), found: magic }),
    };
    if found != rank {
        return Err(DataError::IdxDimensions { path: path.to_owned(), expected, found });
    }
    let header = read_exactly(&mut reader, 4 * u64::from(rank), path)?;
    let size = |four: &[u8]| four.iter().fold(0usize, |n, &byte| n << 8 | usize::from(byte));
    let sizes: Vec<usize> = header.chunks_exact(4).map(size).collect();
    let announced = sizes.iter().fold(1u64, |n, &size| n.saturating_mul(size as u64));
    if announced > MAX_BYTES {
        let path = path.to_owned();
        return Err(DataError::TooLarge { path, found: announced, limit: MAX_BYTES });
    }
    let bytes = read_exactly(&mut reader, announced, path)?;
    if !read_up_to(&mut reader, 1, path)?.is_empty() {
        return Err(DataError::TrailingBytes { path: path.to_owned(), expected: announced });
    }
    Ok((sizes, bytes))
}

/// The contents of `path`, unpacked if they begin like gzip, whatever the name says.
fn unpacked(path: &Path) -> Result<Box<dyn Read>, DataError> {
    let mut file = open(path)?;
    let start =
        file.fill_buf().map_err(|source| DataError::Io { path: path.to_owned(), source })?;
    let is_gzip = start.starts_with(&[0x1f, 0x8b]);
    Ok(if is_gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}

/// `expected` bytes; memory grows with what is really there.
fn read_exactly(reader: &mut dyn Read, expected: u64, path: &Path) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    match reader.take(expected).read_to_end(&mut bytes) {
        Err(source) if source.kind() != io::ErrorKind::UnexpectedEof => {
            return Err(DataError::Corrupt { path: path.to_owned(), source });
        }
        Ok(_) | Err(_) => (),
    }
    let found = bytes.len() as u64;
    if found < expected {
        return Err(DataError::Truncated { path: path.to_owned(), expected, found });
    }
    Ok(bytes)
}

/// At most `limit` bytes, fewer only at the proper end of the file.
fn read_up_to(reader: &mut dyn Read, limit: u64, path: &Path) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    let read = reader.take(limit).read_to_end(&mut bytes);
    read.map_err(|source| DataError::Corrupt { path: path.to_owned(), source })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tempfile::TempDir;

    use super::*;
    use crate::data::DataSet;
    use crate::data::LoadOptions;
    use crate::data::load;

    /// `0 0 8 rank`, sizes, bytes.
    fn idx(sizes: &[u32], bytes: &[u8]) -> Vec<u8> {
        let mut file = vec![0, 0, 8, sizes.len() as u8];
        sizes.iter().for_each(|size| file.extend(size.to_be_bytes()));
        file.extend_from_slice(bytes);
        file
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// 40 different images `[1, 2, 3]` and their labels, 5 and 7 in turn.
    fn images_and_labels() -> (Vec<u8>, Vec<u8>) {
        let pixels: Vec<u8> = (0..240).collect();
        let labels: Vec<u8> = (0..40).map(|n| 5 + 2 * (n % 2)).collect();
        (idx(&[40, 2, 3], &pixels), idx(&[40], &labels))
    }

    fn folder(files: &[(&str, &[u8])]) -> TempDir {
        let folder = TempDir::new().unwrap();
        files.iter().for_each(|(name, bytes)| fs::write(folder.path().join(name), bytes).unwrap());
        folder
    }

    fn load_from(folder: &TempDir) -> Result<DataSet, DataError> {
        load(folder.path().to_str().unwrap(), &LoadOptions::default())
    }

    /// Loads `images` with good labels.
    fn load_images(images: &[u8]) -> DataError {
        let (_, labels) = images_and_labels();
        let files = [("train-images-idx3-ubyte", images), ("train-labels-idx1-ubyte", &labels)];
        load_from(&folder(&files)).unwrap_err()
    }

    #[test]
    fn a_written_set_reads_back_and_counts_classes_that_occur() {
        let (images, labels) = images_and_labels();
        let files = [
            ("train-images-idx3-ubyte", &*images),
            ("train-labels.idx1-ubyte.gz", &*gzip(&labels)),
        ];
        let data = load_from(&folder(&files)).unwrap();
        assert_eq!((data.classes, data.shape), (vec!["5".to_owned(), "7".to_owned()], [1, 2, 3]));
        for part in [&data.train, &data.validation, &data.test] {
            for index in 0..part.len() {
                let mut image = [0.0; 6];
                part.copy_image(index, &mut image);
                let number = image[0] as u32 / 6;
                assert_eq!(image.map(|v| v as u32), [0, 1, 2, 3, 4, 5].map(|p| 6 * number + p));
                assert_eq!(part.labels[index], number % 2);
            }
        }
        assert_eq!(data.train.len() + data.validation.len() + data.test.len(), 40);
    }

    #[test]
    fn gzip_is_told_by_its_bytes_not_by_its_name() {
        let (images, labels) = images_and_labels();
        let files = [
            ("train-images-idx3-ubyte", &*gzip(&images)),
            ("train-labels-idx1-ubyte.gz", &*labels),
        ];
        assert!(load_from(&folder(&files)).is_ok());
    }

    #[test]
    fn the_test_part_of_the_source_stays_whole_and_training_gives_way() {
        let (images, labels) = images_and_labels();
        // Images 0 and 3 of the training part, and one that is new.
        let test: Vec<u8> = [0..6, 18..24, 240..246].into_iter().flatten().collect();
        let files = [
            ("train-images-idx3-ubyte", &*images),
            ("train-labels-idx1-ubyte", &*labels),
            ("t10k-images-idx3-ubyte", &*idx(&[3, 2, 3], &test)),
            ("t10k-labels-idx1-ubyte", &*idx(&[3], &[5, 7, 7])),
        ];
        let data = load_from(&folder(&files)).unwrap();
        assert_eq!(data.test.labels.as_slice(), [0, 1, 1]);
        assert_eq!(data.train.len() + data.validation.len(), 38);
        assert_eq!(data.leaks(), 0);
        assert_eq!(
            data.notes,
            ["left out of the training part as identical to held-out images: 2"]
        );
    }

    #[test]
    fn every_truncation_is_an_error_that_names_the_file() {
        let (images, _) = images_and_labels();
        for end in 0..images.len() {
            let error = load_images(&images[..end]);
            let named = error.to_string().contains("train-images-idx3-ubyte");
            assert!(named, "{end}: {error}");
            match end {
                0..4 => assert!(matches!(error, DataError::NotIdx { .. }), "{end}: {error}"),
                _ => assert!(matches!(error, DataError::Truncated { .. }), "{end}: {error}"),
            }
        }
    }

    #[test]
    fn every_truncation_of_a_gzip_file_is_an_error() {
        let packed = gzip(&images_and_labels().0);
        for end in 0..packed.len() {
            let error = load_images(&packed[..end]).to_string();
            assert!(error.contains("train-images-idx3-ubyte"), "{end}: {error}");
        }
    }

    #[test]
    fn a_flipped_bit_in_a_gzip_file_never_passes_unseen() {
        let packed = gzip(&images_and_labels().0);
        // The header's flags and times (bytes 3 to 9) are not covered by its checksum.
        for at in 10..packed.len() {
            let mut damaged = packed.clone();
            damaged[at] ^= 1;
            assert!(load_images(&damaged).hint().is_some(), "byte {at}");
        }
    }

    #[test]
    fn a_header_that_promises_too_much_costs_no_memory() {
        let error = load_images(&idx(&[u32::MAX, u32::MAX, u32::MAX], &[]));
        assert!(matches!(error, DataError::TooLarge { found: u64::MAX, .. }), "{error}");
        let error = load_images(&idx(&[1 << 20, 32, 32], &[1; 100]));
        assert!(matches!(error, DataError::Truncated { found: 100, .. }), "{error}");
    }

    #[test]
    fn bytes_after_the_end_are_an_error() {
        let mut images = images_and_labels().0;
        images.push(0);
        assert!(matches!(load_images(&images), DataError::TrailingBytes { expected: 240, .. }));
    }

    #[test]
    fn another_magic_number_is_shown() {
        let error = load_images(b"<html>not here</html>");
        assert!(error.to_string().ends_with("begins with [3c, 68, 74, 6d]"), "{error}");
        // Type 0x0d: floats.
        assert!(matches!(load_images(&[0, 0, 13, 3, 0]), DataError::NotIdx { .. }));
    }

    #[test]
    fn swapped_images_and_labels_are_told_apart() {
        let (_, labels) = images_and_labels();
        let error = load_images(&labels);
        assert!(error.to_string().ends_with("is 1, not 3 (images)"), "{error}");
        assert_eq!(error.hint(), Some("images and labels may have been swapped"));
    }

    #[test]
    fn counts_that_differ_and_no_images_are_named() {
        let error = load_images(&idx(&[39, 2, 3], &[0; 234]));
        assert!(matches!(error, DataError::CountMismatch { images: 39, labels: 40, .. }));
        assert!(matches!(load_images(&idx(&[0, 2, 3], &[])), DataError::Empty { .. }));
        assert!(matches!(load_images(&idx(&[40, 0, 3], &[])), DataError::Empty { .. }));
    }

    #[test]
    fn a_missing_half_is_named() {
        let (images, labels) = images_and_labels();
        let error = load_from(&folder(&[("train-images-idx3-ubyte", &images)])).unwrap_err();
        assert!(error.to_string().ends_with("lacks `train-labels-idx1-ubyte`"), "{error}");
        let files = [
            ("train-images-idx3-ubyte", &*images),
            ("train-labels-idx1-ubyte", &*labels),
            ("t10k-labels-idx1-ubyte", &*labels),
        ];
        let error = load_from(&folder(&files)).unwrap_err();
        assert!(error.to_string().ends_with("lacks `t10k-images-idx3-ubyte`"), "{error}");
    }

    #[test]
    fn a_label_that_training_does_not_know_is_named() {
        let (images, labels) = images_and_labels();
        let files = [
            ("train-images-idx3-ubyte", &*images),
            ("train-labels-idx1-ubyte", &*labels),
            ("t10k-images-idx3-ubyte", &*idx(&[2, 2, 3], &[9; 12])),
            ("t10k-labels-idx1-ubyte", &*idx(&[2], &[5, 6])),
        ];
        let error = load_from(&folder(&files)).unwrap_err();
        assert!(error.to_string().ends_with("label 1 is 6, not a class"), "{error}");
    }

    #[test]
    fn a_label_beyond_the_names_is_named() {
        let (images, labels) = images_and_labels();
        let files = [("train-images-idx3-ubyte", &*images), ("train-labels-idx1-ubyte", &*labels)];
        let names = ["a", "b", "c", "d", "e", "f"];
        let error = read_folder(folder(&files).path(), Some(&names)).unwrap_err();
        assert!(error.to_string().ends_with("label 1 is 7, not a class"), "{error}");
    }

    #[test]
    fn parts_of_different_shape_are_an_error() {
        let (images, labels) = images_and_labels();
        let files = [
            ("train-images-idx3-ubyte", &*images),
            ("train-labels-idx1-ubyte", &*labels),
            ("test-images-idx3-ubyte", &*idx(&[1, 3, 2], &[9; 6])),
            ("test-labels-idx1-ubyte", &*idx(&[1], &[5])),
        ];
        let error = load_from(&folder(&files)).unwrap_err();
        assert!(matches!(error, DataError::ShapeMismatch { found: [1, 3, 2], .. }), "{error}");
    }

    #[test]
    fn one_class_is_an_error() {
        let (images, _) = images_and_labels();
        let files = [
            ("train-images-idx3-ubyte", &*images),
            ("train-labels-idx1-ubyte", &*idx(&[40], &[4; 40])),
        ];
        let error = load_from(&folder(&files)).unwrap_err();
        assert!(matches!(&error, DataError::OneClass { class, .. } if class == "4"), "{error}");
    }

    #[test]
    fn a_folder_in_place_of_a_file_is_an_error() {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("train-images-idx3-ubyte")).unwrap();
        fs::write(folder.path().join("train-labels-idx1-ubyte"), "").unwrap();
        assert!(matches!(load_from(&folder).unwrap_err(), DataError::Io { .. }));
    }
}
