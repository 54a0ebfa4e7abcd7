//! An agent on a thread of this process.
use std::io;
use std::io::BufReader;
use std::io::PipeReader;
use std::io::PipeWriter;
use std::thread;
use std::thread::JoinHandle;

use crate::agent::Installed;
use crate::agent::serve;

use super::DeviceError;
use super::End;
use super::Pipe;
use super::Process;
use super::Transport;

/// The serve loop behind a pipe, without a process of its own: launches cost next to nothing.
///
/// For tests and, with the runtime `metronome`, to see what everything around measuring costs.
/// A runtime that aborts takes this process along.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fake;

impl Transport for Fake {
    fn address(&self) -> String {
        "fake".to_owned()
    }

    fn spawn(&self) -> Result<Pipe, DeviceError> {
        let not_started = |source| DeviceError::NotStarted {
            program: "a thread".to_owned(),
            address: self.address(),
            source,
        };
        let (requests_in, requests) = io::pipe().map_err(not_started)?;
        let (answers, answers_out) = io::pipe().map_err(not_started)?;
        let agent = thread::Builder::new().spawn(move || work(requests_in, answers_out));
        let process = AgentThread(Some(agent.map_err(not_started)?));
        Ok(Pipe {
            requests: Box::new(requests),
            answers: Box::new(answers),
            process: Box::new(process),
        })
    }
}

fn work(requests: PipeReader, answers: PipeWriter) -> io::Result<()> {
    serve(BufReader::new(requests), answers, &Installed)
}

struct AgentThread(Option<JoinHandle<io::Result<()>>>);

impl Process for AgentThread {
    /// A thread cannot be killed: it ends when its pipes are closed.
    fn kill(&mut self) {
        self.0 = None;
    }

    fn end(&mut self) -> End {
        let result = self.0.take().map(JoinHandle::join);
        let status = match result {
            Some(Ok(Ok(()))) => Some(0),
            Some(Ok(Err(_)) | Err(_)) => Some(1),
            None => None,
        };
        End { status, ..End::default() }
    }
}
