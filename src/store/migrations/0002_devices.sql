-- A run measures every candidate on several devices, and has a front for each.

-- A device of a run; `position` counts from 0 in the order of the configuration.
CREATE TABLE device (
    run            TEXT    NOT NULL REFERENCES run (id),
    position       INTEGER NOT NULL,
    name           TEXT    NOT NULL,
    runtime        TEXT    NOT NULL,
    reference_json TEXT,
    PRIMARY KEY (run, position)
) STRICT, WITHOUT ROWID;

INSERT INTO device SELECT id, 0, device, runtime, reference_json FROM run;
ALTER TABLE run DROP COLUMN device;
ALTER TABLE run DROP COLUMN runtime;
ALTER TABLE run DROP COLUMN reference_json;

ALTER TABLE measurement RENAME TO measurement_1;
ALTER TABLE measurement_raw RENAME TO measurement_raw_1;

-- A measurement on a device of the run: the first there (round 0) and its repeats.
CREATE TABLE measurement (
    seq             INTEGER PRIMARY KEY,
    run             TEXT    NOT NULL,
    candidate       INTEGER NOT NULL,
    device          INTEGER NOT NULL,
    round           INTEGER NOT NULL,
    latency_us      REAL    NOT NULL CHECK (latency_us BETWEEN 0 AND 1e300),
    latency_low_us  REAL    NOT NULL,
    latency_high_us REAL    NOT NULL,
    memory_bytes    INTEGER,
    model_bytes     INTEGER NOT NULL,
    verdict         TEXT    NOT NULL,
    at_s            REAL    NOT NULL,
    UNIQUE (run, candidate, device, round),
    FOREIGN KEY (run, candidate) REFERENCES candidate (run, id),
    FOREIGN KEY (run, device) REFERENCES device (run, position)
) STRICT;

INSERT INTO measurement
    SELECT seq, run, candidate, 0, round, latency_us, latency_low_us, latency_high_us, memory_bytes,
           model_bytes, verdict, at_s
    FROM measurement_1;

-- The whole `citronade.measurement.v1` object of a measurement, raw samples included.
CREATE TABLE measurement_raw (
    run       TEXT    NOT NULL,
    candidate INTEGER NOT NULL,
    device    INTEGER NOT NULL,
    round     INTEGER NOT NULL,
    json      TEXT    NOT NULL,
    UNIQUE (run, candidate, device, round),
    FOREIGN KEY (run, candidate, device, round)
        REFERENCES measurement (run, candidate, device, round)
) STRICT;

INSERT INTO measurement_raw SELECT run, candidate, 0, round, json FROM measurement_raw_1;
DROP TABLE measurement_raw_1;
DROP TABLE measurement_1;

-- The front of a device when a generation was told.
CREATE TABLE front (
    run          TEXT    NOT NULL,
    generation   INTEGER NOT NULL,
    device       INTEGER NOT NULL,
    hypervolume  REAL    NOT NULL,
    members_json TEXT    NOT NULL,
    PRIMARY KEY (run, generation, device),
    FOREIGN KEY (run, generation) REFERENCES told (run, generation),
    FOREIGN KEY (run, device) REFERENCES device (run, position)
) STRICT;

INSERT INTO front SELECT run, generation, 0, hypervolume, front_json FROM told;
ALTER TABLE told DROP COLUMN hypervolume;
ALTER TABLE told DROP COLUMN front_json;
