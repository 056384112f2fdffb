//! One type for all byte streams: sockets, TLS sessions, in-memory pipes in tests.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A byte stream in both directions.
///
/// Boxed as [`BoxIo`], so that what stands on a connection does not multiply with what the connection stands on.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {
    /// The socket, if the stream is nothing but one: what is read and written is what crosses the socket, byte for byte.
    ///
    /// Asked again, it may come to be one ([`Rewound`] when the bytes before it are read), but never ceases to be one.
    fn tcp(&self) -> Option<&TcpStream> {
        None
    }

    /// The socket below, without all that stands on it and what was read of it; `None` if there is none.
    fn into_tcp(self: Box<Self>) -> Option<TcpStream> {
        None
    }

    /// Whether the stream, read to its end, ended without saying so in the way of its protocol (TLS: without `close_notify`,
    /// RFC 8446 section 6.1): then more may have been meant to come.
    fn ended_cut(&self) -> bool {
        false
    }

    /// How many bytes the peer has acknowledged of all that was ever written to the socket below, if there is one and the system says.
    fn bytes_taken(&self) -> Option<u64> {
        self.tcp().and_then(crate::taken::bytes_taken)
    }

    /// Makes the end of the connection below a reset (RST) instead of an orderly one, if it is a socket: so that what was sent
    /// so far does not look complete.
    fn reset_at_end(&self) {
        if let Some(socket) = self.tcp() {
            // A socket that does not take the option is closed in order; there is no other way to tell.
            let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
        }
    }
}

/// Any byte stream.
pub type BoxIo = Box<dyn Io>;

impl Io for TcpStream {
    fn tcp(&self) -> Option<&TcpStream> {
        Some(self)
    }

    fn into_tcp(self: Box<Self>) -> Option<TcpStream> {
        Some(*self)
    }
}

impl Io for tokio::io::DuplexStream {}

impl Io for BoxIo {
    fn tcp(&self) -> Option<&TcpStream> {
        (**self).tcp()
    }

    fn into_tcp(self: Box<Self>) -> Option<TcpStream> {
        (*self).into_tcp()
    }

    fn ended_cut(&self) -> bool {
        (**self).ended_cut()
    }

    fn bytes_taken(&self) -> Option<u64> {
        (**self).bytes_taken()
    }

    fn reset_at_end(&self) {
        (**self).reset_at_end();
    }
}

/// A stream of which some bytes were read already; they are read again first.
pub struct Rewound<T> {
    prefix: Vec<u8>,
    taken: usize,
    inner: T,
}

impl<T> Rewound<T> {
    /// Puts `prefix` before what `inner` will give.
    pub const fn new(prefix: Vec<u8>, inner: T) -> Self {
        Self { prefix, taken: 0, inner }
    }
}

impl<T> fmt::Debug for Rewound<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rewound").field("left", &(self.prefix.len() - self.taken)).finish_non_exhaustive()
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Rewound<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.taken < self.prefix.len() {
            let this = &mut *self;
            let left = this.prefix.get(this.taken..).unwrap_or_default();
            let n = left.len().min(buf.remaining());
            buf.put_slice(left.get(..n).unwrap_or_default());
            this.taken += n;
            if this.taken == this.prefix.len() {
                this.prefix = Vec::new();
                this.taken = 0;
            }
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

/// Leaves everything about writing to a stream's field `inner`.
macro_rules! write_to_inner {
    ($stream:ident) => {
        impl<T: AsyncWrite + Unpin> AsyncWrite for $stream<T> {
            fn poll_write(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                Pin::new(&mut self.inner).poll_write(cx, buf)
            }

            fn poll_write_vectored(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[io::IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
            }

            fn is_write_vectored(&self) -> bool {
                self.inner.is_write_vectored()
            }

            fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Pin::new(&mut self.inner).poll_flush(cx)
            }

            fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Pin::new(&mut self.inner).poll_shutdown(cx)
            }
        }
    };
}
pub(crate) use write_to_inner;

write_to_inner!(Rewound);

impl<T: Io> Io for Rewound<T> {
    fn tcp(&self) -> Option<&TcpStream> {
        if self.prefix.is_empty() { self.inner.tcp() } else { None }
    }

    fn into_tcp(self: Box<Self>) -> Option<TcpStream> {
        Box::new(self.inner).into_tcp()
    }

    fn ended_cut(&self) -> bool {
        self.inner.ended_cut()
    }

    fn bytes_taken(&self) -> Option<u64> {
        self.inner.bytes_taken()
    }

    fn reset_at_end(&self) {
        self.inner.reset_at_end();
    }
}
