//! What is in a tunnel and is not HTTP: recorded as it comes, or passed through with its half-closes.

use std::net::TcpStream;
use std::sync::Arc;

use flowgate_flow::FlowKind;
use flowgate_testkit::{RawServer, TestCa, client_config};
use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use crate::support::{Client, flowgate, https_server, saved_flows, text};

#[test]
fn a_server_that_speaks_first_is_relayed_and_recorded() {
    for strategy in ["eager", "lazy"] {
        let server = RawServer::start(|connection| {
            connection.send("220 mail.test ready\r\n")?;
            assert_eq!(connection.read_until(b"\r\n")?, b"EHLO client\r\n");
            connection.send("250 hello\r\n")?;
            connection.shutdown_write()?;
            connection.read_to_end().map(drop)
        });
        let flowgate = flowgate().set("connection_strategy", strategy).start();
        let mut client = Client::tunnel(&flowgate, server.address());
        assert_eq!(client.read_until("\r\n"), "220 mail.test ready\r\n");
        client.send("EHLO client\r\n");
        assert_eq!(client.read_to_end(), b"250 hello\r\n");
        client.send("after the server's end");
        client.end();
        let record = server.wait_for_end(0);
        assert_eq!(record.outcome, Some(Ok(())), "{strategy}");
        assert_eq!(text(&record.received), "EHLO client\r\nafter the server's end", "{strategy}");
        let flows = saved_flows(&flowgate);
        let [flow] = flows.as_slice() else { panic!("{strategy}: {flows:?}") };
        let FlowKind::Tcp(tcp) = &flow.kind else { panic!("{strategy}: {flow:?}") };
        assert!(flow.error.is_none(), "{strategy}: {flow:?}");
        let messages: Vec<_> =
            tcp.messages.iter().map(|message| (message.from_client, text(&message.content))).collect();
        let messages: Vec<_> =
            messages.iter().map(|(from_client, text)| (*from_client, text.as_str())).collect();
        assert_eq!(
            messages,
            [
                (false, "220 mail.test ready\r\n"),
                (true, "EHLO client\r\n"),
                (false, "250 hello\r\n"),
                (true, "after the server's end"),
            ],
            "{strategy}"
        );
    }
}

/// Either side may end its direction and go on reading; what is exempt keeps that.
#[test]
fn half_closes_cross_an_exempt_tunnel() {
    for client_ends_first in [true, false] {
        let server = RawServer::start(move |connection| {
            if client_ends_first {
                let all = connection.read_to_end()?;
                connection.send(format!("{} bytes", all.len()))
            } else {
                connection.read_count(5)?;
                connection.send("the server is done")?;
                connection.shutdown_write()?;
                connection.read_to_end().map(drop)
            }
        });
        let flowgate = flowgate().args(["--ignore-hosts", "."]).start();
        let mut client = Client::tunnel(&flowgate, server.address());
        client.send("hello");
        if client_ends_first {
            client.end();
            assert_eq!(client.read_to_end(), b"5 bytes");
        } else {
            assert_eq!(client.read_to_end(), b"the server is done");
            client.send(" and more");
            client.end();
        }
        let record = server.wait_for_end(0);
        assert_eq!(record.outcome, Some(Ok(())));
        assert_eq!(text(&record.received), if client_ends_first { "hello" } else { "hello and more" });
        assert_eq!(saved_flows(&flowgate).len(), 0, "what is exempt is no flow");
    }
}

#[test]
fn a_reset_crosses_as_an_end_and_is_recorded() {
    let server = RawServer::start(|connection| {
        connection.send("hello")?;
        connection.read_count(1)?;
        connection.reset_at_end()
    });
    let flowgate = flowgate().start();
    let mut client = Client::tunnel(&flowgate, server.address());
    assert_eq!(client.read_count(5), b"hello");
    client.send("x");
    assert_eq!(client.read_to_end(), b"");
    let flows = saved_flows(&flowgate);
    assert!(flows[0].error.as_ref().is_some_and(|error| error.message.starts_with("server: ")), "{flows:?}");
}

/// A hello with keys against quantum computers is longer than a packet. Where no option looked at its name, the verdict did not wait for
/// its end, and the connection was closed without a word.
#[test]
fn a_hello_in_pieces_is_waited_for() {
    let ca = TestCa::new();
    let server = https_server(&ca, &["localhost"]);
    let authority = format!("localhost:{}", server.address().port());
    for mode in ["regular".to_owned(), format!("reverse:https://{authority}")] {
        let flowgate = flowgate()
            .args(["-v", "--mode", &mode])
            .set("ssl_verify_upstream_trusted_ca", ca.certificate_path().display())
            .start();
        let mut client = match mode.as_str() {
            "regular" => Client::tunnel(&flowgate, &authority),
            _ => Client::connect(&flowgate),
        };
        let config = Arc::new(client_config(&flowgate.ca_certificate(), &[]));
        let mut tls = ClientConnection::new(config, ServerName::try_from("localhost").unwrap()).unwrap();
        let mut hello = Vec::new();
        tls.write_tls(&mut hello).unwrap();
        let (first, second) = hello.split_at(hello.len() / 2);
        client.send(first);
        flowgate.wait_for(|line| line.contains("] decrypt: "));
        client.send(second);
        assert_eq!(client.read_count(1), [22], "a handshake");
    }
}

#[test]
fn a_tunnel_to_nowhere_is_refused_with_the_reason() {
    let flowgate = flowgate().start();
    // The near end of a connection: the port is taken, and nobody listens there.
    let taken = TcpStream::connect(flowgate.address()).unwrap();
    let address = taken.local_addr().unwrap();
    let mut client = Client::connect(&flowgate);
    client.send(format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n\r\n"));
    let (head, body) = client.response();
    assert!(head.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{head}");
    assert!(body.contains("refused") && body.contains("connection_strategy"), "{body}");
    let flows = saved_flows(&flowgate);
    assert!(flows[0].error.is_some(), "{flows:?}");
}
