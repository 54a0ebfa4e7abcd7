//! Another processor: the runner for 64-bit ARM in an emulator, behind the real `ssh` and `adb`.
//!
//! This proves what the runner does there and how it is found and brought, not how fast it is.
use std::fs;
use std::path::Path;
use std::sync::Arc;

use citronade::device::DeviceError;
use citronade::device::Profile;
use citronade::device::Remote;
use citronade::device::Runners;
use citronade::device::Shell;
use citronade::device::Transport;
use citronade::measure::Bench;
use citronade::measure::Level;
use citronade::measure::MeasureError;
use citronade::measure::Plan;
use tempfile::TempDir;

use crate::device::agent;
use crate::support::adbd::AdbServer;
use crate::support::adbd::Phone;
use crate::support::emulator::Arm;
use crate::support::models;
use crate::support::program;
use crate::support::sshd::Board;

/// Real models, trained.
const REAL: [&str; 2] =
    ["onnx-real/ch_ppocr_mobile_v2.0_cls_infer.onnx", "onnx-real/magika_standard_v3_3.onnx"];

/// Room for the runner of a development build.
const ROOM: u64 = 2_000_000_000;

/// What is said of each measurement there.
const TOLD: &str = "the device is emulated: its times say nothing about a real one";

/// The device behind `shell`, with its lock in its work folder: `there` for the device, `here` for
/// this machine.
fn remote<S: Shell>(shell: S, arm: &Arm, there: &str, here: &Path) -> Remote<S> {
    let remote = Remote::new(shell, arm.runners(), there, ROOM).unwrap();
    remote.with_lock_folder(here.to_str().unwrap())
}

fn board(board: &Board, arm: &Arm) -> Arc<dyn Transport> {
    let folder = board.folder();
    Arc::new(remote(board.ssh(), arm, folder.to_str().unwrap(), &folder))
}

/// Runs the real models with `runtime`, and measures the first, which an emulator runs often enough;
/// what is computed there is what is computed here.
fn check_real_models(device: &Arc<dyn Transport>, runtime: &str) {
    let here = Bench::open(Arc::new(agent()), "tract", 1).unwrap();
    let mut bench = Bench::open(device.clone(), runtime, 1).unwrap();
    assert_eq!(bench.hello().facts.arch, "aarch64");
    assert!(bench.is_emulated());
    if let Some(model) = models::shared(REAL[0]) {
        let measured = bench.measure(&model, &Plan::of(Level::Screen)).unwrap();
        assert!(measured.p50().is_some_and(|p50| p50.0 > 0.0), "{}", model.display());
        let (_, reasons) = measured.verdict();
        assert!(reasons.iter().any(|reason| reason == TOLD), "{reasons:?}");
    }
    for model in REAL.into_iter().filter_map(models::shared) {
        let agreement = bench.compare(&model, &here).unwrap();
        assert!(agreement.holds(), "{}: {agreement:?}", model.display());
    }
}

