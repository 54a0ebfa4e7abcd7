//! Files on their way to a device, and their names there.
use std::fs::File;
use std::io::Seek;
use std::io::SeekFrom;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::agent::since_boot;

use super::DeviceError;

/// How names of runners begin.
pub const RUNNER: &str = "runner-";

/// Characters of a hash in a file's name: 128 bits.
pub const HASH_IN_NAME: usize = 32;

/// What `name` is called on its way from this user on this computer, so that two who send the same
/// file do not write into one; a transfer that was cut is gone on with. Only whoever holds the device
/// may write it.
pub fn part(name: &str) -> String {
    arriving(name, &sender())
}

/// The same for what is sent before the device is held: no other transfer has this name.
pub fn part_of_its_own(name: &str) -> String {
    static TRANSFERS: AtomicU64 = AtomicU64::new(0);
    let (process, transfer) = (std::process::id(), TRANSFERS.fetch_add(1, Ordering::Relaxed));
    // Containers may share their host's name, and processes in them their numbers.
    let moment = since_boot().as_nanos();
    arriving(name, &format!("{} {process} {transfer} {moment}", sender()))
}

fn sender() -> String {
    let user = std::env::var("USER").unwrap_or_default();
    let host = nix::unistd::gethostname().unwrap_or_default();
    format!("{user}@{}", host.to_string_lossy())
}

fn arriving(name: &str, sender: &str) -> String {
    format!("{name}.{}.part", &blake3::hash(sender.as_bytes()).to_hex()[..16])
}

/// A file of this machine that goes to the device.
pub struct Sent {
    pub path: PathBuf,
    file: File,
    pub bytes: u64,
    pub blake3: String,
}

impl Sent {
    pub fn open(path: &Path) -> Result<Self, DeviceError> {
        let not_read = |source| DeviceError::NotRead { path: path.to_owned(), source };
        let file = File::open(path).map_err(not_read)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(&file).map_err(not_read)?;
        let (bytes, blake3) = (hasher.count(), hasher.finalize().to_hex().to_string());
        Ok(Sent { path: path.to_owned(), file, bytes, blake3 })
    }

    /// What it is called there if it is a runner.
    pub fn runner_name(&self) -> String {
        format!("{RUNNER}{}", &self.blake3[..HASH_IN_NAME])
    }

    /// The same file, to be read from `offset` on.
    pub fn from(&self, offset: u64) -> Result<File, DeviceError> {
        let not_read = |source| DeviceError::NotRead { path: self.path.clone(), source };
        let mut file = self.file.try_clone().map_err(not_read)?;
        file.seek(SeekFrom::Start(offset)).map_err(not_read)?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_while_the_device_is_held_is_gone_on_with_and_all_else_has_a_name_of_its_own() {
        assert_eq!(part("a.onnx"), part("a.onnx"));
        assert_ne!(part_of_its_own("a.so"), part_of_its_own("a.so"));
        assert!(part_of_its_own("a.so").starts_with("a.so.") && part("b").ends_with(".part"));
    }
}
