//! Adds flows to a store: their bodies and states to the segment files, a row for each to the index. Blocking, and meant for a
//! thread of its own.
//!
//! Flows are added to a batch; [`StoreWriter::commit`] makes it last. A row is committed after everything it leads to was
//! written, so whatever ends this process, what the index shows can be read.

use std::collections::HashMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use flowgate_filter::BodyDecoder;
use flowgate_flow::Flow;
use rusqlite::{Connection, OptionalExtension, params};

use crate::body_writer::BodyWriter;
use crate::error::StoreError;
use crate::limits::KNOWN_SITES_MAX;
use crate::record::RecordWriter;
use crate::row::{Flags, Row, Text, id_value, kind_number};
use crate::schema;
use crate::texts::Texts;

/// The one writer of a store.
#[derive(Debug)]
pub struct StoreWriter {
    directory: PathBuf,
    bodies: BodyWriter,
    records: RecordWriter,
    index: Connection,
    /// How many flows are in the batch that was begun.
    batch: usize,
    sites: HashMap<(Vec<u8>, Vec<u8>), i64>,
    texts: Option<Texts>,
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
        let bodies = BodyWriter::open(directory)?;
        let index = schema::open_for_writing(directory)?;
        Ok(Self {
            directory: directory.to_owned(),
            bodies,
            records: RecordWriter::default(),
            index,
            batch: 0,
            sites: HashMap::new(),
            texts: None,
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
        let committed = self.index.execute_batch("COMMIT");
        if committed.is_err() {
            self.forget_batch();
        }
        self.batch = 0;
        Ok(committed?)
    }

    fn try_add(&mut self, flow: Flow) -> Result<(), StoreError> {
        let mut row = Row::of(0, &flow);
        let text = self.texts.as_mut().and_then(|texts| texts.of(&flow));
        row.flags.set(Flags::SEARCHABLE, text.is_some());
        let at = self.records.append(flow, &mut self.bodies)?;
        if self.batch == 0 {
            self.index.execute_batch("BEGIN IMMEDIATE")?;
        }
        self.batch += 1;
        let site =
            row.site.as_ref().map(|site| Self::site(&self.index, &mut self.sites, site)).transpose()?;
        let bytes = |bytes: Option<u64>| bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
        let mut insert = self.index.prepare_cached(INSERT)?;
        insert.execute(params![
            id_value(&row.id),
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
        ])?;
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

    fn forget_batch(&mut self) {
        self.batch = 0;
        // Numbers of the batch do not last.
        self.sites.clear();
        // Without a transaction, as SQLite itself ends one when the disk is full, there is nothing to take back.
        if !self.index.is_autocommit() {
            let _ = self.index.execute_batch("ROLLBACK");
        }
    }
}

impl Drop for StoreWriter {
    fn drop(&mut self) {
        // What was added and never committed was never promised; still, there is no reason to lose it.
        let _ = self.commit();
        let _ = self.bodies.sync();
    }
}

const INSERT: &str = "INSERT OR REPLACE INTO flows
    (id, kind, flags, created, duration, site, status, request_bytes, response_bytes, bytes, segment, position,
     method, url, request_type, response_type, source, destination, sni, marked, comment, reason, error)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
