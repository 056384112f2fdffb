//! A server whose every byte is written in the test, and that keeps every byte it got.
//!
//! It knows nothing of HTTP: what other servers refuse to say (two lengths, a cut body, a reset in the middle) is said by
//! a script, a closure run once for each connection on a thread of its own. Reads and writes have a deadline, so a script
//! that waits for what never comes fails and says so.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// How long a read or write of a script, or a wait for its end, may take.
const PATIENCE: Duration = Duration::from_secs(20);

type Script = dyn Fn(&mut RawConnection) -> io::Result<()> + Send + Sync;

/// A listening server; it stops on drop and cuts what is still open.
#[derive(Debug)]
pub struct RawServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// One connection, in the hands of its script.
#[derive(Debug)]
pub struct RawConnection {
    index: usize,
    stream: Stream,
    /// Read from the peer and recorded, but not yet asked for by the script.
    buffered: Vec<u8>,
    shared: Arc<Shared>,
}

/// What became of one connection.
#[derive(Clone, Debug, Default)]
pub struct RawRecord {
    /// All that was read from the peer (after decryption, with TLS), in order.
    pub received: Vec<u8>,
    /// How the script ended: `Err` holds the text of its error. `None` while it runs.
    pub outcome: Option<Result<(), String>>,
    /// The name in the ClientHello, with TLS.
    pub sni: Option<String>,
    /// The negotiated ALPN protocol, with TLS.
    pub alpn: Option<Vec<u8>>,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

#[derive(Debug, Default)]
struct Shared {
    connections: Mutex<Vec<Slot>>,
    changed: Condvar,
    stopping: AtomicBool,
}

#[derive(Debug)]
struct Slot {
    record: RawRecord,
    /// To cut the connection on drop; gone when the script has ended, so that its end closes the connection.
    socket: Option<TcpStream>,
}

impl RawServer {
    /// Listens on loopback and runs `script` for each connection.
    #[must_use]
    pub fn start(script: impl Fn(&mut RawConnection) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self::listen(None, Arc::new(script))
    }

    /// The same over TLS; the handshake is done before the script begins. A failed one is an outcome, too.
    #[must_use]
    pub fn start_tls(
        config: Arc<ServerConfig>,
        script: impl Fn(&mut RawConnection) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::listen(Some(config), Arc::new(script))
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT` + `path`.
    #[must_use]
    pub fn http_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How many connections were accepted until now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.lock().len()
    }

    /// Waits for the end of the script on the connection with this index (in order of arrival, from 0).
    ///
    /// # Panics
    ///
    /// When it has not come or not ended in time.
    #[must_use]
    pub fn wait_for_end(&self, index: usize) -> RawRecord {
        self.wait_for(index, "the end of its script", |record| record.outcome.is_some())
    }

    /// Waits until what was received on a connection is as wanted; its script may still run.
    ///
    /// # Panics
    ///
    /// When that does not happen in time.
    #[must_use]
    pub fn wait_for_received(&self, index: usize, wanted: impl Fn(&[u8]) -> bool) -> RawRecord {
        self.wait_for(index, "certain bytes", |record| wanted(&record.received))
    }

    fn wait_for(&self, index: usize, what: &str, done: impl Fn(&RawRecord) -> bool) -> RawRecord {
        let deadline = Instant::now() + PATIENCE;
        let mut connections = self.shared.lock();
        loop {
            let record = connections.get(index).map(|slot| &slot.record);
            if let Some(record) = record.filter(|record| done(record)) {
                return record.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let record = record.cloned();
                drop(connections);
                panic!("waited for {what} on connection {index} of a raw server; it is: {record:?}");
            }
            let woken = self.shared.changed.wait_timeout(connections, left);
            connections = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn listen(tls: Option<Arc<ServerConfig>>, script: Arc<Script>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener on loopback");
        let address = listener.local_addr().expect("the address of a listener");
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for socket in listener.incoming() {
                if accepting.stopping.load(Ordering::SeqCst) {
                    break;
                }
                if let Ok(socket) = socket {
                    serve(&accepting, socket, tls.clone(), &script);
                }
            }
        });
        Self { address, shared }
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which then sees that it shall stop.
        let _ = TcpStream::connect(self.address);
        for slot in self.shared.lock().iter() {
            if let Some(socket) = &slot.socket {
                let _ = socket.shutdown(Shutdown::Both);
            }
        }
    }
}

impl RawConnection {
    /// Which connection this is, in order of arrival, from 0.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
    }

    /// The negotiated ALPN protocol, with TLS.
    #[must_use]
    pub fn alpn(&self) -> Option<Vec<u8>> {
        self.shared.lock().get(self.index).and_then(|slot| slot.record.alpn.clone())
    }

    /// Reads up to and including `end`, and no byte more.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` when the peer closes before that, `WouldBlock` when it stays silent too long.
    pub fn read_until(&mut self, end: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = self.buffered.windows(end.len()).position(|window| window == end) {
                return Ok(self.take(at + end.len()));
            }
            self.fill_or_fail()?;
        }
    }

