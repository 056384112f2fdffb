//! Who is not decrypted: `ignore_hosts` and `allow_hosts` by CONNECT host, ClientHello and `Host`. What is exempt has the
//! server's own certificate, is no flow, and `-v` says why.

use expect_test::expect;
use flowgate_flow::{FlowKind, MetadataValue};
use flowgate_testkit::{RawServer, TestCa};

use crate::support::{Client, flowgate, masked, printed, saved_flows};

/// Serves HTTP/1 under the names of `ca`, or in the clear.
fn server(ca: Option<&TestCa>) -> RawServer {
    let script = |connection: &mut flowgate_testkit::RawConnection| {
        connection.read_until(b"\r\n\r\n")?;
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
        connection.read_to_end().map(drop)
    };
    match ca {
        Some(ca) => {
            let leaf = ca.leaf(&["bank.test", "shop.test", "localhost", "127.0.0.1"]);
            RawServer::start_tls(leaf.server_config(&[b"http/1.1"]), script)
        }
        None => RawServer::start(script),
    }
}

/// One request over TLS through a tunnel to `host` asking for `name`; gives who signed what the client saw, how many flows
/// there are, and the reasons that were printed.
fn over_tls(options: &[&str], host: &str, name: &str) -> String {
    let ca = TestCa::new();
    let server = server(Some(&ca));
    let port = server.address().port();
    let flowgate = flowgate()
        .args(["-v", "--flow-detail", "0"])
        .args(options.iter().map(|option| option.replace("PORT", &port.to_string())))
        .set("ssl_verify_upstream_trusted_ca", ca.certificate_path().display())
        .start();
    let request = format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n");
    let ways = [("server's own certificate", ca.certificate_path()), ("ours", flowgate.ca_certificate())];
    let seen = ways.iter().find_map(|(who, root)| {
        let tunnel = Client::tunnel(&flowgate, format_args!("{host}:{port}"));
        let mut client = tunnel.try_tls(root, name, &[b"http/1.1"]).ok()?;
        client.send(&request);
        assert_eq!(client.response().1, "ok");
        client.end();
        Some(*who)
    });
    let flows = saved_flows(&flowgate).len();
    let printed = printed(&flowgate);
    // The last reason is that of the connection that worked.
    let reason = printed.lines().rfind(|line| line.contains("pass through: ") || line.contains("decrypt: "));
    let reason = reason.and_then(|line| line.split_once("] ")).map_or("", |(_, reason)| reason);
    let reason = masked(reason, &[(format!("127.0.0.1:{port}"), "SERVER"), (format!(":{port}"), ":PORT")]);
    format!("{}: {flows} flows; {reason}\n", seen.unwrap_or("no certificate that anybody trusts"))
}

