//! A phone over the system's `adb`, by USB or TCP.
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use super::Absence;
use super::DeviceError;
use super::Process;
use super::process;
use super::shell::Shell;

/// How long the adb server may take for one answer before it counts as hung.
const ANSWER: Duration = Duration::from_secs(20);

/// How long a phone at a network address may take to come back.
const COME_BACK: Duration = Duration::from_secs(5);

/// A phone over `adb`; needs Android 7 or later, whose shell tells output from errors.
pub struct Adb {
    name: String,
    serial: String,
    environment: Vec<(String, String)>,
}

impl Adb {
    /// The phone that `adb devices` lists as `serial`.
    ///
    /// # Errors
    ///
    /// [`DeviceError::UnknownAddress`] if `serial` could be taken for an option or for several
    /// words.
    pub fn new(serial: &str) -> Result<Self, DeviceError> {
        let odd = |c: char| c.is_whitespace() || c.is_control();
        if serial.is_empty() || serial.starts_with('-') || serial.contains(odd) {
            return Err(DeviceError::UnknownAddress { text: format!("adb:{serial}") });
        }
        let name = format!("adb:{serial}");
        Ok(Adb { name, serial: serial.to_owned(), environment: Vec::new() })
    }

    /// Serials of the phones that `adb` knows, ready or not; none without `adb`.
    pub fn serials() -> Vec<String> {
        let any = Adb { name: "adb".to_owned(), serial: String::new(), environment: Vec::new() };
        let Ok((_, text)) = any.ask(&["devices"]) else { return Vec::new() };
        let serial = |line: &str| Some(line.split_once('\t')?.0.to_owned());
        text.lines().filter_map(serial).collect()
    }

    /// With the name that people call it by.
    pub fn with_name(self, name: &str) -> Self {
        Adb { name: name.to_owned(), ..self }
    }

    /// With a variable set for `adb`, e.g. `ANDROID_ADB_SERVER_PORT`.
    pub fn with_variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    fn adb(&self) -> Command {
        let mut command = Command::new("adb");
        command.envs(self.environment.iter().cloned());
        command
    }

    /// What `adb` answers to a short question, both outputs.
    fn ask(&self, arguments: &[&str]) -> Result<(bool, String), DeviceError> {
        let mut command = self.adb();
        command.args(arguments);
        let program = process::command_line(&command);
        let failed = |source| DeviceError::NotStarted { program, address: self.address(), source };
        let mut started = process::start(command, Stdio::null()).map_err(failed)?;
        let Some(stdout) = process::read_within(started.stdout, ANSWER) else {
            started.process.kill();
            started.process.end();
            let doing = format!("answer `adb {}`", arguments.join(" "));
            let complaint = format!("no answer within {} s", ANSWER.as_secs());
            return Err(DeviceError::Gone {
                address: self.address(),
                doing,
                complaint,
                at_work: false,
            });
        };
        let end = started.process.end();
        Ok((end.status == Some(0), format!("{stdout}{}", end.stderr_tail)))
    }

    /// `device` if the phone is ready, else adb's complaint.
    fn state(&self) -> Result<Result<(), String>, DeviceError> {
        let (ok, text) = self.ask(&["-s", &self.serial, "get-state"])?;
        let is_ready = ok && text.lines().any(|line| line.trim() == "device");
        Ok(if is_ready { Ok(()) } else { Err(text.trim().to_owned()) })
    }

    /// A phone at a network address is forgotten by a restarted server, or stays `offline` after
    /// its link was cut: connect it anew.
    fn reconnect(&self) -> Result<Result<(), String>, DeviceError> {
        let until = Instant::now() + COME_BACK;
        loop {
            self.ask(&["disconnect", &self.serial])?;
            let (_, said) = self.ask(&["connect", &self.serial])?;
            let state = self.state()?;
            let is_final = |complaint: &str| self.absence(complaint) == Absence::PhoneNotLetIn;
            match state {
                Ok(()) => return Ok(Ok(())),
                Err(complaint) if is_final(&complaint) || is_final(&said) => {
                    return Ok(Err(complaint));
                }
                // A refused connection will not be better a moment later.
                Err(complaint) if said.contains("refused") || Instant::now() > until => {
                    return Ok(Err(format!("{complaint}; {}", said.trim())));
                }
                Err(_) => {}
            }
        }
    }
}

impl Shell for Adb {
    fn address(&self) -> String {
        self.name.clone()
    }

    fn command(&self, line: &str) -> Command {
        let mut command = self.adb();
        command.args(["-s", &self.serial, "shell", "-T", line]);
        command
    }

    fn prepare(&self) -> Result<(), DeviceError> {
        let mut state = self.state()?;
        let by_network = self.serial.contains(':');
        let may_come = |complaint: &String| self.absence(complaint) != Absence::PhoneNotLetIn;
        if by_network && state.as_ref().is_err_and(may_come) {
            state = self.reconnect()?;
        }
        state.map_err(|complaint| DeviceError::Absent {
            address: self.address(),
            absence: match self.absence(&complaint) {
                Absence::Unknown => Absence::NotPlugged,
                known => known,
            },
            complaint,
        })
    }

    fn absence(&self, complaint: &str) -> Absence {
        let has = |part: &str| complaint.contains(part);
        if has("unauthorized") {
            Absence::PhoneNotLetIn
        } else if has("no permissions") || has("insufficient permissions") {
            Absence::NoPermission
        } else if has("offline") {
            Absence::PhoneOffline
        } else if has("not found") || has("no devices") {
            Absence::NotPlugged
        } else {
            Absence::Unknown
        }
    }

    fn lock_folder(&self) -> &'static str {
        "/data/local/tmp"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As adb 1.0.41 says it.
    #[test]
    fn complaints_of_adb_are_told_apart_and_each_has_its_fix() {
        let adb = Adb::new("39281FDJH0").unwrap();
        for (complaint, absence, fix) in [
            ("error: device unauthorized.\nThis adb server's...", Absence::PhoneNotLetIn, "Allow"),
            (
                "error: insufficient permissions for device: user in plugdev group; are your udev \
                 rules wrong?",
                Absence::NoPermission,
                "SUBSYSTEM==\"usb\"",
            ),
            ("error: device offline", Absence::PhoneOffline, "reconnect"),
            ("error: device '39281FDJH0' not found", Absence::NotPlugged, "USB debugging"),
        ] {
            assert_eq!(adb.absence(complaint), absence, "{complaint}");
            assert!(absence.hint().contains(fix), "{complaint}");
        }
    }
}
