//! Rows become records again, bit for bit.
use std::collections::BTreeSet;

use rusqlite::Connection;
use rusqlite::OptionalExtension;
use rusqlite::Params;
use rusqlite::Row;
use rusqlite::params;
use rusqlite::types::FromSqlError;
use rusqlite::types::Type;
use serde::de::DeserializeOwned;

use crate::graph::NodeId;
use crate::morphism::Step;
use crate::train::Epoch;
use crate::units::Fraction;

use super::Accepted;
use super::CandidateId;
use super::DeviceAt;
use super::EndKind;
use super::Ended;
use super::Measured;
use super::Record;
use super::RunDevice;
use super::RunRecord;
use super::StepOutcome;
use super::StoreError;
use super::Told;
use super::ToldFront;
use super::Trained;

/// A record and the order in which it was committed.
pub(super) type Numbered = (i64, Record);

type Result<T> = rusqlite::Result<T>;

/// All runs, oldest first.
pub(super) fn runs(c: &Connection) -> Result<Vec<RunRecord>> {
    let runs = all(c, "SELECT * FROM run ORDER BY created_unix_s, id", [], run_of)?;
    runs.into_iter().map(|run| with_devices(c, run)).collect()
}

/// The run of that id.
pub(super) fn run(c: &Connection, id: &str) -> Result<Option<RunRecord>> {
    let run = c.query_row("SELECT * FROM run WHERE id = ?1", [id], run_of).optional()?;
    run.map(|run| with_devices(c, run)).transpose()
}

fn with_devices(c: &Connection, mut run: RunRecord) -> Result<RunRecord> {
    let sql = "SELECT name, runtime, reference_json FROM device WHERE run = ?1 ORDER BY position";
    run.devices = all(c, sql, [&run.id], |row| {
        Ok(RunDevice { name: row.get(0)?, runtime: row.get(1)?, reference: row.get(2)? })
    })?;
    Ok(run)
}

/// Hashes of all blobs that a candidate of any run refers to.
pub(super) fn blobs(c: &Connection) -> Result<BTreeSet<String>> {
    let sql = "SELECT weights_blob FROM training WHERE weights_blob IS NOT NULL
               UNION SELECT onnx_blob FROM training WHERE onnx_blob IS NOT NULL";
    Ok(all(c, sql, [], |row| row.get(0))?.into_iter().collect())
}

/// What is stored under the key of `record`.
pub(super) fn stored(
    c: &Connection,
    run: &str,
    record: &Record,
) -> std::result::Result<Option<Record>, StoreError> {
    let found = match record {
        Record::Accepted(r) => accepted(c, run, Some(r.candidate)),
        Record::Measured(r) => measured(c, run, Some(r.candidate)).map(|all| {
            let same = |m: &Record| matches!(m, Record::Measured(m) if (m.device, m.round) == (r.device, r.round));
            all.into_iter().filter(|(_, m)| same(m)).collect()
        }),
        Record::Trained(r) => trained(c, run, Some(r.candidate)),
        Record::Ended(r) => ended(c, run, Some(r.candidate)),
        Record::Told(r) => told(c, run).map(|all| {
            let same = |t: &Record| matches!(t, Record::Told(t) if t.generation == r.generation);
            all.into_iter().filter(|(_, t)| same(t)).collect()
        }),
        Record::Tested { candidate, .. } => tested(c, run, Some(*candidate)),
    };
    let found: Vec<Numbered> = found.map_err(StoreError::database("read"))?;
    Ok(found.into_iter().next().map(|(_, record)| record))
}

/// All records of `run`, in the order in which they were committed.
pub(super) fn records(c: &Connection, run: &str) -> Result<Vec<Numbered>> {
    let mut records = accepted(c, run, None)?;
    records.extend(measured(c, run, None)?);
    records.extend(trained(c, run, None)?);
    records.extend(ended(c, run, None)?);
    records.extend(told(c, run)?);
    records.extend(tested(c, run, None)?);
    records.sort_by_key(|(seq, _)| *seq);
    Ok(records)
}

