//! Exports of one flow: what they say, and that a real shell runs nothing but what was meant.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests fail by panicking; helpers are not seen as tests"
)]

mod samples;

use std::borrow::Cow;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::thread;

use bytes::Bytes;
use flowgate_filter::BodyDecoder;
use flowgate_flow::*;
use flowgate_formats::export::{ExportError, ExportFormat, ExportOptions, export};
use flowgate_testkit::require;
use samples::{flow, request, response};

/// Knows one encoding: `upper`, which cannot decode an empty body.
struct Upper;

impl BodyDecoder for Upper {
    fn decode<'b>(&self, content_encoding: &[u8], body: &'b [u8]) -> Option<Cow<'b, [u8]>> {
        (content_encoding == b"upper" && !body.is_empty()).then(|| Cow::Owned(body.to_ascii_lowercase()))
    }
}

fn plain() -> HttpFlow {
    let request = Request {
        version: HttpVersion::Http11,
        method: "GET".into(),
        scheme: "http".into(),
        host: "example.com".into(),
        port: 80,
        authority: Bytes::new(),
        path: "/path?q=1".into(),
        headers: [("Host", "example.com"), ("Accept", "*/*")].into_iter().collect(),
        body: Body::EMPTY,
        trailers: None,
        ..request()
    };
    let response = Response {
        version: HttpVersion::Http11,
        status: 200,
        reason: "OK".into(),
        headers: [("Content-Length", "2")].into_iter().collect(),
        body: Body::Bytes("hi".into()),
        trailers: None,
        ..response()
    };
    HttpFlow { request, response: Some(response), websocket: None }
}

fn exported(http: HttpFlow, format: &str) -> Result<Vec<u8>, ExportError> {
    let flow = flow(FlowKind::Http(Box::new(http)));
    export(&flow, format.parse().unwrap(), ExportOptions::default(), &Upper)
}

fn check(change: impl Fn(&mut HttpFlow), rows: &[(&str, &str)]) {
    for (format, expected) in rows {
        let mut http = plain();
        change(&mut http);
        let text = match exported(http, format) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => format!("error: {error}"),
        };
        assert_eq!(text, *expected, "{format}");
    }
}

