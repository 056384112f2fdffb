//! What the subjects share: a flowgate that saves its flows, a client whose every byte is written in the test, and a
//! server that speaks just enough HTTP/2.
//!
//! That no panic was caught or printed is not asked here: the fixture asks it of every flowgate when it goes.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flowgate_flow::{Body, Flow, FlowKind, HttpFlow};
use flowgate_formats::FlowReader;
use flowgate_testkit::{
    Flowgate, FlowgateBuilder, PATIENCE, RawConnection, RawServer, Signal, TestCa, client_config,
};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

/// The binary under test.
pub(crate) const FLOWGATE: &str = env!("CARGO_BIN_EXE_flowgate");

/// How long nothing moves before a sender counts as blocked. Too short a time can only make a test see less.
const QUIET: Duration = Duration::from_millis(500);

/// A `flowgate dump` that saves its flows for [`saved_flows`].
pub(crate) fn flowgate() -> FlowgateBuilder {
    let builder = Flowgate::builder(FLOWGATE);
    let file = builder.path("flows").display().to_string();
    builder.args(["-w".to_owned(), file])
}

/// A server with a certificate for these names that answers every request with `ok`.
pub(crate) fn https_server(ca: &TestCa, names: &[&str]) -> RawServer {
    RawServer::start_tls(ca.leaf(names).server_config(&[b"http/1.1"]), |connection| {
        while connection.read_until(b"\r\n\r\n").is_ok() {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
        }
        Ok(())
    })
}

/// Stops flowgate in good order and reads the flows that it saved.
pub(crate) fn saved_flows(flowgate: &Flowgate) -> Vec<Flow> {
    assert_eq!(flowgate.stop(Signal::TERM).code(), Some(0), "{:#?}", flowgate.lines());
    read_flows(&flowgate.path("flows"))
}

/// Reads a file of flows.
pub(crate) fn read_flows(path: &Path) -> Vec<Flow> {
    FlowReader::new(BufReader::new(File::open(path).unwrap())).map(Result::unwrap).collect()
}

/// The HTTP part of a flow.
pub(crate) fn http(flow: &Flow) -> &HttpFlow {
    match &flow.kind {
        FlowKind::Http(http) => http,
        other => panic!("not an HTTP flow: {other:?}"),
    }
}

/// A recorded body.
pub(crate) fn content(body: &Body) -> Vec<u8> {
    let mut all = Vec::new();
    body.for_each_chunk(|piece| all.write_all(piece)).unwrap();
    all
}

/// All that was printed so far, one line each.
pub(crate) fn printed(flowgate: &Flowgate) -> String {
    flowgate.lines().into_iter().map(|line| line.text + "\n").collect()
}

