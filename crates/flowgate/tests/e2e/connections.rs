//! Connections that are used again: keep-alive on both sides, pipelining, half-closes, a server that went away meanwhile.

use std::io;

use flowgate_testkit::{Flowgate, RawConnection, RawServer};

use crate::support::{Client, flowgate, http, saved_flows, text};

/// Answers each request with its target, until the client ends.
fn echo_targets(connection: &mut RawConnection) -> io::Result<()> {
    while let Ok(head) = connection.read_until(b"\r\n\r\n") {
        let target = text(&head).split(' ').nth(1).unwrap().to_owned();
        connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{target}", target.len()))?;
    }
    Ok(())
}

fn get(server: &RawServer, path: &str) -> String {
    format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", server.http_url(path))
}

#[test]
fn two_requests_need_one_connection_on_each_side() {
    let server = RawServer::start(echo_targets);
    let flowgate = flowgate().start();
    let mut client = Client::connect(&flowgate);
    for path in ["/1", "/2"] {
        client.send(get(&server, path));
        assert_eq!(client.response().1, path);
    }
    assert_eq!(server.connections(), 1);
    let mut tunnel = Client::tunnel(&flowgate, server.address());
    for path in ["/3", "/4"] {
        tunnel.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(tunnel.response().1, path);
    }
    assert_eq!(server.connections(), 2, "clients do not share server connections");
    assert_eq!(saved_flows(&flowgate).len(), 4);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let (one, two) = (RawServer::start(echo_targets), RawServer::start(echo_targets));
    let flowgate = flowgate().start();
    let mut client = Client::connect(&flowgate);
    client.send([get(&one, "/1"), get(&two, "/2"), get(&one, "/3")].concat());
    for path in ["/1", "/2", "/3"] {
        assert_eq!(client.response().1, path);
    }
    assert_eq!((one.connections(), two.connections()), (1, 1));
    let flows = saved_flows(&flowgate);
    assert_eq!(
        flows.iter().map(|flow| text(&http(flow).request.path)).collect::<Vec<_>>(),
        ["/1", "/2", "/3"]
    );
}

#[test]
fn a_client_that_has_ended_its_direction_gets_its_answers() {
    let server = RawServer::start(echo_targets);
    let flowgate = flowgate().start();
    let mut client = Client::connect(&flowgate);
    client.send([get(&server, "/1"), get(&server, "/2")].concat());
    client.end();
    assert_eq!((client.response().1, client.response().1), ("/1".to_owned(), "/2".to_owned()));
    assert_eq!(client.read_to_end(), b"");
}

#[test]
fn connection_close_is_honoured_on_either_side() {
    let server = RawServer::start(|connection| {
        connection.read_until(b"\r\n\r\n")?;
        connection.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")?;
        connection.shutdown_write()?;
        connection.read_to_end().map(drop)
    });
    let flowgate = flowgate().start();
    let mut client = Client::connect(&flowgate);
    client.send(get(&server, "/"));
    assert_eq!(client.response().1, "ok");
    assert_eq!(client.read_to_end(), b"", "the server's word reaches the client");

    let server = RawServer::start(echo_targets);
    let mut client = Client::connect(&flowgate);
    client.send(format!("GET {} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", server.http_url("/1")));
    assert_eq!(client.response().1, "/1");
    assert_eq!(client.read_to_end(), b"");
    assert_eq!(server.wait_for_end(0).outcome, Some(Ok(())), "and the client's the server");
}

/// RFC 9112 section 9.3.1: an idle connection may be closed at any time; what can be sent again is sent again.
#[test]
fn a_server_that_left_an_idle_connection_is_connected_to_anew() {
    let server = RawServer::start(|connection| {
        connection.read_until(b"\r\n\r\n")?;
        // Says nothing of closing, and closes.
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    });
    let flowgate = flowgate().start();
    let mut client = Client::connect(&flowgate);
    for index in 0..3 {
        client.send(get(&server, "/"));
        assert_eq!(client.response().1, "ok");
        assert_eq!(server.wait_for_end(index).outcome, Some(Ok(())));
    }
    assert_eq!(server.connections(), 3);
    assert!(saved_flows(&flowgate).iter().all(|flow| flow.error.is_none()));
}

/// What a client gets, and the error of the flow, when a server does this and closes.
fn when_the_server(answers: &'static str) -> (String, String) {
    let server = RawServer::start(move |connection| {
        connection.read_until(b"\r\n\r\n")?;
        connection.send(answers)
    });
    let flowgate: Flowgate = flowgate().start();
    let mut client = Client::connect(&flowgate);
    client.send(get(&server, "/"));
    let received = text(&client.read_to_end());
    let flows = saved_flows(&flowgate);
    (received, flows[0].error.as_ref().map(|error| error.message.clone()).unwrap_or_default())
}

#[test]
fn a_server_that_breaks_off_is_told_as_it_was() {
    let (page, error) = when_the_server("");
    assert!(page.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{page}");
    assert_eq!(error, "server closed the connection before it answered");
    assert!(page.contains(&error), "{page}");

    let (page, _) = when_the_server("HTTP/1.1 200 O");
    assert!(page.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{page}");

    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
    let (received, error) = when_the_server(cut);
    assert_eq!(received, cut, "the client sees that something is missing");
    assert_eq!(error, "server: connection closed inside the body");

    let (received, error) =
        when_the_server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
    assert_eq!(received, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
    assert_eq!(error, "server: connection closed inside the body");
}
