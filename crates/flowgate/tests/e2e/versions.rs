//! HTTP/1.0, HTTP/1.1 and HTTP/2 on both sides in any combination, and who decides which.

use expect_test::expect;
use flowgate_flow::HttpVersion;
use flowgate_testkit::{Curl, Nginx, RawServer, TestCa};

use crate::support::{Client, flowgate, http, saved_flows, serve_http2};

/// Which versions curl and nginx end up with, one line for each way to ask.
fn versions(strategy: &str) -> Option<String> {
    let (nginx, curl) = (Nginx::builder().start()?, Curl::new()?);
    let flowgate = flowgate()
        .set("connection_strategy", strategy)
        .set("ssl_verify_upstream_trusted_ca", nginx.ca().certificate_path().display())
        .start();
    let curl = curl.proxy(&flowgate.proxy_url()).trust(&flowgate.ca_certificate());
    let mut seen = String::new();
    for (way, arguments, url) in [
        ("absolute-form", vec![], nginx.http_url("/echo")),
        ("clear tunnel ", vec!["--proxytunnel"], nginx.http_url("/echo")),
        ("TLS in tunnel", vec![], nginx.https_url("/echo")),
    ] {
        for version in ["--http1.0", "--http1.1", "--http2"] {
            if version == "--http2" && url.starts_with("http:") {
                // Asks to upgrade to `h2c`, which RFC 9113 removed; nginx never did that.
                continue;
            }
            let reply = curl.clone().args(arguments.clone()).args([version]).fetch(&url);
            assert_eq!((reply.exit, reply.status), (0, 200), "{way} {version}: {reply:?}");
            let echo = reply.text();
            let protocol = echo.lines().find_map(|line| line.strip_prefix("protocol=")).unwrap();
            seen += &format!("{way} {version}: curl got {}, nginx got {protocol}\n", reply.version);
        }
    }
    assert_eq!(saved_flows(&flowgate).len(), 7);
    Some(seen)
}

