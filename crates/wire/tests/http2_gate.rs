//! The last gate of HTTP/2: whatever a hook, an edit, a replay or a translation asks to be sent, what is written reads back as
//! the one message that was meant, or nothing is written and the encoder's table is as it was.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use bytes::Bytes;
use flowgate_flow::{
    Body, Field, Headers, HttpVersion, PseudoField, PseudoFields, PseudoOrder, Request, Response, Timestamp,
};
use flowgate_wire::hpack::{Decoder, Encoder};
use flowgate_wire::http1::Framing;
use flowgate_wire::http2::semantics::{
    EndStream, ExtendedConnect, MessageError, encode_request, encode_response, encode_trailers, read_request,
    read_response, read_trailers,
};
use proptest::prelude::*;

const NOW: Timestamp = Timestamp(1.0);

fn request(version: HttpVersion, method: &str, target: [&str; 3], fields: &[(&str, &str)]) -> Request {
    let [scheme, authority, path] = target.map(|part| Bytes::copy_from_slice(part.as_bytes()));
    Request {
        version,
        method: Bytes::copy_from_slice(method.as_bytes()),
        scheme,
        host: String::new(),
        port: 0,
        authority,
        path,
        pseudo: PseudoFields::default(),
        headers: fields.iter().copied().collect(),
        body: Body::EMPTY,
        trailers: None,
        timestamp_start: NOW,
        timestamp_end: None,
    }
}

fn response(version: HttpVersion, status: u16, headers: Headers) -> Response {
    Response {
        version,
        status,
        reason: Bytes::new(),
        headers,
        body: Body::EMPTY,
        trailers: None,
        timestamp_start: NOW,
        timestamp_end: None,
    }
}

/// What a request is in HTTP/2: its fields, pseudo-header fields included.
fn sent(request: &Request, body: Framing) -> Result<String, MessageError> {
    let mut block = Vec::new();
    encode_request(request, body, &mut Encoder::new(), &mut block)?;
    let list = Decoder::new(4096).decode(&block, 1 << 20).unwrap();
    let line = |name: &[u8], value: &[u8]| {
        format!("{}: {}", String::from_utf8_lossy(name), String::from_utf8_lossy(value))
    };
    Ok(list.iter().map(|field| line(field.name, field.value)).collect::<Vec<_>>().join("\n"))
}

#[test]
fn a_request_of_http1_goes_on() {
    const FRONT: &str = ":method: GET\n:authority: a.test\n:scheme: https\n:path: /";
    for (fields, expected) in [
        (&[("Host", "a.test"), ("X-A", "B")][..], "x-a: B"),
        (&[("X", "1"), ("HOST", "a.test"), ("x", "2")], "x: 1\nx: 2"),
        (&[("Host", "a.test"), ("Connection", "close, X-Hop"), ("x-hop", "1"), ("Keep-Alive", "5")], ""),
        (
            &[
                ("Host", "a.test"),
                ("Connection", "Upgrade, HTTP2-Settings"),
                ("Upgrade", "h2c"),
                ("HTTP2-Settings", "x"),
            ],
            "",
        ),
        (&[("Host", "a.test"), ("HTTP2-Settings", "x"), ("Proxy-Connection", "x")], ""),
        (&[("Host", "a.test"), ("Connection", "te"), ("TE", "gzip, Trailers")], "te: Trailers"),
        (&[("Host", "a.test"), ("TE", "gzip")], ""),
        (
            &[("Host", "a.test"), ("Connection", "Content-Length, Host, x"), ("Content-Length", "0")],
            "content-length: 0",
        ),
        (&[("Host", "a.test"), ("Cookie", "a=b; c=d")], "cookie: a=b; c=d"),
        (&[("Host", "a.test"), ("a", "  padded\t")], "a: padded"),
    ] {
        let request = request(HttpVersion::Http11, "GET", ["https", "", "/"], fields);
        // As they are parsed: without the white space around values.
        let request = Request {
            headers: request
                .headers
                .iter()
                .map(|f| (f.name.to_vec(), f.value.trim_ascii().to_vec()))
                .collect(),
            ..request
        };
        let expected =
            [FRONT, expected].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("\n");
        assert_eq!(sent(&request, Framing::None), Ok(expected), "{fields:?}");
    }
    let chunked = request(
        HttpVersion::Http11,
        "GET",
        ["https", "", "/"],
        &[("Host", "a.test"), ("Transfer-Encoding", "chunked")],
    );
    assert_eq!(sent(&chunked, Framing::Chunked), Ok(FRONT.into()));
    // RFC 9112 section 3.2.2: the target's host counts.
    let absolute = request(HttpVersion::Http11, "GET", ["https", "a.test", "/"], &[("Host", "b.test")]);
    assert_eq!(sent(&absolute, Framing::None), Ok(FRONT.into()));
    let connect = request(HttpVersion::Http11, "CONNECT", ["", "a.test:1", ""], &[("Host", "a.test")]);
    assert_eq!(sent(&connect, Framing::Chunked), Ok(":method: CONNECT\n:authority: a.test:1".into()));
}

