//! Bodies: large ones in both directions, each way to delimit one, and that nobody's slowness fills our memory.

use std::io;
use std::sync::Mutex;
use std::sync::mpsc;

use flowgate_flow::{Phase, Side};
use flowgate_testkit::{Curl, Nginx, RawConnection, RawServer, TestCa, pattern};

use crate::support::{Client, answer_until_blocked, content, flowgate, http, saved_flows, text};

/// Far more than is kept in memory. (A file that ends in `<` loses that byte in nginx's `ssi`, which `/chunked/` is made of.)
const LARGE: usize = 9_000_005;

#[test]
fn large_bodies_cross_whole_in_both_directions() {
    let nginx = Nginx::builder().large_file("large.bin", LARGE).start();
    let (Some(nginx), Some(curl)) = (nginx, Curl::new()) else { return };
    let flowgate =
        flowgate().set("ssl_verify_upstream_trusted_ca", nginx.ca().certificate_path().display()).start();
    let curl = curl.proxy(&flowgate.proxy_url()).trust(&flowgate.ca_certificate());
    let upload = flowgate.path("upload");
    std::fs::write(&upload, pattern(LARGE)).unwrap();
    let upload = upload.to_str().unwrap();
    let mut exchanges = 0;
    for version in ["--http1.1", "--http2"] {
        for (index, url) in [nginx.http_url(""), nginx.https_url("")].into_iter().enumerate() {
            if version == "--http2" && url.starts_with("http:") {
                continue;
            }
            for path in ["/large.bin", "/chunked/large.bin", "/close-delimited/large.bin"] {
                let reply = curl.clone().args([version]).fetch(&format!("{url}{path}"));
                assert_eq!((reply.exit, reply.status), (0, 200), "{url}{path}: {}", reply.messages);
                assert!(reply.body == pattern(LARGE), "{version} {url}{path}: {} bytes", reply.body.len());
            }
            for (framing, kind) in [("", "length"), ("Transfer-Encoding: chunked", "chunked")] {
                let name = format!("{}{index}{kind}", &version[2..]);
                let reply = curl
                    .clone()
                    .args([version, "-X", "PUT", "-H", framing, "-T", upload])
                    .fetch(&format!("{url}/put/{name}"));
                assert_eq!((reply.exit, reply.status), (0, 201), "{version} {url} {kind}: {reply:?}");
                assert!(nginx.stored(&name) == pattern(LARGE), "{version} {url} {kind}");
            }
            exchanges += 5;
        }
    }
    let flows = saved_flows(&flowgate);
    assert_eq!(flows.len(), exchanges);
    for flow in &flows {
        let http = http(flow);
        let response = http.response.as_ref().unwrap();
        let body = if http.request.method.as_ref() == b"PUT" { &http.request.body } else { &response.body };
        assert!(
            content(body) == pattern(LARGE),
            "{} {}",
            text(&http.request.method),
            text(&http.request.path)
        );
    }
}

/// 256 MiB are offered; the buffers of four sockets and our own queue are far below the 48 MiB that may be taken.
const OFFERED: usize = 256 * 1024 * 1024;
const TAKEN_MAX: usize = 48 * 1024 * 1024;

#[test]
fn a_client_that_does_not_read_stops_the_server() {
    let server = RawServer::start(|connection| {
        connection.read_until(b"\r\n\r\n")?;
        connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {OFFERED}\r\n\r\n"))?;
        let taken = answer_until_blocked(connection, &[b'x'; 64 * 1024], OFFERED)?;
        Err(io::Error::other(format!("{taken} taken")))
    });
    let flowgate = flowgate().start();
    let mut client = Client::connect(&flowgate);
    client.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", server.http_url("/")));
    client.read_until("\r\n\r\n");
    let outcome = server.wait_for_end(0).outcome.unwrap().unwrap_err();
    let taken: usize = outcome.strip_suffix(" taken").unwrap().parse().unwrap();
    assert!(taken < TAKEN_MAX, "{taken} bytes were taken from the server");
}

