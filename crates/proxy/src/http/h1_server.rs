//! A server that speaks HTTP/1: requests out, responses in (RFC 9112).

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use flowgate_flow::{Address, Body, Headers, HttpVersion, Request, Response, Timestamp};
use flowgate_net::BoxIo;
use flowgate_wire::http1::{
    BodyEvent, Framing, Names, check_request_framing, encode_request_with, parse_response_with,
    response_framing,
};
use flowgate_wire::http2::Code;
use flowgate_wire::http2::semantics::{
    Http1Request, MessageError, is_websocket_connect, request_to_http1, websocket_upgrade,
};
use flowgate_wire::limits::INTERIM_RESPONSES_MAX;
use flowgate_wire::websocket::{handshake_accept, handshake_key};
use tokio::time::timeout;

use super::forward::{asks_to_upgrade, protocols, wants_to_persist};
use super::h1_stream::{H1Stream, Outgoing};
use super::side::{ServerSide, SideError};
use crate::clock;
use crate::egress::ForwardedRequests;
use crate::limits::LINGER_SILENCE_MAX;

/// One HTTP/1 connection to a server.
pub(crate) struct H1Server {
    stream: H1Stream,
    /// Set if it is an upstream proxy that forwards the requests.
    forwarded: Option<ForwardedRequests>,
    names: Names,
    method: Bytes,
    /// The protocols that the request in hand asked for.
    upgrade_asked: Vec<Vec<u8>>,
    /// The proof that is expected of the server, if we asked for a WebSocket with a key of our own.
    proof: Option<String>,
    /// The server agreed to another protocol.
    switched: bool,
    interim_seen: usize,
    persistent: bool,
    sent_whole: bool,
    refused: Bytes,
}

impl H1Server {
    pub(crate) fn new(io: BoxIo, forwarded: Option<ForwardedRequests>, names: Names) -> Self {
        Self {
            stream: H1Stream::new(io),
            forwarded,
            names,
            method: Bytes::new(),
            upgrade_asked: Vec::new(),
            proof: None,
            switched: false,
            interim_seen: 0,
            persistent: true,
            sent_whole: true,
            refused: Bytes::new(),
        }
    }

    /// Whether it can take another request: the last exchange ended cleanly on both sides.
    pub(crate) fn can_continue(&self) -> bool {
        let quiet = !self.stream.has_buffered() && !self.stream.has_ended();
        self.persistent && self.sent_whole && self.stream.body_read && quiet
    }

    /// Whether an idle connection is still good, as far as one can know: it is open and nothing came unasked.
    pub(crate) async fn is_fresh(&mut self) -> bool {
        poll_fn(|cx| Poll::Ready(self.stream.poll_stale(cx).is_pending())).await
    }

    /// Ends our direction and does not wait for the server's.
    pub(crate) async fn hang_up(mut self) {
        // A server that does not take even the end is none to wait for.
        let _ = timeout(LINGER_SILENCE_MAX, poll_fn(|cx| self.stream.poll_shutdown(cx))).await;
    }

    /// The stream and what was read from it beyond the last head: what follows a switch of protocols.
    pub(crate) fn into_parts(self) -> (BoxIo, Vec<u8>) {
        self.stream.into_parts()
    }
}

