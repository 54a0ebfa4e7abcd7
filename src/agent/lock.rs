//! One measurement at a time on a device, whoever asks and from wherever.
//!
//! The lock is the kernel's (`flock`) on a file that all users of the device can open, so it is
//! free the moment its holder is gone. A holder whose host has gone to sleep keeps its process:
//! therefore it holds a lease, which ends unless it is renewed. The file says who holds it, and
//! until when by a clock that nobody sets; it is read only while somebody does.
use std::fs::File;
use std::fs::OpenOptions;
use std::fs::TryLockError;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;

use nix::sys::stat::Mode;
use nix::sys::stat::umask;

use super::clock::since_boot;
use super::stopped::kill_if_stopped;

/// Name of the file in its folder.
const FILE: &str = "citronade.lock";

/// How often a lock that is taken is tried again.
const RETRY: Duration = Duration::from_millis(20);

/// How long the kernel may take to end a process that was killed.
const DYING: Duration = Duration::from_secs(5);

/// Longest owner that is written down or believed, bytes.
const LONGEST_OWNER: usize = 200;

/// A lock that is held until it is dropped or its lease is over.
pub struct Lock {
    lease: Arc<Lease>,
}

struct Lease {
    /// What keeps the lock.
    held: Mutex<Option<Held>>,
    changed: Condvar,
}

struct Held {
    file: File,
    owner: String,
    /// By [`since_boot`].
    until: Duration,
}

impl Held {
    /// Writes down who holds it and until when. On a full disk nobody can read that, and it is held
    /// all the same.
    fn sign(&self) {
        let text = format!("{}\n{} {}\n", self.owner, process::id(), self.until.as_millis());
        let written = self.file.write_all_at(text.as_bytes(), 0);
        written.and_then(|()| self.file.set_len(text.len() as u64)).ok();
    }
}

impl Lease {
    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lock {
    /// Takes the lock of the device for `lease`, waiting for at most `wait`; `Err` of the inner
    /// result names who has it.
    ///
    /// A holder that was stopped and whose lease is over is killed, where this user may do that.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened.
    pub fn take(
        folder: &Path,
        owner: &str,
        wait: Duration,
        lease: Duration,
    ) -> io::Result<Result<Self, String>> {
        let mut file = open(&folder.join(FILE))?;
        let mut until = since_boot() + wait;
        let mut killed = None;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) => {}
            }
            let holder = Holder::of(&mut file);
            if holder.pid != killed && holder.is_late() && holder.kill_if_stopped(&file) {
                killed = holder.pid;
                until = until.max(since_boot() + DYING);
            }
            if since_boot() >= until {
                return Ok(Err(holder.owner));
            }
            thread::sleep(RETRY);
        }
        let held = Held { file, owner: shortened(owner), until: since_boot() + lease };
        // Nobody shall take us for the one before.
        held.file.set_len(0).ok();
        held.sign();
        let lease = Arc::new(Lease { held: Mutex::new(Some(held)), changed: Condvar::new() });
        let watched = lease.clone();
        thread::spawn(move || end_lease(&watched));
        Ok(Ok(Lock { lease }))
    }

    /// Holds it for `lease` from now; false if it was lost before.
    pub fn renew(&self, lease: Duration) -> bool {
        let (mut held, now) = (self.lease.held(), since_boot());
        match &mut *held {
            Some(held) if now < held.until => {
                held.until = now + lease;
                held.sign();
                true
            }
            Some(_) | None => false,
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
    while let Some(Held { until, .. }) = &*held {
        let left = until.saturating_sub(since_boot());
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
            match for_everybody(|| options.create_new(true).mode(0o666).open(path)) {
                // Somebody else was faster.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => open(path),
                made => made,
            }
        }
        opened => opened,
    }
}

/// Without the mask of this process, so that a file is never there with fewer rights than it is to
/// have: between making it and changing them others would be refused, or for ever after a crash.
fn for_everybody<T>(make: impl FnOnce() -> T) -> T {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mask = umask(Mode::empty());
    let made = make();
    umask(mask);
    made
}

/// What the file says of who has it.
struct Holder {
    owner: String,
    pid: Option<i32>,
    /// When its lease is over, by [`since_boot`].
    until: Option<Duration>,
}

impl Holder {
    fn of(file: &mut File) -> Self {
        let mut bytes = Vec::new();
        // Who it is matters less than that it is taken.
        let most = 2 * LONGEST_OWNER as u64;
        file.rewind().and_then(|()| file.take(most).read_to_end(&mut bytes)).ok();
        let text = String::from_utf8_lossy(&bytes);
        let (owner, rest) = text.split_once('\n').unwrap_or((&text, ""));
        let (pid, until) = rest.trim().split_once(' ').unwrap_or_default();
        let owner = match owner.trim() {
            "" => "somebody who did not say who".to_owned(),
            owner => shortened(owner),
        };
        Holder {
            owner,
            pid: pid.parse().ok(),
            until: until.parse().ok().map(Duration::from_millis),
        }
    }

    fn is_late(&self) -> bool {
        self.until.is_some_and(|until| until < since_boot())
    }

    fn kill_if_stopped(&self, file: &File) -> bool {
        self.pid.is_some_and(|pid| kill_if_stopped(pid, file))
    }
}

/// In one line, and not too long.
fn shortened(owner: &str) -> String {
    owner[..owner.floor_char_boundary(LONGEST_OWNER)].replace(char::is_control, " ")
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
    fn a_lease_that_is_over_is_not_renewed_though_nobody_has_looked_yet() {
        let folder = tempfile::tempdir().unwrap();
        let stopped = Lock::take(folder.path(), "ann", NOW, LONG).unwrap().unwrap();
        stopped.lease.held().as_mut().unwrap().until = since_boot();
        assert!(!stopped.renew(LONG));
    }

    #[test]
    fn an_owner_is_one_line_of_bounded_length() {
        let folder = tempfile::tempdir().unwrap();
        let long = format!("ann\n1 0\n{}", "é".repeat(LONGEST_OWNER));
        let _held = Lock::take(folder.path(), &long, NOW, LONG).unwrap().unwrap();
        let owner = Lock::take(folder.path(), "bob", NOW, LONG).unwrap().err().unwrap();
        assert!(owner.starts_with("ann 1 0 é") && owner.len() <= LONGEST_OWNER, "{owner}");
    }

    #[test]
    fn a_renewed_lease_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let held = Lock::take(folder.path(), "ann", NOW, Duration::from_secs(5)).unwrap().unwrap();
        assert!(held.renew(LONG));
        assert!(held.lease.held().as_ref().unwrap().until > since_boot() + LONG / 2);
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
