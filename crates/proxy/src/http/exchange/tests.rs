//! Orderings of one exchange over in-memory pipes, in virtual time: who speaks, ends, breaks off or falls silent first.

use std::future::poll_fn;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use flowgate_wire::http2::Code;

use super::*;
use crate::http::h1_client::{H1Client, NextRequest};
use crate::http::h1_server::H1Server;
use crate::limits::{
    CLIENT_HEADER_TIMEOUT, CLIENT_PROGRESS_BYTES_MIN, CLIENT_PROGRESS_TIMEOUT, IDLE_TIMEOUT,
};
use flowgate_flow::{Body, HttpVersion, PseudoFields};
use flowgate_wire::http1::Names;

/// What a pipe holds: small, so that what fills memory is ours.
const PIPE_BYTES: usize = 4096;
const IDLE: Duration = IDLE_TIMEOUT;

/// How an exchange ended.
struct Ended {
    exchange: Exchange,
    result: Result<(), Failure>,
    client: H1Client,
    server: H1Server,
}

impl Ended {
    /// Side, phase and cause of the failure.
    fn failure(&self) -> String {
        match &self.result {
            Ok(()) => "none".to_owned(),
            Err(Failure { side, phase, cause: Cause::Side(err) }) => format!("{side} {phase}: {err}"),
            Err(Failure { side, phase, cause: Cause::Idle(_) }) => format!("{side} {phase}: idle"),
            Err(Failure { side, phase, cause: Cause::TooLarge(_) }) => format!("{side} {phase}: too large"),
            Err(Failure { side, phase, cause: Cause::TooSlow(..) }) => format!("{side} {phase}: too slow"),
            Err(Failure { cause, .. }) => panic!("no addons here: {cause:?}"),
        }
    }

    /// Breaks off what is unfinished, as the service does, and closes both.
    async fn close(mut self) {
        if self.result.is_err() {
            self.client.abort(Code::INTERNAL_ERROR);
            self.server.abort(Code::CANCEL);
        }
        self.client.flush().await.ok();
        drop(self.server);
        self.client.close(&CancellationToken::new()).await;
    }
}

fn new_client(io: DuplexStream) -> H1Client {
    H1Client::new(Box::new(io), Names::Tokens)
}

/// Runs one exchange in a task of its own; gives the peers' ends of the two pipes.
fn start() -> (DuplexStream, DuplexStream, tokio::task::JoinHandle<Ended>) {
    start_limited(u64::MAX)
}

