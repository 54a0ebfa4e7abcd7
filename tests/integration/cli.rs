//! Commands other than `search`, on what a real search left.
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::support::program::REPLAYED;
use super::support::program::check_exit;
use super::support::program::citronade;
use super::support::program::run;
use super::support::program::stderr;

/// What a command prints with `--json`.
#[track_caller]
fn json(folder: &Path, args: &[&str]) -> Value {
    let output = run(folder, &[args, &["--json"]].concat());
    check_exit(&output, 0);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What a command prints.
#[track_caller]
fn text(folder: &Path, args: &[&str]) -> String {
    let output = run(folder, args);
    check_exit(&output, 0);
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_command_reads_what_a_search_left() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    check_exit(&run(folder, &REPLAYED), 0);
    let front = json(folder, &["front"]);
    let grown = |m: &&Value| !m["lineage"].as_array().unwrap().is_empty();
    let member = front["members"].as_array().unwrap().iter().find(grown).unwrap();
    let id = member["id"].to_string();

    let shown = json(folder, &["show", &id]);
    let lineage = shown["lineage"].as_array().unwrap();
    assert_eq!(lineage.last().unwrap()["id"], member["id"]);
    let steps: Vec<&Value> =
        lineage.iter().flat_map(|l| l["morphisms"].as_array().unwrap()).collect();
    assert_eq!(steps, member["lineage"].as_array().unwrap().iter().collect::<Vec<_>>());
    assert_eq!(shown["test_error"], member["test_error"]);
    let told = text(folder, &["show", &id]);
    for part in ["validation error", "test error", "lineage", "training"] {
        assert!(told.contains(part), "`{part}` is missing in:\n{told}");
    }

    let exported = text(folder, &["export", &id, "--out", "model"]);
    let card = fs::read_to_string(folder.join(format!("model/candidate-{id}.json"))).unwrap();
    let card: Value = serde_json::from_str(&card).unwrap();
    assert_eq!(exported.lines().count(), 5);
    assert_eq!(card["latency_us"], member["latency_us"]);
    assert_eq!(card["test_error"], member["test_error"]);

    assert_eq!(text(folder, &["report", "--out", "page.html"]).trim(), "page.html");
    let page = fs::read_to_string(folder.join("page.html")).unwrap();
    assert!(page.contains(&format!("{}", member["parameters"])));
    assert_eq!(json(folder, &["gc"])["removed_blobs"], 0);
    assert_eq!(json(folder, &["front"]), front, "what is referred to must stay");
}

#[test]
fn what_a_front_lacks_is_said_with_code_4() {
    let folder = TempDir::new().unwrap();
    check_exit(&run(folder.path(), &REPLAYED), 0);
    for args in [&["show", "999999"][..], &["export", "999999", "--out", "m"]] {
        let output = run(folder.path(), args);
        check_exit(&output, 4);
        assert!(stderr(&output).contains("999999"), "{}", stderr(&output));
    }
    let output = run(folder.path(), &["front", "--device", "pixel"]);
    check_exit(&output, 2);
    assert!(stderr(&output).contains("was measured on local"), "{}", stderr(&output));
}

#[test]
fn what_a_search_would_do_is_told_to_programs_too_and_nothing_is_done() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let said = json(folder, &["search", "--dry-run", "--seed", "7"]);
    let images = ["train", "validation", "test"].map(|part| said[part].as_u64().unwrap());
    assert_eq!(images.iter().sum::<u64>(), 1797);
    assert_eq!((&said["config"]["seed"], &said["run"]), (&Value::from(7), &Value::Null));
    assert_eq!(fs::read_dir(folder).unwrap().count(), 0);
    assert!(text(folder, &["search", "--dry-run"]).starts_with("would begin a new run"));
}

#[test]
fn a_configuration_is_the_same_in_a_file_on_standard_output_and_in_json() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let printed = text(folder, &["init", "--limit", "latency<=8ms", "--out", "-"]);
    let object = json(folder, &["init", "--limit", "latency<=8ms", "--out", "-"]);
    assert_eq!(text(folder, &["init", "--limit", "latency<=8ms"]), "");
    let written = fs::read_to_string(folder.join("citronade.toml")).unwrap();
    assert_eq!(printed.trim(), written.trim());
    assert_eq!(object["config"].as_str().unwrap().trim(), written.trim());
    let again = run(folder, &["init"]);
    check_exit(&again, 2);
    assert!(stderr(&again).contains("is there already"));
    let planned = json(folder, &["search", "citronade.toml", "--dry-run"]);
    assert_eq!(planned["config"]["limits"].as_array().unwrap().len(), 1);
    assert!(written.contains("limits = [\"latency<=8ms\"]"), "{written}");
}

