//! A TLS session as a byte stream, either side.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use flowgate_net::{BoxIo, Io, ReadAhead};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::{client, server};

/// A TLS session. It ends as its peer ends it, with or without `close_notify`, and tells which it was.
pub(crate) struct TlsIo<T> {
    session: T,
    ended_cut: bool,
    on_silence: Option<OnSilence>,
}

/// Called when a peer leaves without having sent anything: with the error that ended it, if it did not just close.
pub(crate) type OnSilence = Box<dyn FnOnce(Option<&io::Error>) + Send>;

impl<T> TlsIo<T> {
    pub(crate) const fn new(session: T) -> Self {
        Self { session, ended_cut: false, on_silence: None }
    }

    /// The same, whose owner wants to know if the peer leaves without having sent anything.
    pub(crate) fn watched(session: T, on_silence: OnSilence) -> Self {
        Self { on_silence: Some(on_silence), ..Self::new(session) }
    }

    /// Looks at how the first read ended.
    fn first_read(&mut self, read: &io::Result<()>, buf: &ReadBuf<'_>, filled_before: usize) {
        let Some(on_silence) = self.on_silence.take() else { return };
        match read {
            // Nobody asked for a byte: that says nothing.
            Ok(()) if filled_before == buf.capacity() => self.on_silence = Some(on_silence),
            Ok(()) if buf.filled().len() > filled_before => {}
            Ok(()) => on_silence(None),
            Err(err) => on_silence(Some(err)),
        }
    }
}

impl<T> TlsIo<T> {
    /// Looks at what became of a write: who leaves with a reset may be missed there before it is when reading.
    fn wrote<R>(&mut self, written: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if let Poll::Ready(Err(err)) = &written
            && let Some(on_silence) = self.on_silence.take()
        {
            on_silence(Some(err));
        }
        written
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for TlsIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let filled_before = buf.filled().len();
        let read = Pin::new(&mut self.session).poll_read(cx, buf);
        if let Poll::Ready(read) = &read {
            self.first_read(read, buf, filled_before);
        }
        match read {
            // A peer that ends without close_notify has ended all the same. What is delimited by lengths or chunks tells a cut
            // for itself; whoever reads what is not asks for it.
            Poll::Ready(Err(err)) if err.kind() == io::ErrorKind::UnexpectedEof => {
                self.ended_cut = true;
                Poll::Ready(Ok(()))
            }
            read => read,
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for TlsIo<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.session).poll_write(cx, buf);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.session).poll_write_vectored(cx, bufs);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.session.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let written = Pin::new(&mut self.session).poll_flush(cx);
        self.wrote(written)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.session).poll_shutdown(cx)
    }
}

impl Io for TlsIo<client::TlsStream<ReadAhead<BoxIo>>> {
    fn ended_cut(&self) -> bool {
        self.ended_cut
    }

    fn bytes_taken(&self) -> Option<u64> {
        self.session.get_ref().0.bytes_taken()
    }

    fn reset_at_end(&self) {
        self.session.get_ref().0.reset_at_end();
    }
}

impl Io for TlsIo<server::TlsStream<ReadAhead<BoxIo>>> {
    fn ended_cut(&self) -> bool {
        self.ended_cut
    }

    fn bytes_taken(&self) -> Option<u64> {
        self.session.get_ref().0.bytes_taken()
    }

    fn reset_at_end(&self) {
        self.session.get_ref().0.reset_at_end();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    /// curl, its pin not met, resets the connection: where our SETTINGS of HTTP/2 met that before a read did, nothing was told.
    #[tokio::test]
    async fn a_peer_that_is_gone_is_missed_by_who_writes_first() {
        for (spoke, expected) in [(false, Some(io::ErrorKind::BrokenPipe)), (true, None)] {
            let told = Arc::new(Mutex::new(None));
            let tell = Arc::clone(&told);
            let (ours, mut theirs) = duplex(64);
            let mut watched =
                TlsIo::watched(ours, Box::new(move |err| *tell.lock().unwrap() = err.map(io::Error::kind)));
            if spoke {
                theirs.write_all(b"x").await.unwrap();
                watched.read_u8().await.unwrap();
            }
            drop(theirs);
            watched.write_all(b"settings").await.unwrap_err();
            assert_eq!(*told.lock().unwrap(), expected, "spoke: {spoke}");
        }
    }
}
