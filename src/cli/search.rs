//! `citronade search`.
mod gauges;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use anyhow::Context;
use serde_json::Value;
use serde_json::json;

use crate::data;
use crate::data::DataSet;
use crate::data::Samples;
use crate::engine;
use crate::engine::Budget;
use crate::engine::ConfigError;
use crate::engine::DeviceNames;
use crate::engine::Engine;
use crate::engine::EngineError;
use crate::engine::Gauge;
use crate::engine::Limit;
use crate::engine::Material;
use crate::engine::Parts;
use crate::engine::RunConfig;
use crate::engine::StopReason;
use crate::pareto::Objective;
use crate::pareto::Reference;
use crate::search::Acceptance;
use crate::store::RunDevice;
use crate::store::RunRecord;
use crate::store::Store;
use crate::train::Cpu;
use crate::train::Formula;
use crate::train::Trainer;

use super::Exit;
use super::args::Search;
use super::args::Voice;
use super::devices;
use super::exit::UsageError;
use super::inspect;
use super::output;
use super::progress::Progress;

use gauges::gauges;
use gauges::runtime_of;

/// What a search may spend if nobody says.
const DEFAULT_BUDGET: &str = "5min";

/// Runs a search, or goes on with the one in the store.
pub fn run(args: Search, voice: Voice) -> anyhow::Result<Exit> {
    let earlier = earlier_run(&args)?;
    let config = match &earlier {
        Some(run) => continued(&args, run)?,
        None => fresh(&args)?,
    };
    if args.dry_run {
        return dry_run(&args, &config, earlier.as_ref(), voice.json);
    }
    let interrupted = watch_interrupt()?;
    // A store that another search writes to is found out before its measurements are disturbed.
    let held = args.store.exists().then(|| open_store(&args.store)).transpose()?;
    if !voice.quiet {
        let (data, search) = (&config.data, &config.search);
        let (strategy, space) = (search.strategy(), &search.space);
        output::note(&format!("reading {data}, then weighing the runtime"));
        output::note(&format!("{strategy} searches in {space}"));
    }
    let data = load(&args, &config)?;
    let DeviceNames(names) = &config.device;
    let connected = names.iter().map(|name| devices::connect(name, args.agent.clone()));
    let connected: Vec<_> = connected.collect::<Result<_, _>>()?;
    let folder = tempfile::tempdir().context("cannot make a folder for models to be measured")?;
    let gauges = gauges(&connected, &args, &config, earlier.as_ref(), folder.path())?;
    // A new one is made last, so that a slip leaves none behind.
    let mut store = match held {
        Some(store) => store,
        None => open_store(&args.store)?,
    };
    let run = match earlier {
        Some(run) => run,
        None => begin(&mut store, &args, &config, &data, &gauges)?,
    };
    if run.data_hash != data.fingerprint() {
        let text = format!(
            "`{}` is not what it was when the run in `{}` began; start a new one with --new",
            config.data,
            args.store.display()
        );
        return Err(UsageError(text).into());
    }
    let mut progress = Progress::new(&config, voice);
    let mut engine = Engine::start(Parts {
        trainer: trainer(&config),
        material: Arc::new(Material::new(data)),
        keep_blobs: true,
        config,
        run,
        store,
        gauges,
        interrupted,
    })?;
    let outcome = engine.run(&mut |event, state| progress.see(event, state));
    progress.finish();
    drop(engine);
    connected.iter().for_each(|(entry, _)| devices::warn_if_slow(entry));
    finish(&args, outcome, voice.json)
}

/// What reading the data decided or left out.
pub fn say_notes(data: &DataSet) {
    data.notes.iter().for_each(|note| output::note(&format!("note: {note}")));
}

/// The newest run of the store, unless a new one is wanted.
fn earlier_run(args: &Search) -> anyhow::Result<Option<RunRecord>> {
    if args.new || !args.store.exists() {
        return Ok(None);
    }
    let reader = inspect::open(&args.store)?;
    Ok(reader.newest_run()?)
}

