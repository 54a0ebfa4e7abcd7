//! An agent inside this process.
use std::env;
use std::io;
use std::io::Read;
use std::io::Write;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::agent::Installed;
use crate::agent::serve;

use super::DeviceError;
use super::End;
use super::Look;
use super::Pipe;
use super::Process;
use super::Transport;

/// The serve loop without a process or a thread of its own: launches cost next to nothing, and no
/// deadline can be held.
///
/// For tests and, with the runtime `metronome`, to see what everything around measuring costs.
/// A runtime that aborts takes this process along.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fake;

impl Transport for Fake {
    fn address(&self) -> String {
        "fake".to_owned()
    }

    fn look(&self) -> Result<Look, DeviceError> {
        Ok(Look { arch: env::consts::ARCH.to_owned(), free: None, has_runner: true })
    }

    fn spawn(&self) -> Result<Pipe, DeviceError> {
        let answers = Answers::default();
        Ok(Pipe {
            requests: Box::new(Requests { waiting: Vec::new(), answers: answers.clone() }),
            answers: Box::new(answers),
            immediate: true,
            process: Box::new(Nothing),
        })
    }

    fn lock_folder(&self) -> Option<String> {
        None
    }
}

/// Serves requests when they are flushed.
struct Requests {
    waiting: Vec<u8>,
    answers: Answers,
}

impl Write for Requests {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.waiting.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        let requests = std::mem::take(&mut self.waiting);
        serve(&requests[..], &mut *self.answers.lock(), &Installed)
    }
}

/// Answers that were not read yet.
#[derive(Clone, Default)]
struct Answers(Arc<Mutex<Vec<u8>>>);

impl Answers {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Read for Answers {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut ready = self.lock();
        let read = (&ready[..]).read(buffer)?;
        ready.drain(..read);
        Ok(read)
    }
}

/// What runs is the asker itself.
struct Nothing;

impl Process for Nothing {
    fn kill(&mut self) {}

    fn end(&mut self) -> End {
        End { status: Some(0), ..End::default() }
    }
}
