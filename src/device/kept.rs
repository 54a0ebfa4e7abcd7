//! Files that several processes of a user write: one at a time, and never half.
use std::fs;
use std::fs::File;
use std::fs::Permissions;
use std::io;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Where a file lies; the current folder if its path does not say.
pub(super) fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        None => Path::new("."),
        Some(folder) if folder == Path::new("") => Path::new("."),
        Some(folder) => folder,
    }
}

/// Waits for `<file>.lock`, which stays; held until dropped, or until the process ends.
pub(super) fn lock(file: &Path) -> io::Result<File> {
    let mut name = file.as_os_str().to_owned();
    name.push(".lock");
    let lock = File::options().write(true).create(true).truncate(false).open(name)?;
    lock.lock()?;
    Ok(lock)
}

/// The new contents are on the disk before the name is theirs.
pub(super) fn replace(file: &Path, contents: &[u8]) -> io::Result<()> {
    let usual = Permissions::from_mode(0o666);
    let mut beside = tempfile::Builder::new().permissions(usual).tempfile_in(folder_of(file))?;
    if let Ok(old) = fs::metadata(file) {
        beside.as_file().set_permissions(old.permissions())?;
    }
    beside.write_all(contents)?;
    beside.as_file().sync_all()?;
    beside.persist(file)?;
    File::open(folder_of(file))?.sync_all()
}
