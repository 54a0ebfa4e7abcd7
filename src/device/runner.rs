//! One launch of the agent, held to deadlines.
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use crate::agent::Answer;
use crate::agent::MAX_LINE;
use crate::agent::PROTOCOL;
use crate::agent::Reply;
use crate::agent::Request;
use crate::agent::Task;

use super::DeviceError;
use super::Process;
use super::Transport;

/// The signal for too much processor time, on Linux.
const SIGXCPU: i32 = 24;

/// How long an answer is awaited before it is seen whether the link is silent.
const PULSE: Duration = Duration::from_secs(2);

/// A running agent that can be asked.
pub struct Runner {
    address: String,
    requests: Option<Box<dyn Write + Send>>,
    lines: Lines,
    process: Box<dyn Process>,
    last_id: u64,
    is_silent: bool,
}

type Answers = BufReader<Box<dyn Read + Send>>;

/// Where lines come from.
enum Lines {
    /// A thread that reads them, so that a deadline can be held.
    Passed(Receiver<Vec<u8>>),
    /// They are there.
    Immediate(Answers),
}

impl Lines {
    fn next(&mut self, timeout: Duration) -> Result<Vec<u8>, RecvTimeoutError> {
        match self {
            Lines::Passed(lines) => lines.recv_timeout(timeout),
            Lines::Immediate(answers) => read_line(answers).ok_or(RecvTimeoutError::Disconnected),
        }
    }
}

impl Runner {
    /// Starts a fresh agent.
    ///
    /// # Errors
    ///
    /// As for [`Transport::spawn`].
    pub fn launch(transport: &dyn Transport) -> Result<Self, DeviceError> {
        let pipe = transport.spawn()?;
        let answers = BufReader::new(pipe.answers);
        let lines = match pipe.immediate {
            true => Lines::Immediate(answers),
            false => {
                let (sender, lines) = mpsc::sync_channel(1);
                thread::spawn(move || pass_lines(answers, &sender));
                Lines::Passed(lines)
            }
        };
        Ok(Runner {
            address: transport.address(),
            requests: Some(pipe.requests),
            lines,
            process: pipe.process,
            last_id: 0,
            is_silent: false,
        })
    }

    /// Where it runs.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Asks for `task` and waits for the answer, for `timeout` at most; an agent that is late, or
    /// not there any more, is not to be asked again.
    ///
    /// # Errors
    ///
    /// Every variant of [`DeviceError`] but those of starting; refusals are errors too.
    pub fn ask(&mut self, task: Task, timeout: Duration) -> Result<Answer, DeviceError> {
        let doing = describe(&task);
        let deadline_us = timeout.as_secs_f64() * 1e6;
        let seconds = task.job().and_then(|job| job.processor_seconds(deadline_us));
        self.send(task, deadline_us);
        let line = match self.next_line(timeout) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) if self.is_silent => {
                self.process.kill();
                let (address, complaint) = (self.address.clone(), "it fell silent".to_owned());
                return Err(DeviceError::Gone { address, doing, complaint, at_work: true });
            }
            Err(RecvTimeoutError::Timeout) => {
                self.process.kill();
                return Err(DeviceError::Hung { address: self.address.clone(), doing, timeout });
            }
            Err(RecvTimeoutError::Disconnected) => return Err(self.ended(doing, seconds)),
        };
        match self.read(&line)? {
            Answer::Refused { kind, reason } => Err(DeviceError::Refused { kind, reason }),
            answer => Ok(answer),
        }
    }

    /// The next line, if it comes within `timeout` and the link does not fall silent before.
    fn next_line(&mut self, timeout: Duration) -> Result<Vec<u8>, RecvTimeoutError> {
        let until = Instant::now() + timeout;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.lines.next(left.min(PULSE)) {
                Err(RecvTimeoutError::Timeout) if left > PULSE => {}
                line => return line,
            }
            if !self.process.is_reachable() {
                // It may have come just now.
                let line = self.lines.next(Duration::ZERO);
                self.is_silent = line == Err(RecvTimeoutError::Timeout);
                return line;
            }
        }
    }

    /// A pipe that is broken shows itself when the answer is awaited.
    fn send(&mut self, task: Task, deadline_us: f64) {
        self.last_id += 1;
        let request = Request { protocol: task.since(), id: self.last_id, task, deadline_us };
        let mut line = serde_json::to_vec(&request).expect("numbers and texts can be written");
        line.push(b'\n');
        if let Some(requests) = &mut self.requests {
            requests.write_all(&line).and_then(|()| requests.flush()).ok();
        }
    }

    fn read(&self, line: &[u8]) -> Result<Answer, DeviceError> {
        let garbage = |reason: String| {
            let start = String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned();
            DeviceError::Garbage {
                address: self.address.clone(),
                reason: format!("{reason}, in `{}`", start.trim_end()),
            }
        };
        if line.len() > MAX_LINE {
            return Err(garbage(format!("a line has more than {MAX_LINE} bytes")));
        }
        let reply: Reply = serde_json::from_slice(line).map_err(|e| garbage(e.to_string()))?;
        if reply.protocol > PROTOCOL {
            return Err(garbage(format!("it speaks protocol {}, not {PROTOCOL}", reply.protocol)));
        }
        if reply.id != self.last_id && reply.id != 0 {
            return Err(garbage(format!("it answers request {} of {}", reply.id, self.last_id)));
        }
        Ok(reply.answer)
    }

    /// `seconds` of processor time were allowed, if there was a limit.
    fn ended(&mut self, doing: String, seconds: Option<u64>) -> DeviceError {
        self.requests = None;
        let (end, address) = (self.process.end(), self.address.clone());
        let stderr_tail = end.stderr_tail;
        match end.signal {
            _ if end.link_lost => {
                DeviceError::Gone { address, doing, complaint: stderr_tail, at_work: true }
            }
            Some(SIGXCPU) => {
                DeviceError::Overran { address, doing, seconds: seconds.unwrap_or_default() }
            }
            Some(signal) => DeviceError::Crashed { address, doing, signal, stderr_tail },
            None => DeviceError::Ended { address, doing, status: end.status, stderr_tail },
        }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.requests = None;
        self.process.kill();
        self.process.end();
    }
}

/// For a person: what the runner was at.
fn describe(task: &Task) -> String {
    match task {
        Task::Hello => "say who it is".to_owned(),
        Task::Time(request) => format!("time `{}`", request.model),
        Task::Memory(request) => match &request.model {
            Some(model) => format!("weigh `{model}`"),
            None => "weigh the runtime".to_owned(),
        },
        Task::Run(request) => format!("run `{}`", request.model),
        Task::PerOp(request) => format!("time the operations of `{}`", request.model),
        Task::Hold(_) => "keep the device for this measurement".to_owned(),
    }
}

/// Passes whole lines on until there are no more, or nobody wants them; never holds more than one
/// line and a byte.
fn pass_lines(mut answers: Answers, lines: &SyncSender<Vec<u8>>) {
    while let Some(line) = read_line(&mut answers) {
        if lines.send(line).is_err() {
            return;
        }
    }
}

/// A line with its end, cut after [`MAX_LINE`] bytes and one; `None` if there are no more: what a runner was
/// about to say when it died is no line.
fn read_line(answers: &mut Answers) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    let read = answers.by_ref().take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line);
    let is_whole = line.last() == Some(&b'\n') || line.len() > MAX_LINE;
    (read.is_ok() && is_whole).then_some(line)
}