#[test]
fn tls_is_exempt_by_connect_host_or_by_server_name() {
    let seen: String = [
        over_tls(&[], "127.0.0.1", "bank.test"),
        over_tls(&["--ignore-hosts", r"^127\.0\.0\.1:PORT$"], "127.0.0.1", "bank.test"),
        over_tls(&["--ignore-hosts", r"^localhost:"], "localhost", "bank.test"),
        over_tls(
            &["--ignore-hosts", r"other", "--ignore-hosts", r"^BANK\.test:PORT$"],
            "127.0.0.1",
            "bank.test",
        ),
        over_tls(&["--ignore-hosts", r"^bank\.test:443$"], "127.0.0.1", "bank.test"),
        over_tls(&["--allow-hosts", r"^shop\.test:"], "127.0.0.1", "bank.test"),
        over_tls(&["--allow-hosts", r"^shop\.test:"], "127.0.0.1", "shop.test"),
        over_tls(&["--ignore-hosts", r"^(?!shop\.test)"], "127.0.0.1", "bank.test"),
        over_tls(&["--ignore-hosts", r"bank", "--set", "connection_strategy=lazy"], "127.0.0.1", "bank.test"),
        over_tls(&["--ignore-hosts", r"bank", "--show-ignored-hosts"], "127.0.0.1", "bank.test"),
    ]
    .concat();
    expect![[r#"
        ours: 1 flows; decrypt: neither ignore_hosts nor allow_hosts is set
        server's own certificate: 0 flows; pass through: ignore_hosts[0] /^127\.0\.0\.1:PORT$/ matched SERVER (destination)
        server's own certificate: 0 flows; pass through: ignore_hosts[0] /^localhost:/ matched localhost:PORT (destination)
        server's own certificate: 0 flows; pass through: ignore_hosts[1] /^BANK\.test:PORT$/ matched bank.test:PORT (sni)
        ours: 1 flows; decrypt: no ignore_hosts pattern matched SERVER, bank.test:PORT
        server's own certificate: 0 flows; pass through: no allow_hosts pattern matched SERVER, bank.test:PORT
        ours: 1 flows; decrypt: allow_hosts[0] /^shop\.test:/ matched shop.test:PORT (sni)
        server's own certificate: 0 flows; pass through: ignore_hosts[0] /^(?!shop\.test)/ matched SERVER (destination)
        server's own certificate: 0 flows; pass through: ignore_hosts[0] /bank/ matched bank.test:PORT (sni)
        server's own certificate: 1 flows; pass through: ignore_hosts[0] /bank/ matched bank.test:PORT (sni)
    "#]].assert_eq(&seen);
}

/// The same in the clear: the name is in the `Host` field.
fn in_the_clear(options: &[&str], host: &str) -> String {
    let server = server(None);
    let port = server.address().port();
    let flowgate = flowgate().args(["-v", "--flow-detail", "0"]).args(options.iter().copied()).start();
    let mut client = Client::tunnel(&flowgate, server.address());
    client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\nProxy-Connection: shows who looked\r\n\r\n"));
    assert_eq!(client.response().1, "ok");
    client.end();
    assert_eq!(client.read_to_end(), b"");
    let untouched = server.wait_for_end(0).received.windows(6).any(|window| window == b"Proxy-");
    let flows = saved_flows(&flowgate).len();
    let printed = printed(&flowgate);
    let reason = printed.lines().find(|line| line.contains("pass through: ") || line.contains("http: "));
    let reason = reason.and_then(|line| line.split_once("] ")).map_or("", |(_, reason)| reason);
    let reason = masked(reason, &[(format!("127.0.0.1:{port}"), "SERVER"), (format!(":{port}"), ":PORT")]);
    format!("{}: {flows} flows; {reason}\n", if untouched { "untouched" } else { "read" })
}

#[test]
fn clear_text_in_a_tunnel_is_exempt_by_host() {
    let seen: String = [
        in_the_clear(&[], "bank.test"),
        in_the_clear(&["--ignore-hosts", r"^bank\.test"], "bank.test"),
        in_the_clear(&["--ignore-hosts", r"^bank\.test"], "shop.test"),
        in_the_clear(&["--allow-hosts", r"^bank\.test"], "bank.test"),
        in_the_clear(&["--allow-hosts", r"^bank\.test"], "shop.test"),
    ]
    .concat();
    expect![[r#"
        read: 1 flows; http: neither ignore_hosts nor allow_hosts is set
        untouched: 0 flows; pass through: ignore_hosts[0] /^bank\.test/ matched bank.test:PORT (host header)
        read: 1 flows; http: no ignore_hosts pattern matched SERVER, shop.test:PORT
        read: 1 flows; http: allow_hosts[0] /^bank\.test/ matched bank.test:PORT (host header)
        untouched: 0 flows; pass through: no allow_hosts pattern matched SERVER, shop.test:PORT
    "#]]
    .assert_eq(&seen);
}

#[test]
fn http2_in_the_clear_is_exempt_by_authority() {
    const REQUEST: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\
        \0\0\x0e\x01\x05\0\0\0\x01\x82\x86\x84\x41\x09bank.test";
    let server = RawServer::start(|connection| {
        connection.read_until(b"bank.test")?;
        connection.send("any answer")?;
        connection.read_to_end().map(drop)
    });
    let flowgate = flowgate().args(["-v", "--ignore-hosts", r"^bank\.test:"]).start();
    let mut client = Client::tunnel(&flowgate, server.address());
    // The name is waited for, however its bytes come.
    client.send(&REQUEST[..30]);
    client.send(&REQUEST[30..]);
    assert_eq!(client.read_count(10), b"any answer");
    client.end();
    assert_eq!(client.read_to_end(), b"");
    assert_eq!(server.wait_for_end(0).received, REQUEST);
    assert_eq!(saved_flows(&flowgate).len(), 0);
    let printed = printed(&flowgate);
    assert!(
        printed.contains(r"pass through: ignore_hosts[0] /^bank\.test:/ matched bank.test:"),
        "{printed}"
    );
    assert!(printed.contains("(host header)"), "{printed}");
}

#[test]
fn requests_to_the_proxy_are_ignored_where_that_is_asked_for() {
    let server = server(None);
    let host = format!("^127\\.0\\.0\\.1:{}$", server.address().port());
    let request = format!("GET http://{}/ HTTP/1.1\r\nHost: any.test\r\n\r\n", server.address());
    for (asked, flows) in [("false", 1), ("true", 0)] {
        let flowgate = flowgate().args(["--ignore-hosts", &host]).set("hide_ignored_requests", asked).start();
        let mut client = Client::connect(&flowgate);
        client.send(&request);
        assert_eq!(client.response().1, "ok");
        client.end();
        assert_eq!(saved_flows(&flowgate).len(), flows, "{asked}");
        assert_eq!(printed(&flowgate).contains("GET http"), flows > 0, "{asked}");
    }
}

#[test]
fn a_malformed_hello_is_refused_or_recorded_as_it_is() {
    // A ClientHello of four bytes, which is too short to be one.
    const HELLO: &[u8] = b"\x16\x03\x01\0\x08\x01\0\0\x04abcd";
    let server = RawServer::start(|connection| {
        connection.read_until(b"abcd")?;
        connection.send("answer")?;
        connection.read_to_end().map(drop)
    });
    for (policy, answer, flows) in [("close", &b""[..], 0), ("record", b"answer", 1)] {
        let flowgate = flowgate().set("malformed_hello", policy).start();
        let mut client = Client::tunnel(&flowgate, server.address());
        client.send(HELLO);
        assert_eq!(client.read_count(answer.len()), answer);
        if flows > 0 {
            client.end();
        }
        assert_eq!(client.read_to_end(), b"");
        let saved = saved_flows(&flowgate);
        assert_eq!(saved.len(), flows, "{policy}: {saved:?}");
        for flow in saved {
            let FlowKind::Tcp(raw) = &flow.kind else { panic!("{flow:?}") };
            let sent: Vec<_> = raw.messages.iter().map(|message| message.content.as_ref()).collect();
            assert_eq!(sent, [HELLO, b"answer"]);
        }
    }
}

#[test]
fn what_is_shown_of_an_exempt_connection() {
    let ca = TestCa::new();
    let server = server(Some(&ca));
    let flowgate = flowgate().args(["--ignore-hosts", "^bank", "--show-ignored-hosts"]).start();
    let tunnel = Client::tunnel(&flowgate, server.address());
    let mut client = tunnel.tls(&ca.certificate_path(), "bank.test", &[b"http/1.1"]);
    client.send("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(client.response().1, "ok");
    client.end();
    let flows = saved_flows(&flowgate);
    let [flow] = &flows[..] else { panic!("{flows:?}") };
    let (client, server) = (&flow.client.connection, &flow.server.connection);
    assert_eq!(
        (client.sni.as_deref(), &client.alpn_offers[..]),
        (Some("bank.test"), &["http/1.1".into()][..])
    );
    for connection in [client, server] {
        let (began, ended) = (connection.timestamp_start.unwrap(), connection.timestamp_end.unwrap());
        assert!(began <= flow.created && flow.created <= ended, "{connection:?}");
        assert_eq!(connection.tls_version, None);
    }
    let told = |key: &str| flow.metadata.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
    for key in ["flowgate.bytes.up", "flowgate.bytes.down"] {
        assert!(matches!(told(key), Some(MetadataValue::Int(bytes)) if bytes > 100), "{:?}", flow.metadata);
    }
    let reason = told("flowgate.reason");
    assert!(
        matches!(&reason, Some(MetadataValue::Text(why)) if why.starts_with("pass through: ignore_hosts[0] /^bank/ ")),
        "{reason:?}"
    );
}
