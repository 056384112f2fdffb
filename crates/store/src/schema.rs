//! The tables of the index, and how an older store becomes a current one.
//!
//! Each version is a step from the one before; a step that was published is never changed. `user_version` holds the version.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use crate::error::StoreError;
use crate::limits::{INDEX_CACHE_KIB, INDEX_LOCK_TIMEOUT, JOURNAL_BYTES_KEPT};

/// Marks the file as ours (`file` and SQLite's tools show it): "flow".
const APPLICATION_ID: i64 = 0x666c_6f77;

/// The steps, from an empty file on.
const STEPS: [&str; 6] = [
    "
    CREATE TABLE sites (
        id INTEGER PRIMARY KEY,
        host NOT NULL,
        said NOT NULL,
        UNIQUE (host, said)
    );
    CREATE TABLE flows (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id NOT NULL UNIQUE,
        kind INTEGER NOT NULL,
        flags INTEGER NOT NULL,
        created REAL NOT NULL,
        duration REAL,
        site INTEGER REFERENCES sites (id),
        status INTEGER,
        request_bytes INTEGER,
        response_bytes INTEGER,
        bytes INTEGER,
        segment INTEGER NOT NULL,
        position INTEGER NOT NULL,
        method, url, request_type, response_type, source, destination, sni, marked, comment, reason, error
    );
    CREATE INDEX flows_by_site ON flows (site, status);
    CREATE INDEX flows_by_status ON flows (status);
",
    // Flag 512 says that all of a flow's bodies are in `texts`.
    "
    CREATE VIRTUAL TABLE texts USING fts5 (
        body, content = '', contentless_delete = 1, detail = 'none', tokenize = 'trigram'
    );
    CREATE INDEX flows_without_texts ON flows (number) WHERE flags & 512 = 0;
",
    // What retention asks: `disk` is what a flow takes of its segment file, `ends` and `classes` are what its rules say of it (below
    // zero: no limit of age names it). `judged` is the number up to which flows were judged by `rules`. Of the files below
    // `whole_from`, flows may refer to several.
    "
    ALTER TABLE flows ADD COLUMN disk INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE flows ADD COLUMN ends REAL NOT NULL DEFAULT 0;
    ALTER TABLE flows ADD COLUMN classes INTEGER NOT NULL DEFAULT 0;
    UPDATE flows SET disk = coalesce(bytes, 0) + 1024, ends = min(max(created, 0), 1e11) - 1e12;
    CREATE INDEX flows_by_end ON flows (ends);
    CREATE INDEX flows_by_segment ON flows (segment);
    CREATE INDEX flows_by_class ON flows (classes, ends) WHERE classes <> 0;
    CREATE TABLE segments (number INTEGER PRIMARY KEY, flows INTEGER NOT NULL, bytes INTEGER NOT NULL);
    INSERT INTO segments SELECT segment, count(*), sum(disk) FROM flows GROUP BY segment;
    CREATE TABLE state (
        id INTEGER PRIMARY KEY CHECK (id = 0),
        rules TEXT NOT NULL,
        judged INTEGER NOT NULL,
        whole_from INTEGER NOT NULL
    );
    INSERT INTO state SELECT 0, '', 9223372036854775807, coalesce(max(segment) + 1, 0) FROM flows;
",
    // Up to where the index knows of the flows in the segment files. Those from before tell nothing of their flows.
    "
    ALTER TABLE state ADD COLUMN indexed_segment INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE state ADD COLUMN indexed_offset INTEGER NOT NULL DEFAULT 0;
    UPDATE state SET indexed_segment = max(whole_from, (SELECT coalesce(max(segment) + 1, 0) FROM flows));
",
    // How many bytes of a file are flows that were not compressed, for want of time. Programs from before do not know of connections in
    // parts of their own.
    "
    ALTER TABLE segments ADD COLUMN loose INTEGER NOT NULL DEFAULT 0;
",
    // The tables stay: records are packed with a dictionary, which programs from before do not have.
    "",
];

/// The version that is written.
pub const STORE_VERSION: u32 = STEPS.len() as u32;

/// Where the index lies in a store's folder.
pub(crate) fn index_path(directory: &Path) -> PathBuf {
    directory.join("flows.sqlite")
}

/// Opens the index for the one writer; makes it or brings it up to date.
pub(crate) fn open_for_writing(directory: &Path) -> Result<Connection, StoreError> {
    let path = index_path(directory);
    // SQLite gives its other files the mode of this one.
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
    let mut connection = Connection::open_with_flags(&path, flags())?;
    prepare(&connection)?;
    let not_ours = |_| StoreError::NotAnIndex(path.clone());
    let objects: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0)).map_err(not_ours)?;
    if objects > 0 {
        check_application(&connection, &path)?;
    }
    // Has an effect before the first table is made: what goes gives its room back.
    connection.pragma_update(None, "auto_vacuum", "incremental")?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    // Losing power may cost the last flows, never the file; the end of this process costs nothing.
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.pragma_update(None, "journal_size_limit", JOURNAL_BYTES_KEPT.cast_signed())?;
    migrate(&mut connection, STEPS.len())?;
    Ok(connection)
}