/// Acceptances, of all candidates or one.
pub(super) fn accepted(
    c: &Connection,
    run: &str,
    only: Option<CandidateId>,
) -> Result<Vec<Numbered>> {
    let sql = format!(
        "SELECT seq, id, parent, generation, proposed, json, arch, steps_json, parameters, macs,
                predicted_latency_us, at_s, choices_json
         FROM candidate JOIN graph ON graph.run = candidate.run AND graph.candidate = id
         WHERE candidate.run = ?1 AND {} ORDER BY seq",
        restricted("id", only)
    );
    all(c, &sql, params![run, only], |row| {
        let record = Accepted {
            candidate: row.get(1)?,
            parent: row.get(2)?,
            generation: row.get(3)?,
            proposed: row.get(4)?,
            graph: json(row, 5)?,
            arch: row.get::<_, String>(6)?.parse().map_err(|e: String| unreadable(6, e))?,
            choices: optional_json(row, 12)?,
            steps: json(row, 7)?,
            parameters: row.get(8)?,
            macs: row.get(9)?,
            predicted_latency_us: row.get(10)?,
            at_s: row.get(11)?,
        };
        Ok((row.get(0)?, Record::Accepted(record)))
    })
}

/// Measurements, of all candidates or one, in order.
pub(super) fn measured(
    c: &Connection,
    run: &str,
    only: Option<CandidateId>,
) -> Result<Vec<Numbered>> {
    let sql = format!(
        "SELECT seq, candidate, round, latency_us, latency_low_us, latency_high_us, memory_bytes,
                model_bytes, verdict, json, at_s, device
         FROM measurement JOIN measurement_raw USING (run, candidate, device, round)
         WHERE run = ?1 AND {} ORDER BY seq",
        restricted("candidate", only)
    );
    all(c, &sql, params![run, only], |row| {
        let record = Measured {
            candidate: row.get(1)?,
            device: row.get(11)?,
            round: row.get(2)?,
            latency_us: row.get(3)?,
            latency_interval_us: [row.get(4)?, row.get(5)?],
            memory_bytes: row.get(6)?,
            model_bytes: row.get(7)?,
            verdict: row.get(8)?,
            json: row.get(9)?,
            at_s: row.get(10)?,
        };
        Ok((row.get(0)?, Record::Measured(record)))
    })
}

/// The raw part of the measurement on `device` that was committed last.
pub(super) fn last_measurement(
    c: &Connection,
    run: &str,
    device: DeviceAt,
) -> Result<Option<String>> {
    let sql = "SELECT json
               FROM measurement JOIN measurement_raw USING (run, candidate, device, round)
               WHERE run = ?1 AND device = ?2 ORDER BY seq DESC LIMIT 1";
    c.query_row(sql, params![run, device], |row| row.get(0)).optional()
}

/// Trainings, of all candidates or one, with outcomes and curves.
pub(super) fn trained(
    c: &Connection,
    run: &str,
    only: Option<CandidateId>,
) -> Result<Vec<Numbered>> {
    let sql = format!(
        "SELECT seq, candidate, error, error_low, error_high, weights_blob, onnx_blob, train_s, at_s
         FROM training WHERE run = ?1 AND {} ORDER BY seq",
        restricted("candidate", only)
    );
    all(c, &sql, params![run, only], |row| {
        let candidate = row.get(1)?;
        let record = Trained {
            candidate,
            error: row.get(2)?,
            error_interval: [row.get(3)?, row.get(4)?],
            outcomes: outcomes(c, run, candidate)?,
            curve: curve(c, run, candidate)?,
            weights: row.get(5)?,
            onnx: row.get(6)?,
            train_s: row.get(7)?,
            at_s: row.get(8)?,
        };
        Ok((row.get(0)?, Record::Trained(record)))
    })
}

pub(super) fn outcomes(
    c: &Connection,
    run: &str,
    candidate: CandidateId,
) -> Result<Vec<StepOutcome>> {
    let sql = "SELECT morphism, site, choice, edit_json, error_before, error_after
               FROM outcome WHERE run = ?1 AND candidate = ?2 ORDER BY position";
    all(c, sql, params![run, candidate], |row| {
        let (morphism, choice) = (row.get(0)?, row.get(2)?);
        let (site, edit) = (NodeId(row.get(1)?), json(row, 3)?);
        let step = Step { morphism, site, choice, edit };
        Ok(StepOutcome { step, error_before: row.get(4)?, error_after: row.get(5)? })
    })
}

fn curve(c: &Connection, run: &str, candidate: CandidateId) -> Result<Vec<Epoch>> {
    let sql = "SELECT epoch, train_loss, validation_error, validation_loss
               FROM epoch WHERE run = ?1 AND candidate = ?2 ORDER BY position";
    all(c, sql, params![run, candidate], |row| {
        Ok(Epoch {
            epoch: row.get(0)?,
            train_loss: row.get(1)?,
            validation_error: Fraction(row.get(2)?),
            validation_loss: row.get(3)?,
        })
    })
}

