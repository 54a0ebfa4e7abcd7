//! A server of the real `adb` for one test.
use std::env;
use std::io;
use std::net::Ipv4Addr;
use std::net::TcpListener;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use tempfile::TempDir;

use super::Phone;

use super::super::skipped::not_tried;

/// Long enough for a busy machine; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server with its own port, keys and log; dropped, it ends.
pub struct AdbServer {
    port: u16,
    home: TempDir,
}

impl AdbServer {
    /// `None`, and said on standard error, where `adb` is not installed.
    pub fn start() -> Option<Self> {
        let version = Command::new("adb").arg("version").stdout(Stdio::null()).status();
        if version.is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
            not_tried("`adb` is absent: not tried with the real program");
            return None;
        }
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let server = AdbServer { port, home: tempfile::tempdir().unwrap() };
        server.answer(&["start-server"]);
        Some(server)
    }

    /// `adb` of this server, not started yet.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("adb");
        let path = env::var_os("PATH").unwrap();
        command.args(args).env_clear().env("PATH", path).envs(self.variables());
        command
    }

    /// What makes an `adb` one of this server.
    pub fn variables(&self) -> Vec<(String, String)> {
        let home = self.home.path().to_str().unwrap();
        let port = self.port.to_string();
        [("ANDROID_ADB_SERVER_PORT", port.as_str()), ("HOME", home), ("TMPDIR", home)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec()
    }

    /// Connects anew, as a user does after plugging in.
    pub fn connect(&self, phone: &Phone) {
        let serial = phone.serial();
        wait_until("the phone is connected", || {
            self.command(&["disconnect", &serial]).output().unwrap();
            let output = self.command(&["connect", &serial]).output().unwrap();
            output.stdout.starts_with(b"connected to")
        });
    }

    /// What `adb devices` says of the phone, if it is listed.
    pub fn state(&self, phone: &Phone) -> Option<String> {
        let (list, serial) = (self.answer(&["devices"]), phone.serial());
        list.lines()
            .find_map(|line| Some(line.strip_prefix(&serial)?.strip_prefix('\t')?.to_owned()))
    }

    /// Ends the server; the next `adb` starts another one.
    pub fn kill(&self) {
        self.command(&["kill-server"]).output().ok();
    }

    #[track_caller]
    fn answer(&self, args: &[&str]) -> String {
        let output = self.command(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for AdbServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits for what gives no event.
#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "still not so: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