#[test]
fn eager_both_sides_speak_what_both_can() {
    let Some(seen) = versions("eager") else { return };
    expect![[r#"
        absolute-form --http1.0: curl got 1.1, nginx got HTTP/1.0
        absolute-form --http1.1: curl got 1.1, nginx got HTTP/1.1
        clear tunnel  --http1.0: curl got 1.1, nginx got HTTP/1.0
        clear tunnel  --http1.1: curl got 1.1, nginx got HTTP/1.1
        TLS in tunnel --http1.0: curl got 1.1, nginx got HTTP/1.0
        TLS in tunnel --http1.1: curl got 1.1, nginx got HTTP/1.1
        TLS in tunnel --http2: curl got 2, nginx got HTTP/2.0
    "#]]
    .assert_eq(&seen);
}

#[test]
fn lazy_the_client_gets_what_it_likes_best() {
    let Some(seen) = versions("lazy") else { return };
    expect![[r#"
        absolute-form --http1.0: curl got 1.1, nginx got HTTP/1.0
        absolute-form --http1.1: curl got 1.1, nginx got HTTP/1.1
        clear tunnel  --http1.0: curl got 1.1, nginx got HTTP/1.0
        clear tunnel  --http1.1: curl got 1.1, nginx got HTTP/1.1
        TLS in tunnel --http1.0: curl got 1.1, nginx got HTTP/1.0
        TLS in tunnel --http1.1: curl got 1.1, nginx got HTTP/1.1
        TLS in tunnel --http2: curl got 2, nginx got HTTP/2.0
    "#]]
    .assert_eq(&seen);
}

/// The client has been told "h2" before anybody asked the server: flowgate translates.
#[test]
fn lazy_an_http2_client_reaches_a_server_that_has_only_http1() {
    let Some(curl) = Curl::new() else { return };
    let ca = TestCa::new();
    let config = ca.leaf(&["localhost"]).server_config(&[b"http/1.1"]);
    let server = RawServer::start_tls(config, |connection| {
        connection.read_until(b"\r\n\r\n")?;
        connection
            .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")?;
        connection.read_to_end().map(drop)
    });
    let flowgate = flowgate()
        .set("connection_strategy", "lazy")
        .set("ssl_verify_upstream_trusted_ca", ca.certificate_path().display())
        .start();
    let reply = curl
        .proxy(&flowgate.proxy_url())
        .trust(&flowgate.ca_certificate())
        .args(["--http2", "-H", "Cookie: a=1", "-A", "test"])
        .fetch(&format!("https://localhost:{}/path?q", server.address().port()));
    assert_eq!((reply.exit, reply.version.as_str(), reply.text().as_str()), (0, "2", "onetwo"), "{reply:?}");
    let received = server.wait_for_received(0, |bytes| bytes.ends_with(b"\r\n\r\n")).received;
    let expected = format!(
        "GET /path?q HTTP/1.1\r\nHost: localhost:{}\r\nuser-agent: test\r\naccept: */*\r\ncookie: a=1\r\n\r\n",
        server.address().port()
    );
    assert_eq!(String::from_utf8(received).unwrap(), expected);
    let flows = saved_flows(&flowgate);
    let flow = http(&flows[0]);
    assert_eq!(flow.request.version, HttpVersion::Http2);
    assert_eq!(flow.response.as_ref().unwrap().version, HttpVersion::Http11);
}

/// `GET https://...` on a connection to the proxy in the clear: the client cannot know the server's version.
#[test]
fn an_http1_client_reaches_a_server_that_has_only_http2() {
    let ca = TestCa::new();
    let config = ca.leaf(&["localhost"]).server_config(&[b"h2"]);
    let server = RawServer::start_tls(config, |connection| serve_http2(connection, b"from h2"));
    let flowgate = flowgate().set("ssl_verify_upstream_trusted_ca", ca.certificate_path().display()).start();
    let authority = format!("localhost:{}", server.address().port());
    let mut client = Client::connect(&flowgate);
    for (version, status_line) in [("1.1", "HTTP/1.1 200 OK\r\n"), ("1.0", "HTTP/1.1 200 OK\r\n")] {
        client.send(format!("GET https://{authority}/ HTTP/{version}\r\nHost: {authority}\r\n\r\n"));
        let head = client.read_until("\r\n\r\n");
        assert!(head.starts_with(status_line), "{head}");
        if version == "1.1" {
            assert_eq!(head, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
            assert_eq!(client.read_until("0\r\n\r\n"), "7\r\nfrom h2\r\n0\r\n\r\n");
        } else {
            assert_eq!(client.read_to_end(), b"from h2");
        }
    }
    assert_eq!(server.connections(), 1, "one HTTP/2 connection carries both");
    let flows = saved_flows(&flowgate);
    assert_eq!(http(&flows[0]).response.as_ref().unwrap().version, HttpVersion::Http2);
}

#[test]
fn without_http2_both_sides_speak_http1() {
    let (Some(nginx), Some(curl)) = (Nginx::builder().start(), Curl::new()) else { return };
    let flowgate = flowgate()
        .args(["--no-http2"])
        .set("ssl_verify_upstream_trusted_ca", nginx.ca().certificate_path().display())
        .start();
    let reply = curl
        .proxy(&flowgate.proxy_url())
        .trust(&flowgate.ca_certificate())
        .args(["--http2"])
        .fetch(&nginx.https_url("/echo"));
    assert_eq!((reply.exit, reply.version.as_str()), (0, "1.1"));
    assert!(reply.text().contains("\nprotocol=HTTP/1.1\n"), "{}", reply.text());
}

/// `--no-http2` was about ALPN alone: a client that began with the preface of HTTP/2, as one does that knows what the server speaks, was
/// served in HTTP/2 all the same.
#[test]
fn without_http2_its_preface_is_refused() {
    let server = RawServer::start(|connection| connection.read_to_end().map(drop));
    for (arguments, refused) in [(&["--no-http2"][..], true), (&[], false)] {
        let flowgate = flowgate()
            .args(arguments.iter().copied())
            .args(["--mode", &format!("reverse:{}", server.http_url(""))])
            .start();
        let mut client = Client::connect(&flowgate);
        client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0");
        if refused {
            assert!(client.read_until("\r\n\r\n").starts_with("HTTP/1.1 505 "));
        } else {
            assert_eq!(client.read_count(5)[3..], [4, 0], "SETTINGS");
        }
    }
}
