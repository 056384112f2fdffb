//! What header lists of HTTP/2 mean: each rule of RFC 9113 sections 8.1 to 8.3 and 8.5, and of RFC 8441, in rows.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use flowgate_flow::{PseudoField, Request, Timestamp};
use flowgate_wire::hpack::{Decoder, Encoder, FieldList, FieldRef};
use flowgate_wire::http1::{Framing, TargetError};
use flowgate_wire::http2::semantics::{
    BodyLength, EndStream, ExtendedConnect, MessageError, read_request, read_response, read_trailers,
    request_to_http1, response_to_http1,
};

const NOW: Timestamp = Timestamp(1.0);

/// A list as a peer sends it: lines of `name: value`, where a name may begin with a colon.
fn list(lines: &str) -> FieldList {
    let mut block = Vec::new();
    let fields = lines.lines().map(|line| {
        let colon = line.get(1..).unwrap_or_default().find(':').unwrap_or_else(|| panic!("{line}")) + 1;
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(' ').unwrap_or(value);
        FieldRef { name: &line.as_bytes()[..colon], value: value.as_bytes(), sensitive: false }
    });
    Encoder::new().encode(fields, &mut block);
    Decoder::new(4096).decode(&block, 1 << 20).unwrap()
}

fn raw(fields: &[(&[u8], &[u8])]) -> FieldList {
    let mut block = Vec::new();
    let fields = fields.iter().map(|(name, value)| FieldRef { name, value, sensitive: false });
    Encoder::new().encode(fields, &mut block);
    Decoder::new(4096).decode(&block, 1 << 20).unwrap()
}

fn request(lines: &str) -> Result<(Request, Framing), MessageError> {
    read_request(&list(lines), EndStream::No, ExtendedConnect::Disabled, NOW)
}

const GET: &str = ":method: GET\n:scheme: https\n:authority: a.test\n:path: /x?y";

/// A request with these fields behind its pseudo-header fields.
fn with(fields: &str) -> Result<(Request, Framing), MessageError> {
    request(&format!("{GET}\n{fields}"))
}

#[test]
fn a_request_is_read() {
    let (request, framing) =
        request(":path: /x?y\n:method: POST\n:scheme: https\n:authority: A.test:8443\nb: 1\na: 2\nb: 3\ncookie: c=d\ncookie: e=f").unwrap();
    assert_eq!(
        (&request.method[..], &request.scheme[..], &request.path[..]),
        (&b"POST"[..], &b"https"[..], &b"/x?y"[..])
    );
    assert_eq!(
        (request.host.as_str(), request.port, &request.authority[..]),
        ("A.test", 8443, &b"A.test:8443"[..])
    );
    let lines: Vec<_> = request.headers.iter().map(|field| String::from_utf8_lossy(field.line)).collect();
    assert_eq!(lines, ["b: 1", "a: 2", "b: 3", "cookie: c=d", "cookie: e=f"]);
    let order: Vec<_> = request.pseudo.order.iter().map(PseudoField::name).collect();
    assert_eq!(order, [":path", ":method", ":scheme", ":authority", ":protocol"]);
    assert_eq!(framing, Framing::Chunked);
}

