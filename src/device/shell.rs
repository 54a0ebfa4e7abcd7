//! Lines for the shell of a device, handed over by a program of this machine.
//!
//! Neither `ssh` nor `adb` says reliably how a command ended, or whether it was reached at all: a
//! status of 255 or of 0 may be a lost link. So every line ends with a mark of our own on standard
//! error that holds the status; without the mark the link was lost. Another mark on standard output
//! comes first: what a login shell says before it is not for us.
use std::fs::File;
use std::io;
use std::io::BufReader;
use std::io::Read;
use std::process::ChildStdout;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use super::Absence;
use super::DeviceError;
use super::End;
use super::Pipe;
use super::Process;
use super::process;
use super::process::Started;

/// What is said on standard output before the line's own.
const BEGIN: &str = "citronade-begin";

/// Begins the mark at the end.
const MARK: &str = "citronade-end ";

/// Asks a device for a sign of life; false if none comes.
pub type Pulse = Box<dyn Fn() -> bool + Send>;

/// Reaches the shell of one device.
pub trait Shell: Send + Sync {
    /// How people call the device.
    fn address(&self) -> String;

    /// The program that hands `line` to the device's shell, its input and output connected.
    fn command(&self, line: &str) -> Command;

    /// Called before every line: makes the device reachable, or says why it is not.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Absent`], [`DeviceError::Gone`] and [`DeviceError::NotStarted`].
    fn prepare(&self) -> Result<(), DeviceError>;

    /// How to see whether the link is silent while a line runs, at next to no cost for the device;
    /// `None` if the program of [`command`](Self::command) ends by itself then.
    fn pulse(&self) -> Option<Pulse> {
        None
    }

    /// What the program's complaint means.
    fn absence(&self, complaint: &str) -> Absence;

    /// A folder that all users of the device share.
    fn lock_folder(&self) -> &'static str;
}

/// How a line ended.
pub struct Called {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

/// The line that is really sent. Single quotes keep it whole whatever the login shell is; a line
/// holds none, since it is made of fixed words, checked names and numbers. The empty line ends what a
/// login shell has said without ending it.
fn marked(line: &str) -> String {
    assert!(!line.contains('\''), "a line for a device has no quotes: {line}");
    // Complaints of the system are read, and so wanted in one language.
    format!(
        "exec sh -c 'LC_ALL=C; export LC_ALL; echo; echo {BEGIN}; {{ {line}; }}; echo {MARK}$? >&2'"
    )
}

/// Starts `line` and leaves it running.
pub fn spawn(shell: &dyn Shell, line: &str) -> Result<Pipe, DeviceError> {
    let started = start(shell, line, Stdio::piped())?;
    Ok(Pipe {
        requests: Box::new(started.stdin.expect("it is piped")),
        answers: Box::new(AfterBegin::of(started.stdout)),
        immediate: false,
        process: Box::new(Marked { process: started.process, pulse: shell.pulse() }),
    })
}

/// Runs `line` to its end, `timeout` at most, with `input` as its standard input.
pub fn call(
    shell: &dyn Shell,
    doing: &str,
    line: &str,
    input: Option<File>,
    timeout: Duration,
) -> Result<Called, DeviceError> {
    let stdin = input.map_or_else(Stdio::null, Stdio::from);
    let Started { stdout, process, .. } = start(shell, line, stdin)?;
    let mut process = Marked { process, pulse: None };
    let (address, doing) = (shell.address(), doing.to_owned());
    let Some(stdout) = process::read_within(AfterBegin::of(stdout), timeout) else {
        process.kill();
        process.end();
        // No model was involved: it is the device that does not answer.
        let complaint = format!("no answer within {} s", timeout.as_secs());
        return Err(DeviceError::Gone { address, doing, complaint, at_work: false });
    };
    let End { status, signal, stderr_tail, link_lost } = process.end();
    match status.or(signal.map(|s| 128 + s)) {
        Some(status) if !link_lost => Ok(Called { status, stdout, stderr: stderr_tail }),
        _ => {
            let complaint = stderr_tail.trim().to_owned();
            match shell.absence(&complaint) {
                Absence::Unknown => {
                    Err(DeviceError::Gone { address, doing, complaint, at_work: false })
                }
                absence => Err(DeviceError::Absent { address, absence, complaint }),
            }
        }
    }
}

fn start(shell: &dyn Shell, line: &str, stdin: Stdio) -> Result<Started, DeviceError> {
    shell.prepare()?;
    let command = shell.command(&marked(line));
    let program = process::command_line(&command);
    process::start(command, stdin).map_err(|source| DeviceError::NotStarted {
        program,
        address: shell.address(),
        source,
    })
}

/// An output without what comes before [`BEGIN`].
struct AfterBegin {
    output: BufReader<ChildStdout>,
    has_begun: bool,
}

impl AfterBegin {
    fn of(output: ChildStdout) -> Self {
        AfterBegin { output: BufReader::new(output), has_begun: false }
    }
}

impl Read for AfterBegin {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.has_begun {
            process::skip_to(&mut self.output, BEGIN)?;
            self.has_begun = true;
        }
        self.output.read(buffer)
    }
}

/// A process on the device behind one on this machine.
struct Marked<P> {
    process: P,
    pulse: Option<Pulse>,
}

impl<P: Process> Process for Marked<P> {
    fn kill(&mut self) {
        self.process.kill();
    }

    fn is_reachable(&mut self) -> bool {
        self.pulse.as_ref().is_none_or(|pulse| pulse())
    }

    fn end(&mut self) -> End {
        read_mark(self.process.end())
    }
}

/// How the process on the device ended, from how the one on this machine did.
fn read_mark(end: End) -> End {
    let Some((before, status)) = end.stderr_tail.rsplit_once(MARK) else {
        return End { link_lost: true, ..end };
    };
    let status = status.lines().next().and_then(|s| s.trim().parse::<i32>().ok());
    let stderr_tail = before.to_owned();
    match status {
        None => End { link_lost: true, stderr_tail, ..end },
        // The shell's way to say that a signal ended it.
        Some(status @ 129..=192) => {
            let signal = Some(status - 128);
            End { status: None, signal, stderr_tail, link_lost: false }
        }
        Some(status) => End { status: Some(status), signal: None, stderr_tail, link_lost: false },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(stderr: &str) -> End {
        let end = End { status: Some(0), stderr_tail: stderr.to_owned(), ..End::default() };
        read_mark(end)
    }

    #[test]
    fn only_the_mark_says_how_a_line_ended() {
        assert_eq!(ended("ouch\ncitronade-end 3\n").status, Some(3));
        assert_eq!(ended("ouch\ncitronade-end 3\n").stderr_tail, "ouch\n");
        assert_eq!(ended("citronade-end 137\n").signal, Some(9));
        for lost in ["", "Connection closed\n", "citronade-end ", "citronade-end x\n"] {
            assert!(ended(lost).link_lost, "{lost:?}");
        }
    }

    #[test]
    #[should_panic(expected = "no quotes")]
    fn a_line_with_a_quote_is_never_sent() {
        marked("echo 'a'");
    }
}
