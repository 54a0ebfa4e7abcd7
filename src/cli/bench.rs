//! `citronade bench`: strategies on a recorded benchmark.
use std::fs::File;
use std::io::BufWriter;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use serde_json::Value;
use serde_json::json;

use crate::report::RegretCurve;
use crate::report::regret_svg;
use crate::search;
use crate::search::STRATEGIES;
use crate::search::Settings;
use crate::tabular;
use crate::tabular::Columns;
use crate::tabular::Device;
use crate::tabular::Games;
use crate::tabular::Latency;
use crate::tabular::Mean;
use crate::tabular::Rules;
use crate::tabular::Table;
use crate::tabular::TableError;
use crate::tabular::difference;

use super::Exit;
use super::args::Bench;
use super::args::Voice;
use super::exit::UsageError;
use super::output;
use super::search::watch_interrupt;

/// Queries after which everybody looks at the regret, as far as there are so many.
const CHECKPOINTS: [usize; 3] = [50, 100, 200];

/// A strategy's games, device by device.
struct Entry {
    strategy: String,
    games: Vec<Games>,
}

/// `citronade bench`.
pub fn run(args: &Bench, voice: Voice) -> anyhow::Result<Exit> {
    let rules = rules(args)?;
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
    let strategies = strategies(args, &table)?;
    let interrupted = watch_interrupt()?;
    let mut entries = Vec::new();
    for strategy in strategies {
        let mut games = Vec::new();
        for device in &devices {
            if !voice.quiet {
                output::note(&format!("{strategy} on {} …", device.name));
            }
            games.push(rules.games(&table, device, &strategy, &interrupted)?);
        }
        entries.push(Entry { strategy, games });
    }
    if let Some(path) = &args.trace {
        write_trace(path, &table, &devices, &entries)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(path) = &args.svg {
        std::fs::write(path, picture(args, &devices, &entries))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    match voice.json {
        true => output::result(&summary(args, &table, &rules, &devices, &entries).to_string()),
        false => output::result(&text(args, &rules, &devices, &entries)),
    }
}

fn rules(args: &Bench) -> anyhow::Result<Rules> {
    let latency = match args.latency.as_str() {
        "learnt" => Latency::Learnt,
        "known" => Latency::Known,
        other => {
            let text = format!("`{other}` is no class of latency: `learnt` or `known`");
            return Err(UsageError(text).into());
        }
    };
    if args.queries == 0 || args.seeds == 0 {
        return Err(UsageError("give at least one query and one seed".to_owned()).into());
    }
    let reference_error = args.reference_error.0;
    Ok(Rules { latency, queries: args.queries, seeds: args.seeds, reference_error })
}

fn devices<'a>(args: &Bench, table: &'a Table) -> Result<Vec<&'a Device>, TableError> {
    match args.device.is_empty() {
        true => Ok(table.devices.iter().collect()),
        false => args.device.iter().map(|name| table.device(name)).collect(),
    }
}

/// Those asked for, or all that can play.
fn strategies(args: &Bench, table: &Table) -> Result<Vec<String>, TableError> {
    let made = |name: &str| search::strategy(name, Settings::default());
    if args.strategy.is_empty() {
        let names = STRATEGIES.iter().map(|(name, _)| *name);
        let can_play = |name: &&str| {
            made(name).is_some_and(|s| s.cannot_run_on(table.space.as_ref()).is_none())
        };
        return Ok(names.filter(can_play).map(str::to_owned).collect());
    }
    let known = |name: &String| made(name).is_some();
    match args.strategy.iter().find(|name| !known(name)) {
        Some(unknown) => Err(TableError::NoStrategy(unknown.clone())),
        None => Ok(args.strategy.clone()),
    }
}

/// The checkpoints within the games, or else their end.
fn checkpoints(rules: &Rules) -> Vec<usize> {
    let mut within: Vec<usize> = CHECKPOINTS.into_iter().filter(|k| *k <= rules.queries).collect();
    if within.is_empty() {
        within.push(rules.queries);
    }
    within
}

fn write_trace(
    path: &Path,
    table: &Table,
    devices: &[&Device],
    entries: &[Entry],
) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for entry in entries {
        for (device, games) in devices.iter().zip(&entry.games) {
            for (seed, trace) in games.traces.iter().enumerate() {
                for (query, &row) in (1..).zip(&trace.rows) {
                    let line = json!({
                        "strategy": entry.strategy, "device": device.name, "seed": seed,
                        "query": query, "arch": table.index[row], "error": table.error[row],
                        "latency": device.latency[row],
                    });
                    writeln!(file, "{line}")?;
                }
            }
        }
    }
    file.flush()
}

