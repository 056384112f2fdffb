//! A recorded request in the place of a client: the exchange runs as with a client that has gone to sleep after it asked.

use std::task::{Context, Poll};

use bytes::Bytes;
use flowgate_flow::{Body, Headers, HttpVersion, Request, Response};
use flowgate_wire::http1::{BodyEvent, Framing, request_framing};
use flowgate_wire::http2::Code;

use super::body_way::BodyReader;
use super::side::{ClientSide, SideError};

/// Gives one request's body, and takes whatever comes back.
pub(super) struct ReplayClient {
    body: BodyReader,
    trailers: Option<Headers>,
    ended: bool,
}

impl ReplayClient {
    /// Takes the body out of a request, and says how it is delimited from here on: as it was recorded, where that fits the body that
    /// there is.
    pub(super) fn new(request: &mut Request) -> (Self, Framing) {
        let body = std::mem::replace(&mut request.body, Body::EMPTY);
        let trailers = request.trailers.take().filter(|trailers| !trailers.is_empty());
        let framing = delimit(request, body.len().unwrap_or(0), trailers.is_some());
        (Self { body: BodyReader::new(body), trailers, ended: false }, framing)
    }
}

fn delimit(request: &mut Request, len: u64, trailers: bool) -> Framing {
    let recorded = request_framing(&request.version, &request.headers);
    if !request.version.is_http1() {
        if request.headers.contains("content-length") {
            if recorded != Ok(Framing::Length(len)) {
                request.headers.set("content-length", len.to_string());
            }
            return Framing::Length(len);
        }
        return if len == 0 && !trailers { Framing::None } else { Framing::Chunked };
    }
    match recorded {
        Ok(Framing::Chunked) => return Framing::Chunked,
        Ok(Framing::Length(said)) if said == len && !trailers => return Framing::Length(len),
        Ok(Framing::None) if len == 0 && !trailers => return Framing::None,
        _ => {}
    }
    // Somebody edited the one or the other since.
    for name in ["content-length", "transfer-encoding"] {
        request.headers.remove(name);
    }
    if trailers && request.version == HttpVersion::Http11 {
        request.headers.push("Transfer-Encoding", "chunked");
        return Framing::Chunked;
    }
    request.headers.push("Content-Length", len.to_string());
    Framing::Length(len)
}

impl ClientSide for ReplayClient {
    fn poll_body(&mut self, _cx: &mut Context<'_>) -> Poll<Result<BodyEvent, SideError>> {
        if let Some(piece) = self.body.next().map_err(SideError::Held)? {
            return Poll::Ready(Ok(BodyEvent::Data(piece)));
        }
        if std::mem::replace(&mut self.ended, true) {
            return Poll::Pending;
        }
        Poll::Ready(Ok(BodyEvent::End(self.trailers.take())))
    }

    fn send_interim(&mut self, _head: &Response) -> Result<(), SideError> {
        Ok(())
    }

    fn send_response(&mut self, _head: &mut Response, _framing: Framing) -> Result<(), SideError> {
        Ok(())
    }

    fn poll_room(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), SideError>> {
        Poll::Ready(Ok(()))
    }

    fn send_data(&mut self, _data: Bytes) -> Result<(), SideError> {
        Ok(())
    }

    fn send_end(&mut self, _trailers: Option<&Headers>) -> Result<(), SideError> {
        Ok(())
    }

    fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), SideError>> {
        Poll::Ready(Ok(()))
    }

    fn send_own(&mut self, _head: &Response, _body: Bytes) -> Result<(), SideError> {
        Ok(())
    }

    fn poll_gone(&mut self, _cx: &mut Context<'_>) -> Poll<SideError> {
        Poll::Pending
    }

    fn ends_with_response(&self) -> bool {
        false
    }

    fn takes_resets(&self) -> bool {
        true
    }

    fn abort(&mut self, _code: Code) {}

    fn leave_unclosed(&mut self) {}

    fn take_refused(&mut self) -> Bytes {
        Bytes::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addon::no_request;

    fn delimited(version: HttpVersion, fields: &[(&str, &str)], body: &str, trailers: bool) -> String {
        let mut request = Request {
            version,
            headers: fields.iter().copied().collect(),
            body: Body::Bytes(body.to_owned().into()),
            trailers: trailers.then(|| [("a", "b")].into_iter().collect()),
            ..no_request()
        };
        let (_, framing) = ReplayClient::new(&mut request);
        let lines: Vec<_> =
            request.headers.iter().map(|field| String::from_utf8_lossy(field.line).into_owned()).collect();
        format!("{framing:?}; {}", lines.join(", "))
    }

    #[test]
    fn bodies_are_delimited_as_recorded_or_as_they_are_now() {
        use HttpVersion::{Http2, Http11};
        let length = [("Content-Length", "4")];
        let chunked = [("Transfer-Encoding", "chunked")];
        for (found, expected) in [
            (delimited(Http11, &[], "", false), "None; "),
            (delimited(Http11, &length, "body", false), "Length(4); Content-Length: 4"),
            (delimited(Http11, &chunked, "body", false), "Chunked; Transfer-Encoding: chunked"),
            (delimited(Http11, &chunked, "", false), "Chunked; Transfer-Encoding: chunked"),
            // As edited since.
            (delimited(Http11, &length, "longer", false), "Length(6); Content-Length: 6"),
            (delimited(Http11, &[], "body", false), "Length(4); Content-Length: 4"),
            (delimited(Http11, &[length[0], chunked[0]], "body", false), "Length(4); Content-Length: 4"),
            (delimited(Http11, &length, "body", true), "Chunked; Transfer-Encoding: chunked"),
            (delimited(Http2, &[], "", false), "None; "),
            (delimited(Http2, &[], "body", false), "Chunked; "),
            (delimited(Http2, &[("content-length", "4")], "body", true), "Length(4); content-length: 4"),
            (delimited(Http2, &[("content-length", "9")], "body", false), "Length(4); content-length: 4"),
        ] {
            assert_eq!(found, expected);
        }
    }
}
