//! Saving flows in a store (`--store`), and what it keeps of them (`store_retention`).

use std::path::{Path, PathBuf};

use flowgate_addons::Decoding;
use flowgate_flow::Flow;
use flowgate_options::Values;
use flowgate_store::{Capture, Prepared, Retention, RetentionError, StoreError, StoreWriter};
use thiserror::Error;

use crate::filters::case_from_env;
use crate::indexing::{Indexing, RetentionControl};
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

/// Limits of retention that cannot be read.
#[derive(Clone, Debug, Error, Eq, PartialEq)]
#[error("option `store_retention`: {0}")]
pub struct BadRetention(pub RetentionError);

/// What `store_retention` says is kept.
///
/// # Errors
/// What is wrong with it, and at which column.
pub fn retention(values: &Values) -> Result<Retention, BadRetention> {
    let text = values.store_retention.as_deref().unwrap_or_default();
    Retention::parse(text, case_from_env()).map_err(BadRetention)
}

/// A store that flows are saved in.
#[derive(Debug)]
pub struct FlowStore {
    capture: Capture,
    indexing: Indexing,
}

impl FlowStore {
    /// Opens the store in this folder, or makes it. It keeps everything, and what was settled can be searched.
    ///
    /// # Errors
    /// If it cannot be opened, or another process writes to it.
    pub fn open(path: &Path) -> Result<Self, FlowStoreError> {
        let (capture, indexer) = StoreWriter::open(path)
            .map_err(|source| FlowStoreError { path: path.to_owned(), source })?
            .split();
        Ok(Self { capture, indexing: Indexing::new(indexer) })
    }

    /// Opens the store in this folder, or makes it, to keep what `retention` says while flows come that nothing may hold up: what was
    /// settled can be searched soon.
    ///
    /// # Errors
    /// As [`FlowStore::open`].
    pub fn open_with(path: &Path, retention: Retention) -> Result<(Self, RetentionControl), FlowStoreError> {
        let store = Self::open(path)?;
        let control = store.indexing.keep(retention);
        let control = control.map_err(|source| FlowStoreError { path: path.to_owned(), source })?;
        Ok((store, control))
    }

    /// Puts bodies into the full-text index from now on (option `store_index_bodies`).
    pub fn index_bodies(&mut self) {
        self.indexing.lock().index_bodies(Box::new(Decoding));
    }

    /// Takes one flow, as [`Sink::take`] does.
    ///
    /// # Errors
    /// As there.
    pub fn add(&mut self, flow: Flow) -> Result<(), StoreError> {
        self.capture.add(flow)
    }

    /// From here on flows come from traffic that nothing may hold up: the index is told of them by a thread of its own, and under load
    /// they are not compressed.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn index_aside(&mut self) -> Result<(), StoreError> {
        self.capture.hurry();
        self.indexing.start()
    }
}

impl Sink for FlowStore {
    const WHAT: &'static str = "flows in the store";

    type Error = StoreError;

    type Item = Prepared;

    fn take(&mut self, flow: Prepared) -> Result<(), StoreError> {
        self.capture.add_prepared(flow)
    }

    fn waiting(&self) -> usize {
        self.capture.uncommitted()
    }

    fn settle(&mut self) -> Result<(), StoreError> {
        let flows = self.capture.uncommitted();
        self.capture.commit()?;
        self.indexing.saved(flows, self.capture.written_bytes())
    }

    fn check(&mut self) -> Result<(), StoreError> {
        self.indexing.check()
    }

    fn end(&mut self) -> Result<Vec<String>, StoreError> {
        self.indexing.finish();
        Ok(Vec::new())
    }

    async fn changed(&mut self) {
        self.indexing.health_changed().await;
    }
}
