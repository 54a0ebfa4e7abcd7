//! `citronade bench`: strategies on a recorded benchmark.
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use serde_json::Value;
use serde_json::json;

use crate::report::RegretCurve;
use crate::report::regret_svg;
use crate::search::STRATEGIES;
use crate::tabular;
use crate::tabular::Columns;
use crate::tabular::Device;
use crate::tabular::Games;
use crate::tabular::Latency;
use crate::tabular::Mean;
use crate::tabular::Rules;
use crate::tabular::Table;
use crate::tabular::TableError;
use crate::tabular::Trace;
use crate::tabular::difference;
use crate::tabular::final_over_devices;
use crate::tabular::over_devices;
use crate::units::plural;

use super::Exit;
use super::args::Bench;
use super::args::Voice;
use super::exit::UsageError;
use super::inspect;
use super::output;
use super::search::watch_interrupt;

/// Queries after which everybody looks at the regret, as far as there are so many.
const CHECKPOINTS: [usize; 3] = [50, 100, 200];

/// A strategy's games, device by device; fewer than there are devices if it was interrupted.
struct Entry {
    strategy: String,
    games: Vec<Games>,
}

/// A regret over games on several devices after so many queries.
type Regret = fn(&[&Games], usize) -> Option<Mean>;

/// `citronade bench`.
pub fn run(args: &Bench, voice: Voice) -> anyhow::Result<Exit> {
    let rules = Rules {
        latency: if args.latency == "known" { Latency::Known } else { Latency::Learnt },
        queries: args.queries,
        seeds: args.seeds,
        reference_error: args.reference_error.0,
    };
    let columns = Columns {
        error: args.error.clone(),
        final_error: args.final_error.clone(),
        devices: args.device.clone(),
    };
    let format = tabular::format(&args.benchmark)?;
    let table = tabular::read(&args.table, format, &columns)
        .with_context(|| format!("cannot use the table {}", args.table.display()))?;
    rules.check(&table)?;
    let devices = devices(args, &table)?;
    let mut entries = strategies(args, &table)?;
    let [trace, svg] = files(args)?;
    let interrupted = watch_interrupt()?;
    let mut hall = Hall { rules: &rules, table: &table, devices: &devices, trace };
    let played = hall.play_all(&mut entries, &interrupted, voice.quiet);
    entries.retain(|entry| !entry.games.is_empty());
    if entries.is_empty() {
        return Ok(played.map(|()| Exit::Done)?);
    }
    match voice.json {
        true => output::result(&summary(args, &table, &rules, &devices, &entries).to_string())?,
        false => output::result(&text(args, &table, &rules, &devices, &entries))?,
    };
    if let Some(mut file) = svg {
        let picture = picture(args, &devices, &entries);
        file.write_all(picture.as_bytes()).context("cannot write the picture")?;
    }
    played?;
    Ok(Exit::Done)
}

/// Where games are played.
struct Hall<'a> {
    rules: &'a Rules,
    table: &'a Table,
    devices: &'a [&'a Device],
    /// Where every query is written, when its game is over.
    trace: Option<File>,
}

impl Hall<'_> {
    /// Fills the entries; what was played before a failure stays.
    fn play_all(
        &mut self,
        entries: &mut [Entry],
        interrupted: &AtomicBool,
        quiet: bool,
    ) -> Result<(), TableError> {
        for Entry { strategy, games } in entries {
            for device in self.devices {
                if !quiet {
                    output::note(&format!("{strategy} on {} …", device.name));
                }
                let (table, file) = (self.table, &mut self.trace);
                let mut over = |seed, trace: &Trace| match file {
                    // At once, so that nothing of it is lost if this process is killed.
                    Some(file) => {
                        file.write_all(lines(strategy, device, seed, trace, table).as_bytes())
                    }
                    None => Ok(()),
                };
                games.push(self.rules.games(table, device, strategy, &mut over, interrupted)?);
            }
        }
        Ok(())
    }
}

/// A game as the trace has it.
fn lines(strategy: &str, device: &Device, seed: u64, trace: &Trace, table: &Table) -> String {
    let each = (1..).zip(&trace.rows).map(|(query, &row)| {
        let line = json!({
            "strategy": strategy, "device": device.name, "seed": seed, "query": query,
            "arch": table.index[row], "error": table.error[row], "latency": device.latency[row],
        });
        format!("{line}\n")
    });
    each.collect()
}

/// Those asked for, each once, or all.
fn devices<'a>(args: &Bench, table: &'a Table) -> Result<Vec<&'a Device>, TableError> {
    if args.device.is_empty() {
        return Ok(table.devices.iter().collect());
    }
    let asked = args.device.iter().map(|name| table.device(name));
    let mut asked: Vec<&Device> = asked.collect::<Result<_, _>>()?;
    let mut seen = BTreeSet::new();
    asked.retain(|device| seen.insert(&device.name));
    Ok(asked)
}

