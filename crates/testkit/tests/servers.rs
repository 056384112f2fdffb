//! The fixtures against each other, without flowgate: what a test sees later is then flowgate's doing.

use flowgate_testkit::{Chromium, Curl, H2load, Load, Nginx, RawServer, TestCa, pattern};

#[test]
fn nginx_speaks_http2_and_http1_over_tls_and_logs_it() {
    let (Some(nginx), Some(curl)) = (Nginx::builder().file("a.txt", "hello\n").start(), Curl::new()) else {
        return;
    };
    let curl = curl.trust(&nginx.ca().certificate_path());
    for (flag, version, protocol) in [("--http2", "2", "HTTP/2.0"), ("--http1.1", "1.1", "HTTP/1.1")] {
        let reply = curl.clone().args([flag]).fetch(&nginx.https_url("/a.txt"));
        assert_eq!((reply.exit, reply.status, reply.version.as_str()), (0, 200, version), "{reply:?}");
        assert_eq!((reply.text().as_str(), reply.header("content-type")), ("hello\n", Some("text/plain")));
        let entry = nginx.wait_for_access(|entry| entry.protocol == protocol);
        assert_eq!((entry.target.as_str(), entry.status, entry.sni.as_str()), ("/a.txt", 200, "localhost"));
    }
}

#[test]
fn nginx_is_not_trusted_without_its_ca() {
    let (Some(nginx), Some(curl)) = (Nginx::builder().start(), Curl::new()) else { return };
    assert_eq!(curl.fetch(&nginx.https_url("/echo")).exit, 60);
}

#[test]
fn nginx_frames_a_body_in_each_way() {
    let nginx = Nginx::builder().large_file("large.bin", 3_000_001).keepalive_requests(1).start();
    let (Some(nginx), Some(curl)) = (nginx, Curl::new()) else { return };
    for (path, header, value) in [
        ("/large.bin", "content-length", Some("3000001")),
        ("/chunked/large.bin", "transfer-encoding", Some("chunked")),
        ("/close-delimited/large.bin", "connection", Some("close")),
        ("/close-delimited/large.bin", "content-length", None),
    ] {
        let reply = curl.fetch(&nginx.http_url(path));
        assert_eq!((reply.exit, reply.header(header)), (0, value), "{path}: {}", reply.heads);
        assert!(reply.body == pattern(3_000_001), "{path}");
    }
    let entry = nginx.wait_for_access(|entry| entry.target == "/chunked/large.bin");
    assert_eq!(entry.request_on_connection, 1);
}

#[test]
fn nginx_echoes_stores_and_refuses() {
    let (Some(nginx), Some(curl)) = (Nginx::builder().start(), Curl::new()) else { return };
    let echo = curl.clone().args(["-H", "X-Test: a  b"]).fetch(&nginx.http_url("/echo?q=1")).text();
    assert!(echo.starts_with("method=GET\nuri=/echo?q=1\nprotocol=HTTP/1.1\nscheme=http\n"), "{echo}");
    assert!(echo.contains("\nx-test=a  b\n"), "{echo}");
    let put = curl
        .clone()
        .args(["-X", "PUT", "--data-binary", "stored bytes"])
        .fetch(&nginx.http_url("/put/x.bin"));
    assert_eq!((put.status, nginx.stored("x.bin").as_slice()), (201, b"stored bytes".as_slice()));
    assert_eq!(curl.fetch(&nginx.http_url("/status/503")).status, 503);
}

#[test]
fn h2load_counts_what_came_back() {
    let Some(nginx) = Nginx::builder().file("a.txt", "hello\n").start() else { return };
    let all = Load { total: 500, succeeded: 500, failed: 0 };
    if let Some(load) = H2load::default().run(&nginx.https_url("/a.txt")) {
        assert_eq!(load, all);
    }
    if let Some(load) = (H2load { http1: true, ..H2load::default() }).run(&nginx.http_url("/a.txt")) {
        assert_eq!(load, all);
    }
}

#[test]
fn a_raw_server_speaks_tls_and_tells_what_was_negotiated() {
    let Some(curl) = Curl::new() else { return };
    let ca = TestCa::new();
    let config = ca.leaf(&["localhost"]).server_config(&[b"http/1.1"]);
    let server = RawServer::start_tls(config, |connection| {
        connection.read_until(b"\r\n\r\n")?;
        connection.send("HTTP/1.1 200 Fine\r\nX-Odd:  two\r\nContent-Length: 2\r\n\r\nok")?;
        connection.shutdown_write()
    });
    let url = format!("https://localhost:{}/path", server.address().port());
    let reply = curl.trust(&ca.certificate_path()).fetch(&url);
    assert_eq!((reply.exit, reply.status, reply.text().as_str()), (0, 200, "ok"), "{reply:?}");
    assert!(reply.heads.starts_with("HTTP/1.1 200 Fine\r\nX-Odd:  two\r\n"), "{}", reply.heads);
    let record = server.wait_for_end(0);
    assert!(record.received.starts_with(b"GET /path HTTP/1.1\r\n"), "{record:?}");
    assert_eq!(
        (record.sni.as_deref(), record.alpn.as_deref()),
        (Some("localhost"), Some(b"http/1.1".as_slice()))
    );
}

#[test]
fn chromium_trusts_what_it_is_told_to_and_nothing_else() {
    let page =
        "<!doctype html><title>t</title><p id=p>before</p><script>p.textContent = 'by script'</script>";
    let Some(nginx) = Nginx::builder().file("page.html", page).start() else { return };
    let url = nginx.https_url("/page.html");
    let Some(stranger) = Chromium::new(&[]) else { return };
    let dom = stranger.dump_dom(&url);
    assert!(!dom.contains("by script"), "{dom}");
    let Some(friend) = Chromium::new(&[&nginx.ca().certificate_path()]) else { return };
    let dom = friend.dump_dom(&url);
    assert!(dom.contains("<p id=\"p\">by script</p>"), "{dom}");
    assert!(friend.screenshot(&url).starts_with(b"\x89PNG"));
    assert_eq!(nginx.access_log().iter().filter(|entry| entry.target == "/page.html").count(), 2);
}
