//! Commands that read a store: `front`, `show`, `export`, `report`, `gc`.
use std::fmt::Write as _;
use std::fs;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context;
use serde_json::json;

use crate::engine::RunConfig;
use crate::engine::SearchConfig;
use crate::report;
use crate::report::RunReport;
use crate::space;
use crate::store::Accepted;
use crate::store::Ancestor;
use crate::store::DeviceAt;
use crate::store::Reader;
use crate::store::RunRecord;
use crate::store::Store;
use crate::store::Whole;
use crate::units::Bytes;
use crate::units::Fraction;
use crate::units::Macs;
use crate::units::Micros;

use super::Exit;
use super::args;
use super::args::Stored;
use super::exit::NothingSelected;
use super::exit::UsageError;
use super::export;
use super::output;
use super::search::store_flag;

/// Rows of the plot in the terminal.
const PLOT_ROWS: usize = 24;

/// Opens a store for reading.
pub fn open(path: &Path) -> anyhow::Result<Reader> {
    Reader::open(path).with_context(|| format!("cannot read the store `{}`", path.display()))
}

/// The run that the arguments name.
pub fn run_of(stored: &Stored) -> anyhow::Result<(Reader, RunRecord)> {
    let reader = open(&stored.store)?;
    let run = match &stored.run {
        Some(id) => Some(reader.run(id)?),
        None => reader.newest_run()?,
    };
    let nothing = || {
        let store = stored.store.display();
        NothingSelected(format!("there is no run in `{store}` yet; begin with `citronade search`"))
    };
    Ok((reader, run.ok_or_else(nothing)?))
}

/// The device of the run that the user means.
fn device_of(run: &RunRecord, wanted: Option<&str>) -> Result<DeviceAt, UsageError> {
    let names: Vec<&str> = run.devices.iter().map(|device| device.name.as_str()).collect();
    match wanted {
        None if names.len() == 1 => Ok(0),
        None => {
            let text = format!(
                "run {} has a front for each of its devices; add --device {}",
                run.id,
                names.join(" or --device ")
            );
            Err(UsageError(text))
        }
        Some(wanted) => names.iter().position(|name| *name == wanted).ok_or_else(|| {
            let names = names.join(" and ");
            UsageError(format!("run {} was measured on {names}, on no other device", run.id))
        }),
    }
}

/// `citronade front`.
pub fn front(args: &args::Front, json: bool) -> anyhow::Result<Exit> {
    let (reader, run) = run_of(&args.stored)?;
    let front = report::Front::read(&reader, &run.id, device_of(&run, args.device.as_deref())?)?;
    if let Some(path) = &args.svg {
        write(path, report::svg(&front).as_bytes())?;
    }
    if let Some(path) = &args.png {
        write(path, &report::png(&front)?)?;
    }
    let (width, colour) = (output::width(), output::is_coloured());
    match (json, args.csv, args.plot) {
        (true, ..) => output::result(&report::json(&front))?,
        (_, true, _) => output::result(&report::csv(&front))?,
        (.., true) => output::result(&report::terminal(&front, width, PLOT_ROWS, colour))?,
        _ => output::result(&report::table(&front, width, colour))?,
    };
    match front.members.is_empty() {
        true => Ok(Exit::Nothing),
        false => Ok(Exit::Done),
    }
}

/// `citronade show`.
pub fn show(args: &args::Show, json: bool) -> anyhow::Result<Exit> {
    let (reader, run) = run_of(&args.stored)?;
    let whole = reader.candidate(&run.id, args.id)?;
    let nothing = || NothingSelected(format!("run {} has no candidate {}", run.id, args.id));
    let whole = whole.ok_or_else(nothing)?;
    let lineage = reader.lineage(&run.id, args.id)?;
    match json {
        true => output::result(&candidate_json(&run, &whole, &lineage).to_string()),
        false => output::result(&candidate_text(&run, &whole, &lineage)),
    }
}

fn candidate_json(run: &RunRecord, whole: &Whole, lineage: &[Ancestor]) -> serde_json::Value {
    let link = |a: &Ancestor| json!({"id": a.id, "morphisms": a.morphisms, "error": a.error});
    json!({
        "schema": "citronade.candidate.v1",
        "run": run.id,
        "id": whole.accepted.candidate,
        "member": member(run, whole).map(|(_, words)| words),
        "accepted": whole.accepted,
        "measured": whole.measured,
        "trained": whole.trained,
        "ended": whole.ended,
        "test_error": whole.test_error,
        "lineage": lineage.iter().map(link).collect::<Vec<_>>(),
    })
}

