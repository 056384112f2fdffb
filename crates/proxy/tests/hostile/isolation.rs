//! Faults of flowgate itself (here: panics of whoever receives what it tells): each fails its own flow, which says so and keeps
//! what was recorded before, is counted and told, and harms nobody else.

use std::time::Duration;

use flowgate_flow::{FlowKind, Side};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::fixture::{Build, Fixture, read_to_end, statuses};

/// Answers each connection with what `answer` makes of its first bytes, then sends back all that comes.
async fn start(answer: fn(&[u8]) -> Vec<u8>) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buf = vec![0; 4096];
                let count = stream.read(&mut buf).await.unwrap_or(0);
                stream.write_all(&answer(&buf[..count])).await.ok();
                while let Ok(count @ 1..) = stream.read(&mut buf).await {
                    stream.write_all(&buf[..count]).await.ok();
                }
            });
        }
    });
    address
}

/// Arms the receiver: telling what holds this text panics, once.
fn arm(fixture: &Fixture, text: &str) {
    *fixture.told.panics_at.lock().unwrap() = Some(text.to_owned());
}

async fn ask(client: &mut TcpStream) -> Vec<u16> {
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    statuses(&read_to_end(client, |all| all.ends_with(b"ok")).await.0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_an_exchange() {
    let answer = |_: &[u8]| b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok".to_vec();
    let fixture = Fixture::new(start(answer).await).await;
    let mut bystander = fixture.connect().await;
    arm(&fixture, "server connect ");
    let mut client = fixture.connect().await;
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert_eq!(statuses(&read_to_end(&mut client, |_| false).await.0), [502]);
    let flow = fixture.told.next_flow().await;
    assert_eq!(flow.error.as_ref().unwrap().side, Some(Side::Proxy));
    assert_eq!(fixture.proxy.panics(), 1);
    assert!(fixture.told.logged("flowgate itself failed on this connection"));
    assert_eq!(ask(&mut bystander).await, [200]);
    drop((client, bystander));
    fixture.proxy.shut_down(Duration::from_secs(5)).await;
    assert!(fixture.told.logged("flowgate itself failed 1 times in this run"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_raw_relay() {
    let fixture = Fixture::build(Build::reverse(&format!("tcp://{}", start(<[u8]>::to_vec).await))).await;
    let (mut client, mut bystander) = (fixture.connect().await, fixture.connect().await);
    let mut buf = [0; 5];
    client.write_all(b"\x01irst").await.unwrap();
    client.read_exact(&mut buf).await.unwrap();
    arm(&fixture, "raw message");
    client.write_all(b"again").await.unwrap();
    read_to_end(&mut client, |_| false).await;
    let flow = fixture.told.next_flow().await;
    let FlowKind::Tcp(raw) = &flow.kind else { panic!("{flow:?}") };
    assert_eq!(raw.messages[0].content, "\x01irst", "what was recorded before is kept");
    assert_eq!(flow.error.as_ref().unwrap().side, Some(Side::Proxy));
    assert_eq!(fixture.proxy.panics(), 1);
    bystander.write_all(b"\x01ello").await.unwrap();
    bystander.read_exact(&mut buf).await.unwrap();
    assert_eq!(&buf, b"\x01ello");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_websocket() {
    const SWITCH: &str =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let fixture = Fixture::new(start(|_| SWITCH.as_bytes().to_vec()).await).await;
    let mut client = fixture.connect().await;
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    let mut head = vec![0; SWITCH.len()];
    client.read_exact(&mut head).await.unwrap();
    assert_eq!(head, SWITCH.as_bytes());
    arm(&fixture, "websocket message");
    // A text frame of two bytes, masked with nothing.
    client.write_all(b"\x81\x82\0\0\0\0hi").await.unwrap();
    read_to_end(&mut client, |_| false).await;
    let flow = fixture.told.next_flow().await;
    let FlowKind::Http(http) = &flow.kind else { panic!("{flow:?}") };
    assert_eq!(http.response.as_ref().unwrap().status, 101);
    assert!(http.websocket.is_some());
    assert_eq!(flow.error.as_ref().unwrap().side, Some(Side::Proxy));
    assert_eq!(fixture.proxy.panics(), 1);
}