/// Those asked for, each once, or all that can play; nothing is played yet.
fn strategies(args: &Bench, table: &Table) -> Result<Vec<Entry>, TableError> {
    let entry = |name: &str| Entry { strategy: name.to_owned(), games: Vec::new() };
    if args.strategy.is_empty() {
        let names = STRATEGIES.iter().map(|(name, _)| *name);
        let can_play = names.filter(|name| tabular::player(name, table).is_ok());
        return Ok(can_play.map(entry).collect());
    }
    let mut seen = BTreeSet::new();
    let asked = args.strategy.iter().filter(|name| seen.insert(name.as_str()));
    asked.map(|name| tabular::player(name, table).map(|_| entry(name))).collect()
}

/// The files of `--trace` and `--svg`: made before anything is played, so that a slip costs nothing.
fn files(args: &Bench) -> Result<[Option<File>; 2], UsageError> {
    let mut taken = vec![args.table.canonicalize().ok()];
    let mut create = |path: &Option<PathBuf>| {
        let Some(path) = path else { return Ok(None) };
        let there = path.canonicalize().ok();
        if there.is_some() && taken.contains(&there) {
            let text = format!("`{}` would be overwritten; name another file", path.display());
            return Err(UsageError(text));
        }
        let file = inspect::create(path)?;
        taken.push(path.canonicalize().ok());
        Ok(Some(file))
    };
    Ok([create(&args.trace)?, create(&args.svg)?])
}

/// The checkpoints within the games, and their end.
fn checkpoints(rules: &Rules) -> Vec<usize> {
    let within = CHECKPOINTS.into_iter().filter(|k| *k < rules.queries);
    within.chain([rules.queries]).collect()
}

fn picture(args: &Bench, devices: &[&Device], entries: &[Entry]) -> String {
    let panels = devices.iter().enumerate().map(|(at, device)| {
        let curve = |entry: &Entry| {
            Some(RegretCurve { name: entry.strategy.clone(), means: band(entry.games.get(at)?) })
        };
        (device.name.clone(), entries.iter().filter_map(curve).collect())
    });
    let title = format!("{}, latency {}", args.benchmark, args.latency);
    regret_svg(&title, &panels.collect::<Vec<_>>())
}

/// After each query: mean and half the 95 % interval.
fn band(games: &Games) -> Vec<[f64; 2]> {
    let queries = games.regrets[0].len();
    let each = (1..=queries).map(|k| games.regret_after(k));
    each.map(|Mean { mean, half }| [mean, half.unwrap_or(0.0)]).collect()
}

fn summary(
    args: &Bench,
    table: &Table,
    rules: &Rules,
    devices: &[&Device],
    entries: &[Entry],
) -> Value {
    let checkpoints = checkpoints(rules);
    let by_checkpoint = |mean: &dyn Fn(usize) -> Option<Mean>| {
        let each = checkpoints.iter().map(|&k| (k.to_string(), json!(mean(k))));
        Value::Object(each.collect())
    };
    let results = entries.iter().flat_map(|entry| {
        devices.iter().zip(&entry.games).map(|(device, games)| {
            json!({
                "strategy": entry.strategy,
                "device": device.name,
                "regret": by_checkpoint(&|k| Some(games.regret_after(k))),
                "final_regret": by_checkpoint(&|k| games.final_regret_after(k)),
                "simulated_seconds": simulated(table, &[games]),
                "seconds": games.seconds,
            })
        })
    });
    let results: Vec<Value> = results.collect();
    let whole = whole(devices, entries);
    let means = whole.iter().map(|(strategy, games)| {
        json!({
            "strategy": strategy,
            "regret": by_checkpoint(&|k| Some(over_devices(games, k))),
            "final_regret": by_checkpoint(&|k| final_over_devices(games, k)),
        })
    });
    let paired = pairs(&whole).map(|((a, of_a), (b, of_b))| {
        json!({
            "a": a, "b": b,
            "difference": by_checkpoint(&|k| Some(difference(of_a, of_b, k))),
        })
    });
    json!({
        "schema": "citronade.bench.v1", "benchmark": args.benchmark, "latency": args.latency,
        "seeds": rules.seeds, "queries": rules.queries, "rows": table.len(),
        "reference_error": rules.reference_error, "results": results,
        "mean": means.collect::<Vec<_>>(),
        "paired": paired.collect::<Vec<_>>(),
    })
}