#[test]
fn what_may_not_be_sent_is_not() {
    use MessageError as E;
    let good = request(HttpVersion::Http2, "GET", ["https", "a.test", "/"], &[]);
    assert!(sent(&good, Framing::None).is_ok());
    let check = |change: &dyn Fn(&mut Request), body, error| {
        let mut request = good.clone();
        change(&mut request);
        assert_eq!(sent(&request, body), Err(error));
    };
    check(&|r| r.method = "G T".into(), Framing::None, E::Method);
    check(&|r| r.scheme = "https\r\nx: y".into(), Framing::None, E::Scheme);
    check(&|r| r.path = "/ HTTP/1.1\r\nx: y".into(), Framing::None, E::Path);
    check(&|r| r.path = Bytes::new(), Framing::None, E::Path);
    check(&|r| r.authority = Bytes::new(), Framing::None, E::NoAuthority);
    check(&|r| r.headers.push("host", "b.test"), Framing::None, E::HostDiffers);
    check(&|r| r.headers.push("Connection", "close"), Framing::None, E::ConnectionField { index: 0 });
    check(
        &|r| r.headers.push("Transfer-Encoding", "chunked"),
        Framing::Chunked,
        E::ConnectionField { index: 0 },
    );
    check(&|r| r.headers.push("a", "x\r\ny"), Framing::None, E::Value { index: 0 });
    check(&|r| r.headers.push(":path", "/y"), Framing::None, E::Name { index: 0 });
    check(&|r| r.headers.push("Content-Length", "5"), Framing::None, E::LengthDiffers);
    check(&|r| r.headers.push("Content-Length", "5"), Framing::Length(6), E::LengthDiffers);
    check(&|r| r.headers.push("Content-Length", "5"), Framing::Chunked, E::LengthDiffers);
    check(&|r| r.headers = (0..201).map(|_| ("a", "b")).collect(), Framing::None, E::TooManyFields);
    check(&|r| r.pseudo.protocol = Some("websocket".into()), Framing::None, E::ProtocolWithoutConnect);
    let none = Headers::new();
    let answer = |status, headers: &Headers, body| {
        encode_response(
            &response(HttpVersion::Http2, status, headers.clone()),
            b"GET",
            body,
            &mut Encoder::new(),
            &mut Vec::new(),
        )
    };
    assert_eq!(answer(101, &none, Framing::None), Err(E::SwitchingProtocols));
    assert_eq!(answer(99, &none, Framing::None), Err(E::Status));
    assert_eq!(answer(1000, &none, Framing::None), Err(E::Status));
    assert_eq!(answer(204, &none, Framing::Length(5)), Err(E::LengthDiffers));
    assert_eq!(answer(304, &none, Framing::UntilClose), Err(E::LengthDiffers));
    assert_eq!(answer(200, &none, Framing::Length(5)), Ok(()));
}

/// A server of HTTP/1 that sent 204 with a length, or an interim response with one, was heard by its clients until we stood between
/// them: those of HTTP/2 took the response for malformed.
#[test]
fn a_length_where_none_may_be_is_left_out() {
    let sent = |version, status, length, body| {
        let headers = [("a", "b"), ("Content-Length", length)].into_iter().collect();
        let mut block = Vec::new();
        encode_response(&response(version, status, headers), b"GET", body, &mut Encoder::new(), &mut block)
            .unwrap();
        let list = Decoder::new(4096).decode(&block, 1 << 20).unwrap();
        list.iter().any(|field| field.name == b"content-length")
    };
    for version in [HttpVersion::Http11, HttpVersion::Http2] {
        for (status, length, stays) in [
            (204, "5", false),
            (204, "0", false),
            (100, "0", false),
            (103, "0", false),
            (304, "5", true),
            (200, "0", true),
        ] {
            assert_eq!(
                sent(version.clone(), status, length, Framing::None),
                stays,
                "{version:?} {status} {length}"
            );
        }
        assert!(sent(version, 200, "5", Framing::Length(5)));
    }
}

