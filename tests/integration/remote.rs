//! Devices at the other end of a shell: a board behind a real `sshd`, a phone behind a real `adb`.
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use citronade::agent::Answer;
use citronade::agent::HoldRequest;
use citronade::agent::Sampling;
use citronade::agent::TINY_MODEL;
use citronade::agent::Task;
use citronade::agent::TimeRequest;
use citronade::agent::Warmup;
use citronade::device;
use citronade::device::Absence;
use citronade::device::Adb;
use citronade::device::DeviceError;
use citronade::device::Remote;
use citronade::device::Runner;
use citronade::device::Runners;
use citronade::device::Shell;
use citronade::device::Ssh;
use citronade::device::Transport;
use citronade::measure::Bench;
use citronade::measure::Level;
use citronade::measure::Plan;
use citronade::measure::Progress;
use citronade::measure::Verdict;
use citronade::units::Bytes;
use serde_json::Value;

use crate::device::AGENT;
use crate::device::agent;
use crate::support::adbd::AdbServer;
use crate::support::adbd::Phone;
use crate::support::adbd::Way;
use crate::support::adbd::thermal_service;
use crate::support::adbd::wait_until;
use crate::support::desk::Desk;
use crate::support::models;
use crate::support::program::check_exit;
use crate::support::program::stderr;
use crate::support::python::onnx_runtime;
use crate::support::sshd::Board;

/// Long enough for a busy machine; a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Room for the runner of a development build.
pub const ROOM: u64 = 2_000_000_000;

pub fn runners() -> Runners {
    Runners { given: Some(PathBuf::from(AGENT)), ..Runners::default() }
}

/// The work folder of a device.
pub struct Folder {
    /// As the device calls it.
    pub there: String,
    /// The same as this machine sees it.
    pub here: PathBuf,
}

impl Folder {
    pub fn of_board(board: &Board) -> Self {
        let here = board.folder();
        Folder { there: here.to_str().unwrap().to_owned(), here }
    }

    pub fn of_phone(phone: &Phone) -> Self {
        Folder { there: "/data/local/tmp/work".to_owned(), here: phone.folder().join("work") }
    }
}

/// The device behind `shell`; its lock is in its work folder, by the name that the runner sees: the
/// phone's is one of this machine.
pub fn remote<S: Shell>(shell: S, folder: &Folder) -> Remote<S> {
    let remote = Remote::new(shell, runners(), &folder.there, ROOM).unwrap();
    remote.with_lock_folder(folder.here.to_str().unwrap())
}

pub fn hash(file: &Path) -> String {
    blake3::hash(&fs::read(file).unwrap()).to_hex().to_string()
}

/// What lies in a folder, by name.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The tests that every such device passes.
fn check_device<S: Shell + 'static>(shell: impl Fn() -> S, folder: &Folder) {
    let device = || remote(shell(), folder);
    check_runner_is_installed_once(&device, &folder.here);
    check_model_is_placed_once_and_repaired(&device(), &folder.here);
    check_bound_is_kept(&shell, folder);
    check_measured(Arc::new(device()));
    check_one_holder(&device(), &device());
}

fn check_runner_is_installed_once<S: Shell>(device: &dyn Fn() -> Remote<S>, folder: &Path) {
    let installed = |device: &Remote<S>| -> SystemTime {
        let answer = Runner::launch(device).unwrap().ask(Task::Hello, PATIENCE).unwrap();
        let Answer::Hello(hello) = answer else { panic!("no hello") };
        assert_eq!(hello.facts.arch, std::env::consts::ARCH);
        let names = names(folder);
        let [runner] = names.as_slice() else { panic!("{names:?}") };
        assert!(runner.starts_with("runner-"), "{runner}");
        fs::metadata(folder.join(runner)).unwrap().modified().unwrap()
    };
    let first = installed(&device());
    assert_eq!(installed(&device()), first, "another host finds it there");
}

