//! Large values beside the store, named by what they hold.
use std::collections::BTreeSet;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use super::StoreError;

/// A folder of blobs, `ab/ab…` by the blake3 hash of their bytes; equal blobs are stored once.
///
/// Any number of threads may write at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blobs {
    folder: PathBuf,
}

/// What [`super::Store::gc`] removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Number of blobs.
    pub blobs: u64,
    /// Their size together.
    pub bytes: u64,
}

impl Blobs {
    pub(super) fn new(folder: PathBuf) -> Self {
        Blobs { folder }
    }

    /// Where they lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Stores `bytes` durably and returns their hash, 64 hexadecimal digits.
    ///
    /// # Errors
    ///
    /// [`StoreError::File`]; nothing is left under the hash then.
    pub fn put(&self, bytes: &[u8]) -> Result<String, StoreError> {
        let hash = blake3::hash(bytes).to_hex().to_string();
        let path = self.path_of(&hash);
        if path.exists() {
            return Ok(hash);
        }
        let folder = path.parent().expect("a blob lies in a folder");
        write_durably(folder, &path, bytes).map_err(StoreError::file("write", &path))?;
        Ok(hash)
    }

    /// The bytes of `hash`, checked against it.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSuchBlob`], [`StoreError::Damaged`] or [`StoreError::File`].
    pub fn get(&self, hash: &str) -> Result<Vec<u8>, StoreError> {
        let path = self.path(hash)?;
        let bytes = fs::read(&path).map_err(StoreError::file("read", &path))?;
        if blake3::hash(&bytes).to_hex().as_str() == hash {
            return Ok(bytes);
        }
        let reason = "its contents have another hash".to_owned();
        Err(StoreError::Damaged { what: format!("blob `{hash}`"), reason })
    }

    /// The file of `hash`.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSuchBlob`] if there is none or `hash` is not 64 hexadecimal digits.
    pub fn path(&self, hash: &str) -> Result<PathBuf, StoreError> {
        let valid =
            hash.len() == 64 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let path = valid.then(|| self.path_of(hash)).filter(|path| path.is_file());
        path.ok_or_else(|| StoreError::NoSuchBlob { hash: hash.to_owned() })
    }

    /// Removes every file that is not in `keep`, unfinished ones too.
    pub(super) fn retain(&self, keep: &BTreeSet<String>) -> Result<Removed, StoreError> {
        let mut removed = Removed::default();
        let failed =
            |source| StoreError::File { action: "clear", path: self.folder.clone(), source };
        for folder in children(&self.folder).map_err(failed)? {
            for file in children(&folder).map_err(failed)? {
                let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if !keep.contains(&name) {
                    removed.blobs += 1;
                    removed.bytes += fs::metadata(&file).map_err(failed)?.len();
                    fs::remove_file(&file).map_err(failed)?;
                }
            }
        }
        Ok(removed)
    }

    fn path_of(&self, hash: &str) -> PathBuf {
        self.folder.join(&hash[..2]).join(hash)
    }
}

/// The name appears only after the contents are on the disk.
fn write_durably(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let is_new = |folder: &&Path| *folder != Path::new("") && !folder.exists();
    let made: Vec<&Path> = folder.ancestors().take_while(is_new).collect();
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(folder)?.sync_all()?;
    // A new folder is on the disk only with the entry in the one around it.
    made.into_iter().filter_map(Path::parent).try_for_each(|around| {
        let around = if around == Path::new("") { Path::new(".") } else { around };
        File::open(around)?.sync_all()
    })
}

/// Entries of `folder`; none if it does not exist.
fn children(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.map(|e| e.path())).collect(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(e),
    }
}
