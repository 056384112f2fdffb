//! A client that speaks HTTP/1: requests in, responses out, in order (RFC 9112).

use std::future::poll_fn;
use std::task::{Context, Poll};

use bytes::Bytes;
use flowgate_flow::{Headers, HttpVersion, Response};
use flowgate_net::BoxIo;
use flowgate_wire::http1::{
    BodyEvent, Framing, RequestHead, encode_response, parse_request, request_framing,
};
use tokio::time::timeout;

use super::forward::wants_to_persist;
use super::h1_stream::{H1Stream, Outgoing};
use super::side::{ClientSide, SideError};
use super::translate;
use crate::clock;
use crate::limits::{BODY_READ_BYTES, CLIENT_HEADER_TIMEOUT, CLIENT_IDLE_TIMEOUT, LINGER_TIMEOUT};

/// One HTTP/1 connection from a client.
pub(crate) struct H1Client {
    stream: H1Stream,
    /// The version of the request in hand; responses are written for it.
    version: HttpVersion,
    /// Whether another request may follow the one in hand.
    persistent: bool,
    /// A response broke off, or its end is the connection's end.
    must_close: bool,
}

/// A request that could not be read, with what was received of it.
#[derive(Debug)]
pub(crate) struct Unreadable {
    /// Why.
    pub(crate) error: SideError,
    /// The bytes.
    pub(crate) received: Bytes,
}

/// What [`H1Client::next_request`] gives.
pub(crate) enum NextRequest {
    /// A request, and how its body is delimited.
    Request { head: RequestHead, framing: Framing, started: flowgate_flow::Timestamp },
    /// The client is done.
    Closed,
    /// Bytes that are no request.
    Unreadable(Unreadable),
    /// A request was begun and not finished in time.
    TimedOut,
}

impl H1Client {
    pub(crate) fn new(io: BoxIo) -> Self {
        Self { stream: H1Stream::new(io), version: HttpVersion::Http11, persistent: true, must_close: false }
    }

    /// Waits for the next request.
    pub(crate) async fn next_request(&mut self) -> NextRequest {
        match timeout(CLIENT_IDLE_TIMEOUT, poll_fn(|cx| self.stream.poll_readable(cx))).await {
            Err(_) | Ok(Err(_)) => return NextRequest::Closed,
            Ok(Ok(())) => {}
        }
        let started = clock::now();
        let head = match poll_fn_within(CLIENT_HEADER_TIMEOUT, |cx| self.stream.poll_head(cx)).await {
            None => return NextRequest::TimedOut,
            Some(Ok(Some(head))) => head,
            Some(Ok(None) | Err(SideError::Io(_))) => return NextRequest::Closed,
            Some(Err(error)) => {
                let received = self.stream.buffered_prefix(BODY_READ_BYTES);
                return NextRequest::Unreadable(Unreadable { error, received });
            }
        };
        let parsed = parse_request(head.clone()).map_err(SideError::Head).and_then(|parsed| {
            let framing = request_framing(&parsed.version, &parsed.headers)?;
            Ok((parsed, framing))
        });
        match parsed {
            Err(error) => NextRequest::Unreadable(Unreadable { error, received: head }),
            Ok((head, framing)) => {
                self.stream.expect_body(framing);
                self.version = head.version.clone();
                self.persistent = wants_to_persist(&head.version, &head.headers);
                NextRequest::Request { head, framing, started }
            }
        }
    }

    /// Whether another request may be read: nothing stands between.
    pub(crate) fn can_continue(&self) -> bool {
        self.persistent && !self.must_close && self.stream.body_read
    }

    /// Queues bytes that are not part of a response we forward: an error page, the answer to CONNECT.
    pub(crate) fn send_own_response(&mut self, response: &Response, body: Bytes) -> Result<(), SideError> {
        let head = |out: &mut bytes::BytesMut| {
            encode_response(&self.version, response.status, &response.reason, &response.headers, out)
        };
        self.stream.send_head(Outgoing::Plain, head)?;
        self.stream.send_data(body);
        Ok(())
    }

