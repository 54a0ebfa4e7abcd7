//! How to reach a device: start the agent there, ask it, end it.
//!
//! A [`Transport`] moves bytes; it knows neither models nor measurements. A [`Runner`] is one
//! launch of the agent: it holds every answer to a deadline (unless the pipe answers at once), and
//! when it is dropped the process is gone, whatever state it was in.
mod address;
mod error;
mod fake;
mod local;
mod runner;

use std::io::Read;
use std::io::Write;

pub use address::parse;
pub use error::DeviceError;
pub use fake::Fake;
pub use local::Local;
pub use runner::Runner;

/// A way to reach one device.
///
/// Called once for each launch, from any thread; a device measures one thing at a time, which is
/// the caller's affair.
pub trait Transport: Send + Sync {
    /// How the device is addressed, e.g. `local`.
    fn address(&self) -> String;

    /// Starts a fresh agent.
    ///
    /// # Errors
    ///
    /// [`DeviceError::NotStarted`] if it cannot be started.
    fn spawn(&self) -> Result<Pipe, DeviceError>;
}

/// A running agent: its two ends and its process.
pub struct Pipe {
    /// What the agent reads; dropped, the agent ends.
    pub requests: Box<dyn Write + Send>,
    /// What the agent writes.
    pub answers: Box<dyn Read + Send>,
    /// Is an answer there as soon as its request is flushed? Then nobody has to wait for it.
    pub immediate: bool,
    /// To end it and to learn how it ended.
    pub process: Box<dyn Process>,
}

/// The process behind a [`Pipe`].
pub trait Process: Send {
    /// Ends it and all it has started, at once.
    fn kill(&mut self);

    /// How it ended; waits for that.
    fn end(&mut self) -> End;
}

/// How an agent ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// Its exit status, if it ended by itself.
    pub status: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Last lines it wrote to standard error.
    pub stderr_tail: String,
}
