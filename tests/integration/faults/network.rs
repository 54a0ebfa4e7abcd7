//! A board in a network of its own, at the other end of a cable.
use std::process::Command;
use std::sync::Arc;
use std::thread;

use citronade::agent::TINY_MODEL;
use citronade::device::DeviceError;
use citronade::device::Runner;
use citronade::measure::Bench;
use citronade::measure::MeasureError;
use nix::sched::CloneFlags;
use nix::sched::unshare;

use super::broken::plan;
use crate::remote::Folder;
use crate::remote::remote;
use crate::support::models;
use crate::support::processes::at_work;
use crate::support::root::is_root;
use crate::support::skipped::not_tried;
use crate::support::sshd::Board;

/// Addresses for documentation, RFC 5737.
const HERE: &str = "192.0.2.1";
const THERE: &str = "192.0.2.2";

#[track_caller]
fn ip(before: &[&str], arguments: &str) {
    let words: Vec<&str> = before.iter().copied().chain(arguments.split(' ')).collect();
    let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
}

/// A board, and a cable from it to this thread, which has no other network any more.
fn board_on_a_cable() -> Option<Board> {
    if !is_root("a network of its own") {
        return None;
    }
    if Command::new("ip").arg("-V").output().is_err() {
        not_tried("not tried in a network of its own: there is no ip (Debian: iproute2)");
        return None;
    }
    if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
        not_tried(&format!("not tried: this machine allows no networks of a test's own ({error})"));
        return None;
    }
    let board = Board::apart(THERE)?;
    let pid = board.pid().to_string();
    let there = ["nsenter", "--net", "--target", &pid, "ip"];
    ip(&["ip"], &format!("link add here type veth peer name there netns {pid}"));
    ip(&["ip"], &format!("addr add {HERE}/24 dev here"));
    ip(&there, &format!("addr add {THERE}/24 dev there"));
    ip(&["ip"], "link set here up");
    ip(&there, "link set there up");
    Some(board)
}

#[test]
fn a_board_whose_network_fails_amid_a_measurement_is_away_until_it_is_back() {
    let Some(board) = board_on_a_cable() else { return };
    let folder = Folder::of_board(&board);
    let device = Arc::new(remote(board.ssh(), &folder));
    let (_folder, path) = models::file(TINY_MODEL);
    let mut bench = Bench::open(device.clone(), "tract", 1).unwrap();
    let plan = plan();
    let whole = bench.measure(&path, &plan).unwrap();
    assert_eq!(whole.launches.len(), plan.launches as usize);
    let mut long = plan.clone();
    long.sampling.enough *= 20;
    let error = thread::scope(|scope| {
        scope.spawn(|| {
            at_work(&folder.here);
            ip(&["ip"], "link set here down");
        });
        bench.measure(&path, &long).unwrap_err()
    });
    let MeasureError::Device { source, .. } = &error else { panic!("{error:?}") };
    assert!(matches!(source, DeviceError::Gone { .. }), "{error:?}");
    assert!(error.may_pass());
    let error = Runner::launch(&*device).map(|_| ()).unwrap_err();
    assert!(matches!(error, DeviceError::Absent { .. }) && error.is_away(), "{error:?}");
    ip(&["ip"], "link set here up");
    assert_eq!(bench.measure(&path, &plan).unwrap().launches.len(), plan.launches as usize);
}
