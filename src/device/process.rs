//! A child process on this machine, whatever it reaches.
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::process::ChildStderr;
use std::process::ChildStdin;
use std::process::ChildStdout;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::signal::killpg;
use nix::sys::wait::Id;
use nix::sys::wait::WaitPidFlag;
use nix::sys::wait::WaitStatus;
use nix::sys::wait::waitid;
use nix::unistd::Pid;

use super::End;
use super::Process;

/// How much of the child's standard error is kept, from its end.
const STDERR_TAIL: usize = 2000;

/// Most bytes that [`read_within`] keeps.
const LONGEST_ANSWER: u64 = 64 * 1024;

/// How much of a line that nobody wants is read at once.
const PIECE: u64 = 4096;

/// How long a process may live on when its output has ended, or that of what it started.
const GRACE: Duration = Duration::from_secs(2);

/// A child that was just started.
pub struct Started {
    /// Unless something else was given.
    pub stdin: Option<ChildStdin>,
    pub stdout: ChildStdout,
    pub process: ChildProcess,
}

/// Starts `command` in a process group of its own, so that what it starts ends with it.
pub fn start(mut command: Command, stdin: Stdio) -> io::Result<Started> {
    command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn()?;
    let stdin = child.stdin.take();
    let stdout = child.stdout.take().expect("it is piped");
    let stderr = child.stderr.take().expect("it is piped");
    let (sender, tail) = mpsc::channel();
    thread::spawn(move || sender.send(tail_of(stderr)));
    Ok(Started { stdin, stdout, process: ChildProcess { child, tail, ended: None } })
}

/// All that `pipe` says until it ends, at most 64 KiB; `None` if it has not ended by `timeout`.
pub fn read_within(pipe: impl Read + Send + 'static, timeout: Duration) -> Option<String> {
    let (sender, text) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before a pipe broke is all there is.
        pipe.take(LONGEST_ANSWER).read_to_end(&mut bytes).ok();
        sender.send(String::from_utf8_lossy(&bytes).into_owned()).ok();
    });
    text.recv_timeout(timeout).ok()
}

/// Does `pipe` say `line` before it ends and within `timeout`?
pub fn read_until(pipe: ChildStdout, line: &'static str, timeout: Duration) -> bool {
    let (sender, said) = mpsc::channel();
    thread::spawn(move || {
        let found = skip_to(&mut BufReader::new(pipe), line);
        sender.send(found.unwrap_or(false)).ok();
    });
    said.recv_timeout(timeout).unwrap_or(false)
}

/// Reads up to and with the first line that is `line`, which is shorter than a piece; false if there is
/// none. What comes before it may be anything, of any length.
pub fn skip_to(pipe: &mut impl BufRead, line: &str) -> io::Result<bool> {
    let (mut piece, mut begins_line) = (Vec::new(), true);
    loop {
        piece.clear();
        if pipe.take(PIECE).read_until(b'\n', &mut piece)? == 0 {
            return Ok(false);
        }
        if begins_line && piece.trim_ascii_end() == line.as_bytes() {
            return Ok(true);
        }
        begins_line = piece.last() == Some(&b'\n');
    }
}

/// The program and its arguments, for a person.
pub fn command_line(command: &Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    words.map(|w| w.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// Reads to the end, keeping only what came last.
fn tail_of(mut stderr: ChildStderr) -> String {
    let (mut tail, mut chunk) = (Vec::new(), [0; 4096]);
    while let Ok(n @ 1..) = stderr.read(&mut chunk) {
        tail.extend_from_slice(&chunk[..n]);
        tail.drain(..tail.len().saturating_sub(STDERR_TAIL));
    }
    String::from_utf8_lossy(&tail).into_owned()
}

pub struct ChildProcess {
    child: Child,
    tail: Receiver<String>,
    ended: Option<End>,
}

impl ChildProcess {
    /// Has it not ended yet?
    pub fn is_running(&self) -> bool {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::WNOHANG;
        self.ended.is_none() && waitid(Id::Pid(self.pid()), flags) == Ok(WaitStatus::StillAlive)
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("process ids are positive `i32`s"))
    }

    /// Waits until the child has ended, killing it when [`GRACE`] is over; it stays a zombie, so
    /// that its process id still belongs to it.
    fn wait_as_zombie(&self) {
        let (pid, (done, ended)) = (self.pid(), mpsc::channel::<()>());
        let watchdog = thread::spawn(move || {
            if ended.recv_timeout(GRACE) == Err(RecvTimeoutError::Timeout) {
                killpg(pid, Signal::SIGKILL).ok();
            }
        });
        waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).ok();
        drop(done);
        watchdog.join().expect("the watchdog does not panic");
    }
}

impl Process for ChildProcess {
    fn kill(&mut self) {
        if self.ended.is_none() {
            // It may have ended by itself, and its group with it.
            killpg(self.pid(), Signal::SIGKILL).ok();
        }
    }

    fn end(&mut self) -> End {
        if let Some(end) = &self.ended {
            return end.clone();
        }
        self.wait_as_zombie();
        self.kill();
        let (status, signal) = match self.child.wait() {
            Ok(status) => (status.code(), status.signal()),
            Err(_) => (None, None),
        };
        let stderr_tail = self.tail.recv_timeout(GRACE).unwrap_or_default();
        self.ended.insert(End { status, signal, stderr_tail, link_lost: false }).clone()
    }
}
