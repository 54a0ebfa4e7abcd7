//! Runs a command beside the tests' phone: `cargo bench --bench test_phone -- COMMAND…`, in which `PHONE` stands for
//! the address of a phone that is this machine behind the real `adb`.
//!
//! A phone's lock is in `/data/local/tmp`, which is made here if that is allowed.
#![expect(clippy::print_stderr, reason = "a command is told what it lacks")]
#![expect(clippy::unwrap_used, reason = "without a phone there is nothing to run")]
use std::process::Command;
use std::process::ExitCode;

#[expect(dead_code, unused_imports, reason = "tests use all of it")]
#[path = "../tests/integration/support/adbd/mod.rs"]
mod adbd;
#[path = "../tests/integration/support/skipped.rs"]
mod skipped;

fn main() -> ExitCode {
    let words = std::env::args().skip(1).filter(|word| word != "--bench");
    let Some(server) = adbd::AdbServer::start() else { return ExitCode::FAILURE };
    let phone = adbd::Phone::start();
    let address = format!("adb:{}", phone.serial());
    let mut words = words.map(|word| word.replace("PHONE", &address));
    let Some(program) = words.next() else {
        eprintln!("usage: cargo bench --bench test_phone -- COMMAND…, with PHONE for the device");
        return ExitCode::FAILURE;
    };
    if let Err(error) = std::fs::create_dir_all(adbd::FOLDER) {
        eprintln!("there is no {} on this machine, where a phone is locked: {error}", adbd::FOLDER);
        return ExitCode::FAILURE;
    }
    let status = Command::new(program).args(words).envs(server.variables()).status().unwrap();
    ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1))
}
