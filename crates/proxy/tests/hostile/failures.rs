//! Servers that die: what the client sees (an error page, or an answer that is visibly cut, never one that looks whole), and what
//! the flow says: whose fault, in which phase, why. What takes its time is in virtual time beside the service.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flowgate_flow::FlowKind;
use flowgate_options::ConnectionStrategy;
use flowgate_testkit::TestCa;
use flowgate_wire::http2::PREFACE;
use futures_util::future::join_all;
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::fixture::{Build, End, Fixture, PATIENCE, read_to_end, statuses};
use crate::replies::{Reply, Then, is_whole};
use crate::table::{bytes, shown};

/// How a server is spoken to.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Way {
    /// Nobody listens.
    Nobody,
    Clear,
    /// TLS is spoken, by the server too.
    Tls,
    /// TLS, and the certificate is not one to trust.
    Untrusted,
    /// TLS is spoken to it, and it answers with the bytes of the row and no handshake.
    NoTls,
    /// TLS, whose records are broken behind the bytes of the row. (None, so far: whether what came before in the same read is still
    /// given out is chance.)
    BrokenTls,
}

/// What the server does on reading a request (`Reply`'s notation), what the client sees, and the flow's error.
const ROWS: &[(&str, Way, &str, &str, &str)] = &[
    (
        "nobody listens",
        Way::Nobody,
        "",
        "502",
        "server connect: cannot connect to ADDRESS: Connection refused (os error 111)",
    ),
    (
        "closes at once",
        Way::Clear,
        "¶",
        "502",
        "server head: server closed the connection before it answered",
    ),
    (
        "resets at once",
        Way::Clear,
        "✗",
        "502",
        "server head: server: Connection reset by peer (os error 104)",
    ),
    (
        "closes in the head",
        Way::Clear,
        "HTTP/1.1 200 OK⏎Conte¶",
        "502",
        "server head: server closed the connection before it answered",
    ),
    (
        "resets in the head",
        Way::Clear,
        "HTTP/1.1 200 OK⏎Conte✗",
        "502",
        "server head: server: Connection reset by peer (os error 104)",
    ),
    (
        "garbage",
        Way::Clear,
        "SSH-2.0-OpenSSH_9.9⏎⏎",
        "502",
        "server head: server: HTTP version is not 1.0 or 1.1",
    ),
    (
        "closes behind 100",
        Way::Clear,
        "HTTP/1.1 100 Continue⏎⏎¶",
        "502",
        "server head: server closed the connection before it answered",
    ),
    (
        "closes in the body",
        Way::Clear,
        "HTTP/1.1 200 OK⏎Content-Length: 9⏎⏎half¶",
        "cut",
        "server body: server: connection closed inside the body",
    ),
    (
        "resets in the body",
        Way::Clear,
        "HTTP/1.1 200 OK⏎Content-Length: 9⏎⏎half✗",
        "cut",
        "server body: server: Connection reset by peer (os error 104)",
    ),
    (
        "closes in a chunk",
        Way::Clear,
        "HTTP/1.1 200 OK⏎Transfer-Encoding: chunked⏎⏎9⏎half¶",
        "cut",
        "server body: server: connection closed inside the body",
    ),
    (
        "resets in a chunk",
        Way::Clear,
        "HTTP/1.1 200 OK⏎Transfer-Encoding: chunked⏎⏎9⏎half✗",
        "cut",
        "server body: server: Connection reset by peer (os error 104)",
    ),
    (
        "closes between chunks",
        Way::Clear,
        "HTTP/1.1 200 OK⏎Transfer-Encoding: chunked⏎⏎4⏎half⏎¶",
        "cut",
        "server body: server: connection closed inside the body",
    ),
    (
        "closes in the trailers",
        Way::Clear,
        "HTTP/1.1 200 OK⏎Transfer-Encoding: chunked⏎⏎4⏎half⏎0⏎X: ¶",
        "cut",
        "server body: server: connection closed inside the body",
    ),
    (
        "resets in the trailers",
        Way::Clear,
        "HTTP/1.1 200 OK⏎Transfer-Encoding: chunked⏎⏎4⏎half⏎0⏎X: ✗",
        "cut",
        "server body: server: Connection reset by peer (os error 104)",
    ),
    (
        "garbage for a chunk",
        Way::Clear,
        "HTTP/1.1 200 OK⏎Transfer-Encoding: chunked⏎⏎4⏎half⏎xyz⏎",
        "cut",
        "server body: server: malformed chunk size",
    ),
    (
        "resets under a body that ends with it",
        Way::Clear,
        "HTTP/1.1 200 OK⏎⏎half✗",
        "cut",
        "server body: server: Connection reset by peer (os error 104)",
    ),
    ("closes behind a whole answer", Way::Clear, "HTTP/1.1 200 OK⏎Content-Length: 2⏎⏎ok¶", "whole", "none"),
    ("closes under a body that ends with it", Way::Clear, "HTTP/1.1 200 OK⏎⏎all¶", "whole", "none"),
    (
        "no TLS",
        Way::NoTls,
        "HTTP/1.1 400 Bad Request⏎⏎¶",
        "502",
        "server tls: server `127.0.0.1` does not speak TLS: what it sent is no TLS record",
    ),
    ("a TLS alert", Way::NoTls, "\\x15\\x03\\x03\\x00\\x02\\x02\\x28¶", "502", "server tls: "),
    ("closes in the handshake", Way::NoTls, "¶", "502", "server tls: "),
    ("resets in the handshake", Way::NoTls, "✗", "502", "server tls: "),
    ("a certificate that nobody trusts", Way::Untrusted, "", "502", "server tls: "),
    ("TLS and a whole answer", Way::Tls, "HTTP/1.1 200 OK⏎Content-Length: 2⏎⏎ok", "whole", "none"),
    (
        "TLS, closes in the body",
        Way::Tls,
        "HTTP/1.1 200 OK⏎Content-Length: 9⏎⏎half¶",
        "cut",
        "server body: server: connection closed inside the body",
    ),
    (
        "TLS, ends without its end",
        Way::Tls,
        "HTTP/1.1 200 OK⏎⏎half¶",
        "cut",
        "server body: server: TLS ended without close_notify, so the body may not be whole",
    ),
    ("TLS, broken before the head", Way::BrokenTls, "", "502", "server head: server: "),
];

