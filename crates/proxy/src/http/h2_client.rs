//! One HTTP/2 stream of a client (RFC 9113), over the `h2` crate until our own stands.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use flowgate_flow::{Headers, Response};
use flowgate_wire::http1::{BodyEvent, Framing};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};

use super::side::{ClientSide, SideError};
use super::translate;
use crate::limits::BODY_READ_BYTES;

/// A stream on which a request came.
pub(crate) struct H2ClientStream {
    body: H2Body,
    respond: SendResponse<Bytes>,
    sender: H2Sender,
}

impl H2ClientStream {
    pub(crate) fn new(body: RecvStream, respond: SendResponse<Bytes>) -> Self {
        Self { body: H2Body::new(body), respond, sender: H2Sender::default() }
    }

    /// Refuses the stream.
    pub(crate) fn reset(&mut self, reason: Reason) {
        self.respond.send_reset(reason);
    }
}

impl ClientSide for H2ClientStream {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<BodyEvent, SideError>> {
        self.body.poll(cx)
    }

    fn send_interim(&mut self, head: &Response) -> Result<(), SideError> {
        Ok(self.respond.send_informational(translate::response_to_http2(head)?)?)
    }

    fn send_response(&mut self, head: &mut Response, framing: Framing) -> Result<(), SideError> {
        let response = translate::response_to_http2(head)?;
        let ends = framing == Framing::None;
        let stream = self.respond.send_response(response, ends)?;
        self.sender = H2Sender::new(stream, ends);
        Ok(())
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SideError>> {
        self.sender.poll_room(cx)
    }

    fn send_data(&mut self, data: Bytes) -> Result<(), SideError> {
        self.sender.send_data(data)
    }

    fn send_end(&mut self, trailers: Option<&Headers>) -> Result<(), SideError> {
        self.sender.send_end(trailers)
    }

    fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), SideError>> {
        Poll::Ready(self.sender.release())
    }

    fn send_own(&mut self, head: &Response, body: Bytes) -> Result<(), SideError> {
        let head = translate::response_to_http2(head)?;
        let mut stream = self.respond.send_response(head, body.is_empty())?;
        if !body.is_empty() {
            stream.send_data(body, true)?;
        }
        Ok(())
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<SideError> {
        let reset = match &mut self.sender.stream {
            Some(stream) => stream.poll_reset(cx),
            None => self.respond.poll_reset(cx),
        };
        reset.map(|reset| reset.map_or_else(SideError::H2, |reason| SideError::H2(reason.into())))
    }

    fn take_refused(&mut self) -> Bytes {
        // The `h2` crate does not show what it refuses.
        Bytes::new()
    }

    fn ends_with_response(&self) -> bool {
        false
    }

    fn leave_unclosed(&mut self) {
        // A stream has no other end that is not a clean one.
        self.abort();
    }

    fn abort(&mut self) {
        self.respond.send_reset(Reason::INTERNAL_ERROR);
        self.sender.reset(Reason::INTERNAL_ERROR);
    }
}

/// A body that is being received on a stream.
pub(super) struct H2Body {
    stream: RecvStream,
    data_read: bool,
    ended: bool,
}

impl H2Body {
    pub(super) const fn new(stream: RecvStream) -> Self {
        Self { stream, data_read: false, ended: false }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<BodyEvent, SideError>> {
        while !self.data_read {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    // The next piece is only asked for when there is room for it, so the window may open now.
                    self.stream.flow_control().release_capacity(data.len())?;
                    if !data.is_empty() {
                        return Poll::Ready(Ok(BodyEvent::Data(data)));
                    }
                }
                Some(Err(err)) => return Poll::Ready(Err(err.into())),
                None => self.data_read = true,
            }
        }
        if self.ended {
            return Poll::Ready(Ok(BodyEvent::End(None)));
        }
        let trailers = ready!(self.stream.poll_trailers(cx))?;
        self.ended = true;
        Poll::Ready(Ok(BodyEvent::End(trailers.as_ref().map(translate::headers_from_http2))))
    }
}

/// A body that is being sent on a stream.
///
/// The last piece is kept back for a moment, so that it can carry the end of the stream.
#[derive(Default)]
pub(super) struct H2Sender {
    stream: Option<SendStream<Bytes>>,
    held: Option<Bytes>,
    ended: bool,
}

impl H2Sender {
    pub(super) const fn new(stream: SendStream<Bytes>, ended: bool) -> Self {
        Self { stream: Some(stream), held: None, ended }
    }

    pub(super) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SideError>> {
        let Some(stream) = self.stream.as_mut().filter(|_| !self.ended) else {
            return Poll::Ready(Ok(()));
        };
        if stream.capacity() > 0 {
            return Poll::Ready(Ok(()));
        }
        if let Some(held) = self.held.take() {
            stream.send_data(held, false)?;
        }
        stream.reserve_capacity(BODY_READ_BYTES);
        match ready!(stream.poll_capacity(cx)) {
            Some(capacity) => Poll::Ready(capacity.map(|_| ()).map_err(SideError::H2)),
            None => Poll::Ready(Err(SideError::Closed)),
        }
    }

    pub(super) fn send_data(&mut self, data: Bytes) -> Result<(), SideError> {
        self.release()?;
        self.held = Some(data);
        Ok(())
    }

    pub(super) fn send_end(&mut self, trailers: Option<&Headers>) -> Result<(), SideError> {
        let Some(stream) = self.stream.as_mut().filter(|_| !self.ended) else { return Ok(()) };
        self.ended = true;
        match trailers {
            Some(trailers) => {
                if let Some(held) = self.held.take() {
                    stream.send_data(held, false)?;
                }
                stream.send_trailers(translate::headers_to_http2(trailers)?)?;
            }
            None => stream.send_data(self.held.take().unwrap_or_default(), true)?,
        }
        Ok(())
    }

    /// Lets the piece go that was kept back.
    pub(super) fn release(&mut self) -> Result<(), SideError> {
        if let (Some(stream), Some(held)) = (&mut self.stream, self.held.take()) {
            stream.send_data(held, false)?;
        }
        Ok(())
    }

    /// Ready if the peer takes no more of the body (RFC 9113 section 8.1: a reset behind a whole response).
    pub(super) fn poll_declined(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.stream.as_mut().filter(|_| !self.ended) {
            Some(stream) => stream.poll_reset(cx).map(|_| ()),
            None => Poll::Pending,
        }
    }

    pub(super) fn reset(&mut self, reason: Reason) {
        if let Some(stream) = self.stream.as_mut().filter(|_| !self.ended) {
            stream.send_reset(reason);
        }
    }
}
