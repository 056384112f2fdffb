//! A stream of HTTP/2 as a stream of bytes: what follows an extended CONNECT that was accepted (RFC 8441 section 5).
//!
//! The end of a direction is END_STREAM, a cut is RST_STREAM with CANCEL, or with the code of the stream on the other side. Its
//! connection is moved by somebody else; nothing is read before it is asked for, so the window holds back a peer that is too fast.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use flowgate_net::Io;
use flowgate_wire::http2::{By, Code, Incoming, Reset};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::h2_link::H2Stream;
use super::side::SideError;

/// With which code a tunnel was cut, told to both of its sides.
#[derive(Clone, Debug)]
pub(crate) struct Cut(Arc<AtomicU32>);

impl Default for Cut {
    fn default() -> Self {
        Self(Arc::new(AtomicU32::new(Code::CANCEL.0)))
    }
}

/// A stream behind its heads.
pub(super) struct H2Tunnel {
    stream: H2Stream,
    /// What came and was not read yet.
    came: Bytes,
    /// The peer's direction has ended.
    ended: bool,
    /// Our end was queued.
    closed: bool,
    cut: Cut,
}

impl H2Tunnel {
    /// What follows on a stream; `ended` if nothing comes any more.
    pub(super) const fn new(stream: H2Stream, ended: bool, cut: Cut) -> Self {
        Self { stream, came: Bytes::new(), ended, closed: false, cut }
    }

    fn error(&self, error: SideError) -> io::Error {
        match error {
            SideError::Io(err) => err,
            SideError::Reset(reset) => {
                if let Reset { by: By::Peer, code, .. } = reset {
                    self.cut.0.store(code.0, Ordering::Relaxed);
                }
                io::Error::new(io::ErrorKind::ConnectionReset, reset)
            }
            other => io::Error::new(io::ErrorKind::ConnectionAborted, other),
        }
    }
}

impl Drop for H2Tunnel {
    fn drop(&mut self) {
        if !(self.ended && self.closed) {
            // Does nothing to a stream that is over.
            self.stream.reset(Code(self.cut.0.load(Ordering::Relaxed)));
        }
    }
}

impl AsyncRead for H2Tunnel {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.came.is_empty() && !this.ended {
            match ready!(this.stream.poll_take(cx)) {
                Ok(Incoming::Data(data)) => this.came = data,
                // Trailers say nothing that bytes could.
                Ok(Incoming::End(_) | Incoming::Head { .. }) => this.ended = true,
                Err(err) => return Poll::Ready(Err(this.error(err))),
            }
        }
        let n = this.came.len().min(buf.remaining());
        buf.put_slice(this.came.get(..n).unwrap_or_default());
        this.came.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for H2Tunnel {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Err(err) = ready!(this.stream.poll_room(cx)) {
            return Poll::Ready(Err(this.error(err)));
        }
        this.stream.send_data(Bytes::copy_from_slice(buf));
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The connection's driver does that.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !std::mem::replace(&mut this.closed, true)
            && let Err(err) = this.stream.send_end(None)
        {
            return Poll::Ready(Err(this.error(err)));
        }
        // Who lets go of a stream whose end has not gone out cuts it.
        this.stream.poll_sent(cx).map_err(|err| this.error(err))
    }
}

impl Io for H2Tunnel {}
