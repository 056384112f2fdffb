//! Ways out that rules name (`via`): from every mode, for whatever becomes of the connection.

use std::fs;
use std::sync::Arc;

use flowgate_flow::{FlowKind, MetadataValue};
use flowgate_testkit::{Curl, Flowgate, FlowgateBuilder, Nginx, RawServer};

use crate::support::{Client, assert_secret, flowgate, printed, saved_flows, through, via};

const ESTABLISHED: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

/// A flowgate with these rules.
fn with_rules(builder: FlowgateBuilder, rules: &str) -> FlowgateBuilder {
    let path = builder.path("rules.toml");
    fs::write(&path, rules).unwrap();
    builder.args(["--rules".to_owned(), path.display().to_string(), "-v".to_owned()])
}

/// The first bytes of a client that asks for this name.
fn hello(name: &str) -> Vec<u8> {
    let roots = rustls::RootCertStore::empty();
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = name.to_owned().try_into().unwrap();
    let mut tls = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    tls.write_tls(&mut bytes).unwrap();
    bytes
}

/// A SOCKS5 greeting and a request for a port of 127.0.0.1.
fn socks5_request(port: u16) -> Vec<u8> {
    let [high, low] = port.to_be_bytes();
    vec![5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, high, low]
}

/// An HTTP proxy that lets everybody through to a server that sends back what it is sent.
fn echo_behind_proxy() -> RawServer {
    RawServer::start(|connection| {
        connection.read_until(b"\r\n\r\n")?;
        connection.send(ESTABLISHED)?;
        let received = connection.read_to_end()?;
        connection.send(received)
    })
}

/// Every way in (CONNECT, plain requests, SOCKS5, reverse, and a mode with a way out of its own) for everything that can become of a
/// connection, by a way out that leads through another flowgate. (Transparent mode: `a_gateway_leaves_by_the_way_that_rules_say`.)
fn every_way_in(scheme: &str, listener: usize) {
    let (Some(nginx), Some(curl)) = (Nginx::builder().file("a.txt", "hello\n").start(), Curl::new()) else {
        return;
    };
    let last = flowgate()
        .args(["--mode", "regular", "--mode", "socks5@127.0.0.1:0"])
        .listeners(2)
        .set("ssl_verify_upstream_trusted_ca", nginx.ca().certificate_path().display())
        .args(["--ignore-hosts", "."])
        .set("show_ignored_hosts", "true")
        .start();
    let egress = format!("{scheme}://localhost:{}", last.addresses()[listener].port());
    let rules = format!(
        "[[rule]]\nvia = '{egress}'\n\n\
         [[rule]]\nname = '127.0.0.1'\nport = {}\nmode = ['regular', 'socks5']\naction = 'pass'\n",
        nginx.https().port()
    );
    // What is trusted: the server behind two passed-through connections, or the secure web proxy.
    let trust = last.path("trusted.pem");
    let both = [nginx.ca().certificate_path(), last.ca_certificate()].map(|path| fs::read(path).unwrap());
    fs::write(&trust, both.concat()).unwrap();
    let first = with_rules(flowgate(), &rules)
        .args([
            "--mode".to_owned(),
            "regular".to_owned(),
            "--mode".to_owned(),
            "socks5@127.0.0.1:0".to_owned(),
        ])
        .args([
            "--mode".to_owned(),
            format!("reverse:{}@127.0.0.1:0", nginx.https_url("").trim_end_matches('/')),
        ])
        // Nobody listens there: without the rule nothing would come back.
        .args(["--mode", "upstream:http://127.0.0.1:9@127.0.0.1:0"])
        .listeners(4)
        .set("ssl_verify_upstream_trusted_ca", trust.display())
        .start();
    let [regular, socks5, reverse, upstream]: &[_; 4] = first.addresses().try_into().unwrap();
    let by_address = format!("https://127.0.0.1:{}/a.txt", nginx.https().port());
    let decrypted = curl.clone().trust(&first.ca_certificate());
    let exempt = curl.clone().trust(&nginx.ca().certificate_path());
    let through_socks =
        |curl: &Curl| curl.clone().args(["--noproxy", "", "--socks5-hostname", &socks5.to_string()]);
    let through_http = |curl: &Curl| curl.clone().proxy(&format!("http://{regular}"));
    let through_upstream = |curl: &Curl| curl.clone().proxy(&format!("http://{upstream}"));
    let asked = [
        through_upstream(&decrypted).fetch(&nginx.https_url("/a.txt")),
        through_upstream(&curl).fetch(&nginx.http_url("/a.txt")),
        through_http(&decrypted).fetch(&nginx.https_url("/a.txt")),
        through_http(&exempt).fetch(&by_address),
        through_http(&curl).fetch(&nginx.http_url("/a.txt")),
        through_http(&curl).args(["--proxytunnel"]).fetch(&nginx.http_url("/a.txt")),
        through_socks(&decrypted).fetch(&nginx.https_url("/a.txt")),
        through_socks(&exempt).fetch(&by_address),
        through_socks(&curl).fetch(&nginx.http_url("/a.txt")),
        decrypted.clone().fetch(&format!("https://127.0.0.1:{}/a.txt", reverse.port())),
    ];
    for (index, reply) in asked.iter().enumerate() {
        let seen = (reply.exit, reply.status, reply.text());
        assert_eq!(seen, (0, 200, "hello\n".to_owned()), "{index} {}\n{}", reply.messages, printed(&first));
    }
    let flows = saved_flows(&first);
    // Two were passed through, and are not flows.
    assert_eq!(flows.len(), asked.len() - 2, "{}", printed(&first));
    for flow in &flows {
        let named = flow.server.via.as_ref().map(|via| format!("{}://{}", via.scheme, via.address));
        assert_eq!(named.as_ref(), Some(&egress));
    }
    // Nothing got to the server but through the other flowgate.
    assert_eq!(saved_flows(&last).len(), asked.len());
}

