//! What only root may do: disks and networks of a test's own.
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use nix::mount::MsFlags;
use nix::mount::mount;
use nix::sched::CloneFlags;
use nix::sched::unshare;
use nix::unistd::geteuid;

use super::adbd::wait_until;

use crate::support::skipped::not_tried;

/// Says so where it is not root that runs the tests.
pub fn is_root(what: &str) -> bool {
    let is = geteuid().is_root();
    if !is {
        not_tried(&format!("not tried, since only root may: {what}"));
    }
    is
}

/// A file system in memory that this thread and what it starts see, and nobody else: it goes with
/// them.
pub struct Disk {
    folder: PathBuf,
}

impl Disk {
    /// Of `kib` at `folder`, which is made; `None` where that may not be done.
    pub fn new(folder: &Path, kib: u64) -> Option<Disk> {
        fs::create_dir_all(folder).unwrap();
        if !is_root("a disk of its own") {
            return None;
        }
        if let Err(error) = unshare(CloneFlags::CLONE_NEWNS) {
            not_tried(&format!(
                "not tried: this machine allows no disks of a test's own ({error})"
            ));
            return None;
        }
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>).unwrap();
        let disk = Disk { folder: folder.to_owned() };
        disk.mount(MsFlags::empty(), kib);
        Some(disk)
    }

    /// Gives it another size.
    pub fn resize(&self, kib: u64) {
        self.mount(MsFlags::MS_REMOUNT, kib);
    }

    /// Lets nobody write on it, as soon as nobody has it open for that.
    pub fn protect(&self, kib: u64) {
        let flags = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        wait_until("it is read-only", || self.try_mount(flags, kib).is_ok());
    }

    /// Leaves no byte.
    pub fn fill(&self) {
        let full = Command::new("cp").arg("/dev/zero").arg(self.filler()).output().unwrap();
        assert!(!full.status.success(), "a disk without end");
    }

    /// Gives back what [`fill`](Self::fill) took.
    pub fn empty(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }

    fn mount(&self, flags: MsFlags, kib: u64) {
        self.try_mount(flags, kib).unwrap();
    }

    fn try_mount(&self, flags: MsFlags, kib: u64) -> nix::Result<()> {
        let size = format!("size={kib}k");
        mount(Some("tmpfs"), &self.folder, Some("tmpfs"), flags, Some(size.as_str()))
    }
}
