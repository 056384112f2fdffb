//! Handshakes of WebSockets from one version into the other: what is sent, field for field.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use bytes::Bytes;
use flowgate_flow::{Body, Headers, HttpVersion, PseudoFields, Request, Response, Timestamp};
use flowgate_wire::hpack::{Decoder, Encoder};
use flowgate_wire::http1::Framing;
use flowgate_wire::http2::semantics::{
    EndStream, ExtendedConnect, MessageError, encode_request, encode_response, is_websocket_connect,
    read_request, request_to_http1, websocket_connect, websocket_connected, websocket_switched,
    websocket_upgrade, websocket_upgrade_key,
};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

fn request(version: HttpVersion, method: &str, protocol: Option<&str>, fields: &[(&str, &str)]) -> Request {
    let http1 = version.is_http1();
    Request {
        version,
        method: Bytes::copy_from_slice(method.as_bytes()),
        scheme: Bytes::from_static(b"https"),
        host: "a.test".into(),
        port: 443,
        authority: Bytes::from_static(if http1 { b"" } else { b"a.test" }),
        path: Bytes::from_static(b"/chat?x"),
        pseudo: PseudoFields {
            protocol: protocol.map(|name| Bytes::copy_from_slice(name.as_bytes())),
            ..PseudoFields::default()
        },
        headers: fields.iter().copied().collect(),
        body: Body::EMPTY,
        trailers: None,
        timestamp_start: Timestamp(1.0),
        timestamp_end: None,
    }
}

fn response(version: HttpVersion, status: u16, fields: &[(&str, &str)]) -> Response {
    Response {
        version,
        status,
        reason: Bytes::new(),
        headers: fields.iter().copied().collect(),
        body: Body::EMPTY,
        trailers: None,
        timestamp_start: Timestamp(1.0),
        timestamp_end: None,
    }
}

fn lines(headers: &Headers) -> String {
    let lines: Vec<_> =
        headers.iter().map(|f| format!("{}: {}", f.name.escape_ascii(), f.value.escape_ascii())).collect();
    lines.join(", ")
}

/// What a decoder reads of a block.
fn decoded(block: &[u8]) -> String {
    let list = Decoder::new(4096).decode(block, 1 << 20).unwrap();
    let fields: Vec<_> =
        list.iter().map(|f| format!("{}: {}", f.name.escape_ascii(), f.value.escape_ascii())).collect();
    fields.join(", ")
}

const UPGRADE: [(&str, &str); 8] = [
    ("Host", "a.test"),
    ("Connection", "keep-alive, Upgrade, X-Mine"),
    ("X-Mine", "1"),
    ("Upgrade", "WebSocket"),
    ("Sec-WebSocket-Key", KEY),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
    ("Sec-WebSocket-Protocol", "chat, talk"),
];

#[test]
fn an_upgrade_as_a_connect() {
    let upgrade = request(HttpVersion::Http11, "GET", None, &UPGRADE);
    assert_eq!(websocket_upgrade_key(&upgrade), Some(KEY.as_bytes()));
    let mut block = Vec::new();
    encode_request(&websocket_connect(&upgrade), Framing::Chunked, &mut Encoder::new(), &mut block).unwrap();
    assert_eq!(
        decoded(&block),
        ":method: CONNECT, :authority: a.test, :scheme: https, :path: /chat?x, :protocol: websocket, \
         sec-websocket-version: 13, sec-websocket-extensions: permessage-deflate; client_max_window_bits, \
         sec-websocket-protocol: chat, talk"
    );
    // Who told it that we take it reads it as what it is.
    let list = Decoder::new(4096).decode(&block, 1 << 20).unwrap();
    let read = read_request(&list, EndStream::No, ExtendedConnect::Enabled, Timestamp(1.0)).unwrap();
    assert!(is_websocket_connect(&read.0));
    let refused = read_request(&list, EndStream::No, ExtendedConnect::Disabled, Timestamp(1.0));
    assert_eq!(refused.unwrap_err(), MessageError::UnknownPseudo { index: 4 });
}

