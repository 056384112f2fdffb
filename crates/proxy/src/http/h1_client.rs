//! A client that speaks HTTP/1: requests in, responses out, in order (RFC 9112).

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use flowgate_flow::{Headers, HttpVersion, Response};
use flowgate_net::BoxIo;
use flowgate_wire::http1::{
    BodyEvent, Framing, Names, RequestHead, check_response_framing, encode_response_with, parse_request_with,
    request_framing,
};
use flowgate_wire::http2::Code;
use flowgate_wire::http2::semantics::websocket_switched;
use flowgate_wire::websocket::handshake_accept;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::forward::{asks_to_upgrade, say_keep_alive, wants_to_persist};
use super::h1_stream::{H1Stream, Outgoing};
use super::side::{ClientSide, SideError};
use super::translate;
use crate::clock;
use crate::idle::IdleTimer;
use crate::limits::{CLIENT_HEADER_TIMEOUT, LINGER_SILENCE_MAX};

/// One HTTP/1 connection from a client.
pub(crate) struct H1Client {
    stream: H1Stream,
    names: Names,
    /// The version of the request in hand; responses are written for it.
    version: HttpVersion,
    /// Whether another request may follow the one in hand.
    persistent: bool,
    /// A response broke off, or its end is the connection's end.
    must_close: bool,
    /// A response broke off: its end must not look like one.
    cut: bool,
    /// The head of the request in hand, for the record if it is refused.
    head: Bytes,
    method: Bytes,
    /// What the request in hand gave to be answered if it becomes a WebSocket.
    websocket_key: Option<Bytes>,
    refused: Bytes,
}

/// A request that could not be read, with what was received of it.
#[derive(Debug)]
pub(crate) struct Unreadable {
    /// Why.
    pub(crate) error: SideError,
    /// Its head, if that is one for itself: then it is the framing that is not.
    pub(crate) head: Option<RequestHead>,
    /// The bytes: at most `REFUSED_BYTES_MAX`, what stands behind the head among them.
    pub(crate) received: Bytes,
    /// When its first byte was there.
    pub(crate) started: flowgate_flow::Timestamp,
}

/// When a head was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadTimes {
    /// When its first byte was there.
    pub(crate) started: flowgate_flow::Timestamp,
    /// When its last byte was.
    pub(crate) ended: flowgate_flow::Timestamp,
}

/// What [`H1Client::next_request`] gives.
pub(crate) enum NextRequest {
    /// A request, and how its body is delimited.
    Request { head: RequestHead, framing: Framing, times: HeadTimes },
    /// The client is done.
    Closed,
    /// Bytes that are no request.
    Unreadable(Box<Unreadable>),
}

impl H1Client {
    pub(crate) fn new(io: BoxIo, names: Names) -> Self {
        Self {
            stream: H1Stream::new(io),
            names,
            version: HttpVersion::Http11,
            persistent: true,
            must_close: false,
            cut: false,
            head: Bytes::new(),
            method: Bytes::new(),
            websocket_key: None,
            refused: Bytes::new(),
        }
    }

    /// Waits for the next request, for as long as `idle` says that the client may rest between two.
    pub(crate) async fn next_request(&mut self, idle: &mut IdleTimer) -> NextRequest {
        // Nothing of the last request is kept while its client rests.
        (self.head, self.method, self.websocket_key) = (Bytes::new(), Bytes::new(), None);
        idle.touch();
        let readable = poll_fn(|cx| match self.stream.poll_readable(cx) {
            Poll::Ready(readable) => Poll::Ready(readable.is_ok()),
            Poll::Pending => idle.poll_idle(cx).map(|()| false),
        });
        if !readable.await {
            return NextRequest::Closed;
        }
        let started = clock::now();
        let (head, ended) = match poll_fn(|cx| Poll::Ready(self.stream.poll_head(cx))).await {
            Poll::Ready(head) => (Some(head), started),
            Poll::Pending => {
                let head = timeout(CLIENT_HEADER_TIMEOUT, poll_fn(|cx| self.stream.poll_head(cx))).await;
                (head.ok(), clock::now())
            }
        };
        let head = match head {
            None => return self.unreadable(SideError::HeadTimeout, None, &[], started),
            Some(Ok(Some(head))) => head,
            Some(Ok(None) | Err(SideError::Io(_))) => return NextRequest::Closed,
            Some(Err(error)) => return self.unreadable(error, None, &[], started),
        };
        let bytes = head.clone();
        let head = match parse_request_with(head, self.names) {
            Ok(head) => head,
            Err(error) => return self.unreadable(error.into(), None, &bytes, started),
        };
        match request_framing(&head.version, &head.headers) {
            Err(error) => self.unreadable(error.into(), Some(head), &bytes, started),
            Ok(framing) => {
                self.head = bytes;
                self.method = head.method.clone();
                self.websocket_key = asks_to_upgrade(&head.headers)
                    .then(|| head.headers.get("sec-websocket-key").map(Bytes::copy_from_slice))
                    .flatten();
                self.stream.expect_body(framing);
                self.version = head.version.clone();
                self.persistent = wants_to_persist(&head.version, &head.headers);
                NextRequest::Request { head, framing, times: HeadTimes { started, ended } }
            }
        }
    }