#[test]
fn more_is_said_when_asked_for_and_less_when_not() {
    let said = |flag: &str| {
        let folder = TempDir::new().unwrap();
        let args = REPLAYED.map(|arg| if arg == "--quiet" { flag } else { arg });
        let output = run(folder.path(), &args);
        check_exit(&output, 0);
        stderr(&output)
    };
    let (quiet, one, two) = (said("--quiet"), said("-v"), said("-vv"));
    assert!(one.contains(": trained, error ") && one.contains("candidates "), "{one}");
    assert!(!one.contains("epoch 1, loss"), "{one}");
    assert!(two.contains("epoch 1, loss"), "{two}");
    assert!(!quiet.contains("trained,"), "{quiet}");
}

#[test]
fn lists_manuals_and_help_are_there_for_people_and_programs() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    for (list, name) in [("datasets", "digits"), ("strategies", "lemonade"), ("morphisms", "widen")]
    {
        assert!(text(folder, &[list]).contains(name), "{list}");
        for line in text(folder, &[list, "--json"]).lines() {
            serde_json::from_str::<Value>(line).unwrap();
        }
    }
    let strategies = text(folder, &["strategies"]);
    assert!(strategies.contains("lemonade:density"), "{strategies}");
    // Whatever its name's length, what a strategy does begins in the same column.
    let about = |line: &str| line.len() - line.split_once(' ').unwrap().1.trim_start().len();
    assert_eq!(strategies.lines().map(about).collect::<BTreeSet<_>>().len(), 1, "{strategies}");
    assert!(text(folder, &["man"]).contains(".TH citronade"));
    assert!(text(folder, &["completions", "bash"]).contains("_citronade()"));
    let help = text(folder, &["--help"]);
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names =
        listed.take_while(|line| !line.is_empty()).filter_map(|l| l.split_whitespace().next());
    let names: Vec<&str> = names.filter(|name| *name != "help").collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        let help = text(folder, &[name, "--help"]);
        assert!(help.contains("Example"), "no example in the help of `{name}`");
    }
}

#[test]
fn cleaning_up_makes_no_store_where_there_is_none() {
    let folder = TempDir::new().unwrap();
    let output = run(folder.path(), &["gc", "--store", "typo.db"]);
    check_exit(&output, 3);
    assert!(stderr(&output).contains("typo.db"), "{}", stderr(&output));
    assert!(!folder.path().join("typo.db").exists());
}

#[test]
fn a_file_that_cannot_be_made_is_a_slip_of_the_user() {
    let folder = TempDir::new().unwrap();
    for args in [&["spaces", "mobile", "--svg", "absent/a.svg"][..], &["init", "--out", "absent/c"]]
    {
        let output = run(folder.path(), args);
        check_exit(&output, 2);
        assert!(stderr(&output).contains("cannot write `absent/"), "{}", stderr(&output));
    }
}

#[test]
fn the_doctor_names_a_fix_for_each_finding() {
    let folder = TempDir::new().unwrap();
    let said = text(folder.path(), &["doctor", "--json"]);
    assert!(said.lines().count() > 0);
    for line in said.lines() {
        serde_json::from_str::<Value>(line).unwrap();
    }
}

/// A command with a configuration folder of its own, and without the phones of this machine.
fn configured(folder: &Path, args: &[&str]) -> std::process::Output {
    // With ssh, but without adb, which would leave a server behind.
    let programs = folder.join("bin");
    fs::create_dir_all(&programs).unwrap();
    std::os::unix::fs::symlink("/usr/bin/ssh", programs.join("ssh")).ok();
    let mut command = citronade(folder, args);
    command.env("CITRONADE_CONFIG_DIR", folder.join("config")).env("PATH", programs);
    command.output().unwrap()
}

