//! One measurement at a time on a device, whoever asks and from wherever.
//!
//! The lock is the kernel's (`flock`) on a file that all users of the device can open, so it is
//! free the moment its holder is gone. A holder whose host has gone to sleep keeps its process:
//! therefore it holds a lease, which ends unless it is renewed.
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::fs::Permissions;
use std::fs::TryLockError;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;
use std::time::Instant;

/// Name of the file in its folder.
const FILE: &str = "citronade.lock";

/// How often a lock that is taken is tried again.
const RETRY: Duration = Duration::from_millis(20);

/// Longest owner that is written down or believed, bytes.
const LONGEST_OWNER: usize = 200;

/// A lock that is held until it is dropped or its lease is over.
pub struct Lock {
    lease: Arc<Lease>,
}

struct Lease {
    /// What keeps the lock, and until when.
    held: Mutex<Option<(File, Instant)>>,
    changed: Condvar,
}

impl Lease {
    fn held(&self) -> MutexGuard<'_, Option<(File, Instant)>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lock {
    /// Takes the lock of the device for `lease`, waiting for at most `wait`; `Err` of the inner
    /// result names who has it.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened or written.
    pub fn take(
        folder: &Path,
        owner: &str,
        wait: Duration,
        lease: Duration,
    ) -> io::Result<Result<Self, String>> {
        let mut file = open(&folder.join(FILE))?;
        let until = Instant::now() + wait;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if Instant::now() >= until => {
                    return Ok(Err(owner_in(&mut file)));
                }
                Err(TryLockError::WouldBlock) => thread::sleep(RETRY),
            }
        }
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(shortened(owner).as_bytes())?;
        let held = Mutex::new(Some((file, Instant::now() + lease)));
        let lease = Arc::new(Lease { held, changed: Condvar::new() });
        let watched = lease.clone();
        thread::spawn(move || end_lease(&watched));
        Ok(Ok(Lock { lease }))
    }

    /// Holds it for `lease` from now; false if it was lost before.
    pub fn renew(&self, lease: Duration) -> bool {
        match &mut *self.lease.held() {
            Some((_, until)) => {
                *until = Instant::now() + lease;
                true
            }
            None => false,
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        *self.lease.held() = None;
        self.lease.changed.notify_all();
    }
}

/// Lets the lock go when its lease is over.
fn end_lease(lease: &Lease) {
    let mut held = lease.held();
    while let Some((_, until)) = &*held {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            *held = None;
            return;
        }
        let woken = lease.changed.wait_timeout(held, left);
        held = woken.unwrap_or_else(PoisonError::into_inner).0;
    }
}

/// The file, open for everybody: one that another user has made is not made again, since the
/// kernel forbids that in `/tmp`.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    // A link in a folder for everybody may lead anywhere.
    options.read(true).write(true).custom_flags(nix::libc::O_NOFOLLOW);
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            match options.create_new(true).mode(0o666).open(path) {
                // Somebody else was faster.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => open(path),
                made => {
                    let file = made?;
                    // Whatever the umask says.
                    fs::set_permissions(path, Permissions::from_mode(0o666))?;
                    Ok(file)
                }
            }
        }
        opened => opened,
    }
}

fn owner_in(file: &mut File) -> String {
    let mut bytes = Vec::new();
    // Who it is matters less than that it is taken.
    file.rewind().and_then(|()| file.take(LONGEST_OWNER as u64).read_to_end(&mut bytes)).ok();
    let text = String::from_utf8_lossy(&bytes);
    match text.trim() {
        "" => "somebody who did not say who".to_owned(),
        owner => owner.replace(char::is_control, " "),
    }
}

fn shortened(owner: &str) -> &str {
    &owner[..owner.floor_char_boundary(LONGEST_OWNER)]
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::sync::atomic::Ordering;

    use super::*;

    const NOW: Duration = Duration::ZERO;
    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn who_has_it_is_named_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let held = Lock::take(folder.path(), "ann on desk", NOW, LONG).unwrap().unwrap();
        let taken = Lock::take(folder.path(), "bob", NOW, LONG).unwrap();
        assert_eq!(taken.err().unwrap(), "ann on desk");
        drop(held);
        assert!(Lock::take(folder.path(), "bob", NOW, LONG).unwrap().is_ok());
    }

    #[test]
    fn who_waits_gets_it_when_it_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let held = Lock::take(folder.path(), "ann", NOW, LONG).unwrap().unwrap();
        let path = folder.path().to_owned();
        let waits = thread::spawn(move || Lock::take(&path, "bob", LONG, LONG).unwrap().is_ok());
        drop(held);
        assert!(waits.join().unwrap());
    }

    #[test]
    fn a_lease_that_is_not_renewed_ends() {
        let folder = tempfile::tempdir().unwrap();
        let short = Duration::from_millis(30);
        let asleep = Lock::take(folder.path(), "ann", NOW, short).unwrap().unwrap();
        assert!(Lock::take(folder.path(), "bob", LONG, LONG).unwrap().is_ok());
        assert!(!asleep.renew(LONG));
    }

    #[test]
    fn a_renewed_lease_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let held = Lock::take(folder.path(), "ann", NOW, Duration::from_secs(5)).unwrap().unwrap();
        assert!(held.renew(LONG));
        assert!(held.lease.held().as_ref().unwrap().1 > Instant::now() + LONG / 2);
    }

    #[test]
    fn of_a_thousand_races_each_has_one_winner_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, entered) = (AtomicU32::new(0), AtomicU32::new(0));
        thread::scope(|scope| {
            for racer in 0..8 {
                let (folder, inside, entered) = (folder.path(), &inside, &entered);
                scope.spawn(move || {
                    for _ in 0..125 {
                        let lock = Lock::take(folder, &racer.to_string(), LONG, LONG);
                        let lock = lock.unwrap().unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two hold it");
                        entered.fetch_add(1, Ordering::SeqCst);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
        assert_eq!(entered.load(Ordering::SeqCst), 1000);
    }
}
