//! The one writer of a store, whose flows the index knows of as soon as they are committed. For traffic that must not wait for that it
//! is taken apart.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use flowgate_filter::BodyDecoder;
use flowgate_flow::{Flow, Timestamp};

use crate::body_writer::BodyWriter;
use crate::capture::Capture;
use crate::error::StoreError;
use crate::indexer::Indexer;
use crate::retention::Retention;
use crate::tend::Tended;

/// The one writer of a store.
#[derive(Debug)]
pub struct StoreWriter {
    // Dropped first: what it still has is told to nobody then, and found by who opens the store next.
    capture: Capture,
    indexer: Indexer,
}

impl StoreWriter {
    /// Opens the store in this folder; makes it, for its owner alone, if it is not there. A store of an older version is brought
    /// up to date.
    ///
    /// # Errors
    /// What the medium says, that another process writes there or a file is there, or that a newer program wrote it.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        if directory.is_file() {
            return Err(StoreError::NotAFolder(directory.to_owned()));
        }
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        // Takes the lock that keeps other writers away.
        Self::of(directory, BodyWriter::open(directory)?)
    }

    fn of(directory: &Path, bodies: BodyWriter) -> Result<Self, StoreError> {
        let bodies = Arc::new(Mutex::new(bodies));
        let indexer = Indexer::open(directory.to_owned(), Arc::clone(&bodies))?;
        Ok(Self { capture: Capture::new(bodies), indexer })
    }

    /// Opens the store in this folder, unless somebody writes to it, to tell its index of flows that nobody has told it of.
    ///
    /// # Errors
    /// As [`StoreWriter::open`], and as [`Indexer::step`].
    pub(crate) fn catch_up(directory: &Path) -> Result<(), StoreError> {
        let mut writer = Self::of(directory, BodyWriter::open_at_once(directory)?)?;
        writer.indexer.leave_judging();
        writer.indexer.catch_up()
    }

    /// Takes it apart: flows that the one adds come to the index when the other is asked to do it.
    #[must_use]
    pub fn split(self) -> (Capture, Indexer) {
        (self.capture, self.indexer)
    }

    /// From now on puts the bodies of flows into the full-text index, too, without the content encodings that `decoder` undoes.
    /// Searches for a text in bodies then need not read them; writing a flow takes several times as long.
    pub fn index_bodies(&mut self, decoder: Box<dyn BodyDecoder + Send>) {
        self.indexer.index_bodies(decoder);
    }

    /// Where the store lies.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.indexer.directory
    }

    /// How many flows wait for [`StoreWriter::commit`].
    #[must_use]
    pub const fn uncommitted(&self) -> usize {
        self.capture.uncommitted()
    }

    /// Adds a flow to the batch. One of the same id that was there goes.
    ///
    /// # Errors
    /// What the medium says. Unless the error [concerns this flow alone](StoreError::is_of_one_flow), the batch is lost.
    pub fn add(&mut self, flow: Flow) -> Result<(), StoreError> {
        self.capture.add(flow)
    }

    /// Makes all that was added last, so that it survives this process, and tells the index.
    ///
    /// # Errors
    /// What the medium says; then the batch is lost, or the index does not know of it yet.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        self.capture.commit()?;
        self.indexer.catch_up()
    }

    /// As [`Indexer::set_retention`].
    ///
    /// # Errors
    /// As there.
    pub fn set_retention(
        &mut self,
        retention: Retention,
        decoder: Box<dyn BodyDecoder + Send>,
    ) -> Result<(), StoreError> {
        self.commit()?;
        self.indexer.set_retention(retention, decoder)
    }

    /// Commits what was added, and does what [`Indexer::tend`] does.
    ///
    /// # Errors
    /// As there.
    pub fn tend(&mut self, now: Timestamp) -> Result<Tended, StoreError> {
        self.commit()?;
        self.indexer.tend(now)
    }
}
