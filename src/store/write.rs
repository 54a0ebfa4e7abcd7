//! Records become rows.
use rusqlite::Connection;
use rusqlite::Params;
use rusqlite::params;
use serde::Serialize;

use super::Accepted;
use super::Ended;
use super::Measured;
use super::Record;
use super::RunDevice;
use super::RunRecord;
use super::StoreError;
use super::Told;
use super::ToldFront;
use super::Trained;

/// Inserts the rows of a run and its devices.
pub(super) fn insert_run(connection: &Connection, run: &RunRecord) -> rusqlite::Result<()> {
    let RunRecord { id, created, config, data, data_hash, devices, threads, objectives, limits } =
        run;
    insert(
        connection,
        "INSERT INTO run VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![id, created, config, data, data_hash, threads, json(objectives), json(limits)],
    )?;
    for (position, RunDevice { name, runtime, reference }) in devices.iter().enumerate() {
        insert(
            connection,
            "INSERT INTO device VALUES (?1, ?2, ?3, ?4, ?5)",
            params![id, position, name, runtime, reference],
        )?;
    }
    Ok(())
}

/// Inserts all rows of `record` with the sequence number `seq`.
pub(super) fn insert_record(
    connection: &Connection,
    run: &str,
    seq: i64,
    record: &Record,
) -> rusqlite::Result<()> {
    match record {
        Record::Accepted(accepted) => insert_accepted(connection, run, seq, accepted),
        Record::Measured(measured) => insert_measured(connection, run, seq, measured),
        Record::Trained(trained) => insert_trained(connection, run, seq, trained),
        Record::Ended(ended) => insert_ended(connection, run, seq, ended),
        Record::Told(told) => insert_told(connection, run, seq, told),
        Record::Tested { candidate, error } => insert(
            connection,
            "INSERT INTO tested VALUES (?1, ?2, ?3, ?4)",
            params![seq, run, candidate, error],
        ),
    }
}

fn insert_accepted(c: &Connection, run: &str, seq: i64, record: &Accepted) -> rusqlite::Result<()> {
    let Accepted {
        candidate,
        parent,
        generation,
        proposed,
        graph,
        arch,
        choices,
        steps,
        parameters,
        macs,
        predicted_latency_us,
        at_s,
    } = record;
    insert(
        c,
        "INSERT INTO candidate VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        params![
            seq,
            run,
            candidate,
            parent,
            generation,
            proposed,
            arch.to_string(),
            parameters,
            macs,
            predicted_latency_us,
            json(steps),
            at_s,
            choices.as_ref().map(json)
        ],
    )?;
    insert(c, "INSERT INTO graph VALUES (?1, ?2, ?3)", params![run, candidate, json(graph)])
}

fn insert_measured(c: &Connection, run: &str, seq: i64, record: &Measured) -> rusqlite::Result<()> {
    let Measured {
        candidate,
        device,
        round,
        latency_us,
        latency_interval_us: [low, high],
        memory_bytes,
        model_bytes,
        verdict,
        json,
        at_s,
    } = record;
    insert(
        c,
        "INSERT INTO measurement VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        params![
            seq,
            run,
            candidate,
            device,
            round,
            latency_us,
            low,
            high,
            memory_bytes,
            model_bytes,
            verdict,
            at_s
        ],
    )?;
    insert(
        c,
        "INSERT INTO measurement_raw VALUES (?1, ?2, ?3, ?4, ?5)",
        params![run, candidate, device, round, json],
    )
}

fn insert_trained(c: &Connection, run: &str, seq: i64, record: &Trained) -> rusqlite::Result<()> {
    let Trained {
        candidate,
        error,
        error_interval: [low, high],
        outcomes,
        curve,
        weights,
        onnx,
        train_s,
        at_s,
    } = record;
    insert(
        c,
        "INSERT INTO training VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![seq, run, candidate, error, low, high, weights, onnx, curve.len(), train_s, at_s],
    )?;
    for (position, o) in outcomes.iter().enumerate() {
        insert(
            c,
            "INSERT INTO outcome VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                run,
                candidate,
                position,
                o.step.morphism,
                o.step.site.0,
                o.step.choice,
                json(&o.step.edit),
                o.error_before,
                o.error_after
            ],
        )?;
    }
    for (position, e) in curve.iter().enumerate() {
        insert(
            c,
            "INSERT INTO epoch VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                run,
                candidate,
                position,
                e.epoch,
                e.train_loss,
                e.validation_error.0,
                e.validation_loss
            ],
        )?;
    }
    Ok(())
}

fn insert_ended(c: &Connection, run: &str, seq: i64, record: &Ended) -> rusqlite::Result<()> {
    let Ended { candidate, kind, reason, epochs, epochs_saved, at_s } = record;
    insert(
        c,
        "INSERT INTO ended VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![seq, run, candidate, kind.name(), reason, epochs, epochs_saved, at_s],
    )
}

fn insert_told(c: &Connection, run: &str, seq: i64, record: &Told) -> rusqlite::Result<()> {
    let Told { generation, candidates, proposed, fronts, at_s } = record;
    insert(
        c,
        "INSERT INTO told VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![seq, run, generation, json(candidates), proposed, at_s],
    )?;
    for (device, ToldFront { hypervolume, members }) in fronts.iter().enumerate() {
        insert(
            c,
            "INSERT INTO front VALUES (?1, ?2, ?3, ?4, ?5)",
            params![run, generation, device, hypervolume, json(members)],
        )?;
    }
    Ok(())
}

/// The key of `record` in words, for errors.
pub(super) fn step_of(record: &Record) -> String {
    match record {
        Record::Accepted(r) => format!("acceptance of candidate {}", r.candidate),
        Record::Measured(r) => {
            let (round, candidate, device) = (r.round, r.candidate, r.device);
            format!("round {round} of measuring candidate {candidate} on device {device}")
        }
        Record::Trained(r) => format!("training of candidate {}", r.candidate),
        Record::Ended(r) => format!("end of candidate {}", r.candidate),
        Record::Told(r) => format!("generation {}", r.generation),
        Record::Tested { candidate, .. } => format!("test of candidate {candidate}"),
    }
}

pub(super) fn contradiction(run: &str, record: &Record) -> StoreError {
    StoreError::Contradiction { run: run.to_owned(), step: step_of(record) }
}

fn insert(connection: &Connection, sql: &str, values: impl Params) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute(values).map(drop)
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("records are plain data")
}
