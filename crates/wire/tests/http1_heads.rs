//! Heads: what is parsed and written again is byte-identical, however the bytes arrived; what has two readings is refused.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use bytes::{Bytes, BytesMut};
use flowgate_flow::{Headers, HttpVersion};
use flowgate_wire::http1::{
    EncodeError, HeadError, HeadScanner, Names, Scan, encode_request, encode_request_with, encode_response,
    is_token, parse_request, parse_request_with, parse_response, parse_response_with,
};
use flowgate_wire::limits::{BLANK_LINES_MAX, HEAD_BYTES_MAX, HEAD_FIELDS_MAX, TARGET_BYTES_MAX};
use proptest::prelude::*;

/// Feeds `bytes` cut at `cuts`; gives the head and what is left behind it.
fn scan(bytes: &[u8], cuts: &[usize]) -> Result<Option<(Bytes, Bytes)>, HeadError> {
    let mut scanner = HeadScanner::default();
    let mut buf = BytesMut::new();
    let mut from = 0;
    let mut found = None;
    for to in cuts.iter().copied().chain([bytes.len()]) {
        buf.extend_from_slice(&bytes[from..to]);
        from = to;
        if found.is_none()
            && let Scan::Head(len) = scanner.scan(&mut buf)?
        {
            found = Some(buf.split_to(len).freeze());
        }
    }
    Ok(found.map(|head| (head, buf.freeze())))
}

fn request_again(head: Bytes) -> Result<Vec<u8>, HeadError> {
    let parsed = parse_request(head)?;
    let mut out = BytesMut::new();
    encode_request(&parsed.method, &parsed.target, &parsed.version, &parsed.headers, &mut out).unwrap();
    Ok(out.to_vec())
}

fn response_again(head: Bytes) -> Result<Vec<u8>, HeadError> {
    let parsed = parse_response(head)?;
    let mut out = BytesMut::new();
    encode_response(&parsed.version, parsed.status, &parsed.reason, &parsed.headers, &mut out).unwrap();
    Ok(out.to_vec())
}

#[test]
fn odd_but_legal_heads_cross_unchanged() {
    for head in [
        "GET / HTTP/1.1\r\n\r\n",
        "get /a?b#c HTTP/1.0\r\nHost:x\r\n\r\n",
        "M-SEARCH * HTTP/1.1\r\nX:  two  \r\nx:\t\r\nX-b: 1\r\nx-A: 2\r\nX-B: 3\r\n\r\n",
        "GET http://h:1/`\u{e9} HTTP/1.1\r\nCookie: a\r\nB: \u{e9}\u{ff}\r\nCookie: b\r\n\r\n",
    ] {
        assert_eq!(request_again(Bytes::from(head)).unwrap(), head.as_bytes(), "{head:?}");
    }
    for head in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.0 999 \r\nA:b\r\n\r\n",
        "HTTP/1.1 404 Nicht da \u{e4}\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\n",
    ] {
        assert_eq!(response_again(Bytes::from(head)).unwrap(), head.as_bytes(), "{head:?}");
    }
    // The space before an empty reason is part of the grammar, so it is written although it was not sent.
    assert_eq!(response_again(Bytes::from("HTTP/1.1 200\r\n\r\n")).unwrap(), b"HTTP/1.1 200 \r\n\r\n");
    // Bare LF is read (RFC 9112 section 2.2) and never written.
    assert_eq!(
        request_again(Bytes::from("GET / HTTP/1.1\nA: b\n\n")).unwrap(),
        b"GET / HTTP/1.1\r\nA: b\r\n\r\n"
    );
}

