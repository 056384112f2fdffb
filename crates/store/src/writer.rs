//! Adds flows to a store: their bodies and states to the segment files, a row for each to the index. Blocking, and meant for a
//! thread of its own.
//!
//! Flows are added to a batch; [`StoreWriter::commit`] makes it last. A row is committed after everything it leads to was
//! written, so whatever ends this process, what the index shows can be read.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use flowgate_filter::{BodyDecoder, NoDecoding};
use flowgate_flow::Flow;
use rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE;
use rusqlite::{Connection, OptionalExtension, params};

use crate::body_writer::{BodyWriter, segment_files};
use crate::error::StoreError;
use crate::ledger::{Entry, Ledger};
use crate::limits::{JOURNAL_REUSE_INTERVAL, KNOWN_SITES_MAX};
use crate::record::RecordWriter;
use crate::retention::Retention;
use crate::row::{Flags, Row, Text, id_value, kind_number};
use crate::schema;
use crate::texts::Texts;

/// The one writer of a store.
pub struct StoreWriter {
    pub(crate) directory: PathBuf,
    pub(crate) bodies: BodyWriter,
    pub(crate) records: RecordWriter,
    pub(crate) index: Connection,
    /// How many flows are in the batch that was begun.
    batch: usize,
    pub(crate) sites: HashMap<(Vec<u8>, Vec<u8>), i64>,
    texts: Option<Texts>,
    pub(crate) ledger: Ledger,
    pub(crate) tending: Tending,
    /// When [`StoreWriter::reuse_journal`] did something.
    journal_reused: Option<Instant>,
}

/// What [`StoreWriter::tend`] knows.
pub(crate) struct Tending {
    pub(crate) retention: Retention,
    pub(crate) decoder: Box<dyn BodyDecoder + Send>,
    /// Whether the index says that flows are judged by these rules.
    pub(crate) noted: bool,
    /// The number up to which flows are judged by them; [`ALL_JUDGED`] if all are.
    pub(crate) judged: i64,
    /// The segment files and their bytes, but for the one written to.
    pub(crate) files: BTreeMap<u32, u64>,
    /// The file that was written to when `files` was read.
    pub(crate) current: Option<u32>,
    /// From this file on a flow lies in one.
    pub(crate) whole_from: u32,
    /// How many flows went since sites were looked through; where a walk through the sites is.
    pub(crate) gone: u64,
    pub(crate) sites_after: Option<i64>,
}

/// All flows are judged.
pub(crate) const ALL_JUDGED: i64 = i64::MAX;

