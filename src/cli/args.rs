//! What may be typed.
use std::path::PathBuf;

use clap::Parser;
use clap::Subcommand;
use clap::builder::PossibleValuesParser;
use clap::builder::RangedU64ValueParser;

use crate::agent::PROVIDERS;
use crate::search::STRATEGIES;
use crate::search::VARIANTS;
use crate::space::SPACES;
use crate::tabular::FORMATS;
use crate::units::Fraction;
use crate::units::Micros;

/// Finds neural networks for your phone or board: grown by morphisms, measured on the device.
#[derive(Debug, Parser)]
#[command(name = "citronade", version, max_term_width = 100)]
pub struct Args {
    /// How to say it.
    #[command(flatten)]
    pub voice: Voice,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How much is said, and to whom.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Voice {
    /// Print one JSON object (or one a line) instead of text.
    #[arg(long, global = true)]
    pub json: bool,
    /// Say less.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Say more: what becomes of every candidate; twice for every epoch too.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Search for a Pareto front, or go on with the search in the store
    Search(Box<Search>),
    /// Write a commented configuration and check the data
    Init(Init),
    /// Show the Pareto front
    Front(Front),
    /// Show one candidate: objectives, lineage, training curve
    Show(Show),
    /// Write front members as ONNX with weights, model card and a snippet
    Export(Export),
    /// Write one self-contained HTML page about the run
    Report(Report),
    /// Measure an ONNX file: latency, memory, and whether the figures can be trusted
    Measure(Measure),
    /// List the devices with their state; check or add one
    Devices(Devices),
    /// Score strategies on a recorded benchmark
    Bench(Bench),
    /// List the data sets
    #[command(after_help = "Example:\n  citronade datasets")]
    Datasets,
    /// List the strategies
    #[command(after_help = "Example:\n  citronade strategies --json")]
    Strategies,
    /// List the spaces of architectures; draw a member of one
    Spaces(Spaces),
    /// List the morphisms
    #[command(after_help = "Example:\n  citronade morphisms")]
    Morphisms,
    /// Say what works on this machine and what does not, with the fix
    #[command(after_help = "Example:\n  citronade doctor")]
    Doctor,
    /// Remove blobs that no candidate refers to
    Gc(Gc),
    /// Serve measuring requests on standard input (the local device starts this)
    #[command(hide = true)]
    Agent,
    /// Print a completion script
    #[command(
        after_help = "Example:\n  citronade completions bash > ~/.local/share/bash-completion/completions/citronade"
    )]
    Completions {
        /// For this shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    #[command(after_help = "Example:\n  citronade man > citronade.1")]
    Man,
}

/// Which store, which run.
#[derive(Clone, Debug, clap::Args)]
pub struct Stored {
    /// The store.
    #[arg(long, value_name = "FILE", default_value = "citronade.db")]
    pub store: PathBuf,
    /// The run; by default the newest.
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
}