/// The configuration of a new run: file, then flags.
fn fresh(args: &Search) -> anyhow::Result<RunConfig> {
    let mut config = match &args.config {
        Some(path) => read_config(path)?,
        None => RunConfig::default(),
    };
    apply(args, &mut config)?;
    if config.budget.is_unlimited() {
        config.budget.add(DEFAULT_BUDGET)?;
    }
    config.validate().map_err(|error| blamed(args, error))?;
    // Another default in another version must not change what the run is.
    config.search.strategy = Some(config.search.strategy().to_owned());
    Ok(config)
}

/// The error of a configuration; of what was typed a slip on the command line.
fn blamed(args: &Search, error: ConfigError) -> anyhow::Error {
    let is_typed = match &error {
        ConfigError::Value { key: "search.repeats", .. } => args.repeats.is_some(),
        ConfigError::Value { key: "search.filters", .. } => args.filters.is_some(),
        ConfigError::Value { key: "search.blocks", .. } => args.blocks.is_some(),
        ConfigError::Start { .. } => !args.start.is_empty(),
        _ => false,
    };
    match is_typed {
        true => UsageError(error.to_string()).into(),
        false => error.into(),
    }
}

/// The configuration of the run in the store, with another budget if one is given. Anything else
/// that differs is refused: results of two configurations are not one run.
fn continued(args: &Search, run: &RunRecord) -> anyhow::Result<RunConfig> {
    let stored: RunConfig =
        serde_json::from_str(&run.config).context("the run's configuration is damaged")?;
    let mut asked = match &args.config {
        Some(path) => read_config(path)?,
        None => stored.clone(),
    };
    apply(args, &mut asked)?;
    // Where nobody asks for another strategy, the run has its own.
    asked.search.strategy = asked.search.strategy.or(stored.search.strategy.clone());
    let budget = match asked.budget.is_unlimited() {
        true => stored.budget,
        false => asked.budget,
    };
    let asked = RunConfig { budget, ..asked };
    asked.validate().map_err(|error| blamed(args, error))?;
    let plain = |config: &RunConfig| {
        serde_json::to_value(RunConfig { budget: Budget::default(), ..config.clone() })
            .expect("a configuration is plain data")
    };
    let changed = changed(&plain(&stored), &plain(&asked));
    if !changed.is_empty() {
        let text = format!(
            "the run in `{}` differs in {}; add --new to start a new run, or name another --store",
            args.store.display(),
            changed.join(", ")
        );
        return Err(UsageError(text).into());
    }
    Ok(asked)
}

/// The keys whose values differ, those of tables with the table's name: `search.strategy`.
fn changed(was: &Value, is: &Value) -> Vec<String> {
    let keys = was.as_object().into_iter().flatten();
    let changed = keys.filter(|(key, was)| **was != is[*key]).map(|(key, was)| {
        let within = self::changed(was, &is[key]);
        match within.is_empty() {
            true => vec![key.clone()],
            false => within.iter().map(|inner| format!("{key}.{inner}")).collect(),
        }
    });
    changed.flatten().collect()
}

fn read_config(path: &Path) -> anyhow::Result<RunConfig> {
    let text = fs::read_to_string(path)
        .map_err(|e| UsageError(format!("cannot read `{}`: {e}", path.display())))?;
    RunConfig::from_toml(&text).with_context(|| format!("cannot use `{}`", path.display()))
}

