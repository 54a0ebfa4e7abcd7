//! What is said while a search runs: a live table on a terminal, a line now and then elsewhere.
use std::fmt::Write;
use std::time::Duration;
use std::time::Instant;

use indicatif::ProgressBar;
use indicatif::ProgressStyle;

use crate::engine::Event;
use crate::engine::RunConfig;
use crate::engine::State;
use crate::pareto::Archive;
use crate::pareto::Objective;
use crate::units::Bytes;
use crate::units::Fraction;
use crate::units::Micros;

use super::args::Voice;
use super::output;

/// Time between two lines off a terminal.
const LINE_EVERY: Duration = Duration::from_secs(30);
/// Time between two drawings on a terminal.
const DRAW_EVERY: Duration = Duration::from_millis(200);
/// Rows of the live table.
const ROWS: usize = 14;

/// Watches events and says what a person wants to know.
pub struct Progress {
    objectives: Vec<Objective>,
    devices: Vec<String>,
    budget: Option<f64>,
    voice: Voice,
    bar: Option<ProgressBar>,
    said: Instant,
    first_point: bool,
    last_end: Option<String>,
    phase: String,
    /// Why nothing can be written just now.
    paused: Option<String>,
    started: Instant,
    seconds_before: f64,
}

impl Progress {
    /// For a run of `config`.
    pub fn new(config: &RunConfig, voice: Voice) -> Progress {
        let bar = (output::is_live() && !voice.quiet).then(|| {
            let bar = ProgressBar::new_spinner();
            bar.set_style(ProgressStyle::with_template("{msg}").expect("the template is legal"));
            bar
        });
        Progress {
            objectives: config.objectives.clone(),
            devices: config.device.0.clone(),
            budget: config.budget.seconds,
            voice,
            bar,
            said: Instant::now(),
            first_point: true,
            last_end: None,
            phase: String::new(),
            paused: None,
            started: Instant::now(),
            seconds_before: 0.0,
        }
    }

    /// Takes note of an event.
    pub fn see(&mut self, event: &Event, state: &State) {
        if self.voice.json && !matches!(event, Event::Tick) {
            let line = serde_json::to_string(event).expect("an event is plain data");
            let _ = output::result(&line);
        }
        if self.voice.quiet {
            match event {
                Event::Paused(why) => output::note(&format!("PAUSED: {why}; trying again")),
                Event::Wrong { candidate, device, reason } => {
                    output::note(&wrong(*candidate, device, reason));
                }
                _ => {}
            }
            return;
        }
        if let Some(text) = verbose(event, state, self.voice.verbose) {
            match &self.bar {
                Some(bar) => bar.println(text),
                None => output::note(&text),
            }
        }
        let urgent = self.note(event, state);
        match &self.bar {
            Some(bar) => {
                if urgent || self.said.elapsed() >= DRAW_EVERY {
                    bar.set_message(self.table(state));
                    bar.tick();
                    self.said = Instant::now();
                }
            }
            None => {
                if urgent || self.said.elapsed() >= LINE_EVERY {
                    let end = self.last_end.take().map(|end| format!("  |  last one out: {end}"));
                    output::note(&(self.line(state) + &end.unwrap_or_default()));
                    self.said = Instant::now();
                }
            }
        }
    }

    /// Clears the live table.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Remembers what the next line shall say; true if it shall be said now.
    fn note(&mut self, event: &Event, state: &State) -> bool {
        match event {
            Event::Paused(why) => {
                self.paused = Some(format!("PAUSED: {why}; trying again"));
                return true;
            }
            Event::Tick => return false,
            _ => self.paused = None,
        }
        match event {
            Event::Started { resumed: true } => {
                self.phase = "going on".into();
                self.seconds_before = state.seconds();
            }
            Event::Started { resumed: false } => self.phase = "measuring the seeds".into(),
            Event::Proposed { generation, accepted } => {
                self.phase = format!("generation {generation}: {} candidates", accepted.len());
                return false;
            }
            Event::Refining { accepted, .. } => {
                self.phase = format!("training {} front members on", accepted.len());
            }
            Event::Measured(_)
            | Event::Epoch(..)
            | Event::Tick
            | Event::Wrong { .. }
            | Event::Paused(_)
            | Event::Generation(_) => return false,
            Event::Trained(_) => return std::mem::take(&mut self.first_point),
            Event::Ended(ended) => {
                self.last_end = Some(format!("{}: {}", ended.candidate, ended.reason));
                return false;
            }
            Event::Finishing => self.phase = "measuring the front again, then testing it".into(),
        }
        true
    }

