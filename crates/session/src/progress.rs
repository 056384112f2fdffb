//! How far reading a file has come, for whoever waits for it.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts while flows are read; can be looked at from any thread.
#[derive(Debug, Default)]
pub struct Progress {
    /// Of a file its bytes, of a store its flows.
    done: AtomicU64,
    in_all: AtomicU64,
    flows: AtomicU64,
}

impl Progress {
    /// Flows read so far.
    #[must_use]
    pub fn flows(&self) -> u64 {
        self.flows.load(Ordering::Relaxed)
    }

    /// How much was read, from 0 to 1, if it is known how much there is.
    #[must_use]
    pub fn part(&self) -> Option<f64> {
        let in_all = self.in_all.load(Ordering::Relaxed);
        let part = self.done.load(Ordering::Relaxed) as f64 / in_all as f64;
        (in_all > 0).then_some(part.min(1.0))
    }

    pub(crate) fn begin(&self, in_all: u64) {
        self.in_all.store(in_all, Ordering::Relaxed);
    }

    pub(crate) fn advance(&self, by: u64) {
        self.done.fetch_add(by, Ordering::Relaxed);
    }

    pub(crate) fn flow(&self) {
        self.flows.fetch_add(1, Ordering::Relaxed);
    }
}

/// Input that is counted.
pub(crate) struct Counted<'a, R> {
    pub(crate) input: R,
    pub(crate) progress: &'a Progress,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buf)?;
        self.progress.advance(count as u64);
        Ok(count)
    }
}
