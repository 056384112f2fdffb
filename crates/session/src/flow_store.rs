//! Saving flows in a store (`--store`), and where flows are read from: a store or a file.

use std::path::{Path, PathBuf};

use flowgate_flow::Flow;
use flowgate_store::{StoreError, StoreWriter};
use thiserror::Error;

use crate::filters::Decoding;
use crate::saver::Sink;

/// Why flows cannot be kept in a store, or not read from it.
#[derive(Debug, Error)]
#[error("cannot use the store at {}", path.display())]
pub struct FlowStoreError {
    /// Where.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: StoreError,
}

impl FlowStoreError {
    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        self.source.hint()
    }
}

/// A store that flows are saved in.
#[derive(Debug)]
pub struct FlowStore(StoreWriter);

impl FlowStore {
    /// Opens the store in this folder, or makes it.
    ///
    /// # Errors
    /// If it cannot be opened, or another process writes to it.
    pub fn open(path: &Path) -> Result<Self, FlowStoreError> {
        let failed = |source| FlowStoreError { path: path.to_owned(), source };
        StoreWriter::open(path).map(Self).map_err(failed)
    }
}

impl FlowStore {
    /// Puts bodies into the full-text index from now on (option `store_index_bodies`).
    pub fn index_bodies(&mut self) {
        self.0.index_bodies(Box::new(Decoding));
    }
}

impl Sink for FlowStore {
    const WHAT: &'static str = "flows in the store";

    type Error = StoreError;

    fn take(&mut self, flow: Flow) -> Result<(), StoreError> {
        self.0.add(flow)
    }

    fn waiting(&self) -> usize {
        self.0.uncommitted()
    }

    fn settle(&mut self) -> Result<(), StoreError> {
        self.0.commit()
    }
}
