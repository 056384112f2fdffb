//! Upstream proxies whose every byte is written here.

use flowgate_flow::{FlowKind, Phase};
use flowgate_testkit::{Curl, RawServer, TestCa};

use crate::support::{Client, assert_secret, printed, saved_flows, through, via};

const ESTABLISHED: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn what_stands_behind_the_answer_to_connect_is_the_servers() {
    let proxy = RawServer::start(|connection| {
        connection.read_until(b"\r\n\r\n")?;
        connection.send("HTTP/1.1 200 OK\r\nX: y\r\n\r\n220 welcome\n")?;
        connection.read_to_end()?;
        connection.send("bye\n")
    });
    // Exempt connections leave through the upstream proxy, too; one that speaks first is not waited for.
    let flowgate = through("http", proxy.address()).args(["--ignore-hosts", "mail"]).start();
    let mut client = Client::connect(&flowgate);
    client.send("CONNECT mail.test:25 HTTP/1.1\r\n\r\n");
    assert_eq!(client.read_until("\r\n\r\n"), ESTABLISHED);
    assert_eq!(client.read_until("\n"), "220 welcome\n");
    client.send("quit\n");
    client.shut();
    assert_eq!(client.read_to_end(), "bye\n");
    let received = text(&proxy.wait_for_end(0).received);
    assert_eq!(received, "CONNECT mail.test:25 HTTP/1.1\r\nHost: mail.test:25\r\n\r\nquit\n");
    flowgate.wait_for(|line| line.contains("client disconnect"));
    let connect = format!("server connect mail.test:25 via upstream proxy http://{}", proxy.address());
    assert!(printed(&flowgate).contains(&connect), "{}", printed(&flowgate));
    assert!(saved_flows(&flowgate).is_empty());
}

#[test]
fn a_server_that_speaks_first_is_recorded_although_connecting_is_lazy() {
    let proxy = RawServer::start(|connection| {
        connection.read_until(b"\r\n\r\n")?;
        connection.send(ESTABLISHED)?;
        connection.send("220 welcome\n")?;
        connection.read_to_end().map(drop)
    });
    let flowgate = through("http", proxy.address())
        .set("connection_strategy", "lazy")
        .set("http_connect_send_host_header", "false")
        .start();
    let mut client = Client::connect(&flowgate);
    client.send("CONNECT [::1]:25 HTTP/1.1\r\n\r\n");
    assert_eq!(client.read_until("\r\n\r\n"), ESTABLISHED);
    assert_eq!(client.read_until("\n"), "220 welcome\n");
    client.shut();
    assert_eq!(client.read_to_end(), "");
    assert_eq!(text(&proxy.wait_for_end(0).received), "CONNECT [::1]:25 HTTP/1.1\r\n\r\n");
    let flows = saved_flows(&flowgate);
    assert!(matches!(&flows[0].kind, FlowKind::Tcp(raw) if raw.messages.len() == 1), "{flows:?}");
    assert_eq!(flows[0].server.via, via("http", proxy.address()));
    assert_eq!(flows[0].server.connection.peername, None);
    assert_eq!(flows[0].client.mode, format!("upstream:http://{}", proxy.address()));
}

