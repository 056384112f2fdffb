//! Hooks on streams of HTTP/2: a stream that is held holds no other, and its reset ends the hook.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use tokio::io::{DuplexStream, duplex};
use tokio::time::timeout;

use crate::addon::testing::{Flows, Log, Probe, context, doubles, open, probe, proxy, route, said};
use crate::addon::{BodyNeed, Hook, LiveFlow};
use crate::http::{Origin, Servers, Service, serve_h2};
use crate::settings::Settings;
use flowgate_flow::{Body, Headers};

const PATIENCE: Duration = Duration::from_secs(20);

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("nothing moves")
}

/// A client of HTTP/2 before a server of HTTP/2 that echoes bodies.
async fn between(addons: Vec<Probe>) -> (h2::client::SendRequest<Bytes>, Arc<Flows>) {
    let (client, server, flows) = served(addons).await;
    tokio::spawn(echo(server));
    let (send, connection) = h2::client::handshake(client).await.unwrap();
    tokio::spawn(connection);
    (send, flows)
}

/// A client's and a server's end of HTTP/2, with us between them.
async fn served(addons: Vec<Probe>) -> (DuplexStream, DuplexStream, Arc<Flows>) {
    let (client, client_end) = duplex(64 * 1024);
    let (server, server_end) = duplex(64 * 1024);
    let (proxy, flows) = proxy(addons, Settings::default());
    let context = context(proxy, false);
    let mut servers = Servers::new(Vec::new());
    servers.leave_driving_to_client();
    servers.speak_http2_in_the_clear(route());
    servers.add(&context, route(), open(&context, server_end)).await.unwrap();
    let origin = Origin::Fixed { route: route(), host: None };
    let service = Service { context, servers: Arc::new(servers), origin };
    tokio::spawn(serve_h2(service, Box::new(client_end)));
    (client, server, flows)
}

async fn echo(io: DuplexStream) {
    let mut connection = h2::server::handshake(io).await.unwrap();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        tokio::spawn(async move {
            let mut body = request.into_body();
            let Ok(mut send) = respond.send_response(http::Response::new(()), false) else { return };
            while let Some(Ok(data)) = body.data().await {
                let _ = body.flow_control().release_capacity(data.len());
                let _ = send.send_data(data, false);
            }
            let _ = send.send_data(Bytes::new(), true);
        });
    }
}

fn post(path: &str) -> http::Request<()> {
    http::Request::post(format!("http://a{path}")).body(()).unwrap()
}

async fn ask(
    send: &h2::client::SendRequest<Bytes>,
    path: &str,
    body: &'static [u8],
) -> Result<(http::response::Parts, Vec<u8>), h2::Error> {
    let mut ready = within(send.clone().ready()).await?;
    let (response, mut stream) = ready.send_request(post(path), false)?;
    stream.send_data(body.into(), true)?;
    let (head, mut body) = within(response).await?.into_parts();
    let mut all = Vec::new();
    while let Some(data) = within(body.data()).await {
        all.extend_from_slice(&data?);
    }
    Ok((head, all))
}

#[tokio::test(start_paused = true)]
async fn a_held_stream_holds_no_other() {
    for hook in [Hook::RequestHeaders, Hook::Request, Hook::ResponseHeaders, Hook::Response] {
        let (addon, reached, go) = probe("a").waits(hook);
        let (send, flows) = between(vec![addon]).await;
        let held = tokio::spawn({
            let send = send.clone();
            async move { ask(&send, "/held", b"x").await.map(|(head, body)| (head.status.as_u16(), body)) }
        });
        within(reached.notified()).await;
        let other = tokio::spawn({
            let send = send.clone();
            async move { ask(&send, "/other", b"y").await.unwrap().1 }
        });
        // It comes to the same hook while the first one is held there.
        within(reached.notified()).await;
        assert!(!held.is_finished());
        go.notify_waiters();
        assert_eq!(within(other).await.unwrap(), b"y");
        assert_eq!(within(held).await.unwrap().unwrap(), (200, b"x".to_vec()));
        assert_eq!(flows.take().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_ends_the_hook() {
    for hook in [Hook::RequestHeaders, Hook::Request, Hook::ResponseHeaders, Hook::Response] {
        let log = Log::default();
        let (addon, reached, _go) = probe("a").logs(&log).response_body(|| BodyNeed::Whole).waits(hook);
        let (send, flows) = between(vec![addon]).await;
        let mut ready = within(send.clone().ready()).await.unwrap();
        let (response, mut stream) = ready.send_request(post("/"), false).unwrap();
        stream.send_data("x".into(), true).unwrap();
        within(reached.notified()).await;
        stream.send_reset(Reason::CANCEL);
        drop((response, stream));
        let flow = within(async {
            loop {
                if let Some(flow) = flows.take().pop() {
                    break flow;
                }
                tokio::task::yield_now().await;
            }
        })
        .await;
        let error = flow.error.unwrap().message;
        assert!(error.starts_with("client: "), "{hook:?}: {error}");
        assert!(said(&log).ends_with("a Error"), "{}", said(&log));
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_are_held_and_changed() {
    let addon =
        probe("a").request_body(|| BodyNeed::Whole).response_body(doubles).on(Hook::Request, |flow| {
            assert!(flow.holds_request_body());
            flow.request_mut().body = Body::Bytes("changed".into());
        });
    let (send, _) = between(vec![addon]).await;
    let (head, body) = ask(&send, "/", b"x").await.unwrap();
    assert_eq!((head.headers.get("content-length"), body.as_slice()), (None, &b"changedchanged."[..]));
}

#[tokio::test(start_paused = true)]
async fn streams_are_answered_and_killed() {
    let addon = probe("a").on(Hook::RequestHeaders, |flow| {
        if flow.request().path == "/kill" {
            flow.kill();
        } else {
            let own = LiveFlow::response_of(418, Headers::new(), Body::Bytes("tea".into()));
            flow.respond(own).unwrap();
        }
    });
    let (send, _) = between(vec![addon]).await;
    let error = ask(&send, "/kill", b"x").await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::CANCEL));
    let (head, body) = ask(&send, "/", b"x").await.unwrap();
    assert_eq!((head.status.as_u16(), body.as_slice()), (418, &b"tea"[..]));
}

/// A server that was connected to ahead is answered also while the client has not asked for anything yet.
#[tokio::test(start_paused = true)]
async fn a_server_is_looked_after_before_the_first_request() {
    let (client, server, _flows) = served(Vec::new()).await;
    let (_send, connection): (h2::client::SendRequest<Bytes>, _) =
        h2::client::handshake(client).await.unwrap();
    tokio::spawn(connection);
    let mut connection = within(h2::server::handshake(server)).await.unwrap();
    let mut ping = connection.ping_pong().unwrap();
    tokio::spawn(async move { connection.accept().await.is_none() });
    within(ping.ping(h2::Ping::opaque())).await.unwrap();
}
