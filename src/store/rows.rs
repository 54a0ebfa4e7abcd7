//! Read models: what fronts, tables and reports need of a candidate, without graphs and samples.
use std::collections::BTreeMap;

use rusqlite::Connection;
use rusqlite::params;

use crate::morphism::Step;
use crate::pareto::Objective;
use crate::pareto::Value;

use super::Accepted;
use super::CandidateId;
use super::Combined;
use super::DeviceAt;
use super::EndKind;
use super::Ended;
use super::Measured;
use super::Record;
use super::Round;
use super::StepOutcome;
use super::Told;
use super::Trained;
use super::combine;
use super::read;

type Result<T> = rusqlite::Result<T>;

/// A candidate with its objectives.
#[derive(Clone, Debug, PartialEq)]
pub struct CandidateRow {
    /// Number within the run.
    pub id: CandidateId,
    /// Whose weights it inherits.
    pub parent: Option<CandidateId>,
    /// Is it its parent trained on, without a morphism between?
    pub is_refinement: bool,
    /// Counted from 0, the seeds.
    pub generation: u32,
    /// Trainable parameters.
    pub parameters: u64,
    /// Multiply-accumulates.
    pub macs: u64,
    /// As predicted before measuring, µs.
    pub predicted_latency_us: Option<f64>,
    /// Rounds of measuring on the device in question, in order.
    pub rounds: Vec<Round>,
    /// All of them together; `None` before the first that did not fail.
    pub measurement: Option<Combined>,
    /// How training went; `None` before it.
    pub training: Option<Training>,
    /// Error on the test split, if it was looked at.
    pub test_error: Option<f64>,
    /// How it ended, if it went no further.
    pub ended: Option<EndKind>,
}

impl CandidateRow {
    /// What is known of `objective`; `None` before it was measured or trained.
    pub fn value(&self, objective: Objective) -> Option<Value> {
        let measurement = self.measurement.as_ref();
        match objective {
            Objective::Error => {
                self.training.as_ref().map(|t| Value { value: t.error, interval: t.error_interval })
            }
            Objective::Latency => {
                measurement.map(|m| Value { value: m.latency_us, interval: m.latency_interval_us })
            }
            Objective::Memory => {
                let (value, interval) =
                    measurement.and_then(|m| m.memory_bytes.zip(m.memory_interval_bytes))?;
                Some(Value { value: value as f64, interval: interval.map(|end| end as f64) })
            }
            Objective::Parameters => Some(Value::exact(self.parameters as f64)),
            Objective::Macs => Some(Value::exact(self.macs as f64)),
            Objective::ModelBytes => measurement.map(|m| Value::exact(m.model_bytes as f64)),
        }
    }
}

/// A training without its curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Training {
    /// Validation error.
    pub error: f64,
    /// 95 % interval of it.
    pub error_interval: [f64; 2],
    /// Epochs trained.
    pub epochs: u32,
    /// Blob of the weights.
    pub weights: Option<String>,
    /// Blob of the ONNX file.
    pub onnx: Option<String>,
    /// Seconds of training.
    pub train_s: f64,
    /// Seconds since the start of the run.
    pub at_s: f64,
}

/// One candidate with everything that is recorded of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Whole {
    /// How it entered.
    pub accepted: Accepted,
    /// Rounds of measuring, in order.
    pub measured: Vec<Measured>,
    /// How training went; `None` before it.
    pub trained: Option<Trained>,
    /// How it ended, if it went no further.
    pub ended: Option<Ended>,
    /// Error on the test split, if it was looked at.
    pub test_error: Option<f64>,
}

/// One link of a lineage.
#[derive(Clone, Debug, PartialEq)]
pub struct Ancestor {
    /// Number within the run.
    pub id: CandidateId,
    /// Morphisms from the link before, by name.
    pub morphisms: Vec<String>,
    /// What each of them did to the error; empty before training.
    pub outcomes: Vec<StepOutcome>,
    /// Validation error after training.
    pub error: Option<f64>,
}