#[test]
fn a_server_that_does_not_read_stops_the_client() {
    let (done, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let server = RawServer::start(move |connection| {
        connection.read_until(b"\r\n\r\n")?;
        // Holds the connection open, unread, until the client has seen enough.
        let _ = wait.lock().unwrap().recv();
        Ok(())
    });
    let flowgate = flowgate().start();
    let mut client = Client::connect(&flowgate);
    client.send(format!(
        "PUT {} HTTP/1.1\r\nHost: a\r\nContent-Length: {OFFERED}\r\n\r\n",
        server.http_url("/")
    ));
    let taken = client.send_until_blocked(&[b'x'; 64 * 1024], OFFERED);
    drop(done);
    assert!(taken < TAKEN_MAX, "{taken} bytes were taken from the client");
}

/// What a raw server answers to one request, and what a raw client then gets, byte for byte, until the end.
fn relayed(request: &str, answer: &'static str) -> String {
    let server = RawServer::start(move |connection: &mut RawConnection| {
        connection.read_until(b"\r\n\r\n")?;
        connection.send(answer)?;
        connection.shutdown_write()?;
        connection.read_to_end().map(drop)
    });
    let flowgate = flowgate().start();
    let mut client = Client::tunnel(&flowgate, server.address());
    client.send(request);
    client.end();
    let received = text(&client.read_to_end());
    let flows = saved_flows(&flowgate);
    assert_eq!((flows.len(), flows[0].error.as_ref().map(|error| &error.message)), (1, None), "{answer:?}");
    received
}

#[test]
fn answers_are_delimited_as_the_server_delimited_them() {
    const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nuntil the end",
        "HTTP/1.0 200 OK\r\n\r\nuntil the end",
        "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\nx-SUM:  2\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n.",
        "HTTP/1.1 102 \r\n\r\nHTTP/1.1 103 \r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n.",
    ] {
        assert_eq!(relayed(GET, answer), answer);
    }
    const HEAD: &str = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
    ] {
        assert_eq!(relayed(HEAD, answer), answer);
    }
}

/// HTTP/1.0 knows neither chunks nor interim responses: the client gets the body, ended by the end.
#[test]
fn an_http10_client_gets_what_it_can_read() {
    let answer = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nTrail: er\r\n\r\n";
    assert_eq!(
        relayed("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", answer),
        "HTTP/1.1 200 OK\r\nX: y\r\n\r\nabcde"
    );
}

