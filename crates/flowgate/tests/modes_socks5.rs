//! Mode `socks5`: with curl as a client, and byte for byte.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use flowgate_testkit::{Curl, Flowgate, Nginx, PATIENCE, RawServer};

fn socks5(arguments: &[&str]) -> Flowgate {
    Flowgate::builder(env!("CARGO_BIN_EXE_flowgate"))
        .args(["--mode", "socks5"])
        .args(arguments.to_vec())
        .start()
}

fn connect(flowgate: &Flowgate) -> TcpStream {
    let stream = TcpStream::connect(flowgate.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A greeting that offers to do without authentication, and a request for an IPv4 address on loopback.
fn request(port: u16) -> Vec<u8> {
    let [high, low] = port.to_be_bytes();
    vec![5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, high, low]
}

/// Sends bytes and reads to the end.
fn answer(flowgate: &Flowgate, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(flowgate);
    stream.write_all(bytes).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

fn read_exactly<const N: usize>(stream: &mut TcpStream) -> [u8; N] {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

fn refusing_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn curl_reaches_http_and_https_and_both_are_read() {
    let (Some(nginx), Some(curl)) = (Nginx::builder().start(), Curl::new()) else { return };
    let trusted = format!("ssl_verify_upstream_trusted_ca={}", nginx.ca().certificate_path().display());
    let flowgate = socks5(&["--set", &trusted]);
    flowgate.wait_for(|line| line.contains("SOCKS v5 proxy listening at 127.0.0.1:"));
    let curl = curl.args(["--noproxy", "", "--socks5-hostname", &flowgate.address().to_string()]);
    let curl = curl.trust(&flowgate.ca_certificate());
    for url in [nginx.http_url("/echo?a"), nginx.https_url("/echo?b")] {
        let reply = curl.fetch(&url);
        assert_eq!((reply.exit, reply.status), (0, 200), "{url}: {reply:?}");
        flowgate.wait_for(|line| line.contains(&format!("GET {url}")));
    }
}

#[test]
fn the_reply_names_our_address_and_what_stands_behind_the_request_is_passed_on() {
    let server = RawServer::start(|connection| {
        connection.send("welcome\n")?;
        let early = connection.read_count(5)?;
        connection.send(early)
    });
    let flowgate = socks5(&[]);
    let mut stream = connect(&flowgate);
    stream.write_all(&[&request(server.address().port())[..], b"EARLY"].concat()).unwrap();
    assert_eq!(read_exactly(&mut stream), [5, 0]);
    let reply: [u8; 10] = read_exactly(&mut stream);
    assert_eq!(reply[..8], [5, 0, 0, 1, 127, 0, 0, 1]);
    assert_ne!(reply[8..], [0, 0], "the port from which the server was connected to");
    assert_eq!(&read_exactly::<13>(&mut stream), b"welcome\nEARLY");
}

#[test]
fn lazily_the_client_is_told_yes_before_anybody_is_asked() {
    let flowgate = socks5(&["--set", "connection_strategy=lazy"]);
    let mut client = connect(&flowgate);
    client.write_all(&request(refusing_port())).unwrap();
    assert_eq!(read_exactly(&mut client), [5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    client.shutdown(Shutdown::Write).unwrap();
    let end = client.read(&mut [0]).map_err(|err| err.kind());
    assert_eq!(end, Err(ErrorKind::ConnectionReset), "what cannot be told in words");
}

#[test]
fn refusals_have_codes() {
    let flowgate = socks5(&[]);
    let none = [0, 1, 0, 0, 0, 0, 0, 0];
    let reply = |code: u8| [&[5, 0, 5, code][..], &none].concat();
    // As mitmproxy, and not 5: what cannot be reached is one thing.
    assert_eq!(answer(&flowgate, &request(refusing_port())), reply(4));
    let [high, low] = flowgate.address().port().to_be_bytes();
    assert_eq!(answer(&flowgate, &[5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, high, low]), reply(1), "a loop");
    assert_eq!(answer(&flowgate, &[5, 1, 0, 5, 2, 0, 1]), reply(7), "BIND");
    assert_eq!(answer(&flowgate, &[5, 1, 0, 5, 3, 0, 1]), reply(7), "UDP ASSOCIATE");
    assert_eq!(answer(&flowgate, &[5, 1, 0, 5, 1, 0, 9]), reply(8));
    assert_eq!(answer(&flowgate, b"\x05\x01\x00\x05\x01\x00\x03\x0cnone.invalid\x00\x50"), reply(4));
    assert_eq!(answer(&flowgate, &[5, 1, 2]), [5, 0xff], "only with a password");
    assert_eq!(answer(&flowgate, b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00"), b"");
    flowgate.wait_for(|line| line.contains("SOCKS4 is not supported"));
    assert_eq!(answer(&flowgate, b"GET http://a.test/ HTTP/1.1\r\n\r\n"), b"");
    flowgate.wait_for(|line| line.contains("Probably not a SOCKS request but a regular HTTP request."));
}

#[test]
fn any_segmentation_will_do() {
    let server = RawServer::start(|connection| connection.send("hello"));
    let flowgate = socks5(&[]);
    let mut stream = connect(&flowgate);
    stream.set_nodelay(true).unwrap();
    for byte in request(server.address().port()) {
        stream.write_all(&[byte]).unwrap();
    }
    let _: [u8; 12] = read_exactly(&mut stream);
    assert_eq!(&read_exactly::<5>(&mut stream), b"hello");
}

#[test]
fn what_a_rule_blocks_is_told_before_anybody_is_connected_to() {
    let server = RawServer::start(|connection| connection.read_to_end().map(drop));
    let port = server.address().port();
    let builder = Flowgate::builder(env!("CARGO_BIN_EXE_flowgate")).args(["--mode", "socks5"]);
    let rules = builder.path("rules.toml");
    std::fs::write(&rules, format!("[[rule]]\naction = 'block'\nport = {port}\n")).unwrap();
    let flowgate = builder.args(["--rules".to_owned(), rules.display().to_string()]).start();
    // RFC 1928 section 6: 02 is "connection not allowed by ruleset".
    assert_eq!(answer(&flowgate, &request(port)), [5, 0, 5, 2, 0, 1, 0, 0, 0, 0, 0, 0]);
    flowgate.wait_for(|line| line.contains("rules.toml:1 matched: port "));
    assert_eq!(server.connections(), 0);
}