#[test]
fn fields_are_judged_one_by_one() {
    use MessageError as E;
    for (fields, error) in [
        // Section 8.2.1: names.
        ("Upper: x", E::UpperCase { index: 4 }),
        ("a: 1\nb c: x", E::Name { index: 5 }),
        ("a : x", E::Name { index: 4 }),
        ("a\u{e9}: x", E::Name { index: 4 }),
        ("a\x7f: x", E::Name { index: 4 }),
        ("a\0: x", E::Name { index: 4 }),
        ("a\t: x", E::Name { index: 4 }),
        ("a(b: x", E::Name { index: 4 }),
        ("\"a\": x", E::Name { index: 4 }),
        // Values.
        ("a: x\ry", E::Value { index: 4 }),
        ("a: x\0y", E::Value { index: 4 }),
        ("a: x\x01y", E::Value { index: 4 }),
        ("a: x\x7fy", E::Value { index: 4 }),
        ("a:  x", E::Value { index: 4 }),
        ("a: x ", E::Value { index: 4 }),
        ("a: \tx", E::Value { index: 4 }),
        ("a: x\t", E::Value { index: 4 }),
        // Section 8.2.2.
        ("connection: close", E::ConnectionField { index: 4 }),
        ("connection: x-hop\nx-hop: 1", E::ConnectionField { index: 4 }),
        ("keep-alive: 5", E::ConnectionField { index: 4 }),
        ("proxy-connection: keep-alive", E::ConnectionField { index: 4 }),
        ("transfer-encoding: chunked", E::ConnectionField { index: 4 }),
        ("transfer-encoding: identity", E::ConnectionField { index: 4 }),
        ("upgrade: h2c", E::ConnectionField { index: 4 }),
        ("te: gzip", E::Te { index: 4 }),
        ("te: trailers, gzip", E::Te { index: 4 }),
        ("te: ", E::Te { index: 4 }),
        // Section 8.3.
        ("a: 1\n:path: /y", E::LatePseudo { index: 5 }),
        ("a: 1\n:status: 200", E::LatePseudo { index: 5 }),
        (":path: /x?y", E::RepeatedPseudo { index: 4 }),
        (":authority: a.test", E::RepeatedPseudo { index: 4 }),
        (":status: 200", E::UnknownPseudo { index: 4 }),
        (":foo: 200", E::UnknownPseudo { index: 4 }),
        (":Path: /", E::UnknownPseudo { index: 4 }),
        (":: /", E::UnknownPseudo { index: 4 }),
        (":protocol: websocket", E::UnknownPseudo { index: 4 }),
        // Host.
        ("host: b.test", E::HostDiffers),
        ("host: a.test:80", E::HostDiffers),
        ("host: a.test\nhost: a.test", E::RepeatedHost { index: 5 }),
        ("host: ", E::Authority(TargetError::Host)),
        ("host: x@a.test", E::Authority(TargetError::UserInfo)),
        ("host: a.test, b.test", E::Authority(TargetError::Host)),
        // Section 8.1.1.
        ("content-length: 1\ncontent-length: 1", E::RepeatedLength { index: 5 }),
        ("content-length: 1, 1", E::RepeatedLength { index: 4 }),
        ("content-length: +1", E::Length { index: 4 }),
        ("content-length: -1", E::Length { index: 4 }),
        ("content-length: 0x1", E::Length { index: 4 }),
        ("content-length: 01", E::Length { index: 4 }),
        ("content-length: ", E::Length { index: 4 }),
        ("content-length: 1 2", E::Length { index: 4 }),
        ("content-length: 9223372036854775808", E::Length { index: 4 }),
    ] {
        assert_eq!(with(fields).unwrap_err(), error, "{fields:?}");
    }
    for fields in [
        "te: trailers",
        "te: Trailers",
        "host: A.test",
        "host: a.test:443",
        "a: ",
        "a: x\ty",
        "a: \u{e9}",
        "a: b\na: b",
        "content-length: 0",
        "content-length: 9223372036854775807",
        "cookie: \ncookie: a=b",
    ] {
        with(fields).unwrap_or_else(|error| panic!("{fields:?}: {error}"));
    }
    let newline = raw(&[
        (b":method", b"GET"),
        (b":scheme", b"https"),
        (b":authority", b"a"),
        (b":path", b"/"),
        (b"a", b"x\ny"),
    ]);
    let read = read_request(&newline, EndStream::Yes, ExtendedConnect::Disabled, NOW);
    assert_eq!(read.unwrap_err(), E::Value { index: 4 });
    let empty = raw(&[
        (b":method", b"GET"),
        (b":scheme", b"https"),
        (b":authority", b"a"),
        (b":path", b"/"),
        (b"", b"x"),
    ]);
    let read = read_request(&empty, EndStream::Yes, ExtendedConnect::Disabled, NOW);
    assert_eq!(read.unwrap_err(), E::Name { index: 4 });
}

