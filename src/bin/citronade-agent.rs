//! The runner on a device: JSON lines on standard input and output.
use std::env;
use std::io;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use citronade::agent;

const USAGE: &str = "usage: citronade-agent [--version | --self-test]
Without arguments: one JSON request a line on standard input, one answer a line on standard output.
For files that the host brings to the current folder:
       citronade-agent --prepare NAME PART BYTES LIMIT
       citronade-agent --accept NAME PART BYTES BLAKE3
";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] | ["agent"] => agent::main_loop(),
        ["--version"] => say(concat!("citronade-agent ", env!("CARGO_PKG_VERSION"), "\n")),
        ["--help"] => say(USAGE),
        ["--self-test"] => self_test(),
        ["--prepare", name, part, bytes, limit] => prepare(name, part, bytes, limit),
        ["--accept", name, part, bytes, blake3] => accept(name, part, bytes, blake3),
        _ => complain(USAGE, 2),
    }
}

fn self_test() -> ExitCode {
    match agent::self_test(&agent::Installed) {
        Ok(lines) => say(&(lines.join("\n") + "\n")),
        Err(error) => complain(&format!("error: {error}\n"), 1),
    }
}

fn prepare(name: &str, part: &str, bytes: &str, limit: &str) -> ExitCode {
    match (bytes.parse(), limit.parse()) {
        (Ok(bytes), Ok(limit)) => {
            done(agent::files::prepare(Path::new("."), name, part, bytes, limit))
        }
        _ => complain(USAGE, 2),
    }
}

fn accept(name: &str, part: &str, bytes: &str, blake3: &str) -> ExitCode {
    match bytes.parse() {
        Ok(bytes) => {
            let accepted = agent::files::accept(Path::new("."), name, part, bytes, blake3);
            done(accepted.map(|()| "accepted".to_owned()))
        }
        Err(_) => complain(USAGE, 2),
    }
}

fn done(result: Result<String, String>) -> ExitCode {
    match result {
        Ok(text) => say(&(text + "\n")),
        Err(reason) => complain(&format!("error: {reason}\n"), 3),
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