#[test]
fn only_what_rfc_8441_knows_is_a_connect() {
    let asks = |change: &dyn Fn(&mut Request)| {
        let mut upgrade = request(HttpVersion::Http11, "GET", None, &UPGRADE);
        change(&mut upgrade);
        websocket_upgrade_key(&upgrade).is_some()
    };
    assert!(asks(&|_| {}));
    assert!(!asks(&|r| r.version = HttpVersion::Http10));
    assert!(!asks(&|r| r.method = Bytes::from_static(b"POST")));
    for name in ["upgrade", "connection", "sec-websocket-key", "sec-websocket-version"] {
        assert!(
            !asks(&|r| {
                r.headers.remove(name);
            }),
            "{name}"
        );
    }
    for (name, value) in [
        ("Sec-WebSocket-Version", "8"),
        ("Sec-WebSocket-Version", "13, 8"),
        ("Upgrade", "websocket, h2c"),
        ("Upgrade", "websockets"),
        ("Connection", "close"),
    ] {
        assert!(!asks(&|r| r.headers.set(name, value)), "{name}: {value}");
    }
    assert!(!asks(&|r| r.headers.push("Sec-WebSocket-Key", KEY)), "two keys");
}

#[test]
fn a_connect_as_an_upgrade() {
    let fields = [
        ("te", "trailers"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "of the client"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
        ("sec-websocket-extensions", "permessage-deflate"),
    ];
    let connect = request(HttpVersion::Http2, "CONNECT", Some("websocket"), &fields);
    let upgrade = websocket_upgrade(&connect, KEY).unwrap();
    assert_eq!(
        (&upgrade.method[..], &upgrade.target[..], upgrade.framing),
        (&b"GET"[..], &b"/chat?x"[..], Framing::None)
    );
    assert_eq!(
        lines(&upgrade.headers),
        format!(
            "Host: a.test, Upgrade: websocket, Sec-WebSocket-Key: {KEY}, te: trailers, sec-websocket-version: 13, \
             cookie: a=1; b=2, sec-websocket-extensions: permessage-deflate, Connection: Upgrade, TE"
        )
    );
    let plain = request(HttpVersion::Http2, "CONNECT", Some("websocket"), &[("sec-websocket-version", "13")]);
    assert_eq!(
        lines(&websocket_upgrade(&plain, KEY).unwrap().headers),
        format!(
            "Host: a.test, Upgrade: websocket, Sec-WebSocket-Key: {KEY}, sec-websocket-version: 13, Connection: Upgrade"
        )
    );
    // Without the key nobody could answer, and what an addon put there could not have come.
    assert_eq!(request_to_http1(&plain, Framing::None).unwrap_err(), MessageError::NoCounterpart);
    let forged = request(HttpVersion::Http2, "CONNECT", Some("websocket"), &[("upgrade", "x")]);
    assert_eq!(websocket_upgrade(&forged, KEY).unwrap_err(), MessageError::ConnectionField { index: 0 });
}

#[test]
fn which_protocols_are_websockets() {
    for (protocol, is) in
        [(Some("websocket"), true), (Some("WebSocket"), true), (Some("connect-udp"), false), (None, false)]
    {
        let asked = request(HttpVersion::Http2, "CONNECT", protocol, &[]);
        assert_eq!(is_websocket_connect(&asked), is, "{protocol:?}");
    }
    assert!(!is_websocket_connect(&request(HttpVersion::Http11, "CONNECT", Some("websocket"), &[])));
}

#[test]
fn answers_both_ways() {
    let switched = response(
        HttpVersion::Http11,
        101,
        &[
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", "proof"),
            ("Sec-WebSocket-Extensions", "permessage-deflate; server_no_context_takeover"),
            ("Set-Cookie", "a=1"),
        ],
    );
    let mut block = Vec::new();
    let connected = websocket_connected(&switched);
    encode_response(&connected, b"CONNECT", Framing::UntilClose, &mut Encoder::new(), &mut block).unwrap();
    assert_eq!(
        decoded(&block),
        ":status: 200, sec-websocket-extensions: permessage-deflate; server_no_context_takeover, set-cookie: a=1"
    );
    let connected = response(
        HttpVersion::Http2,
        200,
        &[("content-length", "0"), ("sec-websocket-protocol", "chat"), ("sec-websocket-accept", "forged")],
    );
    assert_eq!(
        lines(&websocket_switched(&connected, "proof").unwrap()),
        "Upgrade: websocket, Connection: Upgrade, Sec-WebSocket-Accept: proof, sec-websocket-protocol: chat"
    );
    let forged = response(HttpVersion::Http2, 200, &[("connection", "close")]);
    assert_eq!(websocket_switched(&forged, "proof").unwrap_err(), MessageError::ConnectionField { index: 0 });
}