/// Plays a row to one connection.
async fn play(way: Way, mut socket: TcpStream, config: Arc<ServerConfig>, reply: Reply) -> io::Result<()> {
    let mut buf = vec![0; 4096];
    if way == Way::NoTls {
        let _ = socket.read(&mut buf).await?;
        return end(socket, reply.then, &reply.bytes).await;
    }
    if way == Way::Clear {
        let _ = socket.read(&mut buf).await?;
        return end(socket, reply.then, &reply.bytes).await;
    }
    let mut tls = TlsAcceptor::from(config).accept(socket).await?;
    let _ = tls.read(&mut buf).await?;
    tls.write_all(&reply.bytes).await?;
    tls.flush().await?;
    let (mut socket, _) = tls.into_inner();
    // A record of application data that is no such thing.
    let broken: &[u8] = if way == Way::BrokenTls { b"\x17\x03\x03\x00\x05nope!" } else { b"" };
    end_of(&mut socket, reply.then, broken).await
}

async fn end(mut socket: TcpStream, then: Then, bytes: &[u8]) -> io::Result<()> {
    end_of(&mut socket, then, bytes).await
}

async fn end_of(socket: &mut TcpStream, then: Then, bytes: &[u8]) -> io::Result<()> {
    socket.write_all(bytes).await?;
    match then {
        Then::Close => Ok(()),
        Then::Reset => socket.set_zero_linger(),
        Then::Stay => {
            while !matches!(socket.read(&mut [0; 256]).await, Ok(0) | Err(_)) {}
            Ok(())
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_die_are_told_and_never_look_well() {
    let ca = TestCa::new();
    let trusted = ca.leaf(&["127.0.0.1"]).server_config(&[b"http/1.1"]);
    let untrusted = TestCa::new().leaf(&["127.0.0.1"]).server_config(&[b"http/1.1"]);
    let mut wrong = Vec::new();
    for (name, way, script, seen, told) in ROWS {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if matches!(way, Way::Nobody | Way::Clear) { "http" } else { "https" };
        let build = Build {
            trusted_ca: Some(ca.certificate_path()),
            ..Build::reverse(&format!("{scheme}://{address}"))
        };
        let fixture = Fixture::build(build).await;
        let config = Arc::clone(if *way == Way::Untrusted { &untrusted } else { &trusted });
        let (way, reply) = (*way, Reply::parse(script));
        let serving = if way == Way::Nobody {
            drop(listener);
            None
        } else {
            Some(tokio::spawn(async move {
                let (socket, _) = listener.accept().await.unwrap();
                // How it went for the server does not matter.
                let _ = play(way, socket, config, reply).await;
            }))
        };
        let mut client = fixture.connect().await;
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        let (answer, end) = read_to_end(&mut client, |_| false).await;
        drop(client);
        if let Some(serving) = serving {
            serving.await.unwrap();
        }
        let last = answer.strip_prefix(&bytes("HTTP/1.1 100 Continue⏎⏎")[..]).unwrap_or(&answer);
        let found_seen = match (statuses(last).as_slice(), end) {
            (_, End::Hang) => "hangs",
            ([status @ (502 | 504)], _) if is_whole(last, end) => {
                if *status == 502 {
                    "502"
                } else {
                    "504"
                }
            }
            _ if is_whole(last, end) => "whole",
            _ => "cut",
        };
        let flows = fixture.told.take_flows();
        let found_told = match &flows[..] {
            [flow] if matches!(flow.kind, FlowKind::Http(_)) => flow.error.as_ref().map_or_else(
                || "none".to_owned(),
                |error| {
                    let (side, phase) = (error.side.unwrap(), error.phase.unwrap());
                    format!("{side} {phase}: {}", error.message)
                },
            ),
            flows => format!("{} flows", flows.len()),
        };
        let told = told.replace("ADDRESS", &address.to_string());
        let same = if told.ends_with(": ") {
            found_told.len() > told.len() && found_told.starts_with(&told)
        } else {
            found_told == told
        };
        if found_seen != *seen || !same {
            wrong.push(format!("{name}: {found_seen} ({seen}), {found_told} ({told}); {}", shown(&answer)));
        }
        assert_eq!(fixture.proxy.panics(), 0);
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), ROWS.len(), wrong.join("\n"));
}

/// A server that reads so many requests on a connection, and dies on them.
struct Dying {
    url: String,
    /// How many requests it was sent.
    asked: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Dying {
    async fn start(requests: usize, count: fn(&[u8]) -> usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let total = Arc::clone(&asked);
        let serving = tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let (read, _) = read_to_end(&mut socket, |read| count(read) == requests).await;
                total.fetch_add(count(&read), Ordering::Relaxed);
            }
        });
        Self { url, asked, serving }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Dying {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A connection that was opened before anything was asked counted as one that had been used: a server that died on its first request got
/// that twice.
#[tokio::test]
async fn a_server_that_dies_on_its_first_request_is_asked_once() {
    for strategy in [ConnectionStrategy::Lazy, ConnectionStrategy::Eager] {
        let server = Dying::start(1, |read| usize::from(read.ends_with(b"\r\n\r\n"))).await;
        let fixture = Fixture::build(Build { strategy, ..Build::reverse(&server.url) }).await;
        let mut client = fixture.connect().await;
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let (answer, _) = read_to_end(&mut client, |_| false).await;
        assert_eq!((statuses(&answer), server.asked()), (vec![502], 1), "{strategy:?}");
    }
}

/// The same in HTTP/2, where besides whoever came second was asked again: two requests on a connection that never answered.
#[tokio::test]
async fn a_server_of_http2_that_dies_on_its_first_requests_is_asked_once() {
    for (strategy, requests) in
        [(ConnectionStrategy::Lazy, 1), (ConnectionStrategy::Lazy, 2), (ConnectionStrategy::Eager, 1)]
    {
        let server = Dying::start(requests, heads).await;
        let fixture = Fixture::build(Build { strategy, ..Build::reverse(&server.url) }).await;
        let (send, connection) = h2::client::handshake(fixture.connect().await).await.unwrap();
        let connection = tokio::spawn(connection);
        let answers = (0..requests).map(async |_| {
            let request = http::Request::get("http://a/").body(()).unwrap();
            let (answer, _) = send.clone().ready().await.unwrap().send_request(request, true).unwrap();
            answer.await.unwrap().status().as_u16()
        });
        let statuses = timeout(PATIENCE, join_all(answers)).await.unwrap();
        assert_eq!((statuses, server.asked()), (vec![502; requests], requests), "{strategy:?}");
        connection.abort();
    }
}

/// How many requests have come on a connection of HTTP/2.
fn heads(read: &[u8]) -> usize {
    let Some(mut frames) = read.strip_prefix(PREFACE) else { return 0 };
    let mut heads = 0;
    while let Some([_, high, low, kind, .., _]) = frames.first_chunk::<9>() {
        let length = usize::from(*high) << 8 | usize::from(*low);
        let Some(behind) = frames.get(9 + length..) else { break };
        heads += usize::from(*kind == 1);
        frames = behind;
    }
    heads
}