/// Flags win over the file.
fn apply(args: &Search, config: &mut RunConfig) -> anyhow::Result<()> {
    let set = |target: &mut String, value: &Option<String>| {
        if let Some(value) = value {
            target.clone_from(value);
        }
    };
    set(&mut config.data, &args.data);
    if let Some(names) = &args.device {
        config.device = DeviceNames(names.clone());
    }
    set(&mut config.runtime, &args.runtime);
    config.runtime = devices::with_provider(&config.runtime, args.provider.as_deref())?;
    set(&mut config.training.trainer, &args.trainer);
    set(&mut config.search.space, &args.space);
    let search = &mut config.search;
    search.strategy = args.strategy.clone().or(search.strategy.take());
    search.repeats = args.repeats.or(search.repeats);
    search.filters = args.filters.or(search.filters);
    search.blocks = args.blocks.or(search.blocks);
    if !args.start.is_empty() {
        search.starts.clone_from(&args.start);
    }
    config.split.limit = args.data_limit.or(config.split.limit);
    config.threads = args.threads.unwrap_or(config.threads);
    config.sustained_s = args.sustained.map(|us| us.0 / 1e6).or(config.sustained_s);
    config.seed = args.seed.unwrap_or(config.seed);
    config.search.inherit &= !args.no_inherit;
    if let Some(rule) = &args.acceptance {
        config.search.acceptance = match rule.as_str() {
            "surrogate" => Acceptance::Surrogate,
            "density" => Acceptance::Density,
            _ => {
                let text = format!("`{rule}` is not `surrogate` or `density`");
                return Err(UsageError(text).into());
            }
        };
    }
    if let Some(names) = &args.objectives {
        let read = |name: &String| name.parse::<Objective>().map_err(|e| UsageError(e.to_string()));
        config.objectives = names.iter().map(read).collect::<Result<_, _>>()?;
    }
    for text in &args.limit {
        let limit: Limit = text.parse().map_err(|e| UsageError(format!("{e}")))?;
        config.limits.retain(|l| l.objective != limit.objective);
        config.limits.push(limit);
    }
    if !args.budget.is_empty() {
        config.budget = Budget::default();
    }
    for text in &args.budget {
        config.budget.add(text).map_err(|e| UsageError(e.to_string()))?;
    }
    Ok(())
}

/// The data of the configuration, if its strategy can search on them and its space has its starts.
fn load(args: &Search, config: &RunConfig) -> anyhow::Result<DataSet> {
    let data = data::load(&config.data, &config.split)
        .with_context(|| format!("cannot use the data set `{}`", config.data))?;
    say_notes(&data);
    let space = engine::space_of(config, &data)?;
    engine::starts_of(config, space.as_ref()).map_err(|error| blamed(args, error))?;
    Ok(data)
}

fn open_store(path: &Path) -> anyhow::Result<Store> {
    Store::open(path).with_context(|| format!("cannot open the store `{}`", path.display()))
}

/// Writes a new run down.
fn begin(
    store: &mut Store,
    args: &Search,
    config: &RunConfig,
    data: &DataSet,
    gauges: &[Gauge],
) -> anyhow::Result<RunRecord> {
    let now = jiff::Timestamp::now();
    let json = serde_json::to_string(config)?;
    let unique = blake3::hash(format!("{now:?}{}{json}", std::process::id()).as_bytes());
    let stamp = now.strftime("%Y%m%d-%H%M%S");
    let reference = given_reference(args, config)?;
    let devices = config.device.0.iter().zip(gauges).map(|(name, gauge)| RunDevice {
        name: name.clone(),
        runtime: runtime_of(&gauge.bench),
        reference: reference.clone(),
    });
    let run = RunRecord {
        id: format!("{stamp}-{}", &unique.to_hex()[..4]),
        created: after_the_others(&args.store, now.as_second())?,
        config: json,
        data: config.data.clone(),
        data_hash: data.fingerprint(),
        devices: devices.collect(),
        threads: config.threads,
        objectives: config.objectives.iter().map(Objective::to_string).collect(),
        limits: config.limits.iter().map(|l| (l.objective.field().to_owned(), l.most)).collect(),
    };
    store.begin_run(&run)?;
    Ok(run)
}

/// When a run that begins now, at `unix_s` by a clock that may have been set back, is said to have begun:
/// the newest is the one that began last.
fn after_the_others(store: &Path, unix_s: i64) -> anyhow::Result<i64> {
    let newest = inspect::open(store)?.newest_run()?.map(|run| run.created + 1);
    Ok(newest.map_or(unix_s, |next| next.max(unix_s)))
}

