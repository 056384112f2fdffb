//! HTTP/1 heads cross unchanged, byte for byte: order, case, duplicates, odd white space. Only what belongs to one
//! connection goes (RFC 9110 section 7.6.1, `Proxy-*`), and nothing is added.

use flowgate_testkit::{RawServer, TestCa};

use crate::support::{Client, flowgate, http, saved_flows, text};

/// Odd, and legal.
const FIELDS: &str = "hOsT: example.test\r\n\
    X-Dup: 1\r\n\
    Accept:*/*\r\n\
    x-dup:   two  spaces  \r\n\
    X-DUP:\ttab\t\r\n\
    X-Empty:\r\n\
    X-Latin: caf\u{e9}\r\n\
    User-Agent: \"quoted\" (comment) ;:,\r\n\
    !#$%&'*+-.^_`|~: token\r\n\
    Cookie: a=1; b=2\r\n\
    Cookie: c=3\r\n\
    Connection: keep-alive\r\n\
    Accept-Encoding: gzip, br;q=0\r\n\
    TE: trailers\r\n\
    Via: 1.0 before\r\n\
    Forwarded: for=1.2.3.4\r\n\
    \r\n";

/// What must not cross, and what remains.
const HOP_FIELDS: &str = "Host: a\r\n\
    Proxy-Connection: keep-alive\r\n\
    A: 1\r\n\
    pRoXy-AuThOrIzAtIoN: Basic c2VjcmV0\r\n\
    Keep-Alive: timeout=5\r\n\
    Connection: X-Hop, close\r\n\
    X-Hop: 1\r\n\
    B: 2\r\n\
    x-hop: 2\r\n\
    Proxy-Status: ok\r\n\
    \r\n";
const HOP_FIELDS_LEFT: &str = "Host: a\r\nA: 1\r\nConnection: close\r\nB: 2\r\nProxy-Status: ok\r\n\r\n";

/// How the client reaches the server.
#[derive(Clone, Copy, Debug)]
enum Way {
    AbsoluteForm,
    ClearTunnel,
    TlsTunnel,
}

const WAYS: [Way; 3] = [Way::AbsoluteForm, Way::ClearTunnel, Way::TlsTunnel];

/// Sends a request, has it answered, and gives what the server and the client received. The request target is `PATH`.
fn exchange(way: Way, request: &str, answer: &str) -> (String, String) {
    let ca = TestCa::new();
    let answer = answer.to_owned();
    let body = request.split_once("\r\n\r\n").map_or(0, |(_, body)| body.len());
    let script = move |connection: &mut flowgate_testkit::RawConnection| {
        connection.read_until(b"\r\n\r\n")?;
        connection.read_count(body)?;
        connection.send(&answer)?;
        // How we leave is up to us. What comes until then is recorded: it must be nothing.
        let _ = connection.shutdown_write();
        let _ = connection.read_to_end();
        Ok(())
    };
    let server = match way {
        Way::TlsTunnel => RawServer::start_tls(ca.leaf(&["127.0.0.1"]).server_config(&[b"http/1.1"]), script),
        Way::AbsoluteForm | Way::ClearTunnel => RawServer::start(script),
    };
    let flowgate = flowgate().set("ssl_verify_upstream_trusted_ca", ca.certificate_path().display()).start();
    let (mut client, target) = match way {
        Way::AbsoluteForm => (Client::connect(&flowgate), server.http_url("/p?q#f")),
        Way::ClearTunnel => (Client::tunnel(&flowgate, server.address()), "/p?q#f".to_owned()),
        Way::TlsTunnel => {
            let tunnel = Client::tunnel(&flowgate, server.address());
            (tunnel.tls(&flowgate.ca_certificate(), "127.0.0.1", &[b"http/1.1"]), "/p?q#f".to_owned())
        }
    };
    client.send(request.replacen("PATH", &target, 1));
    client.end();
    let received = text(&client.read_to_end());
    let record = server.wait_for_end(0);
    assert_eq!(record.outcome, Some(Ok(())), "{way:?}");
    let flows = saved_flows(&flowgate);
    assert_eq!(flows.len(), 1);
    assert!(flows[0].error.is_none() && http(&flows[0]).response.is_some(), "{way:?}: {flows:?}");
    (text(&record.received), received)
}

#[test]
fn heads_cross_byte_for_byte() {
    for way in WAYS {
        let answer = format!(
            "HTTP/1.1 299  Odd \"Reason\" \r\n{}",
            FIELDS.replace("\r\n\r\n", "\r\nContent-Length: 2\r\n\r\nok")
        );
        let (to_server, to_client) = exchange(way, &format!("gEt PATH HTTP/1.1\r\n{FIELDS}"), &answer);
        assert_eq!(to_server, format!("gEt /p?q#f HTTP/1.1\r\n{FIELDS}"), "{way:?}");
        assert_eq!(to_client, answer, "{way:?}");
    }
}

#[test]
fn bodies_and_their_fields_cross_with_them() {
    for way in WAYS {
        let request = "POST PATH HTTP/1.1\r\nhost: a\r\nCONTENT-length: 5\r\nContent-Type: x/y\r\nConnection: close\r\n\r\nhello";
        let answer = "HTTP/1.1 200 OK\r\ncontent-LENGTH:   3 \r\nConnection: close\r\n\r\nabc";
        let (to_server, to_client) = exchange(way, request, answer);
        assert_eq!(to_server, request.replace("PATH", "/p?q#f"), "{way:?}");
        assert_eq!(to_client, answer, "{way:?}");
    }
}

#[test]
fn what_belongs_to_one_connection_does_not_cross() {
    for way in WAYS {
        let answer = format!(
            "HTTP/1.1 200 OK\r\n{}",
            HOP_FIELDS.replace("\r\n\r\n", "\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n")
        );
        let (to_server, to_client) = exchange(way, &format!("GET PATH HTTP/1.1\r\n{HOP_FIELDS}"), &answer);
        assert_eq!(to_server, format!("GET /p?q#f HTTP/1.1\r\n{HOP_FIELDS_LEFT}"), "{way:?}");
        let expected = format!(
            "HTTP/1.1 200 OK\r\n{}",
            HOP_FIELDS_LEFT.replace("\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n")
        );
        assert_eq!(to_client, expected, "{way:?}");
    }
}

/// What is sent says HTTP/1.0 if the client said so, and no `Host` is made up for it.
#[test]
fn http10_stays_http10() {
    for way in WAYS {
        let answer = "HTTP/1.0 200 Fine\r\nServer: old\r\n\r\nbody";
        let (to_server, to_client) = exchange(way, "GET PATH HTTP/1.0\r\nX: 1\r\n\r\n", answer);
        assert_eq!(to_server, "GET /p?q#f HTTP/1.0\r\nX: 1\r\n\r\n", "{way:?}");
        assert_eq!(to_client, answer, "{way:?}");
    }
}

/// The forms of a target for the server itself (RFC 9112 section 3.2).
#[test]
fn targets_keep_their_form() {
    for (target, expected) in [
        ("/", "/"),
        ("/a/../b//%41%zz?x=[y]|\"", "/a/../b//%41%zz?x=[y]|\""),
        ("http://other.test/path", "/path"),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        let (to_server, _) = exchange(Way::ClearTunnel, &request, "HTTP/1.1 204 None\r\n\r\n");
        assert_eq!(to_server, format!("GET {expected} HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    let (to_server, _) =
        exchange(Way::TlsTunnel, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 204 None\r\n\r\n");
    assert_eq!(to_server, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
}
