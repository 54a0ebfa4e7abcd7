//! A search from end to end: real processes, a real store; a formula in place of training and a
//! metronome in place of a runtime where the same run must come out twice.
use std::fs;
use std::path::Path;
use std::process::Child;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use citronade::store::Reader;
use citronade::store::Record;
use serde_json::Value;
use tempfile::TempDir;

use super::support::program::REPLAYED;
use super::support::program::check_exit;
use super::support::program::citronade;
use super::support::program::run;
use super::support::program::stderr;

/// The records of the newest run.
fn records(folder: &Path) -> Vec<Record> {
    let reader = Reader::open(&folder.join("citronade.db")).unwrap();
    let newest = reader.newest_run().unwrap().unwrap();
    reader.records(&newest.id).unwrap()
}

/// All that a run decided, without the times at which it did.
fn archive(folder: &Path) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for record in records(folder) {
        let mut value = serde_json::to_value(&record).unwrap();
        let fields = value.as_object_mut().unwrap().values_mut().next().unwrap();
        // Times, real memory, and what the machine was doing beside.
        for other in ["at_s", "train_s", "json", "memory_bytes", "verdict"] {
            fields.as_object_mut().unwrap().remove(other);
        }
        lines.push(value.to_string());
    }
    lines.sort();
    lines
}

#[track_caller]
fn check_same(found: &[String], expected: &[String]) {
    let other = found.iter().zip(expected).find(|(a, b)| a != b);
    assert_eq!(other, None);
    assert_eq!(found.len(), expected.len());
}

