//! The built-in features end to end: over HTTP/2, while bodies stream, and what is said of mistakes. That HTTP/1 sees what it would
//! see with mitmproxy is the business of `differential`.

use std::fs;
use std::sync::mpsc;

use flowgate_flow::MetadataValue;
use flowgate_testkit::{Curl, Flowgate, Nginx, PATIENCE, RawConnection, RawServer};

use super::support::{Client, FLOWGATE, flowgate, http, saved_flows, text};

/// Starts flowgate with a line of arguments that has to be refused, and gives what it says, with the folder as `DIR`.
fn refused(arguments: &[&str]) -> String {
    let output = Flowgate::run(FLOWGATE, &[&["dump", "-p", "0"], arguments].concat());
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    output.stderr
}

#[test]
fn mistakes_end_the_start_and_name_the_place() {
    let parts = "where the first character is the separator\nhint: any other character separates as well: `|a|b` is `/a/b`\n";
    let pattern = "\nhint: patterns are regular expressions as in Python's `re`\n";
    for (arguments, told) in [
        (
            ["--modify-headers", "/a"],
            format!("modify_headers[0]: expected `[/filter]/name/[@]value`, {parts}"),
        ),
        (["--modify-headers", "/~zz/a/b"], "modify_headers[0] at column 2: unknown operator ~zz".into()),
        (
            ["--modify-headers", "|a|@/no/such"],
            "modify_headers[0] at column 4: cannot read /no/such: No such file or directory (os error 2)\n"
                .into(),
        ),
        (
            ["--modify-body", "/a(/b"],
            format!("modify_body[0] at column 3: missing ), unterminated subpattern{pattern}"),
        ),
        (["--modify-body", r"/a/\x1"], "modify_body[0] at column 4: incomplete \\x escape\n".into()),
        (["--map-remote", r"/a/\1"], "map_remote[0] at column 4: invalid group reference 1\n".into()),
        (["--map-remote", "/*/b"], format!("map_remote[0] at column 2: nothing to repeat{pattern}")),
        (
            ["--map-local", "|a|/no/such"],
            "map_local[0] at column 4: cannot read /no/such: No such file or directory (os error 2)\n".into(),
        ),
        (["--set", "block_list=/~q"], format!("block_list[0]: expected `/filter/status`, {parts}")),
        (
            ["--set", "block_list=/~q/99"],
            "block_list[0] at column 5: expected a status from 200 to 599, or 444 to close the connection\n"
                .into(),
        ),
        (["--stickycookie", "~d"], "stickycookie at column 1: ~d needs a regex".into()),
        (["--stickyauth", "("], "stickyauth at column ".into()),
    ] {
        let said = refused(&arguments);
        assert!(said.starts_with(&format!("error: {told}")), "{arguments:?}: {said}");
    }
}

#[test]
fn features_over_http2() {
    let nginx = Nginx::builder().file("a.txt", "foo and foo\n").file("b.txt", "other\n").start();
    let (Some(nginx), Some(curl)) = (nginx, Curl::new()) else { return };
    let builder = flowgate();
    let local = builder.path("local.json");
    fs::write(&local, "{\"local\": true}").unwrap();
    let flowgate = builder
        .set("ssl_verify_upstream_trusted_ca", nginx.ca().certificate_path().display())
        .args(["-H", "/~s/X-Added/yes", "-B", "/~u a.txt & ~s/foo/bar", "-M", "|/mapped$|/b.txt"])
        .args(["--map-local".to_owned(), format!("|/local$|{}", local.display())])
        .set("block_list", "/~u forbidden/403")
        .set("block_list", "/~u closed/444")
        .start();
    let curl = curl.proxy(&flowgate.proxy_url()).trust(&flowgate.ca_certificate());
    for (path, status, body) in [
        ("/a.txt", 200, "bar and bar\n"),
        ("/b.txt", 200, "other\n"),
        ("/mapped", 200, "other\n"),
        ("/local", 200, "{\"local\": true}"),
        ("/forbidden", 403, ""),
    ] {
        let reply = curl.fetch(&nginx.https_url(path));
        assert_eq!((reply.exit, reply.status, reply.version.as_str()), (0, status, "2"), "{path}: {reply:?}");
        assert_eq!((reply.text().as_str(), reply.header("x-added")), (body, Some("yes")), "{path}");
    }
    assert_ne!(curl.fetch(&nginx.https_url("/closed")).exit, 0);
    let flows = saved_flows(&flowgate);
    let kept: Vec<_> = flows.iter().map(|flow| text(&http(flow).request.path)).collect();
    assert_eq!(kept, ["/a.txt", "/b.txt", "/b.txt", "/local", "/forbidden", "/closed"]);
    let blocked = |flow: &flowgate_flow::Flow| {
        flow.metadata.iter().any(|(name, value)| name == "blocklisted" && *value == MetadataValue::Bool(true))
    };
    assert_eq!(flows.iter().map(blocked).collect::<Vec<_>>(), [false, false, false, false, true, true]);
    assert_eq!(nginx.access_log().iter().filter(|entry| entry.target == "/mapped").count(), 0);
}