/// The same with a limit for bodies.
fn start_limited(body_bytes_max: u64) -> (DuplexStream, DuplexStream, tokio::task::JoinHandle<Ended>) {
    let (client_end, client) = duplex(PIPE_BYTES);
    let (server_end, server) = duplex(PIPE_BYTES);
    let running = tokio::spawn(async move {
        let (mut client, mut server) =
            (new_client(client), H1Server::new(Box::new(server), None, Names::Tokens));
        let mut idle = IdleTimer::new(IDLE);
        let NextRequest::Request { head, framing, times } = client.next_request(&mut idle).await else {
            panic!("no request")
        };
        let request = Request {
            version: HttpVersion::Http11,
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
        let mut exchange = Exchange::new(request, framing, 0);
        exchange.body_bytes_max = body_bytes_max;
        let result = exchange.run(&mut client, &mut server, &mut idle, IDLE).await;
        Ended { exchange, result, client, server }
    });
    (client_end, server_end, running)
}

async fn read_head(stream: &mut DuplexStream) -> String {
    let mut all = Vec::new();
    while !all.ends_with(b"\r\n\r\n") {
        all.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(all).unwrap()
}

async fn read_all(stream: &mut DuplexStream) -> String {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.unwrap();
    String::from_utf8(all).unwrap()
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// The response at once, the rest of the request a minute later: it crosses, and both connections stay.
#[tokio::test(start_paused = true)]
async fn the_response_may_come_before_the_request_ends() {
    let (mut client, mut server, running) = start();
    client.write_all(POST).await.unwrap();
    client.write_all(b"half ").await.unwrap();
    read_head(&mut server).await;
    server.write_all(OK).await.unwrap();
    assert!(read_head(&mut client).await.starts_with("HTTP/1.1 200 "));
    tokio::time::sleep(Duration::from_secs(60)).await;
    client.write_all(b"later").await.unwrap();
    let ended = running.await.unwrap();
    assert_eq!(ended.failure(), "none");
    assert!(ended.client.can_continue() && ended.server.can_continue());
    ended.close().await;
    assert_eq!(read_all(&mut server).await, "half later");
    assert_eq!(read_all(&mut client).await, "ok");
}

/// A server that answers and will not read on is not made to; the client's connection ends, and so does the server's.
#[tokio::test(start_paused = true)]
async fn a_server_that_answers_and_reads_no_more_is_left_alone() {
    const CLOSE: &[u8] = b"HTTP/1.1 413 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno";
    const UNTIL_CLOSE: &[u8] = b"HTTP/1.1 413 No\r\n\r\nno";
    for (answer, ends) in [(CLOSE, false), (OK, true), (UNTIL_CLOSE, true)] {
        let (mut client, mut server, running) = start();
        client.write_all(POST).await.unwrap();
        client.write_all(b"half").await.unwrap();
        read_head(&mut server).await;
        server.write_all(answer).await.unwrap();
        if ends {
            server.shutdown().await.unwrap();
        }
        let ended = running.await.unwrap();
        assert_eq!(ended.failure(), "none");
        assert!(ended.exchange.left_body_unread(), "so the client's connection ends");
        assert!(!ended.server.can_continue(), "the rest of the body would be the next request");
        let closing = tokio::spawn(ended.close());
        // It is still sending, and gets its answer all the same.
        client.write_all(b" later").await.unwrap();
        assert_eq!(read_all(&mut client).await.as_bytes(), answer);
        drop(client);
        closing.await.unwrap();
        assert_eq!(read_all(&mut server).await, "half");
    }
}

/// Its answer came whole; that it sends no more of what nobody waits for takes nothing away from that.
#[tokio::test(start_paused = true)]
async fn a_client_with_its_answer_may_leave_inside_its_request() {
    let (mut client, mut server, running) = start();
    client.write_all(POST).await.unwrap();
    read_head(&mut server).await;
    server.write_all(OK).await.unwrap();
    let mut answer = vec![0; OK.len()];
    client.read_exact(&mut answer).await.unwrap();
    client.shutdown().await.unwrap();
    let ended = running.await.unwrap();
    assert_eq!(ended.failure(), "client body: connection closed inside the body");
    assert!(ended.exchange.is_answered_whole() && ended.exchange.left_body_unread());
    assert!(!ended.client.can_continue() && !ended.server.can_continue());
}

#[tokio::test(start_paused = true)]
async fn bodies_end_at_their_limit() {
    const GET_TWO: &[u8] =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nworld\r\n";
    for (limit, request, answer, expected) in [
        (10, POST, OK, "none"),
        (
            9,
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\na\r\n",
            OK,
            "client body: too large",
        ),
        (10, GET, b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n", "server head: too large"),
        (9, GET, GET_TWO, "server body: too large"),
        (9, GET, b"HTTP/1.1 200 OK\r\n\r\n0123456789", "server body: too large"),
    ] {
        let (mut client, mut server, running) = start_limited(limit);
        client.write_all(request).await.unwrap();
        client.write_all(if request == GET { b"" } else { b"0123456789" }).await.unwrap();
        if !expected.starts_with("client") {
            read_head(&mut server).await;
            server.write_all(answer).await.unwrap();
        }
        let ended = running.await.unwrap();
        assert_eq!(ended.failure(), expected, "{limit}");
        assert!(ended.exchange.check_announced_size().is_ok());
    }
    let (mut client, _server, running) = start_limited(9);
    client.write_all(POST).await.unwrap();
    client.write_all(b"0123456789").await.unwrap();
    let ended = running.await.unwrap();
    assert!(ended.exchange.check_announced_size().is_err(), "known before a server is");
}

/// What a client of HTTP/1.0 is told of its connection.
#[tokio::test(start_paused = true)]
async fn http10_is_told_that_its_connection_stays() {
    const KEEPING: &[u8] = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    const OLD: &[u8] = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok";
    const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let told = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n";
    for (request, answer, head, stays) in [
        (KEEPING, OK, told, true),
        (KEEPING, told.as_bytes(), told, true),
        (&b"GET / HTTP/1.0\r\n\r\n"[..], OK, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", false),
        // Only its end tells where it ends: of the connection to the server, or of the client's.
        (KEEPING, OLD, "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n", false),
        (KEEPING, CHUNKED, "HTTP/1.1 200 OK\r\n\r\n", false),
    ] {
        let (mut client, mut server, running) = start();
        client.write_all(request).await.unwrap();
        read_head(&mut server).await;
        server.write_all(answer).await.unwrap();
        if answer == told.as_bytes() {
            server.write_all(b"ok").await.unwrap();
        }
        let ended = running.await.unwrap();
        assert_eq!((ended.failure().as_str(), ended.client.can_continue()), ("none", stays), "{head}");
        let shown = ended.exchange.response.as_ref().unwrap().headers.clone();
        assert!(
            answer == told.as_bytes() || !shown.contains("connection"),
            "the flow shows what the server sent"
        );
        ended.close().await;
        assert_eq!(read_all(&mut client).await, format!("{head}ok"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_half_closed_client_gets_its_answer() {
    let (mut client, mut server, running) = start();
    client.write_all(GET).await.unwrap();
    client.shutdown().await.unwrap();
    read_head(&mut server).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    server.write_all(OK).await.unwrap();
    let ended = running.await.unwrap();
    assert_eq!(ended.failure(), "none");
    assert!(ended.server.can_continue());
    ended.close().await;
    assert_eq!(read_all(&mut client).await.as_bytes(), OK);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_half_closes_has_answered() {
    let (mut client, mut server, running) = start();
    client.write_all(GET).await.unwrap();
    read_head(&mut server).await;
    server.write_all(b"HTTP/1.1 200 OK\r\n\r\nall").await.unwrap();
    server.shutdown().await.unwrap();
    let ended = running.await.unwrap();
    assert_eq!(ended.failure(), "none");
    assert!(!ended.client.can_continue(), "its end is the end of the body");
    ended.close().await;
    assert_eq!(read_all(&mut client).await, "HTTP/1.1 200 OK\r\n\r\nall");
}

#[tokio::test(start_paused = true)]
async fn either_side_may_break_off_in_either_half() {
    const CHUNKED: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel";
    // What the client and the server send before they end their half, and what the flow says of it.
    for (sent, answer, expected) in [
        (&[POST, b"half"].concat()[..], &b""[..], "client body: connection closed inside the body"),
        (CHUNKED, b"", "client body: connection closed inside the body"),
        (GET, b"", "server head: connection closed"),
        (GET, b"HTTP/1.1 2", "server head: connection closed"),
        (GET, b"HTTP/1.1 100 Continue\r\n\r\n", "server head: connection closed"),
        (
            GET,
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
            "server body: connection closed inside the body",
        ),
        (
            GET,
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "server body: connection closed inside the body",
        ),
        (
            GET,
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y",
            "server body: connection closed inside the body",
        ),
    ] {
        let (mut client, mut server, running) = start();
        client.write_all(sent).await.unwrap();
        read_head(&mut server).await;
        if answer.is_empty() && expected.starts_with("client") {
            client.shutdown().await.unwrap();
        } else {
            server.write_all(answer).await.unwrap();
            server.shutdown().await.unwrap();
        }
        let ended = running.await.unwrap();
        assert_eq!(ended.failure(), expected);
        assert!(!ended.server.can_continue(), "{expected}");
        ended.close().await;
        let told = read_all(&mut client).await;
        assert!(!told.ends_with("0\r\n\r\n"), "{told:?} looks whole");
    }
}

#[tokio::test(start_paused = true)]
async fn silence_ends_after_the_idle_time_and_not_before() {
    for (answer, expected) in [
        (&b""[..], "server head: idle"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", "server body: idle"),
    ] {
        let (mut client, mut server, running) = start();
        let began = Instant::now();
        client.write_all(GET).await.unwrap();
        read_head(&mut server).await;
        server.write_all(answer).await.unwrap();
        let ended = running.await.unwrap();
        assert_eq!((ended.failure().as_str(), began.elapsed().as_secs()), (expected, IDLE.as_secs()));
    }
}

/// A body whose length is known has to come on. All others may be conversations, in which nothing may be said for long.
#[tokio::test(start_paused = true)]
async fn a_body_that_all_but_stands_still_is_given_up() {
    let enough = usize::try_from(CLIENT_PROGRESS_BYTES_MIN).unwrap();
    let announced = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n";
    let asking = announced.replace("Host: a", "Host: a\r\nExpect: 100-continue");
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
    let gives_up = Some("client body: too slow");
    for (head, piece, answer, expected) in [
        (announced, "x".to_owned(), "", gives_up),
        (announced, "x".repeat(enough / 3 - 1), "", gives_up),
        (announced, "x".repeat(enough / 3 + 1), "", None),
        (announced, "x".to_owned(), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", None),
        (announced, "x".to_owned(), "HTTP/1.1 102 Processing\r\n\r\n", gives_up),
        (&chunked, "1\r\nx\r\n".to_owned(), "", None),
        (&asking, String::new(), "", None),
        (&asking, String::new(), "HTTP/1.1 100 Continue\r\n\r\n", gives_up),
    ] {
        let (mut client, mut server, running) = start();
        let began = Instant::now();
        client.write_all(head.as_bytes()).await.unwrap();
        read_head(&mut server).await;
        server.write_all(answer.as_bytes()).await.unwrap();
        let reading = tokio::spawn(async move { read_all(&mut server).await });
        while began.elapsed() < IDLE - Duration::from_secs(1) && !running.is_finished() {
            // Three pieces in each period.
            tokio::time::sleep(CLIENT_PROGRESS_TIMEOUT / 3 - Duration::from_millis(1)).await;
            client.write_all(piece.as_bytes()).await.ok();
        }
        let what = format!("{} of {head:?} behind {answer:?}", piece.len());
        assert_eq!(running.is_finished(), expected.is_some(), "{what}");
        drop(client);
        let ended = running.await.unwrap();
        if let Some(expected) = expected {
            assert_eq!(ended.failure(), expected, "{what}");
        }
        drop(ended);
        reading.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_was_asked_for_comes_behind_100() {
    let (mut client, mut server, running) = start();
    client
        .write_all(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        .await
        .unwrap();
    assert!(
        read_head(&mut server).await.contains("\r\nExpect: 100-continue\r\n"),
        "it is the server's to answer"
    );
    server.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
    assert_eq!(read_head(&mut client).await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"body").await.unwrap();
    let mut body = [0; 4];
    server.read_exact(&mut body).await.unwrap();
    server.write_all(OK).await.unwrap();
    let ended = running.await.unwrap();
    assert_eq!((ended.failure().as_str(), &body), ("none", b"body"));
    assert!(ended.client.can_continue() && ended.server.can_continue());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_refused_is_not_waited_for() {
    let (mut client, mut server, running) = start();
    client
        .write_all(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        .await
        .unwrap();
    read_head(&mut server).await;
    server.write_all(b"HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    let ended = running.await.unwrap();
    assert_eq!(ended.failure(), "none");
    assert!(
        !ended.client.can_continue() && !ended.server.can_continue(),
        "nobody knows if the body still comes"
    );
}

#[tokio::test(start_paused = true)]
async fn no_switch_of_protocols_inside_a_request() {
    let (mut client, mut server, running) = start();
    let head =
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 9\r\n\r\nhalf";
    client.write_all(head.as_bytes()).await.unwrap();
    read_head(&mut server).await;
    server.write_all(b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n").await.unwrap();
    assert_eq!(running.await.unwrap().failure(), "server head: switched protocols inside the request");
}

/// A server that could send 64 MiB at once, and a client that reads nothing: less than 1 MiB is taken meanwhile.
#[tokio::test(start_paused = true)]
async fn a_slow_reader_slows_the_server() {
    const OFFERED: usize = 64 * 1024 * 1024;
    let (mut client, mut server, running) = start();
    client.write_all(GET).await.unwrap();
    read_head(&mut server).await;
    server
        .write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {OFFERED}\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let piece = vec![b'x'; 64 * 1024];
    let mut taken = 0;
    // In virtual time a second passes only when nothing moves any more.
    while let Ok(written) = tokio::time::timeout(Duration::from_secs(1), server.write(&piece)).await {
        taken += written.unwrap();
    }
    assert!(taken < 1024 * 1024, "{taken} bytes were taken");
    let sending = tokio::spawn(async move {
        let mut left = OFFERED - taken;
        while left > 0 {
            left -= server.write(&piece[..left.min(piece.len())]).await.unwrap();
        }
        server
    });
    read_head(&mut client).await;
    let mut left = OFFERED;
    let mut buf = vec![0; 64 * 1024];
    while left > 0 {
        left -= client.read(&mut buf).await.unwrap();
    }
    sending.await.unwrap();
    assert_eq!(running.await.unwrap().failure(), "none");
}

/// As long as bytes come in time, one by one, the head may take until its limit and no longer.
#[tokio::test(start_paused = true)]
async fn a_head_has_its_time_however_it_drips() {
    for (head_in, expected) in
        [(CLIENT_HEADER_TIMEOUT - Duration::from_secs(1), true), (CLIENT_HEADER_TIMEOUT, false)]
    {
        let (mut peer, end) = duplex(PIPE_BYTES);
        let mut client = new_client(end);
        let began = Instant::now();
        let dripping = tokio::spawn(async move {
            let (last, most) = GET.split_last().unwrap();
            for byte in most {
                peer.write_all(&[*byte]).await.unwrap();
                tokio::time::sleep(head_in / u32::try_from(most.len()).unwrap()).await;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
            peer.write_all(&[*last]).await.ok();
            peer
        });
        match client.next_request(&mut IdleTimer::new(IDLE)).await {
            NextRequest::Request { .. } => assert!(expected),
            NextRequest::Unreadable(unreadable) => {
                assert!(!expected && matches!(unreadable.error, SideError::HeadTimeout));
                assert_eq!(unreadable.received, GET.split_last().unwrap().1, "what came is for the flow");
                assert_eq!(began.elapsed(), CLIENT_HEADER_TIMEOUT);
            }
            NextRequest::Closed => panic!("closed"),
        }
        dripping.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_may_rest_between_requests_for_its_time() {
    let (_peer, end) = duplex(PIPE_BYTES);
    let mut client = new_client(end);
    let began = Instant::now();
    assert!(matches!(client.next_request(&mut IdleTimer::new(IDLE)).await, NextRequest::Closed));
    assert_eq!(began.elapsed(), IDLE);
    poll_fn(|cx| client.poll_flush(cx)).await.unwrap();
}