#[test]
fn pseudo_header_fields_are_judged_together() {
    use MessageError as E;
    use PseudoField as P;
    let rows: &[(&str, Result<(), E>)] = &[
        ("GET https a /", Ok(())),
        ("GET http a.test:80 /?", Ok(())),
        ("GET http [::1]:80 //", Ok(())),
        ("OPTIONS https a *", Ok(())),
        ("OPTIONS https a /", Ok(())),
        ("x~y https a /", Ok(())),
        ("GET https a /\u{e9}", Ok(())),
        ("- https a /", Err(E::Missing(P::Method))),
        ("GET - a /", Err(E::Missing(P::Scheme))),
        ("GET https a -", Err(E::Missing(P::Path))),
        ("GET https - /", Err(E::NoAuthority)),
        ("G(T https a /", Err(E::Method)),
        ("GET_/_HTTP/1.1 https a /", Err(E::Method)),
        ("<> https a /", Err(E::Method)),
        ("GET HTTPS a /", Err(E::Scheme)),
        ("GET ftp a /", Err(E::Scheme)),
        ("GET https://evil/ a /", Err(E::Scheme)),
        ("GET <> a /", Err(E::Scheme)),
        ("GET https a *", Err(E::Path)),
        ("GET https a x", Err(E::Path)),
        ("GET https a <>", Err(E::Path)),
        ("GET https a http://b/", Err(E::Path)),
        ("GET https a ?x", Err(E::Path)),
        ("GET https a /#x", Err(E::Path)),
        ("GET https a /_HTTP/1.1", Err(E::Path)),
        ("OPTIONS https a **", Err(E::Path)),
        ("GET https <> /", Err(E::Authority(TargetError::Host))),
        ("GET https u@a /", Err(E::Authority(TargetError::UserInfo))),
        ("GET https u:p@a /", Err(E::Authority(TargetError::UserInfo))),
        ("GET https a/b /", Err(E::Authority(TargetError::Host))),
        ("GET https a?b /", Err(E::Authority(TargetError::Host))),
        ("GET https a#b /", Err(E::Authority(TargetError::Host))),
        ("GET https a\\b /", Err(E::Authority(TargetError::Host))),
        ("GET https a_b /", Err(E::Authority(TargetError::Host))),
        ("GET https a:0 /", Err(E::Authority(TargetError::Port))),
        ("GET https a:65536 /", Err(E::Authority(TargetError::Port))),
        ("GET https a:x /", Err(E::Authority(TargetError::Port))),
        ("GET https [::1 /", Err(E::Authority(TargetError::Host))),
        ("CONNECT - a:443 -", Ok(())),
        ("CONNECT - a -", Err(E::Authority(TargetError::Port))),
        ("CONNECT - a: -", Err(E::Authority(TargetError::Port))),
        ("CONNECT - - -", Err(E::Missing(P::Authority))),
        ("CONNECT https a:443 -", Err(E::NotInConnect(P::Scheme))),
        ("CONNECT - a:443 /", Err(E::NotInConnect(P::Path))),
        ("CONNECT https a:443 /", Err(E::NotInConnect(P::Scheme))),
    ];
    for (row, expected) in rows {
        let names = [":method", ":scheme", ":authority", ":path"];
        let values: Vec<String> =
            row.split(' ').map(|value| value.replace('_', " ").replace("<>", "")).collect();
        let fields: Vec<(&[u8], &[u8])> = names
            .iter()
            .zip(&values)
            .filter(|(_, value)| *value != "-")
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .collect();
        let read = read_request(&raw(&fields), EndStream::Yes, ExtendedConnect::Disabled, NOW);
        assert_eq!(read.map(|_| ()), *expected, "{row}");
    }
}

