//! A process that was stopped (`SIGSTOP`) while it holds the lock cannot let go of it by itself.
use std::fs;
use std::fs::File;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;

/// Kills the process `pid` if it is stopped and has `file` open; says whether it did.
///
/// Both are asked of the kernel: what a file for everybody says of a process may be old or a lie.
/// Processes of other users stay, since they cannot be killed.
pub fn kill_if_stopped(pid: i32, file: &File) -> bool {
    let Ok(file) = file.metadata() else { return false };
    is_stopped(pid) && has_open(pid, &file) && kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok()
}

fn is_stopped(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name before the state is in brackets, and may have some itself.
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
}

fn has_open(pid: i32, file: &Metadata) -> bool {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    let is_it = |open: Metadata| (open.dev(), open.ino()) == (file.dev(), file.ino());
    entries.flatten().any(|entry| fs::metadata(entry.path()).is_ok_and(is_it))
}
