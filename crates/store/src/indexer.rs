//! Tells the index of the flows in the segment files: a row for each, in the order in which they were written. Blocking.
//!
//! A walk over the files is all it needs: so it may be far behind what is written, be in another process, and go on after a crash.
//! Up to where it has come stands in the index and changes with the rows, so no flow is told twice and none is passed over. A row is
//! committed after everything it leads to was written: whatever ends this process, what the index shows can be read.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use flowgate_filter::{BodyDecoder, NoDecoding};
use flowgate_flow::Flow;
use rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE;
use rusqlite::{Connection, OptionalExtension, params};

use crate::body_reader::BodyReader;
use crate::body_writer::{BodyWriter, segment_files};
use crate::error::StoreError;
use crate::ledger::{Entry, Ledger};
use crate::limits::{INDEX_FLOWS_AT_ONCE, INDEX_FLOWS_IN_A_HURRY, JOURNAL_REUSE_INTERVAL, KNOWN_SITES_MAX};
use crate::locks::Waits;
use crate::reader::Place;
use crate::record::{Depth, RecordWriter, Searchable};
use crate::retention::Retention;
use crate::row::{Flags, Row, Text, id_value, kind_number};
use crate::schema;
use crate::tail::{Step, Tail};
use crate::texts::Texts;

/// What tells the index of flows, and keeps what retention says.
pub struct Indexer {
    pub(crate) directory: PathBuf,
    bodies: Arc<Mutex<BodyWriter>>,
    pub(crate) records: RecordWriter,
    pub(crate) index: Connection,
    pub(crate) sites: HashMap<(Vec<u8>, Vec<u8>), i64>,
    texts: Option<Texts>,
    pub(crate) ledger: Ledger,
    pub(crate) tending: Tending,
    /// Reads the bodies of flows where filters or the full-text index want them.
    reader: BodyReader,
    /// Where the walk is.
    tail: Tail,
    /// Bytes of parts since the last flow: they are the next one's.
    parts_bytes: u64,
    /// The index could not be told the last time.
    failing: bool,
    /// When [`Indexer::reuse_journal`] did something.
    journal_reused: Option<Instant>,
}

/// What [`Indexer::tend`] knows.
pub(crate) struct Tending {
    pub(crate) retention: Retention,
    pub(crate) decoder: Box<dyn BodyDecoder + Send>,
    /// Whether the index says that flows are judged by these rules.
    pub(crate) noted: bool,
    /// The rules are not known here: flows are left to be judged by who knows them.
    pub(crate) by_others: bool,
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

impl fmt::Debug for Indexer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Indexer").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl Indexer {
    /// For the store of this writer, whose index is brought up to date.
    pub(crate) fn open(directory: PathBuf, bodies: Arc<Mutex<BodyWriter>>) -> Result<Self, StoreError> {
        let index = schema::open_for_writing(&directory)?;
        let whole_from = index.query_row("SELECT whole_from FROM state", (), |row| row.get(0))?;
        let indexed = schema::indexed(&index)?;
        let mut writer = lock(&bodies);
        writer.begin_at(whole_from);
        writer.begin_at(indexed.0);
        let current = writer.current().map(|(number, _)| number);
        // What is not there any more was lost with the machine; what is written in its place is new.
        let tail = Tail::at(indexed.min(writer.written_to()));
        drop(writer);
        let tending = Tending {
            retention: Retention::default(),
            decoder: Box::new(NoDecoding),
            noted: false,
            by_others: false,
            judged: ALL_JUDGED,
            current,
            files: segment_files(&directory)?,
            whole_from,
            gone: 0,
            sites_after: None,
        };
        Ok(Self {
            ledger: Ledger::read(&index)?,
            reader: BodyReader::new(&directory),
            directory,
            bodies,
            records: RecordWriter::default(),
            index,
            sites: HashMap::new(),
            texts: None,
            tending,
            tail,
            parts_bytes: 0,
            failing: false,
            journal_reused: None,
        })
    }

    /// As [`StoreWriter::index_bodies`](crate::StoreWriter::index_bodies).
    pub fn index_bodies(&mut self, decoder: Box<dyn BodyDecoder + Send>) {
        self.texts = Some(Texts::new(decoder));
    }

    /// What is kept.
    #[must_use]
    pub const fn retention(&self) -> &Retention {
        &self.tending.retention
    }

    /// Leaves it to others to judge flows by the rules of retention, which are not known here.
    pub(crate) const fn leave_judging(&mut self) {
        self.tending.by_others = true;
        self.tending.noted = true;
    }

    /// About how many bytes of segment files the index knows of; see [`Capture::written_bytes`](crate::Capture::written_bytes).
    #[must_use]
    pub fn indexed_bytes(&self) -> u64 {
        self.bodies().bytes_before(self.tail.at)
    }

    /// Says whether readers wait for flows that the index does not know of.
    #[must_use]
    pub fn waits(&self) -> Waits {
        Waits::new(&self.directory)
    }

    /// Up to where the index knows of the flows in the segment files.
    pub(crate) const fn indexed(&self) -> Place {
        self.tail.at
    }

    /// Tells the index of some flows that were written; says whether there are more.
    ///
    /// # Errors
    /// What the medium says; nothing is lost, and the next call tries again.
    pub fn step(&mut self) -> Result<bool, StoreError> {
        self.step_of(INDEX_FLOWS_AT_ONCE)
    }

