//! Tables of what is told of failures, and of what may be tried again.

use std::io;

use bytes::Bytes;
use flowgate_flow::{Body, Headers, HttpVersion, PseudoFields, Request};
use flowgate_wire::http1::{ChunkError, Framing, HeadError};

use super::*;

fn request(method: &'static str) -> Request {
    Request {
        version: HttpVersion::Http11,
        method: Bytes::from_static(method.as_bytes()),
        scheme: Bytes::from_static(b"http"),
        host: "a".into(),
        port: 80,
        authority: Bytes::new(),
        path: Bytes::from_static(b"/"),
        pseudo: PseudoFields::default(),
        headers: Headers::new(),
        body: Body::EMPTY,
        trailers: None,
        timestamp_start: clock::now(),
        timestamp_end: None,
    }
}

fn reset() -> SideError {
    SideError::Io(io::ErrorKind::ConnectionReset.into())
}

#[test]
fn what_may_be_sent_again() {
    let check = |method, framing, failure: Failure, refused: &'static [u8], expected: bool| {
        let mut exchange = Exchange::new(request(method), framing, 0);
        exchange.refused = Bytes::from_static(refused);
        assert_eq!(
            may_try_again(&exchange, &failure),
            expected,
            "{method} {framing:?} {failure:?} {refused:?}"
        );
    };
    let head = |err| Failure::on_server(Phase::Head, err);
    for (method, safe) in [
        ("GET", true),
        ("HEAD", true),
        ("OPTIONS", true),
        ("TRACE", true),
        ("POST", false),
        ("PUT", false),
        ("DELETE", false),
        ("PATCH", false),
        ("get", false),
        ("MADEUP", false),
    ] {
        check(method, Framing::None, head(SideError::Closed), b"", safe);
        check(method, Framing::None, head(reset()), b"", safe);
        check(method, Framing::Length(1), head(SideError::Closed), b"", false);
        check(method, Framing::Chunked, head(reset()), b"", false);
    }
    // Something came back, or it is no loss of the connection.
    check("GET", Framing::None, head(SideError::Closed), b"HTTP/1.1 2", false);
    check("GET", Framing::None, head(reset()), b"H", false);
    check("GET", Framing::None, Failure::on_server(Phase::Body, reset()), b"", false);
    check("GET", Framing::None, Failure::on_client(Phase::Head, reset()), b"", false);
    check("GET", Framing::None, head(SideError::Head(HeadError::StatusLine)), b"", false);
    check("GET", Framing::None, head(SideError::TooManyInterim), b"", false);
    let idle = Failure { side: Side::Server, phase: Phase::Head, cause: Cause::Idle(Duration::from_secs(1)) };
    check("GET", Framing::None, idle, b"", false);
}

#[test]
fn how_failures_are_told() {
    let cut = || SideError::Body(BodyError::Cut);
    let malformed = || SideError::Body(BodyError::Chunk(ChunkError::Size));
    let of = |side, cause| Failure { side, phase: Phase::Body, cause };
    for (failure, answered, status, client_gone, message) in [
        (of(Side::Client, Cause::Side(cut())), false, 502, true, "Client disconnected."),
        (of(Side::Client, Cause::Side(reset())), true, 502, true, "Client disconnected."),
        (
            of(Side::Client, Cause::Side(malformed())),
            false,
            400,
            false,
            "The request was refused: malformed chunk size.",
        ),
        (
            of(Side::Client, Cause::TooLarge(9)),
            false,
            413,
            false,
            "The request was refused: its body is longer than body_size_limit, 9 bytes.",
        ),
        (
            of(Side::Server, Cause::TooLarge(9)),
            true,
            502,
            false,
            "server: the response's body is longer than body_size_limit, 9 bytes",
        ),
        (
            of(Side::Server, Cause::Idle(Duration::from_secs(9))),
            false,
            504,
            false,
            "nothing was sent or received for 9 s",
        ),
        (
            of(Side::Server, Cause::Side(SideError::Closed)),
            false,
            502,
            false,
            "server closed the connection before it answered",
        ),
        (
            of(Side::Server, Cause::Side(SideError::Closed)),
            true,
            502,
            false,
            "server closed the connection inside the response",
        ),
        (of(Side::Server, Cause::Side(malformed())), true, 502, false, "server: malformed chunk size"),
        (of(Side::Server, Cause::Side(reset())), false, 502, false, "server: connection reset"),
    ] {
        let told = (failure.status(), failure.is_client_gone(), failure.message(answered));
        assert_eq!(told, (status, client_gone, message.to_owned()), "{failure:?}");
    }
}
