//! This machine.
use std::env;
use std::ffi::OsString;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Child;
use std::process::ChildStderr;
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
use nix::sys::wait::waitid;
use nix::unistd::Pid;

use super::DeviceError;
use super::End;
use super::Pipe;
use super::Process;
use super::Transport;

/// How much of the agent's standard error is kept, from its end.
const STDERR_TAIL: usize = 2000;

/// How long a process may live on when its output has ended, or that of what it started.
const GRACE: Duration = Duration::from_secs(2);

/// A child process on this machine.
///
/// It gets its own process group, so that what it starts ends with it, and its environment.
#[derive(Clone, Debug)]
pub struct Local {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
}

impl Local {
    /// The running program as its own agent: `citronade agent`.
    ///
    /// # Errors
    ///
    /// [`DeviceError::NotStarted`] if the system does not say which file it is.
    pub fn this_program() -> Result<Self, DeviceError> {
        let program = env::current_exe().map_err(|source| DeviceError::NotStarted {
            program: "citronade agent".to_owned(),
            address: "local".to_owned(),
            source,
        })?;
        Ok(Local::program(program, ["agent"]))
    }

    /// Another program that speaks the protocol.
    pub fn program<A: Into<OsString>>(
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Local { program: program.into(), arguments, environment: Vec::new() }
    }

    /// With a variable set in its environment.
    pub fn with_variable(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        command
    }

    fn command_line(&self) -> String {
        let program = self.program.display().to_string();
        let arguments = self.arguments.iter().map(|a| a.to_string_lossy().into_owned());
        [program].into_iter().chain(arguments).collect::<Vec<_>>().join(" ")
    }
}

impl Transport for Local {
    fn address(&self) -> String {
        "local".to_owned()
    }

    fn spawn(&self) -> Result<Pipe, DeviceError> {
        let mut child = self.command().spawn().map_err(|source| DeviceError::NotStarted {
            program: self.command_line(),
            address: self.address(),
            source,
        })?;
        let requests = child.stdin.take().expect("asked for in `command`");
        let answers = child.stdout.take().expect("asked for in `command`");
        let stderr = child.stderr.take().expect("asked for in `command`");
        let (sender, tail) = mpsc::channel();
        thread::spawn(move || sender.send(tail_of(stderr)));
        let process = ChildProcess { child, tail, ended: None };
        Ok(Pipe {
            requests: Box::new(requests),
            answers: Box::new(answers),
            immediate: false,
            process: Box::new(process),
        })
    }
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

struct ChildProcess {
    child: Child,
    tail: Receiver<String>,
    ended: Option<End>,
}

impl ChildProcess {
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
        self.ended.insert(End { status, signal, stderr_tail }).clone()
    }
}
