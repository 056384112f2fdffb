//! A server that will have nothing but HTTP/2: its WebSockets are streams (RFC 8441), and it ends a handshake that offers anything else.

use std::sync::Arc;

use flowgate_testkit::TestCa;
use flowgate_wire::http2::PREFACE;
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::fixture::{Build, Fixture, read_to_end, statuses};

const HEADERS: u8 = 1;

/// SETTINGS that announce this of extended CONNECT, then 200 for the first request that comes, and what comes behind it back.
async fn serve(socket: TcpStream, config: Arc<ServerConfig>, announces: u8) -> std::io::Result<()> {
    let mut stream = TlsAcceptor::from(config).accept(socket).await?;
    let mut preface = [0; PREFACE.len()];
    stream.read_exact(&mut preface).await?;
    stream.write_all(&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, announces]).await?;
    stream.flush().await?;
    loop {
        let mut header = [0; 9];
        stream.read_exact(&mut header).await?;
        let [_, high, low, kind, .., stream_id] = header;
        let mut payload = vec![0; usize::from(high) << 8 | usize::from(low)];
        stream.read_exact(&mut payload).await?;
        if kind == HEADERS {
            stream.write_all(&[0, 0, 1, HEADERS, 4, 0, 0, 0, stream_id, 0x88]).await?;
            stream.flush().await?;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_websockets_are_reached_without_a_connection_before() {
    let ca = TestCa::new();
    let config = ca.leaf(&["127.0.0.1"]).server_config(&[b"h2"]);
    for (announces, status) in [(1, 101), (0, 502)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = Arc::clone(&config);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&config), announces));
            }
        });
        let build = Build {
            trusted_ca: Some(ca.certificate_path()),
            ..Build::reverse(&format!("https://{address}"))
        };
        let fixture = Fixture::build(build).await;
        let mut client = fixture.connect().await;
        let request = "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
        client.write_all(request.as_bytes()).await.unwrap();
        let (answer, _) = read_to_end(&mut client, |all| all.ends_with(b"\r\n\r\n")).await;
        assert_eq!(statuses(&answer), [status], "{}", answer.escape_ascii());
    }
}
