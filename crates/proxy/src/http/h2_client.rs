//! One HTTP/2 stream of a client (RFC 9113): a request comes on it, a response goes.

use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use flowgate_flow::{Headers, Response};
use flowgate_wire::http1::{BodyEvent, Framing};
use flowgate_wire::http2::Code;
use flowgate_wire::http2::semantics::{encode_response, websocket_connected};

use super::h2_body::H2Body;
use super::h2_link::H2Stream;
use super::h2_tunnel::{Cut, H2Tunnel};
use super::side::{ClientSide, SideError};

/// A stream on which a request came.
pub(crate) struct H2ClientStream {
    stream: H2Stream,
    method: Bytes,
    body: H2Body,
    /// Nothing comes behind the request's head.
    ended: bool,
    /// Its request is malformed: there is no response to that (RFC 9113 section 8.1.1).
    malformed: bool,
}

impl H2ClientStream {
    /// A stream whose request has this method, and a body delimited like this.
    pub(super) fn new(stream: H2Stream, method: Bytes, framing: Framing) -> Self {
        let ended = framing == Framing::None;
        Self { stream, method, body: H2Body::new(framing), ended, malformed: false }
    }

    /// A stream whose request is malformed.
    pub(super) fn malformed(stream: H2Stream) -> Self {
        Self { malformed: true, ..Self::new(stream, Bytes::new(), Framing::None) }
    }

    /// What follows once both sides agreed to a WebSocket.
    pub(super) fn into_tunnel(self, cut: Cut) -> H2Tunnel {
        H2Tunnel::new(self.stream, self.ended, cut)
    }

    /// Whether as much of the request's body as came is malformed.
    fn is_body_malformed(&mut self) -> bool {
        let cx = &mut Context::from_waker(Waker::noop());
        loop {
            match self.body.poll(&self.stream, cx) {
                Poll::Ready(Ok(BodyEvent::Data(_))) => {}
                other => return matches!(other, Poll::Ready(Err(SideError::Message(_)))),
            }
        }
    }

    /// Refuses the stream.
    pub(super) fn reset(&self, code: Code) {
        self.stream.reset(code);
    }
}

impl ClientSide for H2ClientStream {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<BodyEvent, SideError>> {
        self.body.poll(&self.stream, cx)
    }

    fn send_interim(&mut self, head: &Response) -> Result<(), SideError> {
        let method = &self.method;
        self.stream.send_head(
            |encoder, out| encode_response(head, method, Framing::None, encoder, out),
            true,
            false,
        )
    }

    fn send_response(&mut self, head: &mut Response, framing: Framing) -> Result<(), SideError> {
        let method = &self.method;
        let ends = framing == Framing::None;
        self.stream.send_head(
            |encoder, out| encode_response(head, method, framing, encoder, out),
            false,
            ends,
        )
    }

    fn send_switch(&mut self, head: &mut Response) -> Result<(), SideError> {
        let connected = (head.status == 101).then(|| websocket_connected(head));
        let (head, method) = (connected.as_ref().unwrap_or(head), &self.method);
        self.stream.send_head(
            |encoder, out| encode_response(head, method, Framing::UntilClose, encoder, out),
            false,
            false,
        )
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SideError>> {
        self.stream.poll_room(cx)
    }

    fn send_data(&mut self, data: Bytes) -> Result<(), SideError> {
        self.stream.send_data(data);
        Ok(())
    }

    fn send_end(&mut self, trailers: Option<&Headers>) -> Result<(), SideError> {
        self.stream.send_end(trailers)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SideError>> {
        self.stream.poll_going_out(cx)
    }

    fn send_own(&mut self, head: &Response, body: Bytes) -> Result<(), SideError> {
        // There is no response to a malformed request, even where nobody wanted its body.
        if self.malformed || self.is_body_malformed() {
            self.stream.refuse_malformed();
            return Ok(());
        }
        let framing = if body.is_empty() { Framing::None } else { Framing::Length(body.len() as u64) };
        self.send_response(&mut head.clone(), framing)?;
        self.send_data(body)?;
        self.send_end(None)
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<SideError> {
        self.stream.poll_gone(cx)
    }

    fn ends_with_response(&self) -> bool {
        false
    }

    fn declines_by_itself(&self) -> bool {
        true
    }

    fn leave_unclosed(&mut self) {
        // A stream has no other end that is not a clean one.
        self.abort(Code::INTERNAL_ERROR);
    }

    fn takes_resets(&self) -> bool {
        true
    }

    fn abort(&mut self, code: Code) {
        match code {
            Code::PROTOCOL_ERROR => self.stream.refuse_malformed(),
            _ => self.stream.reset(code),
        }
    }

    fn take_refused(&mut self) -> Bytes {
        std::mem::take(&mut self.body.refused)
    }
}