#[test]
fn a_refused_tunnel_is_told_with_the_upstream_proxys_words() {
    let table = [
        ("HTTP/1.1 403 Not for you\r\n\r\n<html>", "answered CONNECT with 403 Not for you"),
        (
            "HTTP/1.1 407 Who are you\r\n\r\n",
            "answered CONNECT with 407 Who are you (option `upstream_auth` is where its name and password belong)",
        ),
        ("", "closed the connection before it answered"),
        ("SSH-2.0-OpenSSH\r\n\r\n", "its answer to CONNECT is not HTTP/1: HTTP version is not 1.0 or 1.1"),
    ];
    for (answer, expected) in table {
        let proxy = RawServer::start(move |connection| {
            connection.read_until(b"\r\n\r\n")?;
            connection.send(answer)
        });
        let flowgate = through("http", proxy.address()).start();
        let mut client = Client::connect(&flowgate);
        client.send("CONNECT a.test:443 HTTP/1.1\r\n\r\n");
        let reply = client.read_to_end();
        let expected = format!("upstream proxy http://{}: {expected}", proxy.address());
        assert!(reply.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{reply}");
        assert!(reply.contains(&expected), "{reply}");
        drop(client);
        let flows = saved_flows(&flowgate);
        let error = flows[0].error.as_ref().unwrap();
        assert!(error.message.starts_with(&expected), "{error:?}");
        assert_eq!(flows[0].server.via, via("http", proxy.address()));
    }
}

#[test]
fn requests_in_clear_text_go_to_the_upstream_proxy_as_they_are() {
    let proxy = RawServer::start(|connection| {
        while connection.read_until(b"\r\n\r\n").is_ok() {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
        }
        Ok(())
    });
    let flowgate = through("http", proxy.address()).args(["--upstream-auth", "alice:secret"]).start();
    let mut client = Client::connect(&flowgate);
    for (request, expected) in [
        (
            "GET http://a.test/1?q HTTP/1.1\r\nHost: a.test\r\nProxy-Authorization: Basic bWluZTptaW5l\r\n\r\n",
            "GET http://a.test/1?q HTTP/1.1\r\nHost: a.test\r\nProxy-Authorization: Basic YWxpY2U6c2VjcmV0\r\n\r\n",
        ),
        (
            "GET /2 HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "GET http://a.test/2 HTTP/1.1\r\nHost: a.test\r\nProxy-Authorization: Basic YWxpY2U6c2VjcmV0\r\n\r\n",
        ),
        (
            "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "OPTIONS http://a.test HTTP/1.1\r\nHost: a.test\r\nProxy-Authorization: Basic YWxpY2U6c2VjcmV0\r\n\r\n",
        ),
    ] {
        client.send(request);
        assert!(client.read_until("\r\n\r\nok").starts_with("HTTP/1.1 200"));
        let _ = proxy.wait_for_received(0, |received| text(received).ends_with(expected));
    }
    assert_eq!(proxy.connections(), 1);
    let flows = saved_flows(&flowgate);
    assert_eq!(flows.len(), 3);
    let FlowKind::Http(http) = &flows[0].kind else { panic!("{flows:?}") };
    assert_eq!((http.request.host.as_str(), http.request.path.as_ref()), ("a.test", b"/1?q".as_slice()));
    assert_eq!(flows[0].server.via, via("http", proxy.address()));
    for secret in ["secret", "YWxpY2U6c2VjcmV0"] {
        assert_secret(&flowgate, secret);
    }
}

#[test]
fn requests_inside_a_tunnel_stay_in_one() {
    let proxy = RawServer::start(|connection| {
        connection.read_until(b"\r\n\r\n")?;
        connection.send(ESTABLISHED)?;
        connection.read_until(b"\r\n\r\n")?;
        connection.send("HTTP/1.1 204 No Content\r\n\r\n")?;
        connection.read_to_end().map(drop)
    });
    let flowgate = through("http", proxy.address()).args(["--upstream-auth", "alice:secret"]).start();
    let mut client = Client::connect(&flowgate);
    client.send("CONNECT a.test:80 HTTP/1.1\r\n\r\nGET /x HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(client.read_until("\r\n\r\n"), ESTABLISHED);
    assert!(client.read_until("\r\n\r\n").starts_with("HTTP/1.1 204"));
    client.shut();
    assert_eq!(
        text(&proxy.wait_for_end(0).received),
        "CONNECT a.test:80 HTTP/1.1\r\nHost: a.test:80\r\nProxy-Authorization: Basic YWxpY2U6c2VjcmV0\r\n\r\n\
         GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n"
    );
}

#[test]
fn socks5_carries_tunnels_and_requests() {
    let proxy = RawServer::start(|connection| {
        connection.read_count(4)?;
        connection.send(b"\x05\x02")?;
        connection.read_count(14)?;
        connection.send(b"\x01\x00")?;
        connection.read_count(13)?;
        connection.send(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")?;
        connection.read_until(b"\r\n\r\n")?;
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
        connection.read_to_end().map(drop)
    });
    let flowgate = through("socks5", proxy.address()).args(["--upstream-auth", "alice:secret"]).start();
    for (index, (head, port)) in [
        ("GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", b"\x00\x50"),
        ("CONNECT a.test:81 HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n", b"\x00\x51"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = Client::connect(&flowgate);
        client.send(head);
        client.read_until("\r\n\r\nok");
        drop(client);
        let asked =
            [b"\x05\x02\x00\x02\x01\x05alice\x06secret\x05\x01\x00\x03\x06a.test", &port[..]].concat();
        let expected = [&asked[..], b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"].concat();
        assert_eq!(text(&proxy.wait_for_end(index).received), text(&expected));
    }
    let flows = saved_flows(&flowgate);
    assert!(flows.iter().all(|flow| flow.server.via == via("socks5", proxy.address())), "{flows:?}");
    assert_secret(&flowgate, "secret");
}

#[test]
fn a_socks5_refusal_is_told() {
    for (answer, expected) in [
        (&b"\x05\x00\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00"[..], "connection refused"),
        (b"\x05\xff", "requires a name and password (option `upstream_auth`"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak SOCKS5"),
    ] {
        let proxy = RawServer::start(move |connection| {
            connection.read_count(3)?;
            connection.send(answer)?;
            connection.read_to_end().map(drop)
        });
        let flowgate = through("socks5", proxy.address()).start();
        let mut client = Client::connect(&flowgate);
        client.send("CONNECT a.test:443 HTTP/1.1\r\n\r\n");
        let reply = client.read_to_end();
        let expected = format!("upstream proxy socks5://{}: {expected}", proxy.address());
        assert!(reply.starts_with("HTTP/1.1 502 ") && reply.contains(&expected), "{reply}");
    }
}

#[test]
fn tls_to_the_upstream_proxy_is_verified_as_to_any_server() {
    let ca = TestCa::new();
    let config = ca.leaf(&["localhost"]).server_config(&[b"h2", b"http/1.1"]);
    let proxy = RawServer::start_tls(config, |connection| {
        connection.read_until(b"\r\n\r\n")?;
        connection.send("HTTP/1.1 200 OK\r\n\r\n220 welcome\n")?;
        connection.read_to_end().map(drop)
    });
    let address = format!("localhost:{}", proxy.address().port());

    let trusting = through("https", &address)
        .set("ssl_verify_upstream_trusted_ca", ca.certificate_path().display())
        .start();
    let mut client = Client::connect(&trusting);
    client.send("CONNECT mail.test:25 HTTP/1.1\r\n\r\n");
    assert_eq!(client.read_until("\r\n\r\n"), ESTABLISHED);
    assert_eq!(client.read_until("\n"), "220 welcome\n");
    client.send("quit\n");
    client.shut();
    let record = proxy.wait_for_end(0);
    assert_eq!(text(&record.received), "CONNECT mail.test:25 HTTP/1.1\r\nHost: mail.test:25\r\n\r\nquit\n");
    assert_eq!((record.sni.as_deref(), record.alpn.as_deref()), (Some("localhost"), Some(&b"http/1.1"[..])));
    // The upstream proxy's TLS is not the server's.
    assert!(saved_flows(&trusting).iter().all(|flow| !flow.server.connection.tls));

    let distrusting = through("https", &address).start();
    let mut client = Client::connect(&distrusting);
    client.send("CONNECT mail.test:25 HTTP/1.1\r\n\r\n");
    let reply = client.read_to_end();
    let expected = format!("upstream proxy https://{address}: ");
    assert!(reply.starts_with("HTTP/1.1 502 ") && reply.contains(&expected), "{reply}");
    let flows = saved_flows(&distrusting);
    assert_eq!(flows[0].error.as_ref().map(|error| error.message.contains(&expected)), Some(true));
    assert_ne!(flows[0].error.as_ref().and_then(|error| error.phase), Some(Phase::Head));
}

#[test]
fn a_plain_request_without_an_upstream_proxy_is_answered_502() {
    let Some(curl) = Curl::new() else { return };
    // Nobody listens there any more.
    let gone = RawServer::start(|_| Ok(())).address();
    let flowgate = through("http", gone).start();
    let reply = curl.proxy(&flowgate.proxy_url()).fetch("http://a.test/");
    let expected = format!("upstream proxy http://{gone}: cannot connect to {gone}");
    assert!(reply.status == 502 && reply.text().contains(&expected), "{reply:?}");
}

#[test]
fn an_upgrade_in_clear_text_is_tunnelled() {
    let proxy = RawServer::start(|connection| {
        connection.read_until(b"\r\n\r\n")?;
        connection.send(ESTABLISHED)?;
        connection.read_until(b"\r\n\r\n")?;
        connection.send("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhi")?;
        connection.read_to_end().map(drop)
    });
    let flowgate = through("http", proxy.address()).start();
    let mut client = Client::connect(&flowgate);
    client.send("GET http://a.test/ws HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
    client.read_until("\r\n\r\nhi");
    client.send("yo");
    client.shut();
    assert_eq!(
        text(&proxy.wait_for_end(0).received),
        "CONNECT a.test:80 HTTP/1.1\r\nHost: a.test:80\r\n\r\n\
         GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nyo"
    );
}