    /// Reads exactly `count` bytes.
    ///
    /// # Errors
    ///
    /// As [`RawConnection::read_until`].
    pub fn read_count(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.buffered.len() < count {
            self.fill_or_fail()?;
        }
        Ok(self.take(count))
    }

    /// Reads until the peer ends its direction.
    ///
    /// # Errors
    ///
    /// When the connection is reset, or with TLS closed without a `close_notify`.
    pub fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        while self.fill()? > 0 {}
        Ok(self.take(self.buffered.len()))
    }

    /// Sends bytes at once, as one write.
    ///
    /// # Errors
    ///
    /// When the peer is gone or takes nothing.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(socket) => socket.write_all(bytes.as_ref()),
            Stream::Tls(stream) => stream.write_all(bytes.as_ref()).and_then(|()| stream.flush()),
        }
    }

    /// Sends the same bytes again and again until nothing is taken for as long as `quiet`; says how many were taken, at
    /// most about `bytes_max`. Without TLS only.
    ///
    /// # Errors
    ///
    /// When the peer is gone.
    pub fn send_until_blocked(
        &mut self,
        bytes: &[u8],
        bytes_max: usize,
        quiet: Duration,
    ) -> io::Result<usize> {
        let Stream::Plain(socket) = &mut self.stream else {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "not over TLS"));
        };
        socket.set_write_timeout(Some(quiet))?;
        let mut taken = 0;
        while taken < bytes_max {
            match socket.write(bytes) {
                Ok(count) => taken += count,
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => break,
                Err(err) => return Err(err),
            }
        }
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(taken)
    }

    /// Ends our direction; reading goes on. With TLS a `close_notify` goes first.
    ///
    /// # Errors
    ///
    /// When the peer is gone.
    pub fn shutdown_write(&mut self) -> io::Result<()> {
        if let Stream::Tls(stream) = &mut self.stream {
            stream.conn.send_close_notify();
            stream.flush()?;
        }
        self.socket().shutdown(Shutdown::Write)
    }

    /// Makes the end of the script a reset (RST) instead of an orderly close.
    ///
    /// # Errors
    ///
    /// When the socket refuses the option.
    pub fn reset_at_end(&mut self) -> io::Result<()> {
        Ok(rustix::net::sockopt::set_socket_linger(self.socket(), Some(Duration::ZERO))?)
    }

    fn socket(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(socket) => socket,
            Stream::Tls(stream) => stream.get_ref(),
        }
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.buffered.split_off(count);
        std::mem::replace(&mut self.buffered, rest)
    }

    fn fill_or_fail(&mut self) -> io::Result<()> {
        if self.fill()? > 0 {
            return Ok(());
        }
        let so_far = String::from_utf8_lossy(&self.buffered).into_owned();
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("closed after {so_far:?}")))
    }

    /// Reads once, records, and returns the count; zero is the end.
    fn fill(&mut self) -> io::Result<usize> {
        let mut chunk = [0; 16 * 1024];
        let count = match &mut self.stream {
            Stream::Plain(socket) => socket.read(&mut chunk)?,
            Stream::Tls(stream) => stream.read(&mut chunk)?,
        };
        self.buffered.extend_from_slice(&chunk[..count]);
        self.shared.change(self.index, |slot| slot.record.received.extend_from_slice(&chunk[..count]));
        Ok(count)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Vec<Slot>> {
        // A script that panics leaves its record as it was, which is what the test wants to see.
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, index: usize, change: impl FnOnce(&mut Slot)) {
        if let Some(slot) = self.lock().get_mut(index) {
            change(slot);
        }
        self.changed.notify_all();
    }
}

