//! A board over the user's own `ssh`: their configuration, keys, agent, jump hosts, known hosts.
use std::path::PathBuf;
use std::process::ChildStdin;
use std::process::Command;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tempfile::TempDir;

use super::Absence;
use super::DeviceError;
use super::Process;
use super::process;
use super::process::ChildProcess;
use super::process::Started;
use super::shell::Shell;

/// Seconds without an answer after which a connection attempt is given up.
const CONNECT_TIMEOUT: &str = "ConnectTimeout=10";

/// A link that is silent for so long is lost: two questions, a second apart.
const ALIVE: [&str; 2] = ["ServerAliveInterval=1", "ServerAliveCountMax=2"];

/// The same while a slow board lets one in, since ssh counts that as silence too.
const PATIENT: [&str; 2] = ["ServerAliveInterval=5", "ServerAliveCountMax=4"];

/// How long opening a connection may take in all.
const OPEN: Duration = Duration::from_secs(40);

/// A board over `ssh`.
///
/// One connection is opened and shared by all launches, so that a launch costs a message instead
/// of a handshake. Host keys are checked as the user's ssh does it; no question is ever asked.
pub struct Ssh {
    name: String,
    host: String,
    port: Option<u16>,
    options: Vec<String>,
    /// Holds the socket of the shared connection.
    folder: TempDir,
    /// The shared connection, once it is open.
    master: Mutex<Option<Master>>,
}

impl Ssh {
    /// As `ssh HOST` reaches it.
    ///
    /// # Errors
    ///
    /// [`DeviceError::UnknownAddress`] if `host` could be taken for an option or for several
    /// words, [`DeviceError::NotStarted`] if there is no room for the connection's socket.
    pub fn new(host: &str, port: Option<u16>) -> Result<Self, DeviceError> {
        let odd = |c: char| c.is_whitespace() || c.is_control();
        if host.is_empty() || host.starts_with('-') || host.contains(odd) {
            return Err(DeviceError::UnknownAddress { text: format!("ssh:{host}") });
        }
        let folder = tempfile::Builder::new().prefix("citronade-").tempdir().map_err(|source| {
            let (program, address) = ("ssh".to_owned(), format!("ssh:{host}"));
            DeviceError::NotStarted { program, address, source }
        })?;
        let name = match port {
            Some(port) => format!("ssh:{host}:{port}"),
            None => format!("ssh:{host}"),
        };
        let (host, options) = (host.to_owned(), Vec::new());
        Ok(Ssh { name, host, port, options, folder, master: Mutex::new(None) })
    }

    /// With the name that people call it by.
    pub fn with_name(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    /// With a further option, as after `ssh -o`.
    pub fn with_option(mut self, option: impl Into<String>) -> Self {
        self.options.push(option.into());
        self
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("link")
    }

    fn configure(&self, command: &mut Command) {
        command.args(["-T", "-o", "BatchMode=yes", "-o", CONNECT_TIMEOUT]);
        // The user's configuration may have them for their own sessions.
        command.args(["-o", "ClearAllForwardings=yes", "-o", "RemoteCommand=none"]);
        command.args(ALIVE.iter().flat_map(|option| ["-o", option]));
        command.args(self.options.iter().flat_map(|option| ["-o", option]));
        command.arg("-S").arg(self.socket());
        if let Some(port) = self.port {
            command.args(["-p", &port.to_string()]);
        }
    }

    /// Opens the shared connection. It ends with this program, however that ends: a program over there
    /// waits for our end of a pipe.
    fn open(&self, patience: &[&str]) -> Result<Master, DeviceError> {
        // One that was killed leaves it behind, and ssh would then share nothing.
        std::fs::remove_file(self.socket()).ok();
        let mut command = Command::new("ssh");
        // The first value of an option counts.
        command.args(patience.iter().flat_map(|option| ["-o", option]));
        self.configure(&mut command);
        // The empty line ends what a login shell has said without ending it.
        let line = "echo; echo up; exec cat";
        command.args(["-M", "-o", "ControlPersist=no", "--", &self.host, line]);
        let started = process::start(command, Stdio::piped());
        let Started { stdin, stdout, mut process } = started.map_err(|source| {
            DeviceError::NotStarted { program: "ssh".to_owned(), address: self.address(), source }
        })?;
        if process::read_until(stdout, "up", OPEN) {
            return Ok(Master { process, _pipe: stdin });
        }
        process.kill();
        let complaint = process.end().stderr_tail.trim().to_owned();
        let absence = match self.absence(&complaint) {
            Absence::Unknown => Absence::Offline,
            known => known,
        };
        Err(DeviceError::Absent { address: self.address(), absence, complaint })
    }
}

/// Did somebody answer, but not in time? A host that is not there would not be reached the second time
/// either.
fn is_slow(complaint: &str) -> bool {
    complaint.contains("timed out") && !complaint.contains("connect to host")
}

/// The process that holds the shared connection.
struct Master {
    process: ChildProcess,
    /// Its end is the connection's.
    _pipe: Option<ChildStdin>,
}

impl Drop for Master {
    fn drop(&mut self) {
        self.process.kill();
        self.process.end();
    }
}

impl Shell for Ssh {
    fn address(&self) -> String {
        self.name.clone()
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new("ssh");
        self.configure(&mut command);
        command.args(["-o", "ControlMaster=no", "--", &self.host, line]);
        command
    }

    fn prepare(&self) -> Result<(), DeviceError> {
        let mut master = self.master.lock().unwrap_or_else(PoisonError::into_inner);
        if master.as_ref().is_some_and(|master| master.process.is_running()) {
            return Ok(());
        }
        *master = None;
        let opened = match self.open(&[]) {
            Err(DeviceError::Absent { complaint, .. }) if is_slow(&complaint) => {
                self.open(&PATIENT)
            }
            other => other,
        };
        *master = Some(opened?);
        Ok(())
    }

    fn absence(&self, complaint: &str) -> Absence {
        let has = |part: &str| complaint.contains(part);
        if has("Host key verification failed") || has("HOST IDENTIFICATION HAS CHANGED") {
            Absence::HostKey
        } else if has("Permission denied") || has("Too many authentication failures") {
            Absence::NotLetIn
        } else if has("Could not resolve hostname") {
            Absence::NoSuchHost
        } else if has("Connection refused") || has("timed out") || has("No route to host") {
            Absence::Offline
        } else {
            Absence::Unknown
        }
    }

    fn lock_folder(&self) -> &'static str {
        "/tmp"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As OpenSSH 9.2 says it.
    #[test]
    fn only_a_board_that_answers_is_asked_again_with_patience() {
        for slow in [
            "Connection timed out during banner exchange",
            "Connection to 10.0.0.7 port 22 timed out",
        ] {
            assert!(is_slow(slow), "{slow}");
        }
        for gone in [
            "ssh: connect to host 10.0.0.7 port 22: Connection timed out",
            "ssh: connect to host 10.0.0.7 port 22: Connection refused",
            "Permission denied (publickey).",
        ] {
            assert!(!is_slow(gone), "{gone}");
        }
    }
}
