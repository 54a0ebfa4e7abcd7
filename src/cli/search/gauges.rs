//! The devices of a search; one that goes on goes on with what it was measured with.
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use crate::agent::Facts;
use crate::device::Entry;
use crate::device::Transport;
use crate::engine::Gauge;
use crate::engine::RunConfig;
use crate::measure::Bench;
use crate::measure::Gates;
use crate::measure::Measurement;
use crate::store::DeviceAt;
use crate::store::RunRecord;

use super::super::args::Search;
use super::super::exit::AnotherDevice;
use super::super::exit::UsageError;
use super::super::inspect;

/// Ends the runtime of a run whose figures are those of an emulated device.
const EMULATED: &str = " (emulated)";

/// The devices of the configuration, each with a folder of its own in `folder`.
pub fn gauges(
    connected: &[(Entry, Arc<dyn Transport>)],
    args: &Search,
    config: &RunConfig,
    earlier: Option<&RunRecord>,
    folder: &Path,
) -> anyhow::Result<Vec<Gauge>> {
    let gauge = |(at, (entry, transport)): (DeviceAt, &(Entry, Arc<dyn Transport>))| {
        let bench = match earlier {
            None => Bench::open(transport.clone(), &config.runtime, config.threads)?,
            Some(run) => open_again(transport.clone(), config.threads, run, at)?,
        };
        let bench = bench.with_profile(&entry.profile);
        match earlier {
            None => reject_emulated(&bench, args)?,
            Some(run) => reject_another(&bench, args, run, at)?,
        }
        let bench = bench.with_gates(Gates::from(&entry.profile).without_waiting());
        let folder = folder.join(at.to_string());
        fs::create_dir(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
        Ok(Gauge { bench, folder, sustained: config.sustained_s.map(Duration::from_secs_f64) })
    };
    connected.iter().enumerate().map(gauge).collect()
}

/// `tract 0.23.9`, or `tract 0.23.9 (emulated)`.
pub fn runtime_of(bench: &Bench) -> String {
    let version = bench.runtime().version.clone().unwrap_or_default();
    let emulated = if bench.is_emulated() { EMULATED } else { "" };
    format!("{} {version}{emulated}", bench.runtime().name)
}

/// The device with the runtime of the run that goes on.
fn open_again(
    transport: Arc<dyn Transport>,
    threads: usize,
    run: &RunRecord,
    at: DeviceAt,
) -> anyhow::Result<Bench> {
    let was = &run.devices[at].runtime;
    let name = was.split(' ').next().unwrap_or_default();
    Bench::open(transport, name, threads)
        .with_context(|| format!("run {} goes on only with {was}; --new begins another", run.id))
}

/// Times of an emulator are on no front unless that is asked for.
fn reject_emulated(bench: &Bench, args: &Search) -> Result<(), UsageError> {
    match bench.is_emulated() && !args.emulated {
        true => Err(UsageError(
            "the device is emulated: its times say nothing about a real one; add --emulated to \
             search on it all the same"
                .to_owned(),
        )),
        false => Ok(()),
    }
}

/// Figures of two versions of a runtime, of two devices under one name, or of an emulator and a real
/// device are not one front. What is not known of the device that the run was measured on is no reason.
fn reject_another(
    bench: &Bench,
    args: &Search,
    run: &RunRecord,
    at: DeviceAt,
) -> anyhow::Result<()> {
    let last = inspect::open(&args.store)?.last_measurement(&run.id, at)?;
    let last = last.and_then(|json| Measurement::from_json(&json).ok());
    let was = last.map_or_else(Vec::new, |last| machine(&last.facts));
    let is = machine(&bench.hello().facts);
    let differs = was.iter().zip(&is).any(|(was, is)| was.is_some() && is.is_some() && was != is);
    let (runtime, now) = (&run.devices[at].runtime, runtime_of(bench));
    if *runtime == now && !differs {
        return Ok(());
    }
    Err(AnotherDevice(format!(
        "run {} in `{}` was measured on {} with {runtime}{}, but this is {now}{}; add --new to start \
         a new run, or name another --store",
        run.id,
        args.store.display(),
        run.devices[at].name,
        in_words(&was),
        in_words(&is),
    ))
    .into())
}

/// What tells devices apart, and is the same when one is started anew: instruction set, processor, cores.
fn machine(facts: &Facts) -> Vec<Option<String>> {
    let cores = facts.cores.map(|cores| format!("{cores} cores"));
    vec![Some(facts.arch.clone()), facts.cpu.clone(), cores]
}

/// ` (x86_64, 2 cores)`; nothing of what is not known.
fn in_words(machine: &[Option<String>]) -> String {
    let known: Vec<&str> = machine.iter().flatten().map(String::as_str).collect();
    match known.is_empty() {
        true => String::new(),
        false => format!(" ({})", known.join(", ")),
    }
}