/// Arguments of `search`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  citronade search\n  citronade search --data fashion-mnist \
--limit 'latency<=1ms' --budget 60min\n  citronade search my-search.toml --new\n  citronade search \
--space macro --filters 16 --start 22212220 --budget 1candidates --store large.db")]
pub struct Search {
    /// Configuration (see `citronade init`); flags win over it.
    #[arg(value_name = "CONFIG.toml")]
    pub config: Option<PathBuf>,
    /// `digits`, `fashion-mnist`, a folder of class folders, an IDX folder or an npz file.
    #[arg(long, value_name = "PATH|NAME")]
    pub data: Option<String>,
    /// Use at most so many training images.
    #[arg(long, value_name = "N")]
    pub data_limit: Option<usize>,
    /// The device that is measured: a name of devices.toml, `local`, `ssh:HOST` or `adb:SERIAL`; several
    /// as `local,bench-pi`, for a front each.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub device: Option<Vec<String>>,
    /// The runner for the device, instead of the one that is found.
    #[arg(long, value_name = "FILE")]
    pub agent: Option<PathBuf>,
    /// Also on an emulated device, whose times say nothing about a real one.
    #[arg(long)]
    pub emulated: bool,
    /// `tract` or `ort`.
    #[arg(long, value_name = "NAME")]
    pub runtime: Option<String>,
    /// Execution provider of ONNX Runtime, if the device's library has it.
    #[arg(long, value_name = "NAME", value_parser = providers())]
    pub provider: Option<String>,
    /// Threads of the runtime.
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Who trains: `cpu`.
    #[arg(long, value_name = "NAME")]
    pub trainer: Option<String>,
    /// What is minimised, e.g. `error,latency,memory`.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub objectives: Option<Vec<String>>,
    /// A hard limit, e.g. `latency<=8ms`; may be given several times.
    #[arg(long, value_name = "LIMIT")]
    pub limit: Vec<String>,
    /// Minimise the latency after so long without a pause, e.g. `30s`, not that of short launches.
    #[arg(long, value_name = "DURATION")]
    pub sustained: Option<Micros>,
    /// How candidates are found (`citronade strategies` says more); by default `lemonade` in the open space
    /// and `citron` in a fixed one.
    #[arg(long, value_name = "NAME", value_parser = strategies())]
    pub strategy: Option<String>,
    /// Where architectures come from (`citronade spaces` says more).
    #[arg(long, value_name = "NAME", value_parser = spaces())]
    pub space: Option<String>,
    /// Cells or layers in each stage of a fixed space's networks, layers of a `chain`; by default by the data.
    #[arg(long, value_name = "N", value_parser = count(usize::MAX))]
    pub repeats: Option<usize>,
    /// Filters of their first stage; by default by the data.
    #[arg(long, value_name = "N", value_parser = count(usize::MAX))]
    pub filters: Option<usize>,
    /// Blocks of each cell of `cells`; by default 5.
    #[arg(long, value_name = "N", value_parser = count(usize::MAX))]
    pub blocks: Option<usize>,
    /// A member of a fixed space that is evaluated before all others, in the space's words, as `citronade
    /// show` says them; may be given several times.
    #[arg(long, value_name = "TEXT")]
    pub start: Vec<String>,
    /// How children are chosen: `surrogate` or `density`.
    #[arg(long, value_name = "RULE")]
    pub acceptance: Option<String>,
    /// Train every child from scratch (for comparison).
    #[arg(long)]
    pub no_inherit: bool,
    /// When to stop, e.g. `10min`, `200candidates`, `300epochs`, over the whole run; may be given
    /// several times.
    #[arg(long, value_name = "BUDGET")]
    pub budget: Vec<String>,
    /// Of every random draw.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Scale of the hypervolume: read from this file, or written to it by the first run.
    #[arg(long, value_name = "FILE")]
    pub reference: Option<PathBuf>,
    /// The store.
    #[arg(long, value_name = "FILE", default_value = "citronade.db")]
    pub store: PathBuf,
    /// Begin a new run in the store instead of going on with the newest.
    #[arg(long)]
    pub new: bool,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `bench`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  citronade bench --benchmark nb201 --table nb201.csv --device raspi4\n  \
citronade bench --benchmark nb201 --table nb201.csv --device raspi4 --device pixel3 --strategy random \
--strategy nsga2 --latency known --svg regret.svg\n  citronade bench --benchmark csv --table mine.csv \
--device phone --trace trace.jsonl"
)]
pub struct Bench {
    /// What the table holds: all cells of NAS-Bench-201, those of NAS-Bench-Graph, or anything else with
    /// the columns index, choices, an error or accuracy, and lat_DEVICE.
    #[arg(long, value_name = "NAME", default_value = "nb201", value_parser = benchmarks())]
    pub benchmark: String,
    /// The table.
    #[arg(long, value_name = "FILE.csv")]
    pub table: PathBuf,
    /// A device of the table; may be given several times. By default all.
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    pub device: Vec<String>,
    /// A strategy; may be given several times. By default all that can play.
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = strategies())]
    pub strategy: Vec<String>,
    /// Is latency `learnt` (a query returns it together with the error) or `known` (free)?
    #[arg(long, value_name = "CLASS", default_value = "learnt", value_parser = ["learnt", "known"])]
    pub latency: String,
    /// Distinct architectures in each game.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = count(usize::MAX))]
    pub queries: usize,
    /// Games of each strategy on each device.
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = count(MOST_SEEDS))]
    pub seeds: usize,
    /// Column that a query returns, instead of the benchmark's own. It holds errors if its name has `err`,
    /// accuracies if it has `acc` or `perf`: shares, or percent if any value is above 1.
    #[arg(long, value_name = "COLUMN")]
    pub error: Option<String>,
    /// Column of what the user gets in the end, instead of the benchmark's own.
    #[arg(long, value_name = "COLUMN")]
    pub final_error: Option<String>,
    /// Error beyond which nothing counts.
    #[arg(long, value_name = "ERROR", default_value = "60%", value_parser = error)]
    pub reference_error: Fraction,
    /// Write every query to this file, one JSON object a line.
    #[arg(long, value_name = "FILE.jsonl")]
    pub trace: Option<PathBuf>,
    /// Draw regret against queries into this file.
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

