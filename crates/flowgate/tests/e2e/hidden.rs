//! What a rule hides is served and neither shown nor stored, whatever protocol it is.

use std::fs;
use std::net::UdpSocket;

use flowgate_flow::Flow;
use flowgate_testkit::{Curl, FlowgateBuilder, Nginx, PATIENCE, RawServer};

use crate::support::{Client, flowgate, printed, saved_flows, text};

/// In every target and every content.
const SECRET: &str = "swordfish";

/// What was printed and saved of one exchange in each protocol. `None` if a program is missing.
fn everything(builder: FlowgateBuilder) -> Option<(String, Vec<Flow>)> {
    let (nginx, curl) = (Nginx::builder().file(SECRET, SECRET).start()?, Curl::new()?);
    let websocket = RawServer::start(|connection| {
        connection.read_until(b"\r\n\r\n")?;
        connection.send(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        )?;
        // A text, and a close frame.
        connection.send([&[0x81, 9], SECRET.as_bytes(), &[0x88, 0]].concat())?;
        connection.read_to_end().map(drop)
    });
    let mail = RawServer::start(|connection| connection.send(format!("220 {SECRET}\r\n")));
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    let udp_mode = format!("reverse:udp://{}@127.0.0.1:0", datagrams.local_addr().unwrap());
    let flowgate = builder
        .args(["-v", "--flow-detail", "4", "--mode", "regular", "--mode", udp_mode.as_str()])
        .listeners(2)
        .set("ssl_verify_upstream_trusted_ca", nginx.ca().certificate_path().display())
        .start();

    let curl = curl.proxy(&flowgate.proxy_url()).trust(&flowgate.ca_certificate());
    let path = format!("/{SECRET}");
    for (version, url) in [
        ("--http1.1", nginx.http_url(&path)),
        ("--http1.1", nginx.https_url(&path)),
        ("--http2", nginx.https_url(&path)),
        ("--http2-prior-knowledge", nginx.https_url(&path)),
    ] {
        let reply = curl.clone().args([version]).fetch(&url);
        assert_eq!((reply.exit, reply.text().as_str()), (0, SECRET), "{version} {url} {reply:?}");
    }

    let mut client = Client::connect(&flowgate);
    let address = websocket.address();
    client.send(format!(
        "GET http://{address}/{SECRET} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ));
    assert!(client.read_until("\r\n\r\n").starts_with("HTTP/1.1 101 "));
    assert_eq!(text(&client.read_count(11)[2..]), SECRET);
    // A close frame, masked as clients' are.
    client.send([0x88, 0x80, 0, 0, 0, 0]);
    client.end();
    client.read_to_end();

    let mut client = Client::tunnel(&flowgate, mail.address());
    assert_eq!(text(&client.read_to_end()), format!("220 {SECRET}\r\n"));
    drop(client);

    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    for socket in [&client, &datagrams] {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    client.send_to(SECRET.as_bytes(), flowgate.addresses()[1]).unwrap();
    let mut buffer = [0; 64];
    let (len, from) = datagrams.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..len], SECRET.as_bytes());
    datagrams.send_to(SECRET.as_bytes(), from).unwrap();
    assert_eq!(client.recv_from(&mut buffer).unwrap().0, SECRET.len());

    let flows = saved_flows(&flowgate);
    Some((printed(&flowgate), flows))
}

#[test]
fn all_protocols_are_hidden() {
    let Some((shown, flows)) = everything(flowgate()) else { return };
    assert!(shown.contains(SECRET));
    assert_eq!(flows.len(), 7, "{flows:#?}");

    let builder = flowgate();
    let rules = builder.path("rules.toml");
    fs::write(&rules, "[[rule]]\naction = 'hide'\n").unwrap();
    let hiding = builder.args(["--rules".to_owned(), rules.display().to_string()]);
    let Some((shown, flows)) = everything(hiding) else { return };
    assert!(!shown.contains(SECRET), "{shown}");
    assert!(flows.is_empty(), "{flows:#?}");
}
