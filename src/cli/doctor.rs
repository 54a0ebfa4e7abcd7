//! `citronade doctor`: what works here, what does not, and the fix.
use std::env;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use crate::data;
use crate::device::DeviceError;
use crate::device::Local;
use crate::device::State;
use crate::measure::Bench;
use crate::train::Simd;

use super::Exit;
use super::devices;
use super::devices::Row;
use super::output;

/// One thing that was looked at.
#[derive(Serialize)]
struct Finding {
    what: &'static str,
    ok: bool,
    /// Of a device.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<State>,
    found: String,
    fix: Option<String>,
}

/// Looks at everything that a search needs; missing extras are no failure.
pub fn run(json: bool) -> anyhow::Result<Exit> {
    let mut findings = vec![processor(), folder()];
    findings.extend(["tract", "ort"].map(runtime));
    findings.extend(data::datasets().into_iter().map(|set| Finding {
        what: "data set",
        ok: set.missing.is_none(),
        found: format!("{}: {}", set.name, set.about),
        fix: set.missing.map(str::to_owned),
        state: None,
    }));
    findings.extend(PROGRAMS.map(program));
    findings.extend(devices::rows()?.map(device));
    let lines = findings.iter().map(|finding| match json {
        true => serde_json::to_string(finding).expect("a finding is plain data"),
        false => line(finding),
    });
    output::result(&lines.collect::<Vec<_>>().join("\n"))
}

fn line(finding: &Finding) -> String {
    let mark = match (finding.ok, finding.state) {
        (true, _) => "ok".to_owned(),
        (false, Some(state)) => state.to_string(),
        (false, None) => "missing".to_owned(),
    };
    let fix = finding.fix.as_ref().map_or(String::new(), |fix| format!("\n{:26}fix: {fix}", ""));
    format!("{mark:<12}  {:<10}  {}{fix}", finding.what, finding.found)
}

fn processor() -> Finding {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let found = format!("{cores} cores, trains with {:?} instructions", Simd::detect());
    Finding { what: "processor", ok: true, found, fix: None, state: None }
}

fn folder() -> Finding {
    let made = tempfile::Builder::new().prefix(".citronade-").tempfile_in(Path::new("."));
    Finding {
        what: "folder",
        ok: made.is_ok(),
        found: match &made {
            Ok(_) => "the current folder can hold a store".to_owned(),
            Err(error) => format!("the current folder cannot hold a store: {error}"),
        },
        state: None,
        fix: made.err().map(|_| "change to another folder, or give --store FILE".to_owned()),
    }
}

fn runtime(name: &'static str) -> Finding {
    // Without a ledger: what fails here is told, and counts for nothing.
    let opened = Local::this_program().map_err(anyhow::Error::from).and_then(|local| {
        let bench = Bench::open(Arc::new(local), name, 1)?;
        Ok(bench.runtime().version.clone().unwrap_or_default())
    });
    match opened {
        Ok(version) => {
            let found = format!("{name} {version} runs on this machine");
            Finding { what: "runtime", ok: true, found, fix: None, state: None }
        }
        Err(error) if is_busy(&error) => {
            let found = format!("{name} is there; not tried, since {error:#}");
            Finding { what: "runtime", ok: true, found, fix: None, state: None }
        }
        Err(error) => Finding {
            what: "runtime",
            ok: false,
            state: None,
            found: format!("{name}: {error:#}"),
            fix: Some(match name {
                "ort" => {
                    "pip install onnxruntime, or set ORT_DYLIB_PATH to libonnxruntime.so; tract \
                          works without"
                        .to_owned()
                }
                _ => "is this program still where it was started from? it starts itself as runner"
                    .to_owned(),
            }),
        },
    }
}

/// Ways to devices: the program, the Debian package that has it, and what it reaches.
const PROGRAMS: [(&str, &str, &str); 2] =
    [("ssh", "openssh-client", "boards"), ("adb", "adb", "phones")];

fn program((name, package, what): (&str, &str, &str)) -> Finding {
    let path = env::var_os("PATH").unwrap_or_default();
    let ok = env::split_paths(&path).any(|folder| folder.join(name).is_file());
    let found = match ok {
        true => format!("{name} reaches {what}"),
        false => format!("there is no {name}; only needed for {what}"),
    };
    let fix = (!ok).then(|| format!("apt install {package}"));
    Finding { what: "program", ok, state: None, found, fix }
}

/// A device as `citronade devices` finds it; a way to steadier figures is a fix, too.
fn device(row: Row) -> Finding {
    let found = match row.problem {
        Some(problem) => format!("{}: {problem}", row.name),
        None => format!("{} is {}", row.name, row.state),
    };
    let notes = (!row.notes.is_empty()).then(|| row.notes.join("; "));
    let (ok, state) = (row.state == State::Ready, Some(row.state));
    Finding { what: "device", ok, state, found, fix: row.fix.or(notes) }
}

/// Does somebody else measure on this machine right now?
fn is_busy(error: &anyhow::Error) -> bool {
    let busy = |cause: &DeviceError| matches!(cause, DeviceError::Busy { .. });
    error.chain().any(|cause| cause.downcast_ref().is_some_and(busy))
}