#[test]
fn what_is_no_head_is_refused() {
    use HeadError as E;
    let request = |text: &str, want: HeadError| {
        let got = parse_request(Bytes::copy_from_slice(text.as_bytes())).map(|_| ()).unwrap_err();
        assert_eq!(got, want, "{text:?}");
    };
    request("\r\n", E::RequestLine);
    request("GET\r\n\r\n", E::RequestLine);
    request("GET /\r\n\r\n", E::RequestLine);
    request("GET  / HTTP/1.1\r\n\r\n", E::RequestLine);
    request("GET /  HTTP/1.1\r\n\r\n", E::RequestLine);
    request("GET / HTTP/1.1 \r\n\r\n", E::RequestLine);
    request("GET / HTTP/1.2\r\n\r\n", E::Version);
    request("GET / HTTP/2.0\r\n\r\n", E::Version);
    request("GET / http/1.1\r\n\r\n", E::RequestLine);
    request("G\u{e9}T / HTTP/1.1\r\n\r\n", E::Method);
    request(" GET / HTTP/1.1\r\n\r\n", E::Method);
    request("GET /\0 HTTP/1.1\r\n\r\n", E::TargetByte { at: 5 });
    request("GET /\t HTTP/1.1\r\n\r\n", E::TargetByte { at: 5 });
    request("GET / HTTP/1.1\r\nA b: c\r\n\r\n", E::Name { at: 16 });
    request("GET / HTTP/1.1\r\nA : c\r\n\r\n", E::Name { at: 16 });
    request("GET / HTTP/1.1\r\n: c\r\n\r\n", E::Name { at: 16 });
    request("GET / HTTP/1.1\r\nAc\r\n\r\n", E::NoColon { at: 16 });
    request("GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", E::Folded { at: 22 });
    request("GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", E::ControlByte { at: 20 });
    request("GET / HTTP/1.1\r\nA: b\0\r\n\r\n", E::ControlByte { at: 20 });
    let response = |text: &str, want: HeadError| {
        let got = parse_response(Bytes::copy_from_slice(text.as_bytes())).map(|_| ()).unwrap_err();
        assert_eq!(got, want, "{text:?}");
    };
    response("HTTP/1.1\r\n\r\n", E::StatusLine);
    response("HTTP/1.1 20 OK\r\n\r\n", E::StatusLine);
    response("HTTP/1.1 099 OK\r\n\r\n", E::StatusLine);
    response("HTTP/1.1 2000\r\n\r\n", E::StatusLine);
    response("HTTP/1.1  200 OK\r\n\r\n", E::StatusLine);
    response("HTTP/1.1 +20 OK\r\n\r\n", E::StatusLine);
    response("ICY 200 OK\r\n\r\n", E::Version);
    response("HTTP/1.1 200 O\rK\r\n\r\n", E::ControlByte { at: 14 });
}

#[test]
fn limits_hold_at_the_limit_and_one_beyond() {
    let head = |filler: usize| format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(filler)).into_bytes();
    let room = HEAD_BYTES_MAX - head(0).len();
    assert!(scan(&head(room), &[]).unwrap().is_some());
    assert_eq!(scan(&head(room + 1), &[]).unwrap_err(), HeadError::TooLong);
    assert_eq!(scan(&[b'x'; HEAD_BYTES_MAX], &[]), Ok(None));
    assert_eq!(scan(&[b'x'; HEAD_BYTES_MAX + 1], &[]), Err(HeadError::TooLong));

    let fields = |n: usize| Bytes::from(format!("GET / HTTP/1.1\r\n{}\r\n", "a:\r\n".repeat(n)));
    assert_eq!(parse_request(fields(HEAD_FIELDS_MAX)).unwrap().headers.len(), HEAD_FIELDS_MAX);
    assert_eq!(parse_request(fields(HEAD_FIELDS_MAX + 1)).unwrap_err(), HeadError::TooManyFields);

    let target = |n: usize| Bytes::from(format!("GET {} HTTP/1.1\r\n\r\n", "/".repeat(n)));
    assert!(parse_request(target(TARGET_BYTES_MAX)).is_ok());
    assert_eq!(parse_request(target(TARGET_BYTES_MAX + 1)).unwrap_err(), HeadError::TargetTooLong);

    let blank = |n: usize| format!("{}GET / HTTP/1.1\r\n\r\n", "\r\n".repeat(n)).into_bytes();
    assert!(scan(&blank(BLANK_LINES_MAX), &[]).unwrap().is_some());
    assert_eq!(scan(&blank(BLANK_LINES_MAX + 1), &[]).unwrap_err(), HeadError::RequestLine);
}

#[test]
fn the_encoder_writes_nothing_that_splits() {
    let mut out = BytesMut::new();
    let mut try_field = |name: &str, value: &str| {
        let headers: Headers = [(name, value)].into_iter().collect();
        encode_request(b"GET", b"/", &HttpVersion::Http11, &headers, &mut out)
    };
    assert_eq!(try_field("a", "b\r\nc: d"), Err(EncodeError::Value { index: 0 }));
    assert_eq!(try_field("a", "b\nc"), Err(EncodeError::Value { index: 0 }));
    assert_eq!(try_field("a", "\0"), Err(EncodeError::Value { index: 0 }));
    assert_eq!(try_field("a: b\r\nc", "d"), Err(EncodeError::Name { index: 0 }));
    assert_eq!(try_field("a ", "b"), Err(EncodeError::Name { index: 0 }));
    assert_eq!(try_field("", "b"), Err(EncodeError::Name { index: 0 }));
    let none = Headers::new();
    let mut request =
        |method: &[u8], target: &[u8]| encode_request(method, target, &HttpVersion::Http11, &none, &mut out);
    assert_eq!(request(b"GET /", b"/"), Err(EncodeError::Method));
    assert_eq!(request(b"GET", b"/ HTTP/1.1\r\n"), Err(EncodeError::Target));
    assert_eq!(request(b"GET", b""), Err(EncodeError::Target));
    let mut response =
        |status, reason: &[u8]| encode_response(&HttpVersion::Http11, status, reason, &none, &mut out);
    assert_eq!(response(99, b""), Err(EncodeError::Status(99)));
    assert_eq!(response(1000, b""), Err(EncodeError::Status(1000)));
    assert_eq!(response(200, b"OK\r\nA: b"), Err(EncodeError::Reason));
    assert!(out.is_empty(), "nothing of a refused head is written");
}

