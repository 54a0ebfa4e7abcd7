//! A phone over the system's `adb`, by USB or TCP.
use std::fs;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use super::Absence;
use super::DeviceError;
use super::Process;
use super::process;
use super::shell::Pulse;
use super::shell::Shell;

/// How long the adb server may take for one answer before it counts as hung.
const ANSWER: Duration = Duration::from_secs(20);

/// How long a phone may take to come back after the adb server was started anew.
const COME_BACK: Duration = Duration::from_secs(5);

/// How long a phone may take for a sign of life, at work with all its processors.
const SIGN_OF_LIFE: Duration = Duration::from_secs(4);

/// Where the kernel shows USB devices (`Documentation/ABI/stable/sysfs-bus-usb`).
const USB: &str = "/sys/bus/usb/devices";

/// What `adb` says when it has started its server.
const STARTED: &str = "daemon started";

/// A phone over `adb`; needs Android 7 or later, whose shell tells output from errors.
#[derive(Clone)]
pub struct Adb {
    name: String,
    serial: String,
    environment: Vec<(String, String)>,
    /// Was it there the last time?
    was_there: Arc<AtomicBool>,
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
        Ok(Adb { name, ..Adb::any(serial) })
    }

    fn any(serial: &str) -> Self {
        let (name, serial) = ("adb".to_owned(), serial.to_owned());
        Adb { name, serial, environment: Vec::new(), was_there: Arc::default() }
    }

    /// Serials of the phones that `adb` knows, ready or not; none without `adb`.
    pub fn serials() -> Vec<String> {
        let Ok((_, text)) = Adb::any("").ask(&["devices"]) else { return Vec::new() };
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
        self.ask_within(arguments, ANSWER)
    }

    fn ask_within(
        &self,
        arguments: &[&str],
        timeout: Duration,
    ) -> Result<(bool, String), DeviceError> {
        let mut command = self.adb();
        command.args(arguments);
        let program = process::command_line(&command);
        let failed = |source| DeviceError::NotStarted { program, address: self.address(), source };
        let mut started = process::start(command, Stdio::null()).map_err(failed)?;
        let Some(stdout) = process::read_within(started.stdout, timeout) else {
            started.process.kill();
            started.process.end();
            let doing = format!("answer `adb {}`", arguments.join(" "));
            let complaint = format!("no answer within {} s", timeout.as_secs());
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

impl Adb {
    /// A server that was just started finds what is on cables a moment later. A phone that was never
    /// there is not waited for.
    fn wait_for_cable(&self, complaint: String) -> Result<Result<(), String>, DeviceError> {
        if !self.was_there.swap(false, Ordering::Relaxed) && !complaint.contains(STARTED) {
            return Ok(Err(complaint));
        }
        match self.ask_within(&["-s", &self.serial, "wait-for-device"], COME_BACK) {
            Ok(_) => self.state(),
            Err(DeviceError::Gone { .. }) => Ok(Err(complaint)),
            Err(other) => Err(other),
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
        if let Err(complaint) = &state
            && may_come(complaint)
        {
            state = match by_network {
                true => self.reconnect()?,
                false => self.wait_for_cable(complaint.clone())?,
            };
        }
        self.was_there.store(state.is_ok(), Ordering::Relaxed);
        state.map_err(|complaint| {
            let absence = match self.absence(&complaint) {
                Absence::Unknown => Absence::NotPlugged,
                known => known,
            };
            let vendor = vendor_of(&self.serial, Path::new(USB));
            let complaint = match vendor.filter(|_| absence == Absence::NoPermission) {
                Some(vendor) => format!("{complaint} (its idVendor is {vendor})"),
                None => complaint,
            };
            DeviceError::Absent { address: self.address(), absence, complaint }
        })
    }

    /// A service that the daemon on the phone answers itself, starting nothing: only that an answer comes
    /// counts.
    fn pulse(&self) -> Option<Pulse> {
        let adb = self.clone();
        let ask = move || adb.ask_within(&["-s", &adb.serial, "reverse", "--list"], SIGN_OF_LIFE);
        Some(Box::new(move || !matches!(ask(), Err(DeviceError::Gone { .. }))))
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

/// Who made the USB device of this serial, as udev rules want it.
fn vendor_of(serial: &str, folder: &Path) -> Option<String> {
    let read =
        |path: &Path, name: &str| Some(fs::read_to_string(path.join(name)).ok()?.trim().to_owned());
    let mut devices = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let device = devices.find(|path| read(path, "serial").as_deref() == Some(serial))?;
    read(&device, "idVendor")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

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

    #[test]
    fn the_vendor_of_a_phone_is_found_by_its_serial() {
        let folder = tempfile::tempdir().unwrap();
        for (device, serial, vendor) in
            [("usb1", "0000:00:14.0", "1d6b"), ("1-3", "39281FDJH0", "18d1")]
        {
            let path = folder.path().join(device);
            fs::create_dir(&path).unwrap();
            fs::write(path.join("serial"), format!("{serial}\n")).unwrap();
            fs::write(path.join("idVendor"), format!("{vendor}\n")).unwrap();
        }
        assert_eq!(vendor_of("39281FDJH0", folder.path()).as_deref(), Some("18d1"));
        assert_eq!(vendor_of("R58M", folder.path()), None);
    }

    /// A phone on a cable, played by a program: such cables cannot be had in a test.
    struct Played(tempfile::TempDir);

    impl Played {
        /// The server says `said` when the phone is not there, and finds it when it is waited for.
        fn saying(said: &str) -> (Self, Adb) {
            let folder = tempfile::tempdir().unwrap();
            let script = format!(
                "#!/bin/sh\ncd '{}'\necho $* >> asked\ncase \"$*\" in\n*wait-for-device) touch there;;\n\
                 *get-state) [ -e there ] && echo device && exit\n\
                 echo \"{said}error: device 39281FDJH0 not found\" >&2; exit 1;;\nesac\n",
                folder.path().display()
            );
            let program = folder.path().join("adb");
            fs::write(&program, script).unwrap();
            fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
            let path = std::env::var("PATH").unwrap();
            let path = format!("{}:{path}", folder.path().display());
            let adb = Adb::new("39281FDJH0").unwrap().with_variable("PATH", path);
            (Played(folder), adb)
        }

        fn was_waited_for(&self) -> bool {
            let asked = fs::read_to_string(self.0.path().join("asked")).unwrap();
            asked.contains("-s 39281FDJH0 wait-for-device")
        }
    }

    #[test]
    fn a_phone_on_a_cable_is_waited_for_when_the_server_was_started_anew() {
        let started =
            "* daemon not running; starting now at tcp:5037\n* daemon started successfully\n";
        let (played, adb) = Played::saying(started);
        adb.prepare().unwrap();
        assert!(played.was_waited_for());
    }

    #[test]
    fn a_phone_on_a_cable_that_was_there_is_waited_for_once_and_a_stranger_never() {
        let (played, adb) = Played::saying("");
        let absent = adb.prepare().unwrap_err();
        assert!(matches!(absent, DeviceError::Absent { absence: Absence::NotPlugged, .. }));
        assert!(!played.was_waited_for());
        let there = played.0.path().join("there");
        fs::write(&there, "").unwrap();
        adb.prepare().unwrap();
        // Somebody else has started the server anew.
        fs::remove_file(&there).unwrap();
        adb.prepare().unwrap();
        assert!(played.was_waited_for());
    }
}