fn serve(shared: &Arc<Shared>, socket: TcpStream, tls: Option<Arc<ServerConfig>>, script: &Arc<Script>) {
    let index = {
        let mut connections = shared.lock();
        connections.push(Slot { record: RawRecord::default(), socket: socket.try_clone().ok() });
        connections.len() - 1
    };
    shared.changed.notify_all();
    let (shared, script) = (Arc::clone(shared), Arc::clone(script));
    thread::spawn(move || {
        let outcome = converse(&shared, index, socket, tls, script.as_ref());
        shared.change(index, |slot| slot.record.outcome = Some(outcome.map_err(|error| error.to_string())));
    });
}

fn converse(
    shared: &Arc<Shared>,
    index: usize,
    socket: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    script: &Script,
) -> io::Result<()> {
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.set_nodelay(true)?;
    let stream = match tls {
        None => Stream::Plain(socket),
        Some(config) => Stream::Tls(Box::new(shake_hands(shared, index, socket, config)?)),
    };
    let mut connection = RawConnection { index, stream, buffered: Vec::new(), shared: Arc::clone(shared) };
    let outcome = script(&mut connection);
    // Close before the outcome shows: who has seen the outcome may rely on the close.
    shared.change(index, |slot| slot.socket = None);
    drop(connection);
    outcome
}

fn shake_hands(
    shared: &Shared,
    index: usize,
    mut socket: TcpStream,
    config: Arc<ServerConfig>,
) -> io::Result<StreamOwned<ServerConnection, TcpStream>> {
    let mut tls = ServerConnection::new(config).map_err(io::Error::other)?;
    while tls.is_handshaking() {
        tls.complete_io(&mut socket)?;
    }
    shared.change(index, |slot| {
        slot.record.sni = tls.server_name().map(str::to_owned);
        slot.record.alpn = tls.alpn_protocol().map(<[u8]>::to_vec);
    });
    Ok(StreamOwned::new(tls, socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect(server: &RawServer) -> TcpStream {
        let client = TcpStream::connect(server.address()).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client
    }

    #[test]
    fn a_script_reads_answers_and_sees_the_half_close() {
        let server = RawServer::start(|connection| {
            assert_eq!(connection.read_until(b"\n")?, b"hello\n");
            connection.send("wor")?;
            assert_eq!(connection.read_count(3)?, b"abc");
            connection.send("ld")?;
            connection.shutdown_write()?;
            connection.read_to_end().map(drop)
        });
        let mut client = connect(&server);
        client.write_all(b"hello\nabc").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        client.write_all(b" after the end").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let record = server.wait_for_end(0);
        assert_eq!((answer.as_str(), record.outcome), ("world", Some(Ok(()))));
        assert_eq!(record.received, b"hello\nabc after the end");
    }

    #[test]
    fn an_early_close_is_the_outcome_with_what_came_before() {
        let server = RawServer::start(|connection| connection.read_until(b"\r\n\r\n").map(drop));
        connect(&server).write_all(b"GET / HT").unwrap();
        let outcome = server.wait_for_end(0).outcome.unwrap();
        assert_eq!(outcome, Err("closed after \"GET / HT\"".to_owned()));
    }

    #[test]
    fn a_reset_is_a_reset() {
        let server = RawServer::start(|connection| {
            connection.read_count(1)?;
            connection.reset_at_end()
        });
        let mut client = connect(&server);
        client.write_all(b"x").unwrap();
        assert_eq!(client.read(&mut [0; 1]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn connections_are_counted_and_kept_apart() {
        let server = RawServer::start(|connection| connection.read_to_end().map(drop));
        for (index, text) in ["first", "second"].into_iter().enumerate() {
            connect(&server).write_all(text.as_bytes()).unwrap();
            assert_eq!(server.wait_for_end(index).received, text.as_bytes());
        }
        assert_eq!(server.connections(), 2);
    }
}
