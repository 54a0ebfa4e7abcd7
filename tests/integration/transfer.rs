//! Members that a search begins with, and networks larger than the data ask for.
use std::fs;
use std::path::Path;

use citronade::space::by_name;
use citronade::store::Reader;
use citronade::store::Record;
use serde_json::Value;
use tempfile::TempDir;

use super::support::program::check_exit;
use super::support::program::run;
use super::support::program::stderr;

/// A search in `macro` without training, of as many candidates.
fn in_macro<'a>(candidates: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let common = "search --trainer formula --runtime metronome --objectives error,latency,parameters --quiet";
    let rest = ["--space", "macro", "--budget", candidates];
    common.split(' ').chain(rest).chain(more.iter().copied()).collect()
}

#[track_caller]
fn json(folder: &Path, args: &[&str]) -> Value {
    let output = run(folder, &[args, &["--json"]].concat());
    check_exit(&output, 0);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Choices of all candidates of the newest run, and whether their networks differ.
fn accepted(folder: &Path) -> (Vec<Vec<u8>>, bool) {
    let reader = Reader::open(&folder.join("citronade.db")).unwrap();
    let newest = reader.newest_run().unwrap().unwrap();
    let records = reader.records(&newest.id).unwrap().into_iter();
    let accepted: Vec<_> = records
        .filter_map(|record| match record {
            Record::Accepted(accepted) => Some(accepted),
            _ => None,
        })
        .collect();
    let mut networks: Vec<_> = accepted.iter().map(|a| a.arch).collect();
    networks.sort();
    networks.dedup();
    let differ = networks.len() == accepted.len();
    (accepted.into_iter().map(|a| a.choices.unwrap()).collect(), differ)
}

#[test]
fn a_cell_that_was_found_in_small_networks_is_trained_in_a_large_one() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let brief =
        "[search]\nspace = \"cells\"\nstrategy = \"random\"\n[training]\nepochs_from_scratch = 1\n";
    fs::write(folder.join("brief.toml"), brief).unwrap();
    let brief = ["search", "brief.toml", "--data-limit", "200", "--quiet"];
    let search =
        |store, more: &[&str]| run(folder, &[&brief[..], &["--store", store], more].concat());
    let small = ["--filters", "2", "--budget", "2candidates"];
    check_exit(&search("small.db", &small), 0);
    let front = json(folder, &["front", "--store", "small.db"]);
    let id = front["members"][0]["id"].to_string();
    let found = json(folder, &["show", &id, "--store", "small.db"]);
    let cell = found["member"].as_str().unwrap();

    let large = ["--filters", "4", "--repeats", "2", "--start", cell, "--budget", "1candidates"];
    check_exit(&search("large.db", &large), 0);
    let front = json(folder, &["front", "--store", "large.db"]);
    let [member] = &front["members"].as_array().unwrap()[..] else { panic!("{front}") };
    let shown = json(folder, &["show", &member["id"].to_string(), "--store", "large.db"]);
    assert_eq!(shown["member"], cell);
    let parameters = |of: &Value| of["accepted"]["parameters"].as_u64().unwrap();
    assert!(parameters(&shown) > 4 * parameters(&found), "{shown}");
    assert!(folder.join("large.front/candidate-1.onnx").is_file());
    check_exit(&run(folder, &["export", "--knee", "--out", "out", "--store", "large.db"]), 0);

    // The same is the same run, another size another.
    check_exit(&search("large.db", &large), 0);
    let larger = search("large.db", &[&large[2..], &["--filters", "6"]].concat());
    check_exit(&larger, 2);
    assert!(stderr(&larger).contains("differs in search.filters;"), "{}", stderr(&larger));
}

#[test]
fn what_a_search_starts_with_comes_first_and_once() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let texts = ["22212220", "00000000", "22212202", "11111111"];
    let starts: Vec<&str> = texts.iter().flat_map(|text| ["--start", text]).collect();
    // More than the budget allows; then the rest, and what the strategy wants.
    check_exit(&run(folder, &in_macro("2candidates", &starts)), 0);
    check_exit(&run(folder, &in_macro("16candidates", &starts)), 0);
    let (choices, differ) = accepted(folder);
    let space = by_name("macro", [1, 8, 8], 10, 1_000).unwrap();
    let read = |text: &&str| space.choices().unwrap().parse(text).unwrap();
    let wanted: Vec<Vec<u8>> = texts.iter().map(read).collect();
    // The third is the first in other words.
    assert_eq!(choices[..3], [0, 1, 3].map(|at| wanted[at].clone()));
    assert!(choices.len() == 16 && differ, "{choices:?}");
    // It goes on without being told them again, but not with others.
    check_exit(&run(folder, &in_macro("20candidates", &[])), 0);
    let other = run(folder, &in_macro("20candidates", &["--start", "00000001"]));
    check_exit(&other, 2);
    assert!(stderr(&other).contains("differs in search.starts;"), "{}", stderr(&other));
}

