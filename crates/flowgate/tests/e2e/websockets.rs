//! WebSockets towards servers that prefer HTTP/2.

use std::io;

use flowgate_testkit::{RawConnection, RawServer, TestCa};

use crate::support::{Client, flowgate, http, saved_flows, serve_http2};

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

/// Answers an upgrade of HTTP/1.1, sends `hello` and says goodbye when the client does.
fn serve_websocket(connection: &mut RawConnection) -> io::Result<()> {
    let request = connection.read_until(b"\r\n\r\n")?;
    assert!(request.windows(KEY.len()).any(|window| window == KEY.as_bytes()), "the client's own key");
    connection.send(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n\x01\x05hello"
    ))?;
    // The rest of a message in two fragments, then the close frame that answers the client's.
    connection.send(b"\x80\x06 world")?;
    assert_eq!(connection.read_count(8)?, CLOSE);
    connection.send(b"\x88\x02\x03\xe8")
}

/// A client's close frame with code 1000; the mask is zero.
const CLOSE: &[u8] = b"\x88\x82\0\0\0\0\x03\xe8";

/// HTTP/2 has no upgrade: a request that asks for one needs a connection of HTTP/1.1, which such a server gives to who offers
/// nothing else. Requests before and behind it keep the HTTP/2 connection.
#[test]
fn a_server_that_prefers_http2_is_asked_for_http1_when_a_client_upgrades() {
    let ca = TestCa::new();
    let config = ca.leaf(&["localhost"]).server_config(&[b"h2", b"http/1.1"]);
    let server = RawServer::start_tls(config, |connection| match connection.alpn().as_deref() {
        Some(b"h2") => serve_http2(connection, b"from h2"),
        _ => serve_websocket(connection),
    });
    let flowgate = flowgate().set("ssl_verify_upstream_trusted_ca", ca.certificate_path().display()).start();
    let authority = format!("localhost:{}", server.address().port());
    let mut client = Client::connect(&flowgate);
    client.send(format!("GET https://{authority}/ HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
    client.read_until("from h2\r\n0\r\n\r\n");
    client.send(upgrade(&format!("https://{authority}/chat"), &authority));
    assert!(client.read_until("\r\n\r\n").starts_with("HTTP/1.1 101 "));
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
    let config = ca.leaf(&["localhost"]).server_config(&[b"h2", b"http/1.1"]);
    let server = RawServer::start_tls(config, |connection| match connection.alpn().as_deref() {
        Some(b"h2") => serve_http2(connection, b"from h2"),
        _ => serve_websocket(connection),
    });
    let mode = format!("reverse:https://localhost:{}", server.address().port());
    let flowgate = flowgate()
        .args(["--mode", &mode])
        .set("ssl_verify_upstream_trusted_ca", ca.certificate_path().display())
        .start();
    let mut client = Client::connect(&flowgate);
    client.send(upgrade("/chat", "localhost"));
    assert!(client.read_until("\r\n\r\n").starts_with("HTTP/1.1 101 "));
    assert_eq!(client.read_count(15), b"\x01\x05hello\x80\x06 world");
    client.send(CLOSE);
    assert_eq!(client.read_to_end(), b"\x88\x02\x03\xe8");
    drop(client);
    assert_eq!(saved_flows(&flowgate).len(), 1);
}