#[test]
fn host_stands_in_for_authority() {
    let lines = ":method: GET\n:scheme: http\n:path: /";
    let (head, _) = request(&format!("{lines}\nhost: a.test:81")).unwrap();
    assert_eq!((head.host.as_str(), head.port, &head.authority[..]), ("a.test", 81, &b""[..]));
    assert_eq!(request(lines).unwrap_err(), MessageError::NoAuthority);
    let bad = request(&format!("{lines}\nhost: a b"));
    assert_eq!(bad.unwrap_err(), MessageError::Authority(TargetError::Host));
}

#[test]
fn an_extended_connect_needs_our_leave() {
    let lines = ":method: CONNECT\n:protocol: websocket\n:scheme: https\n:path: /chat\n:authority: a.test";
    let read = |lines: &str, extended| {
        read_request(&list(lines), EndStream::No, extended, NOW)
            .map(|(request, framing)| (request.pseudo.protocol, framing))
    };
    assert_eq!(read(lines, ExtendedConnect::Enabled), Ok((Some("websocket".into()), Framing::Chunked)));
    assert_eq!(read(lines, ExtendedConnect::Disabled), Err(MessageError::UnknownPseudo { index: 1 }));
    for (from, to, error) in [
        ("CONNECT", "GET", MessageError::ProtocolWithoutConnect),
        ("websocket", "web socket", MessageError::Protocol),
        ("\n:scheme: https", "", MessageError::Missing(PseudoField::Scheme)),
        ("\n:path: /chat", "", MessageError::Missing(PseudoField::Path)),
        ("\n:authority: a.test", "", MessageError::Missing(PseudoField::Authority)),
        (": /chat", ": chat", MessageError::Path),
    ] {
        assert_eq!(read(&lines.replace(from, to), ExtendedConnect::Enabled), Err(error), "{to:?}");
    }
}

#[test]
fn a_body_is_as_long_as_announced() {
    let framing = |fields: &str, ends| {
        let lines = format!("{GET}{fields}");
        read_request(&list(&lines), ends, ExtendedConnect::Disabled, NOW).map(|(_, framing)| framing)
    };
    assert_eq!(framing("", EndStream::Yes), Ok(Framing::None));
    assert_eq!(framing("\ncontent-length: 0", EndStream::Yes), Ok(Framing::None));
    assert_eq!(framing("\ncontent-length: 5", EndStream::Yes), Err(MessageError::LengthDiffers));
    assert_eq!(framing("\ncontent-length: 5", EndStream::No), Ok(Framing::Length(5)));
    assert_eq!(framing("", EndStream::No), Ok(Framing::Chunked));
    let connect = |fields: &str| {
        request(&format!(":method: CONNECT\n:authority: a:1{fields}")).map(|(_, framing)| framing)
    };
    assert_eq!(connect(""), Ok(Framing::Chunked));
    assert_eq!(connect("\ncontent-length: 0"), Ok(Framing::Chunked));
    assert_eq!(connect("\ncontent-length: 5"), Err(MessageError::MisplacedLength { index: 2 }));

    let run = |framing, pieces: &[u64]| {
        let mut length = BodyLength::new(framing);
        pieces.iter().try_for_each(|piece| length.data(*piece))?;
        length.end()
    };
    let differs = Err(MessageError::LengthDiffers);
    assert_eq!(run(Framing::Length(5), &[2, 0, 3]), Ok(()));
    assert_eq!(run(Framing::Length(5), &[2, 2]), differs);
    assert_eq!(run(Framing::Length(5), &[2, 4]), differs);
    assert_eq!(run(Framing::None, &[0]), Ok(()));
    assert_eq!(run(Framing::None, &[1]), differs);
    assert_eq!(run(Framing::Chunked, &[u64::MAX, u64::MAX]), Ok(()));
}

