//! `citronade measure`.
use super::Exit;
use super::args::Measure;

/// Measures a model.
pub fn run(_args: &Measure, _json: bool) -> anyhow::Result<Exit> {
    Ok(Exit::Failure)
}