#[test]
fn what_was_never_to_be_indexed_stays_so() {
    let mut request =
        request(HttpVersion::Http2, "GET", ["https", "a.test", "/secret"], &[("a", "b"), ("x", "y")]);
    request.headers.mark_sensitive(1);
    request.pseudo.sensitive.push(PseudoField::Path);
    let mut block = Vec::new();
    encode_request(&request, Framing::None, &mut Encoder::new(), &mut block).unwrap();
    let list = Decoder::new(4096).decode(&block, 1 << 20).unwrap();
    assert_eq!(
        list.iter().map(|field| field.sensitive).collect::<Vec<_>>(),
        [false, false, false, true, false, true]
    );
    let (read, _) = read_request(&list, EndStream::Yes, ExtendedConnect::Disabled, NOW).unwrap();
    assert_eq!(read.pseudo, request.pseudo);
    assert_eq!(read.headers.iter().map(|field| field.sensitive).collect::<Vec<_>>(), [false, true]);
}

/// Bytes as somebody types them who means harm, or no harm.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => "[a-zA-Z0-9-]{1,6}".prop_map(String::into_bytes),
        2 => prop::sample::select(vec![
            &b"\r\n"[..], b"\n", b"\r", b"\0", b" ", b"\t", b":", b"/", b"*", b"@", b"#", b"?", b"\x0b", b"\x7f", b"\x85", b"http://",
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ]).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

/// The first mostly, and sometimes anything.
fn mostly(usual: &'static [&'static str]) -> impl Strategy<Value = Bytes> {
    prop_oneof![
        8 => prop::sample::select(usual.to_vec()).prop_map(|text| Bytes::from_static(text.as_bytes())),
        1 => text().prop_map(Bytes::from),
    ]
}

fn field() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let telling = prop::sample::select(vec![
        ("Content-Length", "5"),
        ("content-length", "0"),
        ("content-length", "+5"),
        ("Content-Length", "5, 5"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "x, host, te"),
        ("TE", "trailers"),
        ("te", "gzip, trailers"),
        ("Host", "a"),
        ("host", "A:443"),
        ("Cookie", "a=b"),
        (":path", "/x"),
        (":status", "200"),
    ]);
    prop_oneof![
        2 => telling.prop_map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())),
        4 => ("[A-Za-z][A-Za-z-]{0,8}", "[!-~]([ -~]{0,9}[!-~])?").prop_map(|(name, value)| (name.into_bytes(), value.into_bytes())),
        1 => (text(), text()),
    ]
}

fn headers() -> impl Strategy<Value = Headers> {
    prop::collection::vec((field(), any::<bool>()), 0..5).prop_map(|fields| {
        let mut headers: Headers = fields.iter().map(|(field, _)| field.clone()).collect();
        fields
            .iter()
            .enumerate()
            .filter(|(_, (_, sensitive))| *sensitive)
            .for_each(|(at, _)| headers.mark_sensitive(at));
        headers
    })
}

fn framing() -> impl Strategy<Value = Framing> {
    prop::sample::select(vec![
        Framing::None,
        Framing::Length(0),
        Framing::Length(5),
        Framing::Chunked,
        Framing::UntilClose,
    ])
}

fn version() -> impl Strategy<Value = HttpVersion> {
    prop::sample::select(vec![HttpVersion::Http10, HttpVersion::Http11, HttpVersion::Http2])
}

fn pseudo() -> impl Strategy<Value = PseudoFields> {
    let any = prop::sample::select(vec![
        PseudoField::Method,
        PseudoField::Scheme,
        PseudoField::Authority,
        PseudoField::Path,
        PseudoField::Protocol,
    ]);
    let protocol = prop::option::weighted(0.2, mostly(&["websocket"]));
    (prop::collection::vec(any.clone(), 0..6), protocol, prop::collection::vec(any, 0..2)).prop_map(
        |(order, protocol, sensitive)| PseudoFields {
            priority: None,
            order: PseudoOrder::new(&order),
            protocol,
            sensitive,
        },
    )
}

/// The fields of a message in HTTP/2; those that the translation from HTTP/1 takes away do not count.
fn carried(version: &HttpVersion, headers: &Headers) -> Vec<(Vec<u8>, Vec<u8>, bool)> {
    let gone = [
        "connection",
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
        "te",
        "x",
        "host",
    ];
    let stays = |field: &Field<'_>| !version.is_http1() || !gone.iter().any(|name| field.is(name));
    // Short cookies are kept out of tables unasked.
    let field = |field: Field<'_>| {
        let sensitive = field.sensitive || field.is("cookie");
        (field.name.to_ascii_lowercase(), field.value.to_vec(), sensitive)
    };
    headers.iter().filter(stays).map(field).collect()
}

