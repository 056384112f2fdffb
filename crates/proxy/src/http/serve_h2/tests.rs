//! A client and a server of HTTP/2 with us between them: the `h2` crate where it can say what is to be said, frames by hand
//! where not. The client's side is an in-memory pipe, the server's a socket.

use std::time::Duration;

use bytes::Bytes;
use flowgate_flow::{Address, Connection, FlowKind, Priority};
use flowgate_wire::http2::PREFACE;
use h2::{Reason, RecvStream, client::SendRequest, server::SendResponse};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;
use crate::context::Context as ProxyContext;
use crate::context::tests::{context, context_told};
use crate::egress::{Egress, Purpose};
use crate::http::faces::fixture::Told;
use crate::http::servers::{Route, Servers};
use crate::limits::{H2_SETTINGS_TIMEOUT, H2_STREAM_WINDOW_BYTES, H2_TRIES_MAX, IDLE_TIMEOUT};

/// How long a test may take before something hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// What stands between the two.
struct Fixture {
    client: DuplexStream,
    listener: TcpListener,
    context: ProxyContext,
    serving: JoinHandle<()>,
}

async fn fixture() -> Fixture {
    fixture_in(context(Egress::Direct)).await
}

async fn fixture_in(context: ProxyContext) -> Fixture {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (client, ours) = duplex(64 * 1024);
    let address = Address { host: "127.0.0.1".to_owned(), port };
    let route = Route { address, tls_name: None, purpose: Purpose::Tunnel, egress: None };
    let mut servers = Servers::new(Vec::new());
    servers.leave_driving_to_client();
    servers.speak_http2_in_the_clear(route.clone());
    let origin = Origin::Fixed { route, host: None };
    let service = Service { context: context.clone(), servers: Arc::new(servers), origin };
    let serving = tokio::spawn(serve(service, Box::new(ours)));
    Fixture { client, listener, context, serving }
}

/// A client on the pipe.
async fn client(pipe: DuplexStream) -> SendRequest<Bytes> {
    let (send, connection) = h2::client::handshake(pipe).await.unwrap();
    tokio::spawn(connection);
    send
}

/// A server that has each request of a connection handled by `handle`, which is given its number.
fn server<F>(
    listener: TcpListener,
    handle: impl Fn(usize, RecvStream, SendResponse<Bytes>) -> F + Send + Sync + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut connection = h2::server::handshake(stream).await.unwrap();
            let mut n = 0;
            while let Some(Ok((request, respond))) = connection.accept().await {
                tokio::spawn(handle(n, request.into_body(), respond));
                n += 1;
            }
        }
    });
}

fn ok(respond: &mut SendResponse<Bytes>) -> h2::SendStream<Bytes> {
    respond.send_response(http::Response::new(()), false).unwrap()
}

fn get() -> http::Request<()> {
    http::Request::get("http://a/").body(()).unwrap()
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("nothing moves")
}

#[tokio::test]
async fn resets_cross_with_their_codes() {
    let fixture = fixture().await;
    server(fixture.listener, |n, _, mut respond| async move {
        if n == 0 {
            respond.send_reset(Reason::ENHANCE_YOUR_CALM);
        } else {
            let mut body = ok(&mut respond);
            body.send_data("part".into(), false).unwrap();
            body.send_reset(Reason::INADEQUATE_SECURITY);
        }
    });
    let send = client(fixture.client).await;
    let (response, _) = within(send.clone().ready()).await.unwrap().send_request(get(), true).unwrap();
    assert_eq!(within(response).await.unwrap_err().reason(), Some(Reason::ENHANCE_YOUR_CALM));
    let (response, _) = within(send.ready()).await.unwrap().send_request(get(), true).unwrap();
    // The reset may overtake the head, as it drops what waits to be sent.
    let error = match within(response).await {
        Err(error) => error,
        Ok(response) => {
            let mut body = response.into_body();
            loop {
                match within(body.data()).await {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => break error,
                    None => panic!("looks whole"),
                }
            }
        }
    };
    assert_eq!(error.reason(), Some(Reason::INADEQUATE_SECURITY));
}

