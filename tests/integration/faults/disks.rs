//! Devices whose disk is full or read-only.
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use citronade::agent::Answer;
use citronade::agent::TINY_MODEL;
use citronade::agent::Task;
use citronade::device::DeviceError;
use citronade::device::Runner;
use citronade::device::Shell;
use citronade::device::Transport;
use citronade::measure::Bench;
use citronade::measure::Level;
use citronade::measure::Measurement;
use citronade::measure::Plan;

use crate::device::AGENT;
use crate::remote::Folder;
use crate::remote::PATIENCE;
use crate::remote::adb;
use crate::remote::hash;
use crate::remote::names;
use crate::remote::remote;
use crate::support::adbd::AdbServer;
use crate::support::adbd::Phone;
use crate::support::models;
use crate::support::program::check_exit;
use crate::support::program::citronade;
use crate::support::program::stderr;
use crate::support::root::Disk;
use crate::support::sshd::Board;

/// Too small for a runner, KiB.
const TINY: u64 = 1024;

/// Room for the runner and some models, KiB.
fn enough() -> u64 {
    fs::metadata(AGENT).unwrap().len() / 1024 + 4096
}

#[track_caller]
fn check_full<T>(result: Result<T, DeviceError>) {
    let Err(error) = result else { panic!("there was room") };
    let DeviceError::NotWritable { reason, .. } = &error else { panic!("{error:?}") };
    assert!(reason.contains("No space left"), "{reason}");
    assert!(error.hint().is_some_and(|hint| hint.contains("make room")));
    assert!(error.concerns_every_model() && error.is_away(), "waiting may help: {error}");
}

fn hello(device: &dyn Transport) -> Result<Answer, DeviceError> {
    Runner::launch(device)?.ask(Task::Hello, PATIENCE)
}

/// What happens on a device whose work folder and lock are on `disk`, which is tiny at first.
fn check_disks<S: Shell + 'static>(shell: S, disk: &Disk, folder: &Folder) {
    let device = Arc::new(remote(shell, folder));
    check_full(hello(&*device));
    assert_eq!(names(&folder.here), [""; 0], "half a runner keeps the disk full");
    disk.resize(enough());
    hello(&*device).unwrap();
    check_full_disk(&device, disk, &folder.here);
    check_read_only_disk(&device, disk);
}

fn check_full_disk(device: &Arc<impl Transport + 'static>, disk: &Disk, folder: &Path) {
    let (_folder, small) = models::file(TINY_MODEL);
    let (_folder, large) = models::file(&vec![7; 300_000]);
    let mut bench = Bench::open(device.clone(), "tract", 1).unwrap();
    let plan = Plan::of(Level::Screen);
    let whole = |m: Measurement| m.launches.len() == plan.launches as usize;
    // It becomes full in the middle of a measurement, and stays so: nothing more is written.
    let mut launches = 0;
    let measured = bench.measure_watched(&small, &plan, &mut |_| {
        launches += 1;
        if launches == 2 {
            disk.fill();
        }
    });
    assert!(whole(measured.unwrap()));
    assert!(whole(bench.measure(&small, &plan).unwrap()));
    let before = names(folder);
    check_full(device.place(&large, &hash(&large)));
    assert_eq!(names(folder), before, "half a model keeps the disk full");
    disk.empty();
    device.place(&large, &hash(&large)).unwrap();
    assert!(whole(bench.measure(&small, &plan).unwrap()));
}

fn check_read_only_disk(device: &Arc<impl Transport + 'static>, disk: &Disk) {
    let (_folder, small) = models::file(TINY_MODEL);
    let (_folder, other) = models::file(&[7; 1000]);
    let plan = Plan::of(Level::Screen);
    let mut bench = Bench::open(device.clone(), "tract", 1).unwrap();
    bench.measure(&small, &plan).unwrap();
    disk.protect(enough());
    let error = device.place(&other, &hash(&other)).unwrap_err();
    let DeviceError::NotWritable { reason, .. } = &error else { panic!("{error:?}") };
    assert!(reason.contains("Read-only file system"), "{reason}");
    assert!(error.hint().is_some() && error.concerns_every_model(), "{error}");
    let error = bench.measure(&small, &plan).unwrap_err();
    let text = format!("{error}: {}", std::error::Error::source(&error).unwrap());
    assert!(text.contains("cannot lock") && text.contains("Read-only file system"), "{text}");
    assert!(error.concerns_every_model() && !error.is_the_models_fault(), "{text}");
    disk.resize(enough());
    bench.measure(&small, &plan).unwrap();
}

#[test]
fn a_board_with_a_full_or_read_only_disk_says_so_and_goes_on_when_there_is_room() {
    let place = tempfile::tempdir().unwrap();
    let here = place.path().join("work");
    let Some(disk) = Disk::new(&here, TINY) else { return };
    let Some(board) = Board::start() else { return };
    let folder = Folder { there: here.to_str().unwrap().to_owned(), here };
    check_disks(board.ssh(), &disk, &folder);
}

#[test]
fn a_phone_with_a_full_or_read_only_disk_says_so_and_goes_on_when_there_is_room() {
    let Some(server) = AdbServer::start() else { return };
    let place = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::new(&place.path().join("disk"), TINY) else { return };
    let phone = Phone::start();
    let folder = Folder::of_phone(&phone);
    symlink(place.path().join("disk"), &folder.here).unwrap();
    check_disks(adb(&server, &phone), &disk, &folder);
}

#[test]
fn a_device_without_room_is_exit_12_with_the_way_out() {
    let Some(server) = AdbServer::start() else { return };
    let (files, model) = models::file(TINY_MODEL);
    let Some(_disk) = Disk::new(&files.path().join("disk"), TINY) else { return };
    let phone = Phone::start();
    let work = phone.folder().join("citronade");
    symlink(files.path().join("disk"), work).unwrap();
    let device = format!("adb:{}", phone.serial());
    let model = model.to_str().unwrap();
    let args = ["measure", model, "--device", &device, "--agent", AGENT];
    let output = citronade(files.path(), &args).envs(server.variables()).output().unwrap();
    check_exit(&output, 12);
    let text = stderr(&output);
    assert!(text.contains("No space left") && text.contains("make room there"), "{text}");
}