/// The encoder must be as it was after a refusal: what it writes next is what a fresh one writes.
fn is_fresh(encoder: &mut Encoder) -> bool {
    let trailers: Headers = [("a-name", "a value")].into_iter().collect();
    let (mut block, mut wanted) = (Vec::new(), Vec::new());
    encode_trailers(&trailers, encoder, &mut block).unwrap();
    encode_trailers(&trailers, &mut Encoder::new(), &mut wanted).unwrap();
    block == wanted
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_request_reads_back(
        version in version(),
        method in mostly(&["GET", "POST", "OPTIONS", "CONNECT"]),
        scheme in mostly(&["https", "http"]),
        authority in mostly(&["a", "a:443", ""]),
        path in mostly(&["/", "*", "/a?b", ""]),
        pseudo in pseudo(),
        headers in headers(),
        body in framing(),
    ) {
        let mut asked = request(version, "", [""; 3], &[]);
        asked.method = method;
        asked.scheme = scheme;
        asked.authority = authority;
        asked.path = path;
        asked.pseudo = pseudo;
        asked.headers = headers;
        let (mut encoder, mut block) = (Encoder::new(), Vec::new());
        if encode_request(&asked, body, &mut encoder, &mut block).is_err() {
            prop_assert!(block.is_empty());
            prop_assert!(is_fresh(&mut encoder));
            return Ok(());
        }
        let list = Decoder::new(4096).decode(&block, 1 << 20).unwrap();
        let ends = if body == Framing::None { EndStream::Yes } else { EndStream::No };
        let (read, framing) = read_request(&list, ends, ExtendedConnect::Enabled, NOW).unwrap();
        prop_assert_eq!(&read.method, &asked.method);
        prop_assert_eq!(&read.pseudo.protocol, &asked.pseudo.protocol);
        if !asked.authority.is_empty() {
            prop_assert_eq!(&read.authority, &asked.authority);
        }
        if asked.method.as_ref() != b"CONNECT" || asked.pseudo.protocol.is_some() {
            prop_assert_eq!((&read.scheme, &read.path), (&asked.scheme, &asked.path));
        }
        prop_assert_eq!(carried(&asked.version, &read.headers), carried(&asked.version, &asked.headers));
        match body {
            Framing::None => prop_assert_eq!(framing, Framing::None),
            Framing::Length(length) => prop_assert!(matches!(framing, Framing::Chunked) || framing == Framing::Length(length)),
            Framing::Chunked | Framing::UntilClose => prop_assert_eq!(framing, Framing::Chunked),
        }
    }

    #[test]
    fn a_response_reads_back(
        version in version(),
        method in prop::sample::select(vec![&b"GET"[..], b"HEAD", b"CONNECT"]),
        status in prop_oneof![prop::sample::select(vec![100, 101, 103, 200, 204, 304, 404]), any::<u16>()],
        headers in headers(),
        body in framing(),
    ) {
        let asked = response(version, status, headers);
        let (mut encoder, mut block) = (Encoder::new(), Vec::new());
        if encode_response(&asked, method, body, &mut encoder, &mut block).is_err() {
            prop_assert!(block.is_empty());
            prop_assert!(is_fresh(&mut encoder));
            return Ok(());
        }
        let list = Decoder::new(4096).decode(&block, 1 << 20).unwrap();
        let ends = if body == Framing::None && status >= 200 { EndStream::Yes } else { EndStream::No };
        let (read, framing) = read_response(&list, ends, method, NOW).unwrap();
        prop_assert_eq!(read.status, status);
        let mut meant = asked.headers.clone();
        if status < 200 || status == 204 {
            // It may not stand there (RFC 9110 section 8.6).
            meant.remove("content-length");
        }
        prop_assert_eq!(carried(&asked.version, &read.headers), carried(&asked.version, &meant));
        match (framing, body) {
            (Framing::None, body) => prop_assert!(matches!(body, Framing::None | Framing::Length(0))),
            (Framing::Length(n), Framing::Length(m)) => prop_assert_eq!(n, m),
            (Framing::Length(n), body) => prop_assert!(n == 0 && body == Framing::None),
            (Framing::UntilClose | Framing::Chunked, body) => prop_assert_ne!(body, Framing::None),
        }
    }

    #[test]
    fn trailers_read_back(trailers in headers()) {
        let (mut encoder, mut block) = (Encoder::new(), Vec::new());
        if encode_trailers(&trailers, &mut encoder, &mut block).is_err() {
            prop_assert!(block.is_empty());
            prop_assert!(is_fresh(&mut encoder));
            return Ok(());
        }
        let list = Decoder::new(4096).decode(&block, 1 << 20).unwrap();
        let read = read_trailers(&list, EndStream::Yes).unwrap();
        prop_assert_eq!(carried(&HttpVersion::Http2, &read), carried(&HttpVersion::Http2, &trailers));
    }
}
