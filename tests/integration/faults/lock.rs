//! The lock of a device between processes and between users.
use std::fs;
use std::fs::File;
use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use citronade::agent::Answer;
use citronade::agent::HoldRequest;
use citronade::agent::Task;
use citronade::device::DeviceError;
use citronade::device::Local;
use citronade::device::Runner;
use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::device::AGENT;
use crate::device::agent;
use crate::device::script;
use crate::support::adbd::wait_until;
use crate::support::root::is_root;
use crate::support::skipped::not_tried;

/// Long enough for a busy machine; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(120);

const MINUTE_US: f64 = 60e6;

/// The user that has no rights.
const NOBODY: &str = "65534";

fn ask(
    runner: &mut Runner,
    folder: &Path,
    owner: &str,
    wait_us: f64,
) -> Result<Answer, DeviceError> {
    let (folder, owner) = (folder.to_str().unwrap().to_owned(), owner.to_owned());
    let lease_us = 10.0 * MINUTE_US;
    runner.ask(Task::Hold(HoldRequest { folder, owner, wait_us, lease_us }), PATIENCE)
}

/// A process that asks for the lock, and what it was told.
fn hold(device: &Local, folder: &Path, owner: &str, wait_us: f64) -> (Runner, Answer) {
    let mut runner = Runner::launch(device).unwrap();
    let answer = ask(&mut runner, folder, owner, wait_us).unwrap();
    (runner, answer)
}

fn busy(owner: &str) -> Answer {
    Answer::Busy { owner: owner.to_owned() }
}

/// Each process is killed while it holds the lock.
#[test]
fn of_a_thousand_races_between_processes_each_has_one_winner_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let journal = File::options().append(true).create(true).open(&path).unwrap();
    thread::scope(|scope| {
        for racer in 0..8 {
            let (folder, mut journal) = (folder.path(), &journal);
            scope.spawn(move || {
                for race in 0..125 {
                    let owner = format!("{racer}-{race}");
                    let (mut runner, answer) = hold(&agent(), folder, &owner, 2.0 * MINUTE_US);
                    assert_eq!(answer, Answer::Held);
                    writeln!(journal, "{owner} begins").unwrap();
                    assert_eq!(ask(&mut runner, folder, &owner, 0.0).unwrap(), Answer::Held);
                    writeln!(journal, "{owner} ends").unwrap();
                }
            });
        }
    });
    let journal = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = journal.lines().collect();
    assert_eq!(lines.len(), 2000);
    for pair in lines.chunks(2) {
        let owner = pair[0].split_once(' ').unwrap().0;
        assert_eq!(pair, [format!("{owner} begins"), format!("{owner} ends")], "two hold it");
    }
}

/// A folder for everybody, like `/tmp`, and the runner for two users.
struct Shared {
    files: TempDir,
    lock: PathBuf,
}

impl Shared {
    /// `None` where there is only one user.
    fn new() -> Option<Self> {
        let is_setpriv_there = || Command::new("setpriv").arg("--version").output().is_ok();
        if !is_root("the lock between two users") {
            return None;
        }
        if !is_setpriv_there() {
            not_tried("not tried between two users: there is no setpriv (Debian: util-linux)");
            return None;
        }
        let files = tempfile::tempdir().unwrap();
        let lock = files.path().join("lock");
        fs::create_dir(&lock).unwrap();
        fs::copy(AGENT, files.path().join("agent")).unwrap();
        let modes = [(files.path(), 0o755), (&*lock, 0o1777), (&files.path().join("agent"), 0o755)];
        for (path, mode) in modes {
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        Some(Shared { files, lock })
    }

    /// A runner of `user` that makes files for nobody else, if it does nothing about that.
    fn runner(&self, user: &str) -> Local {
        let agent = self.files.path().join("agent");
        script(&format!(
            "umask 077; exec setpriv --reuid={user} --regid={user} --clear-groups '{}'",
            agent.display()
        ))
    }

    fn file(&self) -> PathBuf {
        self.lock.join("citronade.lock")
    }
}

fn check_users(first: &str, second: &str) {
    let Some(shared) = Shared::new() else { return };
    let (first, second) = (shared.runner(first), shared.runner(second));
    let (holder, answer) = hold(&first, &shared.lock, "ann", 0.0);
    assert_eq!(answer, Answer::Held);
    assert_eq!(shared.file().metadata().unwrap().permissions().mode() & 0o777, 0o666);
    assert_eq!(hold(&second, &shared.lock, "bob", 0.0).1, busy("ann"));
    thread::scope(|scope| {
        let waits = scope.spawn(|| hold(&second, &shared.lock, "bob", 2.0 * MINUTE_US));
        drop(holder);
        let (_bob, answer) = waits.join().unwrap();
        assert_eq!(answer, Answer::Held);
        assert_eq!(hold(&first, &shared.lock, "ann", 0.0).1, busy("bob"));
    });
}

#[test]
fn two_users_wait_for_each_other_whoever_came_first() {
    check_users("0", NOBODY);
    check_users(NOBODY, "0");
}

#[test]
fn a_lock_that_this_user_may_not_open_is_named_and_nobody_gets_it() {
    let Some(shared) = Shared::new() else { return };
    fs::write(shared.file(), "").unwrap();
    fs::set_permissions(shared.file(), Permissions::from_mode(0o600)).unwrap();
    let mut runner = Runner::launch(&shared.runner(NOBODY)).unwrap();
    let error = ask(&mut runner, &shared.lock, "bob", 0.0).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("cannot lock the device") && text.contains("denied"), "{text}");
    assert!(text.contains("CITRONADE_LOCK_DIR") && error.concerns_every_model(), "{text}");
}