/// The fixed space that the candidate is of, and its choices in that space's words.
fn member(run: &RunRecord, whole: &Whole) -> Option<(String, String)> {
    let config: RunConfig = serde_json::from_str(&run.config).ok()?;
    let Accepted { graph, choices, .. } = &whole.accepted;
    let SearchConfig { space, .. } = &config.search;
    let words = space::words(space, config.search.size(), graph, choices.as_deref()?)?;
    Some((space.clone(), words))
}

/// A candidate for a person: where it comes from, what it costs, how it learnt.
fn candidate_text(run: &RunRecord, whole: &Whole, lineage: &[Ancestor]) -> String {
    let mut text = String::new();
    let accepted = &whole.accepted;
    let id = accepted.candidate;
    let _ = writeln!(text, "candidate {id} of run {} (generation {})", run.id, accepted.generation);
    let _ = writeln!(
        text,
        "  {} parameters, {} multiply-accumulates",
        accepted.parameters,
        Macs(accepted.macs)
    );
    if let Some((space, words)) = member(run, whole) {
        let _ = writeln!(text, "  in {space}: {words}");
    }
    let on = |device: DeviceAt| match run.devices.as_slice() {
        [_] => String::new(),
        several => format!("{}, ", several[device].name),
    };
    for m in &whole.measured {
        let low = Micros(m.latency_interval_us[0]);
        let high = Micros(m.latency_interval_us[1]);
        let latency = Micros(m.latency_us);
        let memory = m.memory_bytes.map_or("unknown".into(), |b| Bytes(b).to_string());
        let _ = writeln!(
            text,
            "  {}round {}: latency {latency} ({low} to {high}), memory {memory}, {}",
            on(m.device),
            m.round,
            m.verdict
        );
    }
    if let Some(trained) = &whole.trained {
        let error = Fraction(trained.error);
        let [low, high] = trained.error_interval.map(Fraction);
        let _ = writeln!(
            text,
            "  validation error {error} ({low} to {high}) after {:.1} s",
            trained.train_s
        );
    }
    if let Some(error) = whole.test_error {
        let _ = writeln!(text, "  test error {}", Fraction(error));
    }
    if let Some(ended) = &whole.ended {
        let _ = writeln!(text, "  ended, {}: {}", ended.kind.name(), ended.reason);
    }
    let _ = writeln!(text, "\nlineage");
    let mut is_first = true;
    for ancestor in lineage {
        let steps = match (ancestor.morphisms.is_empty(), is_first) {
            (true, true) => "from scratch".to_owned(),
            (true, false) => "trained on".to_owned(),
            (false, _) => ancestor.morphisms.join(", "),
        };
        is_first = false;
        let error = ancestor.error.map_or("not trained".into(), |e| Fraction(e).to_string());
        let _ = writeln!(text, "  {:>6}  {error:>12}  {steps}", ancestor.id);
    }
    let Some(trained) = &whole.trained else { return text };
    if !trained.outcomes.is_empty() {
        let _ = writeln!(text, "\nwhat each morphism did to the error, before training");
    }
    for outcome in &trained.outcomes {
        let before = Fraction(outcome.error_before);
        let after = Fraction(outcome.error_after);
        let step = &outcome.step;
        let _ = writeln!(
            text,
            "  {:<18} {:>5}  {before:>9} → {after:<9}  {}",
            step.morphism,
            step.site.to_string(),
            step.choice
        );
    }
    let _ = writeln!(text, "\ntraining  (epoch, loss, validation error)");
    for epoch in &trained.curve {
        let _ = writeln!(
            text,
            "  {:>4}  {:>8.4}  {:>9}",
            epoch.epoch, epoch.train_loss, epoch.validation_error
        );
    }
    text
}

/// `citronade export`.
pub fn export(args: &args::Export, json: bool) -> anyhow::Result<Exit> {
    let (reader, run) = run_of(&args.stored)?;
    let front = report::Front::read(&reader, &run.id, device_of(&run, args.device.as_deref())?)?;
    let ids: Vec<u64> = match (args.knee, args.front) {
        (true, _) => front.knee.into_iter().collect(),
        (_, true) => front.members.iter().map(|m| m.row.id).collect(),
        _ => args.ids.clone(),
    };
    if ids.is_empty() {
        let text = "the front is empty; let the search go on".to_owned();
        return Err(NothingSelected(text).into());
    }
    let mut lines = Vec::new();
    for id in ids {
        let files = export::candidate(&reader, &front, id, &args.out)?;
        lines.push(match json {
            true => json!({"id": id, "files": files}).to_string(),
            false => files.join("\n"),
        });
    }
    output::result(&lines.join("\n"))
}

