//! Runners, sessions and servers that die or hang in the middle of a measurement.
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use citronade::agent::TINY_MODEL;
use citronade::device::Absence;
use citronade::device::DeviceError;
use citronade::device::Runner;
use citronade::device::Shell;
use citronade::device::Transport;
use citronade::measure::Bench;
use citronade::measure::Level;
use citronade::measure::MeasureError;
use citronade::measure::Measurement;
use citronade::measure::Plan;
use nix::sys::signal::Signal;
use nix::sys::signal::kill;

use crate::remote::Folder;
use crate::remote::adb;
use crate::remote::remote;
use crate::support::adbd::AdbServer;
use crate::support::adbd::Phone;
use crate::support::adbd::wait_until;
use crate::support::models;
use crate::support::processes::at_work;
use crate::support::processes::clean;
use crate::support::processes::holder;
use crate::support::processes::kill_it;
use crate::support::sshd::Board;

/// Launches that are long enough to be harmed in their middle, however busy the machine is.
pub fn plan() -> Plan {
    let mut plan = Plan::of(Level::Screen);
    plan.launches = 3;
    (plan.sampling.enough, plan.sampling.max_us) = (200_000, 1e9);
    plan
}

/// Measures while `harm` is done to the device.
fn harmed(
    bench: &mut Bench,
    model: &Path,
    plan: &Plan,
    harm: impl FnOnce() + Send,
) -> Result<Measurement, MeasureError> {
    thread::scope(|scope| {
        scope.spawn(harm);
        bench.measure(model, plan)
    })
}

#[track_caller]
fn check_whole(result: Result<Measurement, MeasureError>) {
    let m = result.unwrap();
    assert_eq!(m.launches.len(), plan().launches as usize);
    assert!(m.launches.iter().all(|launch| !launch.timed.samples_us.is_empty()));
}