/// Where the candidates of a run went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Proposals looked at.
    pub proposed: u64,
    /// Accepted of them.
    pub accepted: u64,
    /// Ended before training.
    pub killed_before_training: u64,
    /// Ended in training.
    pub stopped_in_training: u64,
    /// Trained to the end.
    pub trained: u64,
    /// Diverged, or the runner or the trainer failed.
    pub failed: u64,
    /// Epochs trained, of trainings that were stopped or diverged too.
    pub epochs: u64,
    /// Epochs that early ends left out.
    pub epochs_saved: u64,
}

/// Which candidates are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    All,
    /// Those that were trained, of which fronts are made.
    Trained,
}

impl Which {
    /// A condition on a column of candidate numbers.
    fn holds(self, column: &str) -> String {
        match self {
            Which::All => "TRUE".to_owned(),
            Which::Trained => {
                format!("{column} IN (SELECT candidate FROM training WHERE run = ?1)")
            }
        }
    }
}

/// Candidates of `run` in order of their number, with what `device` says of them.
pub(super) fn candidates(
    c: &Connection,
    run: &str,
    device: DeviceAt,
    which: Which,
) -> Result<Vec<CandidateRow>> {
    let mut rows = accepted(c, run, which)?;
    for (id, round) in rounds(c, run, device, which)? {
        row_of(&mut rows, id).rounds.push(round);
    }
    for (id, training) in trainings(c, run)? {
        row_of(&mut rows, id).training = Some(training);
    }
    for (id, kind) in ends(c, run, which)? {
        row_of(&mut rows, id).ended = Some(kind);
    }
    for (id, error) in tests(c, run, which)? {
        row_of(&mut rows, id).test_error = Some(error);
    }
    for row in &mut rows {
        row.measurement = combine(&row.rounds);
    }
    Ok(rows)
}

fn row_of(rows: &mut [CandidateRow], id: CandidateId) -> &mut CandidateRow {
    let at = rows.binary_search_by_key(&id, |row| row.id);
    &mut rows[at.expect("steps refer to accepted candidates")]
}

fn accepted(c: &Connection, run: &str, which: Which) -> Result<Vec<CandidateRow>> {
    let sql = format!(
        "SELECT id, parent, generation, parameters, macs, predicted_latency_us,
                parent IS NOT NULL AND steps_json = '[]'
         FROM candidate WHERE run = ?1 AND {} ORDER BY id",
        which.holds("id")
    );
    read::all(c, &sql, [run], |row| {
        Ok(CandidateRow {
            id: row.get(0)?,
            parent: row.get(1)?,
            generation: row.get(2)?,
            parameters: row.get(3)?,
            macs: row.get(4)?,
            predicted_latency_us: row.get(5)?,
            is_refinement: row.get(6)?,
            rounds: Vec::new(),
            measurement: None,
            training: None,
            test_error: None,
            ended: None,
        })
    })
}

fn rounds(
    c: &Connection,
    run: &str,
    device: DeviceAt,
    which: Which,
) -> Result<Vec<(CandidateId, Round)>> {
    let sql = format!(
        "SELECT candidate, round, latency_us, latency_low_us, latency_high_us, memory_bytes,
                model_bytes, verdict
         FROM measurement WHERE run = ?1 AND device = ?2 AND {} ORDER BY candidate, round",
        which.holds("candidate")
    );
    read::all(c, &sql, params![run, device], |row| {
        let round = Round {
            round: row.get(1)?,
            latency_us: row.get(2)?,
            latency_interval_us: [row.get(3)?, row.get(4)?],
            memory_bytes: row.get(5)?,
            model_bytes: row.get(6)?,
            verdict: row.get(7)?,
        };
        Ok((row.get(0)?, round))
    })
}

