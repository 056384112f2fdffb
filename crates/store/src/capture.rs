//! Adds flows to a store: their bodies and states to the segment files, and nothing else, so that traffic waits for no more than that.
//! Blocking, and meant for a thread of its own.
//!
//! Flows are added to a batch; [`Capture::commit`] makes it last. [`Indexer`](crate::Indexer) tells the index of them.

use std::sync::{Arc, Mutex};

use flowgate_flow::Flow;

use crate::body_writer::BodyWriter;
use crate::error::StoreError;
use crate::indexer::lock;
use crate::prepared::Prepared;
use crate::record::RecordWriter;
use crate::segment::RecordKind;

/// What writes flows to the segment files.
#[derive(Debug)]
pub struct Capture {
    bodies: Arc<Mutex<BodyWriter>>,
    records: RecordWriter,
    /// How many flows are in the batch that was begun.
    batch: usize,
}

impl Capture {
    pub(crate) fn new(bodies: Arc<Mutex<BodyWriter>>) -> Self {
        Self { bodies, records: RecordWriter::default(), batch: 0 }
    }

    /// From here on traffic waits for what is written: under load it is not compressed.
    pub fn hurry(&mut self) {
        lock(&self.bodies).hurry();
    }

    /// How many flows wait for [`Capture::commit`].
    #[must_use]
    pub const fn uncommitted(&self) -> usize {
        self.batch
    }

    /// Adds a flow to the batch.
    ///
    /// # Errors
    /// What the medium says. Unless the error [concerns this flow alone](StoreError::is_of_one_flow), the batch is lost.
    pub fn add(&mut self, flow: Flow) -> Result<(), StoreError> {
        self.add_prepared(Prepared::from(flow))
    }

    /// [`Capture::add`] for a flow that was prepared elsewhere.
    ///
    /// # Errors
    /// As there.
    pub fn add_prepared(&mut self, flow: Prepared) -> Result<(), StoreError> {
        let mut bodies = lock(&self.bodies);
        let added = self.records.append(flow, RecordKind::Flow, &mut bodies);
        match added {
            Ok(_) => self.batch += 1,
            Err(error) => {
                if !error.is_of_one_flow() {
                    bodies.discard();
                    self.batch = 0;
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// About how many bytes the segment files had in all, those that are gone included.
    #[must_use]
    pub fn written_bytes(&self) -> u64 {
        let bodies = lock(&self.bodies);
        bodies.bytes_before(bodies.written_to())
    }

    /// Makes all that was added last: it survives this process.
    ///
    /// # Errors
    /// What the medium says; then the batch is lost.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        self.batch = 0;
        self.records.give_back();
        Ok(lock(&self.bodies).flush()?)
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // What was added and never committed was never promised; still, there is no reason to lose it.
        let _ = self.commit();
        let _ = lock(&self.bodies).sync();
    }
}
