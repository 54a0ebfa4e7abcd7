//! This machine.
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;

use nix::sys::statvfs::statvfs;

use crate::units::Bytes;

use super::DeviceError;
use super::LIBRARY_VARIABLE;
use super::Ledger;
use super::Look;
use super::Pipe;
use super::Transport;
use super::process;
use super::process::Started;

/// Where all who measure on this machine find each other, unless [`LOCK_VARIABLE`] says otherwise.
const LOCK_FOLDER: &str = "/tmp";

/// Names another folder for the lock: for several measurements at once, each on processors of its
/// own.
const LOCK_VARIABLE: &str = "CITRONADE_LOCK_DIR";

/// A child process on this machine.
///
/// It gets its own process group, so that what it starts ends with it, and its environment.
#[derive(Clone, Debug)]
pub struct Local {
    name: String,
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    lock_folder: Option<String>,
    ledger: Option<Arc<Ledger>>,
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
        let given = env::var(LOCK_VARIABLE).ok().filter(|folder| !folder.is_empty());
        let lock_folder = Some(given.unwrap_or_else(|| LOCK_FOLDER.to_owned()));
        let (name, program) = ("local".to_owned(), program.into());
        let environment = Vec::new();
        Local { name, program, arguments, environment, lock_folder, ledger: None }
    }

    /// With the name that people call it by.
    pub fn with_name(self, name: &str) -> Self {
        Local { name: name.to_owned(), ..self }
    }

    /// With another folder for the lock, or with none: then nobody is waited for.
    pub fn with_lock_folder(self, lock_folder: Option<String>) -> Self {
        Local { lock_folder, ..self }
    }

    /// With its health kept in `ledger`.
    pub fn with_ledger(self, ledger: Ledger) -> Self {
        Local { ledger: Some(Arc::new(ledger)), ..self }
    }

    /// With a variable set in its environment.
    pub fn with_variable(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// With this ONNX Runtime, unless the environment names another (`ORT_DYLIB_PATH`).
    pub fn with_library(self, path: &str) -> Self {
        match env::var_os(LIBRARY_VARIABLE).is_some_and(|given| !given.is_empty()) {
            true => self,
            false => self.with_variable(LIBRARY_VARIABLE, path),
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).envs(self.environment.iter().cloned());
        command
    }
}

impl Transport for Local {
    fn address(&self) -> String {
        self.name.clone()
    }

    fn look(&self) -> Result<Look, DeviceError> {
        let free = statvfs(&env::temp_dir()).ok();
        let free = free.map(|s| Bytes(s.blocks_available() * s.fragment_size()));
        Ok(Look { arch: env::consts::ARCH.to_owned(), free, has_runner: true })
    }

    fn spawn(&self) -> Result<Pipe, DeviceError> {
        let command = self.command();
        let program = process::command_line(&command);
        let started = process::start(command, Stdio::piped());
        let Started { stdin, stdout, process } = started.map_err(|source| {
            DeviceError::NotStarted { program, address: self.address(), source }
        })?;
        Ok(Pipe {
            requests: Box::new(stdin.expect("it is piped")),
            answers: Box::new(stdout),
            immediate: false,
            process: Box::new(process),
        })
    }

    fn lock_folder(&self) -> Option<String> {
        self.lock_folder.clone()
    }

    fn ledger(&self) -> Option<&Ledger> {
        self.ledger.as_deref()
    }
}