    fn unreadable(
        &self,
        error: SideError,
        head: Option<RequestHead>,
        bytes: &[u8],
        started: flowgate_flow::Timestamp,
    ) -> NextRequest {
        let received = self.stream.refused(bytes);
        NextRequest::Unreadable(Box::new(Unreadable { error, head, received, started }))
    }

    /// The raw bytes of the request in hand and what stands behind its head, for the record if it is refused.
    pub(crate) fn received(&self) -> Bytes {
        self.stream.refused(&self.head)
    }

    /// Whether another request may be read: nothing stands between.
    pub(crate) fn can_continue(&self) -> bool {
        self.persistent && !self.must_close && self.stream.body_read
    }

    /// Queues bytes that are not part of a response we forward: an error page, the answer to CONNECT.
    pub(crate) fn send_own_response(&mut self, response: &Response, body: Bytes) -> Result<(), SideError> {
        let length = body.len() as u64;
        let (status, headers) = (response.status, &response.headers);
        let is_tunnel = self.method.as_ref() == b"CONNECT" && (200..300).contains(&status);
        if !is_tunnel {
            let body = if length == 0 { Framing::None } else { Framing::Length(length) };
            check_response_framing(&self.version, status, headers, &self.method, body)?;
        }
        let head = |out: &mut bytes::BytesMut| {
            encode_response_with(&self.version, status, &response.reason, headers, Names::Tokens, out)
        };
        self.stream.send_head(Outgoing::Length(length), head)?;
        self.stream.send_data(body)
    }

    /// Sends what is queued.
    pub(crate) async fn flush(&mut self) -> Result<(), SideError> {
        poll_fn(|cx| self.stream.poll_flush(cx)).await
    }

    /// Closes so that what was sent arrives although the client may still be sending. Nobody is waited for when `stop` is cancelled.
    pub(crate) async fn close(mut self, stop: &CancellationToken) {
        if self.cut {
            // Neither the end of TLS nor of TCP is told: either could be taken for the end of the body.
            let _ = timeout(LINGER_SILENCE_MAX, self.flush()).await;
            return;
        }
        self.stream.into_farewell().say(usize::MAX, stop).await;
    }

    /// Ends our direction and does not wait for the client's.
    pub(crate) async fn hang_up(mut self) {
        // A client that does not take even the end is none to wait for.
        let _ = timeout(LINGER_SILENCE_MAX, poll_fn(|cx| self.stream.poll_shutdown(cx))).await;
    }

    /// The stream and what was read from it beyond the last request.
    pub(crate) fn into_parts(self) -> (BoxIo, Vec<u8>) {
        self.stream.into_parts()
    }
}

impl ClientSide for H1Client {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<BodyEvent, SideError>> {
        let event = ready!(self.stream.poll_body(cx));
        if event.as_ref().is_err_and(SideError::is_malformed) {
            self.refused = self.stream.refused(&[]);
        }
        Poll::Ready(event)
    }

    fn send_interim(&mut self, head: &Response) -> Result<(), SideError> {
        if self.version == HttpVersion::Http10 {
            // RFC 9110 section 15.2: HTTP/1.0 has no interim responses.
            return Ok(());
        }
        check_response_framing(
            &HttpVersion::Http11,
            head.status,
            &head.headers,
            &self.method,
            Framing::None,
        )?;
        let reason = translate::reason_for(head);
        let encode = |out: &mut bytes::BytesMut| {
            encode_response_with(&HttpVersion::Http11, head.status, &reason, &head.headers, self.names, out)
        };
        Ok(self.stream.send_head(Outgoing::Length(0), encode)?)
    }