/// Opens the index for reading. Nothing is changed; a store of an older version is refused with [`Opened::Older`].
pub(crate) fn open_for_reading(directory: &Path) -> Result<Opened, StoreError> {
    let path = index_path(directory);
    if !path.is_file() {
        return Err(StoreError::NoStore(directory.to_owned()));
    }
    // Opened for writing all the same: the first reader after a crash has to put the journal in order.
    let connection = Connection::open_with_flags(&path, flags())?;
    prepare(&connection)?;
    check_application(&connection, &path)?;
    let found = version(&connection)?;
    if (found as usize) < STEPS.len() {
        return Ok(Opened::Older);
    }
    connection.pragma_update(None, "query_only", true)?;
    Ok(Opened::Current(connection))
}

/// An index that was opened for reading.
pub(crate) enum Opened {
    /// It can be asked.
    Current(Connection),
    /// A writer has to bring it up to date first.
    Older,
}

fn flags() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

fn prepare(connection: &Connection) -> Result<(), StoreError> {
    connection.busy_timeout(INDEX_LOCK_TIMEOUT)?;
    connection.pragma_update(None, "cache_size", -i64::from(INDEX_CACHE_KIB))?;
    // The file may have been made by somebody else: its schema calls no functions.
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(())
}

fn check_application(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let id = connection.pragma_query_value(None, "application_id", |row| row.get::<_, i64>(0));
    if id.ok() == Some(APPLICATION_ID) {
        version(connection).map(|_| ())
    } else {
        Err(StoreError::NotAnIndex(path.to_owned()))
    }
}

/// The version of the store.
fn version(connection: &Connection) -> Result<u32, StoreError> {
    let found = connection.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0))?;
    if found > STORE_VERSION { Err(StoreError::Newer { found, known: STORE_VERSION }) } else { Ok(found) }
}

/// Up to where the index knows of the flows in the segment files.
pub(crate) fn indexed(index: &Connection) -> Result<(u32, u64), StoreError> {
    let select = "SELECT indexed_segment, indexed_offset FROM state";
    Ok(index.query_row(select, (), |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?)
}

/// Takes the steps that are missing up to `until`, all or none.
fn migrate(connection: &mut Connection, until: usize) -> Result<(), StoreError> {
    let have = version(connection)? as usize;
    if have >= until {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    for step in STEPS.iter().take(until).skip(have) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", until as i64)?;
    transaction.commit()?;
    // All of that stands in the journal, too, which is as large as the index then. In no journal, or with readers, it stays.
    let _ = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An index as a program of that version left it.
    fn index_of_version(directory: &Path, version: usize) -> Connection {
        let mut connection = Connection::open(index_path(directory)).unwrap();
        migrate(&mut connection, version).unwrap();
        let insert =
            "INSERT INTO flows (id, kind, flags, created, segment, position) VALUES ('a', 1, 3, 5.5, 7, 9)";
        connection.execute_batch(insert).unwrap();
        connection
    }

    fn version_of(directory: &Path) -> u32 {
        Connection::open(index_path(directory))
            .unwrap()
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .unwrap()
    }

    #[test]
    fn every_older_version_becomes_the_current_one_with_its_flows() {
        for old in 1..=STEPS.len() {
            let directory = tempfile::tempdir().unwrap();
            drop(index_of_version(directory.path(), old));
            assert_eq!(version_of(directory.path()) as usize, old);
            let older = matches!(open_for_reading(directory.path()).unwrap(), Opened::Older);
            assert_eq!(older, old < STEPS.len());
            drop(open_for_writing(directory.path()).unwrap());
            assert_eq!(version_of(directory.path()), STORE_VERSION);
            let Opened::Current(index) = open_for_reading(directory.path()).unwrap() else {
                panic!("still old")
            };
            let flow = index.query_row("SELECT id, flags, created, position FROM flows", (), |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, i64>(1)?,
                    row.get::<_, f64>(2)?,
                    row.get::<_, i64>(3)?,
                ))
            });
            assert_eq!(flow, Ok(("a".to_owned(), 3, 5.5, 9)));
            let without_texts = "SELECT count(*) FROM flows WHERE flags & 512 = 0";
            assert_eq!(index.query_row(without_texts, (), |row| row.get(0)), Ok(1));
            let counted = index.query_row("SELECT flows, bytes FROM segments WHERE number = 7", (), |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
            });
            let whole_from = index.query_row("SELECT whole_from FROM state", (), |row| row.get::<_, u32>(0));
            // Since version 3 a store counts its flows itself; here nobody did.
            if old < 3 {
                assert_eq!((counted, whole_from), (Ok((1, 1024)), Ok(8)));
            }
            // Files from before version 4 are not looked through for flows.
            assert_eq!(indexed(&index).unwrap(), if old < 4 { (8, 0) } else { (0, 0) });
        }
    }

    #[test]
    fn newer_versions_and_other_databases_are_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let index = index_of_version(directory.path(), STEPS.len());
        index.pragma_update(None, "user_version", STORE_VERSION + 1).unwrap();
        let newer = |error| matches!(error, StoreError::Newer { found, known } if (found, known) == (STORE_VERSION + 1, STORE_VERSION));
        assert!(open_for_writing(directory.path()).is_err_and(newer));
        assert!(open_for_reading(directory.path()).is_err_and(newer));
        index.pragma_update(None, "application_id", 1).unwrap();
        assert!(matches!(open_for_writing(directory.path()), Err(StoreError::NotAnIndex(_))));
        assert!(matches!(open_for_reading(directory.path()), Err(StoreError::NotAnIndex(_))));
    }
}
