//! Configurations by the ALPN list they were made for: the few used last.
//!
//! The lists come from peers, so both their number and their length are bounded. The lock is held for comparing a few
//! short lists and, on a miss, for cloning a configuration.

use std::sync::{Arc, Mutex, PoisonError};

use crate::limits::ALPN_LIST_BYTES_MAX;

/// At most `MAX` configurations.
#[derive(Debug)]
pub(crate) struct AlpnCache<C, const MAX: usize>(Mutex<Vec<Entry<C>>>);

#[derive(Debug)]
struct Entry<C> {
    list: Vec<Vec<u8>>,
    config: Arc<C>,
}

impl<C, const MAX: usize> AlpnCache<C, MAX> {
    pub(crate) fn new() -> Self {
        Self(Mutex::default())
    }

    /// The configuration for this list, if need be made from a copy of it.
    pub(crate) fn get(&self, list: &[impl AsRef<[u8]>], make: impl FnOnce(Vec<Vec<u8>>) -> C) -> Arc<C> {
        let owned = || list.iter().map(|protocol| protocol.as_ref().to_vec()).collect::<Vec<_>>();
        if list.iter().map(|protocol| protocol.as_ref().len()).sum::<usize>() > ALPN_LIST_BYTES_MAX {
            return Arc::new(make(owned()));
        }
        let same = |entry: &Entry<C>| entry.list.iter().map(Vec::as_slice).eq(list.iter().map(AsRef::as_ref));
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = match entries.iter().position(same) {
            Some(at) => entries.remove(at),
            None => Entry { list: owned(), config: Arc::new(make(owned())) },
        };
        let config = entry.config.clone();
        entries.insert(0, entry);
        entries.truncate(MAX);
        config
    }
}
