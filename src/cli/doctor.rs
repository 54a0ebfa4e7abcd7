//! `citronade doctor`: what works here, what does not, and the fix.
use super::Exit;

/// Looks at everything a search needs.
pub fn run(_json: bool) -> anyhow::Result<Exit> {
    Ok(Exit::Failure)
}