    /// One line about the state.
    fn line(&self, state: &State) -> String {
        let counts = state.counts();
        let fronts: Vec<Archive> = state.devices().map(|device| state.archive(device)).collect();
        let seconds = self.seconds_before + self.started.elapsed().as_secs_f64();
        let mut line = format!("{:>6}", clock(seconds));
        if let Some(budget) = self.budget {
            let _ = write!(line, " of {}", clock(budget));
        }
        let _ = write!(
            line,
            "  {}  |  trained {}, killed before training {}, stopped early {}, failed {}",
            self.paused.as_ref().unwrap_or(&self.phase),
            counts.trained,
            counts.killed_before_training,
            counts.stopped_in_training,
            counts.failed
        );
        let at = self.objectives.iter().position(|o| *o == Objective::Error).unwrap_or(0);
        let members = fronts.iter().flat_map(|front| front.members());
        let best = members.map(|m| m.values[at].value).reduce(f64::min);
        if let Some(best) = best {
            let sizes: Vec<String> = fronts.iter().map(|f| f.members().len().to_string()).collect();
            let best = Objective::Error.format(best);
            let _ = write!(line, "  |  front {}, best error {best}", sizes.join(" + "));
        }
        line
    }

    /// The fronts as tables, under a line about the state.
    fn table(&self, state: &State) -> String {
        let mut text = self.line(state);
        text.push('\n');
        for device in state.devices() {
            if self.devices.len() > 1 {
                let _ = write!(text, "\n  {}", self.devices[device]);
            }
            self.front(&mut text, &state.archive(device));
            text.push('\n');
        }
        if let Some(end) = &self.last_end {
            let _ = write!(text, "\n  last one out: candidate {end}\n");
        }
        text.push_str("\n  Ctrl-C saves and stops; `citronade front` shows the front meanwhile");
        text
    }

    fn front(&self, text: &mut String, archive: &Archive) {
        let rows = (ROWS / self.devices.len()).max(3);
        let order = self.objectives.iter().position(|o| o.is_measured()).unwrap_or(0);
        let mut members = archive.members();
        members.sort_by(|a, b| a.values[order].value.total_cmp(&b.values[order].value));
        let _ = write!(text, "\n  candidate");
        self.objectives.iter().for_each(|o| {
            let _ = write!(text, "{:>14}", o.to_string());
        });
        for member in spread(&members, rows) {
            let _ = write!(text, "\n  {:>9}", member.id);
            for (objective, value) in self.objectives.iter().zip(&member.values) {
                let _ = write!(text, "{:>14}", objective.format(value.value));
            }
        }
        if members.len() > rows {
            let _ = write!(text, "\n  … and {} between them", members.len() - rows);
        }
    }
}

/// What `-v` says of an event, and `-vv` of an epoch.
fn verbose(event: &Event, state: &State, verbose: u8) -> Option<String> {
    match event {
        Event::Wrong { candidate, device, reason } => Some(wrong(*candidate, device, reason)),
        _ if verbose == 0 => None,
        Event::Epoch(id, epoch) if verbose > 1 => {
            let (n, loss, error) = (epoch.epoch, epoch.train_loss, epoch.validation_error);
            Some(format!("candidate {id}: epoch {n}, loss {loss:.4}, validation error {error}"))
        }
        Event::Proposed { generation, accepted } => {
            let accepted: Vec<String> = accepted.iter().map(u64::to_string).collect();
            Some(format!("generation {generation}: candidates {}", accepted.join(", ")))
        }
        Event::Measured(measured) => {
            let (id, round) = (measured.candidate, measured.round);
            let latency = Micros(measured.latency_us);
            let memory = measured.memory_bytes.map_or("unknown".into(), |b| Bytes(b).to_string());
            let verdict = &measured.verdict;
            Some(format!("candidate {id}: round {round}, {latency}, memory {memory}, {verdict}"))
        }
        Event::Trained(trained) => {
            let (id, error, seconds) = (trained.candidate, trained.error, trained.train_s);
            Some(format!("candidate {id}: trained, error {} in {seconds:.1} s", Fraction(error)))
        }
        Event::Ended(ended) => {
            Some(format!("candidate {}: {}, {}", ended.candidate, ended.kind.name(), ended.reason))
        }
        Event::Generation(generation) => {
            let sizes = state.devices().map(|device| state.front(device).len().to_string());
            let members = sizes.collect::<Vec<_>>().join(" + ");
            Some(format!("generation {generation}: done, {members} members on the front"))
        }
        Event::Started { .. }
        | Event::Epoch(..)
        | Event::Refining { .. }
        | Event::Paused(_)
        | Event::Finishing
        | Event::Tick => None,
    }
}

fn wrong(candidate: u64, device: &str, reason: &str) -> String {
    format!("candidate {candidate} is on no front of {device}: {reason}")
}

/// At most `n` of `all`, evenly spread from the first to the last.
fn spread<T>(all: &[T], n: usize) -> impl Iterator<Item = &T> {
    let shown = all.len().min(n);
    (0..shown).map(move |i| &all[i * (all.len() - 1) / (shown - 1).max(1)])
}

/// `75` as `1:15`.
fn clock(seconds: f64) -> String {
    let s = seconds as u64;
    match s / 3600 {
        0 => format!("{}:{:02}", s / 60, s % 60),
        h => format!("{h}:{:02}:{:02}", s / 60 % 60, s % 60),
    }
}
