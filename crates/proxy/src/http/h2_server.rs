//! A server that speaks HTTP/2 (RFC 9113): one exchange is one stream.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use flowgate_flow::{Headers, Request, Response};
use flowgate_wire::http1::{BodyEvent, Framing};
use flowgate_wire::http2::semantics::{
    EndStream, MessageError, encode_request, is_websocket_connect, read_response, websocket_connect,
    websocket_upgrade_key,
};
use flowgate_wire::http2::{Code, Incoming};

use super::h2_body::{H2Body, shown};
use super::h2_link::{self, H2Link, H2Stream};
use super::h2_tunnel::{Cut, H2Tunnel};
use super::side::{ServerSide, SideError};
use crate::clock;

/// One exchange with an HTTP/2 server.
pub(crate) struct H2ServerStream {
    link: H2Link,
    stream: Option<H2Stream>,
    method: Bytes,
    body: H2Body,
    refused: Bytes,
    tunnel: Tunnel,
}

/// Whether the stream is asked to be more than an exchange.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Tunnel {
    No,
    Asked,
    /// The server agreed; `ended` if it has nothing to say.
    Agreed {
        ended: bool,
    },
}

impl H2ServerStream {
    /// An exchange on a connection that can open a stream.
    pub(crate) fn new(link: H2Link) -> Self {
        let body = H2Body::new(Framing::None);
        let (method, refused) = (Bytes::new(), Bytes::new());
        Self { link, stream: None, method, body, refused, tunnel: Tunnel::No }
    }

    /// What follows once the server agreed to a WebSocket.
    pub(crate) fn into_tunnel(self, cut: Cut) -> Option<H2Tunnel> {
        match (self.tunnel, self.stream) {
            (Tunnel::Agreed { ended }, Some(stream)) => Some(H2Tunnel::new(stream, ended, cut)),
            _ => None,
        }
    }

    fn stream(&self) -> Result<&H2Stream, SideError> {
        self.stream.as_ref().ok_or(SideError::Closed)
    }
}

impl ServerSide for H2ServerStream {
    fn send_request(&mut self, head: &mut Request, framing: Framing) -> Result<(), SideError> {
        // An upgrade of HTTP/1.1 comes here only to be asked for in the words of HTTP/2.
        let asked = websocket_upgrade_key(head).is_some().then(|| websocket_connect(head));
        let head = asked.as_ref().unwrap_or(head);
        let mut framing = framing;
        if is_websocket_connect(head) || asked.is_some() {
            if framing != Framing::None {
                return Err(SideError::Unsendable(MessageError::LengthDiffers));
            }
            (self.tunnel, framing) = (Tunnel::Asked, Framing::Chunked);
        }
        let encode = |encoder: &mut _, out: &mut _| {
            encode_request(head, framing, encoder, out).map_err(SideError::Unsendable)
        };
        self.stream = Some(h2_link::open(&self.link, encode, framing)?);
        self.method = head.method.clone();
        Ok(())
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SideError>> {
        self.stream()?.poll_room(cx)
    }

    fn send_data(&mut self, data: Bytes) -> Result<(), SideError> {
        self.stream()?.send_data(data);
        Ok(())
    }

    fn send_end(&mut self, trailers: Option<&Headers>) -> Result<(), SideError> {
        if self.tunnel != Tunnel::No {
            // The request has no body, and what the stream is for has not begun.
            return Ok(());
        }
        self.stream()?.send_end(trailers)
    }

    fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), SideError>> {
        // The connection's driver does that.
        Poll::Ready(Ok(()))
    }

    fn poll_response(&mut self, cx: &mut Context<'_>) -> Poll<Result<(Response, Framing), SideError>> {
        let Incoming::Head { fields, ends, .. } = ready!(self.stream()?.poll_take(cx))? else {
            return Poll::Ready(Err(SideError::Closed));
        };
        let ends = if ends { EndStream::Yes } else { EndStream::No };
        let (response, framing) =
            read_response(&fields, ends, &self.method, clock::now()).inspect_err(|_| {
                self.refused = shown(&fields);
            })?;
        if self.tunnel == Tunnel::Asked && (200..300).contains(&response.status) {
            self.tunnel = Tunnel::Agreed { ended: ends == EndStream::Yes };
            return Poll::Ready(Ok((response, Framing::None)));
        }
        self.body = H2Body::new(framing);
        Poll::Ready(Ok((response, framing)))
    }

    fn has_switched(&self) -> bool {
        matches!(self.tunnel, Tunnel::Agreed { .. })
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<BodyEvent, SideError>> {
        match &self.stream {
            Some(stream) => self.body.poll(stream, cx),
            None => Poll::Ready(Err(SideError::Closed)),
        }
    }

    fn poll_declines(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &self.stream {
            // RFC 9113 section 8.1: a reset behind a whole response.
            Some(stream) => stream.poll_gone(cx).map(|_| ()),
            None => Poll::Ready(()),
        }
    }

    fn abort(&mut self, code: Code) {
        if let Some(stream) = &self.stream {
            stream.reset(code);
        }
    }

    fn take_refused(&mut self) -> Bytes {
        let of_head = std::mem::take(&mut self.refused);
        if of_head.is_empty() { std::mem::take(&mut self.body.refused) } else { of_head }
    }
}