/// Waits until `child` ends, at most `limit`; true if it did.
fn ends_within(child: &mut Child, limit: Duration) -> bool {
    let until = Instant::now() + limit;
    while Instant::now() < until {
        if child.try_wait().unwrap().is_some() {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

/// At 50 moments or more, over as many runs as that takes.
#[test]
fn a_run_that_is_killed_again_and_again_ends_as_the_undisturbed_one() {
    let undisturbed = TempDir::new().unwrap();
    check_exit(&run(undisturbed.path(), &REPLAYED), 0);
    let expected = archive(undisturbed.path());
    assert!(expected.len() > 60, "{}", expected.len());

    let mut kills = 0;
    while kills < 50 {
        let disturbed = TempDir::new().unwrap();
        let before = kills;
        kills += kill_until_it_ends(disturbed.path(), kills);
        assert!(kills > before, "the run ended before it was killed");
        check_exit(&run(disturbed.path(), &REPLAYED), 0);
        check_same(&archive(disturbed.path()), &expected);
        let database = rusqlite::Connection::open(disturbed.path().join("citronade.db")).unwrap();
        let whole: String = database.query_row("PRAGMA integrity_check", [], |r| r.get(0)).unwrap();
        assert_eq!(whole, "ok");
    }
}

/// Starts the run again and again and kills it until it gets through; how often it was killed.
fn kill_until_it_ends(folder: &Path, first: u64) -> u64 {
    for turn in 0.. {
        let mut child = citronade(folder, &REPLAYED).stderr(Stdio::null()).spawn().unwrap();
        // Moments spread over a run by the golden ratio; later turns get further.
        let spread = (first + turn) * 618_034 % 1_000_000 / 1_000;
        if ends_within(&mut child, Duration::from_millis(100 + turn * 20 + spread)) {
            return turn;
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    unreachable!("turns do not end")
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    let archives = [["--seed", "3"], ["--seed", "3"], ["--seed", "4"]].map(|seed| {
        let folder = TempDir::new().unwrap();
        check_exit(&run(folder.path(), &[&REPLAYED[..], &seed[..]].concat()), 0);
        archive(folder.path())
    });
    check_same(&archives[0], &archives[1]);
    assert_ne!(archives[0], archives[2]);
}

#[test]
fn a_search_on_two_devices_gives_a_front_a_page_and_files_for_each() {
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("config");
    fs::create_dir(&config).unwrap();
    fs::write(config.join("devices.toml"), "[device.twin]\ntransport = \"local\"\n").unwrap();
    let tool = |args: &[&str]| {
        citronade(folder.path(), args).env("CITRONADE_CONFIG_DIR", &config).output().unwrap()
    };
    check_exit(&tool(&[&REPLAYED[..], &["--device", "local,twin", "--json"]].concat()), 0);
    let which = tool(&["front"]);
    check_exit(&which, 2);
    assert!(stderr(&which).contains("--device local or --device twin"), "{}", stderr(&which));
    check_exit(&tool(&["front", "--device", "another"]), 2);
    for device in ["local", "twin"] {
        let front = tool(&["front", "--device", device, "--json"]);
        check_exit(&front, 0);
        let front: Value = serde_json::from_slice(&front.stdout).unwrap();
        assert_eq!(front["device"], device);
        for member in front["members"].as_array().unwrap() {
            let file = format!("citronade.{device}.front/candidate-{}.onnx", member["id"]);
            assert!(folder.path().join(&file).is_file(), "{file}");
        }
        let page = fs::read_to_string(folder.path().join(format!("citronade.{device}.html")));
        assert!(page.unwrap().contains(&format!("on {device}")));
        check_exit(&tool(&["export", "--knee", "--device", device, "--out", device]), 0);
    }
    check_exit(&tool(&["export", "--knee", "--out", "neither"]), 2);
    // The same command finds the run finished; fewer devices are another run.
    check_exit(&tool(&[&REPLAYED[..], &["--device", "local,twin"]].concat()), 0);
    check_exit(&tool(&[&REPLAYED[..], &["--device", "local"]].concat()), 2);
}

#[test]
fn the_latency_after_a_time_without_a_pause_can_be_minimised() {
    let folder = TempDir::new().unwrap();
    let formula = ["search", "--trainer", "formula", "--objectives", "error,latency", "--quiet"];
    let args = ["--sustained", "1s", "--budget", "4candidates"];
    check_exit(&run(folder.path(), &[&formula[..], &args[..]].concat()), 0);
    for record in records(folder.path()) {
        let Record::Measured(measured) = record else { continue };
        let document: Value = serde_json::from_str(&measured.json).unwrap();
        let curve = document["sustained"]["curve"].as_array().unwrap();
        let end = &curve[curve.len() - curve.len() / 10..];
        let [low, high] = measured.latency_interval_us;
        let within = |point: &&Value| (low..=high).contains(&point[1].as_f64().unwrap());
        assert_eq!(end.iter().filter(within).count(), end.len());
        assert!((low..=high).contains(&measured.latency_us));
    }
    let front = String::from_utf8(run(folder.path(), &["front"]).stdout).unwrap();
    assert!(front.contains("latency after 1 s without a pause"), "{front}");
}

#[test]
fn digits_are_searched_trained_measured_and_exported_for_real() {
    let folder = TempDir::new().unwrap();
    let args = ["search", "--budget", "16candidates", "--json", "--quiet"];
    let output = run(folder.path(), &args);
    check_exit(&output, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    let front: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(front["schema"], "citronade.front.v1");
    let members = front["members"].as_array().unwrap();
    assert!(!members.is_empty());
    let best = members.iter().map(|m| m["error"].as_f64().unwrap()).fold(1.0, f64::min);
    assert!(best < 0.1, "the best error is {best}");
    for member in members {
        assert!(member["latency_us"].as_f64().unwrap() > 0.0);
        assert!(member["test_error"].as_f64().is_some(), "{member}");
        let onnx = folder.path().join(member["onnx"].as_str().unwrap());
        assert_eq!(fs::metadata(onnx).unwrap().len(), member["model_bytes"].as_u64().unwrap());
        let exported = folder.path().join("citronade.front");
        let file = exported.join(format!("candidate-{}.onnx", member["id"]));
        let network = citronade::onnx::read(&fs::read(file).unwrap()).unwrap();
        assert_eq!(network.graph.input_shape(), [1, 8, 8]);
    }
    for file in ["citronade.html", "citronade.svg"] {
        assert!(fs::metadata(folder.path().join(file)).unwrap().len() > 1000, "{file}");
    }
    check_first_files_are_as_large_as_trained_ones(&records(folder.path()));
    let again = run(folder.path(), &args);
    check_exit(&again, 0);
}

/// Of a file without the trained one's metadata, memory and size would be too low in the first round.
#[track_caller]
fn check_first_files_are_as_large_as_trained_ones(records: &[Record]) {
    let rounds: Vec<(u64, u32, u64)> = records
        .iter()
        .filter_map(|record| match record {
            Record::Measured(m) => Some((m.candidate, m.round, m.model_bytes)),
            _ => None,
        })
        .collect();
    let repeats: Vec<_> = rounds.iter().filter(|(_, round, _)| *round > 0).collect();
    assert!(!repeats.is_empty());
    for (id, round, bytes) in repeats {
        assert!(rounds.contains(&(*id, 0, *bytes)), "round {round} of {id}: {bytes} bytes");
    }
}

#[test]
fn every_candidate_is_accounted_for_once() {
    let folder = TempDir::new().unwrap();
    check_exit(&run(folder.path(), &REPLAYED), 0);
    let records = records(folder.path());
    let mut accepted = 0;
    let mut finished = std::collections::BTreeSet::new();
    let mut told = std::collections::BTreeSet::new();
    for record in &records {
        match record {
            Record::Accepted(_) => accepted += 1,
            Record::Trained(r) => assert!(finished.insert(r.candidate)),
            Record::Ended(r) => assert!(finished.insert(r.candidate)),
            Record::Told(r) => r.candidates.iter().for_each(|id| assert!(told.insert(*id))),
            Record::Measured(_) | Record::Tested { .. } => {}
        }
    }
    assert_eq!(accepted, 24);
    assert_eq!(finished.len(), 24);
    assert_eq!(told, finished);
}

#[test]
fn a_limit_that_no_network_meets_is_answered_with_by_how_much() {
    let folder = TempDir::new().unwrap();
    let args = ["search", "--limit", "latency<=1us", "--runtime", "metronome", "--quiet"];
    let output = run(folder.path(), &args);
    check_exit(&output, 3);
    let text = stderr(&output);
    assert!(text.contains("latency<=1.0 µs") && text.contains("times as much"), "{text}");
    assert!(text.contains("hint: raise the limit"), "{text}");
}

#[test]
fn an_empty_front_names_no_folder_of_files() {
    let folder = TempDir::new().unwrap();
    let output = run(folder.path(), &[&REPLAYED[..], &["--budget", "1ms"]].concat());
    check_exit(&output, 4);
    let said = stderr(&output);
    assert!(said.contains("report ") && !said.contains("ONNX files"), "{said}");
}

#[test]
fn a_front_on_which_nothing_keeps_the_limit_on_the_error_says_so() {
    let folder = TempDir::new().unwrap();
    let limited = |limit| {
        let arguments = ["--new", "--budget", "8candidates", "--limit", limit];
        let output = run(folder.path(), &[&REPLAYED[..], &arguments].concat());
        check_exit(&output, 0);
        String::from_utf8(output.stdout).unwrap().contains("keeps the limit on the error yet")
    };
    assert!(limited("error<=0.01%"));
    assert!(!limited("error<=99%"));
}

#[test]
fn a_second_search_in_the_same_store_is_refused() {
    let folder = TempDir::new().unwrap();
    let mut first = citronade(folder.path(), &["search", "--budget", "10min"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let said = std::io::BufReader::new(first.stderr.take().unwrap());
    let mut lines = std::io::BufRead::lines(said).map_while(Result::ok);
    assert!(lines.any(|line| line.contains("measuring the seeds")));
    let second = run(folder.path(), &["search", "--budget", "10min", "--new"]);
    first.kill().unwrap();
    first.wait().unwrap();
    check_exit(&second, 20);
}

#[test]
fn an_interrupted_search_says_how_to_go_on() {
    let folder = TempDir::new().unwrap();
    let mut child = citronade(folder.path(), &["search", "--budget", "10min"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut said = std::io::BufReader::new(child.stderr.take().unwrap());
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut said, &mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{text}");
    assert!(text.contains("go on with: citronade search"), "{text}");
}

#[test]
fn another_configuration_is_not_mixed_into_a_run() {
    let folder = TempDir::new().unwrap();
    check_exit(&run(folder.path(), &REPLAYED), 0);
    let output = run(folder.path(), &[&REPLAYED[..], &["--seed", "9"]].concat());
    check_exit(&output, 2);
    assert!(stderr(&output).contains("differs in seed;"), "{}", stderr(&output));
    let others = ["--strategy", "random", "--space", "mobile", "--limit", "latency<=8ms"];
    let output = run(folder.path(), &[&REPLAYED[..], &others].concat());
    check_exit(&output, 2);
    let keys = "differs in limits, search.space, search.strategy; add --new";
    assert!(stderr(&output).contains(keys), "{}", stderr(&output));
}

#[test]
fn slips_are_answered_with_what_was_meant() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("c.toml"), "[serch]\nstrategy = \"random\"\n").unwrap();
    let output = run(folder.path(), &["search", "c.toml"]);
    check_exit(&output, 3);
    assert!(stderr(&output).contains("did you mean `search`?"), "{}", stderr(&output));

    fs::write(folder.path().join("c.toml"), "[search]\nstrategy = \"lemonad\"\n").unwrap();
    let output = run(folder.path(), &["search", "c.toml"]);
    check_exit(&output, 3);
    assert!(stderr(&output).contains("did you mean `lemonade`?"), "{}", stderr(&output));
    for (flag, slip, meant) in
        [("--strategy", "lemonad", "lemonade"), ("--space", "mobil", "mobile")]
    {
        let output = run(folder.path(), &["search", flag, slip]);
        check_exit(&output, 2);
        let wanted = format!("a similar value exists: '{meant}'");
        assert!(stderr(&output).contains(&wanted), "{}", stderr(&output));
    }

    let output = run(folder.path(), &["search", "--data", "no-such-folder"]);
    check_exit(&output, 3);
    check_exit(&run(folder.path(), &["search", "--limit", "latency=8ms"]), 2);
    check_exit(&run(folder.path(), &["front"]), 3);
    check_exit(&run(folder.path(), &["fornt"]), 2);
}

#[test]
fn random_and_the_ablation_search_too() {
    for flags in [&["--strategy", "random"][..], &["--no-inherit"], &["--acceptance", "density"]] {
        let folder = TempDir::new().unwrap();
        check_exit(&run(folder.path(), &[&REPLAYED[..], flags].concat()), 0);
        assert!(archive(folder.path()).len() > 40, "{flags:?}");
    }
}

#[test]
fn without_inheritance_no_strategy_has_parents() {
    for strategy in ["lemonade", "nsga2"] {
        let folder = TempDir::new().unwrap();
        let flags = ["--strategy", strategy, "--no-inherit"];
        check_exit(&run(folder.path(), &[&REPLAYED[..], &flags].concat()), 0);
        for record in records(folder.path()) {
            if let Record::Accepted(accepted) = record {
                assert_eq!((accepted.parent, accepted.steps.len()), (None, 0), "{strategy}");
            }
        }
    }
}

/// The members of the front of the store in `folder`.
fn members(folder: &Path) -> Vec<Value> {
    let front = run(folder, &["front", "--json"]);
    let front: Value = serde_json::from_slice(&front.stdout).unwrap();
    front["members"].as_array().unwrap().clone()
}

/// Arguments of a search without training, with these in place of its budget.
fn without_training<'a>(budget: &[&'a str]) -> Vec<&'a str> {
    let replayed = REPLAYED.into_iter().filter(|a| !["--budget", "24candidates"].contains(a));
    replayed.chain(budget.iter().copied()).collect()
}

#[test]
fn a_budget_below_the_number_of_seeds_is_kept_and_can_be_raised() {
    let folder = TempDir::new().unwrap();
    check_exit(&run(folder.path(), &without_training(&["--budget", "3candidates"])), 0);
    let accepted = |lines: &[String]| lines.iter().filter(|l| l.contains("\"arch\"")).count();
    assert_eq!(accepted(&archive(folder.path())), 3);
    check_exit(&run(folder.path(), &without_training(&["--budget", "20candidates"])), 0);
    assert_eq!(accepted(&archive(folder.path())), 20);
}

#[test]
fn a_run_that_time_cut_off_among_its_seeds_goes_on_with_them() {
    let folder = TempDir::new().unwrap();
    let cut = run(folder.path(), &without_training(&["--budget", "1ms"]));
    assert!([Some(0), Some(4)].contains(&cut.status.code()), "{}", stderr(&cut));
    check_exit(&run(folder.path(), &without_training(&["--budget", "24candidates"])), 0);
    let smallest = members(folder.path()).iter().map(|m| m["parameters"].as_u64().unwrap()).min();
    assert!(smallest.unwrap() <= 650, "a seed is on the front: {smallest:?}");
}

#[test]
fn a_budget_of_epochs_leaves_no_candidate_open() {
    let folder = TempDir::new().unwrap();
    check_exit(&run(folder.path(), &without_training(&["--budget", "100epochs"])), 0);
    let (mut accepted, mut told) = (0, 0);
    for record in records(folder.path()) {
        match record {
            Record::Accepted(_) => accepted += 1,
            Record::Told(r) => told += r.candidates.len(),
            _ => {}
        }
    }
    assert!(accepted > 0);
    assert_eq!(accepted, told);
}

#[test]
fn the_front_is_trained_on_before_a_time_budget_ends() {
    let folder = TempDir::new().unwrap();
    check_exit(&run(folder.path(), &without_training(&["--budget", "12s"])), 0);
    let records = records(folder.path());
    let refined: Vec<u64> = records
        .iter()
        .filter_map(|record| match record {
            Record::Accepted(a) if a.parent.is_some() && a.steps.is_empty() => Some(a.candidate),
            _ => None,
        })
        .collect();
    assert!(!refined.is_empty());
    let show = run(folder.path(), &["show", &refined[0].to_string()]);
    let text = String::from_utf8(show.stdout).unwrap();
    assert!(text.contains("trained on"), "{text}");
}

#[test]
fn the_same_command_with_a_limit_goes_on() {
    let folder = TempDir::new().unwrap();
    let limited = [&REPLAYED[..], &["--limit", "latency<=80ms"]].concat();
    check_exit(&run(folder.path(), &limited), 0);
    check_exit(&run(folder.path(), &limited), 0);
}

#[test]
fn a_run_goes_on_with_its_runtime_or_not_at_all() {
    let folder = TempDir::new().unwrap();
    check_exit(&run(folder.path(), &REPLAYED), 0);
    let before = archive(folder.path());
    let database = rusqlite::Connection::open(folder.path().join("citronade.db")).unwrap();
    database.execute("UPDATE device SET runtime = 'sundial 1.0'", []).unwrap();
    drop(database);
    let output = run(folder.path(), &without_training(&["--budget", "40candidates"]));
    check_exit(&output, 12);
    assert!(stderr(&output).contains("sundial 1.0"), "{}", stderr(&output));
    check_same(&archive(folder.path()), &before);
}

/// Another version of the runtime, or another device under the same name: the way out is another run.
#[test]
fn a_run_goes_on_with_the_version_and_on_the_device_that_it_was_measured_with() {
    let folder = TempDir::new().unwrap();
    check_exit(&run(folder.path(), &REPLAYED), 0);
    let before = archive(folder.path());
    let change = |sql: &str| {
        let database = rusqlite::Connection::open(folder.path().join("citronade.db")).unwrap();
        assert!(database.execute(sql, []).unwrap() > 0, "{sql}");
    };
    let go_on = || run(folder.path(), &without_training(&["--budget", "40candidates"]));
    let version = format!("metronome {}", env!("CARGO_PKG_VERSION"));
    let facts = |path: &str, value: &str| {
        format!("UPDATE measurement_raw SET json = json_set(json, '$.facts.{path}', {value})")
    };
    let runtime = |name: &str| format!("UPDATE device SET runtime = '{name}'");
    let arch = format!("'{}'", std::env::consts::ARCH);
    let cases = [
        (runtime("metronome 0.0.1"), "with metronome 0.0.1", runtime(&version)),
        (facts("arch", "'pdp11'"), "(pdp11", facts("arch", &arch)),
        (facts("cores", "4095"), "4095 cores)", facts("cores", "null")),
    ];
    for (other, told, own) in cases {
        change(&other);
        let output = go_on();
        check_exit(&output, 12);
        let said = stderr(&output);
        assert!(said.contains(told) && said.contains("--new"), "{said}");
        assert!(said.contains(&format!("this is {version} ({}", std::env::consts::ARCH)), "{said}");
        change(&own);
        check_same(&archive(folder.path()), &before);
    }
    // What the store does not know is no reason.
    check_exit(&go_on(), 0);
}

#[test]
fn an_unknown_device_and_a_model_that_is_no_file_are_named() {
    let folder = TempDir::new().unwrap();
    for args in
        [&["search", "--device", "pixel8"][..], &["measure", "m.onnx", "--device", "pixel8"]]
    {
        let output = run(folder.path(), args);
        check_exit(&output, 12);
        assert!(stderr(&output).contains("hint: leave `--device` out"), "{}", stderr(&output));
    }
    let output = run(folder.path(), &["measure", "/dev/zero"]);
    check_exit(&output, 3);
    assert!(stderr(&output).contains("not a regular file"), "{}", stderr(&output));
}
