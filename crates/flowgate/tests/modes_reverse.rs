//! Mode `reverse:`, and several modes at once.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use flowgate_testkit::{Curl, Flowgate, FlowgateBuilder, H2load, Nginx, PATIENCE, RawServer, TestCa};

const BINARY: &str = env!("CARGO_BIN_EXE_flowgate");

fn reverse(target: &str) -> FlowgateBuilder {
    Flowgate::builder(BINARY).args(["--mode".to_owned(), format!("reverse:{target}")])
}

/// Sends bytes to a port and reads to the end.
fn exchange(flowgate: &Flowgate, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(flowgate.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

#[test]
fn the_host_header_is_the_servers_unless_it_is_kept() {
    let (Some(nginx), Some(curl)) = (Nginx::builder().start(), Curl::new()) else { return };
    let target = format!("http://{}", nginx.http());
    let check = |keep: bool, ignore: bool, expected: &str| {
        let mut builder = reverse(&target).set("keep_host_header", keep);
        if ignore {
            builder = builder.args(["--ignore-hosts", "127"]);
        }
        let flowgate = builder.start();
        flowgate.wait_for(|line| line.contains(&format!("reverse proxy to {target} listening at")));
        let reply = curl
            .clone()
            .args(["-H", "Host: client.test"])
            .fetch(&format!("http://{}/echo", flowgate.address()));
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(reply.text().contains(&format!("host={expected}\n")), "{}", reply.text());
    };
    check(false, false, &nginx.http().to_string());
    check(true, false, "client.test");
    check(false, true, "client.test");
}

#[test]
fn https_servers_serve_clients_with_and_without_tls() {
    let (Some(nginx), Some(curl)) = (Nginx::builder().start(), Curl::new()) else { return };
    let port = nginx.https().port();
    let start = |keep: bool| {
        reverse(&format!("https://localhost:{port}"))
            .set("ssl_verify_upstream_trusted_ca", nginx.ca().certificate_path().display())
            .set("keep_host_header", keep)
            .start()
    };
    let flowgate = start(false);
    let at = flowgate.address();
    let curl = curl.trust(&flowgate.ca_certificate());
    let clear = curl.fetch(&format!("http://{at}/echo"));
    assert!(clear.text().contains(&format!("scheme=https\nhost=localhost:{port}\n")), "{clear:?}");
    let prior = curl.clone().args(["--http2-prior-knowledge"]).fetch(&format!("http://{at}/echo"));
    assert_eq!((prior.status, prior.version.as_str()), (200, "2"), "{prior:?}");
    assert!(
        prior.text().contains(&format!("protocol=HTTP/2.0\nscheme=https\nhost=localhost:{port}\n")),
        "{prior:?}"
    );
    for (arguments, version) in [(&["--http2"][..], "2"), (&["--http1.1"], "1.1")] {
        let reply = curl.clone().args(arguments.to_vec()).fetch(&format!("https://{at}/echo"));
        assert_eq!((reply.exit, reply.status, reply.version.as_str()), (0, 200, version), "{reply:?}");
        assert!(reply.text().contains(&format!("host=localhost:{port}\n")), "{reply:?}");
    }
    assert!(nginx.access_log().iter().all(|entry| entry.sni == "localhost"));
    // The name is the client's if the Host header is.
    let flowgate = start(true);
    let named = Curl::new().unwrap().trust(&flowgate.ca_certificate());
    let resolve = format!("127.0.0.1.nip.test:{}:127.0.0.1", flowgate.address().port());
    let url = format!("https://127.0.0.1.nip.test:{}/echo?kept", flowgate.address().port());
    // The server's certificate does not have that name, which we say.
    let reply = named.args(["--resolve", &resolve]).fetch(&url);
    assert_eq!((reply.exit, reply.status), (0, 502), "{reply:?}");
}

#[test]
fn many_requests_at_once_come_back() {
    let Some(nginx) = Nginx::builder().file("a.txt", "hello").start() else { return };
    let https = reverse(&format!("https://localhost:{}", nginx.https().port()))
        .set("ssl_verify_upstream_trusted_ca", nginx.ca().certificate_path().display())
        .set("flow_detail", 0)
        .start();
    let http = reverse(&format!("http://{}", nginx.http())).set("flow_detail", 0).start();
    for (url, http1) in [
        (format!("https://{}/a.txt", https.address()), false),
        (format!("https://{}/a.txt", https.address()), true),
        (format!("http://{}/a.txt", https.address()), false),
        (format!("https://{}/a.txt", http.address()), false),
        (format!("http://{}/a.txt", http.address()), true),
    ] {
        let Some(load) = (H2load { http1, ..H2load::default() }).run(&url) else { return };
        assert_eq!((load.succeeded, load.failed), (load.total, 0), "{url}, http1: {http1}");
    }
}

#[test]
fn raw_bytes_cross_as_they_are() {
    let server = RawServer::start(|connection| {
        let said = connection.read_to_end()?;
        connection.send([&b"heard "[..], &said].concat())
    });
    let flowgate = reverse(&format!("tcp://{}", server.address())).start();
    assert_eq!(exchange(&flowgate, b"GET / HTTP/1.1\r\n\r\n"), b"heard GET / HTTP/1.1\r\n\r\n");
    flowgate.wait_for(|line| line.contains(&format!("-> tcp -> {}", server.address())));
}

#[test]
fn tls_is_spoken_to_the_server_for_a_client_that_does_not() {
    let ca = TestCa::new();
    let server = RawServer::start_tls(ca.leaf(&["localhost"]).server_config(&[]), |connection| {
        let said = connection.read_to_end()?;
        connection.send([&b"heard "[..], &said].concat())?;
        connection.shutdown_write()
    });
    let flowgate = reverse(&format!("tls://localhost:{}", server.address().port()))
        .set("ssl_verify_upstream_trusted_ca", ca.certificate_path().display())
        .start();
    assert_eq!(exchange(&flowgate, b"hello"), b"heard hello");
}

#[test]
fn a_server_that_cannot_be_had_is_told() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let flowgate = reverse(&format!("http://{gone}")).start();
    let answer = exchange(&flowgate, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(answer.starts_with(b"HTTP/1.1 502 "), "{}", String::from_utf8_lossy(&answer));
    let flowgate = reverse(&format!("tcp://{gone}")).start();
    let mut silent = TcpStream::connect(flowgate.address()).unwrap();
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    let end = silent.read(&mut [0; 1]).map_err(|err| err.kind());
    assert_eq!(end, Err(ErrorKind::ConnectionReset), "closed although the client said nothing");
}

#[test]
fn several_modes_run_at_once() {
    let (Some(nginx), Some(curl)) = (Nginx::builder().start(), Curl::new()) else { return };
    let target = format!("reverse:http://{}", nginx.http());
    let flowgate = Flowgate::builder(BINARY)
        .args(["--mode", "regular", "--mode", "socks5@127.0.0.1:0", "--mode", &target])
        .listeners(3)
        .start();
    let [regular, socks, reverse] = flowgate.addresses() else { unreachable!("three modes") };
    let url = nginx.http_url("/echo");
    let direct = format!("http://{reverse}/echo");
    for (curl, url) in [
        (curl.clone().proxy(&format!("http://{regular}")), &url),
        (curl.clone().proxy(&format!("socks5h://{socks}")), &url),
        (curl, &direct),
    ] {
        let reply = curl.fetch(url);
        assert_eq!(reply.status, 200, "{reply:?}");
    }
}

#[test]
fn modes_that_want_one_address_are_both_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    drop(taken);
    let (first, second) = (format!("regular@{port}"), format!("socks5@127.0.0.1:{port}"));
    let home = tempfile::TempDir::new().unwrap();
    let confdir = format!("confdir={}", home.path().display());
    let output = Flowgate::run(BINARY, &["dump", "--set", &confdir, "--mode", &first, "--mode", &second]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let wanted = format!("option `mode`: {first} and {second} would listen on the same address");
    assert!(output.stderr.contains(&wanted), "{output:?}");
}
