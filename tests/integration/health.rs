//! Devices that fail, recover and are looked after; and every state as `citronade devices` tells it.
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::path::Path;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use citronade::agent::Conditions;
use citronade::agent::TINY_MODEL;
use citronade::device::Check;
use citronade::device::DeviceError;
use citronade::device::Health;
use citronade::device::Ledger;
use citronade::device::Link;
use citronade::device::Local;
use citronade::device::State;
use citronade::device::Transport;
use citronade::measure;
use citronade::measure::Bench;
use citronade::measure::Gates;
use citronade::measure::Hold;
use citronade::measure::Level;
use citronade::measure::MeasureError;
use citronade::measure::Measurement;
use citronade::measure::Plan;
use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::device::AGENT;
use crate::device::script;
use crate::support::adbd::AdbServer;
use crate::support::adbd::Phone;
use crate::support::adbd::wait_until;
use crate::support::desk::Desk;
use crate::support::models;
use crate::support::program::check_exit;
use crate::support::program::stderr;
use crate::support::skipped::not_tried;
use crate::support::sshd::Board;

/// A device whose runner can be broken, with a ledger in the same folder.
struct Patient(TempDir);

impl Patient {
    fn new() -> Self {
        let patient = Patient(TempDir::new().unwrap());
        fs::write(patient.model(), TINY_MODEL).unwrap();
        patient
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn model(&self) -> PathBuf {
        self.at("m.onnx")
    }

    /// Runners crash that are asked for something with this word.
    fn crash_at(&self, word: &str) {
        fs::write(self.at("how"), "kill -9 $$").unwrap();
        fs::write(self.at("word"), word).unwrap();
    }

    /// They hang.
    fn hang_at(&self, word: &str) {
        fs::write(self.at("how"), "exec sleep 1000").unwrap();
        fs::write(self.at("word"), word).unwrap();
    }

    fn heal(&self) {
        fs::remove_file(self.at("word")).unwrap();
    }

    fn transport(&self) -> Arc<dyn Transport> {
        let text = format!(
            "cd '{}'; read request; [ -e word ] && case \"$request\" in *$(cat word)*) . ./how; esac; \
             case \"$request\" in *reference.onnx*) echo >> references; esac; \
             {{ echo \"$request\"; cat; }} | '{AGENT}'",
            self.0.path().display()
        );
        let ledger = Ledger::in_folder(Some(self.0.path()), &Link::Local);
        Arc::new(script(&text).with_ledger(ledger))
    }

    fn health(&self) -> Health {
        Ledger::in_folder(Some(self.0.path()), &Link::Local).health()
    }

    /// Launches of the reference model so far.
    fn references(&self) -> usize {
        fs::read_to_string(self.at("references")).map_or(0, |text| text.lines().count())
    }

    fn measure(&self) -> Result<Measurement, MeasureError> {
        let mut bench = Bench::open(self.transport(), "metronome", 1)?;
        bench.measure(&self.model(), &Plan::of(Level::Screen))
    }

    /// Changes what is written of its checks.
    fn rewrite(&self, change: impl Fn(&mut Value)) {
        let is_ledger = |path: &PathBuf| path.extension().is_some_and(|e| e == "json");
        let mut files = fs::read_dir(self.0.path()).unwrap().map(|e| e.unwrap().path());
        let file = files.find(is_ledger).unwrap();
        let mut health: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        health["checks"].as_object_mut().unwrap().values_mut().for_each(change);
        fs::write(file, health.to_string()).unwrap();
    }
}

#[test]
fn the_reference_model_runs_at_the_first_use_each_hour_and_with_another_runtime() {
    let device = Patient::new();
    device.measure().unwrap();
    let launches = device.references();
    assert!(launches >= 3, "{launches}");
    device.measure().unwrap();
    assert_eq!(device.references(), launches, "it was checked this hour");
    device.rewrite(|checks| checks[0]["at_s"] = 0.into());
    device.measure().unwrap();
    assert_eq!(device.references(), 2 * launches);
    measure::check(device.transport(), Gates::default()).unwrap();
    assert_eq!(device.references(), 3 * launches, "with tract, and when it is asked for");
}

#[test]
fn a_crash_of_a_model_is_the_models_as_long_as_the_reference_model_runs() {
    let device = Patient::new();
    device.measure().unwrap();
    let launches = device.references();
    device.crash_at("/m.onnx");
    for crashes in 1..=4 {
        let error = device.measure().unwrap_err();
        assert!(error.is_the_models_fault() && !error.may_pass(), "{error:?}");
        assert_eq!(device.references(), (1 + crashes) * launches, "it is tried after each");
    }
    assert_eq!((device.health().state(), device.health().faults()), (State::Ready, 0));
}

#[test]
fn a_model_that_hangs_is_to_blame_as_long_as_the_reference_model_runs() {
    let device = Patient::new();
    device.measure().unwrap();
    let launches = device.references();
    device.hang_at("/m.onnx");
    let mut bench = Bench::open(device.transport(), "metronome", 1).unwrap();
    let plan = Plan { timeout: Duration::from_millis(200), ..Plan::of(Level::Screen) };
    let error = bench.measure(&device.model(), &plan).unwrap_err();
    let MeasureError::Device { source, .. } = &error else { panic!("{error:?}") };
    assert!(matches!(source, DeviceError::Hung { .. }) && !error.may_pass(), "{error:?}");
    assert!(error.is_the_models_fault());
    assert_eq!((device.references(), device.health().faults()), (2 * launches, 0));
}

#[test]
fn three_faults_in_a_row_are_a_quarantine_and_a_check_that_passes_is_its_end() {
    let device = Patient::new();
    device.measure().unwrap();
    device.crash_at(".onnx");
    for faults in 1..=2 {
        let error = device.measure().unwrap_err();
        assert!(matches!(error, MeasureError::Unfit { faults: f, .. } if f == faults), "{error:?}");
        // A search waits and tries again, and no candidate is blamed.
        assert!(error.may_pass() && !error.is_the_models_fault(), "{error:?}");
    }
    for _ in 0..2 {
        let error = device.measure().unwrap_err();
        let MeasureError::Device { source, .. } = &error else { panic!("{error:?}") };
        assert!(matches!(source, DeviceError::Quarantined { faults: 3, .. }), "{error:?}");
        assert!(source.to_string().contains("`citronade devices check local`"), "{source}");
        assert!(!error.may_pass() && error.concerns_every_model());
    }
    // Whole again, but nobody knows yet.
    device.heal();
    assert!(device.measure().is_err());
    measure::check(device.transport(), Gates::default()).unwrap();
    assert_eq!((device.health().state(), device.health().faults()), (State::Ready, 0));
    device.measure().unwrap();
}

#[test]
fn a_check_that_fails_keeps_the_quarantine() {
    let device = Patient::new();
    device.crash_at(".onnx");
    for faults in 1..=4 {
        let error = measure::check(device.transport(), Gates::default()).unwrap_err();
        assert_eq!((device.health().faults(), error.may_pass()), (faults, faults < 3), "{error:?}");
    }
    assert_eq!(device.health().state(), State::Quarantined);
}

#[test]
fn a_runner_that_talks_nonsense_is_in_quarantine_after_three_times() {
    let device = Patient::new();
    let ledger = || Ledger::in_folder(Some(device.0.path()), &Link::Local);
    let open = || {
        let mad: Arc<Local> = Arc::new(script("read r; echo Welcome").with_ledger(ledger()));
        Bench::open(mad, "tract", 1).map(|_| ()).unwrap_err()
    };
    let found = [(); 4].map(|()| open().state());
    assert_eq!(found, [State::Faulty, State::Faulty, State::Quarantined, State::Quarantined]);
    assert_eq!(device.health().faults(), 3, "the fourth was not tried");
}

#[test]
fn a_device_that_became_slower_is_told_with_each_measurement() {
    let device = Patient::new();
    device.measure().unwrap();
    device.rewrite(|checks| {
        let mut earlier = checks[0].clone();
        earlier["at_s"] = 0.into();
        earlier["p50_us"] = (earlier["p50_us"].as_f64().unwrap() / 1.4).into();
        *checks = vec![earlier; 4].into();
    });
    for _ in 0..2 {
        let m = device.measure().unwrap();
        assert!((m.slower.unwrap() - 1.4).abs() < 0.01, "{:?}", m.slower);
        let (_, reasons) = m.verdict();
        let told = "the reference model took 1.4x what it takes on this device";
        assert!(reasons.iter().any(|reason| reason == told), "{reasons:?}");
        assert!(Measurement::from_json(&m.to_json()).unwrap() == m);
    }
    let Some(Check { slower: Some(_), .. }) = device.health().last_check() else { panic!() };
}

#[test]
fn a_machine_is_ready_or_busy_with_somebody_who_is_named() {
    let desk = Desk::new("");
    desk.install("adb", "exit 1");
    desk.check_state("local", "ready", "");
    let lock = Some(desk.folder.path().to_str().unwrap().to_owned());
    let here = Local::program(AGENT, Vec::<String>::new()).with_lock_folder(lock);
    let hold = Hold::take(&here, Duration::from_secs(60)).unwrap();
    desk.check_state("local", "busy", "wait for it");
    let row = desk.found("local");
    let process = format!("process {}", std::process::id());
    assert!(row["problem"].as_str().unwrap().contains(&process), "{row}");
    drop(hold);
    wait_until("the runner lets go", || desk.found("local")["state"] == "ready");
}

/// Does this machine have a thermometer or a battery? Then the test phone, whose kernel is this
/// machine's, tells them in place of its own.
fn has_sensors() -> bool {
    let conditions = Conditions::read();
    let has = conditions.battery.is_some() || conditions.temperatures_c.is_some();
    if has {
        not_tried("not tried: this machine's own sensors would answer for the phone");
    }
    has
}

const PHONE: &str = r#"
max_mb = 2000
thermal = { zones = ["battery"], start_max_c = 40, wait_s = 3600 }
require = { charging = true, battery_min_percent = 16 }
"#;

fn battery(level: u32, tenths: u32) -> String {
    format!("  status: 2\n  level: {level}\n  scale: 100\n  temperature: {tenths}\n")
}

#[test]
fn every_state_of_a_phone_is_told_with_its_fix_and_passes() {
    if has_sensors() {
        return;
    }
    let Some(server) = AdbServer::start() else { return };
    let phone = Phone::start();
    let serial = phone.serial();
    let mut desk =
        Desk::new(&format!("[device.phone]\ntransport = \"adb\"\nserial = \"{serial}\"{PHONE}"));
    desk.variables = server.variables();
    desk.check_state("phone", "ready", "");
    assert!(desk.found("phone")["conditions"].is_null(), "nothing is brought there by looking");

    phone.set_authorised(false);
    server.command(&["disconnect", &serial]).output().unwrap();
    desk.check_state("phone", "unauthorised", "tap `Allow`");
    desk.check_doctor("phone", "unauthorised", "tap `Allow`");
    phone.set_authorised(true);
    server.connect(&phone);

    let checked = desk.run(&["devices", "check", "phone", "--json"]);
    check_exit(&checked, 0);
    desk.check_state("phone", "ready", "");
    let row = desk.found("phone");
    assert_eq!((&row["last_check"]["slower"], &row["faults"]), (&Value::Null, &0.into()));
    assert_eq!(row["conditions"]["screen_on"], true, "{row}");

    phone.set_service("battery", &battery(15, 290));
    desk.check_state("phone", "low-battery", "charger");
    phone.set_service("battery", &battery(80, 455));
    desk.check_state("phone", "hot", "cool down");
    phone.set_service("battery", &battery(80, 290));
    phone.set_free(12_000_000);
    desk.check_state("phone", "no-space", "make room");
    phone.set_free(500_000_000);
    desk.check_state("phone", "ready", "");
    phone.pull();
    desk.check_state("phone", "offline", "adb");
    phone.plug_in();
    server.connect(&phone);
    check_quarantine(&desk, &phone);
}

fn check_quarantine(desk: &Desk, phone: &Phone) {
    let folder = phone.folder().join("citronade");
    let is_runner = |path: &PathBuf| path.to_string_lossy().contains("/runner-");
    let mut files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let runner = files.find(is_runner).unwrap();
    let whole = folder.join("whole");
    fs::rename(&runner, &whole).unwrap();
    let broken = "#!/bin/sh\ncase \"$*\" in --*) exec ./whole \"$@\"; esac\n\
                  read request; case \"$request\" in *.onnx*) kill -9 $$; esac\n\
                  { echo \"$request\"; cat; } | ./whole\n";
    fs::write(&runner, broken).unwrap();
    fs::set_permissions(&runner, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for _ in 0..3 {
        check_exit(&desk.run(&["devices", "check", "phone"]), 12);
    }
    let way = "citronade devices check phone";
    desk.check_state("phone", "quarantined", "check it");
    desk.check_doctor("phone", "quarantined", "check it");
    assert!(desk.found("phone")["problem"].as_str().unwrap().contains(way));
    fs::write(desk.folder.path().join("m.onnx"), TINY_MODEL).unwrap();
    let refused = desk.run(&["measure", "m.onnx", "--device", "phone"]);
    check_exit(&refused, 12);
    assert!(stderr(&refused).contains(way), "{}", stderr(&refused));
    fs::rename(&whole, &runner).unwrap();
    let checked = desk.run(&["devices", "check", "phone"]);
    check_exit(&checked, 0);
    let said = String::from_utf8(checked.stdout).unwrap();
    assert!(said.starts_with("phone is ready, and no longer in quarantine"), "{said}");
    desk.check_state("phone", "ready", "");
}

#[test]
fn boards_that_are_away_or_do_not_let_one_in_are_told_apart() {
    let Some(mut board) = Board::start() else { return };
    let device = "transport = \"ssh\"\nhost = \"127.0.0.1\"\nport =";
    let port = board.port();
    let desk = Desk::new(&format!("[device.board]\n{device} {port}\n"));
    desk.install("adb", "exit 1");
    let ssh = |identity: &str, known: &str| {
        let config = board.configuration(identity, known);
        desk.install("ssh", &format!("exec /usr/bin/ssh {config} \"$@\""));
    };
    ssh("stranger", "known");
    desk.check_state("board", "unauthorised", "ssh-copy-id");
    desk.check_doctor("board", "unauthorised", "ssh-copy-id");
    ssh("user", "nobody");
    desk.check_state("board", "unauthorised", "check the key");
    ssh("user", "known");
    desk.check_state("board", "ready", "");
    board.kill();
    desk.check_state("board", "offline", "sshd");
}

#[test]
fn a_check_says_when_the_profile_is_that_of_another_device() {
    let desk = Desk::new("[device.me]\ntransport = \"local\"\ncores = 999\nabi = \"riscv64\"\n");
    desk.install("adb", "exit 1");
    let checked = desk.run(&["devices", "check", "me", "--json"]);
    check_exit(&checked, 0);
    let checked: Value = serde_json::from_slice(&checked.stdout).unwrap();
    let hints = checked["hints"].to_string();
    assert!(hints.contains("999 cores") && hints.contains("the profile says riscv64"), "{hints}");
    assert_eq!((&checked["state"], &checked["was"]), (&"ready".into(), &"ready".into()));
    assert!(checked["conditions"]["uptime_s"].as_f64().unwrap() > 0.0);
}

/// A search of this machine with a runner that can be broken.
const SEARCH: [&str; 12] = [
    "search",
    "--device",
    "me",
    "--trainer",
    "formula",
    "--runtime",
    "metronome",
    "--objectives",
    "error,latency,parameters",
    "--json",
    "--quiet",
    "--seed=1",
];

#[test]
fn a_search_ends_with_the_way_back_when_its_device_fails_three_times() {
    let desk = Desk::new("[device.me]\ntransport = \"local\"\n");
    let at = |name: &str| desk.folder.path().join(name).display().to_string();
    // From the fortieth launch on, every model crashes.
    let (n, runner) = (at("n"), at("bin/runner"));
    desk.install(
        "runner",
        &format!(
            "read request; case \"$request\" in *.onnx*) echo >> '{n}'; \
             [ $(wc -l < '{n}') -gt 40 ] && kill -9 $$; esac; \
             {{ echo \"$request\"; cat; }} | '{AGENT}'"
        ),
    );
    let args = [&SEARCH[..], &["--agent", &runner, "--budget", "2000candidates"]].concat();
    let output = desk.run(&args);
    check_exit(&output, 12);
    let said = stderr(&output);
    assert!(said.contains("`citronade devices check me` brings it back"), "{said}");
    assert!(said.contains("fault 1") && said.contains("fault 2"), "it paused before: {said}");
    // What the doctor tries and fails at counts for nothing.
    let doctor = desk.run(&["doctor"]);
    check_exit(&doctor, 0);
    let said = String::from_utf8(doctor.stdout).unwrap();
    assert!(said.contains("quarantined   device      me: me is in quarantine"), "{said}");
    // No candidate was blamed: the run goes on when the device is back.
    desk.install("runner", &format!("exec '{AGENT}'"));
    check_exit(&desk.run(&args), 12);
    check_exit(&desk.run(&["devices", "check", "me", "--agent", &runner]), 0);
    let args = [&SEARCH[..], &["--agent", &runner, "--budget", "60candidates"]].concat();
    let output = desk.run(&args);
    check_exit(&output, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    let front: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(front["candidates"]["failed"], 0, "{front}");
}

#[test]
fn a_search_of_a_hot_device_pauses_and_hears_that_it_shall_stop() {
    if has_sensors() {
        return;
    }
    let desk = Desk::new(&format!("[device.me]\ntransport = \"local\"{PHONE}"));
    let hot = desk.folder.path().join("battery").display().to_string();
    desk.write("battery", &battery(80, 455));
    desk.install("dumpsys", &format!("[ \"$1\" = battery ] && cat '{hot}'"));
    let mut command = desk.command(&[&SEARCH[..], &["--budget", "10min"]].concat());
    let mut search = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(search.stderr.take().unwrap()).lines().map(Result::unwrap);
    let paused = lines.find(|line| line.contains("PAUSED")).unwrap();
    assert!(paused.contains("`battery` has 45.5 °C on me"), "{paused}");
    let pid = Pid::from_raw(i32::try_from(search.id()).unwrap());
    kill(pid, Signal::SIGINT).unwrap();
    let rest: Vec<String> = lines.collect();
    assert_eq!(search.wait().unwrap().code(), Some(130), "{rest:?}");
}

#[test]
fn a_device_is_checked_when_it_is_added_and_stays_when_it_is_away() {
    let desk = Desk::new("");
    desk.install("adb", "exit 1");
    let added = desk.run(&["devices", "add", "me", "local", "--json"]);
    check_exit(&added, 0);
    let added: Value = serde_json::from_slice(&added.stdout).unwrap();
    assert_eq!((&added["state"], &added["problem"]), (&"ready".into(), &Value::Null));
    let away = desk.run(&["devices", "add", "away", "ssh:no-such-host.invalid", "--json"]);
    check_exit(&away, 0);
    assert!(stderr(&away).contains("`citronade devices check away` tries it again"));
    let away: Value = serde_json::from_slice(&away.stdout).unwrap();
    assert_eq!(away["state"], "offline");
    assert!(Path::new(away["file"].as_str().unwrap()).exists());
}

#[test]
fn a_damaged_model_leaves_no_mark_on_the_device() {
    let device = Patient::new();
    device.measure().unwrap();
    let before = device.health();
    let mut bench = Bench::open(device.transport(), "tract", 1).unwrap();
    let (_folder, bomb) = models::file(&models::bomb());
    let error = bench.measure(&bomb, &Plan::of(Level::Screen)).unwrap_err();
    assert!(error.is_the_models_fault(), "{error:?}");
    assert_eq!((device.health().state(), device.health().faults()), (before.state(), 0));
}