impl fmt::Debug for StoreWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreWriter").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl StoreWriter {
    /// Opens the store in this folder; makes it, for its owner alone, if it is not there. A store of an older version is brought
    /// up to date.
    ///
    /// # Errors
    /// What the medium says, that another process writes there, or that a newer program wrote it.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        // Takes the lock that keeps other writers away.
        let mut bodies = BodyWriter::open(directory)?;
        let index = schema::open_for_writing(directory)?;
        let whole_from = index.query_row("SELECT whole_from FROM state", (), |row| row.get(0))?;
        bodies.begin_at(whole_from);
        let ledger = Ledger::read(&index)?;
        let tending = Tending {
            retention: Retention::default(),
            decoder: Box::new(NoDecoding),
            noted: false,
            judged: ALL_JUDGED,
            current: bodies.current().map(|(number, _)| number),
            files: segment_files(directory)?,
            whole_from,
            gone: 0,
            sites_after: None,
        };
        Ok(Self {
            directory: directory.to_owned(),
            bodies,
            records: RecordWriter::default(),
            index,
            batch: 0,
            sites: HashMap::new(),
            texts: None,
            ledger,
            tending,
            journal_reused: None,
        })
    }

    /// From now on puts the bodies of flows into the full-text index, too, without the content encodings that `decoder` undoes.
    /// Searches for a text in bodies then need not read them; writing a flow takes several times as long.
    pub fn index_bodies(&mut self, decoder: Box<dyn BodyDecoder + Send>) {
        self.texts = Some(Texts::new(decoder));
    }

    /// Where the store lies.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// How many flows wait for [`StoreWriter::commit`].
    #[must_use]
    pub const fn uncommitted(&self) -> usize {
        self.batch
    }

    /// Adds a flow to the batch. One of the same id that was there goes.
    ///
    /// # Errors
    /// What the medium says. Unless the error [concerns this flow alone](StoreError::is_of_one_flow), the batch is lost.
    pub fn add(&mut self, flow: Flow) -> Result<(), StoreError> {
        let added = self.try_add(flow);
        if added.as_ref().is_err_and(|error| !error.is_of_one_flow()) {
            self.forget_batch();
        }
        added
    }

    /// Makes all that was added last: it survives this process.
    ///
    /// # Errors
    /// What the medium says; then the batch is lost.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        if self.batch == 0 {
            return Ok(());
        }
        self.batch = 0;
        self.end_transaction()
    }

    /// Commits the transaction that is open, or takes it back.
    fn end_transaction(&mut self) -> Result<(), StoreError> {
        let counted = self.ledger.write(&self.index);
        let committed = counted.and_then(|()| Ok(self.index.execute_batch("COMMIT")?));
        match &committed {
            Ok(()) => self.ledger.commit(),
            Err(_) => self.forget_batch(),
        }
        committed
    }

    /// Does all of it or nothing. What was added before is committed.
    pub(crate) fn transact<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.commit()?;
        self.index.execute_batch("BEGIN IMMEDIATE")?;
        match work(self) {
            Ok(done) => self.end_transaction().map(|()| done),
            Err(error) => {
                self.forget_batch();
                Err(error)
            }
        }
    }

    fn try_add(&mut self, flow: Flow) -> Result<(), StoreError> {
        let mut row = Row::of(0, &flow);
        let text = self.texts.as_mut().and_then(|texts| texts.of(&flow));
        row.flags.set(Flags::SEARCHABLE, text.is_some());
        let judgement = self.tending.retention.judge(&flow, &*self.tending.decoder);
        let written = self.bodies.written();
        let at = self.records.append(flow, &mut self.bodies)?;
        let entry =
            Entry { segment: at.segment, bytes: self.bodies.written() - written, classes: judgement.classes };
        if self.batch == 0 {
            self.index.execute_batch("BEGIN IMMEDIATE")?;
            self.note_rules()?;
        }
        self.batch += 1;
        let site =
            row.site.as_ref().map(|site| Self::site(&self.index, &mut self.sites, site)).transpose()?;
        let bytes = |bytes: Option<u64>| bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
        let mut insert = self.index.prepare_cached(INSERT)?;
        let id = id_value(&row.id);
        let mut put = || {
            insert.execute(params![
                id,
                kind_number(row.kind),
                row.flags.0,
                row.created.0,
                row.duration,
                site,
                row.status,
                bytes(row.request_bytes),
                bytes(row.response_bytes),
                bytes(row.bytes),
                at.segment,
                i64::try_from(at.offset).unwrap_or(i64::MAX),
                i64::try_from(entry.bytes).unwrap_or(i64::MAX),
                judgement.ends,
                judgement.classes,
                row.method.as_deref().map(Text),
                row.url.as_deref().map(Text),
                row.request_type.as_deref().map(Text),
                row.response_type.as_deref().map(Text),
                row.source,
                row.destination,
                row.sni,
                row.marked,
                row.comment,
                row.reason,
                row.error,
            ])
        };
        if let Err(error) = put() {
            if error.sqlite_error().map(|error| error.extended_code) != Some(SQLITE_CONSTRAINT_UNIQUE) {
                return Err(error.into());
            }
            // Looked for only now: it is there but rarely.
            let old = "SELECT number, segment, disk, classes, flags FROM flows WHERE id = ?1";
            let old = self.index.prepare_cached(old)?.query_row(params![id], going)?;
            remove(&self.index, &mut self.ledger, &old)?;
            put()?;
        }
        self.ledger.came(entry);
        if let Some(text) = text {
            let number = self.index.last_insert_rowid();
            let mut insert = self.index.prepare_cached("INSERT INTO texts (rowid, body) VALUES (?1, ?2)")?;
            insert.execute(params![number, text])?;
        }
        Ok(())
    }

    /// The number of a site.
    fn site(
        index: &Connection,
        sites: &mut HashMap<(Vec<u8>, Vec<u8>), i64>,
        site: &(Vec<u8>, Vec<u8>),
    ) -> Result<i64, StoreError> {
        if let Some(id) = sites.get(site) {
            return Ok(*id);
        }
        let (host, said) = (Text(&site.0), Text(&site.1));
        let found = index
            .prepare_cached("SELECT id FROM sites WHERE host = ?1 AND said = ?2")?
            .query_row(params![host, said], |row| row.get(0))
            .optional()?;
        let id = if let Some(id) = found {
            id
        } else {
            let mut insert = index.prepare_cached("INSERT INTO sites (host, said) VALUES (?1, ?2)")?;
            insert.insert(params![host, said])?
        };
        if sites.len() >= KNOWN_SITES_MAX {
            sites.clear();
        }
        sites.insert(site.clone(), id);
        Ok(id)
    }

    /// Lets the journal be written from its beginning again: on a full disk there may be no other room, and that it is long enough
    /// for it to happen by itself may never come. Not for every flow that fails, since it takes the medium's time.
    fn reuse_journal(&mut self) {
        let now = Instant::now();
        if self.journal_reused.is_none_or(|last| now.duration_since(last) >= JOURNAL_REUSE_INTERVAL) {
            self.journal_reused = Some(now);
            let _ = self.index.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |_| Ok(()));
        }
    }

    fn forget_batch(&mut self) {
        self.batch = 0;
        self.ledger.roll_back();
        // What was noted in it was not.
        self.tending.noted = false;
        // Numbers of the batch do not last.
        self.sites.clear();
        // Without a transaction, as SQLite itself ends one when the disk is full, there is nothing to take back.
        if !self.index.is_autocommit() {
            let _ = self.index.execute_batch("ROLLBACK");
        }
        self.reuse_journal();
    }
}

