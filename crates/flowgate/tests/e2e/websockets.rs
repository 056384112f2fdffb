//! WebSockets where one side or the other speaks HTTP/2.

use std::io;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use flowgate_flow::HttpVersion;
use flowgate_testkit::{Chromium, RawConnection, RawServer, TestCa};
use flowgate_wire::websocket::handshake_accept;

use crate::support::{Client, flowgate, frame, http, printed, saved_flows, serve_http2, text};

/// The handshake of RFC 6455 section 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// What a client of HTTP/1.1 says to `target`.
fn upgrade(target: &str, host: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

/// The proof that a request with a key asks for.
fn accept_of(head: &str) -> String {
    let key = head.split_once("Sec-WebSocket-Key: ").and_then(|(_, rest)| rest.split_once("\r\n"));
    handshake_accept(key.unwrap().0.as_bytes())
}

/// Answers an upgrade of HTTP/1.1, sends `hello` and says goodbye when the client does.
fn serve_websocket(connection: &mut RawConnection) -> io::Result<()> {
    let request = text(&connection.read_until(b"\r\n\r\n")?);
    let accept = accept_of(&request);
    connection.send(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n\x01\x05hello"
    ))?;
    // The rest of a message in two fragments, then the close frame that answers the client's.
    connection.send(b"\x80\x06 world")?;
    assert_eq!(connection.read_count(8)?, CLOSE);
    connection.send(b"\x88\x02\x03\xe8")?;
    connection.shutdown_write()?;
    // Who leaves before the other's end has come resets, and the goodbye may be lost with that.
    connection.read_to_end().map(drop)
}

/// A client's close frame with code 1000; the mask is zero.
const CLOSE: &[u8] = b"\x88\x82\0\0\0\0\x03\xe8";

/// A server that prefers HTTP/2, and has WebSockets in HTTP/1.1 only.
fn server_of_both(ca: &TestCa) -> RawServer {
    let config = ca.leaf(&["localhost"]).server_config(&[b"h2", b"http/1.1"]);
    RawServer::start_tls(config, |connection| match connection.alpn().as_deref() {
        Some(b"h2") => serve_http2(connection, b"from h2"),
        _ => serve_websocket(connection),
    })
}

