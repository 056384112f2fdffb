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
            ["--modify-headers", "/a/@/no/such"],
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
