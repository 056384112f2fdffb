//! The last gate: whatever a hook, an edit, a replay or a translation asks to be sent, what is written is one message that reads
//! back as what was asked for, or nothing is written at all.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use bytes::{Buf, Bytes, BytesMut};
use flowgate_flow::{FieldSpan, Headers, HttpVersion};
use flowgate_wire::http1::{
    BodyDecoder, BodyEvent, EncodeError, Framing, HeadScanner, Scan, check_request_framing,
    check_response_framing, encode_request, encode_response, parse_request, parse_response, push_chunk,
    push_last_chunk, request_framing, response_framing,
};
use proptest::prelude::*;

/// Bytes as somebody types them who means harm, or no harm.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => "[a-zA-Z0-9-]{1,6}".prop_map(String::into_bytes),
        2 => prop::sample::select(vec![
            &b"\r\n"[..], b"\n", b"\r", b"\0", b" ", b"\t", b":", b"\x0b", b"\x7f", b"\x85", b"\xa0", b"HTTP/1.1", b"\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ]).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

fn field() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let framing = prop::sample::select(vec![
        ("Content-Length", "5"),
        ("Content-Length", "0"),
        ("Content-Length", "6"),
        ("content-length", "+5"),
        ("Content-Length", "5, 5"),
        ("Transfer-Encoding", "chunked"),
        ("Transfer-Encoding", "identity"),
        ("transfer-encoding", "Chunked"),
        ("Transfer-Encoding ", "chunked"),
        ("Host", "a"),
        ("Host", "b"),
    ]);
    prop_oneof![
        3 => framing.prop_map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())),
        3 => ("[A-Za-z][A-Za-z-]{0,8}", "[ -~]{0,9}").prop_map(|(name, value)| (name.into_bytes(), value.into_bytes())),
        2 => (text(), text()),
    ]
}

/// Fields as they come about: pushed, or as any spans into any block (an import, a bug).
fn headers() -> impl Strategy<Value = Headers> {
    let pushed = prop::collection::vec(field(), 0..5).prop_map(|fields| fields.into_iter().collect());
    let part = || 0u32..12;
    let spans = prop::collection::vec((part(), part(), part(), part(), part()), 0..3);
    let any_block = (text(), spans).prop_map(|(block, spans)| {
        let spans = spans.into_iter().map(|(line_start, line_len, name_len, value_start, value_len)| {
            FieldSpan { line_start, line_len, name_len, value_start, value_len }
        });
        Headers::from_block(Bytes::from(block), spans.collect()).unwrap_or_default()
    });
    prop_oneof![3 => pushed, 1 => any_block, 2 => edited()]
}