fn picture(args: &Bench, devices: &[&Device], entries: &[Entry]) -> String {
    let panels = devices.iter().enumerate().map(|(at, device)| {
        let curve = |entry: &Entry| RegretCurve {
            name: entry.strategy.clone(),
            means: band(&entry.games[at]),
        };
        (device.name.clone(), entries.iter().map(curve).collect())
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
                "simulated_seconds": simulated(table, games),
                "seconds": games.seconds,
            })
        })
    });
    let results: Vec<Value> = results.collect();
    let paired = pairs(entries).map(|(a, b)| {
        json!({
            "a": a.strategy, "b": b.strategy,
            "difference": by_checkpoint(&|k| Some(difference(&all(a), &all(b), k))),
        })
    });
    json!({
        "schema": "citronade.bench.v1", "benchmark": args.benchmark, "latency": args.latency,
        "seeds": rules.seeds, "queries": rules.queries, "rows": table.len(),
        "reference_error": rules.reference_error, "results": results,
        "paired": paired.collect::<Vec<_>>(),
    })
}

/// Mean seconds of training that a game's queries stand for, where the table has them.
fn simulated(table: &Table, games: &Games) -> Option<f64> {
    let seconds = table.seconds.as_ref()?;
    let rows = games.traces.iter().flat_map(|trace| &trace.rows);
    Some(rows.map(|&row| seconds[row]).sum::<f64>() / games.traces.len() as f64)
}

fn pairs(entries: &[Entry]) -> impl Iterator<Item = (&Entry, &Entry)> {
    (0..entries.len())
        .flat_map(move |a| (a + 1..entries.len()).map(move |b| (&entries[a], &entries[b])))
}

fn all(entry: &Entry) -> Vec<&Games> {
    entry.games.iter().collect()
}

fn text(args: &Bench, rules: &Rules, devices: &[&Device], entries: &[Entry]) -> String {
    let checkpoints = checkpoints(rules);
    let queries = checkpoints.iter().map(usize::to_string).collect::<Vec<_>>().join(" / ");
    let mut lines = vec![format!(
        "{}, latency {}, {} seeds: hypervolume regret in % after {queries} queries (95 % interval)",
        args.benchmark, args.latency, rules.seeds
    )];
    for (at, device) in devices.iter().enumerate() {
        lines.push(format!("\n{}", device.name));
        let rows = entries.iter().map(|e| (e.strategy.as_str(), vec![&e.games[at]]));
        lines.extend(sorted_rows(rows.collect(), &checkpoints));
    }
    if devices.len() > 1 {
        lines.push("\nmean over the devices".to_owned());
        let rows = entries.iter().map(|e| (e.strategy.as_str(), all(e)));
        lines.extend(sorted_rows(rows.collect(), &checkpoints));
    }
    lines.extend(compared(entries, &checkpoints));
    lines.join("\n")
}

/// A row for each strategy, the lowest regret of the end first.
fn sorted_rows(mut rows: Vec<(&str, Vec<&Games>)>, checkpoints: &[usize]) -> Vec<String> {
    let end = *checkpoints.last().expect("there is a checkpoint");
    rows.sort_by(|a, b| overall(&a.1, end).mean.total_cmp(&overall(&b.1, end).mean));
    let row = |(strategy, games): (&str, Vec<&Games>)| {
        let cells = checkpoints.iter().map(|&k| cell(overall(&games, k)));
        let seconds: f64 = games.iter().map(|g| g.seconds).sum();
        let figures = cells.collect::<Vec<_>>().join("   ");
        format!("  {strategy:<22} {figures}   {seconds:>7.1} s")
    };
    rows.into_iter().map(row).collect()
}

/// Mean over devices and seeds; the seeds are what is independent.
fn overall(games: &[&Games], k: usize) -> Mean {
    tabular::over_devices(games, k)
}

fn cell(mean: Mean) -> String {
    match mean.half {
        Some(half) => format!("{:>5.2} ± {half:<4.2}", mean.mean),
        None => format!("{:>5.2}       ", mean.mean),
    }
}

/// The best against each other, paired by seed.
fn compared(entries: &[Entry], checkpoints: &[usize]) -> Vec<String> {
    let end = *checkpoints.last().expect("there is a checkpoint");
    let regret = |entry: &Entry| overall(&all(entry), end).mean;
    let best = entries.iter().min_by(|a, b| regret(a).total_cmp(&regret(b)));
    let Some(best) = best.filter(|_| entries.len() > 1) else { return Vec::new() };
    let mut lines =
        vec![format!("\n{} less the others after {end}, paired by seed", best.strategy)];
    for other in entries.iter().filter(|e| e.strategy != best.strategy) {
        let paired = difference(&all(best), &all(other), end);
        let sure = paired.half.is_some_and(|half| paired.mean.abs() > half);
        let said = if sure { "" } else { "   (not larger than its interval)" };
        lines.push(format!("  {:<22} {}{said}", other.strategy, cell(paired)));
    }
    lines
}
