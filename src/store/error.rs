//! What can go wrong with a store, and the way out.
use std::io;
use std::path::Path;
use std::path::PathBuf;

use rusqlite::ErrorCode;

/// Why the store could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no store to read.
    #[error("there is no store `{}`", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Another process writes to it.
    #[error("the store `{}` is in use by {owner}", path.display())]
    Busy {
        /// Which store.
        path: PathBuf,
        /// The other process, in words.
        owner: String,
    },
    /// A later version of the program made it.
    #[error("the store `{}` has version {found}, this program knows up to {known}", path.display())]
    Newer {
        /// Which store.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The latest this program knows.
        known: i64,
    },
    /// The file is something else.
    #[error("`{}` is not a store of citronade", path.display())]
    Foreign {
        /// Which file.
        path: PathBuf,
    },
    /// Write-ahead logging, which readers during a search need, does not work there.
    #[error("the file system of `{}` cannot share a write-ahead log", path.display())]
    Unshared {
        /// Which store.
        path: PathBuf,
    },
    /// The library has a known fault.
    #[error("SQLite {found} may damage stores, at least {wanted} is needed")]
    OldSqlite {
        /// What was linked.
        found: String,
        /// What is safe.
        wanted: &'static str,
    },
    /// The same step was recorded before, with other contents.
    #[error("{step} of run `{run}` is already recorded with other contents")]
    Contradiction {
        /// Which run.
        run: String,
        /// The step, in words.
        step: String,
    },
    /// A record does not fit what is recorded already, or holds a number that is not finite.
    #[error("{step} of run `{run}` cannot be recorded: {reason}")]
    Unfit {
        /// Which run.
        run: String,
        /// The step, in words.
        step: String,
        /// What the database said.
        reason: String,
    },
    /// No such run.
    #[error("there is no run `{run}` in the store")]
    NoSuchRun {
        /// Its id.
        run: String,
    },
    /// No such blob, or a text that names none.
    #[error("there is no blob `{hash}` beside the store")]
    NoSuchBlob {
        /// As asked for.
        hash: String,
    },
    /// What is stored is not what was written.
    #[error("{what} is damaged: {reason}")]
    Damaged {
        /// A row or a blob.
        what: String,
        /// In words.
        reason: String,
    },
    /// A file or folder could not be read or written.
    #[error("cannot {action} `{}`", path.display())]
    File {
        /// Verb.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// The database could not be read or written.
    #[error("cannot {action} the store")]
    Database {
        /// Verb.
        action: &'static str,
        /// Cause.
        source: rusqlite::Error,
    },
}

impl StoreError {
    /// Is another process the owner? (Exit code 20.)
    pub fn is_busy(&self) -> bool {
        match self {
            Self::Busy { .. } => true,
            Self::Database { source, .. } => matches!(
                source.sqlite_error_code(),
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
            ),
            _ => false,
        }
    }

    /// Was it made by a later version? (Exit code 3.)
    pub fn is_newer(&self) -> bool {
        matches!(self, Self::Newer { .. })
    }

    /// Is there no room, or no right to write? Nothing was lost: the step can be committed again
    /// once that has changed.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Database { source, .. } => matches!(
                source.sqlite_error_code(),
                Some(ErrorCode::DiskFull | ErrorCode::ReadOnly | ErrorCode::SystemIoFailure)
            ),
            Self::File { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::StorageFull
                    | io::ErrorKind::QuotaExceeded
                    | io::ErrorKind::FileTooLarge
                    | io::ErrorKind::ReadOnlyFilesystem
                    | io::ErrorKind::PermissionDenied
            ),
            _ => false,
        }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        if self.is_full() {
            return Some("make room on the disk or make it writable, then run the same command");
        }
        match self {
            Self::Missing { .. } => Some("`citronade search` makes one; `--store FILE` names it"),
            Self::Busy { .. } => {
                Some("`front`, `show` and `report` read it meanwhile; else name another `--store`")
            }
            Self::Newer { .. } => Some("update citronade, or name another `--store`"),
            Self::Foreign { .. } => Some("name another `--store`"),
            Self::Unshared { .. } => Some("put the store on a local disk"),
            Self::NoSuchRun { .. } => Some("without `--run` the newest is taken"),
            Self::Damaged { .. } => Some("restore the store and its blobs from a copy"),
            _ => None,
        }
    }

    pub(super) fn file<'a>(
        action: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(io::Error) -> StoreError + 'a {
        move |source| StoreError::File { action, path: path.to_owned(), source }
    }

    pub(super) fn database(action: &'static str) -> impl FnOnce(rusqlite::Error) -> StoreError {
        move |source| StoreError::Database { action, source }
    }
}