#[tokio::test]
async fn a_clients_reset_reaches_the_server() {
    let fixture = fixture().await;
    let (told, mut hears) = tokio::sync::mpsc::unbounded_channel();
    server(fixture.listener, move |_, _, mut respond| {
        let told = told.clone();
        async move {
            told.send(None).unwrap();
            let reason = poll_fn(|cx| respond.poll_reset(cx)).await.unwrap();
            told.send(Some(reason)).unwrap();
        }
    });
    let send = client(fixture.client).await;
    let (_response, mut body) = within(send.ready()).await.unwrap().send_request(get(), false).unwrap();
    assert_eq!(within(hears.recv()).await.unwrap(), None);
    body.send_reset(Reason::STREAM_CLOSED);
    assert_eq!(within(hears.recv()).await.unwrap(), Some(Reason::STREAM_CLOSED));
}

#[tokio::test]
async fn what_was_refused_is_tried_again() {
    let fixture = fixture().await;
    server(fixture.listener, |n, _, mut respond| async move {
        if n < H2_TRIES_MAX - 1 {
            respond.send_reset(Reason::REFUSED_STREAM);
        } else {
            ok(&mut respond).send_data(Bytes::new(), true).unwrap();
        }
    });
    let send = client(fixture.client).await;
    let post = http::Request::post("http://a/").body(()).unwrap();
    let (response, _) = within(send.clone().ready()).await.unwrap().send_request(post, true).unwrap();
    assert_eq!(within(response).await.unwrap().status(), 200);
    // But not for ever; and a body that was begun is not sent twice.
    let fixture = self::fixture().await;
    let (told, mut hears) = tokio::sync::mpsc::unbounded_channel();
    server(fixture.listener, move |n, _, mut respond| {
        told.send(n).unwrap();
        async move { respond.send_reset(Reason::REFUSED_STREAM) }
    });
    let send = client(fixture.client).await;
    let (response, _) = within(send.ready()).await.unwrap().send_request(get(), true).unwrap();
    assert_eq!(within(response).await.unwrap_err().reason(), Some(Reason::REFUSED_STREAM));
    assert_eq!(std::iter::from_fn(|| hears.try_recv().ok()).count(), H2_TRIES_MAX);
    let fixture = self::fixture().await;
    server(fixture.listener, |_, _, mut respond| async move { respond.send_reset(Reason::REFUSED_STREAM) });
    let send = client(fixture.client).await;
    let post = http::Request::post("http://a/").body(()).unwrap();
    let (response, _body) = within(send.ready()).await.unwrap().send_request(post, false).unwrap();
    assert_eq!(within(response).await.unwrap_err().reason(), Some(Reason::REFUSED_STREAM));
}

#[tokio::test]
async fn a_server_that_goes_away_is_connected_to_again() {
    let fixture = fixture().await;
    let listener = fixture.listener;
    let (told, mut hears) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        for n in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            let mut connection = h2::server::handshake(stream).await.unwrap();
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                ok(&mut respond).send_data(Bytes::new(), true).unwrap();
                told.send(n).unwrap();
                connection.graceful_shutdown();
            }
        }
    });
    let send = client(fixture.client).await;
    for n in 0..3 {
        let (response, _) = within(send.clone().ready()).await.unwrap().send_request(get(), true).unwrap();
        assert_eq!(within(response).await.unwrap().status(), 200);
        assert_eq!(within(hears.recv()).await, Some(n));
    }
}

/// Reads frames until one of this type on this stream comes; gives its payload.
async fn read_frame(pipe: &mut DuplexStream, kind: u8, stream: u32) -> Vec<u8> {
    loop {
        let mut header = [0; 9];
        within(pipe.read_exact(&mut header)).await.unwrap();
        let [l0, l1, l2, got, _, s0, s1, s2, s3] = header;
        let mut payload = vec![0; u32::from_be_bytes([0, l0, l1, l2]) as usize];
        within(pipe.read_exact(&mut payload)).await.unwrap();
        if (got, u32::from_be_bytes([s0, s1, s2, s3])) == (kind, stream) {
            return payload;
        }
    }
}

const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
const SETTINGS_ACK: [u8; 9] = [0, 0, 0, 4, 1, 0, 0, 0, 0];

#[tokio::test]
async fn a_malformed_request_ends_its_own_stream_only() {
    let fixture = fixture().await;
    server(fixture.listener, |_, _, mut respond| async move {
        ok(&mut respond).send_data(Bytes::new(), true).unwrap();
    });
    let mut pipe = fixture.client;
    // GET / of a, then a field `X: y` on stream 1 and none on stream 3.
    let get = [0x82, 0x86, 0x84, 0x41, 0x01, b'a'];
    let bad = [&get[..], &[0x00, 0x01, b'X', 0x01, b'y']].concat();
    let frame = |stream: u8, block: &[u8]| {
        [&[0, 0, u8::try_from(block.len()).unwrap(), 1, 5, 0, 0, 0, stream], block].concat()
    };
    let bytes = [&PREFACE[..], &SETTINGS, &SETTINGS_ACK, &frame(1, &bad), &frame(3, &get)].concat();
    pipe.write_all(&bytes).await.unwrap();
    assert_eq!(read_frame(&mut pipe, 3, 1).await, [0, 0, 0, 1], "PROTOCOL_ERROR");
    read_frame(&mut pipe, 1, 3).await;
}