#[test]
fn every_way_in_leads_out_through_http() {
    every_way_in("http", 0);
}

#[test]
fn every_way_in_leads_out_through_https() {
    every_way_in("https", 0);
}

#[test]
fn every_way_in_leads_out_through_socks5() {
    every_way_in("socks5", 1);
}

#[test]
fn a_rule_may_lead_past_the_upstream_proxy_of_the_mode() {
    let (Some(nginx), Some(curl)) = (Nginx::builder().file("a.txt", "hello\n").start(), Curl::new()) else {
        return;
    };
    // Nobody listens there any more.
    let gone = RawServer::start(|_| Ok(())).address();
    let rules = format!("[[rule]]\nvia = 'direct'\nport = {}\n", nginx.http().port());
    let flowgate = with_rules(through("http", gone), &rules).start();
    let curl = curl.proxy(&flowgate.proxy_url()).trust(&nginx.ca().certificate_path());
    for curl in [curl.clone(), curl.clone().args(["--proxytunnel"])] {
        assert_eq!(curl.fetch(&nginx.http_url("/a.txt")).text(), "hello\n");
    }
    assert!(curl.fetch(&nginx.https_url("/a.txt")).heads.starts_with("HTTP/1.1 502 "));
    let flows = saved_flows(&flowgate);
    assert_eq!((&flows[0].server.via, &flows[1].server.via), (&None, &None));
    assert_eq!(flows[2].server.via, via("http", gone));
}

