//! The phone of `support::adbd` and the real `adb`.
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::thread;

use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::support::adbd::AdbServer;
use crate::support::adbd::Phone;
use crate::support::adbd::Way;
use crate::support::adbd::thermal_service;
use crate::support::adbd::wait_until;

const MEGABYTE: usize = 1 << 20;

/// A phone that is connected.
struct Connected {
    adb: AdbServer,
    phone: Phone,
}

impl Connected {
    fn new() -> Option<Self> {
        let connected = Connected { adb: AdbServer::start()?, phone: Phone::start() };
        connected.adb.connect(&connected.phone);
        Some(connected)
    }

    fn adb(&self, way: &str, line: &str) -> Command {
        self.adb.command(&["-s", &self.phone.serial(), way, line])
    }

    fn shell(&self, line: &str) -> Output {
        self.adb("shell", line).stdin(Stdio::null()).output().unwrap()
    }

    /// Started with all pipes.
    fn spawn(&self, line: &str) -> Child {
        let pipes = (Stdio::piped(), Stdio::piped(), Stdio::piped());
        self.adb("shell", line).stdin(pipes.0).stdout(pipes.1).stderr(pipes.2).spawn().unwrap()
    }

    /// What comes back for `input`.
    fn fed(&self, line: &str, input: &[u8]) -> Output {
        let mut child = self.spawn(line);
        let mut stdin = child.stdin.take().unwrap();
        thread::scope(|scope| {
            // It breaks when the cable is pulled.
            scope.spawn(move || stdin.write_all(input).ok());
            child.wait_with_output().unwrap()
        })
    }

    #[track_caller]
    fn check(&self, line: &str, stdout: &str) {
        let output = self.shell(line);
        assert_eq!(String::from_utf8_lossy(&output.stdout), stdout, "{output:?}");
    }
}

/// Every byte, without a short period.
fn noise(bytes: usize) -> Vec<u8> {
    (0..bytes as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

#[test]
fn outputs_and_the_exit_code_arrive_apart() {
    let Some(it) = Connected::new() else { return };
    let output = it.shell("echo told; echo scolded >&2; exit 7");
    assert_eq!(output.status.code(), Some(7));
    assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"told\n"[..], &b"scolded\n"[..]));
    assert_eq!(it.shell("kill -9 $$").status.code(), Some(128 + 9));
    let merged = it.adb("exec-out", "echo told; echo scolded >&2").output().unwrap();
    assert_eq!(merged.stdout, b"told\nscolded\n");
}

#[test]
fn a_megabyte_passes_both_ways_unchanged() {
    let Some(it) = Connected::new() else { return };
    let sent = noise(MEGABYTE);
    assert!(it.fed("cat", &sent).stdout == sent);
    assert!(it.fed("cat > /data/local/tmp/noise", &sent).status.success());
    assert!(fs::read(it.phone.folder().join("noise")).unwrap() == sent);
}

#[test]
fn a_command_that_reads_nothing_does_not_block_the_host() {
    let Some(it) = Connected::new() else { return };
    assert_eq!(it.fed("exit 3", &noise(MEGABYTE)).status.code(), Some(3));
}

#[test]
fn a_host_that_goes_leaves_its_command_alone_with_closed_pipes() {
    let Some(it) = Connected::new() else { return };
    let mut child = it.spawn("echo ready; cat; echo alone > /data/local/tmp/said");
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    child.kill().unwrap();
    child.wait().unwrap();
    let said = it.phone.folder().join("said");
    wait_until("the command goes on", || fs::read(&said).is_ok_and(|said| said == b"alone\n"));
}

#[test]
fn what_runs_on_a_phone_ends_with_it() {
    let Some(it) = Connected::new() else { return };
    let mut child = it.spawn("echo $$; exec sleep 1000");
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let pid = Pid::from_raw(line.trim().parse().unwrap());
    assert_eq!(kill(pid, None), Ok(()));
    drop(it.phone);
    wait_until("the command ends", || kill(pid, None).is_err());
    stdout.read_to_end(&mut Vec::new()).unwrap();
    child.wait().unwrap();
}

#[test]
fn the_phone_answers_for_itself() {
    let Some(it) = Connected::new() else { return };
    it.check("getprop ro.build.version.sdk", "34\n");
    it.check("getprop ro.no.such", "\n");
    it.phone.set_property("ro.soc.model", "SM8550");
    it.check("getprop | grep soc.model", "[ro.soc.model]: [SM8550]\n");
    it.check("dumpsys battery | grep temperature", "  temperature: 294\n");
    it.phone.set_service("thermalservice", &thermal_service(3));
    it.check("dumpsys thermalservice", &thermal_service(3));
    it.check("uname -m", &format!("{}\n", std::env::consts::ARCH));
    it.phone.set_machine("armv7l");
    it.check("uname -m", "armv7l\n");
    it.phone.set_garbage("WARNING: linker: unused\n");
    it.check("echo told", "WARNING: linker: unused\ntold\n");
}

#[test]
fn a_pulled_cable_ends_adb_and_a_phone_plugged_in_again_works() {
    let Some(it) = Connected::new() else { return };
    let sent = noise(MEGABYTE);
    for way in [Way::FromHost, Way::ToHost] {
        it.phone.pull_after(way, MEGABYTE / 3);
        let output = it.fed("cat", &sent);
        assert!(output.stdout.len() < MEGABYTE, "{way:?}");
        assert_ne!(it.adb.state(&it.phone).as_deref(), Some("device"));
        it.phone.plug_in();
        it.adb.connect(&it.phone);
        it.check("echo back", "back\n");
    }
    it.phone.pull();
    assert!(it.shell("echo gone").stdout.is_empty());
}

#[test]
fn a_phone_that_waits_for_permission_is_unauthorized() {
    let Some(adb) = AdbServer::start() else { return };
    let phone = Phone::start();
    phone.set_authorised(false);
    let output = adb.command(&["connect", &phone.serial()]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("failed to"), "{output:?}");
    wait_until("adb says so", || adb.state(&phone).as_deref() == Some("unauthorized"));
    phone.set_authorised(true);
    adb.connect(&phone);
    assert_eq!(adb.state(&phone).as_deref(), Some("device"));
}