#[test]
fn the_runner_for_64_bit_arm_tests_itself_with_both_runtimes() {
    let Some(arm) = Arm::find() else { return };
    let output = arm.command(&["--self-test"]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    for runtime in ["tract", "ort"] {
        let ran = |line: &str| line.starts_with(runtime) && line.contains("ran the built-in model");
        assert!(said.lines().any(ran), "{runtime}: {said}");
    }
}

#[test]
fn a_board_of_another_processor_gets_its_own_runner_and_runs_real_models() {
    let Some(arm) = Arm::find() else { return };
    let Some(there) = Board::start_emulated(&arm.emulator()) else { return };
    let device = board(&there, &arm);
    assert_eq!(device.look().unwrap().arch, "aarch64");
    for runtime in ["tract", "ort"] {
        check_real_models(&device, runtime);
    }
}

#[test]
fn a_phone_of_another_processor_gets_its_own_runner_and_runs_real_models() {
    let Some(arm) = Arm::find() else { return };
    let Some(server) = AdbServer::start() else { return };
    let there = Phone::start();
    there.emulate(&arm.emulator());
    let shell = crate::remote::adb(&server, &there);
    let folder = there.folder().join("work");
    let device: Arc<dyn Transport> = Arc::new(remote(shell, &arm, "/data/local/tmp/work", &folder));
    for runtime in ["tract", "ort"] {
        check_real_models(&device, runtime);
    }
}

#[test]
fn a_model_that_is_too_large_is_answered_on_64_bit_arm_too() {
    let Some(arm) = Arm::find() else { return };
    let Some(there) = Board::start_emulated(&arm.emulator()) else { return };
    let mut bench = Bench::open(board(&there, &arm), "tract", 1).unwrap();
    let (_folder, bomb) = models::file(&models::bomb());
    let error = bench.measure(&bomb, &Plan::of(Level::Screen)).unwrap_err();
    let MeasureError::Device { source: DeviceError::Refused { .. }, .. } = &error else {
        panic!("it did not answer: {error:?}")
    };
    assert!(error.is_the_models_fault(), "{error:?}");
}

#[test]
fn a_runner_of_this_machine_is_not_sent_to_another_processor() {
    let Some(server) = AdbServer::start() else { return };
    let phone = Phone::start();
    phone.set_machine("arm64");
    let own = Path::new(crate::device::AGENT).parent().unwrap().to_owned();
    let nothing = TempDir::new().unwrap();
    let folders = vec![nothing.path().to_owned()];
    let runners = Runners { given: None, folders, beside: Some(own) };
    let adb = crate::remote::adb(&server, &phone);
    let device = Remote::new(adb, runners, "/data/local/tmp/work", ROOM).unwrap();
    let error = device.spawn().map(|_| ()).unwrap_err();
    let DeviceError::NoRunner { arch, way_out, .. } = &error else { panic!("{error:?}") };
    assert_eq!(arch, "aarch64");
    assert!(way_out.starts_with("`runners/build aarch64 --static --to "), "{way_out}");
}

#[test]
fn what_a_profile_says_of_emulation_counts() {
    let bench = || Bench::open(Arc::new(agent()), "tract", 1).unwrap();
    assert!(!bench().is_emulated(), "this machine runs its own programs");
    let says = |emulated| Profile { emulated: Some(emulated), ..Profile::default() };
    assert!(bench().with_profile(&says(true)).is_emulated());
    assert!(!bench().with_profile(&says(true)).with_profile(&says(false)).is_emulated());
}

/// The program in a folder with a device `toy`, which is this machine but said to be emulated or
/// not.
fn with_toy(folder: &Path, is_emulated: bool, args: &[&str]) -> std::process::Output {
    let toy = format!("[device.toy]\ntransport = \"local\"\nemulated = {is_emulated}\n");
    fs::write(folder.join("devices.toml"), toy).unwrap();
    let device = ["--device", "toy"];
    let mut command = program::citronade(folder, &[args, &device].concat());
    command.env("CITRONADE_CONFIG_DIR", folder).output().unwrap()
}

#[test]
fn times_of_an_emulated_device_are_on_no_front_unless_asked_for() {
    let folder = TempDir::new().unwrap();
    let (path, search) = (folder.path(), program::REPLAYED);
    let with = |more: &[&'static str]| [&search[..], more].concat();
    let refused = with_toy(path, true, &search);
    program::check_exit(&refused, 2);
    assert!(program::stderr(&refused).contains("--emulated"), "{refused:?}");
    assert!(!path.join("citronade.db").exists(), "nothing was begun");

    program::check_exit(&with_toy(path, true, &with(&["--emulated"])), 0);
    let front = program::run(path, &["front", "--json"]);
    let front: serde_json::Value = serde_json::from_slice(&front.stdout).unwrap();
    let version = front["runtime_version"].as_str().unwrap();
    assert!(version.ends_with("(emulated)"), "{version}");
    assert!(!front["members"].as_array().unwrap().is_empty());

    // The run goes on there, and nowhere else.
    let more = with(&["--budget", "30candidates"]);
    program::check_exit(&with_toy(path, true, &more), 0);
    let real = with_toy(path, false, &more);
    program::check_exit(&real, 12);
    assert!(program::stderr(&real).contains("(emulated) ("), "{real:?}");
}
