//! `citronade measure`.
use std::fmt::Write;
use std::time::Duration;
use std::time::Instant;

use crate::agent::Conditions;
use crate::agent::OpTime;
use crate::agent::ProviderShare;
use crate::device::Link;
use crate::measure::Agreement;
use crate::measure::Bench;
use crate::measure::Level;
use crate::measure::Measurement;
use crate::measure::Plan;
use crate::measure::Progress;
use crate::units::Micros;

use super::Exit;
use super::args::Measure;
use super::devices;
use super::exit::UsageError;
use super::output;

/// Longest time without a sign of life.
const SILENCE: Duration = Duration::from_secs(5);

/// Longest launch.
const LONGEST: Micros = Micros(4.0 * 3600e6);

/// Measures a model and says whether the figures can be trusted.
pub fn run(args: &Measure, json: bool) -> anyhow::Result<Exit> {
    let level: Level = args.level.parse().map_err(|e| UsageError(format!("{e}")))?;
    if !["tract", "ort"].contains(&args.runtime.split(':').next().unwrap_or_default()) {
        let text = format!("`{}` is not a runtime; there are tract and ort", args.runtime);
        return Err(UsageError(text).into());
    }
    let runtime = devices::with_provider(&args.runtime, args.provider.as_deref())?;
    let (entry, device) = devices::connect(&args.device, args.agent.clone())?;
    let plan = plan_of(args, level)?;
    let threads = args.threads.or(entry.profile.threads.map(|n| n as usize)).unwrap_or(1);
    let mut bench = Bench::open(device, &runtime, threads)?.with_profile(&entry.profile);
    let mut found = bench.measure_watched(&args.model, &plan, &mut tell_now_and_then())?;
    let is_reference = entry.link == Link::Local && bench.runtime().name == "tract";
    if !is_reference {
        match compared(&bench, args) {
            Ok(agreement) => found.agreement = Some(agreement),
            Err(error) => found.not_compared = Some(format!("{error:#}")),
        }
    }
    if args.per_op {
        match bench.per_op(&args.model) {
            Ok(ops) => found.per_op = Some(ops),
            Err(error) => {
                let error = anyhow::Error::from(error);
                output::note(&format!("its operations were not timed: {error:#}"));
            }
        }
    }
    match json {
        true => output::result(&found.to_json()),
        false => output::plain(&text(&found)),
    }
}

/// How much of the model is to be measured.
fn plan_of(args: &Measure, level: Level) -> Result<Plan, UsageError> {
    let mut plan = Plan::of(level);
    if let Some(deadline) = args.deadline {
        // Its runs alone may take as long, and loading and warming up take time too.
        let least = Micros(2.0 * plan.sampling.max_us);
        if deadline < least || deadline > LONGEST {
            let text =
                format!("a launch of `{level}` is given {least} to {LONGEST}, not {deadline}");
            return Err(UsageError(text));
        }
        plan.timeout = duration(deadline);
    }
    if let Some(hz) = args.paced {
        plan = plan.paced(hz);
    }
    match args.sustained {
        Some(sustained) if sustained > LONGEST => {
            Err(UsageError(format!("{sustained} without a pause; {LONGEST} at most")))
        }
        Some(sustained) => Ok(plan.sustained(duration(sustained))),
        None => Ok(plan),
    }
}

fn duration(us: Micros) -> Duration {
    Duration::from_secs_f64(us.0 / 1e6)
}

/// The outputs against those of tract on this machine.
fn compared(bench: &Bench, args: &Measure) -> anyhow::Result<Agreement> {
    let (_, here) = devices::connect("local", None)?;
    Ok(bench.compare(&args.model, &Bench::open(here, "tract", 1)?)?)
}

/// Says what goes on: launches and waiting not oftener than every few seconds.
fn tell_now_and_then() -> impl FnMut(&Progress) {
    let mut last = Instant::now();
    move |progress| {
        let is_news = matches!(progress, Progress::Again { .. });
        if is_news || last.elapsed() > SILENCE {
            output::note(&told(progress));
            last = Instant::now();
        }
    }
}