#[test]
fn devices_are_added_listed_and_used_by_name() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let add =
        ["devices", "add", "bench-pi", "ssh:no-such-host.invalid", "--like", "raspberry-pi-5"];
    let added = configured(folder, &add);
    check_exit(&added, 0);
    let said = stderr(&added);
    assert!(
        said.contains("bench-pi was added, but is offline: bench-pi cannot be reached"),
        "{said}"
    );
    assert!(!said.contains("error:") && !said.contains("cannot measure"), "{said}");
    let again = configured(folder, &add);
    check_exit(&again, 3);
    assert!(stderr(&again).contains("bench-pi"), "{}", stderr(&again));
    let listed = configured(folder, &["devices", "--json"]);
    check_exit(&listed, 0);
    let text = String::from_utf8(listed.stdout).unwrap();
    let rows: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let row = |name: &str| rows.iter().find(|r| r["name"] == name).unwrap();
    assert_eq!(
        (&row("local")["state"], &row("bench-pi")["state"]),
        (&"ready".into(), &"offline".into())
    );
    assert!(row("bench-pi")["fix"].as_str().unwrap().contains("ssh HOST"), "{text}");
    fs::write(folder.join("m.onnx"), citronade::agent::TINY_MODEL).unwrap();
    let measured = configured(folder, &["measure", "m.onnx", "--device", "bench-pi"]);
    check_exit(&measured, 12);
    assert!(stderr(&measured).contains("bench-pi cannot be reached"), "{}", stderr(&measured));
    let unknown = configured(folder, &["measure", "m.onnx", "--device", "bench-pj"]);
    check_exit(&unknown, 12);
}

#[test]
fn a_check_of_this_machine_says_what_it_is_and_measures() {
    let folder = TempDir::new().unwrap();
    let checked = configured(folder.path(), &["devices", "check", "local", "--json"]);
    check_exit(&checked, 0);
    let checked: Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(
        (&checked["schema"], &checked["state"]),
        (&"citronade.device.v1".into(), &"ready".into())
    );
    assert!(checked["reference_p50_us"].as_f64().unwrap() > 0.0);
    assert!(checked["facts"]["cores"].as_u64().unwrap() > 0);
}

#[test]
fn spaces_are_listed_and_a_member_of_each_is_drawn() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let listed = run(folder, &["spaces", "--json"]);
    check_exit(&listed, 0);
    let listed: Vec<Value> = String::from_utf8(listed.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told = text(folder, &["spaces"]);
    let (heads, members): (Vec<&str>, Vec<&str>) =
        told.lines().partition(|line| !line.starts_with(' '));
    assert_eq!((heads.len(), members.len()), (listed.len(), listed.len() - 1));
    assert!(members.iter().all(|line| line.chars().count() <= 100), "{told}");
    let mut members = members.into_iter().map(|line| line.trim().trim_end_matches('…'));
    for (line, space) in heads.into_iter().zip(&listed) {
        let name = space["name"].as_str().unwrap();
        assert!(line.starts_with(name), "{line}");
        assert_eq!(space["log10_size"].is_null(), name == "morphism");
        let shown = json(folder, &["spaces", name, "--svg", "member.svg"]);
        let drawn = text(folder, &["spaces", name]);
        for drawing in shown["drawings"].as_array().unwrap() {
            assert!(drawn.contains(drawing.as_str().unwrap()), "{drawn}");
        }
        let svg = fs::read_to_string(folder.join("member.svg")).unwrap();
        assert!(svg.starts_with("<svg") && svg.matches("<rect").count() > 2, "{svg}");
        assert_eq!(shown["member"], space["member"]);
        let Some(member) = shown["member"].as_str() else { continue };
        assert!(member.starts_with(members.next().unwrap()), "{told}");
        let again = json(folder, &["spaces", name, "--member", member]);
        assert_eq!(again["choices"], shown["choices"]);
        assert_ne!(json(folder, &["spaces", name, "--seed", "1"])["member"], member);
    }
}

#[test]
fn a_space_or_member_that_is_not_there_is_answered_with_a_way_out() {
    let folder = TempDir::new().unwrap();
    let cases: [(&[&str], &str); 5] = [
        (&["spaces", "dart-cells"], "did you mean `darts-cells`?"),
        (&["spaces", "transformers"], "there are morphism, nb201, cells"),
        (&["spaces", "macro", "--member", "22212223"], "decision 7 has options 0 to 2, not 3"),
        (&["spaces", "nb201", "--member", "000000"], "nothing comes through"),
        (&["spaces", "morphism", "--member", "x"], "leave out --member"),
    ];
    for (args, wanted) in cases {
        let output = run(folder.path(), args);
        check_exit(&output, 2);
        assert!(stderr(&output).contains(wanted), "{args:?}: {}", stderr(&output));
    }
}
