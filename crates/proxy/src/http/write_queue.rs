//! Bytes on their way out of a connection: large pieces as they are, small ones copied together.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use flowgate_net::BoxIo;
use flowgate_wire::http2::Sink;
use tokio::io::AsyncWrite;

use super::spare;
use crate::limits::{COALESCE_BYTES, WRITE_QUEUE_BYTES};

/// What waits to be written.
#[derive(Default)]
pub(super) struct WriteQueue {
    pieces: VecDeque<Bytes>,
    pieces_bytes: usize,
    /// What stands behind the pieces.
    tail: BytesMut,
    unflushed: bool,
    /// The transport took no more, and has not taken all since.
    blocked: bool,
}

impl WriteQueue {
    /// How many bytes wait.
    pub(super) fn len(&self) -> usize {
        self.pieces_bytes + self.tail.len()
    }

    /// Whether nothing is left to do.
    pub(super) fn is_clean(&self) -> bool {
        self.len() == 0 && !self.unflushed
    }

    /// Whether the transport was offered more than it takes.
    pub(super) const fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Gives back what memory it can: what waits may be a small part of what it was read into.
    pub(super) fn leave_memory(&mut self) {
        self.pieces.iter_mut().for_each(|piece| *piece = Bytes::copy_from_slice(piece));
        self.pieces.shrink_to_fit();
        self.tail = BytesMut::from(&self.tail[..]);
    }

    /// What stands behind the pieces, to be appended to; in a spare buffer if there is nothing yet.
    pub(super) fn tail(&mut self) -> &mut BytesMut {
        if self.tail.capacity() == 0 {
            self.tail = spare::take();
        }
        &mut self.tail
    }

    /// Gives a buffer back that is empty.
    pub(super) fn spare_tail(&mut self) {
        spare::give_back(&mut self.tail);
    }

    /// Appends a piece.
    pub(super) fn push(&mut self, data: Bytes) {
        if data.len() <= COALESCE_BYTES {
            self.tail.extend_from_slice(&data);
            return;
        }
        self.seal_tail();
        self.pieces_bytes += data.len();
        self.pieces.push_back(data);
    }

    /// Gives its memory back, if it is empty.
    pub(super) fn rest(&mut self) {
        if self.is_clean() {
            *self = Self::default();
        }
    }

    fn seal_tail(&mut self) {
        if !self.tail.is_empty() {
            self.pieces_bytes += self.tail.len();
            self.pieces.push_back(self.tail.split().freeze());
        }
    }

    /// Writes and flushes it all.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, io: &mut BoxIo) -> Poll<io::Result<()>> {
        let written = self.poll_write_all(cx, io);
        self.blocked = written.is_pending();
        written
    }

    fn poll_write_all(&mut self, cx: &mut Context<'_>, io: &mut BoxIo) -> Poll<io::Result<()>> {
        while self.len() > 0 {
            let n = if self.pieces.is_empty() {
                let n = ready!(Pin::new(&mut *io).poll_write(cx, &self.tail))?;
                self.tail.advance(n);
                if self.tail.is_empty() {
                    // Lets the same memory be filled again.
                    self.tail.clear();
                }
                n
            } else {
                self.seal_tail();
                let n = ready!(poll_write_pieces(cx, io, &self.pieces))?;
                self.advance(n);
                n
            };
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unflushed = true;
        }
        ready!(Pin::new(io).poll_flush(cx))?;
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut n: usize) {
        self.pieces_bytes -= n;
        while let Some(first) = self.pieces.front_mut() {
            if first.len() > n {
                first.advance(n);
                return;
            }
            n -= first.len();
            self.pieces.pop_front();
        }
    }
}

impl Sink for WriteQueue {
    /// Not a spare buffer: HTTP/2 exchanges it for its own.
    fn tail(&mut self) -> &mut BytesMut {
        &mut self.tail
    }

    fn push(&mut self, data: Bytes) {
        Self::push(self, data);
    }

    fn is_full(&self) -> bool {
        self.len() >= WRITE_QUEUE_BYTES
    }
}

fn poll_write_pieces(
    cx: &mut Context<'_>,
    io: &mut BoxIo,
    pieces: &VecDeque<Bytes>,
) -> Poll<io::Result<usize>> {
    if !io.is_write_vectored() || pieces.len() == 1 {
        return Pin::new(io).poll_write(cx, pieces.front().map_or(&[], |piece| piece));
    }
    let mut slices = [IoSlice::new(&[]); 16];
    let mut used = 0;
    for (slice, piece) in slices.iter_mut().zip(pieces) {
        *slice = IoSlice::new(piece);
        used += 1;
    }
    Pin::new(io).poll_write_vectored(cx, slices.get(..used).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    impl WriteQueue {
        /// How much memory it has to append to.
        pub(in super::super) fn tail_capacity(&self) -> usize {
            self.tail.capacity()
        }
    }

    #[test]
    fn streams_wait_when_the_queue_is_full() {
        for (waiting, is_full) in [(WRITE_QUEUE_BYTES - 1, false), (WRITE_QUEUE_BYTES, true)] {
            let mut queue = WriteQueue::default();
            queue.tail().extend_from_slice(b"head");
            queue.push(vec![b'x'; waiting - 4].into());
            assert_eq!(queue.is_full(), is_full, "{waiting}");
        }
    }
}
