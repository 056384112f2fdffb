//! Messages that two readers could read differently are refused, and nothing of a refused request reaches the server.

use flowgate_testkit::RawServer;

use crate::support::{Client, flowgate, saved_flows, text};

/// Would be a request of its own to a reader that disagrees with us.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

/// The status with which a request is to be refused, and its head with `TARGET` for the target.
const REQUESTS: &[(u16, &str)] = &[
    // Two lengths.
    (400, "POST TARGET HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"),
    (400, "POST TARGET HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n"),
    (400, "POST TARGET HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n"),
    (400, "POST TARGET HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\n"),
    (400, "POST TARGET HTTP/1.1\r\nHost: a\r\nContent-Length: 4, 4\r\n\r\n"),
    (400, "GET TARGET HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    (400, "GET TARGET HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n"),
    // Lengths that are none.
    (400, "POST TARGET HTTP/1.1\r\nHost: a\r\nContent-Length: +4\r\n\r\n"),
    (400, "POST TARGET HTTP/1.1\r\nHost: a\r\nContent-Length: -4\r\n\r\n"),
    (400, "POST TARGET HTTP/1.1\r\nHost: a\r\nContent-Length: 0x4\r\n\r\n"),
    (400, "POST TARGET HTTP/1.1\r\nHost: a\r\nContent-Length: 4 4\r\n\r\n"),
    (400, "POST TARGET HTTP/1.1\r\nHost: a\r\nContent-Length: 4.0\r\n\r\n"),
    (400, "POST TARGET HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n"),
    (400, "POST TARGET HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n"),
    // Transfer codings.
    (
        400,
        "POST TARGET HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    ),
    (
        400,
        "POST TARGET HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
    ),
    (400, "POST TARGET HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
    (501, "POST TARGET HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n"),
    (501, "POST TARGET HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
    (501, "POST TARGET HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n"),
    (501, "POST TARGET HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n"),
    (501, "POST TARGET HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n"),
    (501, "POST TARGET HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n"),
    (501, "POST TARGET HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n"),
    (400, "POST TARGET HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n"),
    // Lines.
    (400, "POST TARGET HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n"),
    (400, "POST TARGET HTTP/1.1\r\nHost: a\r\nX: y\r\n Transfer-Encoding: chunked\r\n\r\n"),
    (400, "POST TARGET HTTP/1.1\r\n Host: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
    (400, "POST TARGET HTTP/1.1\r\nHost: a\r\nX: y\rTransfer-Encoding: chunked\r\n\r\n"),
    (400, "POST TARGET HTTP/1.1\r\nHost: a\r\nX: y\0z\r\n\r\n"),
    (400, "POST TARGET HTTP/1.1\r\nHost: a\r\nX\0: y\r\n\r\n"),
    (400, "POST TARGET HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n"),
    (400, "POST TARGET HTTP/1.1\r\nHost: a\r\n: no name\r\n\r\n"),
    (400, "POST TARGET HTTP/1.1\r\nHost: a\r\nX Y: z\r\n\r\n"),
    (400, "POST TARGET HTTP/1.1\r\nHost: a\r\n\u{fe}X: z\r\n\r\n"),
    // Request lines.
    (400, "GET TARGET\r\nHost: a\r\n\r\n"),
    (400, "GET\tTARGET\tHTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET  TARGET HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET TARGET  HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET TARGET HTTP/1.1 \r\nHost: a\r\n\r\n"),
    (400, "GET TARGET\x01 HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET TARGET\r HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "G(T TARGET HTTP/1.1\r\nHost: a\r\n\r\n"),
    (505, "GET TARGET HTTP/0.9\r\nHost: a\r\n\r\n"),
    (505, "GET TARGET HTTP/1.2\r\nHost: a\r\n\r\n"),
    (505, "GET TARGET HTTP/2.0\r\nHost: a\r\n\r\n"),
    (400, "GET TARGET HTTP/11\r\nHost: a\r\n\r\n"),
    (400, "GET TARGET http/1.1\r\nHost: a\r\n\r\n"),
    // Targets.
    (400, "GET ftp://127.0.0.1/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET no-slash HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET http:///path HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET http://user@127.0.0.1/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET http://127.0.0.1:0/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET http://127.0.0.1:65536/ HTTP/1.1\r\nHost: a\r\n\r\n"),
];

/// Heads that are too much.
fn oversized() -> Vec<(u16, String)> {
    vec![
        (431, format!("GET TARGET HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(70_000))),
        (431, format!("GET TARGET HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(300))),
        (431, format!("GET TARGET HTTP/1.1\r\nHost: a\r\nnever-ending: {}", "x".repeat(70_000))),
        (414, format!("GET TARGET?{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(20_000))),
    ]
}

/// Every refused request with its status.
fn refused() -> impl Iterator<Item = (u16, String)> {
    REQUESTS.iter().map(|(status, request)| (*status, (*request).to_owned())).chain(oversized())
}

fn check_refused(answer: &str, status: u16, request: &str) {
    let request = request.get(..200).unwrap_or(request);
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?} got {answer:?}");
    assert_eq!(answer.matches("HTTP/1.").count(), 1, "what follows was answered: {request:?} got {answer:?}");
}

#[test]
fn ambiguous_requests_are_refused_in_absolute_form() {
    let server = RawServer::start(|connection| connection.read_to_end().map(drop));
    let flowgate = flowgate().start();
    for (status, request) in refused() {
        let mut client = Client::connect(&flowgate);
        client.send(request.replacen("TARGET", &server.http_url("/"), 1) + SMUGGLED);
        client.end();
        check_refused(&text(&client.read_to_end()), status, &request);
    }
    assert_eq!(server.connections(), 0, "nobody was even connected to");
    assert!(saved_flows(&flowgate).iter().all(|flow| flow.error.is_some()));
}

/// CONNECT has no body. To us what it announced as one was the beginning of the tunnel; to others on the way it would have been a body.
#[test]
fn a_connect_with_a_body_is_refused() {
    let server = RawServer::start(|connection| connection.read_to_end().map(drop));
    let flowgate = flowgate().start();
    let connect = |fields: &str, behind: &str| {
        let mut client = Client::connect(&flowgate);
        let address = server.address();
        client.send(format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n{fields}\r\n{behind}"));
        client.end();
        text(&client.read_to_end())
    };
    for (fields, behind) in [
        ("Content-Length: 5\r\n", "hello"),
        ("Content-Length: 5\r\n", ""),
        ("Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
    ] {
        let answer = connect(fields, behind);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{fields}: {answer}");
    }
    assert_eq!(server.connections(), 0, "nobody was even connected to");
    // What some clients say in every request.
    assert!(connect("Content-Length: 0\r\n", "").starts_with("HTTP/1.1 200 "));
}

/// `validate_inbound_headers=false` lets header names be odd, and nothing be ambiguous.
#[test]
fn without_validation_only_names_are_relaxed() {
    let server = RawServer::start(|connection| {
        connection.read_until(b"\r\n\r\n")?;
        connection.send("HTTP/1.1 200 OK\r\nX[1]: y\r\nContent-Length: 0\r\n\r\n")?;
        connection.read_to_end().map(drop)
    });
    let flowgate = flowgate().set("validate_inbound_headers", false).start();
    for (status, request) in refused() {
        let mut client = Client::connect(&flowgate);
        client.send(request.replacen("TARGET", &server.http_url("/"), 1) + SMUGGLED);
        client.end();
        check_refused(&text(&client.read_to_end()), status, &request);
    }
    assert_eq!(server.connections(), 0, "nobody was even connected to");
    let mut client = Client::tunnel(&flowgate, server.address());
    let odd = "GET / HTTP/1.1\r\nHost: a\r\nX(1): y\r\n\"a/b\":{}\r\n\r\n";
    client.send(odd);
    client.end();
    assert_eq!(text(&client.read_to_end()), "HTTP/1.1 200 OK\r\nX[1]: y\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(text(&server.wait_for_end(0).received), odd);
}

#[test]
fn ambiguous_requests_are_refused_in_a_tunnel() {
    const FIRST: &str = "OPTIONS * HTTP/1.1\r\nHost: first\r\n\r\n";
    let server = RawServer::start(|connection| {
        connection.read_until(b"\r\n\r\n")?;
        connection.send("HTTP/1.1 204 Fine\r\n\r\n")?;
        connection.read_to_end().map(drop)
    });
    let flowgate = flowgate().start();
    for (index, (status, request)) in refused().enumerate() {
        let mut client = Client::tunnel(&flowgate, server.address());
        // A good request first: it makes the tunnel one of HTTP, whatever follows.
        client.send(FIRST);
        assert_eq!(client.read_until("\r\n\r\n"), "HTTP/1.1 204 Fine\r\n\r\n");
        client.send(request.replacen("TARGET", "/", 1) + SMUGGLED);
        client.end();
        check_refused(&text(&client.read_to_end()), status, &request);
        assert_eq!(text(&server.wait_for_end(index).received), FIRST, "{request:?} reached the server");
    }
}

/// A body is handed on as it comes, so its head is on its way when a later chunk turns out bad: the server must see that
/// the request was not finished, and the client is told.
#[test]
fn malformed_chunks_end_a_request_unfinished() {
    for chunks in [
        "x\r\n",
        " 3\r\nabc\r\n",
        "3 \r\nabc\r\n",
        "+3\r\nabc\r\n",
        "0x3\r\nabc\r\n",
        "3\nabc\r\n",
        "3\r\nabcd\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "\r\n3\r\nabc\r\n",
        "-1\r\n",
        "ffffffffffffffff1\r\n",
        "3;\0\r\nabc\r\n",
        ";a\r\n",
        "0\r\nX : y\r\n\r\n",
        "0\r\n folded\r\n\r\n",
        "0\n\n",
    ] {
        let server = RawServer::start(|connection| connection.read_to_end().map(drop));
        let flowgate = flowgate().start();
        let mut client = Client::connect(&flowgate);
        let url = server.http_url("/");
        client.send(format!(
            "POST {url} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}{SMUGGLED}"
        ));
        client.end();
        check_refused(&text(&client.read_to_end()), 400, chunks);
        if server.connections() > 0 {
            let received = text(&server.wait_for_end(0).received);
            assert!(!received.contains("smuggled"), "{chunks:?}: {received:?}");
            assert!(!received.ends_with("0\r\n\r\n"), "{chunks:?} looks finished: {received:?}");
        }
        let flows = saved_flows(&flowgate);
        let error = &flows[0].error.as_ref().unwrap().message;
        assert!(error.contains("chunk") || error.contains("trailers"), "{chunks:?}: {error}");
    }
}

#[test]
fn ambiguous_answers_become_502() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 4, 4\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +4\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 103 Hints\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: y\r\n folded\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: y\rSet-Cookie: a\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: \0\r\n\r\n",
        "HTTP/1.1 200 O\rK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 101 Switching\r\n\r\n",
        "220 mail.example.test ESMTP\r\n\r\n",
    ] {
        let server = RawServer::start(move |connection| {
            connection.read_until(b"\r\n\r\n")?;
            connection.send(format!("{answer}HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled"))?;
            connection.shutdown_write()?;
            connection.read_to_end().map(drop)
        });
        let flowgate = flowgate().start();
        let mut client = Client::connect(&flowgate);
        client.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", server.http_url("/")));
        client.end();
        check_refused(&text(&client.read_to_end()), 502, answer);
        let flows = saved_flows(&flowgate);
        assert!(flows.len() == 1 && flows[0].error.is_some(), "{answer:?}: {flows:?}");
    }
}

/// What the server sent before is on its way already: the client must see that the answer was not finished.
#[test]
fn malformed_chunks_end_an_answer_unfinished() {
    for chunks in
        ["x\r\n", "3\r\nabcd\r\n0\r\n\r\n", "3\nabc\r\n0\r\n\r\n", "0\r\nX : y\r\n\r\n", "+0\r\n\r\n"]
    {
        let server = RawServer::start(move |connection| {
            connection.read_until(b"\r\n\r\n")?;
            connection.send(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"))?;
            connection.read_to_end().map(drop)
        });
        let flowgate = flowgate().start();
        let mut client = Client::connect(&flowgate);
        client.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", server.http_url("/")));
        let received = text(&client.read_to_end());
        assert!(!received.ends_with("0\r\n\r\n"), "{chunks:?} looks finished: {received:?}");
        let flows = saved_flows(&flowgate);
        assert!(
            flows[0].error.as_ref().is_some_and(|error| error.message.starts_with("server: ")),
            "{flows:?}"
        );
    }
}
