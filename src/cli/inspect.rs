//! Commands that read a store: `front`, `show`, `export`, `report`, `gc`.
use std::path::Path;

use anyhow::Context;

use crate::store::Reader;
use crate::store::RunRecord;
use crate::store::Store;

use super::Exit;
use super::args::Export;
use super::args::Front;
use super::args::Report;
use super::args::Show;
use super::args::Stored;
use super::exit::NothingSelected;
use super::output;

/// Opens a store for reading.
pub fn open(path: &Path) -> anyhow::Result<Reader> {
    Reader::open(path).with_context(|| format!("cannot read the store `{}`", path.display()))
}

fn run_of(stored: &Stored) -> anyhow::Result<(Reader, RunRecord)> {
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

/// `citronade front`.
pub fn front(args: &Front, _json: bool) -> anyhow::Result<Exit> {
    let (reader, run) = run_of(&args.stored)?;
    let told = reader.told(&run.id)?;
    let Some(last) = told.last() else { return Ok(Exit::Nothing) };
    let mut rows: Vec<_> = last.front.iter().collect();
    rows.sort_by(|a, b| a.values[1].total_cmp(&b.values[1]));
    let mut text = format!("hypervolume {:.4}\n", last.hypervolume);
    for member in rows {
        text.push_str(&format!("{:>6} {:?}\n", member.candidate, member.values));
    }
    output::result(&text)
}

/// `citronade show`.
pub fn show(_args: &Show, _json: bool) -> anyhow::Result<Exit> {
    Ok(Exit::Failure)
}

/// `citronade export`.
pub fn export(_args: &Export, _json: bool) -> anyhow::Result<Exit> {
    Ok(Exit::Failure)
}

/// `citronade report`.
pub fn report(_args: &Report) -> anyhow::Result<Exit> {
    Ok(Exit::Failure)
}

/// `citronade gc`.
pub fn gc(args: &Stored) -> anyhow::Result<Exit> {
    let mut store = Store::open(&args.store)
        .with_context(|| format!("cannot open the store `{}`", args.store.display()))?;
    let removed = store.gc()?;
    output::result(&format!("{removed:?}"))
}

/// What a person sees when a search has ended.
pub fn after_search(store: &Path, json: bool) -> anyhow::Result<Exit> {
    let stored = Stored { store: store.to_owned(), run: None };
    let front_args =
        Front { stored, device: None, csv: false, plot: false, svg: None, png: None };
    front(&front_args, json)
}