/// `citronade report`.
pub fn report(args: &args::Report, json: bool) -> anyhow::Result<Exit> {
    let (reader, run) = run_of(&args.stored)?;
    let device = device_of(&run, args.device.as_deref())?;
    let page = report::html(&RunReport::read(&reader, &run.id, device)?);
    write(&args.out, page.as_bytes())?;
    match json {
        true => output::result(&json!({ "run": run.id, "page": args.out }).to_string()),
        false => output::result(&args.out.display().to_string()),
    }
}

/// `citronade gc`.
pub fn gc(args: &args::Gc, json: bool) -> anyhow::Result<Exit> {
    // Only looking makes no store where there is none.
    open(&args.store)?;
    let mut store = Store::open(&args.store)
        .with_context(|| format!("cannot open the store `{}`", args.store.display()))?;
    let removed = store.gc()?;
    let (blobs, bytes) = (removed.blobs, removed.bytes);
    match json {
        true => output::result(&json!({ "removed_blobs": blobs, "bytes": bytes }).to_string()),
        false => output::result(&format!("removed {blobs} blobs, {}", Bytes(bytes))),
    }
}

/// What a person sees when a search has ended: the fronts, where the files are, what to do next.
pub fn after_search(store: &Path, json: bool) -> anyhow::Result<Exit> {
    let stored = Stored { store: store.to_owned(), run: None };
    let (reader, run) = run_of(&stored)?;
    let mut is_empty = true;
    for at in 0..run.devices.len() {
        let told = RunReport::read(&reader, &run.id, at)?;
        is_empty &= told.front.members.is_empty();
        show_front(store, &reader, &told, json)?;
    }
    // Budgets count the whole run.
    let spent = reader.last_told(&run.id)?.map_or(0.0, |told| told.at_s);
    let minutes = (spent / 60.0).ceil() + 10.0;
    let flag = store_flag(store);
    output::note(&format!("more search  citronade search --budget {minutes}min{flag}"));
    match is_empty {
        true => Ok(Exit::Nothing),
        false => Ok(Exit::Done),
    }
}

/// One device's front, and its files beside the store; their names hold the device's where there are
/// several.
fn show_front(store: &Path, reader: &Reader, told: &RunReport, json: bool) -> anyhow::Result<()> {
    let front = &told.front;
    let infix = match front.run.devices.len() {
        1 => String::new(),
        _ => file_name_of(&front.device.name) + ".",
    };
    let beside = |ending: &str| store.with_extension(format!("{infix}{ending}"));
    let (page, picture, folder) = (beside("html"), beside("svg"), beside("front"));
    write(&page, report::html(told).as_bytes())?;
    write(&picture, report::svg(front).as_bytes())?;
    clear(&folder)?;
    for member in &front.members {
        export::candidate(reader, front, member.row.id, &folder)?;
    }
    match json {
        true => output::result(&compact(&report::json(front)))?,
        false => output::result(&report::table(front, output::width(), output::is_coloured()))?,
    };
    output::note(&format!("report       {}", page.display()));
    output::note(&format!("picture      {}", picture.display()));
    if !front.members.is_empty() {
        output::note(&format!("ONNX files   {}", folder.display()));
    }
    if let Some(knee) = front.knee {
        output::note(&format!("its knee     citronade show {knee}{}", store_flag(store)));
    }
    Ok(())
}

/// A device's name as part of a file's: without what has a meaning in paths.
fn file_name_of(device: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '-' };
    device.chars().map(plain).collect()
}

/// Removes what an earlier front left in the folder.
fn clear(folder: &Path) -> anyhow::Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with("candidate-") {
            let path = entry.path();
            fs::remove_file(&path)
                .with_context(|| format!("cannot remove `{}`", path.display()))?;
        }
    }
    Ok(())
}

/// One line of a JSON text.
fn compact(text: &str) -> String {
    serde_json::from_str::<serde_json::Value>(text).map_or(text.to_owned(), |v| v.to_string())
}

/// Writes a file, naming it if that fails.
pub fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    create(path)?.write_all(bytes).with_context(|| format!("cannot write `{}`", path.display()))
}

/// A file that the user names, empty.
pub fn create(path: &Path) -> Result<File, UsageError> {
    File::create(path).map_err(|e| UsageError(format!("cannot write `{}`: {e}", path.display())))
}
