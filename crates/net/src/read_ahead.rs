//! Fewer reads below TLS: a session asks for one record at a time, which is a call to the kernel for each 16 KiB of a download.
//!
//! Reads ahead only while bytes come in bulk, and holds no memory when there is nothing to read: most connections never do, and
//! idle ones are many.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::io::poll_read_buf;

use crate::Io;
use crate::io::write_to_inner;

/// Who gives as much at once may have more: a record of TLS is no longer than this and its frame (RFC 8446 section 5.1).
const BULK_BYTES: usize = 16 * 1024;

/// How much is read ahead.
const AHEAD_BYTES: usize = 64 * 1024;

/// A stream that is read in larger pieces than it is asked for. Never [`Io::tcp`]: bytes that nobody asked for yet are here.
pub struct ReadAhead<T> {
    inner: T,
    /// What was read ahead; no memory if that is nothing.
    ahead: BytesMut,
    /// The last read gave so much that it is worth reading ahead.
    bulk: bool,
}

impl<T> ReadAhead<T> {
    /// What is read from, without what was read ahead.
    pub fn into_inner(self) -> T {
        self.inner
    }

    /// Reads nothing yet.
    pub fn new(inner: T) -> Self {
        Self { inner, ahead: BytesMut::new(), bulk: false }
    }
}

impl<T> fmt::Debug for ReadAhead<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadAhead").field("left", &self.ahead.len()).finish_non_exhaustive()
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for ReadAhead<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.ahead.is_empty() {
            // Whatever comes of this, nothing is kept that is empty.
            let mut ahead = std::mem::take(&mut this.ahead);
            if !this.bulk {
                let before = buf.filled().len();
                ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
                this.bulk = buf.filled().len() - before >= BULK_BYTES;
                return Poll::Ready(Ok(()));
            }
            ahead.reserve(AHEAD_BYTES);
            let n = ready!(poll_read_buf(Pin::new(&mut this.inner), cx, &mut ahead))?;
            this.bulk = n >= BULK_BYTES;
            this.ahead = ahead;
        }
        let n = this.ahead.len().min(buf.remaining());
        buf.put_slice(this.ahead.get(..n).unwrap_or_default());
        this.ahead.advance(n);
        if this.ahead.is_empty() && !this.bulk {
            this.ahead = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

write_to_inner!(ReadAhead);

impl<T: Io> Io for ReadAhead<T> {
    fn into_tcp(self: Box<Self>) -> Option<TcpStream> {
        Box::new(self.inner).into_tcp()
    }

    fn ended_cut(&self) -> bool {
        self.ahead.is_empty() && self.inner.ended_cut()
    }

    fn bytes_taken(&self) -> Option<u64> {
        self.inner.bytes_taken()
    }

    fn reset_at_end(&self) {
        self.inner.reset_at_end();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    /// Gives what is listed, piece by piece (nothing stands for having to wait), and notes how much it was asked for.
    struct Pieces {
        pieces: std::vec::IntoIter<Vec<u8>>,
        asked: Vec<usize>,
    }

    impl AsyncRead for Pieces {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            self.asked.push(buf.remaining());
            match self.pieces.next() {
                Some(piece) if piece.is_empty() => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Some(piece) => buf.put_slice(&piece[..piece.len().min(buf.remaining())]),
                None => {}
            }
            Poll::Ready(Ok(()))
        }
    }

    fn reader(lengths: &[usize]) -> ReadAhead<Pieces> {
        let pieces: Vec<_> = lengths.iter().map(|len| vec![7; *len]).collect();
        ReadAhead::new(Pieces { pieces: pieces.into_iter(), asked: Vec::new() })
    }

    #[tokio::test]
    async fn more_is_asked_for_while_bytes_come_in_bulk() {
        const RECORD: usize = BULK_BYTES + 100;
        let mut reader = reader(&[50, RECORD, AHEAD_BYTES, 3 * BULK_BYTES, 10, 20]);
        let mut got = Vec::new();
        let mut room = vec![0; RECORD];
        loop {
            match reader.read(&mut room).await.unwrap() {
                0 => break,
                n => got.push(n),
            }
        }
        let bulk = AHEAD_BYTES;
        assert_eq!(reader.inner.asked, [RECORD, RECORD, bulk, bulk, bulk, RECORD, RECORD]);
        assert_eq!(got.iter().sum::<usize>(), 50 + RECORD + AHEAD_BYTES + 3 * BULK_BYTES + 10 + 20);
    }

    #[tokio::test]
    async fn nothing_is_held_while_there_is_nothing() {
        let mut reader = reader(&[BULK_BYTES, AHEAD_BYTES, 0, 5]);
        let mut room = vec![0; AHEAD_BYTES];
        assert_eq!(reader.read(&mut room).await.unwrap(), BULK_BYTES);
        assert_eq!(reader.read(&mut room).await.unwrap(), AHEAD_BYTES);
        let waited = std::future::poll_fn(|cx| {
            let mut buf = ReadBuf::new(&mut room);
            Poll::Ready(Pin::new(&mut reader).poll_read(cx, &mut buf).is_pending())
        });
        assert!(waited.await);
        assert_eq!(reader.ahead.capacity(), 0);
        assert_eq!(reader.read(&mut room).await.unwrap(), 5);
        assert_eq!(reader.ahead.capacity(), 0);
    }

    proptest! {
        /// However it is cut and asked for, what comes out is what went in.
        #[test]
        fn bytes_are_the_same(
            pieces in prop::collection::vec(1..100_000_usize, 0..8),
            rooms in prop::collection::vec(1..40_000_usize, 1..8),
        ) {
            let sent: Vec<u8> = (0..pieces.iter().sum::<usize>()).map(|at| (at % 251) as u8).collect();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let came = runtime.block_on(async {
                let (mut theirs, ours) = duplex(50_000);
                let mut reader = ReadAhead::new(ours);
                let mut came = Vec::new();
                let reading = async {
                    for room in rooms.iter().cycle() {
                        let mut piece = vec![0; *room];
                        match reader.read(&mut piece).await.unwrap() {
                            0 => break,
                            n => came.extend_from_slice(&piece[..n]),
                        }
                    }
                };
                let writing = async {
                    let mut rest = &sent[..];
                    for len in &pieces {
                        let (piece, behind) = rest.split_at(*len);
                        theirs.write_all(piece).await.unwrap();
                        rest = behind;
                    }
                    drop(theirs);
                };
                tokio::join!(reading, writing);
                came
            });
            prop_assert_eq!(came.len(), sent.len());
            prop_assert!(came == sent);
        }
    }
}
