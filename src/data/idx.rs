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
    let bytes = read_up_to(reader, expected, path)?;
    let found = bytes.len() as u64;
    if found < expected {
        return Err(DataError::Truncated { path: path.to_owned(), expected, found });
    }
    Ok(bytes)
}

/// At most `limit` bytes; a gzip stream that breaks off ends where it breaks off.
fn read_up_to(reader: &mut dyn Read, limit: u64, path: &Path) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    match reader.take(limit).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(bytes),
        Err(source) => Err(DataError::Corrupt { path: path.to_owned(), source }),
    }
}