/// Who is said to hold the lock, by its process, and until when.
fn signature(file: &Path) -> (Pid, u64) {
    let text = fs::read_to_string(file).unwrap();
    let (pid, until_ms) = text.lines().nth(1).unwrap().split_once(' ').unwrap();
    (Pid::from_raw(pid.parse().unwrap()), until_ms.parse().unwrap())
}

/// As if its lease had ended long ago.
fn age(file: &Path, pid: impl std::fmt::Display) {
    fs::write(file, format!("ann\n{pid} 1\n")).unwrap();
}

fn stop(pid: Pid) {
    kill(pid, Signal::SIGSTOP).unwrap();
    wait_until("it is stopped", || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(')').unwrap().1.starts_with(" T")
    });
}

#[test]
fn a_holder_that_was_stopped_loses_the_lock_when_its_lease_is_over_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("citronade.lock");
    let (mut stopped, answer) = hold(&agent(), folder.path(), "ann", 0.0);
    assert_eq!(answer, Answer::Held);
    let (pid, until_ms) = signature(&file);
    let now = citronade::agent::since_boot().as_millis() as u64;
    assert!((now..now + 600_001).contains(&until_ms), "until {until_ms}, it is {now}");
    age(&file, pid);
    assert_eq!(hold(&agent(), folder.path(), "bob", 0.0).1, busy("ann"), "it runs");
    ask(&mut stopped, folder.path(), "ann", 0.0).unwrap();
    stop(pid);
    assert_eq!(hold(&agent(), folder.path(), "bob", 0.0).1, busy("ann"), "its lease is not over");
    age(&file, pid);
    let (_bob, answer) = hold(&agent(), folder.path(), "bob", 0.0);
    assert_eq!(answer, Answer::Held);
    let error = ask(&mut stopped, folder.path(), "ann", 0.0).unwrap_err();
    assert!(matches!(error, DeviceError::Crashed { signal: 9, .. }), "{error:?}");
}

/// A process that was stopped and has nothing to do with the lock.
struct Bystander(Child);

impl Bystander {
    fn new() -> Self {
        let child = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
        let bystander = Bystander(child);
        stop(bystander.pid());
        bystander
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.0.id()).unwrap())
    }

    fn is_there(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_lock_file_that_lies_harms_no_other_process() {
    let folder = tempfile::tempdir().unwrap();
    let (_holder, _) = hold(&agent(), folder.path(), "ann", 0.0);
    let mut bystander = Bystander::new();
    let file = folder.path().join("citronade.lock");
    for lie in [bystander.pid().to_string(), "-1".into(), "0".into(), "99999999".into()] {
        age(&file, lie);
        assert_eq!(hold(&agent(), folder.path(), "bob", 0.0).1, busy("ann"));
        assert!(bystander.is_there());
    }
}

#[test]
fn a_stopped_holder_of_another_user_is_named() {
    let Some(shared) = Shared::new() else { return };
    let (_holder, answer) = hold(&shared.runner("0"), &shared.lock, "ann", 0.0);
    assert_eq!(answer, Answer::Held);
    let (pid, _) = signature(&shared.file());
    stop(pid);
    age(&shared.file(), pid);
    assert_eq!(hold(&shared.runner(NOBODY), &shared.lock, "bob", 0.0).1, busy("ann"));
}
