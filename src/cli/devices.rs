//! `citronade devices`: what there is to measure on, in which state, and what to do about it.
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde::Serialize;

use crate::agent::Conditions;
use crate::agent::Facts;
use crate::agent::RuntimeFacts;
use crate::agent::TINY_MODEL;
use crate::device;
use crate::device::Absence;
use crate::device::Adb;
use crate::device::Catalogue;
use crate::device::DeviceError;
use crate::device::Entry;
use crate::device::Link;
use crate::device::Profile;
use crate::device::Runners;
use crate::device::Transport;
use crate::measure::Bench;
use crate::measure::Hold;
use crate::measure::Level;
use crate::measure::MeasureError;
use crate::measure::Plan;
use crate::units::Micros;

use super::Exit;
use super::args::Devices;
use super::args::DevicesCommand;
use super::exit::UsageError;
use super::output;

/// The device that the user names, and the way to it.
pub fn connect(
    address: &str,
    agent: Option<PathBuf>,
) -> anyhow::Result<(Entry, Arc<dyn Transport>)> {
    let entry = device::find(&Catalogue::load()?, address)?;
    let transport = device::connect(&entry, Runners::of_this_user(agent))?;
    Ok((entry, transport))
}

/// The runtime with an execution provider: `ort` and `xnnpack` are `ort:xnnpack`.
pub fn with_provider(runtime: &str, provider: Option<&str>) -> Result<String, UsageError> {
    let base = runtime.split(':').next().unwrap_or_default();
    match (base, provider) {
        (_, None) => Ok(runtime.to_owned()),
        ("ort", Some("cpu")) => Ok("ort".to_owned()),
        ("ort", Some(provider)) => Ok(format!("ort:{provider}")),
        (other, Some(_)) => {
            Err(UsageError(format!("`{other}` has no execution providers; add `--runtime ort`")))
        }
    }
}

/// Lists, checks or adds devices.
pub fn run(args: Devices, json: bool) -> anyhow::Result<Exit> {
    match args.command {
        None => list(json),
        Some(DevicesCommand::Check { name, agent }) => check(&name, agent, json),
        Some(DevicesCommand::Add { name, address, like }) => {
            add(&name, &address, like.as_deref(), json)
        }
        Some(DevicesCommand::Lock { name, agent }) => lock(&name, agent),
        Some(DevicesCommand::Profiles) => profiles(json),
    }
}

/// One line of the list.
#[derive(Serialize)]
struct Row {
    name: String,
    address: String,
    state: &'static str,
    arch: Option<String>,
    about: Option<String>,
    problem: Option<String>,
    fix: Option<String>,
}

fn list(json: bool) -> anyhow::Result<Exit> {
    let catalogue = Catalogue::load()?;
    let mut entries = vec![Entry::of(Link::Local)];
    entries.extend(catalogue.entries().cloned());
    let known = |serial: &str| {
        let is_it = |link: &Link| matches!(link, Link::Adb { serial: s } if s == serial);
        catalogue.entries().any(|entry| is_it(&entry.link))
    };
    let phones = Adb::serials().into_iter().filter(|serial| !known(serial));
    entries.extend(phones.map(|serial| Entry::of(Link::Adb { serial })));
    // Each may take as long as its network lets it.
    let looks: Vec<_> = entries.into_iter().map(|e| thread::spawn(move || row(&e))).collect();
    let rows = looks.into_iter().map(|look| look.join().expect("looking does not panic"));
    let lines: Vec<String> = match json {
        true => rows.map(|r| serde_json::to_string(&r).expect("plain data")).collect(),
        false => rows.map(|r| line(&r)).collect(),
    };
    output::plain(&lines.join("\n"))
}

fn row(entry: &Entry) -> Row {
    let looked = device::connect(entry, Runners::of_this_user(None)).and_then(|t| t.look());
    let (state, arch, error) = match looked {
        Ok(arch) => ("ready", Some(arch), None),
        Err(error) => (state_of(&error), None, Some(error)),
    };
    Row {
        name: entry.name.clone(),
        address: entry.link.to_string(),
        state,
        arch,
        about: entry.profile.about.clone(),
        fix: error.as_ref().and_then(|e| e.hint().map(str::to_owned)),
        problem: error.map(|e| e.to_string()),
    }
}

fn line(row: &Row) -> String {
    let address = if row.address == row.name { "" } else { &row.address };
    let known: Vec<&str> =
        [row.arch.as_deref(), row.about.as_deref()].into_iter().flatten().collect();
    let mut text =
        format!("{:<16} {:<12} {:<28} {}", row.name, row.state, address, known.join(", "));
    for (word, said) in [("", &row.problem), ("fix: ", &row.fix)] {
        if let Some(said) = said {
            text = format!("{}\n{:17}{word}{said}", text.trim_end(), "");
        }
    }
    text.trim_end().to_owned()
}

/// One word for what is wrong.
fn state_of(error: &DeviceError) -> &'static str {
    match error {
        DeviceError::Absent {
            absence: Absence::NotLetIn | Absence::NoPermission | Absence::HostKey,
            ..
        } => "unauthorised",
        DeviceError::Absent { .. } | DeviceError::Gone { .. } => "offline",
        _ => "faulty",
    }
}

/// What a check found.
#[derive(Serialize)]
struct Checked {
    schema: &'static str,
    name: String,
    address: String,
    state: &'static str,
    facts: Facts,
    conditions: Conditions,
    runtimes: Vec<RuntimeFacts>,
    reference_p50_us: Option<Micros>,
    verdict: String,
    reasons: Vec<String>,
    hints: Vec<&'static str>,
}

