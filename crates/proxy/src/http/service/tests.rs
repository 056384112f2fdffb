//! Servers that say nothing, in virtual time: how long a client waits for its answer.

use std::net::{SocketAddr, TcpStream};

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::{Duration, Instant};

use super::*;
use crate::context::tests::context;
use crate::egress::Purpose;
use crate::http::serve_h1;
use crate::limits::{CONNECT_TIMEOUT, TLS_HANDSHAKE_TIMEOUT};
use crate::settings::Settings;
use flowgate_options::mode_spec::Mode;

/// What comes of a request to this address, and when.
async fn ask(scheme: &str, address: SocketAddr) -> (String, Duration) {
    let context = context(Egress::of_mode(&Mode::Regular, &Settings::default()));
    let origin = Origin::Explicit { over_tls: false };
    let service = Service { context, servers: Arc::new(Servers::new(offers(false))), origin };
    let (mut client, io) = duplex(16 * 1024);
    let serving = tokio::spawn(async move { drop(serve_h1(&service, Box::new(io)).await) });
    let began = Instant::now();
    let request = format!("GET {scheme}://{address}/ HTTP/1.1\r\nHost: a\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    client.read_exact(&mut answer).await.unwrap();
    let took = began.elapsed();
    drop(client);
    serving.await.unwrap();
    (String::from_utf8(answer).unwrap(), took)
}

/// A black hole: its queue is full, so that the kernel answers nobody any more.
#[tokio::test(start_paused = true)]
async fn a_black_hole_is_504_when_connecting_took_too_long() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let hole = socket.listen(0).unwrap();
    let address = hole.local_addr().unwrap();
    let _fills_it = TcpStream::connect(address).unwrap();
    let (answer, took) = ask("http", address).await;
    assert_eq!(answer, "HTTP/1.1 504");
    assert!(took >= CONNECT_TIMEOUT && took <= CONNECT_TIMEOUT + Duration::from_secs(1), "{took:?}");
    let context = context(Egress::of_mode(&Mode::Regular, &Settings::default()));
    let to = Address { host: address.ip().to_string(), port: address.port() };
    let route = Route { address: to, tls_name: None, purpose: Purpose::Requests, egress: None };
    let error = Servers::new(offers(false))
        .get(&context, &route, Wanted::Exchange, false)
        .await
        .err()
        .unwrap()
        .flow_error();
    assert_eq!((error.side, error.phase), (Some(Side::Server), Some(Phase::Connect)));
    assert!(error.message.contains("10 s"), "{}", error.message);
}

/// It takes the connection and says nothing to the ClientHello.
#[tokio::test(start_paused = true)]
async fn a_handshake_that_does_not_end_is_504_when_it_took_too_long() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (answer, took) = ask("https", listener.local_addr().unwrap()).await;
    assert_eq!(answer, "HTTP/1.1 504");
    let most = TLS_HANDSHAKE_TIMEOUT + Duration::from_secs(1);
    assert!(took >= TLS_HANDSHAKE_TIMEOUT && took <= most, "{took:?}");
}

/// It takes the request and says nothing to that.
#[tokio::test(start_paused = true)]
async fn a_silent_server_is_504_when_nothing_moved_for_too_long() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (answer, took) = ask("http", listener.local_addr().unwrap()).await;
    assert_eq!(
        (answer.as_str(), took.as_secs()),
        ("HTTP/1.1 504", Settings::default().idle_timeout.as_secs())
    );
}

/// What an idle client costs is mostly the room that its task has for what it might come to do: ten thousand of them at no more
/// than 10 KB each, what the runtime, the socket and the connection's facts take included.
#[tokio::test]
async fn a_task_has_no_room_for_what_is_rare() {
    let context = context(Egress::of_mode(&Mode::Regular, &Settings::default()));
    let (_client, io) = duplex(1);
    let bytes = size_of_val(&crate::explicit::serve(&context, Box::new(io)));
    assert!(bytes <= 6 * 1024, "{bytes} bytes");
}
