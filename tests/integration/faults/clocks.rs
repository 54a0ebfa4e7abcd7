//! Clocks that are set while something runs: nothing is decided by them.
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use citronade::agent::Answer;
use citronade::agent::HoldRequest;
use citronade::agent::TINY_MODEL;
use citronade::agent::Task;
use citronade::device::Local;
use citronade::device::Runner;
use citronade::store::Reader;
use serde_json::Value;

use crate::device::AGENT;
use crate::device::agent;
use crate::support::models;
use crate::support::program::REPLAYED;
use crate::support::program::check_exit;
use crate::support::program::citronade;
use crate::support::program::run;
use crate::support::skipped::not_tried;

/// Each look at the clock of the day shows it a day after, or before, the last one.
const JUMPS: [&str; 2] = ["+0 i86400", "-0d i-86400"];

/// What makes the clock of the day another one, and only that; says so where it is not installed.
fn faketime(clock: &str) -> Option<[(&'static str, String); 5]> {
    let library = |folder: fs::DirEntry| {
        let library: PathBuf = folder.path().join("faketime/libfaketimeMT.so.1");
        library.is_file().then(|| library.to_str().unwrap().to_owned())
    };
    let Some(library) = fs::read_dir("/usr/lib").ok()?.flatten().find_map(library) else {
        not_tried("not tried with a clock that jumps: no libfaketime (Debian: libfaketime)");
        return None;
    };
    let yes = || "1".to_owned();
    Some([
        ("LD_PRELOAD", library),
        ("FAKETIME", clock.to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", yes()),
        ("DONT_FAKE_MONOTONIC", yes()),
        ("NO_FAKE_STAT", yes()),
    ])
}

#[track_caller]
fn json(command: &mut Command) -> Value {
    let output = command.output().unwrap();
    check_exit(&output, 0);
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_measurement_takes_the_time_it_takes_whatever_the_clock_says() {
    let (folder, model) = models::file(TINY_MODEL);
    let model = model.to_str().unwrap();
    for clock in JUMPS {
        let Some(variables) = faketime(clock) else { return };
        let began = Instant::now();
        let mut command =
            citronade(folder.path(), &["measure", model, "--level", "screen", "--json"]);
        let found = json(command.envs(variables));
        let launches = found["launches"].as_array().unwrap();
        assert_eq!(launches.len(), 5);
        let waited: f64 = launches.iter().map(|l| l["wall_us"].as_f64().unwrap()).sum();
        let timed = found["latency_us"]["timed_us"].as_f64().unwrap();
        let whole = began.elapsed().as_secs_f64() * 1e6;
        assert!(timed < waited && waited < whole, "{timed} of {waited} of {whole} µs, {clock}");
    }
}

/// What was decided, and when at the latest.
fn decisions(folder: &Path) -> (Vec<String>, f64) {
    let reader = Reader::open(&folder.join("citronade.db")).unwrap();
    let run = reader.newest_run().unwrap().unwrap();
    let mut latest = 0.0_f64;
    let mut told = Vec::new();
    for record in reader.records(&run.id).unwrap() {
        let value = serde_json::to_value(&record).unwrap();
        let fields = value.as_object().unwrap().values().next().unwrap();
        let at_s = fields.get("at_s").map_or(0.0, |at_s| at_s.as_f64().unwrap());
        assert!(at_s >= 0.0, "{at_s}");
        latest = latest.max(at_s);
        if let Some(front) = fields.get("fronts") {
            told.push(front.to_string());
        }
        // Why a candidate failed says more than that decisions differ.
        assert_ne!(fields.get("kind"), Some(&Value::from("failed")), "{value}");
    }
    (told, latest)
}

#[test]
fn a_search_decides_the_same_whatever_the_clock_says() {
    let steady = tempfile::tempdir().unwrap();
    check_exit(&run(steady.path(), &REPLAYED), 0);
    let (expected, _) = decisions(steady.path());
    assert!(expected.len() > 2);
    for clock in JUMPS {
        let Some(variables) = faketime(clock) else { return };
        let folder = tempfile::tempdir().unwrap();
        let began = Instant::now();
        let output = citronade(folder.path(), &REPLAYED).envs(variables).output().unwrap();
        let whole_s = began.elapsed().as_secs_f64();
        check_exit(&output, 0);
        let (told, latest) = decisions(folder.path());
        assert_eq!(told, expected, "{clock}");
        assert!(0.0 < latest && latest < whole_s, "{latest} s of {whole_s}, {clock}");
    }
}

#[test]
fn the_run_that_began_last_is_the_newest_though_the_clock_was_set_back() {
    let Some(variables) = faketime("-400d") else { return };
    let folder = tempfile::tempdir().unwrap();
    let newest = || {
        let found = run(folder.path(), &["front", "--json"]);
        check_exit(&found, 0);
        let front: Value = serde_json::from_slice(&found.stdout).unwrap();
        front["run"].as_str().unwrap().to_owned()
    };
    check_exit(&run(folder.path(), &REPLAYED), 0);
    let first = newest();
    let again = [&REPLAYED[..], &["--new"]].concat();
    check_exit(&citronade(folder.path(), &again).envs(variables).output().unwrap(), 0);
    let second = newest();
    assert!(second < first, "{second} is of the year before {first}, and yet the newest");
}

#[test]
fn a_lease_lasts_as_long_as_it_lasts_whatever_the_clock_says() {
    for clock in JUMPS {
        let Some(variables) = faketime(clock) else { return };
        let jumping = variables.into_iter().fold(
            Local::program(AGENT, Vec::<String>::new()).with_lock_folder(None),
            |agent, (name, value)| agent.with_variable(name, value),
        );
        let folder = tempfile::tempdir().unwrap();
        let hold = |runner: &mut Runner| {
            let (folder, owner) = (folder.path().to_str().unwrap().to_owned(), "ann".to_owned());
            let task = HoldRequest { folder, owner, wait_us: 0.0, lease_us: 600e6 };
            runner.ask(Task::Hold(task), Duration::from_secs(120)).unwrap()
        };
        let mut holder = Runner::launch(&jumping).unwrap();
        assert_eq!(hold(&mut holder), Answer::Held);
        for other in [&agent(), &jumping] {
            let answer = hold(&mut Runner::launch(other).unwrap());
            assert!(matches!(answer, Answer::Busy { .. }), "{clock}: {answer:?}");
        }
        assert_eq!(hold(&mut holder), Answer::Held, "{clock}");
    }
}
