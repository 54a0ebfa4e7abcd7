//! One writer at a time, kept by the operating system.
use std::fs::File;
use std::fs::TryLockError;
use std::io::Read;
use std::io::Seek;
use std::io::Write;
use std::path::Path;

use super::StoreError;
use super::migrate::sibling;

/// Held until dropped, or until the process ends in whatever way.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes `<path>.lock`, which says who holds it; the file stays.
    ///
    /// # Errors
    ///
    /// [`StoreError::Busy`] at once if another holds it.
    pub(super) fn take(path: &Path) -> Result<Self, StoreError> {
        let name = sibling(path, ".lock");
        let failed = |action| StoreError::file(action, &name);
        let mut options = File::options();
        let open = options.read(true).write(true).create(true).truncate(false).open(&name);
        let mut file = open.map_err(failed("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Busy { path: path.to_owned(), owner: owner(&mut file) });
            }
            Err(TryLockError::Error(e)) => return Err(failed("lock")(e)),
        }
        sign(&mut file).map_err(failed("write"))?;
        Ok(Lock { _file: file })
    }
}

fn sign(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "process {}", std::process::id())
}

/// What the holder wrote, or words for a holder that has not yet.
fn owner(file: &mut File) -> String {
    let mut text = String::new();
    match file.take(64).read_to_string(&mut text) {
        Ok(length) if length > 0 => text.trim().to_owned(),
        Ok(_) | Err(_) => "another process".to_owned(),
    }
}
