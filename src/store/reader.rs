//! The door of everybody who only looks.
use std::path::Path;

use rusqlite::Connection;
use rusqlite::ErrorCode;
use rusqlite::OpenFlags;

use super::Ancestor;
use super::Blobs;
use super::CandidateId;
use super::CandidateRow;
use super::Counts;
use super::DeviceAt;
use super::Ended;
use super::Record;
use super::RunRecord;
use super::StepOutcome;
use super::Store;
use super::StoreError;
use super::Told;
use super::Whole;
use super::blobs_of;
use super::migrate;
use super::read;
use super::rows;

/// A store as it was when it was opened: one snapshot for all questions, taken without a lock,
/// while a search may go on writing. Open another to see what has happened since.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    blobs: Blobs,
}

impl Reader {
    /// Opens the store at `path` for reading; it may lie on a read-only file system.
    ///
    /// A store of an older version is upgraded first, as [`Store::open`] does.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`], [`StoreError::Newer`], [`StoreError::Foreign`], or what the
    /// database says.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if !path.exists() {
            return Err(StoreError::Missing { path: path.to_owned() });
        }
        let path = &super::resolved(path);
        let known = migrate::MIGRATIONS.len();
        let mut connection = snapshot(path)?;
        if migrate::version(&connection, path, known)? < known {
            drop(connection);
            drop(Store::open(path)?);
            connection = snapshot(path)?;
        }
        Ok(Reader { connection, blobs: blobs_of(path) })
    }

    /// All runs, oldest first.
    ///
    /// # Errors
    ///
    /// What the database says, here and in all other questions.
    pub fn runs(&self) -> Result<Vec<RunRecord>, StoreError> {
        read::runs(&self.connection).map_err(StoreError::database("read"))
    }

    /// The run that began last.
    ///
    /// # Errors
    ///
    /// As [`runs`](Self::runs).
    pub fn newest_run(&self) -> Result<Option<RunRecord>, StoreError> {
        Ok(self.runs()?.pop())
    }

    /// The run named `id`.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSuchRun`].
    pub fn run(&self, id: &str) -> Result<RunRecord, StoreError> {
        let found = read::run(&self.connection, id).map_err(StoreError::database("read"))?;
        found.ok_or_else(|| StoreError::NoSuchRun { run: id.to_owned() })
    }

    /// Every step of `run`, in the order in which it was committed.
    ///
    /// # Errors
    ///
    /// As [`runs`](Self::runs).
    pub fn records(&self, run: &str) -> Result<Vec<Record>, StoreError> {
        let records = read::records(&self.connection, run);
        let records = records.map_err(StoreError::database("read"))?;
        Ok(records.into_iter().map(|(_, record)| record).collect())
    }

    /// All candidates of `run` in order of their number, without graphs and samples, and what `device`
    /// says of them.
    ///
    /// # Errors
    ///
    /// As [`runs`](Self::runs).
    pub fn candidates(&self, run: &str, device: DeviceAt) -> Result<Vec<CandidateRow>, StoreError> {
        let rows = rows::candidates(&self.connection, run, device, rows::Which::All);
        rows.map_err(StoreError::database("read"))
    }

    /// The candidates of `run` that were trained, in order of their number, and what `device` says of
    /// them.
    ///
    /// # Errors
    ///
    /// As [`runs`](Self::runs).
    pub fn trained(&self, run: &str, device: DeviceAt) -> Result<Vec<CandidateRow>, StoreError> {
        let rows = rows::candidates(&self.connection, run, device, rows::Which::Trained);
        rows.map_err(StoreError::database("read"))
    }

    /// The newest `citronade.measurement.v1` object of `run` on `device`; `None` before the first.
    ///
    /// # Errors
    ///
    /// As [`runs`](Self::runs).
    pub fn last_measurement(
        &self,
        run: &str,
        device: DeviceAt,
    ) -> Result<Option<String>, StoreError> {
        read::last_measurement(&self.connection, run, device).map_err(StoreError::database("read"))
    }

    /// Everything recorded of one candidate.
    ///
    /// # Errors
    ///
    /// As [`runs`](Self::runs).
    pub fn candidate(&self, run: &str, id: CandidateId) -> Result<Option<Whole>, StoreError> {
        rows::whole(&self.connection, run, id).map_err(StoreError::database("read"))
    }

    /// From the seed to `id`, which is last; empty if there is no such candidate.
    ///
    /// # Errors
    ///
    /// As [`runs`](Self::runs).
    pub fn lineage(&self, run: &str, id: CandidateId) -> Result<Vec<Ancestor>, StoreError> {
        rows::lineage(&self.connection, run, id).map_err(StoreError::database("read"))
    }

    /// What every morphism did to the error, with the candidate it was part of.
    ///
    /// # Errors
    ///
    /// As [`runs`](Self::runs).
    pub fn outcomes(&self, run: &str) -> Result<Vec<(CandidateId, StepOutcome)>, StoreError> {
        rows::outcomes(&self.connection, run).map_err(StoreError::database("read"))
    }

    /// Candidates that went no further, with reasons, in order.
    ///
    /// # Errors
    ///
    /// As [`runs`](Self::runs).
    pub fn ended(&self, run: &str) -> Result<Vec<Ended>, StoreError> {
        rows::ended(&self.connection, run).map_err(StoreError::database("read"))
    }

    /// Generations that were told, in order: hypervolumes and fronts against time.
    ///
    /// # Errors
    ///
    /// As [`runs`](Self::runs).
    pub fn told(&self, run: &str) -> Result<Vec<Told>, StoreError> {
        rows::told(&self.connection, run).map_err(StoreError::database("read"))
    }

    /// The generation that was told last, and with it the fronts.
    ///
    /// # Errors
    ///
    /// As [`runs`](Self::runs).
    pub fn last_told(&self, run: &str) -> Result<Option<Told>, StoreError> {
        read::last_told(&self.connection, run).map_err(StoreError::database("read"))
    }

    /// Where the candidates of `run` went.
    ///
    /// # Errors
    ///
    /// As [`runs`](Self::runs).
    pub fn counts(&self, run: &str) -> Result<Counts, StoreError> {
        rows::counts(&self.connection, run).map_err(StoreError::database("read"))
    }

    /// The bytes of a blob, checked against their hash.
    ///
    /// # Errors
    ///
    /// As [`Blobs::get`].
    pub fn blob(&self, hash: &str) -> Result<Vec<u8>, StoreError> {
        self.blobs.get(hash)
    }

    /// The folder of blobs.
    pub fn blobs(&self) -> &Blobs {
        &self.blobs
    }
}

/// A read-only connection inside a read transaction.
fn snapshot(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(path, flags).and_then(begin);
    let opened = match opened {
        Err(e) if cannot_share(&e) && !migrate::sibling(path, "-wal").exists() => {
            Connection::open_with_flags(immutable(path), flags | OpenFlags::SQLITE_OPEN_URI)
                .and_then(begin)
        }
        other => other,
    };
    opened.map_err(|source| match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => StoreError::Foreign { path: path.to_owned() },
        Some(_) | None => StoreError::Database { action: "open", source },
    })
}

/// A transaction begins to see with its first question.
fn begin(connection: Connection) -> rusqlite::Result<Connection> {
    connection.busy_timeout(super::PATIENCE)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema;")?;
    Ok(connection)
}

/// Without the right to write beside the file, SQLite can read a write-ahead log only if told
/// that nobody writes.
fn cannot_share(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
}

fn immutable(path: &Path) -> String {
    let mut uri = "file:".to_owned();
    for byte in path.to_string_lossy().bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                uri.push(byte.into());
            }
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri + "?immutable=1"
}