#[test]
fn a_response_is_read() {
    use MessageError as E;
    let read = |lines: &str, method: &str, ends| {
        read_response(&list(lines), ends, method.as_bytes(), NOW)
            .map(|(response, framing)| (response.status, framing))
    };
    let more = |lines: &str| read(lines, "GET", EndStream::No);
    assert_eq!(more(":status: 200\na: b"), Ok((200, Framing::UntilClose)));
    assert_eq!(more(":status: 200\ncontent-length: 5"), Ok((200, Framing::Length(5))));
    assert_eq!(more(":status: 103\nlink: x"), Ok((103, Framing::None)));
    assert_eq!(more(":status: 204"), Ok((204, Framing::None)));
    assert_eq!(more(":status: 304\ncontent-length: 5"), Ok((304, Framing::None)));
    assert_eq!(more(":status: 999"), Ok((999, Framing::UntilClose)));
    let done = |lines: &str, method| read(lines, method, EndStream::Yes);
    assert_eq!(done(":status: 200\ncontent-length: 5", "HEAD"), Ok((200, Framing::None)));
    assert_eq!(done(":status: 200\ncontent-length: 5", "GET"), Err(E::LengthDiffers));
    assert_eq!(done(":status: 304\ncontent-length: 5", "GET"), Ok((304, Framing::None)));
    assert_eq!(done(":status: 100", "GET"), Err(E::InterimEnds));
    assert_eq!(
        read(":status: 200\ncontent-length: 5", "CONNECT", EndStream::No),
        Ok((200, Framing::UntilClose))
    );
    assert_eq!(
        read(":status: 400\ncontent-length: 5", "CONNECT", EndStream::No),
        Ok((400, Framing::Length(5)))
    );
    for (lines, error) in [
        ("a: b", E::NoStatus),
        ("a: b\n:status: 200", E::NoStatus),
        (":status: 200\n:status: 200", E::RepeatedPseudo { index: 1 }),
        (":status: 200\na: b\n:status: 200", E::LatePseudo { index: 2 }),
        (":status: 200\n:path: /", E::UnknownPseudo { index: 1 }),
        (":path: /\n:status: 200", E::UnknownPseudo { index: 0 }),
        (":status: 101", E::SwitchingProtocols),
        (":status: 20", E::Status),
        (":status: 2000", E::Status),
        (":status: 099", E::Status),
        (":status: +20", E::Status),
        (":status: 200 OK", E::Status),
        (":status: ", E::Status),
        (":status: 200\nA: b", E::UpperCase { index: 1 }),
        (":status: 200\na: b\rc", E::Value { index: 1 }),
        (":status: 200\nconnection: close", E::ConnectionField { index: 1 }),
        (":status: 200\ntransfer-encoding: chunked", E::ConnectionField { index: 1 }),
        (":status: 200\nkeep-alive: 1", E::ConnectionField { index: 1 }),
        (":status: 200\nupgrade: h2c", E::ConnectionField { index: 1 }),
        (":status: 200\ncontent-length: 5\ncontent-length: 6", E::RepeatedLength { index: 2 }),
        (":status: 200\ncontent-length: five", E::Length { index: 1 }),
        (":status: 100\ncontent-length: 5", E::MisplacedLength { index: 1 }),
    ] {
        assert_eq!(more(lines), Err(error), "{lines:?}");
    }
}

#[test]
fn trailers_are_read() {
    use MessageError as E;
    let read = |lines: &str| read_trailers(&list(lines), EndStream::Yes).map(|trailers| trailers.len());
    assert_eq!(read("grpc-status: 0\na: b"), Ok(2));
    assert_eq!(read(""), Ok(0));
    assert_eq!(read_trailers(&list("a: b"), EndStream::No), Err(E::TrailersDoNotEnd));
    for (lines, error) in [
        (":status: 200", E::UnknownPseudo { index: 0 }),
        ("a: b\n:path: /", E::UnknownPseudo { index: 1 }),
        ("content-length: 5", E::NoTrailer { index: 0 }),
        ("host: a", E::NoTrailer { index: 0 }),
        ("transfer-encoding: chunked", E::ConnectionField { index: 0 }),
        ("connection: close", E::ConnectionField { index: 0 }),
        ("A: b", E::UpperCase { index: 0 }),
        ("a: b\0", E::Value { index: 0 }),
    ] {
        assert_eq!(read(lines), Err(error), "{lines:?}");
    }
}

