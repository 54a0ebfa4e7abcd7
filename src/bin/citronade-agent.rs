//! The runner on a device: JSON lines on standard input and output.
use std::env;
use std::io;
use std::io::Write;
use std::process::ExitCode;

use citronade::agent;

const USAGE: &str = "usage: citronade-agent [--version | --self-test]
Without arguments: one JSON request a line on standard input, one answer a line on standard output.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] | ["agent"] => agent::main_loop(),
        ["--version"] => say(concat!("citronade-agent ", env!("CARGO_PKG_VERSION"), "\n")),
        ["--help"] => say(USAGE),
        ["--self-test"] => self_test(),
        _ => complain(USAGE, 2),
    }
}

fn self_test() -> ExitCode {
    match agent::self_test(&agent::Installed) {
        Ok(lines) => say(&(lines.join("\n") + "\n")),
        Err(error) => complain(&format!("error: {error}\n"), 1),
    }
}

fn say(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn complain(text: &str, code: u8) -> ExitCode {
    // There is nobody left to tell if this fails.
    io::stderr().write_all(text.as_bytes()).ok();
    ExitCode::from(code)
}