/// Mean seconds of training that a game's queries stand for, where the table has them.
fn simulated(table: &Table, games: &[&Games]) -> Option<f64> {
    let seconds = table.seconds.as_ref()?;
    let traces = games.iter().flat_map(|games| &games.traces);
    let rows = traces.clone().flat_map(|trace| &trace.rows);
    Some(rows.map(|&row| seconds[row]).sum::<f64>() / traces.count() as f64)
}

/// A strategy and its games on one device or several.
type Played<'a> = (&'a str, Vec<&'a Games>);

/// The strategies that have played on all devices.
fn whole<'a>(devices: &[&Device], entries: &'a [Entry]) -> Vec<Played<'a>> {
    let whole = entries.iter().filter(|entry| entry.games.len() == devices.len());
    whole.map(|entry| (entry.strategy.as_str(), entry.games.iter().collect())).collect()
}

fn pairs<T>(all: &[T]) -> impl Iterator<Item = (&T, &T)> {
    (0..all.len()).flat_map(move |a| (a + 1..all.len()).map(move |b| (&all[a], &all[b])))
}

fn text(
    args: &Bench,
    table: &Table,
    rules: &Rules,
    devices: &[&Device],
    entries: &[Entry],
) -> String {
    let checkpoints = checkpoints(rules);
    let (end, before) = checkpoints.split_last().expect("there is a checkpoint");
    let before: String = before.iter().map(|k| format!("{k} / ")).collect();
    let mut lines = vec![format!(
        "{}, latency {}, {}: hypervolume regret in % after {before}{} (95 % interval); seconds of all games{}",
        args.benchmark,
        args.latency,
        plural(rules.seeds as u64, "seed"),
        plural(*end as u64, "query"),
        if table.seconds.is_some() { "; training that a game stands for" } else { "" }
    )];
    let regret: Regret = |games, k| Some(over_devices(games, k));
    for (at, device) in devices.iter().enumerate() {
        let played = entries.iter().filter_map(|e| Some((&*e.strategy, vec![e.games.get(at)?])));
        lines.extend(block(&device.name, &played.collect::<Vec<_>>(), table, regret, &checkpoints));
    }
    let whole = whole(devices, entries);
    let mean = "mean over the devices";
    if devices.len() > 1 {
        lines.extend(block(mean, &whole, table, regret, &checkpoints));
    }
    let title =
        if devices.len() > 1 { format!("{mean}, final error") } else { "final error".into() };
    lines.extend(block(&title, &whole, table, final_over_devices, &checkpoints));
    lines.extend(compared(&whole, *end));
    lines.join("\n")
}

/// A title and a row for each strategy, the lowest regret of the end first; nothing without rows.
fn block(
    title: &str,
    played: &[Played<'_>],
    table: &Table,
    regret: Regret,
    checkpoints: &[usize],
) -> Vec<String> {
    let row = |(strategy, games): &Played<'_>| {
        let means = checkpoints.iter().map(|&k| regret(games, k));
        let means: Vec<Mean> = means.collect::<Option<_>>()?;
        let seconds: f64 = games.iter().map(|g| g.seconds).sum();
        let figures = means.iter().map(|mean| cell(*mean)).collect::<Vec<_>>().join("   ");
        let training = simulated(table, games).map_or(String::new(), |s| format!("   {s:>9.0} s"));
        let row = format!("  {strategy:<22} {figures}   {seconds:>7.1} s{training}");
        Some((means.last()?.mean, row))
    };
    let mut rows: Vec<(f64, String)> = played.iter().filter_map(row).collect();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let title = (!rows.is_empty()).then(|| format!("\n{title}"));
    title.into_iter().chain(rows.into_iter().map(|(_, row)| row)).collect()
}

fn cell(mean: Mean) -> String {
    match mean.half {
        Some(half) => format!("{:>5.2} ± {half:<4.2}", mean.mean),
        None => format!("{:>5.2}       ", mean.mean),
    }
}

/// The best against each other after `end` queries, paired by seed.
fn compared(played: &[Played<'_>], end: usize) -> Vec<String> {
    let regret = |(_, games): &Played<'_>| over_devices(games, end).mean;
    let best = played.iter().min_by(|a, b| regret(a).total_cmp(&regret(b)));
    let Some((best, games)) = best.filter(|_| played.len() > 1) else { return Vec::new() };
    let mut lines = vec![format!("\n{best} less the others after {end}, paired by seed")];
    for (other, of_other) in played.iter().filter(|(strategy, _)| strategy != best) {
        let paired = difference(games, of_other, end);
        let sure = paired.half.is_some_and(|half| paired.mean.abs() > half);
        let said = if sure { "" } else { "   (not larger than its interval)" };
        lines.push(format!("  {other:<22} {}{said}", cell(paired)));
    }
    lines
}