    fn send_response(&mut self, head: &mut Response, framing: Framing) -> Result<(), SideError> {
        let http2 = !head.version.is_http1();
        // What HTTP/1 needs besides is no part of what the server said.
        let mut translated = http2.then(|| translate::response_fields(&head.headers));
        let framing = match framing {
            Framing::Chunked if self.version == HttpVersion::Http10 => {
                // It knows no chunks (RFC 9112 section 6.1), so the body ends with the connection.
                head.headers.remove("transfer-encoding");
                if head.headers.contains("connection") {
                    head.headers.set("Connection", "close");
                }
                Framing::UntilClose
            }
            framing => framing,
        };
        let framing = match &mut translated {
            Some(fields) => {
                translate::frame_response(fields, head.status, &self.method, &self.version, framing)
            }
            None => framing,
        };
        let fields = translated.as_ref().unwrap_or(&head.headers);
        let version = if http2 { HttpVersion::Http11 } else { head.version.clone() };
        let seen = check_response_framing(&version, head.status, fields, &self.method, framing)?;
        let outgoing = match framing {
            Framing::None => Outgoing::Length(0),
            Framing::Length(length) => Outgoing::Length(length),
            Framing::Chunked => Outgoing::Chunked,
            Framing::UntilClose => Outgoing::UntilClose,
        };
        // A client that believes the length of a 204 shall not find it in the next response.
        let misleading =
            head.status == 204 && fields.get("content-length").is_some_and(|length| length != b"0");
        self.must_close |= seen == Framing::UntilClose || misleading || !wants_to_persist(&version, fields);
        let reason = translate::reason_for(head);
        let kept_alive;
        let headers = if self.version == HttpVersion::Http10 && self.persistent && !self.must_close {
            kept_alive = say_keep_alive(fields);
            &kept_alive
        } else {
            fields
        };
        let names = self.names;
        let encode = |out: &mut bytes::BytesMut| {
            encode_response_with(&version, head.status, &reason, headers, names, out)
        };
        Ok(self.stream.send_head(outgoing, encode)?)
    }

    fn send_switch(&mut self, head: &mut Response) -> Result<(), SideError> {
        if head.version.is_http1() {
            return self.send_response(head, Framing::None);
        }
        // The server was asked in HTTP/2, where there is no key.
        let accept = handshake_accept(self.websocket_key.as_deref().unwrap_or_default());
        let headers = websocket_switched(head, &accept)?;
        let (version, reason) = (HttpVersion::Http11, b"Switching Protocols");
        let encode = |out: &mut bytes::BytesMut| {
            encode_response_with(&version, 101, reason, &headers, self.names, out)
        };
        Ok(self.stream.send_head(Outgoing::Length(0), encode)?)
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SideError>> {
        self.stream.poll_room(cx)
    }

    fn send_data(&mut self, data: Bytes) -> Result<(), SideError> {
        self.stream.send_data(data)
    }

    fn send_end(&mut self, trailers: Option<&Headers>) -> Result<(), SideError> {
        self.stream.send_end(trailers)
    }

    fn leave_memory(&mut self) {
        self.stream.leave_memory();
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SideError>> {
        self.stream.poll_flush(cx)
    }

    fn send_own(&mut self, head: &Response, body: Bytes) -> Result<(), SideError> {
        self.must_close = true;
        self.send_own_response(head, body)
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<SideError> {
        self.stream.poll_reset(cx).map(SideError::Io)
    }

    fn bytes_taken(&self) -> Option<u64> {
        self.stream.bytes_taken()
    }

    fn ends_with_response(&self) -> bool {
        self.must_close
    }

    fn abort(&mut self, _code: Code) {
        (self.must_close, self.cut) = (true, true);
        self.stream.break_off();
    }

    fn leave_unclosed(&mut self) {
        (self.must_close, self.cut) = (true, true);
        // Under TLS it is enough that its end is not told: that is what the server did. In the clear only a reset tells.
        if self.stream.is_in_the_clear() {
            self.stream.break_off();
        }
    }

    fn take_refused(&mut self) -> Bytes {
        std::mem::take(&mut self.refused)
    }
}

#[cfg(test)]
mod tests;
