//! Where flows are read from: a store or a flow file, searched in the same way.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use flowgate_addons::Decoding;
use flowgate_filter::Filter;
use flowgate_flow::Flow;
use flowgate_store::{Hit, Row, Searched, StoreReader};

use crate::progress::Progress;
use crate::read::{ReadFlowsError, each_flow, open_file};
use crate::saver::{FLOWS_BATCH_MAX, Sink};
use crate::temporary_store::TemporaryStore;

/// A store or a flow file.
#[derive(Debug)]
pub struct FlowSource {
    path: PathBuf,
    /// `None` for a file, which is read anew for each search.
    store: Option<StoreReader>,
    /// Where the flows of standard input are kept, if they are.
    _kept: Option<TemporaryStore>,
}

/// A flow that was found.
#[derive(Debug)]
pub struct Found<'a>(Inner<'a>);

#[derive(Debug)]
enum Inner<'a> {
    Stored(Box<Hit<'a>>, &'a Path),
    Read(Box<(Row, Flow)>),
}

impl Found<'_> {
    /// What a list shows of it.
    #[must_use]
    pub fn row(&self) -> &Row {
        match &self.0 {
            Inner::Stored(hit, _) => &hit.row,
            Inner::Read(read) => &read.0,
        }
    }

    /// The flow itself.
    ///
    /// # Errors
    /// If it lies in a store and cannot be read.
    pub fn flow(self) -> Result<Flow, ReadFlowsError> {
        match self.0 {
            Inner::Stored(hit, path) => {
                hit.flow().map_err(|source| ReadFlowsError::Store { path: path.to_owned(), source })
            }
            Inner::Read(read) => Ok(read.1),
        }
    }
}

impl FlowSource {
    /// Opens a store, which is a folder, or a flow file; `-` is standard input, which can be searched once
    /// (see [`FlowSource::open_for_several`]).
    ///
    /// # Errors
    /// If it is neither, or cannot be opened.
    pub fn open(path: &Path) -> Result<Self, ReadFlowsError> {
        let failed = |source| ReadFlowsError::Store { path: path.to_owned(), source };
        let store = if path.is_dir() { Some(StoreReader::open(path).map_err(failed)?) } else { None };
        if store.is_none() && path != Path::new("-") {
            // Told now, before anything is done with what it holds.
            open_file(path)?;
        }
        Ok(Self { path: path.to_owned(), store, _kept: None })
    }

    /// How many bytes of a store's flows its index does not know of yet; 0 if that cannot be told.
    #[must_use]
    pub fn behind(&self) -> u64 {
        self.store.as_ref().and_then(|store| store.behind().ok()).unwrap_or_default()
    }

    /// Brings a store's index up to date, as every search does before it begins.
    pub fn catch_up(&self) {
        if let Some(store) = &self.store {
            // The search says why it cannot.
            let _ = store.catch_up();
        }
    }

