//! Every strategy in real searches, with a formula in place of training.
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::thread;

use citronade::search::STRATEGIES;
use citronade::search::Settings;
use citronade::search::strategy;
use citronade::space::SPACES;
use citronade::space::by_name;
use citronade::store::Accepted;
use citronade::store::Reader;
use citronade::store::Record;
use citronade::store::Store;
use serde_json::Value;
use tempfile::TempDir;

use super::support::adbd::wait_until;
use super::support::program::REPLAYED;
use super::support::program::check_exit;
use super::support::program::citronade;
use super::support::program::run;
use super::support::program::stderr;
use super::support::runs::run_record;

use crate::support::skipped::not_tried;

/// Can the strategy search in the space?
fn can(name: &str, space: &str) -> bool {
    let space = by_name(space, [1, 8, 8], 10, 1_000).unwrap();
    strategy(name, Settings::default()).unwrap().cannot_run_on(space.as_ref()).is_none()
}

fn arguments<'a>(name: &'a str, space: &'a str, budget: &'a str) -> Vec<&'a str> {
    let common = "search --trainer formula --runtime metronome --objectives error,latency,parameters --quiet";
    let rest = ["--strategy", name, "--space", space, "--budget", budget];
    common.split(' ').chain(rest).collect()
}

fn accepted(folder: &Path) -> Vec<Accepted> {
    let reader = Reader::open(&folder.join("citronade.db")).unwrap();
    let run = reader.newest_run().unwrap().unwrap();
    let records = reader.records(&run.id).unwrap().into_iter();
    records
        .filter_map(|record| match record {
            // When it was is the only thing that two runs need not agree on.
            Record::Accepted(accepted) => Some(Accepted { at_s: 0.0, ..accepted }),
            _ => None,
        })
        .collect()
}

/// Kills a search in its second generation.
fn kill_amid(folder: &Path, arguments: &[&str]) {
    let mut child = citronade(folder, arguments).spawn().unwrap();
    let begun = || {
        folder.join("citronade.db").exists()
            && Reader::open(&folder.join("citronade.db")).is_ok_and(|r| {
                let run = r.newest_run().ok().flatten();
                let told = |r: &Record| matches!(r, Record::Told(_));
                run.is_some_and(|run| {
                    r.records(&run.id).unwrap().iter().filter(|r| told(r)).count() == 1
                })
            })
    };
    wait_until("a generation", || begun() || child.try_wait().unwrap().is_some());
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success(), "it ended before it was killed");
}