#[tokio::test]
async fn a_flood_ends_its_connection() {
    let fixture = fixture().await;
    let (mut reading, mut writing) = tokio::io::split(fixture.client);
    let flooding = tokio::spawn(async move {
        writing.write_all(&[&PREFACE[..], &SETTINGS, &SETTINGS_ACK].concat()).await.unwrap();
        // It stops when nobody reads any more.
        while writing.write_all(&[0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]).await.is_ok() {}
    });
    let mut all = Vec::new();
    within(reading.read_to_end(&mut all)).await.unwrap();
    assert!(all.ends_with(&[0, 0, 0, 0, 0, 0, 0, 11]), "GOAWAY with ENHANCE_YOUR_CALM");
    // What it still sends is read for a while, so that it sees why.
    flooding.abort();
    drop(reading);
    within(fixture.serving).await.unwrap();
}

/// On a socket what comes behind is not read at all, and the peer is let go when it goes.
#[tokio::test]
async fn what_comes_behind_a_flood_is_left_unread() {
    let fixture = fixture().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (ours, _) = listener.accept().await.unwrap();
    let servers = Arc::new(Servers::new(Vec::new()));
    let address = Address { host: "127.0.0.1".to_owned(), port: 1 };
    let route = Route { address, tls_name: None, purpose: Purpose::Tunnel, egress: None };
    let origin = Origin::Fixed { route, host: None };
    let service = Service { context: fixture.context.clone(), servers, origin };
    let serving = tokio::spawn(serve(service, Box::new(ours)));
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0].repeat(1000);
    client.write_all(&[&PREFACE[..], &settings].concat()).await.unwrap();
    let mut heard = Vec::new();
    while !heard.ends_with(&[0, 0, 0, 0, 0, 0, 0, 11]) {
        assert_ne!(
            within(client.read_buf(&mut heard)).await.unwrap(),
            0,
            "GOAWAY with ENHANCE_YOUR_CALM first"
        );
    }
    // Nothing is left of it but that.
    within(serving).await.unwrap();
    let tasks = &fixture.context.proxy.tasks;
    assert_eq!(tasks.len(), 1, "it is let wait");
    drop(client);
    tasks.close();
    within(tasks.wait()).await;
}

/// A client does not read one of two responses: its server has to wait, and the other crosses.
#[tokio::test]
async fn a_slow_stream_slows_its_own_server_only() {
    const OFFERED: usize = 8 * 1024 * 1024;
    let fixture = fixture().await;
    let (told, mut hears) = tokio::sync::mpsc::unbounded_channel();
    server(fixture.listener, move |n, _, mut respond| {
        let told = told.clone();
        async move {
            let mut body = ok(&mut respond);
            let mut sent = 0;
            while sent < OFFERED {
                body.reserve_capacity(64 * 1024);
                let Some(Ok(room)) = poll_fn(|cx| body.poll_capacity(cx)).await else { return };
                body.send_data(vec![0; room].into(), false).unwrap();
                sent += room;
                told.send((n, sent)).unwrap();
            }
            body.send_data(Bytes::new(), true).unwrap();
        }
    });
    // Its window for all streams is large, so that it is the stream's that is used up.
    let (send, connection) = h2::client::Builder::new()
        .initial_connection_window_size(64 * 1024 * 1024)
        .handshake::<_, Bytes>(fixture.client)
        .await
        .unwrap();
    tokio::spawn(connection);
    let (slow, _) = within(send.clone().ready()).await.unwrap().send_request(get(), true).unwrap();
    let slow = within(slow).await.unwrap();
    let (fast, _) = within(send.ready()).await.unwrap().send_request(get(), true).unwrap();
    let mut fast = within(fast).await.unwrap().into_body();
    let mut got = 0;
    while let Some(data) = within(fast.data()).await {
        let data = data.unwrap();
        got += data.len();
        fast.flow_control().release_capacity(data.len()).unwrap();
    }
    assert_eq!(got, OFFERED);
    let mut slow_sent = 0;
    while let Ok((n, sent)) = hears.try_recv() {
        if n == 0 {
            slow_sent = sent;
        }
    }
    let most = H2_STREAM_WINDOW_BYTES as usize + 512 * 1024;
    assert!(slow_sent < most, "{slow_sent} bytes were taken for a client that reads nothing");
    drop(slow);
}

