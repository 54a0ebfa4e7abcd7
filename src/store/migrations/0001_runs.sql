-- A store of citronade: what is known of every run, one row for each step of a candidate's life.
--
-- `seq` is the order in which steps were committed, over all tables and runs: reading the rows
-- of `candidate`, `measurement`, `training`, `ended`, `told` and `tested` by `seq` replays a run.
-- Times `at_s` are seconds since the start of the run, without pauses. Names end in their unit.
-- Blobs (weights, ONNX files) lie beside this file, named by their blake3 hash.

-- One search with one configuration and seed; `limits_json` maps e.g. `latency_us` to a number.
CREATE TABLE run (
    id              TEXT    NOT NULL PRIMARY KEY,
    created_unix_s  INTEGER NOT NULL,
    config_json     TEXT    NOT NULL,
    data            TEXT    NOT NULL,
    data_hash       TEXT    NOT NULL,
    device          TEXT    NOT NULL,
    runtime         TEXT    NOT NULL,
    threads         INTEGER NOT NULL,
    objectives_json TEXT    NOT NULL,
    limits_json     TEXT    NOT NULL,
    reference_json  TEXT
) STRICT;

-- A candidate was accepted; `proposed` counts the proposals of its generation up to it.
CREATE TABLE candidate (
    seq                  INTEGER PRIMARY KEY,
    run                  TEXT    NOT NULL REFERENCES run (id),
    id                   INTEGER NOT NULL,
    parent               INTEGER,
    generation           INTEGER NOT NULL,
    proposed             INTEGER NOT NULL,
    arch                 TEXT    NOT NULL,
    parameters           INTEGER NOT NULL,
    macs                 INTEGER NOT NULL,
    predicted_latency_us REAL,
    steps_json           TEXT    NOT NULL,
    at_s                 REAL    NOT NULL,
    UNIQUE (run, id),
    FOREIGN KEY (run, parent) REFERENCES candidate (run, id)
) STRICT;

-- The structure of a candidate, apart so that reading a front does not read it.
CREATE TABLE graph (
    run       TEXT    NOT NULL,
    candidate INTEGER NOT NULL,
    json      TEXT    NOT NULL,
    UNIQUE (run, candidate),
    FOREIGN KEY (run, candidate) REFERENCES candidate (run, id)
) STRICT;

-- A measurement on the run's device: the first (round 0) and its repeats.
CREATE TABLE measurement (
    seq             INTEGER PRIMARY KEY,
    run             TEXT    NOT NULL,
    candidate       INTEGER NOT NULL,
    round           INTEGER NOT NULL,
    latency_us      REAL    NOT NULL CHECK (latency_us BETWEEN 0 AND 1e300),
    latency_low_us  REAL    NOT NULL,
    latency_high_us REAL    NOT NULL,
    memory_bytes    INTEGER,
    model_bytes     INTEGER NOT NULL,
    verdict         TEXT    NOT NULL,
    at_s            REAL    NOT NULL,
    UNIQUE (run, candidate, round),
    FOREIGN KEY (run, candidate) REFERENCES candidate (run, id)
) STRICT;

-- The whole `citronade.measurement.v1` object of a measurement, raw samples included.
CREATE TABLE measurement_raw (
    run       TEXT    NOT NULL,
    candidate INTEGER NOT NULL,
    round     INTEGER NOT NULL,
    json      TEXT    NOT NULL,
    UNIQUE (run, candidate, round),
    FOREIGN KEY (run, candidate, round) REFERENCES measurement (run, candidate, round)
) STRICT;

-- Weights were made and trained; `epochs` is the length of the curve in `epoch`.
CREATE TABLE training (
    seq          INTEGER PRIMARY KEY,
    run          TEXT    NOT NULL,
    candidate    INTEGER NOT NULL,
    error        REAL    NOT NULL CHECK (error BETWEEN 0 AND 1),
    error_low    REAL    NOT NULL,
    error_high   REAL    NOT NULL,
    weights_blob TEXT,
    onnx_blob    TEXT,
    epochs       INTEGER NOT NULL,
    train_s      REAL    NOT NULL,
    at_s         REAL    NOT NULL,
    UNIQUE (run, candidate),
    FOREIGN KEY (run, candidate) REFERENCES candidate (run, id)
) STRICT;

-- The training curve; `epoch` as the trainer counts, `position` from 0.
CREATE TABLE epoch (
    run              TEXT    NOT NULL,
    candidate        INTEGER NOT NULL,
    position         INTEGER NOT NULL,
    epoch            INTEGER NOT NULL,
    train_loss       REAL    NOT NULL,
    validation_error REAL    NOT NULL,
    validation_loss  REAL    NOT NULL,
    PRIMARY KEY (run, candidate, position),
    FOREIGN KEY (run, candidate) REFERENCES training (run, candidate)
) STRICT, WITHOUT ROWID;

-- What each morphism did to the validation error before any training; `position` along the chain.
CREATE TABLE outcome (
    run          TEXT    NOT NULL,
    candidate    INTEGER NOT NULL,
    position     INTEGER NOT NULL,
    morphism     TEXT    NOT NULL,
    site         INTEGER NOT NULL,
    choice       TEXT    NOT NULL,
    edit_json    TEXT    NOT NULL,
    error_before REAL    NOT NULL,
    error_after  REAL    NOT NULL,
    PRIMARY KEY (run, candidate, position),
    FOREIGN KEY (run, candidate) REFERENCES training (run, candidate)
) STRICT, WITHOUT ROWID;

-- A candidate went no further: killed-before-training, stopped-in-training, diverged or failed.
CREATE TABLE ended (
    seq          INTEGER PRIMARY KEY,
    run          TEXT    NOT NULL,
    candidate    INTEGER NOT NULL,
    kind         TEXT    NOT NULL,
    reason       TEXT    NOT NULL,
    epochs       INTEGER NOT NULL,
    epochs_saved INTEGER NOT NULL,
    at_s         REAL    NOT NULL,
    UNIQUE (run, candidate),
    FOREIGN KEY (run, candidate) REFERENCES candidate (run, id)
) STRICT;

-- A generation was complete and told to the strategy.
CREATE TABLE told (
    seq             INTEGER PRIMARY KEY,
    run             TEXT    NOT NULL REFERENCES run (id),
    generation      INTEGER NOT NULL,
    candidates_json TEXT    NOT NULL,
    proposed        INTEGER NOT NULL,
    hypervolume     REAL    NOT NULL,
    front_json      TEXT    NOT NULL,
    at_s            REAL    NOT NULL,
    UNIQUE (run, generation)
) STRICT;

-- The test error of a front member, looked at once.
CREATE TABLE tested (
    seq       INTEGER PRIMARY KEY,
    run       TEXT    NOT NULL,
    candidate INTEGER NOT NULL,
    error     REAL    NOT NULL CHECK (error BETWEEN 0 AND 1),
    UNIQUE (run, candidate),
    FOREIGN KEY (run, candidate) REFERENCES candidate (run, id)
) STRICT;