fn told(progress: &Progress) -> String {
    match progress {
        Progress::Reference => "the reference model is measured first".to_owned(),
        Progress::Launch { done, of } => format!("{done} of {of} launches are done"),
        Progress::Again { attempt, of } => {
            format!("it was noisy and is measured again: attempt {attempt} of {of}")
        }
        Progress::Cooling { heat, limit_c, waited } => {
            let waited = waited.as_secs();
            format!("{heat}, it begins at {limit_c} °C: waited {waited} s so far")
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
    let _ = writeln!(text, "\n{}", amount(found));
    if let Some(state) = state(found) {
        let _ = writeln!(text, "  {state}");
    }
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
    if let Some(sustained) = &found.sustained {
        let since = sustained.throttled_after_s;
        let since =
            since.map_or("not throttled".to_owned(), |s| format!("throttled after {s:.0} s"));
        let drop = format!("{:+.1} %", sustained.drop_percent);
        row(
            "sustained",
            Some(drop),
            format!("in {:.0} s without a pause, {since}", sustained.seconds),
        );
    }
    if let Some(Agreement { reference, gap: Some(gap), tolerance, values, compared }) =
        &found.agreement
    {
        let part = match (values, compared) {
            (Some(values), Some(compared)) if compared < values => {
                format!("; {compared} of {values} values, and what all are like")
            }
            _ => String::new(),
        };
        let note = format!("largest gap to {reference}, {tolerance} is allowed{part}");
        row("outputs", Some(format!("{gap:.1e}")), note);
    }
    for ProviderShare { name, nodes, partitions } in found.providers().into_iter().flatten() {
        let note = format!("nodes in {partitions} partitions for {name}");
        row("provider", Some(nodes.to_string()), note);
    }
    if let Some(ops) = &found.per_op {
        text.push_str(&per_op(ops));
    }
    text.trim_end().to_owned()
}

/// The slowest operations.
fn per_op(ops: &[OpTime]) -> String {
    let all: f64 = ops.iter().map(|op| op.us).sum();
    let mut text =
        "\n  slowest operations (not for comparing models: looking costs time)\n".to_owned();
    for op in ops.iter().take(10) {
        let share = 100.0 * op.us / all.max(f64::MIN_POSITIVE);
        let provider = op.provider.as_ref().map_or(String::new(), |p| format!(" ({p})"));
        let (us, what) = (Micros(op.us).to_string(), &op.op);
        let _ = writeln!(text, "  {us:>12} {share:>5.1} %  {what}{provider}  {}", op.name);
    }
    text
}

/// How much was measured, and how far it lies apart.
fn amount(found: &Measurement) -> String {
    let (launches, samples) = (found.launches.len(), found.samples().len());
    let (runs, timed) = (found.runs(), found.timed());
    let mut text = format!("  {launches} launches, {runs} runs in {timed}, {samples} samples kept");
    if let Some(hz) = found.paced_hz {
        let _ = write!(text, "; paced: {hz} runs a second");
    }
    if found.attempts > 1 {
        let _ = write!(text, "; the least noisy of {} attempts", found.attempts);
    }
    let percent = |deviation: f64| format!("{:.1} %", 100.0 * deviation);
    if let (Some(launches), Some(within)) = (found.launch_deviation(), found.within_deviation()) {
        let (launches, within, n) = (percent(launches), percent(within), found.outliers());
        let _ = write!(
            text,
            "\n  launches vary by {launches}, runs within one by {within}; {n} outliers"
        );
    }
    text
}

/// How hot and how fast the device was, as far as it says.
fn state(found: &Measurement) -> Option<String> {
    let (before, after) =
        (&found.launches.first()?.timed.before, &found.launches.last()?.timed.after);
    let heat = |when: &str, now: &Conditions| {
        let (zone, celsius) = now.temperatures_c.as_ref()?.first()?;
        Some(format!("{zone} {celsius:.1} °C {when}"))
    };
    let clocks = || {
        let mhz = after.clocks_mhz.as_ref()?.iter().copied().flatten();
        let (least, most) = (mhz.clone().reduce(f64::min)?, mhz.reduce(f64::max)?);
        Some(format!("clocks {least:.0} to {most:.0} MHz"))
    };
    let governor = after.governor.as_ref().map(|governor| format!("governor {governor}"));
    let parts = [heat("before", before), heat("after", after), clocks(), governor];
    let known: Vec<String> = parts.into_iter().flatten().collect();
    (!known.is_empty()).then(|| known.join(", "))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::device::Fake;
    use crate::measure::measure;

    #[test]
    fn a_person_is_told_how_much_was_measured_and_how_far_it_lies_apart() {
        let model = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(model.path(), [7; 80_000]).unwrap();
        let plan = Plan::of(Level::Search);
        let mut found = measure(Arc::new(Fake), model.path(), &plan, "metronome", 1).unwrap();
        let said = text(&found);
        for part in [
            " 1 thread: stable\n",
            "\n  14 launches, ",
            " runs in 1.00",
            " samples kept\n",
            "\n  launches vary by 0.",
            "; 0 outliers\n",
            "\n  p99 ",
        ] {
            assert!(said.contains(part), "`{part}` is missing in:\n{said}");
        }
        let timed = &mut found.launches[13].timed;
        timed.after.temperatures_c =
            Some(vec![("cpu-thermal".into(), 41.54), ("gpu".into(), 40.0)]);
        timed.after.clocks_mhz = Some(vec![Some(2400.0), None, Some(1800.0)]);
        timed.after.governor = Some("schedutil".into());
        let state = "\n  cpu-thermal 41.5 °C after, clocks 1800 to 2400 MHz, governor schedutil\n";
        assert!(!said.contains("governor") && text(&found).contains(state), "{}", text(&found));
        found.attempts = 2;
        assert!(text(&found).contains("kept; the least noisy of 2 attempts\n"));
    }
}