#[test]
fn sizes_and_starts_that_a_space_does_not_have_are_answered_with_what_it_has() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let cases: [(&str, &str); 9] = [
        ("--repeats 2", "left out: networks of `morphism` grow to any size"),
        ("--space macro --repeats 2", "left out: `macro` has filters alone"),
        ("--space mobile --blocks 3", "left out: `mobile` has repeats and filters alone"),
        ("--space cells --filters 1", "`search.filters` is 1, but must be from 2 to 512"),
        ("--space cells --filters 0", "invalid value '0' for '--filters"),
        ("--start 432103", "name a fixed one with --space"),
        ("--space nb201 --start 12345", "`12345`: 5 choices where the space has 6 decisions"),
        ("--space nb201 --start 000000", "nothing comes through it"),
        ("--space cells --repeats 64 --blocks 10", "too large for these images"),
    ];
    for (flags, wanted) in cases {
        let args: Vec<&str> = ["search", "--dry-run"].into_iter().chain(flags.split(' ')).collect();
        let output = run(folder, &args);
        check_exit(&output, if wanted.contains("too large") { 3 } else { 2 });
        assert!(stderr(&output).contains(wanted), "{flags}: {}", stderr(&output));
    }
    let files = [
        ("space = \"macro\"\nrepeats = 2", "left out: `macro` has filters alone"),
        ("starts = [\"432103\"]", "name a fixed one with --space"),
        ("space = \"nb201\"\nstarts = [\"12345\"]", "5 choices where the space has 6 decisions"),
    ];
    for (lines, wanted) in files {
        fs::write(folder.join("c.toml"), format!("[search]\n{lines}\n")).unwrap();
        let output = run(folder, &["search", "c.toml"]);
        check_exit(&output, 3);
        assert!(stderr(&output).contains(wanted), "{lines}: {}", stderr(&output));
        assert!(!folder.join("citronade.db").exists(), "{lines}");
    }
}

/// Which strategy a search would take.
#[track_caller]
fn strategy(folder: &Path, args: &[&str]) -> String {
    let said = json(folder, &[&["search", "--dry-run"], args].concat());
    said["config"]["search"]["strategy"].as_str().unwrap().to_owned()
}

#[test]
fn the_default_strategy_is_the_one_for_the_space() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    fs::write(folder.join("fixed.toml"), "[search]\nspace = \"mobile\"\n").unwrap();
    fs::write(folder.join("named.toml"), "[search]\nstrategy = \"nsga2\"\n").unwrap();
    let cases: [(&[&str], &str); 6] = [
        (&[], "lemonade"),
        (&["--space", "mobile"], "citron"),
        (&["fixed.toml"], "citron"),
        (&["fixed.toml", "--space", "morphism"], "lemonade"),
        (&["named.toml", "--space", "mobile"], "nsga2"),
        (&["fixed.toml", "--strategy", "random"], "random"),
    ];
    for (args, wanted) in cases {
        assert_eq!(strategy(folder, args), wanted, "{args:?}");
    }
    let loud: Vec<&str> = in_macro("9candidates", &[]);
    let loud: Vec<&str> = loud.into_iter().filter(|arg| *arg != "--quiet").collect();
    let output = run(folder, &loud);
    check_exit(&output, 0);
    assert!(stderr(&output).contains("citron searches in macro"), "{}", stderr(&output));
}

#[test]
fn a_run_of_an_older_version_goes_on_with_the_strategy_that_it_began_with() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    check_exit(&run(folder, &in_macro("8candidates", &["--strategy", "lemonade"])), 0);
    // Stores of then knew of no sizes and starts.
    let database = rusqlite::Connection::open(folder.join("citronade.db")).unwrap();
    let paths = ["repeats", "filters", "blocks", "starts"].map(|key| format!("'$.search.{key}'"));
    let without =
        format!("UPDATE run SET config_json = json_remove(config_json, {})", paths.join(", "));
    assert_eq!(database.execute(&without, []).unwrap(), 1);
    drop(database);
    fs::write(folder.join("file.toml"), "[search]\nspace = \"macro\"\n").unwrap();
    let flags = in_macro("12candidates", &[]);
    let file = [&["file.toml"], &flags[1..]].concat();
    for args in [&flags[1..], &file, &[]] {
        assert_eq!(strategy(folder, args), "lemonade", "{args:?}");
    }
    check_exit(&run(folder, &flags), 0);
    assert_eq!(accepted(folder).0.len(), 12);
    let other = run(folder, &in_macro("12candidates", &["--strategy", "citron"]));
    check_exit(&other, 2);
    assert!(stderr(&other).contains("differs in search.strategy;"), "{}", stderr(&other));
}
