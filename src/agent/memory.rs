//! What memory this process takes, and may take.
//!
//! Anonymous memory only: pages of files (the program, the library) are shared between processes
//! and dropped when memory is short. The kernel counts per processor and adds up in batches, so
//! readings are right to some dozens of pages.
use std::fs;
use std::fs::File;
use std::io::Write;
use std::sync::LazyLock;

use super::protocol::MemoryUse;

/// Anonymous memory of this process now, in bytes.
pub fn anonymous() -> Option<u64> {
    status("RssAnon:")
}

/// What starts a new peak; held open, since a process in its sandbox writes into no file that it
/// opens.
static CLEAR_REFS: LazyLock<Option<File>> =
    LazyLock::new(|| File::options().write(true).open("/proc/self/clear_refs").ok());

/// Starts a new peak.
pub fn reset_peak() -> Option<()> {
    // 5 = reset the peak resident set size, see proc_pid_clear_refs(5).
    CLEAR_REFS.as_ref()?.write_all(b"5").ok()
}

/// Most anonymous memory since [`reset_peak`]: the largest resident set less the file pages that
/// are resident now, of which there were hardly fewer at the peak.
pub fn peak() -> Option<u64> {
    let files = status("RssFile:")? + status("RssShmem:")?;
    status("VmHWM:")?.checked_sub(files)
}

/// A line of `/proc/self/status`, in bytes.
fn status(name: &str) -> Option<u64> {
    read_kib("/proc/self/status", name)
}

fn read_kib(file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Limits the data of this process to the memory that is available now, and says how much that
/// is; `None` where that is unknown or not allowed.
///
/// A model that wants more then gets an error here, instead of the whole device getting the
/// kernel's out-of-memory killer.
pub fn limit_to_available() -> Option<u64> {
    LazyLock::force(&CLEAR_REFS);
    let available = read_kib("/proc/meminfo", "MemAvailable:")?;
    set_limit(available).then_some(available)
}

#[cfg(target_os = "linux")]
fn set_limit(bytes: u64) -> bool {
    use nix::sys::resource::Resource;
    use nix::sys::resource::setrlimit;
    let data = setrlimit(Resource::RLIMIT_DATA, bytes, bytes).is_ok();
    let no_core_dumps = setrlimit(Resource::RLIMIT_CORE, 0, 0).is_ok();
    data && no_core_dumps
}

#[cfg(not(target_os = "linux"))]
fn set_limit(_bytes: u64) -> bool {
    false
}

/// The limit that holds for this process, if any.
#[cfg(target_os = "linux")]
pub fn limit() -> Option<u64> {
    use nix::sys::resource::RLIM_INFINITY;
    use nix::sys::resource::Resource;
    use nix::sys::resource::getrlimit;
    let (soft, _) = getrlimit(Resource::RLIMIT_DATA).ok()?;
    (soft != RLIM_INFINITY).then_some(soft)
}

/// The limit that holds for this process, if any.
#[cfg(not(target_os = "linux"))]
pub fn limit() -> Option<u64> {
    None
}

/// Readings around a model, made at each of its stages.
pub struct Watch(MemoryUse);

impl Watch {
    /// Before the model is touched.
    pub fn start() -> Self {
        let before = reset_peak().and_then(|()| anonymous());
        Watch(MemoryUse { before, ..MemoryUse::default() })
    }

    /// The model is loaded.
    pub fn loaded(&mut self) {
        self.0.loaded = anonymous();
        self.0.peak = self.0.before.and_then(|_| peak());
    }

    /// Its inputs are made, it is about to run.
    pub fn running(&mut self) {
        if reset_peak().is_none() {
            self.0.before = None;
        }
    }

    /// It has run.
    pub fn done(self) -> MemoryUse {
        let running = self.0.before.and_then(|_| peak());
        let peak = self.0.peak.zip(running).map(|(loading, running)| loading.max(running));
        let process_peak = running.and_then(|_| status("VmHWM:"));
        MemoryUse { peak, running, process_peak, ..self.0 }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::hint::black_box;

    use super::*;

    /// Generous: other tests of this process may allocate at the same time.
    const SLACK: u64 = 8 << 20;

    #[test]
    fn memory_that_was_given_back_still_shows_in_the_peak() {
        let mut watch = Watch::start();
        let kept = black_box(vec![1_u8; 64 << 20]);
        watch.loaded();
        watch.running();
        drop(black_box(vec![1_u8; 32 << 20]));
        let memory = watch.done();
        let (before, loaded) = (memory.before.unwrap(), memory.loaded.unwrap());
        let (peak, running) = (memory.peak.unwrap(), memory.running.unwrap());
        assert!((loaded - before).abs_diff(kept.len() as u64) < SLACK, "{memory:?}");
        assert!((running - loaded).abs_diff(32 << 20) < SLACK, "{memory:?}");
        assert_eq!(peak, running);
        assert!(memory.process_peak.unwrap() > peak, "pages of files come on top: {memory:?}");
    }
}