/// Fields that were parsed, and what an edit makes of them: what is taken out and put in.
fn edited() -> impl Strategy<Value = Headers> {
    let line = ("[A-Za-z]{1,3}", "[ \t]{0,2}[!-~]{0,9}[ \t]{0,2}", prop::sample::select(vec!["\n", "\r\n"]));
    let lines = prop::collection::vec(line, 0..5);
    let edits = prop::collection::vec((any::<bool>(), text(), text(), 0usize..5), 0..3);
    (lines, edits).prop_map(|(lines, edits)| {
        let lines: String = lines.iter().map(|(name, value, end)| format!("{name}:{value}{end}")).collect();
        let head = format!("GET / HTTP/1.1\r\n{lines}\r\n");
        let mut headers = parse_request(Bytes::from(head)).unwrap().headers;
        for (puts_in, name, value, at) in edits {
            let there = headers.iter().nth(at).map(|field| field.name.to_vec());
            match there {
                Some(there) if !puts_in => _ = headers.remove(there),
                _ => headers.insert(at, name, value),
            }
        }
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

fn fields(headers: &Headers) -> Vec<(Vec<u8>, Vec<u8>)> {
    headers.iter().map(|field| (field.name.to_vec(), field.value.trim_ascii().to_vec())).collect()
}

/// Puts a body of `hello` behind a head, as it was announced to the gate.
fn put_body(framing: Framing, out: &mut BytesMut) {
    match framing {
        Framing::None | Framing::Length(0) => {}
        Framing::Length(_) | Framing::UntilClose => out.extend_from_slice(b"hello"),
        Framing::Chunked => {
            push_chunk(&Bytes::from_static(b"hello"), out);
            push_last_chunk(None, out).unwrap();
        }
    }
}

/// The head of what was written, and what is left when its body was read too.
fn take_head(out: &mut BytesMut) -> Bytes {
    match HeadScanner::default().scan(out).unwrap() {
        Scan::Head(len) => out.split_to(len).freeze(),
        Scan::NeedMore => panic!("no head: {out:?}"),
    }
}

fn take_body(framing: Framing, out: &mut BytesMut) -> Vec<u8> {
    let mut decoder = BodyDecoder::new(framing);
    let mut body = Vec::new();
    loop {
        match decoder.decode(out, framing == Framing::UntilClose).unwrap() {
            BodyEvent::Data(mut data) => body.extend_from_slice(&data.copy_to_bytes(data.len())),
            BodyEvent::End(_) => return body,
            BodyEvent::NeedMore => panic!("a body that does not end"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_request_is_one_request(
        method in prop_oneof![Just(b"POST".to_vec()), text()],
        target in prop_oneof![Just(b"/".to_vec()), text()],
        version in version(),
        headers in headers(),
        framing in framing(),
    ) {
        let mut out = BytesMut::new();
        let checked = check_request_framing(&version, &headers, framing);
        if checked.and_then(|()| encode_request(&method, &target, &version, &headers, &mut out)).is_err() {
            prop_assert!(out.is_empty());
            return Ok(());
        }
        put_body(framing, &mut out);
        let body_wanted: &[u8] = if matches!(framing, Framing::Length(5) | Framing::Chunked) { b"hello" } else { b"" };
        out.extend_from_slice(b"GET /next");
        let head = parse_request(take_head(&mut out)).unwrap();
        prop_assert_eq!(head.method.to_vec(), method);
        prop_assert_eq!(head.target.to_vec(), target);
        prop_assert_eq!(fields(&head.headers), fields(&headers));
        prop_assert!(head.headers.get_all("host").count() < 2);
        let read = request_framing(&head.version, &head.headers).unwrap();
        prop_assert_eq!(take_body(read, &mut out), body_wanted);
        prop_assert_eq!(&out[..], b"GET /next");
    }

    #[test]
    fn a_response_is_one_response(
        method in prop::sample::select(vec![&b"GET"[..], b"HEAD"]),
        status in prop_oneof![prop::sample::select(vec![100, 101, 103, 200, 204, 304, 404]), any::<u16>()],
        reason in prop_oneof![Just(b"OK".to_vec()), text()],
        version in version(),
        headers in headers(),
        framing in framing(),
    ) {
        let mut out = BytesMut::new();
        let seen = check_response_framing(&version, status, &headers, method, framing);
        let written = seen.and_then(|seen| {
            encode_response(&version, status, &reason, &headers, &mut out).map(|()| seen)
        });
        let Ok(seen) = written else {
            prop_assert!(out.is_empty());
            return Ok(());
        };
        put_body(framing, &mut out);
        let head = parse_response(take_head(&mut out)).unwrap();
        prop_assert_eq!(head.status, status);
        prop_assert_eq!(head.reason.to_vec(), reason);
        prop_assert_eq!(fields(&head.headers), fields(&headers));
        let read = response_framing(&head.version, head.status, &head.headers, method).unwrap();
        prop_assert_eq!(read, seen);
        if seen != Framing::UntilClose {
            out.extend_from_slice(b"HTTP/1.1 404 ");
        }
        let body = take_body(read, &mut out);
        let has_body = matches!(framing, Framing::Length(5) | Framing::Chunked | Framing::UntilClose);
        prop_assert_eq!(body, if has_body { &b"hello"[..] } else { b"" });
        let behind: &[u8] = if seen == Framing::UntilClose { b"" } else { b"HTTP/1.1 404 " };
        prop_assert_eq!(&out[..], behind);
    }

    /// Trailers come from the peer, and through hooks, too.
    #[test]
    fn trailers_end_where_they_end(trailers in headers()) {
        let mut out = BytesMut::new();
        if push_last_chunk(Some(&trailers), &mut out).is_err() {
            prop_assert!(out.is_empty());
            return Ok(());
        }
        out.extend_from_slice(b"GET /next");
        prop_assert_eq!(take_body(Framing::Chunked, &mut out), b"");
        prop_assert_eq!(&out[..], b"GET /next");
    }
}

#[test]
fn the_body_must_be_the_one_announced() {
    let check = |fields: &[(&str, &str)], body| {
        check_request_framing(&HttpVersion::Http11, &fields.iter().copied().collect(), body)
    };
    assert_eq!(check(&[("Host", "a")], Framing::None), Ok(()));
    assert_eq!(check(&[("Content-Length", "0")], Framing::None), Ok(()));
    assert_eq!(check(&[], Framing::Length(5)), Err(EncodeError::Framing));
    assert_eq!(check(&[("Content-Length", "5")], Framing::None), Err(EncodeError::Framing));
    assert_eq!(check(&[("Content-Length", "6")], Framing::Length(5)), Err(EncodeError::Framing));
    assert_eq!(check(&[("Content-Length", "5")], Framing::Chunked), Err(EncodeError::Framing));
    let both = [("Content-Length", "5"), ("Transfer-Encoding", "chunked")];
    assert_eq!(check(&both, Framing::Chunked), Err(EncodeError::Framing));
    assert_eq!(check(&[("Host", "a"), ("host", "a")], Framing::None), Err(EncodeError::Hosts));
}
