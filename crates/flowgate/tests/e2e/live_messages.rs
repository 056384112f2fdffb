//! Messages inside bodies are seen before the body ends: server-sent events, and gRPC over HTTP/2.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use flowgate_testkit::RawServer;

use crate::support::{Client, flowgate, frame, printed, saved_flows};

/// Opened by the test when it has seen enough, so that a server goes on.
#[derive(Default)]
struct Gate(Mutex<bool>, Condvar);

impl Gate {
    fn open(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }

    fn wait(&self) {
        let shut = self.0.lock().unwrap();
        let (open, _) = self.1.wait_timeout_while(shut, Duration::from_secs(20), |open| !*open).unwrap();
        assert!(*open, "the event was not seen while the body was open");
    }
}

#[test]
fn server_sent_events_are_printed_while_their_body_is_open() {
    let gate = Arc::new(Gate::default());
    let waits = Arc::clone(&gate);
    let server = RawServer::start(move |connection| {
        connection.read_until(b"\r\n\r\n")?;
        connection.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")?;
        connection.send("event: tick\ndata: {\"n\":1}\n\ndata: half")?;
        waits.wait();
        connection.send(" and half\n\n")
    });
    let flowgate = flowgate().set("flow_detail", 3).start();
    let mut client = Client::connect(&flowgate);
    let host = server.address();
    client.send(format!("GET http://{host}/events HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    let line = flowgate.wait_for(|line| line.contains("server-sent event tick"));
    assert!(
        line.text.ends_with(&format!(" <- server-sent event tick, 7b <- {host}/events")),
        "{}",
        line.text
    );
    client.read_until("data: half");
    gate.open();
    client.read_to_end();
    flowgate.wait_for(|line| line.contains("server-sent event, 13b"));
    assert_eq!(saved_flows(&flowgate).len(), 1);
    let all = printed(&flowgate);
    let (event, exchange) = (all.find("event tick").unwrap(), all.find("GET http").unwrap());
    assert!(event < exchange, "{all}");
    assert!(all[event..exchange].contains("half and half"), "{all}");
}

#[test]
fn messages_of_grpc_are_printed_while_their_call_is_open() {
    const HEADERS: u8 = 1;
    let field = |name: &str, value: &str| {
        let length = |text: &str| u8::try_from(text.len()).unwrap();
        [&[0, length(name)], name.as_bytes(), &[length(value)], value.as_bytes()].concat()
    };
    let stream = [0, 0, 0, 1];
    let hello = [frame(4, 0, [0; 4], b""), frame(4, 1, [0; 4], b"")].concat();
    let gate = Arc::new(Gate::default());
    let waits = Arc::clone(&gate);
    let answer = [
        hello.clone(),
        // `:status: 200`
        frame(HEADERS, 4, stream, &[&[0x88][..], &field("content-type", "application/grpc")].concat()),
        // Field 1, a string.
        frame(0, 0, stream, b"\0\0\0\0\x07\x0a\x05world"),
    ]
    .concat();
    let trailers = frame(HEADERS, 5, stream, &field("grpc-status", "0"));
    let server = RawServer::start(move |connection| {
        connection.read_until(b"hello")?;
        connection.send(&answer)?;
        waits.wait();
        connection.send(&trailers)?;
        connection.read_to_end().map(drop)
    });
    let flowgate = flowgate().set("flow_detail", 3).start();
    let host = server.address();
    let mut client = Client::tunnel(&flowgate, host);
    let head = [
        field(":method", "POST"),
        field(":scheme", "http"),
        field(":authority", &host.to_string()),
        field(":path", "/shop.Cart/Watch"),
        field("content-type", "application/grpc"),
        field("te", "trailers"),
    ];
    client.send(
        [
            &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
            &hello,
            &frame(HEADERS, 4, stream, &head.concat()),
            &frame(0, 1, stream, b"\0\0\0\0\x07\x0a\x05hello"),
        ]
        .concat(),
    );
    let up = flowgate.wait_for(|line| line.contains(" -> gRPC message"));
    assert!(up.text.ends_with(&format!(" -> gRPC message, 7b -> {host}/shop.Cart/Watch")), "{}", up.text);
    let down = flowgate.wait_for(|line| line.contains(" <- gRPC message"));
    assert!(down.text.ends_with(&format!(" <- gRPC message, 7b <- {host}/shop.Cart/Watch")), "{}", down.text);
    gate.open();
    // The head of the frame of trailers.
    client.read_until("\x01\x05\0\0\0\x01");
    drop(client);
    assert_eq!(saved_flows(&flowgate).len(), 1);
    let all = printed(&flowgate);
    let exchange = all.find("POST http").unwrap();
    assert!(all[..exchange].contains("1: hello") && all[..exchange].contains("1: world"), "{all}");
}
