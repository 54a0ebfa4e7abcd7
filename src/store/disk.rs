//! Where a store may lie.
use std::path::Path;

use super::StoreError;

/// Refuses network file systems: locks and shared memory, on which the store relies, do not hold
/// there. What cannot be found out is not refused.
///
/// # Errors
///
/// [`StoreError::Unshared`].
pub(super) fn ensure_local(path: &Path) -> Result<(), StoreError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if magic(folder.unwrap_or(Path::new("."))).is_some_and(is_network) {
        return Err(StoreError::Unshared { path: path.to_owned() });
    }
    Ok(())
}

/// The number by which Linux knows the kind of file system.
#[cfg(target_os = "linux")]
fn magic(folder: &Path) -> Option<i64> {
    let kind = nix::sys::statfs::statfs(folder).ok()?.filesystem_type();
    Some(kind.0 as i64)
}

#[cfg(not(target_os = "linux"))]
fn magic(_folder: &Path) -> Option<i64> {
    None
}

/// Numbers of `linux/magic.h` (and of cifs and smb2, which stand in their own sources).
fn is_network(magic: i64) -> bool {
    const NFS: i64 = 0x6969;
    const SMB: i64 = 0x517b;
    const CIFS: i64 = 0xff53_4d42;
    const SMB2: i64 = 0xfe53_4d42;
    const V9FS: i64 = 0x0102_1997;
    const AFS: i64 = 0x5346_414f;
    const CODA: i64 = 0x7375_7245;
    [NFS, SMB, CIFS, SMB2, V9FS, AFS, CODA].contains(&(magic & 0xffff_ffff))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_told_from_local_ones() {
        let (ext4, btrfs, tmpfs) = (0xef53, 0x9123_683e, 0x0102_1994);
        assert!([ext4, btrfs, tmpfs].into_iter().all(|magic| !is_network(magic)));
        assert!([0x6969, 0xfe53_4d42, 0x0102_1997].into_iter().all(is_network));
        assert!(is_network(i64::from(0xff53_4d42_u32 as i32)), "some kernels extend the sign");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_kernel_is_asked() {
        assert_eq!(magic(Path::new("/proc")), Some(0x9fa0));
        assert!(ensure_local(Path::new("citronade.db")).is_ok());
    }
}
