//! Rules in a running proxy: what clients get, what is shown, and what happens when a rule file changes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io;

use flowgate_testkit::{Curl, Flowgate, FlowgateBuilder, RawConnection, RawServer, TestCa};

const BINARY: &str = env!("CARGO_BIN_EXE_flowgate");

fn hello(connection: &mut RawConnection) -> io::Result<()> {
    connection.read_until(b"\r\n\r\n")?;
    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
}

fn with_rules(rules: &str) -> FlowgateBuilder {
    let builder = Flowgate::builder(BINARY);
    let path = builder.path("rules.toml");
    fs::write(&path, rules).unwrap();
    builder.args(["--rules".to_owned(), path.display().to_string()])
}

#[test]
fn a_blocked_request_is_answered_with_the_rule() {
    let server = RawServer::start(hello);
    let flowgate = with_rules("[[rule]]\naction = 'block'\ndomain = 'ads.test'\n").start();
    let Some(curl) = Curl::new() else { return };
    let curl = curl.proxy(&flowgate.proxy_url());
    let reply = curl.fetch("http://x.ads.test/");
    assert_eq!(reply.status, 403, "{reply:?}");
    assert!(reply.text().contains("rules.toml:1 matched: domain ads.test"), "{}", reply.text());
    // A tunnel is refused before anybody is connected to.
    let tunnel = curl.clone().args(["--proxytunnel"]);
    let reply = tunnel.fetch("https://ads.test/");
    assert!(reply.heads.starts_with("HTTP/1.1 403 "), "{reply:?}");
    // In a tunnel to a host that is not blocked, the Host field is looked at.
    let reply = tunnel.args(["-H", "Host: ads.test"]).fetch(&server.http_url("/"));
    assert!(reply.heads.contains("HTTP/1.1 200 ") && reply.status == 403, "{reply:?}");
    assert_eq!(curl.fetch(&server.http_url("/")).text(), "hi");
}

#[test]
fn what_is_hidden_is_served_and_not_shown() {
    let (secret, shown) = (RawServer::start(hello), RawServer::start(hello));
    let rule = format!("[[rule]]\naction = 'hide'\nport = {}\n", secret.address().port());
    let flowgate = with_rules(&rule).start();
    let Some(curl) = Curl::new() else { return };
    let curl = curl.proxy(&flowgate.proxy_url());
    for curl in [curl.clone(), curl.args(["--proxytunnel"])] {
        assert_eq!(curl.fetch(&secret.http_url("/secret")).text(), "hi");
        assert_eq!(curl.fetch(&shown.http_url("/shown")).text(), "hi");
        flowgate.wait_for(|line| line.contains("/shown"));
    }
    assert!(flowgate.lines().iter().all(|line| !line.text.contains("/secret")));
}

#[test]
fn a_changed_file_counts_for_new_connections_and_a_bad_one_does_not() {
    let ca = TestCa::new();
    let server = RawServer::start_tls(ca.leaf(&["127.0.0.1"]).server_config(&[]), hello);
    let url = format!("https://{}/", server.address());
    let flowgate = with_rules("[[rule]]\naction = 'pass'\ncidr = '127.0.0.0/8'\n").args(["-v"]).start();
    let Some(curl) = Curl::new() else { return };
    let curl = curl.proxy(&flowgate.proxy_url()).trust(&ca.certificate_path());
    // Only the server's own certificate is trusted: nobody stands between.
    assert_eq!(curl.fetch(&url).text(), "hi");
    flowgate.wait_for(|line| line.contains("pass through: rule ") && line.contains("cidr 127.0.0.0/8"));
    let path = flowgate.path("rules.toml");
    fs::write(&path, "[[rule]]\naction = 'nothing'\n").unwrap();
    flowgate.wait_for(|line| line.contains("rules not reloaded, the old ones stay: "));
    assert_eq!(curl.fetch(&url).text(), "hi");
    fs::write(&path, "[[rule]]\naction = 'decrypt'\n\n[[rule]]\naction = 'block'\n").unwrap();
    flowgate.wait_for(|line| line.contains("rules: 2 rules"));
    assert_eq!(curl.fetch(&url).exit, 60, "the certificate is ours now");
}

#[test]
fn a_flow_says_why() {
    let server = RawServer::start(hello);
    let builder = with_rules("[[rule]]\naction = 'decrypt'\nport = '1-65535'\n");
    let flows = builder.path("flows");
    let flowgate = builder.args(["-w".to_owned(), flows.display().to_string()]).start();
    let Some(curl) = Curl::new() else { return };
    let curl = curl.proxy(&flowgate.proxy_url()).args(["--proxytunnel"]);
    assert_eq!(curl.fetch(&server.http_url("/")).text(), "hi");
    assert!(flowgate.stop(flowgate_testkit::Signal::INT).success());
    let saved = String::from_utf8_lossy(&fs::read(flows).unwrap()).into_owned();
    assert!(saved.contains("flowgate.reason") && saved.contains("rules.toml:1 matched: port "), "{saved}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_program_is_known_by_its_file() {
    let server = RawServer::start(hello);
    let flowgate = with_rules("[[rule]]\naction = 'block'\nprocess = 'curl'\n").args(["-v"]).start();
    let Some(curl) = Curl::new() else { return };
    let reply = curl.proxy(&flowgate.proxy_url()).fetch(&server.http_url("/"));
    assert!(
        reply.status == 403 && reply.text().contains("rules.toml:1 matched: process curl has /"),
        "{reply:?}"
    );
    // This program is none of that name.
    let mut stream = std::net::TcpStream::connect(flowgate.address()).unwrap();
    let request = format!("GET {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", server.http_url("/"));
    io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
    let mut answer = String::new();
    io::Read::read_to_string(&mut stream, &mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[test]
fn a_client_is_known_by_its_fingerprint() {
    let ca = TestCa::new();
    let server = RawServer::start_tls(ca.leaf(&["127.0.0.1"]).server_config(&[]), hello);
    let url = format!("https://{}/", server.address());
    let Some(curl) = Curl::new() else { return };
    let builder = Flowgate::builder(BINARY).set("ssl_insecure", "true");
    let file = builder.path("flows");
    let decrypting = builder.args(["-w".to_owned(), file.display().to_string()]).start();
    let reply = curl.clone().proxy(&decrypting.proxy_url()).trust(&decrypting.ca_certificate()).fetch(&url);
    assert_eq!(reply.text(), "hi", "{reply:?}");
    assert!(decrypting.stop(flowgate_testkit::Signal::INT).success());
    let mut flows = flowgate_formats::FlowReader::new(io::BufReader::new(fs::File::open(&file).unwrap()));
    let fingerprints = flows.next().unwrap().unwrap().client.fingerprints.clone().unwrap();
    assert_eq!((fingerprints.ja3.len(), fingerprints.ja4.len()), (32, 36), "{fingerprints:?}");
    // By that, the same client is passed through the next time: it sees the server's own certificate.
    let rule = format!("[[rule]]\naction = 'pass'\nja4 = '{}'\n", fingerprints.ja4);
    let exempting = with_rules(&rule).args(["-v"]).start();
    let reply = curl.proxy(&exempting.proxy_url()).trust(&ca.certificate_path()).fetch(&url);
    assert_eq!(reply.text(), "hi", "{reply:?}");
    exempting.wait_for(|line| line.contains(&format!("ja4 {0} has {0}", fingerprints.ja4)));
}
