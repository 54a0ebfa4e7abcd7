//! An agent inside this process.
use std::io;
use std::io::Read;
use std::io::Write;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;

use crate::agent::Installed;
use crate::agent::serve;

use super::DeviceError;
use super::End;
use super::Pipe;
use super::Process;
use super::Transport;

/// The serve loop without a process of its own: launches cost next to nothing.
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
        let (sender, receiver) = mpsc::channel();
        Ok(Pipe {
            requests: Box::new(Requests { waiting: Vec::new(), sender }),
            answers: Box::new(Answers { receiver, ready: Vec::new(), read: 0 }),
            process: Box::new(Nothing),
        })
    }
}

/// Hands requests over when they are flushed.
struct Requests {
    waiting: Vec<u8>,
    sender: Sender<Vec<u8>>,
}

impl Write for Requests {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.waiting.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        let requests = std::mem::take(&mut self.waiting);
        self.sender.send(requests).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// Serves requests on the thread that reads the answers.
struct Answers {
    receiver: Receiver<Vec<u8>>,
    ready: Vec<u8>,
    read: usize,
}

impl Read for Answers {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read == self.ready.len() {
            let Ok(requests) = self.receiver.recv() else { return Ok(0) };
            self.ready.clear();
            self.read = 0;
            serve(&requests[..], &mut self.ready, &Installed)?;
        }
        let read = (&self.ready[self.read..]).read(buffer)?;
        self.read += read;
        Ok(read)
    }
}

/// What runs is the reader of the answers, which ends when there are no more requests.
struct Nothing;

impl Process for Nothing {
    fn kill(&mut self) {}

    fn end(&mut self) -> End {
        End { status: Some(0), ..End::default() }
    }
}