#[test]
fn each_request_of_one_connection_leaves_by_its_own_way() {
    let server = || {
        RawServer::start(|connection| {
            while connection.read_until(b"\r\n\r\n").is_ok() {
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
            }
            Ok(())
        })
    };
    let (one, other, direct) = (server(), server(), server());
    let port = direct.address().port();
    let rules = format!(
        "[[rule]]\nname = 'one.test'\nvia = 'http://a:b@{}'\n\n[[rule]]\nname = 'other.test'\nvia = 'http://{}'\n",
        one.address(),
        other.address()
    );
    let flowgate = with_rules(flowgate(), &rules).start();
    let mut client = Client::connect(&flowgate);
    let direct_host = format!("127.0.0.1:{port}");
    for host in ["one.test", "other.test", &direct_host, "one.test", "other.test", &direct_host] {
        client.send(format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert!(client.read_until("\r\n\r\nok").starts_with("HTTP/1.1 200"), "{host}");
    }
    // Each kept its connection, and only it got its credentials.
    assert_eq!((one.connections(), other.connections(), direct.connections()), (1, 1, 1));
    drop(client);
    let received = |server: &RawServer| String::from_utf8(server.wait_for_end(0).received).unwrap();
    let request =
        |target: &str, host: &str, more: &str| format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n");
    let authorization = "Proxy-Authorization: Basic YTpi\r\n";
    assert_eq!(received(&one), request("http://one.test/", "one.test", authorization).repeat(2));
    assert_eq!(received(&other), request("http://other.test/", "other.test", "").repeat(2));
    assert_eq!(received(&direct), request("/", &direct_host, "").repeat(2));
    assert_eq!(saved_flows(&flowgate).len(), 6);
}

#[test]
fn credentials_of_a_rule_go_to_its_proxy_and_nowhere_else() {
    let socks5 = RawServer::start(|connection| {
        connection.read_count(4)?;
        connection.send(b"\x05\x02")?;
        connection.read_count(14)?;
        connection.send(b"\x01\x00")?;
        connection.read_count(13)?;
        connection.send(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")?;
        let received = connection.read_to_end()?;
        connection.send(received)
    });
    let http = RawServer::start(|connection| {
        connection.read_until(b"\r\n\r\n")?;
        connection.send("HTTP/1.1 407 Who are you\r\n\r\n")
    });
    let rules = format!(
        "[[rule]]\nname = 'a.test'\naction = 'pass'\nvia = 'socks5://alice:s3cr%40t@{}'\n\n\
         [[rule]]\nname = 'b.test'\naction = 'pass'\nvia = 'http://bob:hidden@{}'\n",
        socks5.address(),
        http.address()
    );
    let flowgate = with_rules(flowgate(), &rules).start();
    let mut client = Client::connect(&flowgate);
    client.send("CONNECT a.test:81 HTTP/1.1\r\n\r\n");
    client.read_until("\r\n\r\n");
    client.send("hello");
    client.shut();
    assert_eq!(client.read_to_end(), "hello");
    let asked = b"\x05\x02\x00\x02\x01\x05alice\x06s3cr@t\x05\x01\x00\x03\x06a.test\x00\x51hello";
    assert_eq!(socks5.wait_for_end(0).received, asked);

    let mut client = Client::connect(&flowgate);
    client.send("CONNECT b.test:81 HTTP/1.1\r\n\r\n");
    let reply = client.read_to_end();
    assert!(reply.starts_with("HTTP/1.1 502 ") && reply.contains("belong into the rule"), "{reply}");
    assert!(String::from_utf8(http.wait_for_end(0).received).unwrap().contains("Basic Ym9iOmhpZGRlbg=="));

    flowgate.wait_for(|line| {
        line.contains("rules.toml:1 matched: name a.test has a.test (destination); via socks5://127.0.0.1:")
    });
    saved_flows(&flowgate);
    for secret in ["s3cr", "hidden", "Ym9iOmhpZGRlbg"] {
        assert_secret(&flowgate, secret);
    }
}

/// Flowgate as a SOCKS5 proxy for clients that name an address, with one way out for a.test.
fn by_name(proxy: &RawServer, action: &str) -> Flowgate {
    let rules = format!("[[rule]]\ndomain = 'a.test'\n{action}via = 'http://{}'\n", proxy.address());
    with_rules(flowgate().args(["--mode", "socks5"]), &rules).args(["--ignore-hosts", "."]).start()
}

#[test]
fn where_only_an_address_is_known_the_name_in_the_hello_chooses() {
    for action in ["", "action = 'pass'\n"] {
        let proxy = echo_behind_proxy();
        let direct = RawServer::start(|connection| {
            let received = connection.read_to_end()?;
            connection.send(received)
        });
        let flowgate = by_name(&proxy, action);
        let request = socks5_request(direct.address().port());
        for (name, connections) in [("x.a.test", (0, 1)), ("b.test", (1, 1))] {
            let mut client = Client::connect(&flowgate);
            let hello = hello(name);
            // In one piece: a client that is slow to name its host would be taken for one that lets the server begin.
            client.send([&request[..], &hello].concat());
            client.shut();
            client.read_count(12);
            assert_eq!(client.read_count(hello.len()), hello, "{name}");
            assert_eq!((direct.connections(), proxy.connections()), connections, "{name}");
        }
    }
}

#[test]
fn what_is_recorded_raw_leaves_by_the_rules_way() {
    let proxy = echo_behind_proxy();
    let rules = format!("[[rule]]\nport = 25\naction = 'record'\nvia = 'http://{}'\n", proxy.address());
    let flowgate = with_rules(flowgate(), &rules).start();
    let mut client = Client::connect(&flowgate);
    client.send("CONNECT mail.test:25 HTTP/1.1\r\n\r\nhello\n");
    client.read_until("\r\n\r\n");
    client.shut();
    assert_eq!(client.read_to_end(), "hello\n");
    let flows = saved_flows(&flowgate);
    assert!(matches!(&flows[0].kind, FlowKind::Tcp(raw) if raw.messages.len() == 2));
    assert_eq!(flows[0].server.via, via("http", proxy.address()));
    // The echo: as much up as down.
    for key in ["flowgate.bytes.up", "flowgate.bytes.down"] {
        let found = flows[0].metadata.iter().find(|(name, _)| name == key);
        assert_eq!(found.map(|(_, value)| value), Some(&MetadataValue::Int(6)), "{key}");
    }
}

#[test]
fn a_client_that_takes_its_time_still_leaves_by_the_right_way() {
    let proxy = echo_behind_proxy();
    let direct = RawServer::start(|connection| connection.read_to_end().map(drop));
    let flowgate = by_name(&proxy, "");
    let mut client = Client::connect(&flowgate);
    client.send(socks5_request(direct.address().port()));
    client.read_count(12);
    // Nobody has spoken: perhaps it is the server's turn, so it is connected to by what is known.
    flowgate.wait_for(|line| line.contains("server connect 127.0.0.1:"));
    let hello = hello("a.test");
    client.send(&hello);
    client.shut();
    assert_eq!(client.read_count(hello.len()), hello);
    // The first connection has not carried a byte.
    assert_eq!(direct.wait_for_end(0).received, b"");
    assert_eq!((direct.connections(), proxy.connections()), (1, 1));
}

#[test]
fn a_server_that_speaks_first_is_reached_by_what_is_known() {
    let proxy = echo_behind_proxy();
    let direct = RawServer::start(|connection| {
        connection.send("220 welcome\n")?;
        connection.read_to_end().map(drop)
    });
    let flowgate = by_name(&proxy, "");
    let mut client = Client::connect(&flowgate);
    client.send(socks5_request(direct.address().port()));
    client.read_count(12);
    assert_eq!(client.read_until("\n"), "220 welcome\n");
    assert_eq!(proxy.connections(), 0);
}

#[test]
fn what_waited_for_its_way_out_is_decrypted_with_the_servers_names() {
    let (Some(nginx), Some(curl)) = (Nginx::builder().file("a.txt", "hello\n").start(), Curl::new()) else {
        return;
    };
    let last = flowgate().args(["--ignore-hosts", "."]).start();
    let rules = format!("[[rule]]\nname = 'localhost'\nvia = 'http://{}'\n", last.address());
    let flowgate = with_rules(flowgate().args(["--mode", "socks5"]), &rules)
        .set("ssl_verify_upstream_trusted_ca", nginx.ca().certificate_path().display())
        .start();
    // curl looks the name up itself and asks for the address.
    let socks5 = flowgate.address().to_string();
    let curl = curl.args(["--noproxy", "", "-4", "--socks5", &socks5]).trust(&flowgate.ca_certificate());
    let reply = curl.fetch(&nginx.https_url("/a.txt"));
    assert_eq!((reply.exit, reply.text()), (0, "hello\n".to_owned()), "{}", reply.messages);
    let flows = saved_flows(&flowgate);
    assert!(matches!(&flows[0].kind, FlowKind::Http(_)));
    assert_eq!(flows[0].server.via, via("http", last.address()));
    // The server's TLS was there first, so its protocol was offered to the client and no other.
    assert_eq!(flows[0].server.connection.alpn, flows[0].client.connection.alpn);
}

#[test]
fn a_proxy_of_a_rule_that_is_gone_is_told_with_its_name() {
    let gone = RawServer::start(|_| Ok(())).address();
    let flowgate = with_rules(flowgate(), &format!("[[rule]]\nvia = 'socks5://u:p@{gone}'\n")).start();
    let mut client = Client::connect(&flowgate);
    client.send("CONNECT a.test:443 HTTP/1.1\r\n\r\n");
    let reply = client.read_to_end();
    let expected = format!("upstream proxy socks5://{gone}: cannot connect to {gone}");
    assert!(reply.starts_with("HTTP/1.1 502 ") && reply.contains(&expected), "{reply}");
    assert!(!printed(&flowgate).contains("u:p"));
}
