//! Does this device run anything at all?
use super::inputs::Fill;
use super::runtime::RuntimeError;
use super::runtime::Runtimes;
use super::runtime::Source;
use super::sandbox;
use super::tiny::TINY_MODEL;

/// Runs the built-in model on every runtime that is ready; one line each, for a person; then
/// enters the sandbox of a process that loads models, for good, and says what it refuses.
///
/// # Errors
///
/// The first runtime that fails.
pub fn self_test(runtimes: &dyn Runtimes) -> Result<Vec<String>, RuntimeError> {
    let mut lines = Vec::new();
    for facts in runtimes.list() {
        lines.push(match &facts.missing {
            Some(missing) => format!("{}: not ready: {missing}", facts.name),
            None => format!("{} {}", facts.name, run(runtimes, &facts.name)?),
        });
    }
    sandbox::enter(&sandbox::nothing_to_do(), 0.0);
    lines.push(sandbox::probe());
    Ok(lines)
}

fn run(runtimes: &dyn Runtimes, name: &str) -> Result<String, RuntimeError> {
    let runtime = runtimes.open(name, None)?;
    let mut model = runtime.load(Source::Bytes(TINY_MODEL), 1)?;
    model.prepare(Fill::Scattered.tensors(model.inputs())?)?;
    model.run()?;
    let outputs = model.outputs()?.len();
    Ok(format!("{}: ran the built-in model, {outputs} output", runtime.version()))
}
