//! A client's connection and its servers, all of them bytes in memory: what a fuzzer drives, and a property test.
//!
//! Not for use: it leaves out what `Service` adds (addons, error pages, flows). What it asserts is what matters on the wire:
//! whatever both peers send, each server reads one request at most, and the client reads answers to its requests and nothing
//! else.

#![expect(clippy::expect_used, clippy::panic, reason = "a check fails by panicking")]

use bytes::{Bytes, BytesMut};
use flowgate_flow::{Body, HttpVersion, PseudoFields, Request};
use flowgate_wire::http1::{
    BodyDecoder, BodyError, BodyEvent, Framing, HeadScanner, Names, Scan, parse_request, parse_response,
    request_framing, response_framing,
};
use flowgate_wire::http2::Code;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_util::sync::CancellationToken;

use super::exchange::Exchange;
use super::forward::remove_connection_fields;
use super::h1_client::{H1Client, NextRequest};
use super::h1_server::H1Server;
use super::side::{ClientSide, ServerSide};
use crate::idle::IdleTimer;
use crate::limits::IDLE_TIMEOUT;

/// More than crosses: nobody reads before all is over.
const PIPE_BYTES: usize = 4 << 20;

/// What came out of a connection.
struct Crossed {
    to_client: Vec<u8>,
    /// What each server received.
    to_servers: Vec<Vec<u8>>,
    /// The methods of the requests that were read.
    methods: Vec<Bytes>,
}

/// Carries what a client sends to servers that send one of `answers` each, and checks what comes out.
///
/// # Panics
/// If a server could read two requests, the client an answer that is none, or anybody something malformed.
#[cfg_attr(not(fuzzing), expect(unreachable_pub, reason = "the fuzz target is outside"))]
pub fn check_connection(sent: &[u8], answers: &[&[u8]]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let crossed = runtime.expect("a runtime").block_on(carry(sent, answers));
    for received in &crossed.to_servers {
        check_server(received);
    }
    check_client(&crossed);
}

async fn carry(sent: &[u8], answers: &[&[u8]]) -> Crossed {
    let (mut client_end, io) = duplex(PIPE_BYTES);
    say(&mut client_end, sent).await;
    let mut client = H1Client::new(Box::new(io), Names::Tokens);
    let mut idle = IdleTimer::new(IDLE_TIMEOUT);
    let (mut to_servers, mut methods) = (Vec::new(), Vec::new());
    for answer in answers {
        let next = client.next_request(&mut idle).await;
        let NextRequest::Request { head, framing, times } = next else { break };
        methods.push(head.method.clone());
        let mut request = Request {
            version: head.version,
            method: head.method,
            scheme: Bytes::from_static(b"http"),
            host: "a".into(),
            port: 80,
            authority: Bytes::new(),
            path: head.target,
            pseudo: PseudoFields::default(),
            headers: head.headers,
            body: Body::EMPTY,
            trailers: None,
            timestamp_start: times.started,
            timestamp_end: None,
        };
        remove_connection_fields(&mut request.headers);
        let (mut server_end, io) = duplex(PIPE_BYTES);
        say(&mut server_end, answer).await;
        let mut server = H1Server::new(Box::new(io), None, Names::Tokens);
        let mut exchange = Exchange::new(request, framing, 0);
        let result = exchange.run(&mut client, &mut server, &mut idle, IDLE_TIMEOUT).await;
        let upgraded = exchange.response.as_ref().is_some_and(|response| response.status == 101);
        if result.is_err() {
            server.abort(Code::CANCEL);
            if !exchange.is_answered_whole() {
                client.abort(Code::INTERNAL_ERROR);
            }
        }
        drop(server);
        to_servers.push(heard(&mut server_end).await);
        if result.is_err() || upgraded || exchange.left_body_unread() || !client.can_continue() {
            break;
        }
    }
    client.flush().await.ok();
    client.close(&CancellationToken::new()).await;
    Crossed { to_client: heard(&mut client_end).await, to_servers, methods }
}

async fn say(end: &mut DuplexStream, bytes: &[u8]) {
    end.write_all(bytes).await.expect("room");
    end.shutdown().await.expect("an end");
}

async fn heard(end: &mut DuplexStream) -> Vec<u8> {
    let mut all = Vec::new();
    end.read_to_end(&mut all).await.expect("an end");
    all
}

/// Takes a head; nothing may be there instead of a whole one.
fn head(buf: &mut BytesMut) -> Option<Bytes> {
    match HeadScanner::default().scan(buf).expect("a head") {
        Scan::Head(len) => Some(buf.split_to(len).freeze()),
        Scan::NeedMore => {
            assert!(buf.is_empty(), "half a head: {buf:?}");
            None
        }
    }
}

/// Takes a body; whether all of it was there.
fn body(framing: Framing, buf: &mut BytesMut) -> bool {
    let mut decoder = BodyDecoder::new(framing);
    loop {
        match decoder.decode(buf, true) {
            Ok(BodyEvent::Data(_)) => {}
            Ok(BodyEvent::End(_)) => return true,
            Ok(BodyEvent::NeedMore) | Err(BodyError::Cut) => return false,
            Err(err) => panic!("a malformed body: {err}"),
        }
    }
}

fn check_server(received: &[u8]) {
    let mut buf = BytesMut::from(received);
    let Some(head) = head(&mut buf) else { return };
    let head = parse_request(head).expect("a request");
    let framing = request_framing(&head.version, &head.headers).expect("a body");
    if body(framing, &mut buf) {
        assert!(buf.is_empty(), "behind the request: {buf:?}");
    }
}

fn check_client(crossed: &Crossed) {
    let mut buf = BytesMut::from(&crossed.to_client[..]);
    let mut methods = crossed.methods.iter();
    while let Some(head) = head(&mut buf) {
        let head = parse_response(head).expect("an answer");
        if head.status < 200 && head.status != 101 {
            continue;
        }
        let method = methods.next().expect("no more answers than requests");
        let framing = response_framing(&head.version, head.status, &head.headers, method).expect("a body");
        if head.status == 101 || !body(framing, &mut buf) {
            return;
        }
        assert_ne!(head.version, HttpVersion::Http2);
    }
}

mod http2;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "tests ask what it heard; for a fuzzer it is enough that it listens")
)]
pub(super) mod listener;
pub(super) mod network;

#[cfg(fuzzing)]
pub use http2::check_http2_connection;

#[cfg(test)]
mod tests;