    /// The same, but standard input can be searched as often as the others: its flows are kept on disk meanwhile.
    ///
    /// # Errors
    /// As [`FlowSource::open`], and if nothing of standard input can be read, or it cannot be kept.
    pub fn open_for_several(path: &Path) -> Result<Self, ReadFlowsError> {
        if path != Path::new("-") {
            return Self::open(path);
        }
        let failed = |source| ReadFlowsError::Store { path: path.to_owned(), source };
        let mut kept = TemporaryStore::make().map_err(|error| failed(error.source))?;
        let mut keep = |flow: Flow| {
            kept.store().add(flow)?;
            if kept.store().waiting() >= FLOWS_BATCH_MAX { kept.store().settle() } else { Ok(()) }
        };
        let mut count = 0_u64;
        let read = each_flow(path, &Progress::default(), |flow| match keep(flow) {
            Ok(()) => {
                count += 1;
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        });
        match read {
            Ok(Some(error)) => return Err(failed(error)),
            // What could be read before is there all the same.
            Err(error) if count == 0 => return Err(error),
            Ok(None) | Err(_) => {}
        }
        kept.store().settle().map_err(failed)?;
        let store = StoreReader::open(kept.path()).map_err(failed)?;
        Ok(Self { path: path.to_owned(), store: Some(store), _kept: Some(kept) })
    }

    /// Whether flows may be added while it is read.
    #[must_use]
    pub const fn is_store(&self) -> bool {
        self.store.is_some() && self._kept.is_none()
    }

    /// The store, if it is one.
    #[must_use]
    pub fn store(&self) -> Option<&StoreReader> {
        self.store.as_ref().filter(|_| self.is_store())
    }

    /// Hands each flow that the filter means and whose number is above `after` to `each`, in order, until it breaks off.
    ///
    /// # Errors
    /// At the first thing that cannot be read; of a store only if none can be.
    pub fn search<B>(
        &self,
        filter: Option<&Filter>,
        after: i64,
        each: impl FnMut(Found<'_>) -> ControlFlow<B>,
    ) -> Result<(Searched, Option<B>), ReadFlowsError> {
        self.search_with(filter, after, &Progress::default(), each)
    }

    /// The same, counted while it goes on: what was read of a file, what was found in a store.
    ///
    /// # Errors
    /// As [`FlowSource::search`].
    pub fn search_with<B>(
        &self,
        filter: Option<&Filter>,
        after: i64,
        progress: &Progress,
        mut each: impl FnMut(Found<'_>) -> ControlFlow<B>,
    ) -> Result<(Searched, Option<B>), ReadFlowsError> {
        let Some(store) = &self.store else {
            return self.search_file(filter, after, progress, each);
        };
        let failed = |source| ReadFlowsError::Store { path: self.path.clone(), source };
        if filter.is_none() && after == 0 {
            progress.begin(store.count().map_err(failed)?);
        }
        let found = |hit: Hit<'_>| {
            progress.flow();
            progress.advance(1);
            each(Found(Inner::Stored(Box::new(hit), &self.path)))
        };
        store.search(filter, after, &Decoding, found).map_err(failed)
    }

    /// The flows whose id begins with this text, at most `count_max` of them.
    ///
    /// # Errors
    /// At the first thing that cannot be read.
    pub fn by_id(&self, beginning: &str, count_max: usize) -> Result<Vec<Found<'_>>, ReadFlowsError> {
        if let Some(store) = &self.store {
            let hits = store
                .by_id(beginning, count_max)
                .map_err(|source| ReadFlowsError::Store { path: self.path.clone(), source })?;
            return Ok(hits.into_iter().map(|hit| Found(Inner::Stored(Box::new(hit), &self.path))).collect());
        }
        let wanted = beginning.to_ascii_lowercase();
        let mut found = Vec::new();
        let end = each_flow(&self.path, &Progress::default(), |flow| {
            let id = flow.id.to_string();
            if id.starts_with(beginning) || id.starts_with(&wanted) {
                let number = found.len() as i64 + 1;
                found.push(Found(Inner::Read(Box::new((Row::of(number, &flow), flow)))));
            }
            if found.len() >= count_max { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        // What was found before a file's end turns out to be damaged is there all the same.
        match end {
            Err(error) if found.is_empty() => Err(error),
            _ => Ok(found),
        }
    }

    fn search_file<B>(
        &self,
        filter: Option<&Filter>,
        after: i64,
        progress: &Progress,
        mut each: impl FnMut(Found<'_>) -> ControlFlow<B>,
    ) -> Result<(Searched, Option<B>), ReadFlowsError> {
        let mut searched = Searched::default();
        let broken = each_flow(&self.path, progress, |flow| {
            searched.last += 1;
            progress.flow();
            if searched.last <= after {
                return ControlFlow::Continue(());
            }
            let answer = filter.map(|filter| filter.ask(&flow, &Decoding));
            searched.gave_up |= answer.is_some_and(|answer| answer.gave_up);
            if answer.is_some_and(|answer| !answer.matched) {
                return ControlFlow::Continue(());
            }
            each(Found(Inner::Read(Box::new((Row::of(searched.last, &flow), flow)))))
        })?;
        Ok((searched, broken))
    }
}
