//! Peers that misbehave harm only themselves.

use flowgate_flow::FlowKind;
use flowgate_testkit::RawServer;

use crate::support::{Client, flowgate, saved_flows};

/// Beginnings of everything we read, and of nothing.
const GARBAGE: [&[u8]; 14] = [
    b"",
    b"\r\n\r\n\r\n\r\n\r\n\r\n\r\n",
    b"G",
    b"GET http://127.0.0.1:1/",
    b"GET / HTTP/1.1\r\nHost: ",
    b"POST http://127.0.0.1:1/ HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf",
    b"CONNECT 127.0.0.1:1 HTTP/1.1\r\n",
    b"CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: a\r\n\r\n\x16\x03\x01",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"\x16\x03\x01\xff\xff\xff\xff\xff\xff",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00",
    b"\x05\x01\x00",
    b"\x00\x00\x00\x00\x00\x00\x00\x00",
    b"\xff\xfe\xfd SSH-2.0-x\r\n",
];

#[test]
fn two_hundred_clients_that_vanish_leave_nothing_behind() {
    let server = RawServer::start(|connection| {
        connection.read_until(b"\r\n\r\n")?;
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
        connection.read_to_end().map(drop)
    });
    let silent = RawServer::start(|connection| connection.read_to_end().map(drop));
    let flowgate = flowgate().start();
    let mut held = Vec::new();
    for index in 0..200 {
        // Half of them in a tunnel, where the same bytes have another meaning.
        let mut client = if index % 2 == 0 {
            Client::connect(&flowgate)
        } else {
            Client::tunnel(&flowgate, silent.address())
        };
        client.send(GARBAGE[index / 2 % GARBAGE.len()]);
        held.push(client);
        // Some vanish at once, some while others are at work.
        if index % 3 == 0 {
            held.clear();
        }
    }
    drop(held);
    let mut client = Client::connect(&flowgate);
    client.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", server.http_url("/")));
    assert_eq!(client.response().1, "ok");
    client.end();
    client.read_to_end();
    let good = |flow: &&flowgate_flow::Flow| matches!(&flow.kind, FlowKind::Http(http) if http.response.as_ref().is_some_and(|response| response.status == 200));
    assert_eq!(saved_flows(&flowgate).iter().filter(good).count(), 1);
}

/// The first request through the proxy to the proxy would come back for ever.
#[test]
fn a_request_to_the_proxy_itself_ends() {
    let flowgate = flowgate().start();
    let mut client = Client::connect(&flowgate);
    client.send(format!("GET http://{0}/ HTTP/1.1\r\nHost: {0}\r\n\r\n", flowgate.address()));
    let (head, body) = client.response();
    assert!(head.starts_with("HTTP/1.1 502 ") && body.contains("this proxy itself"), "{head}{body}");
    let mut client = Client::connect(&flowgate);
    client.send(format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n", flowgate.address()));
    assert!(client.response().0.starts_with("HTTP/1.1 502 "));
}