#[test]
fn what_is_exported() {
    check(
        |_| {},
        &[
            ("curl", "curl -H 'Accept: */*' 'http://example.com/path?q=1'"),
            ("httpie", "http GET 'http://example.com/path?q=1' 'Accept: */*'"),
            ("raw_request", "GET /path?q=1 HTTP/1.1\r\nHost: example.com\r\nAccept: */*\r\n\r\n"),
            ("raw_response", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
            (
                "raw",
                "GET /path?q=1 HTTP/1.1\r\nHost: example.com\r\nAccept: */*\r\n\r\n\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
            ),
        ],
    );
    check(
        |http| {
            http.request.method = "POST".into();
            http.request.body = Body::Bytes("NAME=IT'S".into());
            http.request.headers =
                [("Host", "other.test"), ("Content-Encoding", "upper"), ("Content-Length", "9")]
                    .into_iter()
                    .collect();
            http.response = None;
        },
        &[
            ("curl", r"curl -H Content-Type: -X POST 'http://other.test/path?q=1' --data-raw 'name=it'\''s'"),
            ("httpie", r"printf %s 'name=it'\''s' | http POST 'http://other.test/path?q=1' Content-Type:"),
            ("raw", "POST /path?q=1 HTTP/1.1\r\nHost: other.test\r\nContent-Length: 9\r\n\r\nname=it's"),
            ("raw_response", "error: the flow has no response"),
        ],
    );
    check(
        |http| {
            http.request.headers = [("Accept-Encoding", "br"), ("X-Empty", "")].into_iter().collect();
            http.request.path = "/a/../{b}[1]".into();
            http.request.body = Body::Bytes(b"a\0b\n"[..].into());
        },
        &[
            (
                "curl",
                r"printf '%b' 'a\0000b\0012' | curl --globoff --path-as-is -H 'Accept-Encoding: br' --compressed -H 'X-Empty;' -H Content-Type: -X GET 'http://example.com/a/../{b}[1]' --data-binary @-",
            ),
            (
                "httpie",
                r"printf '%b' 'a\0000b\0012' | http GET 'http://example.com/a/../{b}[1]' 'Accept-Encoding: br' 'X-Empty;' Content-Type:",
            ),
        ],
    );
    check(
        |http| {
            http.request.headers = [("Transfer-Encoding", "chunked")].into_iter().collect();
            http.request.body = Body::Bytes("0123456789abcdef".into());
            http.request.trailers = Some([("X-Sum", "1")].into_iter().collect());
        },
        &[(
            "raw_request",
            "GET /path?q=1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n0123456789abcdef\r\n0\r\nX-Sum: 1\r\n\r\n",
        )],
    );
    check(
        |http| http.request.method = "HEAD".into(),
        &[("curl", "curl -H 'Accept: */*' --head 'http://example.com/path?q=1'")],
    );
}

#[test]
fn what_cannot_be_said_is_an_error() {
    check(
        |http| http.request.body = Body::Missing,
        &[
            ("curl", "error: the request's body was not kept"),
            ("raw", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
        ],
    );
    // `file:` would read from the disk of whoever pastes it, `-K` would be an option.
    for scheme in ["file", "-K/x", "", "HTTP"] {
        let mut http = plain();
        http.request.scheme = scheme.into();
        assert!(
            matches!(exported(http, "curl"), Err(ExportError::Inexpressible { part: "URL", .. })),
            "{scheme}"
        );
    }
    let header = |name: &'static str, value: &'static str| {
        move |http: &mut HttpFlow| http.request.headers.push(name, value)
    };
    check(header("@file", "x"), &[("curl", "error: curl cannot send this header field: @file: x")]);
    check(header("x", "a\r\nb: c"), &[("curl", r"error: curl cannot send this header field: x: a\r\nb: c")]);
    check(header("x", r"a\:b"), &[("httpie", r"error: HTTPie cannot send this header field: x: a\\:b")]);
    check(
        |http| http.request.method = "--head".into(),
        &[
            ("curl", "error: curl cannot send this method: --head"),
            ("httpie", "error: HTTPie cannot send this method: --head"),
        ],
    );
    check(
        |http| {
            http.request.host = "a b".to_owned();
            http.request.headers.set("host", "a b");
        },
        &[("curl", "error: curl cannot send this URL: http://a b/path?q=1")],
    );
    let tcp = flow(FlowKind::Tcp(RawFlow { messages: Vec::new() }));
    for (_, format) in ExportFormat::ALL {
        assert!(matches!(
            export(&tcp, format, ExportOptions::default(), &Upper),
            Err(ExportError::NoRequest)
        ));
    }
}

/// A Host header of `b.example::080` stood in the URL, which curl refused; a path without a slash was a part of the host's name.
#[test]
fn the_url_is_one_whatever_the_request_says() {
    for host in ["b.example::080", "a b"] {
        let command = format!("-H 'host: {host}' -H 'Accept: */*' 'http://example.com/path?q=1'");
        check(|http| http.request.headers.set("host", host), &[("curl", &format!("curl {command}"))]);
    }
    check(
        |http| http.request.path = ".evil.test/".into(),
        &[("curl", "curl --path-as-is -H 'Accept: */*' http://example.com/.evil.test/")],
    );
}

#[test]
fn the_address_that_it_went_to() {
    let mut flow = flow(FlowKind::Http(Box::new(plain())));
    let options = ExportOptions { preserve_original_ip: true };
    for (peer, expected) in [
        (
            "192.0.2.1:80",
            "curl --resolve example.com:80:192.0.2.1 -H 'Accept: */*' 'http://example.com/path?q=1'",
        ),
        (
            "[2001:db8::1]:80",
            "curl --resolve 'example.com:80:[2001:db8::1]' -H 'Accept: */*' 'http://example.com/path?q=1'",
        ),
    ] {
        std::sync::Arc::make_mut(&mut flow.server).connection.peername = Some(peer.parse().unwrap());
        let command = export(&flow, ExportFormat::Curl, options, &Upper).unwrap();
        assert_eq!(String::from_utf8(command).unwrap(), expected);
    }
}

/// R32: 500 strings in the path, a header and the body of as many requests; pasted into real shells, each request arrives with the
/// same bytes, and nothing else is run.
#[test]
fn hostile_flows_are_safe_to_paste() {
    for (format, program) in [("curl", "curl"), ("httpie", "http")] {
        // HTTPie is not among what tests ask for: whoever has it, has it tested.
        let installed = if format == "curl" { require(program).is_some() } else { runs(program) };
        if !installed {
            continue;
        }
        // HTTPie takes a third of a second to start.
        let count = if format == "curl" { 500 } else { 40 };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests: Vec<_> = strings(count).into_iter().map(|text| hostile(&text, port)).collect();
        let mut scripts: Vec<String> = Vec::new();
        let mut sent = Vec::new();
        for request in requests {
            let http = HttpFlow { request: request.clone(), response: None, websocket: None };
            match exported(http, format) {
                Ok(command) => {
                    let command = String::from_utf8(command).unwrap();
                    assert!(!command.chars().any(char::is_control), "{command:?}");
                    scripts.push(command);
                    sent.push(request);
                }
                Err(ExportError::Inexpressible { part: "header field" | "URL", .. })
                    if format == "httpie" => {}
                Err(error) => panic!("{error}"),
            }
        }
        let expected = sent.len();
        let server = thread::spawn(move || (0..expected).map(|_| receive(&listener)).collect::<Vec<_>>());
        let (folder, errors) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (at, shell) in ["sh", "bash"].into_iter().enumerate() {
            // Each shell gets every other command.
            let script: Vec<_> =
                scripts.iter().skip(at).step_by(2).map(|command| silenced(command, program)).collect();
            let mut child = Command::new(shell)
                .current_dir(folder.path())
                .env_remove("http_proxy")
                .env("NO_PROXY", "*")
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(fs::File::create(errors.path().join(shell)).unwrap())
                .spawn()
                .unwrap();
            child.stdin.take().unwrap().write_all(script.join("\n").as_bytes()).unwrap();
            let (status, said) = (child.wait().unwrap(), fs::read(errors.path().join(shell)).unwrap());
            assert!(status.success() && said.is_empty(), "{shell}: {}", String::from_utf8_lossy(&said));
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "something was run");
        let order = (0..expected).step_by(2).chain((1..expected).step_by(2));
        for (at, received) in order.zip(server.join().unwrap()) {
            let request = &sent[at];
            let wanted = request.headers.get("x-hostile").unwrap();
            // HTTPie escapes more than what cannot stand in a URL.
            let plain = if format == "curl" { <[u8]>::to_vec } else { unescaped };
            assert_eq!(plain(received.path.as_bytes()), plain(&in_url(&request.path)), "{}", scripts[at]);
            assert_eq!(received.hostile.as_slice().trim_ascii(), wanted.trim_ascii(), "{}", scripts[at]);
            assert_eq!(
                Some(received.body),
                request.body.prefix(usize::MAX).unwrap().map(Vec::from),
                "{}",
                scripts[at]
            );
        }
    }
}

fn runs(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The shell reads its commands from standard input: what it runs must not.
fn silenced(command: &str, program: &str) -> String {
    let extra = if program == "curl" { " -sS -m 20" } else { "" };
    let (before, after) = command.split_once(program).unwrap();
    let input = if before.is_empty() { " </dev/null" } else { "" };
    format!("{before}{program}{extra}{after}{input}")
}

fn hostile(text: &[u8], port: u16) -> Request {
    let mut value: Vec<u8> = text.iter().copied().filter(|byte| !b"\0\r\n".contains(byte)).collect();
    // An empty one is another row's business, and blanks at the ends are nobody's.
    value.insert(0, b'x');
    let path = [&b"/"[..], &value].concat();
    let mut request = plain().request;
    request.method = "POST".into();
    request.host = "127.0.0.1".into();
    request.port = port;
    request.path = path.into();
    request.headers = [("X-Hostile", &value[..])].into_iter().collect();
    request.body = Body::Bytes(Bytes::copy_from_slice(if text.is_empty() { b"-" } else { text }));
    request
}

fn in_url(path: &[u8]) -> Vec<u8> {
    let mut url = Vec::new();
    for byte in path {
        if (0x21..=0x7e).contains(byte) && *byte != b'#' {
            url.push(*byte);
        } else {
            url.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    url
}

fn unescaped(url: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut rest = url;
    while let [first, after @ ..] = rest {
        let digits =
            after.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                plain.push(byte);
                rest = &after[2..];
            }
            None => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    plain
}

fn strings(count: usize) -> Vec<Vec<u8>> {
    const PARTS: [&[u8]; 40] = [
        b"'",
        b"\"",
        b"`touch pwned`",
        b"$(touch pwned)",
        b"\n",
        b"\r\n",
        b"\\",
        b"$HOME",
        b"${IFS}",
        b";touch pwned;",
        b"|touch pwned",
        b"&touch pwned&",
        b"&&",
        b"||",
        b">pwned",
        b"<x",
        b"*",
        b"?",
        b"[a-z]",
        b"{a,b}",
        b"~",
        b"#",
        b"!",
        b"!!",
        b"%s%n",
        b"@/etc/passwd",
        b"-o pwned",
        b"--output=pwned",
        b"\0",
        b"\x1b[2J",
        b"\t",
        b"\x03",
        b"\xff\xfe",
        "é\u{202e}".as_bytes(),
        b" ",
        b"=",
        b":",
        b"'\\''",
        b"\\\n",
        b"a=b",
    ];
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below as u64) as usize
    };
    (0..count)
        .map(|at| {
            let mut text = PARTS[at % PARTS.len()].to_vec();
            for _ in 0..next(6) {
                text.extend_from_slice(PARTS[next(PARTS.len())]);
            }
            text
        })
        .collect()
}

#[derive(Debug, Default)]
struct Received {
    path: String,
    hostile: Vec<u8>,
    body: Vec<u8>,
}

fn receive(listener: &TcpListener) -> Received {
    let (stream, _) = listener.accept().unwrap();
    let mut reader = BufReader::new(&stream);
    let (mut received, mut length, mut line) = (Received::default(), 0, Vec::new());
    loop {
        line.clear();
        reader.read_until(b'\n', &mut line).unwrap();
        let text = line.strip_suffix(b"\r\n").unwrap_or(&line);
        if text.is_empty() {
            break;
        }
        let lower = text.to_ascii_lowercase();
        if lower.starts_with(b"post ") {
            received.path =
                String::from_utf8(text.split(|byte| *byte == b' ').nth(1).unwrap().to_vec()).unwrap();
        } else if lower.starts_with(b"x-hostile:") {
            received.hostile = text["x-hostile:".len()..].to_vec();
        } else if let Some(number) = lower.strip_prefix(b"content-length:") {
            length = std::str::from_utf8(number).unwrap().trim().parse().unwrap();
        } else if lower.starts_with(b"expect:") {
            (&stream).write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
        }
    }
    received.body = vec![0; length];
    reader.read_exact(&mut received.body).unwrap();
    (&stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
    received
}
