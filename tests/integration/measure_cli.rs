//! `citronade measure`, as a user types it.
use std::fs;
use std::path::Path;
use std::process::Output;

use citronade::agent::TINY_MODEL;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::models;
use crate::support::program::check_exit;
use crate::support::program::citronade;
use crate::support::program::stderr;
use crate::support::python::onnx_runtime;

/// `measure m.onnx`, with a library of ONNX Runtime that is nowhere else looked for.
fn measure(folder: &Path, library: &Path, args: &[&str]) -> Output {
    let args = [&["measure", "m.onnx", "--level", "screen"], args].concat();
    citronade(folder, &args).env("ORT_DYLIB_PATH", library).output().unwrap()
}

fn folder_with(model: &[u8]) -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("m.onnx"), model).unwrap();
    folder
}

#[test]
fn a_model_that_never_ends_is_to_blame_and_the_device_is_used_on() {
    let folder = folder_with(TINY_MODEL);
    let library = onnx_runtime();
    let nowhere = Path::new("/nowhere/lib.so");
    let measured = |model: &[u8], runtime: &str, more: &[&str]| {
        fs::write(folder.path().join("m.onnx"), model).unwrap();
        let args = [&["--runtime", runtime], more].concat();
        measure(folder.path(), library.as_deref().unwrap_or(nowhere), &args)
    };
    for (runtime, endless) in [("tract", models::powers(60)), ("ort", models::doubled(i64::MAX))] {
        if runtime == "ort" && library.is_none() {
            continue;
        }
        // Three faults of the device would be a quarantine.
        for _ in 0..3 {
            let output = measured(&endless, runtime, &["--deadline", "3s"]);
            check_exit(&output, 3);
            let said = stderr(&output);
            assert!(said.contains("no answer within 3 s") && said.contains("--deadline"), "{said}");
        }
        check_exit(&measured(TINY_MODEL, runtime, &[]), 0);
    }
    let hasty = measured(TINY_MODEL, "tract", &["--deadline", "1s"]);
    check_exit(&hasty, 2);
    assert!(stderr(&hasty).contains("is given 2.990 s to "), "{}", stderr(&hasty));
}

#[test]
fn outputs_that_nothing_here_can_check_are_among_the_reasons() {
    let Some(library) = onnx_runtime() else { return };
    let folder = folder_with(&models::doubled(10));
    let measured = |more: &[&str]| {
        let output = measure(folder.path(), &library, &[&["--runtime", "ort"], more].concat());
        check_exit(&output, 0);
        String::from_utf8(output.stdout).unwrap()
    };
    let reason = "its outputs were not compared with this machine's: ";
    assert!(measured(&[]).contains(reason));
    let json: Value = serde_json::from_str(&measured(&["--json"])).unwrap();
    let reasons = json["reasons"].as_array().unwrap();
    let told = reasons.iter().find_map(|r| r.as_str().unwrap().strip_prefix(reason)).unwrap();
    assert!(told.contains("Loop"), "{told}");
    assert_eq!((&json["outputs"], &json["outputs_not_compared"]), (&Value::Null, &told.into()));
}

#[test]
fn a_provider_that_is_not_there_is_refused_and_never_replaced() {
    let folder = folder_with(TINY_MODEL);
    let library = onnx_runtime();
    let nowhere = Path::new("/nowhere/lib.so");
    let (no_name, no_such) = ("invalid value 'xnpack'", "no execution provider `nnapi`, only: cpu");
    let mut cases = vec![
        (nowhere, &["--provider", "xnpack"][..], 2, no_name),
        (nowhere, &["--provider", "cpu"], 2, "`tract` has no execution providers"),
        (nowhere, &["--runtime", "ort", "--provider", "cpu"], 12, "`/nowhere/lib.so`"),
        (nowhere, &["--runtime", "ort"], 12, "hint: `--runtime tract`"),
        (nowhere, &["--runtime", "tract:cpu"], 12, "it has no execution providers"),
    ];
    if let Some(library) = &library {
        cases.push((library, &["--runtime", "ort", "--provider", "nnapi"], 12, no_such));
        cases.push((library, &["--runtime", "ort", "--provider", "cpu"], 0, ""));
    }
    for (library, args, code, told) in cases {
        let output = measure(folder.path(), library, args);
        check_exit(&output, code);
        assert!(stderr(&output).contains(told), "{args:?}: {}", stderr(&output));
        assert_eq!(output.stdout.is_empty(), code != 0, "{args:?}");
    }
}

/// Whether by a flag or in the configuration.
#[test]
fn a_search_whose_runtime_is_not_there_does_not_begin_with_another() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("ort.toml"), "runtime = \"ort\"\n").unwrap();
    for args in [&["search", "--runtime", "ort"][..], &["search", "ort.toml"]] {
        let args = [args, &["--budget", "1candidates"]].concat();
        let mut search = citronade(folder.path(), &args);
        let output = search.env("ORT_DYLIB_PATH", "/nowhere/lib.so").output().unwrap();
        check_exit(&output, 12);
        assert!(stderr(&output).contains("names `/nowhere/lib.so`"), "{}", stderr(&output));
        assert!(!folder.path().join("citronade.db").exists(), "nothing was begun");
    }
}
