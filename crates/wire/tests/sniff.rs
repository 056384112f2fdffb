//! What first bytes are, and whom a request head names.

use flowgate_wire::sniff::Sniff::{Http1, Http2Preface, NeedMore, Other, Tls};
use flowgate_wire::sniff::{
    HEAD_BYTES_MAX, HTTP2_PREFACE, HostReader, HostState, LINE_BYTES_MAX, METHOD_BYTES_MAX, host_header,
    sniff,
};
use proptest::prelude::*;

#[test]
fn first_bytes() {
    for (bytes, wanted) in [
        // Too little to tell.
        (&b""[..], NeedMore),
        (b"G", NeedMore),
        (b"GE", NeedMore),
        (b"\x16", NeedMore),
        (b"\x16\x03", NeedMore),
        (b"\x16\x03\x01\x02\x00", NeedMore),
        (b"P", NeedMore),
        (b"\r", NeedMore),
        (b"\r\n", NeedMore),
        // TLS: a handshake record that holds the start of a handshake message.
        (b"\x16\x03\x01\x02\x00\x01", Tls),
        (b"\x16\x03\x00\x02\x00\x01", Tls),
        (b"\x16\x03\x03\x02\x00\x02", Tls), // a ServerHello: for the TLS layer to refuse
        (b"\x16\x03\x01\xff\xff\x01", Tls), // too long a record: the same
        (b"\x16\x03\x01\x00\x00\x16", Tls), // an empty record: the same
        (b"\x16\x03\x01hello", Other),
        (b"\x16\x03\x04\x02\x00\x01", Other),
        (b"\x16\x02", Other),
        (b"\x16G", Other),
        (b"\x80\x1c\x01\x03\x03\x00\x06", Other), // a hello in the manner of SSLv2
        // HTTP/1.
        (b"GET / HTTP/1.1\r\n", Http1),
        (b"GET / HTTP/1.1\n", Http1),
        (b"GET / HTTP/", Http1),
        (b"GET / HTTP", NeedMore),
        (b"GET /a/long/path", NeedMore),
        (b"GO /x HTTP/1.1\r\n", Http1),
        (b"M-SEARCH * HTTP/1.1\r\n", Http1),
        (b"get / http/1.1\r\n", Other),
        (b"get / HTTP/1.1\r\n", Http1),
        (b"PROPFIND http://a.test/ HTTP/1.1\r\n", Http1),
        (b"CONNECT a.test:443 HTTP/1.1\r\n", Http1),
        (b"OPTIONS * HTTP/1.0\r\n", Http1),
        (b"\r\n\nGET / HTTP/1.1\r\n", Http1),
        (b"GET /caf\xc3\xa9 HTTP/1.1\r\n", Http1),
        // Meant as HTTP, and broken: the HTTP layer says so.
        (b"GET /\r\n", Http1),
        (b"GET /\n", Http1),
        (b"GET / HTTP/9.x\r\n", Http1),
        (b"GET  /  HTTP/1.1\r\n", Http1),
        (b"GET /a b HTTP/1.1\r\n", Http1),
        (b"GET http://a.test/\r\n", Http1),
        (b"CONNECT a.test:443\r\n", Http1),
        // HTTP/2.
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", NeedMore),
        (HTTP2_PREFACE, Http2Preface),
        (b"PRI * HTTP/2.0\r\n\r\nGET", Http1),
        // Other protocols, as soon as they cannot become a request line.
        (b"SSH-2.0-OpenSSH_9.9", Other),
        (b"EHLO me", NeedMore),
        (b"EHLO me\r", Other),
        (b"EHLO me\r\n", Other),
        (b"EHLO [192.0.2.1]", Other),
        (b"MAIL FROM:<a@b.test>\r\n", Other),
        (b"HELO\r\n", Other),
        (b"GET key\r\n", Other), // Redis, inline
        (b"OPTIONS rtsp://a.test/ RTSP/1.0\r\n", Other),
        (b"INVITE sip:b@a.test SIP", Other),
        (b"*1\r\n$4\r\nPING\r\n", Other),
        (b"\x00\xff\x00\xff", Other),
        (b"\x05\x01\x00", Other),
        (b"GET /\0", Other),
        (b"GET /\rX", Other),
        (b" GET / HTTP/1.1\r\n", Other),
        (b"\rGET / HTTP/1.1\r\n", Other),
        (b"\n\n\n\n\nGET / HTTP/1.1\r\n", Other),
        (b"{\"id\":1}\n", Other),
        (b"abc def\n", Other), // differs from mitmproxy, which answers it with a 400
    ] {
        assert_eq!(sniff(bytes), wanted, "{}", bytes.escape_ascii());
    }
}

