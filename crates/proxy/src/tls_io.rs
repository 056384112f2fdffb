//! A TLS session as a byte stream, either side.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use flowgate_net::{BoxIo, Io, ReadAhead};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{client, server};

use crate::limits::{BODY_FIRST_BYTES, FIRST_TLS_WRITE_BYTES, WRITE_QUEUE_BYTES};

/// A TLS session. It ends as its peer ends it, with or without `close_notify`, and tells which it was.
pub(crate) struct TlsIo<T> {
    session: T,
    ended_cut: bool,
    on_silence: Option<OnSilence>,
    written: u64,
    /// What is done once there is much to write.
    on_bulk: Option<fn(&mut T)>,
}

/// Called when a peer leaves without having sent anything: with the error that ended it, if it did not just close.
pub(crate) type OnSilence = Box<dyn FnOnce(Option<&io::Error>) + Send>;

impl<T> TlsIo<T> {
    pub(crate) const fn new(session: T) -> Self {
        Self { session, ended_cut: false, on_silence: None, written: 0, on_bulk: None }
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

impl TlsIo<server::TlsStream<ReadAhead<BoxIo>>> {
    /// The same, which holds little for a reader that takes nothing, until it turns out that much is written: one record then waits, not
    /// all for which a single write is to be.
    pub(crate) fn sparing(mut self) -> Self {
        self.session.get_mut().1.set_buffer_limit(Some(FIRST_TLS_WRITE_BYTES));
        self.on_bulk = Some(|session| session.get_mut().1.set_buffer_limit(Some(WRITE_QUEUE_BYTES)));
        self
    }
}

impl<T> TlsIo<T> {
    fn wrote_bytes(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(count)) = written {
            self.written = self.written.saturating_add(count as u64);
            if self.written >= BODY_FIRST_BYTES
                && let Some(on_bulk) = self.on_bulk.take()
            {
                on_bulk(&mut self.session);
            }
        }
        self.wrote(written)
    }

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
        self.wrote_bytes(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.session).poll_write_vectored(cx, bufs);
        self.wrote_bytes(written)
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
    fn into_tcp(self: Box<Self>) -> Option<TcpStream> {
        self.session.into_inner().0.into_inner().into_tcp()
    }

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
    fn into_tcp(self: Box<Self>) -> Option<TcpStream> {
        self.session.into_inner().0.into_inner().into_tcp()
    }

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

    use std::time::Duration;

    use flowgate_net::Rewound;
    use flowgate_testkit::TestCa;
    use flowgate_tls::{ClientConfigs, ServerVerification};
    use rustls::pki_types::ServerName;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::net::TcpListener;
    use tokio::time::timeout;
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;

    /// 64 KiB waited inside TLS for a reader that took nothing, beside what waited before it.
    #[tokio::test]
    async fn tls_holds_little_for_who_takes_nothing_until_much_was_taken() {
        let (theirs, ours) = duplex(1 << 10);
        let leaf = TestCa::new().leaf(&["localhost"]);
        let acceptor = TlsAcceptor::from(leaf.server_config(&[b"http/1.1"]));
        let verification = ServerVerification { insecure: true, ..ServerVerification::default() };
        let configs = ClientConfigs::new(verification).unwrap();
        let connector = TlsConnector::from(configs.usual_config(&[b"http/1.1"]));
        let name = ServerName::try_from("localhost").unwrap();
        let ours: BoxIo = Box::new(ours);
        let (server, client) =
            tokio::join!(acceptor.accept(ReadAhead::new(ours)), connector.connect(name, theirs));
        let (mut server, mut client) = (TlsIo::new(server.unwrap()).sparing(), client.unwrap());
        let (piece, mut unread) = (vec![7; 16 << 10], 0);
        for (before, waits) in [(0, FIRST_TLS_WRITE_BYTES), (BODY_FIRST_BYTES, WRITE_QUEUE_BYTES)] {
            let before = vec![7; usize::try_from(before).unwrap()];
            let mut sink = vec![0; unread + before.len()];
            let writing = async {
                server.write_all(&before).await.unwrap();
                server.flush().await.unwrap();
            };
            tokio::join!(writing, async { client.read_exact(&mut sink).await.unwrap() });
            let mut held = 0;
            while let Ok(written) = timeout(Duration::from_millis(1), server.write(&piece)).await {
                held += written.unwrap();
            }
            // What is in the pipe, or counted in whole records, comes on top.
            assert!((waits..=waits + (24 << 10)).contains(&held), "{held} behind {}", before.len());
            unread = held;
        }
    }

    /// The sessions of clients that were sent away were kept while these were let wait.
    #[tokio::test]
    async fn the_socket_below_comes_out_without_what_stands_on_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let theirs = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (ours, client_address) = listener.accept().await.unwrap();
        let leaf = TestCa::new().leaf(&["localhost"]);
        let acceptor = TlsAcceptor::from(leaf.server_config(&[b"h2"]));
        let verification = ServerVerification { insecure: true, ..ServerVerification::default() };
        let configs = ClientConfigs::new(verification).unwrap();
        let connector = TlsConnector::from(configs.usual_config(&[b"h2"]));
        let name = ServerName::try_from("localhost").unwrap();
        let ours: BoxIo = Box::new(Rewound::new(Vec::new(), ours));
        let (server, client) =
            tokio::join!(acceptor.accept(ReadAhead::new(ours)), connector.connect(name, theirs));
        let (server, mut client): (BoxIo, _) = (Box::new(TlsIo::new(server.unwrap())), client.unwrap());
        assert!(server.tcp().is_none(), "it stands on a socket and is none");
        let socket = server.into_tcp().unwrap();
        assert_eq!(socket.peer_addr().unwrap(), client_address);
        // It is open, and its session was not ended.
        assert!(timeout(Duration::from_millis(1), client.read_u8()).await.is_err());
        drop(socket);
        assert_eq!(client.read_u8().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

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
