//! How to reach a device: start the agent there, ask it, end it.
//!
//! A [`Transport`] moves bytes; it knows neither models nor measurements. A [`Runner`] is one
//! launch of the agent: it holds every answer to a deadline (unless the pipe answers at once), and
//! when it is dropped the process is gone, whatever state it was in. A [`Profile`] is what is known
//! of a device before it is asked; the [`Catalogue`] holds the user's own devices.
mod adb;
mod address;
mod catalogue;
mod error;
mod facts;
mod fake;
mod health;
mod kept;
mod ledger;
mod link;
mod local;
mod process;
mod profile;
mod profile_error;
mod remote;
mod runner;
mod runners;
mod sent;
mod shell;
mod ssh;

use std::io::Read;
use std::io::Write;
use std::path::Path;

use crate::units::Bytes;

pub use adb::Adb;
pub use address::connect;
pub use address::find;
pub use catalogue::Catalogue;
pub use catalogue::Entry;
pub use error::Absence;
pub use error::DeviceError;
pub use fake::Fake;
pub use health::CHECKED_EVERY_S;
pub use health::Check;
pub use health::Event;
pub use health::Health;
pub use health::MOST_FAULTS;
pub use health::State;
pub use ledger::Ledger;
pub use link::Link;
pub use local::Local;
pub use profile::Profile;
pub use profile::Require;
pub use profile::Thermal;
pub use profile_error::ProfileError;
pub use remote::Remote;
pub use runner::Runner;
pub use runners::Runners;
pub use sent::part;
pub use shell::Pulse;
pub use shell::Shell;
pub use ssh::Ssh;

/// Tells the runner which file is ONNX Runtime.
const LIBRARY_VARIABLE: &str = "ORT_DYLIB_PATH";

/// A way to reach one device.
///
/// Called once for each launch, from any thread; a device measures one thing at a time, which is
/// the caller's affair.
pub trait Transport: Send + Sync {
    /// How the device is addressed, e.g. `local`.
    fn address(&self) -> String;

    /// Is it there? Leaves nothing behind.
    ///
    /// # Errors
    ///
    /// Those of a device that is away, and those of a runner that this computer lacks.
    fn look(&self) -> Result<Look, DeviceError>;

    /// Starts a fresh agent.
    ///
    /// # Errors
    ///
    /// [`DeviceError::NotStarted`] if it cannot be started, and those of a device that is away.
    fn spawn(&self) -> Result<Pipe, DeviceError>;

    /// Brings a file of this machine, whose hash is `blake3`, to where the agent can read it, and
    /// says how the agent shall call it.
    ///
    /// # Errors
    ///
    /// [`DeviceError::NotRead`], [`DeviceError::NotWritable`], [`DeviceError::Damaged`], and those
    /// of a device that is away.
    fn place(&self, file: &Path, blake3: &str) -> Result<String, DeviceError> {
        let _ = blake3;
        let path = std::path::absolute(file)
            .map_err(|source| DeviceError::NotRead { path: file.to_owned(), source })?;
        Ok(path.to_string_lossy().into_owned())
    }

    /// Folder of the lock that all who measure on the device share; `None` if nobody else can.
    fn lock_folder(&self) -> Option<String>;

    /// Where its health is kept; `None` if nobody cares for it.
    fn ledger(&self) -> Option<&Ledger> {
        None
    }
}

/// What a device says without a runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// What kind of processor it has, e.g. `aarch64`.
    pub arch: String,
    /// What still fits where models are put, if it says so.
    pub free: Option<Bytes>,
    /// Whether it can be asked for more without bringing anything there.
    pub has_runner: bool,
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

    /// Can it still be reached, as far as can be found out? Costs the device next to nothing; may
    /// take some seconds.
    fn is_reachable(&mut self) -> bool {
        true
    }

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
    /// How it ended is not known: it is on a device that cannot be reached any more.
    pub link_lost: bool,
}