#[test]
fn lists_have_a_size() {
    let fields = |count: usize| format!("{GET}{}", "\na: b".repeat(count));
    // In HTTP/1 there is `Host` besides.
    assert!(request(&fields(199)).is_ok());
    assert_eq!(request(&fields(200)).unwrap_err(), MessageError::TooManyFields);
    let path = |len: usize| {
        request(&format!(":method: GET\n:scheme: http\n:authority: a\n:path: /{}", "x".repeat(len)))
    };
    assert!(path(16 * 1024 - 1).is_ok());
    assert_eq!(path(16 * 1024).unwrap_err(), MessageError::PathTooLong);
    let cut = Decoder::new(4096).decode(&[0x82, 0x84, 0x86], 42).unwrap();
    let read = read_request(&cut, EndStream::Yes, ExtendedConnect::Disabled, NOW);
    assert_eq!(read.unwrap_err(), MessageError::TooLarge);
    assert_eq!(MessageError::TooLarge.status(), 431);
    assert_eq!(MessageError::PathTooLong.status(), 414);
    assert_eq!(MessageError::Method.status(), 400);
}

#[test]
fn a_request_goes_on_in_http1() {
    let to_http1 = |fields: &str, framing| {
        let (request, _) = with(fields).unwrap();
        let head = request_to_http1(&request, framing).unwrap();
        let lines: Vec<_> =
            head.headers.iter().map(|f| String::from_utf8_lossy(f.line).into_owned()).collect();
        (String::from_utf8_lossy(&head.target).into_owned(), lines.join("\n"), head.framing)
    };
    for (fields, framing, lines, framed) in [
        ("a: b", Framing::None, "Host: a.test\na: b", Framing::None),
        ("x: y\nhost: A.test:443\na: b", Framing::None, "x: y\nhost: a.test\na: b", Framing::None),
        (
            "cookie: a=b\nx: y\ncookie: c=d\ncookie: e=f",
            Framing::None,
            "Host: a.test\ncookie: a=b; c=d; e=f\nx: y",
            Framing::None,
        ),
        ("x: y\ncookie: a=b", Framing::None, "Host: a.test\nx: y\ncookie: a=b", Framing::None),
        ("content-length: 3", Framing::Length(3), "Host: a.test\ncontent-length: 3", Framing::Length(3)),
        ("a: b", Framing::Chunked, "Host: a.test\na: b\ntransfer-encoding: chunked", Framing::Chunked),
        (
            "te: trailers\na: b",
            Framing::None,
            "Host: a.test\nte: trailers\na: b\nConnection: TE",
            Framing::None,
        ),
    ] {
        assert_eq!(to_http1(fields, framing), ("/x?y".into(), lines.into(), framed), "{fields:?}");
    }
    let (mut request, _) = with("a: b").unwrap();
    request.headers.push("Transfer-Encoding", "chunked");
    assert_eq!(request_to_http1(&request, Framing::None), Err(MessageError::ConnectionField { index: 1 }));
    let connect = ":method: CONNECT\n:authority: a:1";
    let (connect, framing) = self::request(connect).unwrap();
    let head = request_to_http1(&connect, framing).unwrap();
    assert_eq!((&head.target[..], head.headers.get("host")), (&b"a:1"[..], Some(&b"a:1"[..])));
    let websocket = ":method: CONNECT\n:protocol: websocket\n:scheme: https\n:path: /\n:authority: a";
    let (websocket, framing) =
        read_request(&list(websocket), EndStream::No, ExtendedConnect::Enabled, NOW).unwrap();
    assert_eq!(request_to_http1(&websocket, framing), Err(MessageError::NoCounterpart));
}

#[test]
fn a_response_goes_on_in_http1() {
    let lines = list(":status: 200\nset-cookie: a=b\nset-cookie: c=d");
    let (mut response, _) = read_response(&lines, EndStream::No, b"GET", NOW).unwrap();
    assert_eq!(response_to_http1(&response).unwrap(), response.headers);
    response.headers.push("upgrade", "x");
    assert_eq!(response_to_http1(&response), Err(MessageError::ConnectionField { index: 2 }));
}
