//! Printing, and the one form of an error.
use std::io;
use std::io::IsTerminal;
use std::io::Write;

use crate::data::DataError;
use crate::device::DeviceError;
use crate::device::ProfileError;
use crate::engine::EngineError;
use crate::measure::MeasureError;
use crate::store::StoreError;

use super::Exit;

/// Writes a result to standard output. A reader that went away is no error.
pub fn result(text: &str) -> anyhow::Result<Exit> {
    raw(format!("{}\n", text.trim_end()).as_bytes())
}

/// As [`result`], of a text without colours that holds what devices and models say.
pub fn plain(text: &str) -> anyhow::Result<Exit> {
    result(&printable(text))
}

/// As [`result`], byte by byte.
pub fn raw(bytes: &[u8]) -> anyhow::Result<Exit> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(Exit::Done),
    }
}

/// Writes something that is not a result.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", printable(text));
}

/// Without what would move the cursor or change colours: devices and models choose names and texts.
fn printable(text: &str) -> String {
    text.replace(|c: char| c.is_control() && !matches!(c, '\n' | '\t'), "\u{fffd}")
}

/// Writes an error with its causes and the way out.
pub fn error(error: &anyhow::Error) {
    note(&format!("error: {}", error_text(error)));
}

/// What is said of an error: what, why, way out.
pub fn error_text(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    let mut said = text.clone();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !said.contains(&cause) {
            text.push_str(&format!("\n  because {}", cause.replace('\n', "\n  ")));
            said = cause;
        }
    }
    if let Some(hint) = error.chain().find_map(hint) {
        text.push_str(&format!("\n  hint: {hint}"));
    }
    text
}

fn hint(cause: &(dyn std::error::Error + 'static)) -> Option<String> {
    let known = cause.downcast_ref::<DataError>().and_then(|e| e.hint().map(str::to_owned));
    let known = known.or_else(|| cause.downcast_ref::<StoreError>()?.hint().map(str::to_owned));
    let known = known.or_else(|| cause.downcast_ref::<MeasureError>()?.hint().map(str::to_owned));
    let known = known.or_else(|| cause.downcast_ref::<DeviceError>()?.hint().map(str::to_owned));
    let known = known.or_else(|| cause.downcast_ref::<ProfileError>()?.hint().map(str::to_owned));
    known.or_else(|| cause.downcast_ref::<EngineError>()?.hint().map(str::to_owned))
}

/// Is standard error a terminal that a live table may be drawn on?
pub fn is_live() -> bool {
    io::stderr().is_terminal()
}

/// May standard output carry colour?
pub fn is_coloured() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Width of the terminal; 100 where there is none.
pub fn width() -> usize {
    std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok()).unwrap_or(100)
}
