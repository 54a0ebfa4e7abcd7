//! Opening files without being surprised by what lies behind a path.

use std::fs;
use std::fs::File;
use std::io;
use std::io::BufReader;
use std::path::Path;
use std::path::PathBuf;

use crate::data::DataError;

/// Most bytes of pixels in one file or folder: more would not fit a laptop beside a training.
pub(super) const MAX_BYTES: u64 = 4 << 30;

/// Opens a regular file, through links; a pipe or device would block or never end.
pub(super) fn open(path: &Path) -> Result<BufReader<File>, DataError> {
    let fail = |source| DataError::Io { path: path.to_owned(), source };
    if !fs::metadata(path).map_err(fail)?.is_file() {
        return Err(fail(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
    }
    File::open(path).map(BufReader::new).map_err(fail)
}

/// Everything in a folder that is not hidden, by name.
pub(super) fn list(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let fail = |source| DataError::Io { path: folder.to_owned(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// Last part of a path, for people.
pub(super) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
