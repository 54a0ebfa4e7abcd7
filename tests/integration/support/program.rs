//! The program itself, as a user starts it.
use std::path::Path;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

/// The program in `folder`, not started yet.
pub fn citronade(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_citronade"));
    command.current_dir(folder).args(args).stdin(Stdio::null());
    // Measurements of other tests need not be waited for.
    command.env("CITRONADE_LOCK_DIR", folder);
    // What they learn of this machine's health neither.
    command.env("CITRONADE_STATE_DIR", folder.join("state"));
    command
}

/// The program in `folder`, run to its end.
pub fn run(folder: &Path, args: &[&str]) -> Output {
    citronade(folder, args).output().unwrap()
}

/// The exit code is as expected.
#[track_caller]
pub fn check_exit(output: &Output, code: i32) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
}

/// What went to standard error.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A search whose results depend on nothing but its seed.
pub const REPLAYED: [&str; 10] = [
    "search",
    "--trainer",
    "formula",
    "--runtime",
    "metronome",
    "--objectives",
    "error,latency,parameters",
    "--budget",
    "24candidates",
    "--quiet",
];
