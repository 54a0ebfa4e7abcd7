//! What is not tried here, since something is missing.
use std::env;
use std::fs::File;
use std::io::Write;

/// Says what is not tried, and why: on standard error, and in the file that `CITRONADE_TEST_SKIPS` names, of
/// which `tests/run` tells in the end. With `CITRONADE_TEST_ALL` the test fails instead.
#[track_caller]
pub fn not_tried(reason: &str) {
    assert!(env::var_os("CITRONADE_TEST_ALL").is_none(), "{reason}");
    eprintln!("{reason}");
    if let Some(path) = env::var_os("CITRONADE_TEST_SKIPS") {
        let mut list = File::options().append(true).create(true).open(path).unwrap();
        list.write_all(format!("{reason}\n").as_bytes()).unwrap();
    }
}
