//! `citronade measure`.
use std::fmt::Write;
use std::time::Duration;
use std::time::Instant;

use crate::device;
use crate::measure::Bench;
use crate::measure::Level;
use crate::measure::Measurement;
use crate::measure::Plan;

use super::Exit;
use super::args::Measure;
use super::exit::UsageError;
use super::output;

/// Longest time without a sign of life.
const SILENCE: Duration = Duration::from_secs(5);

/// Measures a model and says whether the figures can be trusted.
pub fn run(args: &Measure, json: bool) -> anyhow::Result<Exit> {
    let level: Level = args.level.parse().map_err(|e| UsageError(format!("{e}")))?;
    if !["tract", "ort"].contains(&args.runtime.as_str()) {
        let text = format!("`{}` is not a runtime; there are tract and ort", args.runtime);
        return Err(UsageError(text).into());
    }
    let device = device::parse(&args.device)?;
    let plan = Plan::of(level);
    let (mut bench, missing) = Bench::open_or_tract(device, &args.runtime, args.threads)?;
    if let Some(missing) = missing {
        output::note(&format!("warning: {missing}; tract is used instead"));
    }
    let found = bench.measure_watched(&args.model, &plan, &mut tell_now_and_then())?;
    match json {
        true => output::result(&found.to_json()),
        false => output::result(&text(&found)),
    }
}

/// Says how far it is, but not oftener than every few seconds.
fn tell_now_and_then() -> impl FnMut(u32, u32) {
    let mut last = Instant::now();
    move |done, of| {
        if last.elapsed() > SILENCE {
            output::note(&format!("{done} of {of} launches are done"));
            last = Instant::now();
        }
    }
}

/// The figures for a person.
fn text(found: &Measurement) -> String {
    let mut text = String::new();
    let (verdict, reasons) = found.verdict();
    let threads = match found.threads {
        1 => "1 thread".to_owned(),
        n => format!("{n} threads"),
    };
    let _ = writeln!(
        text,
        "{} on {} with {} {}, {threads}: {verdict}",
        found.model.path, found.device, found.runtime, found.runtime_version
    );
    reasons.iter().for_each(|reason| {
        let _ = writeln!(text, "  {reason}");
    });
    let samples = found.samples();
    let _ = writeln!(text, "\n  {} launches, {} samples", found.launches.len(), samples.len());
    let mut row = |name: &str, value: Option<String>, note: String| {
        let value = value.unwrap_or_else(|| "n too small".to_owned());
        let _ = writeln!(text, "  {name:<12} {value:>12}  {note}");
    };
    let interval = found.interval(0.5);
    let note = interval.map(|[low, high]| format!("95 % interval {low} to {high}"));
    row("p50", found.p50().map(|us| us.to_string()), note.unwrap_or_default());
    let repeat = found.prediction_interval();
    let note = repeat.map(|[low, high]| format!("a repeat is expected from {low} to {high}"));
    row("", Some(String::new()), note.unwrap_or_default());
    let note = found.interval(0.9).map(|[low, high]| format!("95 % interval {low} to {high}"));
    row("p90", found.quantile(0.9).map(|us| us.to_string()), note.unwrap_or_default());
    for (name, q) in [("p95", 0.95), ("p99", 0.99)] {
        row(name, found.quantile(q).map(|us| us.to_string()), String::new());
    }
    row("load", found.load().map(|us| us.to_string()), String::new());
    row("first run", found.first().map(|us| us.to_string()), String::new());
    let memory = found.memory_cost();
    let note = memory.map(|m| format!("peak {} minus the runtime's {}", m.peak, m.baseline));
    let cost = memory.map_or("unknown".to_owned(), |m| m.cost.to_string());
    row("memory", Some(cost), note.unwrap_or_default());
    text.trim_end().to_owned()
}