#[test]
fn a_body_is_changed_while_it_crosses() {
    let (go_on, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let server = RawServer::start(move |connection: &mut RawConnection| {
        connection.read_until(b"\r\n\r\n")?;
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\none foo, one f")?;
        // The rest comes only when the client has seen the beginning.
        wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        connection.send("oo.")
    });
    let flowgate = flowgate().args(["-B", "/~s/foo/quux"]).start();
    let mut client = Client::connect(&flowgate);
    client.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", server.http_url("/")));
    let head = client.read_until("\r\n\r\n").to_ascii_lowercase();
    assert!(head.contains("transfer-encoding: chunked") && !head.contains("content-length"), "{head}");
    client.read_until("one quux, one");
    go_on.send(()).unwrap();
    client.read_until("0\r\n\r\n");
    let flows = saved_flows(&flowgate);
    let response = http(&flows[0]).response.as_ref().unwrap();
    assert_eq!(super::support::content(&response.body), b"one quux, one quux.");
}

#[test]
fn files_are_served_in_parts_and_streamed() {
    let builder = flowgate();
    let large: Vec<u8> = (0..5_000_000u32).map(|index| index.to_le_bytes()[0]).collect();
    fs::write(builder.path("large.bin"), &large).unwrap();
    let map = format!("|files.test|{}", builder.path("").display());
    let flowgate = builder.args(["--map-local".to_owned(), map]).start();
    let get = |fields: &str| {
        let mut client = Client::connect(&flowgate);
        client.send(format!("GET http://files.test/large.bin HTTP/1.1\r\nHost: files.test\r\n{fields}\r\n"));
        let head = client.read_until("\r\n\r\n");
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
        let body = client.read_count(length.map_or(0, |length| length.parse().unwrap()));
        (head, body)
    };
    let (head, body) = get("");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(body == large, "{} bytes", body.len());
    let field = |name: &str| {
        head.lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap_or_else(|| panic!("no {name} in {head}"))
            .to_owned()
    };
    assert_eq!(field("Content-Type: "), "application/octet-stream");
    let (part, body) = get("Range: bytes=1000000-3500000\r\n");
    assert!(
        part.starts_with("HTTP/1.1 206 ")
            && part.contains("Content-Range: bytes 1000000-3500000/5000000\r\n"),
        "{part}"
    );
    assert!(body == large[1_000_000..=3_500_000]);
    let (unchanged, _) = get(&format!("If-None-Match: {}\r\n", field("ETag: ")));
    assert!(unchanged.starts_with("HTTP/1.1 304 "), "{unchanged}");
    let (unchanged, _) = get(&format!("If-Modified-Since: {}\r\n", field("Last-Modified: ")));
    assert!(unchanged.starts_with("HTTP/1.1 304 "), "{unchanged}");
    let (beyond, _) = get("Range: bytes=5000000-\r\n");
    assert!(beyond.starts_with("HTTP/1.1 416 "), "{beyond}");
}

#[test]
fn alternatives_point_back_at_us_in_mode_reverse() {
    let server = RawServer::start(|connection: &mut RawConnection| {
        connection.read_until(b"\r\n\r\n")?;
        connection.send("HTTP/1.1 200 OK\r\nAlt-Svc: h3=\":443\"; ma=60\r\nContent-Length: 0\r\n\r\n")
    });
    let mode = format!("reverse:{}", server.http_url(""));
    for (keep, port) in [(false, None), (true, Some(443))] {
        let flowgate = flowgate().args(["--mode", mode.as_str()]).set("keep_alt_svc_header", keep).start();
        let port = port.unwrap_or_else(|| flowgate.address().port());
        let mut client = Client::connect(&flowgate);
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let head = client.read_until("\r\n\r\n");
        assert!(head.contains(&format!("Alt-Svc: h3=\":{port}\"; ma=60\r\n")), "{head}");
    }
}

/// A server that answers `recorded N` to its N-th request, on connections that stay open.
fn counting() -> RawServer {
    let count = std::sync::atomic::AtomicUsize::new(0);
    RawServer::start(move |connection: &mut RawConnection| {
        loop {
            let head = text(&connection.read_until(b"\r\n\r\n")?).to_ascii_lowercase();
            if let Some((_, length)) = head.split_once("content-length: ") {
                connection.read_count(length.split("\r\n").next().unwrap_or_default().parse().unwrap())?;
            }
            let body = format!("recorded {}", count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1);
            let length = body.len();
            connection.send(format!(
                "HTTP/1.1 200 OK\r\nX-From: server\r\nContent-Length: {length}\r\n\r\n{body}"
            ))?;
        }
    })
}

#[test]
fn recordings_answer_without_a_server() {
    let server = counting();
    let recording = flowgate().start();
    let ask_by = |client: &mut Client, method: &str, path: &str, body: &str| {
        let (url, length) = (server.http_url(path), body.len());
        client.send(format!("{method} {url} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}"));
        let (head, body) = client.response();
        (head.split(' ').nth(1).unwrap().to_owned(), body)
    };
    let ask = |flowgate: &Flowgate, method: &str, path: &str, body: &str| {
        ask_by(&mut Client::connect(flowgate), method, path, body)
    };
    // By one connection: flows of several may be saved in another order than that in which their responses came.
    let mut client = Client::connect(&recording);
    for (method, path, body) in
        [("GET", "/", ""), ("GET", "/", ""), ("POST", "/", "x=1"), ("POST", "/", "x=2")]
    {
        ask_by(&mut client, method, path, body);
    }
    assert_eq!(saved_flows(&recording).len(), 4);
    let (flows, connections) = (recording.path("flows").display().to_string(), server.connections());

    let replaying = flowgate().args(["-S", &flows, "--server-replay-extra", "404"]).start();
    for (method, path, body, status, answer) in [
        ("POST", "/", "x=2", "200", "recorded 4"),
        ("GET", "/", "", "200", "recorded 1"),
        ("POST", "/", "x=1", "200", "recorded 3"),
        ("GET", "/", "", "200", "recorded 2"),
        ("GET", "/", "", "404", ""),
        ("POST", "/", "x=3", "404", ""),
        ("GET", "/other", "", "404", ""),
    ] {
        assert_eq!(
            ask(&replaying, method, path, body),
            (status.to_owned(), answer.to_owned()),
            "{method} {path} {body}"
        );
    }
    let flows_of_replay = saved_flows(&replaying);
    assert!(flows_of_replay.iter().all(|flow| flow.replay == Some(flowgate_flow::Replay::Response)));

    // All of it is used up, and still nothing reaches the server.
    let strict =
        flowgate().args(["-S", &flows, "--server-replay-kill-extra", "--server-replay-reuse"]).start();
    for _ in 0..2 {
        assert_eq!(ask(&strict, "GET", "/", "").1, "recorded 1");
    }
    let mut killed = Client::connect(&strict);
    killed.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", server.http_url("/none")));
    assert!(killed.read_to_end().is_empty());
    assert_eq!(server.connections(), connections);

    // What was not recorded goes to the server unless it is said otherwise.
    let open = flowgate().args(["-S", &flows]).set("server_replay_ignore_content", true).start();
    assert_eq!(ask(&open, "POST", "/", "x=other").1, "recorded 3");
    assert_eq!(ask(&open, "GET", "/new", "").1, "recorded 5");
}

#[test]
fn recordings_of_https_answer_offline_over_http2() {
    let nginx = Nginx::builder().file("a.txt", "from nginx\n").start();
    let (Some(nginx), Some(curl)) = (nginx, Curl::new()) else { return };
    let recording =
        flowgate().set("ssl_verify_upstream_trusted_ca", nginx.ca().certificate_path().display()).start();
    let url = nginx.https_url("/a.txt");
    let recorded = curl.proxy(&recording.proxy_url()).trust(&recording.ca_certificate()).fetch(&url);
    assert_eq!((recorded.status, recorded.version.as_str()), (200, "2"));
    assert_eq!(saved_flows(&recording).len(), 1);
    drop(nginx);
    let flows = recording.path("flows").display().to_string();
    let replaying = flowgate().args(["-S", &flows, "--server-replay-extra", "kill"]).start();
    let Some(curl) = Curl::new() else { return };
    let reply = curl.proxy(&replaying.proxy_url()).trust(&replaying.ca_certificate()).fetch(&url);
    assert_eq!(
        (reply.exit, reply.status, reply.version.as_str(), reply.text().as_str()),
        (0, 200, "2", "from nginx\n")
    );
    assert!(
        !replaying.lines().iter().any(|line| line.text.contains("server connect")),
        "{:?}",
        replaying.lines()
    );
}

#[test]
fn recordings_that_cannot_be_read_end_the_start() {
    let said = refused(&["-S", "/no/such"]);
    assert!(said.starts_with("error: option `server_replay` cannot be put into effect\n  cause: cannot read flows from /no/such\n"), "{said}");
}

#[test]
fn servers_in_our_own_network_are_refused_however_they_are_written() {
    let server = counting();
    let port = server.address().port();
    let flowgate = flowgate().set("block_private_targets", true).start();
    for host in [
        "127.0.0.1",
        "localhost",
        "127.1",
        "0x7f000001",
        "0177.0.0.1",
        "2130706433",
        "0.0.0.0",
        "[::ffff:127.0.0.1]",
    ] {
        let mut client = Client::connect(&flowgate);
        client.send(format!("GET http://{host}:{port}/ HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n"));
        let (head, _) = client.response();
        assert!(!head.starts_with("HTTP/1.1 200 "), "{host}: {head}");
        let mut tunnel = Client::connect(&flowgate);
        tunnel.send(format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n"));
        let head = tunnel.read_until("\r\n\r\n");
        assert!(!head.starts_with("HTTP/1.1 2"), "{host}: {head}");
    }
    let mut client = Client::connect(&flowgate);
    client.send(format!("GET http://127.0.0.1:{port}/ HTTP/1.1\r\nHost: a\r\n\r\n"));
    let (head, body) = client.response();
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    assert!(body.contains("block_private_targets: 127.0.0.1 is a loopback address"), "{body}");
    assert_eq!(server.connections(), 0);
}