/// Text without what differs from run to run: `[TIME]` for times, the given names for addresses, `CLIENT` for others.
pub(crate) fn masked(text: &str, names: &[(String, &str)]) -> String {
    let mut text = text.to_owned();
    for (address, name) in names {
        text = text.replace(address, name);
    }
    let mut shown = String::new();
    let mut rest = text.as_str();
    while let Some(next) = rest.chars().next() {
        if let Some(after) = after_time(rest) {
            shown += "[TIME]";
            rest = after;
        } else if let Some(after) = rest.strip_prefix("127.0.0.1:") {
            shown += "CLIENT";
            rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
        } else {
            shown.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    shown
}

/// What follows a time such as `[08:57:50.829]`.
fn after_time(text: &str) -> Option<&str> {
    let (time, after) = text.strip_prefix('[')?.split_once(']')?;
    let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    (shape == "00:00:00.000").then_some(after)
}

/// A connection to flowgate.
pub(crate) struct Client {
    stream: Stream,
    buffered: Vec<u8>,
    /// How the connection ended, if not in good order.
    cut: Option<io::ErrorKind>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Client {
    /// Connects.
    pub(crate) fn connect(flowgate: &Flowgate) -> Self {
        let socket = TcpStream::connect(flowgate.address()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Self { stream: Stream::Plain(socket), buffered: Vec::new(), cut: None }
    }

    /// Connects and has a tunnel opened to `authority` (`HOST:PORT`).
    pub(crate) fn tunnel(flowgate: &Flowgate, authority: impl std::fmt::Display) -> Self {
        let mut client = Self::connect(flowgate);
        client.send(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
        assert_eq!(client.read_until("\r\n\r\n"), "HTTP/1.1 200 Connection established\r\n\r\n");
        client
    }

    /// Speaks TLS from here on, trusting one root; `name` is whom it asks for, a DNS name or an IP address.
    ///
    /// # Errors
    /// When the handshake fails.
    pub(crate) fn try_tls(self, root: &Path, name: &str, alpn: &[&[u8]]) -> io::Result<Self> {
        let Stream::Plain(mut socket) = self.stream else { panic!("TLS inside TLS is not needed here") };
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut tls =
            ClientConnection::new(Arc::new(client_config(root, alpn)), name).map_err(io::Error::other)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)?;
        }
        let stream = Stream::Tls(Box::new(StreamOwned::new(tls, socket)));
        Ok(Self { stream, buffered: Vec::new(), cut: None })
    }

    /// As [`Client::try_tls`], for a handshake that has to work.
    pub(crate) fn tls(self, root: &Path, name: &str, alpn: &[&[u8]]) -> Self {
        self.try_tls(root, name, alpn).unwrap()
    }

    /// The certificate that was shown, DER.
    pub(crate) fn certificate(&self) -> Vec<u8> {
        let Stream::Tls(stream) = &self.stream else { panic!("no TLS was spoken") };
        stream.conn.peer_certificates().unwrap()[0].to_vec()
    }

    /// Sends bytes; a peer that closes meanwhile is for the reading to see.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = match &mut self.stream {
            Stream::Plain(socket) => socket.write_all(bytes.as_ref()),
            Stream::Tls(stream) => stream.write_all(bytes.as_ref()).and_then(|()| stream.flush()),
        };
        match sent.map_err(|err| err.kind()) {
            Ok(()) | Err(io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {}
            Err(other) => panic!("cannot send: {other}"),
        }
    }

    /// Sends the same bytes again and again until nobody takes them any more; says how many were taken, at most about `limit`.
    pub(crate) fn send_until_blocked(&mut self, bytes: &[u8], limit: usize) -> usize {
        let Stream::Plain(socket) = &mut self.stream else { panic!("for sockets only") };
        socket.set_write_timeout(Some(QUIET)).unwrap();
        let mut taken = 0;
        while taken < limit {
            match socket.write(bytes) {
                Ok(count) => taken += count,
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => break,
                Err(err) => panic!("cannot send: {err}"),
            }
        }
        taken
    }

    /// Ends our direction.
    pub(crate) fn end(&mut self) {
        let socket = match &mut self.stream {
            Stream::Plain(socket) => &*socket,
            Stream::Tls(stream) => {
                stream.conn.send_close_notify();
                stream.flush().unwrap();
                stream.get_ref()
            }
        };
        socket.shutdown(Shutdown::Write).unwrap();
    }

    /// Reads up to and including `end`.
    pub(crate) fn read_until(&mut self, end: &str) -> String {
        loop {
            let found = self.buffered.windows(end.len()).position(|window| window == end.as_bytes());
            if let Some(at) = found {
                let rest = self.buffered.split_off(at + end.len());
                return text(&std::mem::replace(&mut self.buffered, rest));
            }
            assert!(self.fill() > 0, "closed after {:?}", text(&self.buffered));
        }
    }

    /// Reads exactly so many bytes.
    pub(crate) fn read_count(&mut self, count: usize) -> Vec<u8> {
        while self.buffered.len() < count {
            assert!(self.fill() > 0, "closed after {} of {count} bytes", self.buffered.len());
        }
        let rest = self.buffered.split_off(count);
        std::mem::replace(&mut self.buffered, rest)
    }

    /// Reads until the connection ends, however it does.
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        while self.fill() > 0 {}
        std::mem::take(&mut self.buffered)
    }

    /// How the connection ended that was read to its end: `None` in good order.
    pub(crate) const fn cut(&self) -> Option<io::ErrorKind> {
        self.cut
    }

    /// Reads a head, and the body that its `Content-Length` announces.
    pub(crate) fn response(&mut self) -> (String, String) {
        let head = self.read_until("\r\n\r\n");
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
        });
        let body = text(&self.read_count(length.unwrap_or(0)));
        (head, body)
    }

    fn fill(&mut self) -> usize {
        let mut chunk = [0; 16 * 1024];
        let read = match &mut self.stream {
            Stream::Plain(socket) => socket.read(&mut chunk),
            Stream::Tls(stream) => stream.read(&mut chunk),
        };
        let count = match read.map_err(|err| err.kind()) {
            Ok(count) => count,
            // The end all the same; a test that cares for how asks.
            Err(how @ (io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof)) => {
                self.cut = Some(how);
                0
            }
            Err(other) => panic!("nothing more after {:?}: {other}", text(&self.buffered)),
        };
        self.buffered.extend_from_slice(&chunk[..count]);
        count
    }
}

/// Bytes as text, with what is no UTF-8 replaced.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Sends until nobody takes any more, as [`Client::send_until_blocked`], from a raw server.
pub(crate) fn answer_until_blocked(
    connection: &mut RawConnection,
    bytes: &[u8],
    limit: usize,
) -> io::Result<usize> {
    connection.send_until_blocked(bytes, limit, QUIET)
}

/// Serves HTTP/2 (RFC 9113) on one connection: status 200 and `body` for each request, whatever it says. Ends when the
/// client does.
pub(crate) fn serve_http2(connection: &mut RawConnection, body: &[u8]) -> io::Result<()> {
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const SETTINGS: u8 = 4;
    const ACK: u8 = 1;
    const END_STREAM: u8 = 1;
    const END_HEADERS: u8 = 4;
    connection.read_count(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len())?;
    connection.send(frame(SETTINGS, 0, [0; 4], &[]))?;
    while let Ok(head) = connection.read_count(9) {
        let [a, b, c, kind, flags, stream @ ..] = <[u8; 9]>::try_from(head).unwrap();
        let _payload = connection.read_count(usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c))?;
        if kind == SETTINGS && flags & ACK == 0 {
            connection.send(frame(SETTINGS, ACK, [0; 4], &[]))?;
        } else if kind == HEADERS {
            // 0x88 is `:status: 200` in HPACK's static table (RFC 7541 appendix A).
            connection.send(frame(HEADERS, END_HEADERS, stream, &[0x88]))?;
            connection.send(frame(DATA, END_STREAM, stream, body))?;
        }
    }
    Ok(())
}

/// A frame of HTTP/2.
pub(crate) fn frame(kind: u8, flags: u8, stream: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream, payload].concat()
}