/// Ends, of all candidates or one.
pub(super) fn ended(c: &Connection, run: &str, only: Option<CandidateId>) -> Result<Vec<Numbered>> {
    let sql = format!(
        "SELECT seq, candidate, kind, reason, epochs, epochs_saved, at_s
         FROM ended WHERE run = ?1 AND {} ORDER BY seq",
        restricted("candidate", only)
    );
    all(c, &sql, params![run, only], |row| {
        let record = Ended {
            candidate: row.get(1)?,
            kind: end_kind(row, 2)?,
            reason: row.get(3)?,
            epochs: row.get(4)?,
            epochs_saved: row.get(5)?,
            at_s: row.get(6)?,
        };
        Ok((row.get(0)?, Record::Ended(record)))
    })
}

/// Generations that were told.
pub(super) fn told(c: &Connection, run: &str) -> Result<Vec<Numbered>> {
    let sql = "SELECT * FROM told WHERE run = ?1 ORDER BY seq";
    all(c, sql, [run], |row| Ok((row.get("seq")?, Record::Told(told_of(c, row)?))))
}

/// The generation that was told last.
pub(super) fn last_told(c: &Connection, run: &str) -> Result<Option<Told>> {
    let sql = "SELECT * FROM told WHERE run = ?1 ORDER BY generation DESC LIMIT 1";
    c.query_row(sql, [run], |row| told_of(c, row)).optional()
}

fn told_of(c: &Connection, row: &Row) -> Result<Told> {
    let generation: u32 = row.get("generation")?;
    let sql = "SELECT hypervolume, members_json FROM front
               WHERE run = ?1 AND generation = ?2 ORDER BY device";
    let fronts = all(c, sql, params![row.get::<_, String>("run")?, generation], |row| {
        Ok(ToldFront { hypervolume: row.get(0)?, members: json(row, 1)? })
    })?;
    Ok(Told {
        generation,
        candidates: json(row, "candidates_json")?,
        proposed: row.get("proposed")?,
        fronts,
        at_s: row.get("at_s")?,
    })
}

/// Test errors, of all candidates or one.
pub(super) fn tested(
    c: &Connection,
    run: &str,
    only: Option<CandidateId>,
) -> Result<Vec<Numbered>> {
    let sql = format!(
        "SELECT seq, candidate, error FROM tested WHERE run = ?1 AND {} ORDER BY seq",
        restricted("candidate", only)
    );
    all(c, &sql, params![run, only], |row| {
        let record = Record::Tested { candidate: row.get(1)?, error: row.get(2)? };
        Ok((row.get(0)?, record))
    })
}

/// A condition on the second parameter that keeps the index in use.
fn restricted(column: &str, only: Option<CandidateId>) -> String {
    match only {
        Some(_) => format!("{column} = ?2"),
        None => "?2 IS NULL".to_owned(),
    }
}

fn run_of(row: &Row) -> Result<RunRecord> {
    Ok(RunRecord {
        id: row.get("id")?,
        created: row.get("created_unix_s")?,
        config: row.get("config_json")?,
        data: row.get("data")?,
        data_hash: row.get("data_hash")?,
        devices: Vec::new(),
        threads: row.get("threads")?,
        objectives: json(row, "objectives_json")?,
        limits: json(row, "limits_json")?,
    })
}

/// Every row of `sql`, read by `row`.
pub(super) fn all<T>(
    c: &Connection,
    sql: &str,
    values: impl Params,
    row: impl FnMut(&Row) -> Result<T>,
) -> Result<Vec<T>> {
    c.prepare_cached(sql)?.query_map(values, row)?.collect()
}

/// The kind of an end in column `at`.
pub(super) fn end_kind(row: &Row, at: usize) -> Result<EndKind> {
    let name: String = row.get(at)?;
    EndKind::of_name(&name).ok_or_else(|| unreadable(at, format!("`{name}` is not an end")))
}

/// The value in a column of JSON.
pub(super) fn json<T: DeserializeOwned>(row: &Row, at: impl rusqlite::RowIndex) -> Result<T> {
    let at = at.idx(row.as_ref())?;
    let text = row.get_ref(at)?.as_str().map_err(|e| unreadable(at, e.to_string()))?;
    serde_json::from_str(text).map_err(|e| unreadable(at, e.to_string()))
}

fn optional_json<T: DeserializeOwned>(row: &Row, at: usize) -> Result<Option<T>> {
    let text: Option<String> = row.get(at)?;
    let value = text.map(|text| serde_json::from_str(&text)).transpose();
    value.map_err(|e| unreadable(at, e.to_string()))
}

fn unreadable(column: usize, reason: String) -> rusqlite::Error {
    let cause = FromSqlError::Other(reason.into());
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(cause))
}
