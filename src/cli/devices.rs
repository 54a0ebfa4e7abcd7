//! `citronade devices`: what there is to measure on, in which state, and what to do about it.
mod check;
mod list;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use crate::agent::Conditions;
use crate::device;
use crate::device::Catalogue;
use crate::device::DeviceError;
use crate::device::Entry;
use crate::device::Ledger;
use crate::device::Link;
use crate::device::Profile;
use crate::device::Runners;
use crate::device::State;
use crate::device::Transport;
use crate::measure;
use crate::measure::Hold;
use crate::measure::MeasureError;

pub use list::Row;
pub use list::rows;

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

/// Says if the device is slower than it usually is, by its last check.
pub fn warn_if_slow(entry: &Entry) {
    let check = Ledger::of(&entry.link).health().last_check();
    if let Some(slower) = check.and_then(|check| check.slower) {
        output::note(&format!("warning: {}", measure::slower_in_words(slower)));
    }
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
        None => list::list(json),
        Some(DevicesCommand::Check { name, agent }) => check::check(&name, agent, json),
        Some(DevicesCommand::Add { name, address, like }) => {
            add(&name, &address, like.as_deref(), json)
        }
        Some(DevicesCommand::Lock { name, agent }) => lock(&name, agent),
        Some(DevicesCommand::Profiles) => profiles(json),
    }
}

/// What would make figures steadier.
fn hints(conditions: &Conditions) -> Option<String> {
    let scaling = conditions.scaling();
    (!scaling.is_empty()).then(|| {
        format!(
            "clocks are scaled (governor {}); where you may, `echo performance | sudo tee \
             /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor` makes figures steadier",
            scaling.join(", ")
        )
    })
}

/// Writes the device down, and tries it; one that is away now is added all the same.
fn add(name: &str, address: &str, like: Option<&str>, json: bool) -> anyhow::Result<Exit> {
    let file = Catalogue::file()?;
    let entry = Catalogue::add(&file, name, &Link::parse(address)?, like)?;
    let (name, file) = (entry.name, file.display().to_string());
    let checked = check::checked(&name, None).map_err(of_device);
    let (state, problem) = match &checked {
        Ok(_) => (State::Ready, None),
        Err(error) => (state_of(error), Some(output::error_text(error))),
    };
    if let Some(problem) = &problem {
        output::note(&format!(
            "{name} was added, but is {state}: {problem}\n`citronade devices check {name}` tries it again"
        ));
    }
    if json {
        let added =
            serde_json::json!({"name": name, "file": file, "state": state, "problem": problem});
        return output::result(&added.to_string());
    }
    let checked = checked.map_or(String::new(), |checked| format!("\n{}", check::text(&checked)));
    output::plain(&format!("{name} is in {file}{checked}"))
}

/// What is wrong with the device, without what was to be measured there.
fn of_device(error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<MeasureError>() {
        Ok(MeasureError::Device { source, .. }) => source.into(),
        Ok(other) => other.into(),
        Err(error) => error,
    }
}

fn state_of(error: &anyhow::Error) -> State {
    let device = |cause: &(dyn std::error::Error + 'static)| {
        let measured = cause.downcast_ref::<MeasureError>().map(MeasureError::state);
        measured.or_else(|| Some(cause.downcast_ref::<DeviceError>()?.state()))
    };
    error.chain().find_map(device).unwrap_or(State::Faulty)
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