impl Drop for StoreWriter {
    fn drop(&mut self) {
        // What was added and never committed was never promised; still, there is no reason to lose it.
        let _ = self.commit();
        let _ = self.bodies.sync();
    }
}

/// A flow that is to go.
pub(crate) struct Going {
    pub(crate) number: i64,
    pub(crate) entry: Entry,
    pub(crate) flags: Flags,
}

/// Reads `number, segment, disk, classes, flags`.
pub(crate) fn going(row: &rusqlite::Row<'_>) -> rusqlite::Result<Going> {
    let entry =
        Entry { segment: row.get(1)?, bytes: row.get::<_, i64>(2)?.unsigned_abs(), classes: row.get(3)? };
    Ok(Going { number: row.get(0)?, entry, flags: Flags(row.get(4)?) })
}

/// Removes a flow from the index.
pub(crate) fn remove(index: &Connection, ledger: &mut Ledger, flow: &Going) -> Result<(), StoreError> {
    index.prepare_cached("DELETE FROM flows WHERE number = ?1")?.execute(params![flow.number])?;
    if flow.flags.has(Flags::SEARCHABLE) {
        index.prepare_cached("DELETE FROM texts WHERE rowid = ?1")?.execute(params![flow.number])?;
    }
    ledger.went(flow.entry);
    Ok(())
}

const INSERT: &str = "INSERT INTO flows
    (id, kind, flags, created, duration, site, status, request_bytes, response_bytes, bytes, segment, position,
     disk, ends, classes, method, url, request_type, response_type, source, destination, sni, marked, comment, reason, error)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
