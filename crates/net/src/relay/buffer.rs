//! Buffers for relaying by copying.
//!
//! Borrowed from a pool of the thread while there are bytes in hand, so an idle connection holds none.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// The size of a relay buffer, in bytes.
const RELAY_BUFFER_BYTES: usize = 64 * 1024;
/// How many idle buffers a thread keeps.
const POOLED_BUFFERS_MAX: usize = 16;

/// Bytes that were read and are not written yet. Goes back to the pool when dropped.
pub(crate) struct Buffer {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// An empty buffer.
    pub(crate) fn borrow() -> Self {
        let pooled = POOL.try_with(|pool| pool.borrow_mut().pop()).ok().flatten();
        let bytes = pooled.unwrap_or_else(|| vec![0; RELAY_BUFFER_BYTES].into_boxed_slice());
        Self { bytes, start: 0, end: 0 }
    }

    /// What is not written yet.
    pub(crate) fn left(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Forgets the first `n` of what is left.
    pub(crate) const fn written(&mut self, n: usize) {
        self.start += n;
    }

    /// Reads into the buffer, which must be empty; 0 is the end of the stream.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
    ) -> Poll<io::Result<usize>> {
        let mut into = ReadBuf::new(&mut self.bytes);
        ready!(Pin::new(from).poll_read(cx, &mut into))?;
        (self.start, self.end) = (0, into.filled().len());
        Poll::Ready(Ok(self.end))
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        // Fails only when the thread ends, and the pool with it.
        let _ = POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.len() < POOLED_BUFFERS_MAX {
                pool.push(bytes);
            }
        });
    }
}

thread_local! {
    static POOL: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}
