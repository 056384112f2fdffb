//! Saving flows in a store (`--store`), and what it keeps of them (`store_retention`).

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flowgate_addons::Decoding;
use flowgate_flow::{Flow, Timestamp};
use flowgate_options::Values;
use flowgate_store::{Capture, Retention, RetentionError, StoreError, StoreWriter, Tended};
use thiserror::Error;
use tokio::sync::watch;

use crate::filters::case_from_env;
use crate::indexing::Indexing;
use crate::saver::{Sink, TEND_INTERVAL_MAX, Tend};

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
    /// What is to be kept, and what the store was last told.
    wanted: watch::Receiver<Retention>,
    told: Option<Retention>,
}

/// Changes what a [`FlowStore`] keeps, while it is written.
#[derive(Clone, Debug)]
pub struct RetentionControl(watch::Sender<Retention>);

impl RetentionControl {
    /// This is to be kept from now on.
    pub(crate) fn set(&self, retention: Retention) {
        self.0.send_if_modified(|now| {
            let differs = *now != retention;
            *now = retention;
            differs
        });
    }

    /// What is to be kept.
    #[cfg(test)]
    pub(crate) fn current(&self) -> Retention {
        self.0.borrow().clone()
    }
}

impl FlowStore {
    /// Opens the store in this folder, or makes it. It keeps everything, and what was settled can be searched.
    ///
    /// # Errors
    /// If it cannot be opened, or another process writes to it.
    pub fn open(path: &Path) -> Result<Self, FlowStoreError> {
        Ok(Self::with(path, Retention::default())?.0)
    }

    /// Opens the store in this folder, or makes it, to keep what `retention` says while flows come that nothing may hold up: what was
    /// settled can be searched soon.
    ///
    /// # Errors
    /// As [`FlowStore::open`].
    pub fn open_with(path: &Path, retention: Retention) -> Result<(Self, RetentionControl), FlowStoreError> {
        let (mut store, control) = Self::with(path, retention)?;
        store.tell_retention().map_err(|source| FlowStoreError { path: path.to_owned(), source })?;
        Ok((store, control))
    }

    fn with(path: &Path, retention: Retention) -> Result<(Self, RetentionControl), FlowStoreError> {
        let failed = |source| FlowStoreError { path: path.to_owned(), source };
        let (capture, indexer) = StoreWriter::open(path).map_err(failed)?.split();
        let (control, wanted) = watch::channel(retention);
        let store = Self { capture, indexing: Indexing::new(indexer), wanted, told: None };
        Ok((store, RetentionControl(control)))
    }

    /// Puts bodies into the full-text index from now on (option `store_index_bodies`).
    pub fn index_bodies(&mut self) {
        self.indexing.lock().index_bodies(Box::new(Decoding));
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

    /// Says what is to be kept, if that is another than before.
    fn tell_retention(&mut self) -> Result<(), StoreError> {
        let wanted = self.wanted.borrow_and_update().clone();
        if self.told.as_ref() != Some(&wanted) {
            self.indexing.lock().set_retention(wanted.clone(), Box::new(Decoding))?;
            self.told = Some(wanted);
        }
        Ok(())
    }
}

impl Sink for FlowStore {
    const WHAT: &'static str = "flows in the store";

    type Error = StoreError;

    fn take(&mut self, flow: Flow) -> Result<(), StoreError> {
        self.capture.add(flow)
    }

    fn waiting(&self) -> usize {
        self.capture.uncommitted()
    }

    fn settle(&mut self) -> Result<(), StoreError> {
        let flows = self.capture.uncommitted();
        self.capture.commit()?;
        self.indexing.saved(flows, self.capture.written_bytes())
    }

    fn tend(&mut self) -> Result<Tend, StoreError> {
        self.tell_retention()?;
        if let Some(error) = self.indexing.take_failure() {
            return Err(error);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        Ok(match self.indexing.lock().tend(Timestamp(now))? {
            Tended::More => Tend::Again,
            Tended::Until(_) if self.told.as_ref().is_none_or(Retention::keeps_everything) => Tend::Never,
            Tended::Until(next) => Tend::In(
                next.and_then(|next| Duration::try_from_secs_f64(next.0 - now).ok())
                    .unwrap_or(TEND_INTERVAL_MAX),
            ),
        })
    }

    fn end(&mut self) -> Result<Vec<String>, StoreError> {
        self.indexing.finish();
        Ok(Vec::new())
    }

    async fn changed(&mut self) {
        tokio::select! {
            changed = self.wanted.changed() => if changed.is_err() {
                // Nobody is left who could change it.
                self.indexing.failed().await;
            },
            () = self.indexing.failed() => {}
        }
    }
}