impl ServerSide for H1Server {
    fn send_request(&mut self, head: &mut Request, framing: Framing) -> Result<(), SideError> {
        let version = if head.version.is_http1() { head.version.clone() } else { HttpVersion::Http11 };
        let absolute = self.forwarded.is_some().then(|| absolute_target(head));
        let target = match &absolute {
            Some(target) => target,
            None if head.path.is_empty() => &head.authority,
            None => &head.path,
        };
        (self.proof, self.switched) = (None, false);
        let translated;
        let (method, headers, framing) = if head.version.is_http1() {
            (&head.method, &head.headers, framing)
        } else {
            translated = self.translate(head, framing).map_err(SideError::Unsendable)?;
            (&translated.method, &translated.headers, translated.framing)
        };
        let outgoing = match framing {
            Framing::Chunked => Outgoing::Chunked,
            Framing::Length(length) => Outgoing::Length(length),
            Framing::None | Framing::UntilClose => Outgoing::Length(0),
        };
        let for_proxy = self.forwarded.as_ref().map(|forwarded| forwarded.fields(headers));
        let headers = for_proxy.as_ref().unwrap_or(headers);
        check_request_framing(&version, headers, framing)?;
        let names = self.names;
        let encode = |out: &mut BytesMut| encode_request_with(method, target, &version, headers, names, out);
        self.stream.send_head(outgoing, encode)?;
        self.persistent = wants_to_persist(&version, headers);
        self.upgrade_asked = if asks_to_upgrade(headers) { protocols(headers) } else { Vec::new() };
        self.method = method.clone();
        self.interim_seen = 0;
        self.sent_whole = false;
        Ok(())
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SideError>> {
        self.stream.poll_room(cx)
    }

    fn send_data(&mut self, data: Bytes) -> Result<(), SideError> {
        self.stream.send_data(data)
    }

    fn send_end(&mut self, trailers: Option<&Headers>) -> Result<(), SideError> {
        self.sent_whole = true;
        self.stream.send_end(trailers)
    }

    fn leave_memory(&mut self) {
        self.stream.leave_memory();
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SideError>> {
        self.stream.poll_flush(cx)
    }

    fn poll_response(&mut self, cx: &mut Context<'_>) -> Poll<Result<(Response, Framing), SideError>> {
        ready!(self.stream.poll_readable(cx))?;
        let started = clock::now();
        let bytes = match ready!(self.stream.poll_head(cx)) {
            Ok(Some(head)) => head,
            Ok(None) => return Poll::Ready(Err(SideError::Closed)),
            Err(error) => {
                self.refused = self.stream.refused(&[]);
                return Poll::Ready(Err(error));
            }
        };
        let response = self.take_head(bytes.clone(), started);
        if response.as_ref().is_err_and(SideError::is_malformed) {
            self.refused = self.stream.refused(&bytes);
        }
        Poll::Ready(response)
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<BodyEvent, SideError>> {
        let event = ready!(self.stream.poll_body(cx));
        if event.as_ref().is_err_and(SideError::is_malformed) {
            self.refused = self.stream.refused(&[]);
        }
        Poll::Ready(event)
    }

    fn has_switched(&self) -> bool {
        self.switched
    }

    fn poll_declines(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.persistent { self.stream.poll_stale(cx) } else { Poll::Ready(()) }
    }

    fn abort(&mut self, _code: Code) {
        self.persistent = false;
    }

    fn take_refused(&mut self) -> Bytes {
        std::mem::take(&mut self.refused)
    }
}

impl H1Server {
    /// A request of HTTP/2 in HTTP/1.
    fn translate(&mut self, head: &Request, framing: Framing) -> Result<Http1Request, MessageError> {
        if !is_websocket_connect(head) {
            return request_to_http1(head, framing);
        }
        if framing != Framing::None {
            return Err(MessageError::LengthDiffers);
        }
        let key = handshake_key(fastrand::u128(..).to_ne_bytes());
        self.proof = Some(handshake_accept(key.as_bytes()));
        websocket_upgrade(head, &key)
    }

    /// Reads a head, and sets out for the body that it announces.
    fn take_head(&mut self, head: Bytes, started: Timestamp) -> Result<(Response, Framing), SideError> {
        let head = parse_response_with(head, self.names)?;
        let framing = response_framing(&head.version, head.status, &head.headers, &self.method)?;
        let interim = head.status < 200 && head.status != 101;
        if interim {
            self.interim_seen += 1;
            if self.interim_seen > INTERIM_RESPONSES_MAX {
                return Err(SideError::TooManyInterim);
            }
        } else {
            let agreed = |protocol: &Vec<u8>| self.upgrade_asked.contains(protocol);
            let taken = if head.status == 101 { protocols(&head.headers) } else { Vec::new() };
            if head.status == 101 && (taken.is_empty() || !taken.iter().all(agreed)) {
                return Err(SideError::UnexpectedUpgrade);
            }
            if let Some(proof) = &self.proof {
                let proven = head.headers.get("sec-websocket-accept") == Some(proof.as_bytes());
                match head.status {
                    101 if !proven => return Err(SideError::UnprovenUpgrade),
                    200..=299 => return Err(SideError::NoUpgrade(head.status)),
                    _ => {}
                }
            }
            self.switched = head.status == 101;
            self.stream.expect_body(framing);
            self.persistent &=
                framing != Framing::UntilClose && wants_to_persist(&head.version, &head.headers);
        }
        let response = Response {
            version: head.version,
            status: head.status,
            reason: head.reason,
            headers: head.headers,
            body: Body::EMPTY,
            trailers: None,
            timestamp_start: started,
            timestamp_end: None,
        };
        Ok((response, framing))
    }
}

/// A request's target as a proxy is asked (RFC 9112 sections 3.2.2 and 3.2.4).
fn absolute_target(head: &Request) -> Bytes {
    let path: &[u8] = if head.path.as_ref() == b"*" { b"" } else { &head.path };
    let mut target = b"http://".to_vec();
    if head.authority.is_empty() {
        let address = Address { host: head.host.clone(), port: head.port }.to_string();
        target.extend_from_slice(address.strip_suffix(":80").unwrap_or(&address).as_bytes());
    } else {
        target.extend_from_slice(&head.authority);
    }
    target.extend_from_slice(path);
    target.into()
}