/// Reaches the device, brings the runner there, and measures the tiny model.
fn check(name: &str, agent: Option<PathBuf>, json: bool) -> anyhow::Result<Exit> {
    let (entry, transport) = connect(name, agent)?;
    let mut bench = Bench::open(transport, "tract", 1)?.with_profile(&entry.profile);
    let folder = tempfile::tempdir()?;
    let model = folder.path().join("reference.onnx");
    std::fs::write(&model, TINY_MODEL)
        .map_err(|source| MeasureError::NotWritten { path: model.clone(), source })?;
    let found = bench.measure(&model, &Plan::of(Level::Screen))?;
    let (verdict, reasons) = found.verdict();
    let hello = bench.hello().clone();
    let checked = Checked {
        schema: "citronade.device.v1",
        name: entry.name.clone(),
        address: entry.link.to_string(),
        state: "ready",
        hints: hints(&hello.conditions),
        facts: hello.facts,
        conditions: hello.conditions,
        runtimes: hello.runtimes,
        reference_p50_us: found.p50(),
        verdict: verdict.to_string(),
        reasons,
    };
    match json {
        true => output::result(&serde_json::to_string(&checked)?),
        false => output::plain(&text(&checked)),
    }
}

/// What would make figures steadier.
fn hints(conditions: &Conditions) -> Vec<&'static str> {
    let governor = conditions.governor.as_deref();
    let scaling = governor.is_some_and(|governor| governor != "performance");
    let hint = "clocks are scaled; where you may, `echo performance | sudo tee \
                /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor` makes figures steadier";
    scaling.then_some(hint).into_iter().collect()
}

fn text(c: &Checked) -> String {
    let or_unknown = |text: Option<String>| text.unwrap_or_else(|| "unknown".to_owned());
    let cores = c.facts.cores.map(|n| format!("{n} cores"));
    let memory = c.facts.memory_bytes.map(|bytes| crate::units::Bytes(bytes).to_string());
    let system = [c.facts.os.clone(), c.facts.kernel.clone()];
    let hottest = c.conditions.temperatures_c.as_ref().and_then(|zones| zones.first());
    let hottest = hottest.map(|(zone, celsius)| format!("{celsius:.1} °C ({zone})"));
    let mut lines = vec![format!("{} is {}", c.name, c.state)];
    let mut row = |what: &str, found: String| lines.push(format!("  {what:<12} {found}"));
    row("address", c.address.clone());
    let processor = [Some(c.facts.arch.clone()), c.facts.cpu.clone(), cores];
    row("processor", processor.into_iter().flatten().collect::<Vec<_>>().join(", "));
    row("memory", or_unknown(memory));
    row("system", system.into_iter().flatten().collect::<Vec<_>>().join(", "));
    row("governor", or_unknown(c.conditions.governor.clone()));
    row("hottest", or_unknown(hottest));
    for runtime in &c.runtimes {
        let state = match (&runtime.version, &runtime.missing) {
            (_, Some(missing)) => format!("not ready: {missing}"),
            (version, None) => match runtime.providers.as_slice() {
                [] => version.clone().unwrap_or_default(),
                providers => {
                    format!("{}: {}", version.clone().unwrap_or_default(), providers.join(", "))
                }
            },
        };
        row(&runtime.name, state);
    }
    let p50 = c.reference_p50_us.map(|us| us.to_string());
    row("tiny model", format!("{}, {}", or_unknown(p50), c.verdict));
    c.reasons.iter().for_each(|reason| row("", reason.clone()));
    c.hints.iter().for_each(|hint| row("hint", (*hint).to_owned()));
    lines.join("\n")
}

fn add(name: &str, address: &str, like: Option<&str>, json: bool) -> anyhow::Result<Exit> {
    let file = Catalogue::file()?;
    let entry = Catalogue::add(&file, name, &Link::parse(address)?, like)?;
    output::note(&format!("`citronade devices check {}` tries it", entry.name));
    let (name, file) = (entry.name, file.display().to_string());
    match json {
        true => output::result(&serde_json::json!({"name": name, "file": file}).to_string()),
        false => output::result(&format!("{name} is in {file}")),
    }
}

/// How often a lock is renewed.
const RENEWED: Duration = Duration::from_secs(20);

fn lock(name: &str, agent: Option<PathBuf>) -> anyhow::Result<Exit> {
    let (entry, transport) = connect(name, agent)?;
    let mut hold = Hold::take(&*transport, RENEWED)?;
    if !hold.is_real() {
        let text = format!("the runner on `{}` is too old to lock it", entry.name);
        return Err(UsageError(text).into());
    }
    let (stop, stopped) = mpsc::channel();
    ctrlc::set_handler(move || {
        // A second Ctrl-C finds nobody who waits any more.
        stop.send(()).ok();
    })?;
    output::note(&format!("`{}` is yours until Ctrl-C", entry.name));
    while stopped.recv_timeout(RENEWED).is_err() {
        hold.renew()?;
    }
    Ok(Exit::Done)
}

fn profiles(json: bool) -> anyhow::Result<Exit> {
    let lines = Profile::names().map(|name| {
        let about = Profile::named(name).and_then(|p| p.about).unwrap_or_default();
        match json {
            true => serde_json::json!({"name": name, "about": about}).to_string(),
            false => format!("{name:<20} {about}"),
        }
    });
    output::result(&lines.collect::<Vec<_>>().join("\n"))
}