/// The reference of `--reference FILE`, if the file is there.
fn given_reference(args: &Search, config: &RunConfig) -> anyhow::Result<Option<String>> {
    let Some(path) = args.reference.as_ref().filter(|path| path.exists()) else {
        return Ok(None);
    };
    let cannot = || format!("cannot use the reference `{}`", path.display());
    let text = fs::read_to_string(path).with_context(cannot)?;
    let reference: Reference = serde_json::from_str(&text)
        .map_err(|e| ConfigError::Reference(path.display().to_string(), e.to_string()))?;
    if reference.objectives() != config.objectives {
        let text = format!("`{}` is for other objectives than this run's", path.display());
        return Err(UsageError(text).into());
    }
    Ok(Some(text))
}

fn trainer(config: &RunConfig) -> Arc<dyn Trainer> {
    match config.training.trainer.as_str() {
        "formula" => Arc::new(Formula),
        _ => Arc::new(Cpu::new(cores())),
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A flag that Ctrl-C sets; a second Ctrl-C ends the process at once.
pub(super) fn watch_interrupt() -> anyhow::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = flag.clone();
    ctrlc::set_handler(move || {
        if set.swap(true, Ordering::Relaxed) {
            std::process::exit(Exit::Interrupted as i32);
        }
        output::note("stopping after the step in flight; press Ctrl-C again to stop at once");
    })
    .context("cannot watch for Ctrl-C")?;
    Ok(flag)
}

/// Says how it ended, what there is now, and what to do next.
fn finish(
    args: &Search,
    outcome: Result<StopReason, EngineError>,
    json: bool,
) -> anyhow::Result<Exit> {
    let reason = outcome?;
    if let Some(path) = args.reference.as_ref().filter(|path| !path.exists()) {
        write_reference(&args.store, path)?;
    }
    let store = args.store.display();
    if reason == StopReason::Interrupted {
        output::note(&format!("stopped; everything is saved in `{store}`"));
        let budget: String = args.budget.iter().map(|b| format!(" --budget {b}")).collect();
        let flag = store_flag(&args.store);
        output::note(&format!("go on with: citronade search{budget}{flag}"));
        return Ok(Exit::Interrupted);
    }
    output::note(match reason {
        StopReason::Budget => "the budget is spent",
        _ => "there is nothing left to propose",
    });
    inspect::after_search(&args.store, json)
}

fn write_reference(store: &Path, path: &Path) -> anyhow::Result<()> {
    let run = inspect::open(store)?.newest_run()?;
    let devices = run.map(|run| run.devices).unwrap_or_default();
    if let Some(reference) = devices.into_iter().find_map(|device| device.reference) {
        inspect::write(path, reference.as_bytes())?;
    }
    Ok(())
}

/// ` --store FILE`, unless it is the default.
pub fn store_flag(store: &Path) -> String {
    match store == Path::new("citronade.db") {
        true => String::new(),
        false => format!(" --store {}", store.display()),
    }
}

fn dry_run(
    args: &Search,
    config: &RunConfig,
    earlier: Option<&RunRecord>,
    json: bool,
) -> anyhow::Result<Exit> {
    let data = load(args, config)?;
    if json {
        let mut said = data_json(&data);
        said["store"] = json!(args.store);
        said["run"] = json!(earlier.map(|run| &run.id));
        said["config"] = json!(config);
        return output::result(&said.to_string());
    }
    let store = args.store.display();
    let what = match earlier {
        Some(run) => format!("go on with run {} in `{store}`", run.id),
        None => format!("begin a new run in `{store}`"),
    };
    let config = toml::to_string(config)?;
    output::result(&format!("would {what}\n\n{config}\n# {}", data_text(&data)))
}

/// What a data set holds, in one line.
pub fn data_text(data: &DataSet) -> String {
    let [c, h, w] = data.shape;
    let [train, validation, test] = [&data.train, &data.validation, &data.test].map(Samples::len);
    format!(
        "{}: {} classes of {c}x{h}x{w} pixels; {train} training, {validation} validation and {test} \
         test images, none of them in two parts",
        data.name,
        data.classes.len(),
    )
}

/// The same for a program.
pub fn data_json(data: &DataSet) -> serde_json::Value {
    let [train, validation, test] = [&data.train, &data.validation, &data.test].map(Samples::len);
    json!({
        "data": data.name, "classes": data.classes, "shape": data.shape, "train": train,
        "validation": validation, "test": test, "notes": data.notes,
    })
}
