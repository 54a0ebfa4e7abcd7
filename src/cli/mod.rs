//! The face for people: commands, output, exit codes. The only room that prints.
//!
//! Results go to standard output, everything else to standard error.
mod args;
mod bench;
mod devices;
mod doctor;
mod exit;
mod export;
mod init;
mod inspect;
mod lists;
mod measure;
mod output;
mod progress;
mod search;
mod spaces;

pub use args::Args;
pub use exit::Exit;

use std::process::ExitCode;

use clap::CommandFactory;
use clap::Parser;

use args::Command;

/// Runs the command line of this process; what it answers is the exit code.
pub fn main() -> ExitCode {
    match Args::try_parse() {
        Ok(Args { command: Command::Agent, .. }) => crate::agent::main_loop(),
        Ok(args) => run(args).into(),
        Err(error) => usage(&error).into(),
    }
}

fn run(args: Args) -> Exit {
    match dispatch(args) {
        Ok(exit) => exit,
        Err(error) => {
            let exit = Exit::of(&error);
            output::error(&error);
            exit
        }
    }
}

/// Prints what clap has to say: help and version on standard output, slips on standard error.
fn usage(error: &clap::Error) -> Exit {
    let _ = error.print();
    match error.use_stderr() {
        true => Exit::Usage,
        false => Exit::Done,
    }
}

fn dispatch(args: Args) -> anyhow::Result<Exit> {
    let json = args.voice.json;
    match args.command {
        Command::Search(search) => search::run(*search, args.voice),
        Command::Init(init) => init::run(&init, json),
        Command::Front(front) => inspect::front(&front, json),
        Command::Show(show) => inspect::show(&show, json),
        Command::Export(export) => inspect::export(&export, json),
        Command::Report(report) => inspect::report(&report, json),
        Command::Measure(measure) => measure::run(&measure, json),
        Command::Devices(devices) => devices::run(devices, json),
        Command::Bench(bench) => bench::run(&bench, args.voice),
        Command::Datasets => lists::datasets(json),
        Command::Strategies => lists::strategies(json),
        Command::Spaces(args) => spaces::run(&args, json),
        Command::Morphisms => lists::morphisms(json),
        Command::Doctor => doctor::run(json),
        Command::Gc(gc) => inspect::gc(&gc, json),
        Command::Agent => Ok(Exit::Done),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "citronade", &mut text);
            output::raw(&text)
        }
        Command::Man => {
            let mut text = Vec::new();
            clap_mangen::Man::new(Args::command()).render(&mut text)?;
            output::raw(&text)
        }
    }
}