/// Arguments of `init`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  citronade init\n  citronade init --data ./images --limit 'latency<=8ms'"
)]
pub struct Init {
    /// As in `search`.
    #[arg(long, value_name = "PATH|NAME", default_value = "digits")]
    pub data: String,
    /// The device that is measured.
    #[arg(long, value_name = "NAME", default_value = "local")]
    pub device: String,
    /// A hard limit, e.g. `latency<=8ms`; may be given several times.
    #[arg(long, value_name = "LIMIT")]
    pub limit: Vec<String>,
    /// Where to write; `-` for standard output.
    #[arg(long, value_name = "FILE", default_value = "citronade.toml")]
    pub out: PathBuf,
}

/// Arguments of `front`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  citronade front\n  citronade front --plot\n  citronade front --csv > front.csv\n  citronade front --svg front.svg --png front.png"
)]
pub struct Front {
    #[command(flatten)]
    pub stored: Stored,
    /// On which device; needed where the run has several.
    #[arg(long, value_name = "NAME")]
    pub device: Option<String>,
    /// Comma-separated values instead of a table.
    #[arg(long)]
    pub csv: bool,
    /// Draw the front in the terminal.
    #[arg(long)]
    pub plot: bool,
    /// Also draw it into this file.
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Also draw it into this file.
    #[arg(long, value_name = "FILE")]
    pub png: Option<PathBuf>,
}

/// Arguments of `show`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  citronade show 12\n  citronade show 12 --json")]
pub struct Show {
    /// Number of the candidate.
    pub id: u64,
    #[command(flatten)]
    pub stored: Stored,
}

/// Arguments of `export`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  citronade export --knee --out model\n  citronade export 12 31 --out models\n  citronade export --front --out models"
)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["ids", "knee", "front"]))]
pub struct Export {
    /// Numbers of candidates.
    pub ids: Vec<u64>,
    /// The knee of the front.
    #[arg(long)]
    pub knee: bool,
    /// Every member of the front.
    #[arg(long)]
    pub front: bool,
    /// On which device; needed where the run has several.
    #[arg(long, value_name = "NAME")]
    pub device: Option<String>,
    /// Folder to write into; made if it is not there.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    #[command(flatten)]
    pub stored: Stored,
}

/// Arguments of `report`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  citronade report --out front.html")]
pub struct Report {
    /// The page.
    #[arg(long, value_name = "FILE.html")]
    pub out: PathBuf,
    /// On which device; needed where the run has several.
    #[arg(long, value_name = "NAME")]
    pub device: Option<String>,
    #[command(flatten)]
    pub stored: Stored,
}

/// Arguments of `spaces`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  citronade spaces\n  citronade spaces darts-cells --svg cell.svg\n  citronade spaces macro --member 22212220"
)]
pub struct Spaces {
    /// Draw a random member of this space, as a network for the bundled digits.
    pub name: Option<String>,
    /// Draw this member, in the space's own words.
    #[arg(long, value_name = "TEXT", requires = "name")]
    pub member: Option<String>,
    /// Of the random member.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "name")]
    pub seed: u64,
    /// Also draw it into this file.
    #[arg(long, value_name = "FILE", requires = "name")]
    pub svg: Option<PathBuf>,
}

/// Arguments of `gc`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  citronade gc --store citronade.db")]
pub struct Gc {
    /// The store, with all its runs.
    #[arg(long, value_name = "FILE", default_value = "citronade.db")]
    pub store: PathBuf,
}

/// Arguments of `devices`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  citronade devices\n  citronade devices add bench-pi ssh:pi5.lan --like raspberry-pi-5\n  citronade devices check bench-pi"
)]
pub struct Devices {
    #[command(subcommand)]
    pub command: Option<DevicesCommand>,
}