fn trainings(c: &Connection, run: &str) -> Result<Vec<(CandidateId, Training)>> {
    let sql = "SELECT candidate, error, error_low, error_high, epochs, weights_blob, onnx_blob,
                      train_s, at_s
               FROM training WHERE run = ?1 ORDER BY candidate";
    read::all(c, sql, [run], |row| {
        let training = Training {
            error: row.get(1)?,
            error_interval: [row.get(2)?, row.get(3)?],
            epochs: row.get(4)?,
            weights: row.get(5)?,
            onnx: row.get(6)?,
            train_s: row.get(7)?,
            at_s: row.get(8)?,
        };
        Ok((row.get(0)?, training))
    })
}

fn ends(c: &Connection, run: &str, which: Which) -> Result<Vec<(CandidateId, EndKind)>> {
    let sql = format!(
        "SELECT candidate, kind FROM ended WHERE run = ?1 AND {} ORDER BY candidate",
        which.holds("candidate")
    );
    read::all(c, &sql, [run], |row| Ok((row.get(0)?, read::end_kind(row, 1)?)))
}

fn tests(c: &Connection, run: &str, which: Which) -> Result<Vec<(CandidateId, f64)>> {
    let sql = format!(
        "SELECT candidate, error FROM tested WHERE run = ?1 AND {} ORDER BY candidate",
        which.holds("candidate")
    );
    read::all(c, &sql, [run], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Everything recorded of candidate `id`.
pub(super) fn whole(c: &Connection, run: &str, id: CandidateId) -> Result<Option<Whole>> {
    let mut records = read::accepted(c, run, Some(id))?;
    records.extend(read::measured(c, run, Some(id))?);
    records.extend(read::trained(c, run, Some(id))?);
    records.extend(read::ended(c, run, Some(id))?);
    records.extend(read::tested(c, run, Some(id))?);
    let mut whole: Option<Whole> = None;
    for (_, record) in records {
        match (record, &mut whole) {
            (Record::Accepted(accepted), _) => {
                let (measured, trained, ended, test_error) = (Vec::new(), None, None, None);
                whole = Some(Whole { accepted, measured, trained, ended, test_error });
            }
            (Record::Measured(measured), Some(whole)) => whole.measured.push(measured),
            (Record::Trained(trained), Some(whole)) => whole.trained = Some(trained),
            (Record::Ended(ended), Some(whole)) => whole.ended = Some(ended),
            (Record::Tested { error, .. }, Some(whole)) => whole.test_error = Some(error),
            (Record::Told(_), _) | (_, None) => {}
        }
    }
    Ok(whole)
}

/// From the seed to `id`, which is last; empty if there is no such candidate.
pub(super) fn lineage(c: &Connection, run: &str, id: CandidateId) -> Result<Vec<Ancestor>> {
    let sql = "WITH RECURSIVE line (id, parent, steps_json) AS (
                   SELECT id, parent, steps_json FROM candidate WHERE run = ?1 AND id = ?2
                   UNION
                   SELECT c.id, c.parent, c.steps_json FROM candidate AS c
                   JOIN line ON c.run = ?1 AND c.id = line.parent
               )
               SELECT line.id, steps_json, error FROM line
               LEFT JOIN training ON training.run = ?1 AND training.candidate = line.id
               ORDER BY line.id";
    read::all(c, sql, params![run, id], |row| {
        let id = row.get(0)?;
        let steps: Vec<Step> = read::json(row, 1)?;
        Ok(Ancestor {
            id,
            morphisms: steps.into_iter().map(|step| step.morphism).collect(),
            outcomes: read::outcomes(c, run, id)?,
            error: row.get(2)?,
        })
    })
}

/// What every morphism did, with the candidate it was part of, in order.
pub(super) fn outcomes(c: &Connection, run: &str) -> Result<Vec<(CandidateId, StepOutcome)>> {
    let sql = "SELECT candidate FROM training WHERE run = ?1 ORDER BY candidate";
    let trained: Vec<CandidateId> = read::all(c, sql, [run], |row| row.get(0))?;
    let mut found = Vec::new();
    for id in trained {
        found.extend(read::outcomes(c, run, id)?.into_iter().map(|outcome| (id, outcome)));
    }
    Ok(found)
}

/// Ends with their reasons, in order.
pub(super) fn ended(c: &Connection, run: &str) -> Result<Vec<Ended>> {
    let records = read::ended(c, run, None)?.into_iter();
    Ok(records
        .filter_map(|(_, record)| match record {
            Record::Ended(ended) => Some(ended),
            Record::Accepted(_)
            | Record::Measured(_)
            | Record::Trained(_)
            | Record::Told(_)
            | Record::Tested { .. } => None,
        })
        .collect())
}

/// Generations that were told, in order: the trace of the hypervolume.
pub(super) fn told(c: &Connection, run: &str) -> Result<Vec<Told>> {
    let records = read::told(c, run)?.into_iter();
    Ok(records
        .filter_map(|(_, record)| match record {
            Record::Told(told) => Some(told),
            Record::Accepted(_)
            | Record::Measured(_)
            | Record::Trained(_)
            | Record::Ended(_)
            | Record::Tested { .. } => None,
        })
        .collect())
}

/// Where the candidates of `run` went.
pub(super) fn counts(c: &Connection, run: &str) -> Result<Counts> {
    // Without the index: reading a table in its own order is three times as fast as by lookups.
    let ended = "SELECT count(*) FILTER (WHERE kind = 'killed-before-training'),
                        count(*) FILTER (WHERE kind = 'stopped-in-training'),
                        count(*) FILTER (WHERE kind IN ('diverged', 'failed')),
                        coalesce(sum(epochs), 0), coalesce(sum(epochs_saved), 0)
                 FROM ended NOT INDEXED WHERE run = ?1";
    let mut counts = c.query_row(ended, [run], |row| {
        Ok(Counts {
            killed_before_training: row.get(0)?,
            stopped_in_training: row.get(1)?,
            failed: row.get(2)?,
            epochs: row.get(3)?,
            epochs_saved: row.get(4)?,
            ..Counts::default()
        })
    })?;
    let of = |sql: &str| -> Result<(u64, u64)> {
        c.query_row(sql, [run], |row| Ok((row.get(0)?, row.get(1)?)))
    };
    let (all, epochs_of_all) =
        of("SELECT count(*), coalesce(sum(epochs), 0) FROM training NOT INDEXED WHERE run = ?1")?;
    // Most that ended were never trained: asking those few for their training is cheaper than asking
    // all that were trained for their end.
    let (given_up, epochs_given_up) = of("SELECT count(*), coalesce(sum(t.epochs), 0)
         FROM ended AS e NOT INDEXED CROSS JOIN training AS t ON t.run = e.run AND t.candidate = e.candidate
         WHERE e.run = ?1 AND e.kind <> 'killed-before-training'")?;
    counts.trained = all - given_up;
    counts.epochs += epochs_of_all - epochs_given_up;
    let accepted = "SELECT count(*) FROM candidate WHERE run = ?1";
    counts.accepted = c.query_row(accepted, [run], |row| row.get(0))?;
    counts.proposed = proposed(c, run)?;
    Ok(counts)
}

/// As the last generation told, and those of the generations after it.
fn proposed(c: &Connection, run: &str) -> Result<u64> {
    let told = "SELECT coalesce(max(proposed), 0), coalesce(max(generation), -1)
                FROM told WHERE run = ?1";
    let (told, generation): (u64, i64) =
        c.query_row(told, [run], |row| Ok((row.get(0)?, row.get(1)?)))?;
    // Candidates are numbered as they come, so what came since stands at the end.
    let newest = "SELECT generation, proposed FROM candidate WHERE run = ?1 ORDER BY id DESC";
    let mut statement = c.prepare(newest)?;
    let rows = statement.query_map([run], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut since: BTreeMap<i64, u64> = BTreeMap::new();
    for row in rows {
        let (of, looked_at): (i64, u64) = row?;
        if of <= generation {
            break;
        }
        let most = since.entry(of).or_default();
        *most = looked_at.max(*most);
    }
    Ok(told + since.values().sum::<u64>())
}