/// For all at once: a search mostly waits for its metronome.
fn check_all(all: &[(&'static str, &str)], check: fn(&str)) {
    thread::scope(|scope| {
        all.iter().for_each(|(name, _)| {
            scope.spawn(|| check(name));
        });
    });
}

#[test]
fn a_search_that_is_killed_ends_as_the_undisturbed_one_with_every_strategy() {
    check_all(STRATEGIES, |name| {
        let space = if can(name, "macro") { "macro" } else { "morphism" };
        let arguments = arguments(name, space, "32candidates");
        let (whole, killed) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        check_exit(&run(whole.path(), &arguments), 0);
        kill_amid(killed.path(), &arguments);
        check_exit(&run(killed.path(), &arguments), 0);
        let (whole, killed) = (accepted(whole.path()), accepted(killed.path()));
        let differs = whole.iter().zip(&killed).find(|(a, b)| a != b).map(|(a, _)| a.candidate);
        assert_eq!((32, None), (killed.len(), differs), "{name}");
        assert_eq!(whole.len(), 32, "{name}");
    });
}

#[test]
fn every_space_can_be_searched() {
    check_all(SPACES, |space| {
        let folder = TempDir::new().unwrap();
        let arguments = arguments("regularized-evolution", space, "24candidates");
        check_exit(&run(folder.path(), &arguments), 0);
        let accepted = accepted(folder.path());
        assert_eq!(accepted.len(), 24, "{space}");
        let is_fixed = space != "morphism";
        assert!(accepted.iter().all(|a| a.choices.is_some() == is_fixed), "{space}");
        // No network twice, whatever choices it comes from.
        let mut structures: Vec<_> = accepted.iter().map(|a| a.arch).collect();
        structures.sort();
        structures.dedup();
        assert_eq!(structures.len(), 24, "{space}");
    });
}

#[test]
fn choices_that_make_the_same_network_are_not_both_trained_in_a_generation() {
    let folder = TempDir::new().unwrap();
    // Two pairs of proposals of this seed were such.
    let arguments =
        [&arguments("regularized-evolution", "nb201", "24candidates")[..], &["--seed", "12"]];
    check_exit(&run(folder.path(), &arguments.concat()), 0);
    let structures: BTreeSet<_> = accepted(folder.path()).iter().map(|a| a.arch).collect();
    assert_eq!(structures.len(), 24);
}

#[test]
fn a_strategy_that_cannot_search_there_says_why() {
    let folder = TempDir::new().unwrap();
    let output = run(folder.path(), &arguments("nash", "nb201", "8candidates"));
    check_exit(&output, 3);
    let said = stderr(&output);
    assert!(said.contains("nash cannot search in nb201: it climbs by morphisms"), "{said}");
    let output = run(folder.path(), &arguments("nash", "nb202", "8candidates"));
    check_exit(&output, 2);
    assert!(stderr(&output).contains("nb201"), "{}", stderr(&output));
    let blind = [&arguments("rena", "morphism", "8candidates")[..], &["--no-inherit"]].concat();
    let output = run(folder.path(), &blind);
    check_exit(&output, 3);
    assert!(stderr(&output).contains("rena learns from what became of"), "{}", stderr(&output));
}

#[test]
fn a_strategy_that_cannot_search_there_leaves_no_run_behind() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let wrong = ["search", "--strategy", "nash", "--space", "mobile", "--new"];
    for arguments in [&wrong[..], &[&wrong[..], &["--dry-run"]].concat()] {
        check_exit(&run(folder, arguments), 3);
        assert!(!folder.join("citronade.db").exists(), "{arguments:?}");
    }
    check_exit(&run(folder, &arguments("random", "macro", "8candidates")), 0);
    check_exit(&run(folder, &wrong), 3);
    // The newest run is still the one that found something.
    check_exit(&run(folder, &["front"]), 0);
    check_exit(&run(folder, &arguments("random", "macro", "8candidates")), 0);
}

#[test]
fn a_candidate_of_a_fixed_space_is_shown_in_the_words_of_its_space() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    check_exit(&run(folder, &arguments("random", "cells", "9candidates")), 0);
    let accepted = accepted(folder).pop().unwrap();
    let id = accepted.candidate.to_string();
    let said = |args: &[&str]| {
        let output = run(folder, args);
        check_exit(&output, 0);
        String::from_utf8(output.stdout).unwrap()
    };
    let shown: Value = serde_json::from_str(&said(&["show", &id, "--json"])).unwrap();
    let member = shown["member"].as_str().unwrap();
    assert!(said(&["show", &id]).contains(&format!("\n  in cells: {member}\n")));
    let again: Value =
        serde_json::from_str(&said(&["spaces", "cells", "--member", member, "--json"])).unwrap();
    assert_eq!(again["choices"], serde_json::to_value(accepted.choices).unwrap());
}

/// What `benches/strategies.sh` leaves, in its beginning and after many seeds.
#[test]
fn searches_of_any_seed_are_compared_and_one_that_has_not_measured_yet_is_passed_over() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    for store in ["digits-random-9.db", "digits-random-10.db"] {
        check_exit(&run(folder, &[&REPLAYED[..], &["--store", store]].concat()), 0);
    }
    let mut empty = run_record();
    empty.devices.iter_mut().for_each(|device| device.reference = None);
    Store::open(&folder.join("digits-nash-1.db")).unwrap().begin_run(&empty).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/hypervolume.py");
    let Ok(compared) = Command::new("python3").arg(script).arg(folder).output() else {
        not_tried("not compared: there is no python3");
        return;
    };
    let (said, warned) = (String::from_utf8_lossy(&compared.stdout), stderr(&compared));
    assert!(compared.status.success(), "{warned}");
    assert!(warned.contains("digits-nash-1.db: nothing was measured yet"), "{warned}");
    let row = said.lines().find(|line| line.starts_with("  random")).unwrap();
    assert_eq!(row.matches(", ").count(), 1, "two seeds: {row}");
}
