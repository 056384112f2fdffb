//! A response of our own in the place of a server's: the exchange runs as with a server, to which nothing is sent.

use std::task::{Context, Poll};

use bytes::Bytes;
use flowgate_flow::{Headers, Request, Response};
use flowgate_wire::http1::{BodyEvent, Framing};
use flowgate_wire::http2::Code;

use super::body_way::BodyReader;
use super::side::{ServerSide, SideError};

/// Answers one request.
pub(super) struct LocalServer {
    head: Option<(Response, Framing)>,
    body: BodyReader,
    trailers: Option<Headers>,
}

impl LocalServer {
    /// `framing` is how the response delimits its body.
    pub(super) fn new(response: Response, framing: Framing) -> Self {
        let (body, trailers) = (BodyReader::new(response.body.clone()), response.trailers.clone());
        Self { head: Some((response, framing)), body, trailers }
    }
}

impl ServerSide for LocalServer {
    fn send_request(&mut self, _head: &mut Request, _framing: Framing) -> Result<(), SideError> {
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

    fn poll_response(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(Response, Framing), SideError>> {
        self.head.take().map_or(Poll::Pending, |head| Poll::Ready(Ok(head)))
    }

    fn poll_body(&mut self, _cx: &mut Context<'_>) -> Poll<Result<BodyEvent, SideError>> {
        let piece = self.body.next().map_err(SideError::Held)?;
        Poll::Ready(Ok(piece.map_or_else(|| BodyEvent::End(self.trailers.take()), BodyEvent::Data)))
    }

    fn is_own(&self) -> bool {
        true
    }

    fn poll_declines(&mut self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }

    fn abort(&mut self, _code: Code) {}

    fn take_refused(&mut self) -> Bytes {
        Bytes::new()
    }
}