#[track_caller]
fn source(result: Result<Measurement, MeasureError>) -> DeviceError {
    match result {
        Err(MeasureError::Device { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}

/// Dead and hung runners on the device behind `shell`.
fn check_runners<S: Shell + 'static>(shell: S, folder: &Folder) {
    let (_folder, path) = models::file(TINY_MODEL);
    let device: Arc<dyn Transport> = Arc::new(remote(shell, folder));
    let mut bench = Bench::open(device, "tract", 1).unwrap();
    let here = &folder.here;

    check_whole(harmed(&mut bench, &path, &plan(), || kill_it(at_work(here))));
    let twice = harmed(&mut bench, &path, &plan(), || {
        kill_it(at_work(here));
        kill_it(at_work(here));
    });
    let error = source(twice);
    assert!(matches!(error, DeviceError::Crashed { signal: 9, .. }), "{error:?}");
    assert!(error.to_string().contains("should time") && error.hint().is_some(), "{error}");
    check_whole(bench.measure(&path, &plan()));

    let mut impatient = plan();
    impatient.timeout = Duration::from_secs(10);
    let hung = harmed(&mut bench, &path, &impatient, || {
        kill(at_work(here), Signal::SIGSTOP).unwrap();
    });
    let error = source(hung);
    assert!(matches!(error, DeviceError::Hung { .. }) && error.hint().is_some(), "{error:?}");
    check_whole(bench.measure(&path, &plan()));
    clean(here);
}

#[test]
fn runners_that_die_or_hang_on_a_board_are_named_and_the_next_measurement_is_whole() {
    let Some(board) = Board::start() else { return };
    check_runners(board.ssh(), &Folder::of_board(&board));
}

#[test]
fn runners_that_die_or_hang_on_a_phone_are_named_and_the_next_measurement_is_whole() {
    let Some(server) = AdbServer::start() else { return };
    let phone = Phone::start();
    check_runners(adb(&server, &phone), &Folder::of_phone(&phone));
}

/// What is timed while nobody holds the device may have been beside somebody else.
#[test]
fn a_launch_during_which_the_device_was_not_held_is_made_again() {
    let Some(board) = Board::start() else { return };
    let folder = Folder::of_board(&board);
    let device: Arc<dyn Transport> = Arc::new(remote(board.ssh(), &folder));
    let (_folder, path) = models::file(TINY_MODEL);
    let mut bench = Bench::open(device, "tract", 1).unwrap();
    let begun = std::cell::Cell::new(0);
    let m = thread::scope(|scope| {
        let mut watch = |_: &_| {
            begun.set(begun.get() + 1);
            if begun.get() == 2 {
                scope.spawn(|| {
                    at_work(&folder.here);
                    kill_it(holder(&folder.here));
                });
            }
        };
        bench.measure_watched(&path, &plan(), &mut watch)
    });
    check_whole(m);
    let expected = plan().launches + plan().memory_launches + 1;
    assert_eq!(begun.get(), expected, "launches, that of memory, and one again");
}

#[test]
fn a_board_whose_session_hangs_is_gone_after_some_seconds_and_measures_again_when_it_goes_on() {
    let Some(board) = Board::start() else { return };
    let folder = Folder::of_board(&board);
    let device: Arc<dyn Transport> = Arc::new(remote(board.ssh(), &folder));
    let (_folder, path) = models::file(TINY_MODEL);
    let mut bench = Bench::open(device, "tract", 1).unwrap();
    let signal = |signal| {
        board.sessions().into_iter().for_each(|pid| {
            // It may have ended meanwhile.
            kill(pid, signal).ok();
        })
    };
    let error = source(harmed(&mut bench, &path, &plan(), || {
        at_work(&folder.here);
        signal(Signal::SIGSTOP);
    }));
    assert!(matches!(error, DeviceError::Gone { .. }) && error.is_away(), "{error:?}");
    signal(Signal::SIGCONT);
    check_whole(bench.measure(&path, &plan()));
}

#[test]
fn a_phone_whose_shell_never_answers_is_gone_and_no_host_waits_for_ever() {
    let Some(server) = AdbServer::start() else { return };
    let phone = Phone::start();
    let device = remote(adb(&server, &phone), &Folder::of_phone(&phone));
    phone.set_silent(true);
    let error = Runner::launch(&device).map(|_| ()).unwrap_err();
    let DeviceError::Gone { complaint, .. } = &error else { panic!("{error:?}") };
    assert!(complaint.contains("no answer within 30 s") && error.is_away(), "{complaint}");
    phone.set_silent(false);
    Runner::launch(&device).unwrap();
}

/// Says how long it takes to measure again; `cargo nextest run --no-capture adb_server` shows it.
#[test]
fn a_phone_measures_again_after_its_adb_server_was_killed_amid_a_measurement() {
    let Some(server) = AdbServer::start() else { return };
    let phone = Phone::start();
    let folder = Folder::of_phone(&phone);
    let device = Arc::new(remote(adb(&server, &phone), &folder));
    let (_folder, path) = models::file(TINY_MODEL);
    let mut bench = Bench::open(device.clone(), "tract", 1).unwrap();
    let mut killed = None;
    let error = source(harmed(&mut bench, &path, &plan(), || {
        at_work(&folder.here);
        server.kill();
        killed = Some(Instant::now());
    }));
    let is_gone = matches!(
        error,
        DeviceError::Gone { .. } | DeviceError::Absent { absence: Absence::NotPlugged, .. }
    );
    assert!(is_gone && error.is_away(), "{error:?}");
    // As a search does it: what may pass is tried again.
    let mut again = None;
    wait_until("it measures again", || match bench.measure(&path, &plan()) {
        Err(error) if error.may_pass() => false,
        result => {
            again = Some(result);
            true
        }
    });
    let took = killed.unwrap().elapsed().as_secs_f64();
    check_whole(again.unwrap());
    eprintln!("a whole measurement had ended {took:.1} s after the adb server was killed");
}