fn field_line() -> impl Strategy<Value = String> {
    ("[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}", "[ \t]{0,2}", "([ -~\u{80}-\u{ff}\t]{0,20})")
        .prop_map(|(name, space, value)| format!("{name}:{space}{value}\r\n"))
}

fn request_head() -> impl Strategy<Value = String> {
    (
        "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,9}",
        "[!-~\u{80}-\u{ff}]{1,20}",
        "1\\.[01]",
        prop::collection::vec(field_line(), 0..9),
    )
        .prop_map(|(method, target, version, fields)| {
            format!("{method} {target} HTTP/{version}\r\n{}\r\n", fields.concat())
        })
}

fn cuts(len: usize) -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..=len, 0..8).prop_map(|mut cuts| {
        cuts.sort_unstable();
        cuts
    })
}

proptest! {
    #[test]
    fn any_segmentation_and_back((head, cuts) in request_head().prop_flat_map(|head| {
        let len = head.len() + 4;
        (Just(head), cuts(len))
    })) {
        let bytes = [head.as_bytes(), b"rest"].concat();
        let (found, rest) = scan(&bytes, &cuts).unwrap().unwrap();
        prop_assert_eq!(&found, head.as_bytes());
        prop_assert_eq!(&rest, "rest");
        prop_assert_eq!(request_again(found).unwrap(), head.as_bytes());
    }

    #[test]
    fn byte_by_byte_is_the_same(head in request_head()) {
        let every: Vec<usize> = (0..=head.len()).collect();
        prop_assert_eq!(scan(head.as_bytes(), &every), scan(head.as_bytes(), &[]));
    }

    #[test]
    fn responses_too(status in 100u16..1000, reason in "[ -~\u{80}-\u{ff}]{0,12}", fields in prop::collection::vec(field_line(), 0..9)) {
        let head = format!("HTTP/1.1 {status} {reason}\r\n{}\r\n", fields.concat());
        prop_assert_eq!(response_again(Bytes::from(head.clone())).unwrap(), head.as_bytes());
    }

    /// Whatever the parser takes, the encoder writes, and what it writes is taken the same way again.
    #[test]
    fn no_bytes_panic_and_what_is_taken_is_stable(bytes in prop::collection::vec(prop_oneof![
        4 => prop::sample::select(&b"GET / HTTP/1.1\r\n: \t\0"[..]),
        1 => any::<u8>(),
    ], 0..120)) {
        let cut_anywhere = scan(&bytes, &[bytes.len() / 2]);
        prop_assert_eq!(&cut_anywhere, &scan(&bytes, &[]));
        if let Ok(Some((head, _))) = cut_anywhere {
            if let Ok(written) = request_again(head.clone()) {
                prop_assert_eq!(request_again(Bytes::from(written.clone())).unwrap(), written);
            }
            if let Ok(written) = response_again(head) {
                prop_assert_eq!(response_again(Bytes::from(written.clone())).unwrap(), written);
            }
        }
    }
}

/// What `validate_inbound_headers=false` lets through, and what it never does: each byte that a name may hold or not.
#[test]
fn names_may_be_relaxed_by_visible_characters_only() {
    for byte in 0..=255u8 {
        let head = [b"GET / HTTP/1.1\r\nX".as_slice(), &[byte], b"Y: z\r\n\r\n"].concat();
        let strict = parse_request(head.clone().into()).is_ok();
        // A colon ends the name, a line feed the line: then it is another name, or a line without a colon.
        let relaxed = parse_request_with(head.clone().into(), Names::Visible);
        assert_eq!(strict, is_token(&[byte]) || byte == b':', "{byte:#x}");
        assert_eq!(relaxed.is_ok(), byte.is_ascii_graphic(), "{byte:#x}");
        let Ok(relaxed) = relaxed else { continue };
        let encode = |names| {
            let mut out = BytesMut::new();
            encode_request_with(b"GET", b"/", &HttpVersion::Http11, &relaxed.headers, names, &mut out)
                .map(|()| out)
        };
        assert_eq!(encode(Names::Visible).unwrap(), head, "{byte:#x}");
        assert_eq!(encode(Names::Tokens).is_ok(), strict, "{byte:#x}");
        let response = [b"HTTP/1.1 200 OK\r\nX".as_slice(), &[byte], b"Y: z\r\n\r\n"].concat();
        assert!(parse_response_with(response.clone().into(), Names::Visible).is_ok());
        assert_eq!(parse_response(response.into()).is_ok(), strict);
    }
}
