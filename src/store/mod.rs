//! What is known of a run, durably: one SQLite file, blobs beside it.
//!
//! [`Store`] is the one writer: it holds a lock of the operating system, so a second process is
//! refused. [`Reader`] needs no lock and works while a search runs. The store *is* the
//! checkpoint: what [`Store::commit`] returned from survives the death of the process and of the
//! machine, what it did not return from is there as a whole or not at all, and
//! [`Reader::records`] gives everything back in the order in which it was committed.
//!
//! Summaries are computed on reading; raw samples are kept. The room decides
//! nothing: which candidate is better is not its business.
mod blobs;
mod combine;
mod disk;
mod error;
mod lock;
mod migrate;
mod read;
mod reader;
mod record;
mod rows;
mod write;

pub use blobs::Blobs;
pub use blobs::Removed;
pub use combine::Combined;
pub use combine::Round;
pub use combine::combine;
pub use error::StoreError;
pub use reader::Reader;
pub use record::*;
pub use rows::Ancestor;
pub use rows::CandidateRow;
pub use rows::Counts;
pub use rows::Training;
pub use rows::Whole;

use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::ErrorCode;
use rusqlite::TransactionBehavior;

/// How long a commit waits for a reader that holds up the write-ahead log.
const PATIENCE: Duration = Duration::from_secs(10);

/// Tables with a sequence number: one row for each [`Record`].
const STEPS: [&str; 6] = ["candidate", "measurement", "training", "ended", "told", "tested"];

/// The writer of a store; only the engine has one.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    connection: Connection,
    next_seq: i64,
    _lock: lock::Lock,
}

impl Store {
    /// Opens the store at `path`, making it if there is none, and upgrades it if it is older
    /// (after a copy to `<path>.v<version>.bak`).
    ///
    /// Beside it lie `<path>.lock` and the folder `<path>.blobs`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Busy`] at once if another process writes to it, [`StoreError::Newer`],
    /// [`StoreError::Foreign`], [`StoreError::Unshared`], or what the file system says.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        migrate::ensure_safe_sqlite()?;
        let path = &resolved(path);
        disk::ensure_local(path)?;
        let lock = lock::Lock::take(path)?;
        let mut connection = Connection::open(path).map_err(StoreError::database("open"))?;
        migrate::version(&connection, path, migrate::MIGRATIONS.len())?;
        configure(&connection, path)?;
        migrate::migrate(&mut connection, path, migrate::MIGRATIONS)?;
        let next_seq = last_seq(&connection).map_err(StoreError::database("read"))? + 1;
        Ok(Store { path: path.to_owned(), connection, next_seq, _lock: lock })
    }

    /// Records a new run.
    ///
    /// # Errors
    ///
    /// [`StoreError::Contradiction`] if there is a run of that id, [`StoreError::Unfit`], or what
    /// the database says.
    pub fn begin_run(&mut self, run: &RunRecord) -> Result<(), StoreError> {
        let step = || "beginning".to_owned();
        let transaction = self.connection.transaction().map_err(StoreError::database("write"))?;
        write::insert_run(&transaction, run).map_err(|e| {
            if is_duplicate(&e) {
                return StoreError::Contradiction { run: run.id.clone(), step: step() };
            }
            unfit_or_database(e, &run.id, step)
        })?;
        transaction.commit().map_err(StoreError::database("write"))
    }

    /// Sets the reference of a device's hypervolume, which never moves again.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSuchRun`]; [`StoreError::Contradiction`] if it is set to something else, or if
    /// the run has no such device.
    pub fn set_reference(
        &mut self,
        run: &str,
        device: DeviceAt,
        json: &str,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE device SET reference_json = ?3
                   WHERE run = ?1 AND position = ?2 AND coalesce(reference_json, ?3) = ?3";
        let changed = self.connection.execute(sql, rusqlite::params![run, device, json]);
        if changed.map_err(StoreError::database("write"))? == 1 {
            return Ok(());
        }
        match read::run(&self.connection, run).map_err(StoreError::database("read"))? {
            None => Err(StoreError::NoSuchRun { run: run.to_owned() }),
            Some(_) => {
                let step = "reference of the hypervolume".to_owned();
                Err(StoreError::Contradiction { run: run.to_owned(), step })
            }
        }
    }

    /// Records steps, all or none, durably when it returns.
    ///
    /// A step that is recorded already, with the same contents, is left as it is: after an error
    /// the same records may be committed again, and none counts twice. Steps that arrive together
    /// are cheaper together: a commit waits for the disk once.
    ///
    /// # Errors
    ///
    /// [`StoreError::Contradiction`] if a step is recorded with other contents,
    /// [`StoreError::Unfit`] on a number that is not finite or a candidate that was not accepted,
    /// or what the database says ([`StoreError::is_full`]: wait and commit the same again).
    pub fn commit(&mut self, run: &str, records: &[Record]) -> Result<(), StoreError> {
        let mut seq = self.next_seq;
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(StoreError::database("write"))?;
        for record in records {
            match write::insert_record(&transaction, run, seq, record) {
                Ok(()) => seq += 1,
                Err(e) if is_duplicate(&e) => ensure_same(&transaction, run, record)?,
                Err(e) => return Err(unfit_or_database(e, run, || write::step_of(record))),
            }
        }
        transaction.commit().map_err(StoreError::database("write"))?;
        self.next_seq = seq;
        Ok(())
    }

    /// Stores `bytes` beside the database and returns the hash that names them; durable when it
    /// returns, so commit the record that refers to them afterwards.
    ///
    /// # Errors
    ///
    /// [`StoreError::File`].
    pub fn put_blob(&self, bytes: &[u8]) -> Result<String, StoreError> {
        self.blobs().put(bytes)
    }

    /// The bytes of a blob, checked against their hash.
    ///
    /// # Errors
    ///
    /// As [`Blobs::get`].
    pub fn blob(&self, hash: &str) -> Result<Vec<u8>, StoreError> {
        self.blobs().get(hash)
    }

    /// The folder of blobs, for other threads.
    pub fn blobs(&self) -> Blobs {
        blobs_of(&self.path)
    }

    /// Removes the blobs that no candidate of any run refers to.
    ///
    /// # Errors
    ///
    /// [`StoreError::File`], or what the database says.
    pub fn gc(&mut self) -> Result<Removed, StoreError> {
        let kept: BTreeSet<String> =
            read::blobs(&self.connection).map_err(StoreError::database("read"))?;
        self.blobs().retain(&kept)
    }

    /// Reads what is committed by now.
    ///
    /// # Errors
    ///
    /// As [`Reader::open`].
    pub fn reader(&self) -> Result<Reader, StoreError> {
        Reader::open(&self.path)
    }
}