#[test]
fn nothing_is_waited_for_without_end() {
    let long =
        |start: &str, filler: &str, count: usize| format!("{start}{}", filler.repeat(count)).into_bytes();
    assert_eq!(sniff(&long("", "x", METHOD_BYTES_MAX)), NeedMore);
    assert_eq!(sniff(&long("", "x", METHOD_BYTES_MAX + 1)), Other);
    assert_eq!(sniff(&long("GET /", "x", LINE_BYTES_MAX - 2)), NeedMore);
    assert_eq!(sniff(&long("GET /", "x", LINE_BYTES_MAX)), Http1, "the HTTP layer has a limit of its own");
    assert_eq!(sniff(&long("GET ", "x", LINE_BYTES_MAX)), Other);
    assert_eq!(sniff(&long("FOO /", "x", LINE_BYTES_MAX)), Other);
}

#[test]
fn host_of_a_head() {
    use HostState::{Absent, Host, NeedMore};
    for (head, wanted) in [
        (&b""[..], NeedMore),
        (b"GET / HTTP/1.1\r\n", NeedMore),
        (b"GET / HTTP/1.1\r\nHost: a.te", NeedMore),
        (b"GET / HTTP/1.1\r\nHost: a.test\r", NeedMore),
        (b"GET / HTTP/1.1\r\nHost: a.test\r\n", Host(b"a.test")),
        (b"GET / HTTP/1.1\nhost: a.test\n", Host(b"a.test")),
        (b"\r\nGET / HTTP/1.1\r\nX: y\r\nHost:a.test\r\n", Host(b"a.test")),
        (b"GET / HTTP/1.1\r\nHOST:\ta.test:99 \t\r\n", Host(b"a.test:99")),
        (b"GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n", Host(b"a.test")),
        (b"GET / HTTP/1.1\r\nHost: \r\nX-Up: a.test\r\n\r\n", Absent),
        (b"GET / HTTP/1.1\r\nHost:\r\n a.test\r\n\r\n", Absent),
        (b"GET / HTTP/1.1\r\nX: y\r\n Host: a.test\r\n\r\n", Absent),
        (b"GET / HTTP/1.1\r\nHostess: a.test\r\nHost : a.test\r\n\r\n", Absent),
        (b"GET / HTTP/1.1\r\n\r\n", Absent),
        (b"GET / HTTP/1.1\n\nHost: a.test\n", Absent),
        (b"POST / HTTP/1.1\r\nContent-Length: 24\r\n\r\nX\r\nHost: a.test\r\n\r\n", Absent),
        (b"GET /\r\nHost: a.test\r\n", Absent),
        // The target is not looked at.
        (b"GET http://b.test/ HTTP/1.1\r\nHost: a.test\r\n", Host(b"a.test")),
    ] {
        assert_eq!(host_header(head), wanted, "{}", head.escape_ascii());
    }
}

#[test]
fn a_host_beyond_the_limit_is_absent() {
    let mut head = format!("GET / HTTP/1.1\r\nCookie: {}", "x".repeat(HEAD_BYTES_MAX)).into_bytes();
    assert_eq!(host_header(&head[..HEAD_BYTES_MAX - 1]), HostState::NeedMore);
    assert_eq!(host_header(&head[..HEAD_BYTES_MAX]), HostState::Absent);
    head.extend(b"\r\nHost: a.test\r\n\r\n");
    assert_eq!(host_header(&head), HostState::Absent);
}

/// Bytes that keep coming close to one of the protocols.
fn near_misses() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: &[&[u8]] = &[
        b"GET ",
        b"CONNECT ",
        b"FOO ",
        b"PRI * HTTP/2.0\r\n",
        b"\r\nSM\r\n\r\n",
        b"/",
        b"*",
        b"a://b",
        b"a:1",
        b" HTTP/",
        b" HTTP/1.1",
        b" RTSP/1.0",
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b"Host:",
        b"x",
        b"\xe9",
        b"\0",
        b"SSH-",
        b"\x16",
        b"\x03",
        b"\x01",
        b"\x16\x03\x01",
    ];
    let piece = prop::sample::select(PIECES);
    prop_oneof![prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat()), any::<Vec<u8>>()]
}

proptest! {
    #[test]
    fn an_answer_stands(bytes in near_misses()) {
        let mut first = NeedMore;
        for length in 0..=bytes.len() {
            let answer = sniff(&bytes[..length]);
            if first == NeedMore {
                first = answer;
            }
            prop_assert_eq!(answer, first, "after {} of {}", length, bytes.escape_ascii());
        }
    }

    #[test]
    fn a_host_stands(bytes in near_misses(), steps in prop::collection::vec(1_usize..9, 1..9)) {
        let head = [b"GET / HTTP/1.1\r\n", &bytes[..]].concat();
        let whole = host_header(&head);
        let mut reader = HostReader::default();
        let mut received = 0;
        for step in steps.iter().cycle() {
            received = (received + step).min(head.len());
            let state = reader.read(&head[..received]);
            prop_assert!(state == HostState::NeedMore || state == whole);
            prop_assert_eq!(state, host_header(&head[..received]));
            if received == head.len() {
                break;
            }
        }
    }
}
