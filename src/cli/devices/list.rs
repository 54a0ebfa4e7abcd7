//! All devices, each with its state and what to do about it.
use std::thread;

use serde::Serialize;

use crate::agent::Conditions;
use crate::device;
use crate::device::Adb;
use crate::device::Catalogue;
use crate::device::Check;
use crate::device::Entry;
use crate::device::Link;
use crate::device::Runners;
use crate::device::State;
use crate::measure;
use crate::measure::Gates;
use crate::measure::MeasureError;
use crate::units::Bytes;

use super::super::Exit;
use super::super::output;
use super::hints;

/// One device as it was found.
#[derive(Serialize)]
pub struct Row {
    pub name: String,
    pub address: String,
    pub state: State,
    pub arch: Option<String>,
    pub about: Option<String>,
    pub problem: Option<String>,
    pub fix: Option<String>,
    /// What does not keep it from being measured.
    pub notes: Vec<String>,
    pub faults: u32,
    pub last_fault: Option<String>,
    pub last_check: Option<Check>,
    pub free_bytes: Option<Bytes>,
    pub conditions: Option<Conditions>,
}

pub fn list(json: bool) -> anyhow::Result<Exit> {
    let lines: Vec<String> = match json {
        true => rows()?.map(|r| serde_json::to_string(&r).expect("plain data")).collect(),
        false => rows()?.map(|r| line(&r)).collect(),
    };
    output::plain(&lines.join("\n"))
}

/// This machine, the devices of the catalogue, and further phones that adb knows; all are looked at
/// at the same time, since each may take as long as its network lets it.
pub fn rows() -> anyhow::Result<impl Iterator<Item = Row>> {
    let catalogue = Catalogue::load()?;
    let mut entries = vec![Entry::of(Link::Local)];
    entries.extend(catalogue.entries().cloned());
    let known = |serial: &str| {
        let is_it = |link: &Link| matches!(link, Link::Adb { serial: s } if s == serial);
        catalogue.entries().any(|entry| is_it(&entry.link))
    };
    let phones = Adb::serials().into_iter().filter(|serial| !known(serial));
    entries.extend(phones.map(|serial| Entry::of(Link::Adb { serial })));
    let looks: Vec<_> = entries.into_iter().map(|e| thread::spawn(move || row(&e))).collect();
    Ok(looks.into_iter().map(|look| look.join().expect("looking does not panic")))
}

fn row(entry: &Entry) -> Row {
    let mut row = Row {
        name: entry.name.clone(),
        address: entry.link.to_string(),
        state: State::Ready,
        arch: None,
        about: entry.profile.about.clone(),
        problem: None,
        fix: None,
        notes: Vec::new(),
        faults: 0,
        last_fault: None,
        last_check: None,
        free_bytes: None,
        conditions: None,
    };
    match device::connect(entry, Runners::of_this_user(None)) {
        Ok(transport) => {
            let found = measure::survey(&*transport, &Gates::from(&entry.profile));
            (row.faults, row.last_check) = (found.health.faults(), found.health.last_check());
            row.last_fault = found.health.last_fault().map(str::to_owned);
            row.free_bytes = found.look.as_ref().and_then(|look| look.free);
            row.arch = found.look.map(|look| look.arch);
            if let Some((facts, conditions)) = found.said {
                row.notes = entry.profile.contradicted(&facts);
                row.notes.extend(hints(&conditions));
                row.conditions = Some(conditions);
            }
            row.notes.extend(
                row.last_check.and_then(|check| check.slower).map(measure::slower_in_words),
            );
            if let Some(problem) = found.problem {
                row.fail(problem);
            }
        }
        Err(source) => {
            let model = String::new();
            row.fail(MeasureError::Device { model, source });
        }
    }
    row
}

impl Row {
    fn fail(&mut self, problem: MeasureError) {
        self.state = problem.state();
        self.fix = problem.hint().map(str::to_owned);
        self.problem = Some(match problem {
            MeasureError::Device { source, .. } => source.to_string(),
            other => other.to_string(),
        });
    }
}

fn line(row: &Row) -> String {
    let address = if row.address == row.name { "" } else { &row.address };
    let known: Vec<&str> =
        [row.arch.as_deref(), row.about.as_deref()].into_iter().flatten().collect();
    let state = row.state.to_string();
    let mut text = format!("{:<16} {state:<12} {address:<28} {}", row.name, known.join(", "));
    let said = row.problem.iter().map(|problem| ("", problem));
    let said = said.chain(row.fix.iter().map(|fix| ("fix: ", fix)));
    for (word, said) in said.chain(row.notes.iter().map(|note| ("note: ", note))) {
        text = format!("{}\n{:17}{word}{said}", text.trim_end(), "");
    }
    text.trim_end().to_owned()
}