    /// Sends what is queued.
    pub(crate) async fn flush(&mut self) -> Result<(), SideError> {
        poll_fn(|cx| self.stream.poll_flush(cx)).await
    }

    /// Closes so that what was sent arrives although the client may still be sending (RFC 9112 section 9.6).
    pub(crate) async fn close(mut self) {
        let lingering = async {
            if poll_fn(|cx| self.stream.poll_shutdown(cx)).await.is_err() {
                return;
            }
            while let Ok(1..) = poll_fn(|cx| self.stream.poll_discard(cx)).await {}
        };
        // The time being up is as good an end as any.
        let _ = timeout(LINGER_TIMEOUT, lingering).await;
    }

    /// Ends our direction and does not wait for the client's.
    pub(crate) async fn hang_up(mut self) {
        // A client that does not take even the end is none to wait for.
        let _ = timeout(LINGER_TIMEOUT, poll_fn(|cx| self.stream.poll_shutdown(cx))).await;
    }

    /// The stream and what was read from it beyond the last request.
    pub(crate) fn into_parts(self) -> (BoxIo, Vec<u8>) {
        self.stream.into_parts()
    }
}

impl ClientSide for H1Client {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<BodyEvent, SideError>> {
        self.stream.poll_body(cx)
    }

    fn send_interim(&mut self, head: &Response) -> Result<(), SideError> {
        if self.version == HttpVersion::Http10 {
            // RFC 9110 section 15.2: HTTP/1.0 has no interim responses.
            return Ok(());
        }
        let reason = translate::reason_for(head);
        let encode = |out: &mut bytes::BytesMut| {
            encode_response(&HttpVersion::Http11, head.status, &reason, &head.headers, out)
        };
        Ok(self.stream.send_head(Outgoing::Plain, encode)?)
    }

    fn send_response(&mut self, head: &mut Response, framing: Framing) -> Result<(), SideError> {
        let http2 = !head.version.is_http1();
        if http2 {
            translate::strip_for_http1(&mut head.headers);
        }
        let outgoing = match framing {
            Framing::None | Framing::Length(_) => Outgoing::Plain,
            Framing::Chunked if self.version == HttpVersion::Http10 => {
                head.headers.remove("transfer-encoding");
                self.must_close = true;
                Outgoing::Plain
            }
            Framing::Chunked => Outgoing::Chunked,
            Framing::UntilClose if http2 && self.version == HttpVersion::Http11 => {
                head.headers.push("transfer-encoding", "chunked");
                Outgoing::Chunked
            }
            Framing::UntilClose => {
                self.must_close = true;
                Outgoing::Plain
            }
        };
        let version = if http2 { HttpVersion::Http11 } else { head.version.clone() };
        self.must_close |= !wants_to_persist(&version, &head.headers);
        let reason = translate::reason_for(head);
        let encode =
            |out: &mut bytes::BytesMut| encode_response(&version, head.status, &reason, &head.headers, out);
        Ok(self.stream.send_head(outgoing, encode)?)
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
        self.stream.poll_flush(cx)
    }

    fn send_own(&mut self, head: &Response, body: Bytes) -> Result<(), SideError> {
        self.must_close = true;
        self.send_own_response(head, body)
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<SideError> {
        self.stream.poll_reset(cx).map(SideError::Io)
    }

    fn abort(&mut self) {
        self.must_close = true;
    }
}

/// Polls until ready or the time is up.
async fn poll_fn_within<T>(
    limit: std::time::Duration,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Option<T> {
    // The head is mostly there already: no timer then.
    let first = poll_fn(|cx| Poll::Ready(poll(cx))).await;
    match first {
        Poll::Ready(done) => Some(done),
        Poll::Pending => timeout(limit, poll_fn(poll)).await.ok(),
    }
}