    fn step_of(&mut self, flows_max: usize) -> Result<bool, StoreError> {
        let target = self.bodies().written_to();
        if self.tail.at >= target {
            return Ok(false);
        }
        let before = self.tail.at;
        let stepped = self.transact(|indexer| indexer.walk(target, flows_max));
        if self.failing != stepped.is_err() {
            self.failing = stepped.is_err();
            self.bodies().show_failing(self.failing);
        }
        if stepped.is_err() {
            self.tail.go_back(before);
        } else if self.tail.at.0 > before.0 {
            self.sync_full_files()?;
        }
        stepped.map(|()| self.tail.at < target)
    }

    /// Tells the index of all that was written.
    ///
    /// # Errors
    /// As [`Indexer::step`].
    pub fn catch_up(&mut self) -> Result<(), StoreError> {
        while self.step_of(INDEX_FLOWS_IN_A_HURRY)? {}
        Ok(())
    }

    fn walk(&mut self, target: Place, flows_max: usize) -> Result<(), StoreError> {
        self.note_rules()?;
        let mut flows = 0;
        let mut loose: BTreeMap<u32, u64> = BTreeMap::new();
        while flows < flows_max {
            match self.tail.next(&self.directory, target)? {
                Step::Flow { at, record, bytes, is_loose } => {
                    if is_loose {
                        *loose.entry(at.0).or_default() += bytes;
                    }
                    let entry_bytes = bytes + std::mem::take(&mut self.parts_bytes);
                    match self.insert(at, &record, entry_bytes) {
                        // It can be read by nobody.
                        Err(error) if error.is_of_one_flow() => {}
                        inserted => inserted?,
                    }
                    flows += 1;
                }
                Step::Part { bytes } => self.parts_bytes += bytes,
                // Its parts are not those of the next flow.
                Step::Moved => self.parts_bytes = 0,
                Step::End => break,
            }
        }
        let mut note = self.index.prepare_cached(
            "INSERT INTO segments (number, flows, bytes, loose) VALUES (?1, 0, 0, ?2)
             ON CONFLICT (number) DO UPDATE SET loose = loose + excluded.loose",
        )?;
        for (segment, bytes) in loose {
            note.execute(params![segment, bytes.cast_signed()])?;
        }
        let (segment, offset) = self.tail.at;
        self.index
            .prepare_cached("UPDATE state SET indexed_segment = ?1, indexed_offset = ?2")?
            .execute(params![segment, offset.cast_signed()])?;
        Ok(())
    }

    /// Files that are full come to the medium here, where no traffic waits for it.
    fn sync_full_files(&self) -> Result<(), StoreError> {
        let mut files = self.bodies().take_unsynced();
        while let Some(file) = files.last() {
            if let Err(error) = file.sync_data() {
                self.bodies().put_back_unsynced(files);
                return Err(error.into());
            }
            files.pop();
        }
        Ok(())
    }

    /// Adds the row of a flow. One of the same id that was there goes.
    fn insert(&mut self, at: Place, record: &[u8], bytes: u64) -> Result<(), StoreError> {
        let wants_bodies = self.texts.is_some() || self.tending.retention.has_filters();
        let read =
            if wants_bodies { Searchable::read(record, Depth::Bodies, &self.reader).ok() } else { None };
        let outline = if read.is_some() { None } else { Some(Searchable::outline(record, &self.reader)?) };
        let Some(flow) = read.as_ref().map(Searchable::flow).or(outline.as_ref()) else { return Ok(()) };
        let text = self.texts.as_mut().filter(|_| read.is_some()).and_then(|texts| texts.of(flow));
        self.insert_row(flow, at, bytes, text)
    }

    fn insert_row(
        &mut self,
        flow: &Flow,
        at: Place,
        entry_bytes: u64,
        text: Option<String>,
    ) -> Result<(), StoreError> {
        let mut row = Row::of(0, flow);
        row.flags.set(Flags::SEARCHABLE, text.is_some());
        let judgement = self.tending.retention.judge(flow, &*self.tending.decoder);
        let entry = Entry { segment: at.0, bytes: entry_bytes, classes: judgement.classes };
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
                at.0,
                i64::try_from(at.1).unwrap_or(i64::MAX),
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
        let number = self.index.last_insert_rowid();
        if self.tending.by_others && number <= self.tending.judged {
            self.tending.judged = number - 1;
            let unjudged = "UPDATE state SET judged = min(judged, ?1)";
            self.index.prepare_cached(unjudged)?.execute(params![self.tending.judged])?;
        }
        if let Some(text) = text {
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

    /// Does all of it or nothing.
    pub(crate) fn transact<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let begun = self.index.execute_batch("BEGIN IMMEDIATE").map_err(StoreError::from);
        let done = begun.and_then(|()| work(self)).and_then(|done| {
            self.ledger.write(&self.index)?;
            self.index.execute_batch("COMMIT")?;
            Ok(done)
        });
        match &done {
            Ok(_) => self.ledger.commit(),
            Err(_) => self.roll_back(),
        }
        done
    }

    /// The files that are written to.
    pub(crate) fn bodies(&self) -> MutexGuard<'_, BodyWriter> {
        lock(&self.bodies)
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

    fn roll_back(&mut self) {
        self.ledger.roll_back();
        // What was noted in it was not.
        self.tending.noted = self.tending.by_others;
        // Numbers of sites that were new do not last.
        self.sites.clear();
        // Without a transaction, as SQLite itself ends one when the disk is full, there is nothing to take back.
        if !self.index.is_autocommit() {
            let _ = self.index.execute_batch("ROLLBACK");
        }
        self.reuse_journal();
    }
}

/// Nobody who writes leaves it half changed.
pub(crate) fn lock(bodies: &Mutex<BodyWriter>) -> MutexGuard<'_, BodyWriter> {
    bodies.lock().unwrap_or_else(PoisonError::into_inner)
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
