//! A server that speaks HTTP/2 (RFC 9113): one exchange is one stream. Over the `h2` crate until our own stands.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use flowgate_flow::{Headers, Request, Response};
use flowgate_wire::http1::{BodyEvent, Framing};
use flowgate_wire::limits::INTERIM_RESPONSES_MAX;
use h2::Reason;
use h2::client::{ResponseFuture, SendRequest};

use super::h2_client::{H2Body, H2Sender};
use super::side::{ServerSide, SideError};
use super::translate;

/// One exchange with an HTTP/2 server.
pub(crate) struct H2ServerStream {
    send_request: SendRequest<Bytes>,
    response: Option<ResponseFuture>,
    interim_seen: usize,
    sender: H2Sender,
    body: Option<H2Body>,
    bodiless: bool,
}

impl H2ServerStream {
    /// `send_request` must be ready.
    pub(crate) fn new(send_request: SendRequest<Bytes>) -> Self {
        Self {
            send_request,
            response: None,
            interim_seen: 0,
            sender: H2Sender::default(),
            body: None,
            bodiless: false,
        }
    }
}

impl ServerSide for H2ServerStream {
    fn send_request(&mut self, head: &mut Request, framing: Framing) -> Result<(), SideError> {
        let request = translate::request_to_http2(head)?;
        let ends = framing == Framing::None;
        self.bodiless = head.method.as_ref() == b"HEAD";
        let (response, stream) = self.send_request.send_request(request, ends)?;
        self.response = Some(response);
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

    fn poll_response(&mut self, cx: &mut Context<'_>) -> Poll<Result<(Response, Framing), SideError>> {
        let Some(future) = &mut self.response else { return Poll::Ready(Err(SideError::Closed)) };
        if let Poll::Ready(Some(interim)) = future.poll_informational(cx) {
            self.interim_seen += 1;
            if self.interim_seen > INTERIM_RESPONSES_MAX {
                return Poll::Ready(Err(SideError::TooManyInterim));
            }
            let (parts, ()) = interim?.into_parts();
            return Poll::Ready(Ok((translate::response_from_http2(&parts), Framing::None)));
        }
        let (parts, body) = ready!(std::pin::Pin::new(future).poll(cx))?.into_parts();
        self.response = None;
        let framing = if self.bodiless || body.is_end_stream() {
            Framing::None
        } else {
            translate::announced_length(&parts.headers).map_or(Framing::UntilClose, Framing::Length)
        };
        self.body = Some(H2Body::new(body));
        Poll::Ready(Ok((translate::response_from_http2(&parts), framing)))
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<BodyEvent, SideError>> {
        match &mut self.body {
            Some(body) => body.poll(cx),
            None => Poll::Ready(Err(SideError::Closed)),
        }
    }

    fn poll_declines(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.sender.poll_declined(cx)
    }

    fn take_refused(&mut self) -> Bytes {
        // The `h2` crate does not show what it refuses.
        Bytes::new()
    }

    fn abort(&mut self) {
        self.sender.reset(Reason::CANCEL);
    }
}
