//! Versions of the schema: numbered SQL files, counted by `user_version`.
use std::fs::File;
use std::path::Path;
use std::path::PathBuf;

use rusqlite::Connection;

use super::StoreError;

/// One file a version, in order; never edited once released, only added.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_runs.sql"),
    include_str!("migrations/0002_devices.sql"),
    include_str!("migrations/0003_choices.sql"),
];

/// `application_id` of the files: "citr".
const APPLICATION: i64 = 0x6369_7472;

/// The last version without the fault in the reset of write-ahead logs.
const SAFE_SQLITE: (i32, &str) = (3_051_003, "3.51.3");

/// Version of the schema in `connection`; 0 for an empty file.
///
/// # Errors
///
/// [`StoreError::Foreign`] if the file is something else, [`StoreError::Newer`] if its version is
/// above `known`.
pub(super) fn version(
    connection: &Connection,
    path: &Path,
    known: usize,
) -> Result<usize, StoreError> {
    let foreign = || StoreError::Foreign { path: path.to_owned() };
    let pragma = |name: &str| match connection.pragma_query_value(None, name, |row| row.get(0)) {
        Err(e) if e.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) => {
            Err(foreign())
        }
        other => other.map_err(StoreError::database("open")),
    };
    let found: i64 = pragma("user_version")?;
    let empty = pragma("schema_version")? == 0;
    if !empty && pragma("application_id")? != APPLICATION {
        return Err(foreign());
    }
    let known = known as i64;
    if found > known {
        return Err(StoreError::Newer { path: path.to_owned(), found, known });
    }
    usize::try_from(found).map_err(|_| foreign())
}

/// Brings the schema from its version to the end of `migrations`, each in one transaction; a
/// store that holds something is copied to `<path>.v<version>.bak` first.
///
/// # Errors
///
/// Those of [`version`], or what the database says; the last whole migration stays.
pub(super) fn migrate(
    connection: &mut Connection,
    path: &Path,
    migrations: &[&str],
) -> Result<(), StoreError> {
    let found = version(connection, path, migrations.len())?;
    if found > 0 && found < migrations.len() {
        back_up(connection, path, found)?;
    }
    for (i, sql) in migrations.iter().enumerate().skip(found) {
        apply(connection, sql, i + 1).map_err(StoreError::database("upgrade"))?;
    }
    Ok(())
}

fn apply(connection: &mut Connection, sql: &str, version: usize) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(sql)?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", version as i64)?;
    transaction.commit()
}

/// A whole copy that appears under its name only when it is durable.
fn back_up(connection: &Connection, path: &Path, version: usize) -> Result<(), StoreError> {
    let copy = sibling(path, &format!(".v{version}.bak"));
    let unfinished = sibling(path, ".bak.part");
    if unfinished.exists() {
        std::fs::remove_file(&unfinished).map_err(StoreError::file("remove", &unfinished))?;
    }
    connection
        .execute("VACUUM INTO ?1", [unfinished.to_string_lossy()])
        .map_err(StoreError::database("back up"))?;
    let sync = || File::open(&unfinished)?.sync_all();
    sync().map_err(StoreError::file("write", &unfinished))?;
    std::fs::rename(&unfinished, &copy).map_err(StoreError::file("write", &copy))
}

/// Refuses a library that may damage stores.
pub(super) fn ensure_safe_sqlite() -> Result<(), StoreError> {
    if rusqlite::version_number() >= SAFE_SQLITE.0 {
        return Ok(());
    }
    Err(StoreError::OldSqlite { found: rusqlite::version().to_owned(), wanted: SAFE_SQLITE.1 })
}

/// `path` with `suffix` after its whole name.
pub(super) fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    const FIRST: &str = "CREATE TABLE fruit (name TEXT) STRICT";
    const SECOND: &str = "ALTER TABLE fruit ADD COLUMN mass_g REAL";
    const BROKEN: &str = "CREATE TABLE basket (id INTEGER); CREATE TABLE fruit (name TEXT)";

    fn opened(folder: &TempDir, migrations: &[&str]) -> (PathBuf, Connection) {
        let path = folder.path().join("fruit.db");
        let mut connection = Connection::open(&path).unwrap();
        migrate(&mut connection, &path, migrations).unwrap();
        (path, connection)
    }

    #[test]
    fn an_older_store_is_upgraded_after_a_copy() {
        let folder = TempDir::new().unwrap();
        let (path, mut connection) = opened(&folder, &[FIRST]);
        connection.execute("INSERT INTO fruit VALUES ('lemon')", []).unwrap();
        migrate(&mut connection, &path, &[FIRST, SECOND]).unwrap();
        assert_eq!(version(&connection, &path, 2).unwrap(), 2);
        let count = |c: &Connection, sql| c.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(count(&connection, "SELECT count(*) FROM fruit WHERE mass_g IS NULL"), 1);
        let copy = folder.path().join("fruit.db.v1.bak");
        let old = Connection::open(&copy).unwrap();
        assert_eq!(version(&old, &copy, 1).unwrap(), 1);
        assert_eq!(count(&old, "SELECT count(*) FROM fruit"), 1);
    }

    #[test]
    fn a_new_store_needs_no_copy() {
        let folder = TempDir::new().unwrap();
        drop(opened(&folder, &[FIRST, SECOND]));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_migration_happens_as_a_whole_or_not_at_all() {
        let folder = TempDir::new().unwrap();
        let (path, mut connection) = opened(&folder, &[FIRST]);
        assert!(migrate(&mut connection, &path, &[FIRST, BROKEN]).is_err());
        assert_eq!(version(&connection, &path, 2).unwrap(), 1);
        assert!(connection.prepare("SELECT id FROM basket").is_err());
    }
}
