//! Processes of this machine, to harm them at a known moment.
use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::adbd::wait_until;

/// Kernel ticks of processor time, 10 ms each, after which a runner has loaded a small model.
const LOADED: u64 = 15;

/// What runs from a file below `folder`.
pub fn running_from(folder: &Path) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_from = |id: &i32| {
        fs::read_link(format!("/proc/{id}/exe")).is_ok_and(|program| program.starts_with(folder))
    };
    ids.filter(is_from).map(Pid::from_raw).collect()
}

/// Waits for a runner from `folder` that is in the middle of its launch.
pub fn at_work(folder: &Path) -> Pid {
    found("a runner at work", || {
        running_from(folder).into_iter().find(|pid| ticks(*pid) >= LOADED && !holds_lock(*pid))
    })
}

/// Waits for a runner from `folder` that holds the device.
pub fn holder(folder: &Path) -> Pid {
    found("a runner that holds the device", || {
        running_from(folder).into_iter().find(|pid| holds_lock(*pid))
    })
}

/// Kills the process, and waits until it is gone.
pub fn kill_it(pid: Pid) {
    kill(pid, Signal::SIGKILL).unwrap();
    wait_for(pid);
}

fn wait_for(pid: Pid) {
    // A process that has ended has no program any more, though its parent may not know it yet.
    wait_until("it is gone", || fs::read_link(format!("/proc/{pid}/exe")).is_err());
}

/// Ends what was left behind by a host that did not get through to it.
pub fn clean(folder: &Path) {
    for pid in running_from(folder) {
        // It may end by itself just now.
        let _ = kill(pid, Signal::SIGKILL);
        wait_for(pid);
    }
}

fn found(what: &str, mut look: impl FnMut() -> Option<Pid>) -> Pid {
    let mut found = None;
    wait_until(what, || {
        found = look();
        found.is_some()
    });
    found.unwrap()
}

fn holds_lock(pid: Pid) -> bool {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let mut files = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    files.any(|file| file.ends_with("citronade.lock"))
}

/// Processor time that it took.
fn ticks(pid: Pid) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    // utime and stime are the 14th and 15th of proc_pid_stat(5), the third comes first here.
    fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
}
