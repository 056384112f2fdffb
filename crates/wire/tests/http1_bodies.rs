//! Bodies: how they are delimited, and that taking them out of their delimiters does not depend on how bytes arrive.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use bytes::{Bytes, BytesMut};
use flowgate_flow::{Headers, HttpVersion};
use flowgate_wire::http1::{
    BodyDecoder, BodyError, BodyEvent, ChunkError, EncodeError, Framing, HeadError, push_chunk,
    push_last_chunk, request_framing, response_framing,
};
use flowgate_wire::limits::{CHUNK_LINE_BYTES_MAX, TRAILER_BYTES_MAX};
use proptest::prelude::*;

fn headers(fields: &[(&str, &str)]) -> Headers {
    fields.iter().copied().collect()
}

#[test]
fn requests_are_delimited_in_one_way_or_refused() {
    use BodyError as E;
    let check = |fields: &[(&str, &str)], want: Result<Framing, BodyError>| {
        assert_eq!(request_framing(&HttpVersion::Http11, &headers(fields)), want, "{fields:?}");
    };
    const CL: &str = "Content-Length";
    const TE: &str = "Transfer-Encoding";
    check(&[], Ok(Framing::None));
    check(&[(CL, "0")], Ok(Framing::Length(0)));
    check(&[(CL, "42")], Ok(Framing::Length(42)));
    check(&[("content-LENGTH", "9223372036854775807")], Ok(Framing::Length(i64::MAX as u64)));
    check(&[(TE, "chunked")], Ok(Framing::Chunked));
    check(&[(TE, "CHUNKED")], Ok(Framing::Chunked));
    check(&[(CL, "1"), (TE, "chunked")], Err(E::LengthAndEncoding));
    check(&[(CL, "1"), (CL, "1")], Err(E::RepeatedLength));
    check(&[(CL, "1, 1")], Err(E::RepeatedLength));
    for malformed in ["", "+3", "-1", "03", "0x3", "3 3", "3a", "9223372036854775808", "99999999999999999999"]
    {
        check(&[(CL, malformed)], Err(E::Length));
    }
    check(&[(TE, "chunked"), (TE, "chunked")], Err(E::RepeatedEncoding));
    for unknown in
        ["", "identity", "gzip, chunked", "chunked, chunked", "xchunked", "chunked;a=b", "chun\u{212a}ed"]
    {
        check(&[(TE, unknown)], Err(E::UnknownEncoding));
    }
    let chunked = headers(&[(TE, "chunked")]);
    assert_eq!(request_framing(&HttpVersion::Http10, &chunked), Err(E::MisplacedEncoding));
}

#[test]
fn responses_depend_on_status_and_method_too() {
    let check = |status, method: &[u8], fields: &[(&str, &str)], want| {
        let got = response_framing(&HttpVersion::Http11, status, &headers(fields), method);
        assert_eq!(got, want, "{status} {fields:?}");
    };
    let length = [("Content-Length", "5")];
    let chunked = [("Transfer-Encoding", "chunked")];
    check(200, b"GET", &[], Ok(Framing::UntilClose));
    check(200, b"GET", &length, Ok(Framing::Length(5)));
    check(200, b"GET", &chunked, Ok(Framing::Chunked));
    check(200, b"HEAD", &length, Ok(Framing::None));
    check(200, b"HEAD", &chunked, Ok(Framing::None));
    check(304, b"GET", &length, Ok(Framing::None));
    check(204, b"GET", &length, Ok(Framing::None));
    check(101, b"GET", &[], Ok(Framing::None));
    check(103, b"GET", &[], Ok(Framing::None));
    check(204, b"GET", &chunked, Err(BodyError::MisplacedEncoding));
    check(200, b"GET", &[length[0], chunked[0]], Err(BodyError::LengthAndEncoding));
}

/// A body, its trailers, and what is left behind it.
type Decoded = (Vec<u8>, Option<Headers>, Vec<u8>);

/// Decodes `bytes` that arrive cut at `cuts` and then end.
fn decode(framing: Framing, bytes: &[u8], cuts: &[usize]) -> Result<Decoded, BodyError> {
    let mut decoder = BodyDecoder::new(framing);
    let mut buf = BytesMut::new();
    let mut body = Vec::new();
    let mut from = 0;
    let arrivals = cuts.iter().copied().chain([bytes.len()]);
    for to in arrivals {
        buf.extend_from_slice(&bytes[from..to]);
        from = to;
        let eof = to == bytes.len();
        loop {
            match decoder.decode(&mut buf, eof)? {
                BodyEvent::NeedMore => break,
                BodyEvent::Data(data) => body.extend_from_slice(&data),
                BodyEvent::End(trailers) => {
                    let rest = [&buf[..], &bytes[from..]].concat();
                    return Ok((body, trailers, rest));
                }
            }
        }
    }
    unreachable!("an end of the stream is an end of the body or an error")
}

#[test]
fn chunks_are_read_as_the_grammar_says() {
    let ok = |text: &str, body: &str, rest: &str| {
        let (got, _, left) = decode(Framing::Chunked, text.as_bytes(), &[]).unwrap();
        assert_eq!((got.as_slice(), left.as_slice()), (body.as_bytes(), rest.as_bytes()), "{text:?}");
    };
    ok("0\r\n\r\n", "", "");
    ok("3\r\nabc\r\n0\r\n\r\nGET", "abc", "GET");
    ok("03\r\nabc\r\n2;ext=\"a b\"\r\nde\r\nA\r\n0123456789\r\n000\r\n\r\n", "abcde0123456789", "");
    ok("1 ;a\r\nx\r\n0\r\n\r\n", "x", "");
    let (_, trailers, _) = decode(Framing::Chunked, b"0\r\nX-Sum: 1\r\nx-sum: 2\r\n\r\n", &[]).unwrap();
    let trailers = trailers.unwrap();
    assert_eq!(trailers.get_all("x-SUM").collect::<Vec<_>>(), [b"1", b"2"]);
}