#[tokio::test]
async fn shutting_down_lets_streams_end() {
    let fixture = fixture().await;
    let (answer, answered) = tokio::sync::oneshot::channel();
    let answered = std::sync::Mutex::new(Some(answered));
    let (told, mut hears) = tokio::sync::mpsc::unbounded_channel();
    server(fixture.listener, move |_, _, mut respond| {
        let answered = answered.lock().unwrap().take().unwrap();
        told.send(()).unwrap();
        async move {
            answered.await.unwrap();
            ok(&mut respond).send_data("late".into(), true).unwrap();
        }
    });
    let (send, connection) = h2::client::handshake(fixture.client).await.unwrap();
    let connection = tokio::spawn(connection);
    let (response, _) = within(send.ready()).await.unwrap().send_request(get(), true).unwrap();
    within(hears.recv()).await.unwrap();
    fixture.context.proxy.stop.cancel();
    answer.send(()).unwrap();
    let mut body = within(response).await.unwrap().into_body();
    assert_eq!(within(body.data()).await.unwrap().unwrap(), "late");
    drop(body);
    within(connection).await.unwrap().unwrap();
    within(fixture.serving).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn clients_that_say_nothing_are_not_waited_for() {
    // Nothing at all; and everything but requests.
    for (hello, limit) in [
        (&[][..], H2_SETTINGS_TIMEOUT),
        (&[&PREFACE[..], &SETTINGS].concat(), H2_SETTINGS_TIMEOUT),
        (&[&PREFACE[..], &SETTINGS, &SETTINGS_ACK].concat(), IDLE_TIMEOUT),
    ] {
        let mut fixture = fixture().await;
        let began = Instant::now();
        fixture.client.write_all(hello).await.unwrap();
        let mut all = Vec::new();
        fixture.client.read_to_end(&mut all).await.unwrap();
        let took = began.elapsed();
        assert!(took >= limit && took < limit + Duration::from_secs(5), "{took:?}");
        let code = all.last().copied();
        assert_eq!(
            code,
            Some(if limit == H2_SETTINGS_TIMEOUT { 4 } else { 0 }),
            "SETTINGS_TIMEOUT or NO_ERROR"
        );
    }
}

/// h2spec at the clear face of `reverse:http`, before a server that has only HTTP/1: each request got 502, since its client's preface was all
/// that was known of the server. Its answer to that, in HTTP/1, is taken at its word now.
#[tokio::test]
async fn a_server_that_answers_the_preface_in_http1_is_asked_in_http1() {
    let fixture = fixture().await;
    let serving = tokio::spawn(async move {
        let mut asked = Vec::new();
        for _ in 0..2 {
            let (mut stream, _) = fixture.listener.accept().await.unwrap();
            let mut input = Vec::new();
            while input.len() < 24 {
                stream.read_buf(&mut input).await.unwrap();
            }
            if input.starts_with(PREFACE) {
                asked.push("preface".to_owned());
                let refusal = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n<html>";
                stream.write_all(refusal).await.unwrap();
                continue;
            }
            for _ in 0..2 {
                while !input.ends_with(b"\r\n\r\n") {
                    stream.read_buf(&mut input).await.unwrap();
                }
                let line = input.split(|byte| *byte == b'\r').next().unwrap();
                asked.push(String::from_utf8(line.to_vec()).unwrap());
                input.clear();
                stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            }
        }
        asked
    });
    let send = client(fixture.client).await;
    for _ in 0..2 {
        let (response, _) = within(send.clone().ready()).await.unwrap().send_request(get(), true).unwrap();
        assert_eq!(within(response).await.unwrap().status(), 204);
    }
    assert_eq!(within(serving).await.unwrap(), ["preface", "GET / HTTP/1.1", "GET / HTTP/1.1"]);
}

/// h2spec before a server that nobody could connect to (8.1.2.6): the body was not looked at any more, and a page answered what there is
/// no answer to.
#[tokio::test]
async fn a_malformed_body_gets_no_page() {
    let fixture = fixture().await;
    drop(fixture.listener);
    let mut pipe = fixture.client;
    // POST / of a with `content-length: 5`, and four bytes; then the same with all five.
    let head = [0x83, 0x86, 0x84, 0x41, 0x01, b'a', 0x0f, 0x0d, 0x01, b'5'];
    let head = |stream: u8| [&[0, 0, 10, 1, 4, 0, 0, 0, stream], &head[..]].concat();
    let body = |stream: u8, body: &[u8]| {
        [&[0, 0, u8::try_from(body.len()).unwrap(), 0, 1, 0, 0, 0, stream], body].concat()
    };
    let bytes =
        [&PREFACE[..], &SETTINGS, &SETTINGS_ACK, &head(1), &body(1, b"test"), &head(3), &body(3, b"tests")]
            .concat();
    pipe.write_all(&bytes).await.unwrap();
    assert_eq!(read_frame(&mut pipe, 3, 1).await, [0, 0, 0, 1], "PROTOCOL_ERROR");
    read_frame(&mut pipe, 1, 3).await;
}

/// By what stands before any message clients are told apart, and servers too.
#[tokio::test]
async fn what_both_sides_said_first_stands_with_their_flows() {
    let told = Arc::new(Told::default());
    let fixture = fixture_in(context_told(Egress::Direct, told.clone())).await;
    let serving = tokio::spawn(async move {
        let (stream, _) = fixture.listener.accept().await.unwrap();
        let mut connection =
            h2::server::Builder::new().max_concurrent_streams(7).handshake::<_, Bytes>(stream).await.unwrap();
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            ok(&mut respond).send_data(Bytes::new(), true).unwrap();
        }
    });
    let mut pipe = fixture.client;
    // SETTINGS, WINDOW_UPDATE, PRIORITY; then GET with path and method first, and a priority.
    let settings = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 2, 0, 0];
    let window = [0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 1, 0];
    let priority = [0, 0, 5, 2, 0, 0, 0, 0, 3, 0, 0, 0, 0, 200];
    let head = [0, 0, 11, 1, 0x25, 0, 0, 0, 7, 0x80, 0, 0, 3, 41, 0x84, 0x82, 0x86, 0x41, 0x01, b'a'];
    pipe.write_all(&[&PREFACE[..], &settings, &SETTINGS_ACK, &window, &priority, &head].concat())
        .await
        .unwrap();
    read_frame(&mut pipe, 1, 7).await;
    drop(pipe);
    within(fixture.serving).await.unwrap();
    within(serving).await.unwrap();
    let [flow] = &told.take_flows()[..] else { panic!("one flow") };
    let text = |connection: &Connection| connection.http2.as_ref().map(ToString::to_string);
    assert_eq!(text(&flow.client.connection).as_deref(), Some("4:131072|256|3:0:0:201"));
    let FlowKind::Http(http) = &flow.kind else { panic!("HTTP") };
    assert_eq!(http.request.pseudo.order.letters(), "p,m,s,a");
    let of_head = Priority { depends_on: 3, exclusive: true, weight: 42 };
    assert_eq!(http.request.pseudo.priority, Some(of_head));
    let server = text(&flow.server.connection).unwrap();
    assert!(server.contains("3:7"), "{server}");
}

