//! Whether a device works, by its reference model.
use std::path::PathBuf;

use serde::Serialize;

use crate::agent::Conditions;
use crate::agent::Facts;
use crate::agent::RuntimeFacts;
use crate::device::Health;
use crate::device::Ledger;
use crate::device::State;
use crate::measure;
use crate::measure::Gates;
use crate::units::Bytes;
use crate::units::Micros;

use super::super::Exit;
use super::super::output;
use super::connect;
use super::hints;

/// What a check found.
#[derive(Serialize)]
pub struct Checked {
    schema: &'static str,
    name: String,
    address: String,
    state: State,
    /// As far as was known before.
    was: State,
    facts: Facts,
    conditions: Conditions,
    runtimes: Vec<RuntimeFacts>,
    reference_p50_us: Option<Micros>,
    reference_slower: Option<f64>,
    verdict: String,
    reasons: Vec<String>,
    hints: Vec<String>,
}

/// Reaches the device, brings the runner there, and measures the reference model, which ends a
/// quarantine.
pub fn check(name: &str, agent: Option<PathBuf>, json: bool) -> anyhow::Result<Exit> {
    let checked = checked(name, agent)?;
    match json {
        true => output::result(&serde_json::to_string(&checked)?),
        false => output::plain(&text(&checked)),
    }
}

/// The same, not printed yet.
pub fn checked(name: &str, agent: Option<PathBuf>) -> anyhow::Result<Checked> {
    let (entry, transport) = connect(name, agent)?;
    let was = transport.ledger().map(Ledger::health).unwrap_or_default();
    let found = measure::check(transport, Gates::from(&entry.profile).without_waiting())?;
    let (verdict, reasons) = found.reference.verdict();
    let mut hints = entry.profile.contradicted(&found.hello.facts);
    hints.extend(self::hints(&found.hello.conditions));
    Ok(Checked {
        schema: "citronade.device.v1",
        name: entry.name.clone(),
        address: entry.link.to_string(),
        state: State::Ready,
        was: Health::state(&was),
        hints,
        facts: found.hello.facts,
        conditions: found.hello.conditions,
        runtimes: found.hello.runtimes,
        reference_p50_us: found.reference.p50(),
        reference_slower: found.reference.slower,
        verdict: verdict.to_string(),
        reasons,
    })
}

/// What was found, for a person.
pub fn text(c: &Checked) -> String {
    let or_unknown = |text: Option<String>| text.unwrap_or_else(|| "unknown".to_owned());
    let cores = c.facts.cores.map(|n| format!("{n} cores"));
    let memory = c.facts.memory_bytes.map(|bytes| Bytes(bytes).to_string());
    let system = [c.facts.os.clone(), c.facts.kernel.clone(), c.facts.build.clone()];
    let hottest = c.conditions.temperatures_c.as_ref().and_then(|zones| zones.first());
    let hottest = hottest.map(|(zone, celsius)| format!("{celsius:.1} °C ({zone})"));
    let again = if c.was == State::Quarantined { ", and no longer in quarantine" } else { "" };
    let mut lines = vec![format!("{} is {}{again}", c.name, c.state)];
    let mut row = |what: &str, found: String| lines.push(format!("  {what:<12} {found}"));
    row("address", c.address.clone());
    if let Some(model) = &c.facts.model {
        row("model", model.clone());
    }
    let soc = c.facts.soc.clone();
    let processor = [Some(c.facts.arch.clone()), c.facts.cpu.clone().or(soc), cores];
    row("processor", processor.into_iter().flatten().collect::<Vec<_>>().join(", "));
    row("memory", or_unknown(memory));
    row("system", system.into_iter().flatten().collect::<Vec<_>>().join(", "));
    row("governor", or_unknown(c.conditions.governor.clone()));
    row("hottest", or_unknown(hottest));
    for runtime in &c.runtimes {
        row(&runtime.name, readiness(runtime));
    }
    let p50 = c.reference_p50_us.map(|us| us.to_string());
    row("reference", format!("{}, {}", or_unknown(p50), c.verdict));
    c.reasons.iter().for_each(|reason| row("", reason.clone()));
    c.hints.iter().for_each(|hint| row("hint", hint.clone()));
    lines.join("\n")
}

fn readiness(runtime: &RuntimeFacts) -> String {
    let version = runtime.version.clone().unwrap_or_default();
    match (&runtime.missing, runtime.providers.as_slice()) {
        (Some(missing), _) => format!("not ready: {missing}"),
        (None, []) => version,
        (None, providers) => format!("{version}: {}", providers.join(", ")),
    }
}
