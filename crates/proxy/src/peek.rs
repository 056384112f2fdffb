//! Looking at the first bytes of both sides before anything is decided, without losing one.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use flowgate_net::{BoxIo, Rewound};
use tokio::io::{AsyncRead, ReadBuf};

use crate::limits::{HEAD_READ_BYTES, PEEK_BYTES_MAX};

/// A stream whose first bytes are being looked at.
pub(crate) struct Peeked {
    io: BoxIo,
    bytes: Vec<u8>,
    ended: bool,
}

/// Which side had something to say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Spoke {
    Client,
    Server,
}

impl Peeked {
    pub(crate) const fn new(io: BoxIo) -> Self {
        Self { io, bytes: Vec::new(), ended: false }
    }

    /// What was read so far.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The stream itself, to answer on.
    pub(crate) const fn io(&mut self) -> &mut BoxIo {
        &mut self.io
    }

    /// As [`flowgate_net::Io::reset_at_end`].
    pub(crate) fn reset_at_end(&self) {
        self.io.reset_at_end();
    }

    /// Forgets the first bytes: they were dealt with.
    pub(crate) fn consume(&mut self, count: usize) {
        self.bytes.drain(..count.min(self.bytes.len()));
    }

    /// Whether the stream ended, so that nothing will follow.
    pub(crate) const fn ended(&self) -> bool {
        self.ended
    }

    /// Whether more may be looked at.
    pub(crate) const fn is_full(&self) -> bool {
        self.bytes.len() >= PEEK_BYTES_MAX
    }

    /// Reads more; ready with what the stream says, also at its end.
    pub(crate) fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut chunk = [MaybeUninit::uninit(); HEAD_READ_BYTES];
        let mut into = ReadBuf::uninit(&mut chunk);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut into))?;
        self.ended |= into.filled().is_empty();
        self.bytes.extend_from_slice(into.filled());
        Poll::Ready(Ok(()))
    }

    /// The stream as if nothing had been read.
    pub(crate) fn rewind(self) -> BoxIo {
        if self.bytes.is_empty() { self.io } else { Box::new(Rewound::new(self.bytes, self.io)) }
    }
}

/// Waits until either side has said more, or has ended. A side that has ended is not asked again.
pub(crate) async fn either(client: &mut Peeked, mut server: Option<&mut Peeked>) -> io::Result<Spoke> {
    poll_fn(|cx| {
        // The client first: what it says decides, where both speak.
        if !client.ended
            && !client.is_full()
            && let Poll::Ready(read) = client.poll_more(cx)
        {
            return Poll::Ready(read.map(|()| Spoke::Client));
        }
        match &mut server {
            Some(server) if !server.ended && !server.is_full() => {
                server.poll_more(cx).map(|read| read.map(|()| Spoke::Server))
            }
            _ => Poll::Pending,
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncWriteExt, duplex};

    #[tokio::test]
    async fn no_more_is_looked_at_than_the_limit() {
        for (sent, full) in [(PEEK_BYTES_MAX - 1, false), (PEEK_BYTES_MAX, true)] {
            let (mut peer, io) = duplex(PEEK_BYTES_MAX);
            peer.write_all(&vec![0; sent]).await.unwrap();
            let mut peeked = Peeked::new(Box::new(io));
            while peeked.bytes().len() < sent {
                poll_fn(|cx| peeked.poll_more(cx)).await.unwrap();
            }
            assert_eq!(peeked.is_full(), full, "{sent}");
        }
    }
}