/// h2spec before a server that answers at once: what came behind the answer broke the request, and nobody was told.
#[tokio::test]
async fn a_body_that_is_malformed_behind_its_answer_is_reset_too() {
    let fixture = fixture().await;
    let served = tokio::spawn(async move {
        let (stream, _) = fixture.listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let (request, mut respond) = connection.accept().await.unwrap().unwrap();
        ok(&mut respond).send_data(Bytes::new(), true).unwrap();
        // It goes on reading, as most do.
        let mut body = request.into_body();
        tokio::spawn(async move { while body.data().await.is_some_and(|piece| piece.is_ok()) {} });
        while connection.accept().await.is_some() {}
    });
    let mut pipe = fixture.client;
    let head = [0, 0, 10, 1, 4, 0, 0, 0, 1, 0x83, 0x86, 0x84, 0x41, 0x01, b'a', 0x0f, 0x0d, 0x01, b'1'];
    pipe.write_all(&[&PREFACE[..], &SETTINGS, &SETTINGS_ACK, &head].concat()).await.unwrap();
    read_frame(&mut pipe, 0, 1).await;
    pipe.write_all(&[0, 0, 4, 0, 1, 0, 0, 0, 1, b't', b'e', b's', b't']).await.unwrap();
    assert_eq!(read_frame(&mut pipe, 3, 1).await, [0, 0, 0, 1], "PROTOCOL_ERROR");
    drop(pipe);
    within(served).await.unwrap();
}