/// The client waits for the word, the server gives it, the body follows: through us the order is the same.
#[test]
fn one_hundred_continue_is_asked_and_answered() {
    let server = RawServer::start(|connection| {
        let head = connection.read_until(b"\r\n\r\n")?;
        assert!(text(&head).contains("Expect: 100-continue\r\n"), "{}", text(&head));
        connection.send("HTTP/1.1 100 Continue\r\n\r\n")?;
        assert_eq!(connection.read_count(5)?, b"hello");
        connection.send("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")?;
        connection.read_to_end().map(drop)
    });
    let flowgate = flowgate().start();
    let mut client = Client::connect(&flowgate);
    let url = server.http_url("/");
    client
        .send(format!("PUT {url} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"));
    assert_eq!(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hello");
    assert_eq!(client.response().0, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
    let flows = saved_flows(&flowgate);
    assert_eq!(content(&http(&flows[0]).request.body), b"hello");
}

#[test]
fn an_answer_may_come_while_the_upload_goes_on() {
    let server = RawServer::start(|connection| {
        connection.read_until(b"\r\n\r\n")?;
        connection.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno.")?;
        connection.shutdown_write()?;
        connection.read_to_end().map(drop)
    });
    let flowgate = flowgate().start();
    let mut client = Client::connect(&flowgate);
    let url = server.http_url("/");
    client.send(format!("POST {url} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nthe beginning"));
    let (head, body) = client.response();
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
    assert_eq!(body, "no.");
    assert_eq!(client.read_to_end(), b"", "what is left of the upload is no request");
}

/// What ends with its connection is whole only if TLS says that it ends (RFC 9112 section 9.8). The client is not told
/// either then, and gets what there is; in the clear only a reset can tell it.
#[test]
fn an_answer_that_ends_without_the_end_of_tls_looks_cut() {
    let ca = TestCa::new();
    for good in [true, false] {
        let config = ca.leaf(&["localhost"]).server_config(&[b"http/1.1"]);
        let server = RawServer::start_tls(config, move |connection| {
            connection.read_until(b"\r\n\r\n")?;
            connection.send("HTTP/1.1 200 OK\r\n\r\nall?")?;
            if good { connection.shutdown_write() } else { Ok(()) }
        });
        let flowgate =
            flowgate().set("ssl_verify_upstream_trusted_ca", ca.certificate_path().display()).start();
        let authority = format!("localhost:{}", server.address().port());
        let mut clear = Client::connect(&flowgate);
        clear.send(format!("GET https://{authority}/ HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
        clear.read_to_end();
        let mut tls = Client::tunnel(&flowgate, &authority).tls(&flowgate.ca_certificate(), "localhost", &[]);
        tls.send(format!("GET / HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
        assert_eq!(text(&tls.read_to_end()), "HTTP/1.1 200 OK\r\n\r\nall?");
        let ends = (clear.cut(), tls.cut());
        let expected = (Some(io::ErrorKind::ConnectionReset), Some(io::ErrorKind::UnexpectedEof));
        assert_eq!(ends, if good { (None, None) } else { expected });
        drop((clear, tls));
        for flow in saved_flows(&flowgate) {
            assert_eq!(content(&http(&flow).response.as_ref().unwrap().body), b"all?");
            let error = flow.error.map(|error| (error.message, error.side, error.phase));
            let message = "server: TLS ended without close_notify, so the body may not be whole".to_owned();
            let expected = (message, Some(Side::Server), Some(Phase::Body));
            assert_eq!(error, if good { None } else { Some(expected) });
        }
    }
}

/// `body_size_limit`: what says that it is too large goes nowhere, what turns out to be is broken off.
#[test]
fn bodies_beyond_the_limit_are_refused() {
    let server = RawServer::start(|connection| {
        let head = connection.read_until(b"\r\n\r\n")?;
        let answer = match text(&head).lines().next().unwrap_or_default().split(' ').nth(1) {
            Some("/fits") => "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n12345678",
            Some("/announced") => "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123456789",
            Some("/chunked") => {
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n12345678\r\n1\r\n9\r\n0\r\n\r\n"
            }
            _ => "",
        };
        connection.send(answer)?;
        connection.read_to_end().map(drop)
    });
    let flowgate = flowgate().set("body_size_limit", "8").start();
    let exchange = |request: String| {
        let mut client = Client::connect(&flowgate);
        client.send(request);
        client.end();
        text(&client.read_to_end())
    };
    let get = |path| format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", server.http_url(path));
    assert!(exchange(get("/fits")).ends_with("\r\n\r\n12345678"));
    assert!(exchange(get("/announced")).starts_with("HTTP/1.1 502 "));
    let chunked = exchange(get("/chunked"));
    assert!(!chunked.contains('9') && !chunked.ends_with("0\r\n\r\n"), "{chunked}");
    let connections = server.connections();
    let url = server.http_url("/");
    let announced = exchange(format!("POST {url} HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123456789"));
    assert!(announced.starts_with("HTTP/1.1 413 "), "{announced}");
    assert_eq!(server.connections(), connections, "nobody was even connected to");
    let post =
        format!("POST {url} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n123456789\r\n");
    let counted = exchange(post);
    assert!(counted.starts_with("HTTP/1.1 413 "), "{counted}");
    let flows = saved_flows(&flowgate);
    let sides: Vec<_> = flows.iter().map(|flow| flow.error.as_ref().and_then(|error| error.side)).collect();
    let (client, server) = (Some(Side::Client), Some(Side::Server));
    assert_eq!(sides, [None, server, server, client, client]);
}

/// The pieces arrive one by one: the next is sent when the one before has come through.
#[test]
fn a_body_is_handed_on_piece_by_piece() {
    let (arrived, next) = mpsc::channel::<()>();
    let next = Mutex::new(next);
    let server = RawServer::start(move |connection| {
        connection.read_until(b"\r\n\r\n")?;
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        for piece in ["3\r\none\r\n", "3\r\ntwo\r\n", "0\r\n\r\n"] {
            next.lock().unwrap().recv().map_err(io::Error::other)?;
            connection.send(piece)?;
        }
        connection.read_to_end().map(drop)
    });
    let flowgate = flowgate().start();
    let mut client = Client::connect(&flowgate);
    client.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", server.http_url("/")));
    client.read_until("\r\n\r\n");
    for piece in ["3\r\none\r\n", "3\r\ntwo\r\n", "0\r\n\r\n"] {
        arrived.send(()).unwrap();
        assert_eq!(client.read_until(piece), piece);
    }
}