fn check_model_is_placed_once_and_repaired(remote: &dyn Transport, folder: &Path) {
    let bytes: Vec<u8> =
        (0..300_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let (_folder, path) = models::file(&bytes);
    let hash = hash(&path);
    let there = folder.join(format!("{}.onnx", &hash[..32]));
    let place = || remote.place(&path, &hash).unwrap();
    let part = folder.join(device::part(&format!("{}.onnx", &hash[..32])));
    // A transfer was cut after a third; after all but the last byte; a byte was damaged; it is
    // longer than the file ever was; and nothing is there.
    let mut damaged = bytes[..200_000].to_vec();
    damaged[1000] ^= 1;
    let parts = [
        bytes[..100_000].to_vec(),
        bytes[..299_999].to_vec(),
        damaged,
        [&bytes[..], b"x"].concat(),
    ];
    for cut in parts.iter().map(Some).chain([None]) {
        fs::remove_file(&there).ok();
        if let Some(cut) = cut {
            fs::write(&part, cut).unwrap();
        }
        let name = place();
        assert_eq!(Path::new(&name).file_name(), there.file_name());
        assert!(fs::read(&there).unwrap() == bytes, "cut to {:?}", cut.map(Vec::len));
        assert!(!part.exists());
    }
    // It is not sent again: what was changed behind our back stays.
    fs::write(&there, vec![0; bytes.len()]).unwrap();
    place();
    assert!(fs::read(&there).unwrap() == vec![0; bytes.len()]);
    fs::remove_file(&there).unwrap();
}

fn check_bound_is_kept<S: Shell>(shell: impl Fn() -> S, folder: &Folder) {
    let runner: u64 = fs::metadata(AGENT).unwrap().len();
    let full = Remote::new(shell(), runners(), &folder.there, runner).unwrap();
    let error = Runner::launch(&full).map(|_| ()).unwrap_err();
    let DeviceError::NoRoom { reason, .. } = &error else { panic!("{error:?}") };
    let size = Bytes(runner);
    let both =
        format!("its runner has {size}, and its work folder may hold {size}: `max_mb` must be");
    assert!(reason.starts_with(&both), "{reason}");
    assert!(error.concerns_every_model() && error.hint().is_some(), "it is no model's fault");
    let bound = runner + 2500;
    let device = Remote::new(shell(), runners(), &folder.there, bound).unwrap();
    for fill in 0..4_u8 {
        let (_folder, path) = models::file(&[fill; 1000]);
        device.place(&path, &hash(&path)).unwrap();
    }
    let models = names(&folder.here).iter().filter(|n| n.ends_with(".onnx")).count();
    assert_eq!(models, 2, "what was used longest ago is gone");
    let (_folder, path) = models::file(&[9; 3000]);
    let error = device.place(&path, &hash(&path)).unwrap_err();
    let DeviceError::NoRoom { reason, .. } = &error else { panic!("{error:?}") };
    assert!(reason.contains("the file has 3.0 kB") && reason.contains("max_mb"), "{reason}");
    assert!(!error.concerns_every_model(), "a smaller one fits");
}

fn check_measured(device: Arc<dyn Transport>) {
    let (_folder, path) = models::file(TINY_MODEL);
    let address = device.address();
    let mut bench = Bench::open(device, "tract", 1).unwrap();
    let plan = Plan::of(Level::Screen);
    let m = bench.measure(&path, &plan).unwrap();
    assert_eq!((m.device, m.model.path), (address, path.to_string_lossy().into_owned()));
    assert_eq!(m.launches.len(), plan.launches as usize);
    assert!(m.launches.iter().all(|l| !l.timed.samples_us.is_empty()));
    let (_folder, bomb) = models::file(&models::bomb());
    let error = bench.measure(&bomb, &Plan::of(Level::Screen)).unwrap_err();
    assert!(error.is_the_models_fault(), "{error:?}");
}

fn check_one_holder(one: &dyn Transport, other: &dyn Transport) {
    let hold = |device: &dyn Transport, owner: &str| {
        let task = Task::Hold(HoldRequest {
            folder: device.lock_folder().unwrap(),
            owner: owner.to_owned(),
            wait_us: 0.0,
            lease_us: 6e8,
        });
        let mut runner = Runner::launch(device).unwrap();
        let answer = runner.ask(task, PATIENCE).unwrap();
        (runner, answer)
    };
    let (first, answer) = hold(one, "ann on desk");
    assert_eq!(answer, Answer::Held);
    let (_, answer) = hold(other, "bob");
    assert_eq!(answer, Answer::Busy { owner: "ann on desk".to_owned() });
    drop(first);
    // The runner over there ends when it sees that its input has ended.
    let waits = Task::Hold(HoldRequest {
        folder: other.lock_folder().unwrap(),
        owner: "bob".to_owned(),
        wait_us: 60e6,
        lease_us: 6e8,
    });
    assert_eq!(Runner::launch(other).unwrap().ask(waits, PATIENCE).unwrap(), Answer::Held);
}

#[test]
fn a_board_over_ssh_is_a_device() {
    let Some(board) = Board::start() else { return };
    check_device(|| board.ssh(), &Folder::of_board(&board));
}

#[test]
fn the_onnx_runtime_beside_the_runners_is_brought_to_the_board_and_used() {
    let Some(board) = Board::start() else { return };
    let Some(library) = onnx_runtime() else { return };
    let beside = tempfile::tempdir().unwrap();
    let name = format!("libonnxruntime-{}.so", std::env::consts::ARCH);
    symlink(&library, beside.path().join(name)).unwrap();
    let folder = Folder::of_board(&board);
    let runners = Runners { folders: vec![beside.path().to_owned()], ..runners() };
    let remote = Remote::new(board.ssh(), runners, &folder.there, ROOM).unwrap();
    let remote = Arc::new(remote.with_lock_folder(folder.here.to_str().unwrap()));
    let mut bench = Bench::open(remote, "ort", 1).unwrap();
    let brought = folder.here.join(format!("{}.so", &hash(&library)[..32]));
    assert_eq!(bench.runtime().library, Some(brought.display().to_string()));
    let (_folder, path) = models::file(TINY_MODEL);
    bench.measure(&path, &Plan::of(Level::Screen)).unwrap();
    // Whoever empties the folder does not end it.
    fs::remove_dir_all(&folder.here).unwrap();
    bench.measure(&path, &Plan::of(Level::Screen)).unwrap();
    assert!(brought.is_file());
}

/// A runtime that no test machine has by itself is used where the profile says it is; a wrong path is
/// told, and not searched around.
#[test]
fn the_onnx_runtime_that_a_profile_names_is_used_here_and_over_ssh() {
    let Some(board) = Board::start() else { return };
    let Some(library) = onnx_runtime() else { return };
    let desk = Desk::new("");
    let config = board.configuration("user", "known");
    desk.install("ssh", &format!("exec /usr/bin/ssh {config} \"$@\""));
    fs::write(desk.folder.path().join("m.onnx"), TINY_MODEL).unwrap();
    let named = desk.folder.path().join("libonnxruntime.so");
    symlink(&library, &named).unwrap();
    let (port, work) = (board.port(), board.folder());
    let board = format!(
        "transport = \"ssh\"\nhost = \"127.0.0.1\"\nport = {port}\nworkdir = {work:?}\n\
         max_mb = 2000"
    );
    for device in ["transport = \"local\"", &board] {
        let measured = |path: &Path| {
            desk.write(
                "config/devices.toml",
                &format!("[device.x]\n{device}\nonnxruntime = {path:?}\n"),
            );
            let args =
                ["measure", "m.onnx", "--level", "screen", "--device", "x", "--agent", AGENT];
            let mut command = desk.command(&[&args[..], &["--runtime", "ort", "--json"]].concat());
            command.env_remove("ORT_DYLIB_PATH").output().unwrap()
        };
        let output = measured(&named);
        check_exit(&output, 0);
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(found["runtime"], "ort", "{device}: {}", stderr(&output));
        let output = measured(Path::new("/nowhere/lib.so"));
        check_exit(&output, 12);
        assert!(stderr(&output).contains("names `/nowhere/lib.so`, which is not a file"));
        assert!(output.stdout.is_empty(), "tract is not measured instead");
    }
}

/// As the user's own configuration of ssh says.
#[test]
fn a_board_behind_another_is_reached_through_it() {
    let (Some(mut outer), Some(inner)) = (Board::start(), Board::start()) else { return };
    let desk = Desk::new("");
    let block = |name: &str, board: &Board, more: &str| {
        let options = board.lines("user", "known");
        format!("Host {name}\nHostName 127.0.0.1\nPort {}\n{options}{more}", board.port())
    };
    let both = [block("inner", &inner, "ProxyJump outer\n"), block("outer", &outer, "")];
    let config = desk.folder.path().join("ssh_config");
    fs::write(&config, both.concat()).unwrap();
    desk.install("ssh", &format!("exec /usr/bin/ssh -F {} \"$@\"", config.display()));
    fs::write(desk.folder.path().join("m.onnx"), TINY_MODEL).unwrap();
    let work = inner.folder();
    desk.write(
        "config/devices.toml",
        &format!("[device.x]\ntransport = \"ssh\"\nhost = \"inner\"\nworkdir = {work:?}\n"),
    );
    let args = ["measure", "m.onnx", "--level", "screen", "--device", "x", "--agent", AGENT];
    check_exit(&desk.command(&args).output().unwrap(), 0);
    assert!(work.is_dir(), "it was measured on the inner one");
    outer.kill();
    check_exit(&desk.command(&args).output().unwrap(), 12);
}

/// The runner is brought there before the device is held.
#[test]
fn two_processes_that_find_an_empty_folder_both_measure() {
    let Some(board) = Board::start() else { return };
    let desk = Desk::new("");
    let config = board.configuration("user", "known");
    desk.install("ssh", &format!("exec /usr/bin/ssh {config} \"$@\""));
    fs::write(desk.folder.path().join("m.onnx"), TINY_MODEL).unwrap();
    let (port, work) = (board.port(), board.folder());
    desk.write(
        "config/devices.toml",
        &format!(
            "[device.x]\ntransport = \"ssh\"\nhost = \"127.0.0.1\"\nport = {port}\n\
             workdir = {work:?}\nmax_mb = 2000\n"
        ),
    );
    let args = ["measure", "m.onnx", "--level", "screen", "--device", "x", "--agent", AGENT];
    let measuring: Vec<_> = (0..2)
        .map(|_| {
            let mut command = desk.command(&args);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for process in measuring {
        check_exit(&process.wait_with_output().unwrap(), 0);
    }
    let files = names(&work);
    let runners = files.iter().filter(|name| name.starts_with("runner-")).count();
    assert!(runners == 1 && files.iter().all(|name| !name.ends_with(".part")), "{files:?}");
}

#[track_caller]
fn check_absent(ssh: Ssh, expected: Absence) {
    let device = Remote::new(ssh, runners(), "work", ROOM).unwrap();
    let error = Runner::launch(&device).map(|_| ()).unwrap_err();
    let DeviceError::Absent { absence, complaint, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*absence, expected, "{complaint}");
    assert!(error.hint().is_some() && error.concerns_every_model());
}

#[test]
fn a_board_that_is_not_there_or_not_ours_is_told_with_the_way_out() {
    let Some(mut board) = Board::start() else { return };
    check_absent(board.ssh_as("stranger", "known"), Absence::NotLetIn);
    check_absent(board.ssh_as("user", "nobody"), Absence::HostKey);
    let nowhere = Ssh::new("no-such-host.invalid", None).unwrap();
    check_absent(nowhere.with_option("ProxyCommand=none"), Absence::NoSuchHost);
    board.kill();
    check_absent(board.ssh(), Absence::Offline);
    for host in ["-oProxyCommand=touch x", "a b", "", "a\nb"] {
        assert!(Ssh::new(host, None).is_err(), "{host:?}");
    }
}

/// A phone as a device, with a work folder of its own.
pub fn phone(server: &AdbServer, phone: &Phone) -> Arc<dyn Transport> {
    Arc::new(remote(adb(server, phone), &Folder::of_phone(phone)))
}

/// A phone as the real `adb` reaches it.
pub fn adb(server: &AdbServer, phone: &Phone) -> Adb {
    let adb = Adb::new(&phone.serial()).unwrap();
    server.variables().into_iter().fold(adb, |adb, (name, value)| adb.with_variable(name, value))
}

#[test]
fn a_phone_over_adb_is_a_device() {
    let Some(server) = AdbServer::start() else { return };
    let phone = Phone::start();
    check_device(|| adb(&server, &phone), &Folder::of_phone(&phone));
}

#[test]
fn a_phone_survives_a_restarted_server_and_a_pulled_cable() {
    let Some(server) = AdbServer::start() else { return };
    let phone = Phone::start();
    let device = remote(adb(&server, &phone), &Folder::of_phone(&phone));
    let hello = || Runner::launch(&device)?.ask(Task::Hello, PATIENCE).map(|_| ());
    hello().unwrap();
    server.kill();
    hello().unwrap();
    phone.pull();
    let error = hello().unwrap_err();
    assert!(error.is_away(), "{error:?}");
    phone.plug_in();
    hello().unwrap();
}

#[test]
fn a_cable_pulled_amid_a_transfer_costs_only_what_was_not_sent() {
    let Some(server) = AdbServer::start() else { return };
    let phone = Phone::start();
    let folder = Folder::of_phone(&phone);
    let device = remote(adb(&server, &phone), &folder);
    Runner::launch(&device).unwrap().ask(Task::Hello, PATIENCE).unwrap();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
    let (_folder, path) = models::file(&bytes);
    let hash = hash(&path);
    let there = folder.here.join(format!("{}.onnx", &hash[..32]));
    phone.pull_after(Way::FromHost, 2_000_000);
    let error = device.place(&path, &hash).unwrap_err();
    assert!(matches!(error, DeviceError::Gone { .. }), "{error:?}");
    let part = folder.here.join(device::part(&format!("{}.onnx", &hash[..32])));
    wait_until("what came is on the disk", || {
        fs::metadata(&part).is_ok_and(|m| m.len() > 1_000_000)
    });
    phone.plug_in();
    // What is missing fits before the next cut, the whole file does not.
    phone.pull_after(Way::FromHost, 2_500_000);
    device.place(&path, &hash).unwrap();
    assert!(fs::read(&there).unwrap() == bytes);
}

#[test]
fn a_phone_unplugged_at_any_moment_of_a_measurement_is_away_and_the_next_one_is_whole() {
    let Some(server) = AdbServer::start() else { return };
    let phone = Phone::start();
    let device = Arc::new(remote(adb(&server, &phone), &Folder::of_phone(&phone)));
    let plan = Plan::of(Level::Screen);
    let mut bench = Bench::open(device, "tract", 1).unwrap();
    let mut away = 0;
    for phase in 0..20 {
        // A new file each time, so that its transfer is among the moments.
        let (_folder, path) = models::file(&[TINY_MODEL, &padding(phase)].concat());
        let (way, bytes) = match phase % 2 {
            0 => (Way::FromHost, 120 * usize::from(phase)),
            _ => (Way::ToHost, 1500 * usize::from(phase)),
        };
        phone.pull_after(way, bytes);
        match bench.measure(&path, &plan) {
            Ok(whole) => assert_eq!(whole.launches.len(), plan.launches as usize),
            Err(error) => {
                assert!(error.may_pass(), "phase {phase}: {error:?}");
                away += 1;
            }
        }
        phone.plug_in();
    }
    assert!(away >= 10, "only {away} of 20 moments were in a measurement");
    let (_folder, path) = models::file(TINY_MODEL);
    assert_eq!(bench.measure(&path, &plan).unwrap().launches.len(), plan.launches as usize);
}

/// A name of the producer, which makes the same model another file.
fn padding(number: u8) -> Vec<u8> {
    models::field(2, format!("producer {number}").as_bytes())
}

#[test]
fn a_phone_that_does_not_know_this_computer_is_told_with_the_way_out() {
    let Some(server) = AdbServer::start() else { return };
    let phone = Phone::start();
    phone.set_authorised(false);
    let device = remote(adb(&server, &phone), &Folder::of_phone(&phone));
    let error = Runner::launch(&device).map(|_| ()).unwrap_err();
    let DeviceError::Absent { absence, complaint, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*absence, Absence::PhoneNotLetIn, "{complaint}");
    let nowhere = Adb::new("no-such-phone").unwrap();
    let nowhere = server.variables().into_iter().fold(nowhere, |a, (n, v)| a.with_variable(n, v));
    let error = nowhere.prepare().unwrap_err();
    assert!(
        matches!(&error, DeviceError::Absent { absence: Absence::NotPlugged, .. }),
        "{error:?}"
    );
    assert!(Adb::new("-s x").is_err());
}

#[test]
fn a_phone_tells_its_battery_and_when_it_throttles() {
    let Some(server) = AdbServer::start() else { return };
    let phone = Phone::start();
    let device = self::phone(&server, &phone);
    let mut bench = Bench::open(device, "tract", 1).unwrap();
    let facts = &bench.hello().facts;
    assert_eq!((facts.model.as_deref(), facts.soc.as_deref()), (Some("Test Phone"), Some("TS1")));
    let hello = bench.hello().conditions.clone();
    assert!(hello.battery.is_some_and(|battery| battery.percent.is_some()));
    let (_folder, path) = models::file(TINY_MODEL);
    phone.set_service("thermalservice", &thermal_service(3));
    let m = bench.measure(&path, &Plan::of(Level::Screen)).unwrap();
    assert_eq!(m.launches[0].timed.after.thermal_status, Some(3));
    let (verdict, reasons) = m.verdict();
    let reason = "Android's thermal status was 3 of 6";
    assert!(verdict == Verdict::Throttled && reasons.iter().any(|r| r == reason), "{reasons:?}");
}

/// The members of two objects have the same names, wherever both are objects.
#[track_caller]
fn check_keys(one: &Value, other: &Value, place: &str) {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            assert_eq!(Vec::from_iter(one.keys()), Vec::from_iter(other.keys()), "{place}");
            one.iter()
                .for_each(|(key, one)| check_keys(one, &other[key], &format!("{place}/{key}")));
        }
        (Value::Array(one), Value::Array(other)) => {
            let pairs = one.iter().zip(other);
            pairs.for_each(|(one, other)| check_keys(one, other, &format!("{place}/-")));
        }
        _ => {}
    }
}

/// Neither this machine nor the phone knows all that the other knows; what is unknown is null.
#[test]
fn a_measurement_on_a_phone_and_one_on_this_machine_say_the_same_things() {
    let Some(server) = AdbServer::start() else { return };
    let phone = Phone::start();
    let (_folder, path) = models::file(TINY_MODEL);
    let document = |device: Arc<dyn Transport>| -> Value {
        let mut bench = Bench::open(device, "tract", 1).unwrap();
        let m = bench.measure(&path, &Plan::of(Level::Screen)).unwrap();
        serde_json::from_str(&m.to_json()).unwrap()
    };
    let (there, here) = (document(self::phone(&server, &phone)), document(Arc::new(agent())));
    assert_ne!(there["conditions"]["after"]["battery"], Value::Null);
    check_keys(&there, &here, "");
    for unknown in ["thermal_status", "screen_on"] {
        assert_eq!(here["conditions"]["after"].get(unknown), Some(&Value::Null), "{unknown}");
    }
}

#[test]
fn what_a_login_shell_says_first_is_no_answer() {
    let Some(server) = AdbServer::start() else { return };
    let phone = Phone::start();
    phone.set_garbage("WARNING: linker: unused DT entry\nWelcome!");
    check_measured(self::phone(&server, &phone));
}

#[test]
fn a_folder_that_was_emptied_is_filled_again_and_no_model_is_blamed() {
    let Some(board) = Board::start() else { return };
    let folder = Folder::of_board(&board);
    let device = Arc::new(remote(board.ssh(), &folder));
    let hello = || Runner::launch(&*device)?.ask(Task::Hello, PATIENCE);
    hello().unwrap();
    fs::remove_dir_all(&folder.here).unwrap();
    let error = hello().unwrap_err();
    assert!(error.concerns_every_model() && !error.is_the_models_fault(), "{error:?}");
    hello().unwrap();

    let mut bench = Bench::open(device.clone(), "tract", 1).unwrap();
    let (_folder, path) = models::file(TINY_MODEL);
    let plan = Plan::of(Level::Screen);
    // Before a measurement, and amid one, when the model is there already.
    fs::remove_dir_all(&folder.here).unwrap();
    bench.measure(&path, &plan).unwrap();
    let mut launches = 0;
    let mut empty_once = |progress: &Progress| {
        if matches!(progress, Progress::Launch { done: 2, .. }) {
            launches += 1;
            if launches == 1 {
                // The lock is in it, too.
                let runners = fs::read_dir(&folder.here).unwrap().map(|e| e.unwrap().path());
                runners
                    .filter(|p| !p.ends_with("citronade.lock"))
                    .for_each(|path| fs::remove_file(path).unwrap());
            }
        }
    };
    let m = bench.measure_watched(&path, &plan, &mut empty_once).unwrap();
    assert_eq!((m.launches.len(), launches), (plan.launches as usize, 2));
}

#[test]
fn the_shared_connection_ends_with_its_owner() {
    let Some(mut board) = Board::start() else { return };
    let ssh = board.ssh();
    ssh.prepare().unwrap();
    assert!(!board.sessions().is_empty());
    drop(ssh);
    wait_until("the session is gone", || board.sessions().is_empty());
    board.kill();
}

#[test]
fn a_phone_of_another_kind_needs_another_runner() {
    let Some(server) = AdbServer::start() else { return };
    let phone = Phone::start();
    phone.set_machine("riscv64");
    let device = remote(adb(&server, &phone), &Folder::of_phone(&phone));
    let error = device.look().unwrap_err();
    assert!(error.to_string().contains("the device is riscv64"), "{error}");
    let error = Runner::launch(&device).map(|_| ()).unwrap_err();
    assert!(matches!(error, DeviceError::WrongRunner { .. }), "{error:?}");
}

/// A run of the tiny model that does not end by itself.
fn forever(model: String) -> Task {
    Task::Time(TimeRequest {
        model,
        runtime: "tract".to_owned(),
        library: None,
        threads: 1,
        warmup: Warmup { min_runs: u32::MAX, max_runs: u32::MAX, tolerance: 0.0, max_us: 1e18 },
        sampling: Sampling { min: 1, max: 1, max_us: 1.0, enough: 0, min_us: 0.0, pace_us: 0.0 },
        heat_limit: None,
    })
}

#[test]
fn a_phone_whose_link_falls_silent_amid_a_run_is_gone_long_before_the_deadline() {
    let Some(server) = AdbServer::start() else { return };
    let phone = Phone::start();
    let device = remote(adb(&server, &phone), &Folder::of_phone(&phone));
    let (_folder, path) = models::file(TINY_MODEL);
    let model = device.place(&path, &hash(&path)).unwrap();
    let mut runner = Runner::launch(&device).unwrap();
    // One that takes longer than two looks is not disturbed.
    let Task::Time(mut long) = forever(model.clone()) else { unreachable!() };
    long.warmup.max_us = 0.0;
    (long.sampling.max_us, long.sampling.min_us) = (9e6, 5e6);
    let answer = runner.ask(Task::Time(long), PATIENCE).unwrap();
    assert!(matches!(answer, Answer::Timed(timed) if timed.timed_us >= 5e6));
    phone.freeze();
    let error = runner.ask(forever(model), PATIENCE).unwrap_err();
    let DeviceError::Gone { complaint, at_work: true, .. } = &error else { panic!("{error:?}") };
    assert!(complaint.contains("silent") && error.is_away(), "{complaint}");
    phone.plug_in();
    Runner::launch(&device).unwrap().ask(Task::Hello, PATIENCE).unwrap();
}

#[test]
fn a_board_that_loses_its_power_amid_a_run_is_gone_and_the_next_run_says_so() {
    let Some(mut board) = Board::start() else { return };
    let device = remote(board.ssh(), &Folder::of_board(&board));
    let (_folder, path) = models::file(TINY_MODEL);
    let model = device.place(&path, &hash(&path)).unwrap();
    let mut runner = Runner::launch(&device).unwrap();
    runner.ask(Task::Hello, PATIENCE).unwrap();
    board.kill();
    let error = runner.ask(forever(model), PATIENCE).unwrap_err();
    assert!(matches!(error, DeviceError::Gone { .. }), "{error:?}");
    assert!(error.is_away());
    // A session may be made before it is known that nobody is there.
    let again = Runner::launch(&device).and_then(|mut runner| runner.ask(Task::Hello, PATIENCE));
    let error = again.unwrap_err();
    assert!(error.is_away(), "{error:?}");
}

#[test]
fn a_runner_that_dies_on_the_board_is_no_lost_link() {
    let Some(board) = Board::start() else { return };
    let device = remote(board.ssh(), &Folder::of_board(&board));
    Runner::launch(&device).unwrap().ask(Task::Hello, PATIENCE).unwrap();
    let [runner] = names(&board.folder()).try_into().unwrap_or_else(|n| panic!("{n:?}"));
    let path = board.folder().join(runner);
    // The file keeps its name, so it is not sent again.
    fs::remove_file(&path).unwrap();
    fs::write(&path, "#!/bin/sh\nread request; echo ouch >&2; kill -9 $$\n").unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let error = Runner::launch(&device).unwrap().ask(Task::Hello, PATIENCE).unwrap_err();
    let DeviceError::Crashed { signal: 9, stderr_tail, .. } = &error else { panic!("{error:?}") };
    assert!(stderr_tail.contains("ouch"), "{stderr_tail}");
}

#[test]
fn a_work_folder_that_cannot_be_is_told() {
    let Some(board) = Board::start() else { return };
    // A file is in the way.
    let folder = board.folder();
    fs::write(&folder, "").unwrap();
    let device = remote(board.ssh(), &Folder::of_board(&board));
    let error = Runner::launch(&device).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("make its work folder"), "{error}");
    for name in ["a b", "$(reboot)", "..", "a/../../b", ""] {
        assert!(Remote::new(board.ssh(), runners(), name, ROOM).is_err(), "{name}");
    }
}