/// What to do with devices.
#[derive(Debug, Subcommand)]
pub enum DevicesCommand {
    /// Reach a device, bring the runner there, and measure the reference model; ends a quarantine
    Check {
        /// A name of devices.toml, `local`, `ssh:HOST` or `adb:SERIAL`.
        name: String,
        /// The runner for it, instead of the one that is found.
        #[arg(long, value_name = "FILE")]
        agent: Option<PathBuf>,
    },
    /// Write a device into devices.toml, and check it
    Add {
        /// What to call it.
        name: String,
        /// `ssh:HOST`, `ssh:USER@HOST:PORT` or `adb:SERIAL`.
        address: String,
        /// The profile that it extends (`citronade devices profiles`).
        #[arg(long, value_name = "PROFILE")]
        like: Option<String>,
    },
    /// Keep a device to yourself until Ctrl-C: measurements of others wait
    Lock {
        /// As for `check`.
        name: String,
        /// As for `check`.
        #[arg(long, value_name = "FILE")]
        agent: Option<PathBuf>,
    },
    /// List the profiles that devices may extend
    Profiles,
}

/// Arguments of `measure`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  citronade measure model.onnx --runtime ort --threads 2 --json\n  citronade measure model.onnx --device bench-pi --paced 30hz --sustained 5min"
)]
pub struct Measure {
    /// The model.
    #[arg(value_name = "MODEL.onnx")]
    pub model: PathBuf,
    /// The device: a name of devices.toml, `local`, `ssh:HOST` or `adb:SERIAL`.
    #[arg(long, value_name = "NAME", default_value = "local")]
    pub device: String,
    /// The runner for the device, instead of the one that is found.
    #[arg(long, value_name = "FILE")]
    pub agent: Option<PathBuf>,
    /// `tract` or `ort`.
    #[arg(long, value_name = "NAME", default_value = "tract")]
    pub runtime: String,
    /// Execution provider of ONNX Runtime, if the device's library has it.
    #[arg(long, value_name = "NAME", value_parser = providers())]
    pub provider: Option<String>,
    /// Threads of the runtime; by default those of the device's profile, else 1.
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub threads: Option<usize>,
    /// How thorough: `screen` (a fifth of a second of runs), `search` (a second) or `final` (a minute).
    #[arg(long, value_name = "LEVEL", default_value = "final")]
    pub level: String,
    /// Longest that a launch may take, `2min` if nothing is said: what takes longer counts as endless.
    #[arg(long, value_name = "DURATION")]
    pub deadline: Option<Micros>,
    /// Also time each operation; not for comparing models.
    #[arg(long)]
    pub per_op: bool,
    /// Begin so many runs a second, e.g. `30hz`, as an app does; back-to-back runs flatter.
    #[arg(long, value_name = "RATE", value_parser = hertz)]
    pub paced: Option<f64>,
    /// Also run without a pause for so long, e.g. `5min`: how much slower does the device become?
    #[arg(long, value_name = "DURATION")]
    pub sustained: Option<Micros>,
}

/// Games of one strategy on one device, at most.
const MOST_SEEDS: usize = 10_000;

fn strategies() -> PossibleValuesParser {
    STRATEGIES.iter().chain(VARIANTS).map(|(name, _)| *name).into()
}

fn spaces() -> PossibleValuesParser {
    SPACES.iter().map(|(name, _)| *name).into()
}

fn providers() -> PossibleValuesParser {
    PROVIDERS.into()
}

fn benchmarks() -> PossibleValuesParser {
    FORMATS.iter().map(|format| format.name).into()
}

fn count(most: usize) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=most as u64)
}

fn error(text: &str) -> Result<Fraction, String> {
    match text.parse::<Fraction>().map_err(|e| e.to_string())? {
        Fraction(share) if share > 0.0 && share <= 1.0 => Ok(Fraction(share)),
        Fraction(percent) if percent > 1.0 && percent <= 100.0 => {
            Err(format!("a share up to 1 is wanted; did you mean `{percent}%`?"))
        }
        _ => Err("a share above 0 and up to 1, or 100%, is wanted".to_owned()),
    }
}

fn hertz(text: &str) -> Result<f64, String> {
    let number = text.trim_end_matches(['h', 'H', 'z', 'Z']).trim().parse().ok();
    let possible = number.filter(|hz| (0.01..=100_000.0).contains(hz));
    possible.ok_or_else(|| "a rate such as `30hz` is wanted".to_owned())
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| "a whole number from 1 is wanted".to_owned())
}