/// Where the links of `path` lead, so that a store has one lock and one folder of blobs.
fn resolved(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

fn blobs_of(path: &Path) -> Blobs {
    Blobs::new(migrate::sibling(path, ".blobs"))
}

fn configure(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let settings = || {
        connection.busy_timeout(PATIENCE)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection
            .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))
    };
    match settings().map_err(StoreError::database("open"))?.as_str() {
        "wal" => Ok(()),
        _ => Err(StoreError::Unshared { path: path.to_owned() }),
    }
}

fn last_seq(connection: &Connection) -> rusqlite::Result<i64> {
    let mut last = 0;
    for table in STEPS {
        let sql = format!("SELECT coalesce(max(seq), 0) FROM {table}");
        last = last.max(connection.query_row(&sql, [], |row| row.get(0))?);
    }
    Ok(last)
}

fn ensure_same(connection: &Connection, run: &str, record: &Record) -> Result<(), StoreError> {
    match read::stored(connection, run, record)? {
        Some(stored) if &stored == record => Ok(()),
        Some(_) | None => Err(write::contradiction(run, record)),
    }
}

fn is_duplicate(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY;
    use rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE;
    error.sqlite_error().is_some_and(|e| {
        [SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE].contains(&e.extended_code)
    })
}

fn unfit_or_database(
    error: rusqlite::Error,
    run: &str,
    step: impl FnOnce() -> String,
) -> StoreError {
    let unfit = error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
        || matches!(error, rusqlite::Error::ToSqlConversionFailure(_));
    if unfit {
        let reason = error.to_string();
        return StoreError::Unfit { run: run.to_owned(), step: step(), reason };
    }
    StoreError::Database { action: "write", source: error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn run() -> RunRecord {
        RunRecord {
            id: "a".to_owned(),
            created: 0,
            config: "{}".to_owned(),
            data: "digits".to_owned(),
            data_hash: String::new(),
            devices: vec![RunDevice {
                name: "local".to_owned(),
                runtime: "tract".to_owned(),
                reference: None,
            }],
            threads: 1,
            objectives: Vec::new(),
            limits: Default::default(),
        }
    }

    fn told(generation: u32) -> Record {
        let candidates = (0..500).collect();
        let fronts = vec![ToldFront { hypervolume: 0.5, members: Vec::new() }];
        Record::Told(Told { generation, candidates, proposed: 0, fronts, at_s: 1.0 })
    }

    #[test]
    fn a_full_database_says_so_keeps_all_and_goes_on_when_there_is_room() {
        let folder = TempDir::new().unwrap();
        let mut store = Store::open(&folder.path().join("citronade.db")).unwrap();
        store.begin_run(&run()).unwrap();
        store.connection.pragma_update(None, "max_page_count", 40).unwrap();
        let mut kept = Vec::new();
        let error = loop {
            let group = [told(kept.len() as u32), told(kept.len() as u32 + 1)];
            match store.commit("a", &group) {
                Ok(()) => kept.extend(group),
                Err(e) => break e,
            }
        };
        assert!(error.is_full() && error.hint().is_some(), "{error:?}");
        assert_eq!(store.reader().unwrap().records("a").unwrap(), kept);
        store.connection.pragma_update(None, "max_page_count", 4000).unwrap();
        kept.extend([told(kept.len() as u32), told(kept.len() as u32 + 1)]);
        store.commit("a", &kept[kept.len() - 2..]).unwrap();
        assert_eq!(store.reader().unwrap().records("a").unwrap(), kept);
    }

    #[test]
    fn the_order_of_steps_goes_on_after_opening_again() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("citronade.db");
        let mut store = Store::open(&path).unwrap();
        store.begin_run(&run()).unwrap();
        store.commit("a", &[told(0), told(1)]).unwrap();
        drop(store);
        let mut store = Store::open(&path).unwrap();
        store.commit("a", &[told(2)]).unwrap();
        assert_eq!(store.next_seq, 4);
        assert_eq!(store.reader().unwrap().records("a").unwrap(), [told(0), told(1), told(2)]);
    }

    #[test]
    fn commits_wait_for_the_disk() {
        let folder = TempDir::new().unwrap();
        let store = Store::open(&folder.path().join("citronade.db")).unwrap();
        let ask = |name| store.connection.pragma_query_value(None, name, |r| r.get::<_, i64>(0));
        assert_eq!(ask("synchronous"), Ok(2), "FULL");
        assert_eq!(ask("foreign_keys"), Ok(1));
    }
}