#[test]
fn malformed_chunks_are_refused() {
    let err = |text: &str, want: BodyError| {
        assert_eq!(decode(Framing::Chunked, text.as_bytes(), &[]).unwrap_err(), want, "{text:?}");
    };
    for size in ["", "x", "-1", "+1", "0x1", " 1", "1 ", "1 1", "1000000000000000", "1\t\u{b}"] {
        err(&format!("{size}\r\na\r\n0\r\n\r\n"), BodyError::Chunk(ChunkError::Size));
    }
    err("1\na\r\n0\r\n\r\n", BodyError::Chunk(ChunkError::Line));
    err("1;a\rb\r\na\r\n0\r\n\r\n", BodyError::Chunk(ChunkError::Line));
    err("1\r\nab\r\n0\r\n\r\n", BodyError::Chunk(ChunkError::DataEnd));
    err("1\r\na\n0\r\n\r\n", BodyError::Chunk(ChunkError::DataEnd));
    err("0\r\n\n", BodyError::Chunk(ChunkError::Line));
    for cut in ["", "1", "1\r\n", "1\r\na", "1\r\na\r\n", "0\r\n", "0\r\nA: b\r\n"] {
        err(cut, BodyError::Cut);
    }
    assert!(matches!(
        decode(Framing::Chunked, b"0\r\n bad\r\n\r\n", &[]),
        Err(BodyError::Chunk(ChunkError::Trailers(_)))
    ));
}

#[test]
fn chunk_limits_hold() {
    let line = |len: usize| format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(len - 3));
    assert!(decode(Framing::Chunked, line(CHUNK_LINE_BYTES_MAX).as_bytes(), &[]).is_ok());
    let err = decode(Framing::Chunked, line(CHUNK_LINE_BYTES_MAX + 1).as_bytes(), &[]).unwrap_err();
    assert_eq!(err, BodyError::Chunk(ChunkError::LineTooLong));
    let trailers = |len: usize| format!("0\r\nA: {}\r\n\r\n", "t".repeat(len - 7));
    assert!(decode(Framing::Chunked, trailers(TRAILER_BYTES_MAX).as_bytes(), &[]).is_ok());
    let err = decode(Framing::Chunked, trailers(TRAILER_BYTES_MAX + 1).as_bytes(), &[]).unwrap_err();
    assert_eq!(err, BodyError::Chunk(ChunkError::TrailersTooLong));
}

/// What frames or addresses a message is neither read nor written behind its body (RFC 9110 section 6.5.1).
#[test]
fn trailers_frame_nothing() {
    for name in ["Content-Length", "transfer-encoding", "HOST"] {
        let section = format!("0\r\nA: b\r\n{name}: 5\r\n\r\n");
        let want = BodyError::Chunk(ChunkError::Trailers(HeadError::NoTrailer { at: 6 }));
        assert_eq!(decode(Framing::Chunked, section.as_bytes(), &[]).unwrap_err(), want);
        let trailers: Headers = [("A", "b"), (name, "5")].into_iter().collect();
        let mut out = BytesMut::new();
        let refused = push_last_chunk(Some(&trailers), &mut out);
        assert_eq!((refused, &out[..]), (Err(EncodeError::NoTrailer { index: 1 }), &b""[..]));
    }
}

#[test]
fn lengths_and_ends() {
    assert_eq!(
        decode(Framing::Length(3), b"abcdef", &[1]).unwrap(),
        (b"abc".to_vec(), None, b"def".to_vec())
    );
    assert_eq!(decode(Framing::Length(3), b"ab", &[]).unwrap_err(), BodyError::Cut);
    assert_eq!(decode(Framing::UntilClose, b"abc", &[1]).unwrap(), (b"abc".to_vec(), None, Vec::new()));
    assert_eq!(decode(Framing::None, b"abc", &[]).unwrap(), (Vec::new(), None, b"abc".to_vec()));
}

proptest! {
    #[test]
    fn what_was_chunked_comes_back(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6),
        trailers in prop::option::of(prop::collection::vec(("[xX][a-zA-Z-]{0,8}", "[!-~]{0,9}"), 1..4)),
        raw_cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..9),
    ) {
        let mut out = BytesMut::new();
        for piece in &pieces {
            push_chunk(&Bytes::copy_from_slice(piece), &mut out);
        }
        let trailers: Option<Headers> = trailers.map(|fields| fields.into_iter().collect());
        push_last_chunk(trailers.as_ref(), &mut out).unwrap();
        out.extend_from_slice(b"NEXT");
        let mut cuts: Vec<usize> = raw_cuts.iter().map(|index| index.index(out.len())).collect();
        cuts.sort_unstable();
        let (body, got, rest) = decode(Framing::Chunked, &out, &cuts).unwrap();
        prop_assert_eq!(body, pieces.concat());
        prop_assert_eq!(got, trailers);
        prop_assert_eq!(rest, b"NEXT");
    }

    #[test]
    fn no_bytes_panic_and_segmentation_does_not_matter(
        bytes in prop::collection::vec(prop_oneof![4 => prop::sample::select(&b"0123aA;\r\n:"[..]), 1 => any::<u8>()], 0..60),
        at in any::<prop::sample::Index>(),
    ) {
        let whole = decode(Framing::Chunked, &bytes, &[]);
        let cut = at.index(bytes.len() + 1);
        prop_assert_eq!(decode(Framing::Chunked, &bytes, &[cut]), whole);
    }
}
