//! ONNX's own checker and ONNX Runtime, by Python.
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use citronade::graph::Network;
use citronade::graph::eval;
use citronade::onnx::Batch;
use citronade::onnx::ExportOptions;
use citronade::onnx::export;

use crate::support::skipped::not_tried;

/// Networks with a name, the batch of their file, and images of one run.
pub type Case = (String, Network, Batch, Vec<Vec<f32>>);

/// Asserts that ONNX's checker accepts the networks as exported, and that ONNX Runtime computes what
/// the reference computes; says so where there is no Python with both.
#[track_caller]
pub fn check_with_onnx_runtime(cases: impl Iterator<Item = Case>) {
    let Some(python) = python() else {
        assert!(env::var_os("CITRONADE_TEST_PYTHON").is_none(), "the given Python has no onnx");
        not_tried("not checked: no Python with onnx and onnxruntime, see tests/python");
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    for (name, network, batch, samples) in cases {
        let output: Vec<f32> = samples.iter().flat_map(|s| eval(&network, s)).collect();
        let model = export(&network, &ExportOptions { batch, ..Default::default() });
        let case = serde_json::json!({ "input": samples.concat(), "output": output });
        let path = directory.path().join(format!("{name}.onnx"));
        fs::write(&path, model).unwrap();
        fs::write(path.with_extension("json"), case.to_string()).unwrap();
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/check_onnx.py");
    let checked = Command::new(python).arg(script).arg(directory.path()).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{said}");
}

/// ONNX Runtime's library in the Python package of the tests; says so where there is none.
pub fn onnx_runtime() -> Option<PathBuf> {
    let Some(python) = env::var_os("CITRONADE_TEST_PYTHON") else {
        not_tried("not tried: no Python with onnxruntime, see tests/python");
        return None;
    };
    let find = "import glob, onnxruntime, os; \
                print(glob.glob(os.path.dirname(onnxruntime.__file__) + '/capi/libonnxruntime.so*')[0])";
    let found = Command::new(python).args(["-c", find]).output().unwrap();
    assert!(found.status.success(), "the given Python has no onnxruntime");
    Some(PathBuf::from(String::from_utf8(found.stdout).unwrap().trim()))
}

/// A Python that has the packages of `tests/python/requirements.txt`, if there is one.
fn python() -> Option<OsString> {
    let python = env::var_os("CITRONADE_TEST_PYTHON").unwrap_or("python3".into());
    let imports = "import numpy, onnx, onnxruntime";
    let found = Command::new(&python).args(["-c", imports]).stderr(Stdio::null()).status();
    found.is_ok_and(|status| status.success()).then_some(python)
}