/// HTTP/2 has no upgrade: a request that asks for one needs a connection of HTTP/1.1, which such a server gives to who offers
/// nothing else. Requests before and behind it keep the HTTP/2 connection.
#[test]
fn a_server_that_prefers_http2_is_asked_for_http1_when_a_client_upgrades() {
    let ca = TestCa::new();
    let server = server_of_both(&ca);
    let flowgate = flowgate().set("ssl_verify_upstream_trusted_ca", ca.certificate_path().display()).start();
    let authority = format!("localhost:{}", server.address().port());
    let mut client = Client::connect(&flowgate);
    client.send(format!("GET https://{authority}/ HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
    client.read_until("from h2\r\n0\r\n\r\n");
    client.send(upgrade(&format!("https://{authority}/chat"), &authority));
    let head = client.read_until("\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains(ACCEPT), "{head}");
    assert_eq!(client.read_count(15), b"\x01\x05hello\x80\x06 world");
    client.send(CLOSE);
    assert_eq!(client.read_to_end(), b"\x88\x02\x03\xe8");
    drop(client);
    let alpn = |index| server.wait_for_end(index).alpn;
    assert_eq!(alpn(1).as_deref(), Some(&b"http/1.1"[..]));
    let flows = saved_flows(&flowgate);
    assert_eq!(alpn(0).as_deref(), Some(&b"h2"[..]));
    let websocket = flows.iter().find_map(|flow| http(flow).websocket.as_ref()).expect("a WebSocket");
    assert_eq!(websocket.messages[0].content, "hello world");
    assert_eq!((websocket.close_code, websocket.closed_by_client), (Some(1000), Some(true)));
}

/// The same where the connection that was opened with the client's has HTTP/2 already (`connection_strategy=eager`, and a client
/// that offers no protocol).
#[test]
fn an_eager_connection_of_http2_does_not_take_the_upgrade() {
    let ca = TestCa::new();
    let server = server_of_both(&ca);
    let mode = format!("reverse:https://localhost:{}", server.address().port());
    let flowgate = flowgate()
        .args(["--mode", &mode])
        .set("ssl_verify_upstream_trusted_ca", ca.certificate_path().display())
        .start();
    let mut client = Client::connect(&flowgate);
    client.send(upgrade("/chat", "localhost"));
    let head = client.read_until("\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains(ACCEPT), "{head}");
    assert_eq!(client.read_count(15), b"\x01\x05hello\x80\x06 world");
    client.send(CLOSE);
    assert_eq!(client.read_to_end(), b"\x88\x02\x03\xe8");
    drop(client);
    assert_eq!(saved_flows(&flowgate).len(), 1);
}

/// What was said on a WebSocket that is still open used to be lost when flowgate was stopped.
#[test]
fn an_open_websocket_is_saved_when_we_are_stopped() {
    let server = RawServer::start(|connection| {
        let head = text(&connection.read_until(b"\r\n\r\n")?);
        let accept = accept_of(&head);
        connection.send(format!(
            "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        ))?;
        connection.send(b"\x81\x05hello")?;
        connection.read_to_end().map(drop)
    });
    let flowgate = flowgate().start();
    let host = server.address().to_string();
    let mut client = Client::connect(&flowgate);
    client.send(upgrade(&format!("http://{host}/chat"), &host));
    client.read_until("hello");
    let flows = saved_flows(&flowgate);
    let [flow] = &flows[..] else { panic!("{flows:?}") };
    let websocket = http(flow).websocket.as_ref().expect("a WebSocket");
    assert_eq!(websocket.messages[0].content, "hello");
    assert_eq!(flow.error.as_ref().map(|error| error.message.as_str()), Some("flowgate was stopped"));
    drop(client);
}

/// A field of a header block, in no table.
fn field(name: &str, value: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).unwrap();
    [&[0, length(name)], name.as_bytes(), &[length(value)], value.as_bytes()].concat()
}

/// RFC 8441: the client asks on a stream of its HTTP/2 connection, and the server, which has HTTP/2 but does not take WebSockets on
/// it, is asked in HTTP/1.1.
#[test]
fn a_websocket_on_a_stream_of_http2() {
    let ca = TestCa::new();
    let server = server_of_both(&ca);
    let flowgate = flowgate().set("ssl_verify_upstream_trusted_ca", ca.certificate_path().display()).start();
    let authority = format!("localhost:{}", server.address().port());
    let tunnel = Client::tunnel(&flowgate, &authority);
    let mut client = tunnel.tls(&flowgate.ca_certificate(), "localhost", &[b"h2"]);
    let (settings, ack) = (frame(4, 0, [0; 4], &[]), frame(4, 1, [0; 4], &[]));
    client.send([&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &settings, &ack].concat());
    let head = [
        field(":method", "CONNECT"),
        field(":protocol", "websocket"),
        field(":scheme", "https"),
        field(":authority", &authority),
        field(":path", "/chat"),
        field("sec-websocket-version", "13"),
    ];
    client.send(frame(1, 4, [0, 0, 0, 1], &head.concat()));
    let (mut heads, mut body, mut announced) = (0, Vec::new(), false);
    while body.len() < 19 {
        let [a, b, c, kind, flags, stream @ ..] = <[u8; 9]>::try_from(client.read_count(9)).unwrap();
        let payload = client.read_count(usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c));
        match (kind, stream) {
            (0, [.., 1]) => body.extend(payload),
            (1, [.., 1]) => {
                // `:status: 200`, and nothing of what HTTP/1 needs besides.
                assert_eq!((flags, &payload[..]), (4, &[0x88][..]));
                heads += 1;
            }
            (4, _) => announced |= payload.chunks(6).any(|entry| entry == [0, 8, 0, 0, 0, 1]),
            (3, _) => panic!("reset: {payload:?}"),
            _ => {}
        }
        if body.len() == 15 {
            client.send(frame(0, 1, [0, 0, 0, 1], CLOSE));
        }
    }
    assert!(announced && heads == 1);
    assert_eq!(body, b"\x01\x05hello\x80\x06 world\x88\x02\x03\xe8");
    drop(client);
    let flows = saved_flows(&flowgate);
    let [flow] = &flows[..] else { panic!("{flows:?}") };
    let (flow, websocket) = (http(flow), http(flow).websocket.as_ref().expect("a WebSocket"));
    assert_eq!((&flow.request.method[..], &flow.request.path[..]), (&b"CONNECT"[..], &b"/chat"[..]));
    assert_eq!(flow.request.version, HttpVersion::Http2);
    assert_eq!(flow.response.as_ref().map(|response| response.status), Some(101));
    assert_eq!(websocket.messages[0].content, "hello world");
    assert_eq!((websocket.close_code, websocket.closed_by_client), (Some(1000), Some(true)));
    let lines = printed(&flowgate);
    assert!(lines.contains(&format!("https://{authority}/chat")), "{lines}");
}

/// Chromium asks for WebSockets on the HTTP/2 connection that it has, since we announce that we take them.
#[test]
fn chromium_opens_a_websocket_on_its_http2_connection() {
    static OVER: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
    const PAGE: &str = "<body>waiting<script>
        const socket = new WebSocket('wss://' + location.host + '/chat');
        socket.onmessage = event => { document.body.append(event.data); socket.close(1000, 'bye'); };
        socket.onerror = () => document.body.append('failed');
        </script><img src='/hold'>";
    let ca = TestCa::new();
    // With `lazy` the client gets HTTP/2, whatever the server has.
    let server = RawServer::start_tls(ca.leaf(&["localhost"]).server_config(&[b"http/1.1"]), |connection| {
        loop {
            let head = text(&connection.read_until(b"\r\n\r\n")?);
            if head.starts_with("GET /chat ") {
                let key =
                    head.split_once("Sec-WebSocket-Key: ").and_then(|(_, rest)| rest.split_once("\r\n"));
                let accept = handshake_accept(key.expect("a key").0.as_bytes());
                connection.send(format!(
                    "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                     Sec-WebSocket-Accept: {accept}\r\n\r\n\u{1}\u{5}hello"
                ))?;
                connection.send(b"\x80\x06 world")?;
                // Code and reason, masked.
                connection.read_count(2 + 4 + 2 + 3)?;
                connection.send(b"\x88\x05\x03\xe8bye")?;
                *OVER.0.lock().unwrap() = true;
                OVER.1.notify_all();
                return connection.shutdown_write();
            }
            let body = if head.starts_with("GET / ") { PAGE } else { "" };
            if head.starts_with("GET /hold ") {
                // The page counts as loaded only then.
                let over = OVER.0.lock().unwrap();
                drop(OVER.1.wait_timeout_while(over, Duration::from_secs(15), |over| !*over));
            }
            let length = body.len();
            connection.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\r\n{body}"
            ))?;
        }
    });
    let flowgate = flowgate()
        .set("connection_strategy", "lazy")
        .set("ssl_verify_upstream_trusted_ca", ca.certificate_path().display())
        .start();
    let Some(chromium) = Chromium::new(&[&flowgate.ca_certificate()]) else { return };
    let page = chromium
        .proxy(&flowgate.proxy_url())
        .dump_dom(&format!("https://localhost:{}/", server.address().port()));
    assert!(page.contains("hello world"), "{page}");
    let flows = saved_flows(&flowgate);
    let websocket = flows.iter().map(http).find(|http| http.websocket.is_some()).expect("a WebSocket");
    assert_eq!(websocket.request.version, HttpVersion::Http2);
    assert_eq!(&websocket.request.method[..], b"CONNECT");
    let data = websocket.websocket.as_ref().unwrap();
    assert_eq!((data.close_code, data.close_reason.as_deref()), (Some(1000), Some("bye")));
}
