//! What a user sees while it runs: flows at each level of detail, the event log, colours.

use expect_test::{Expect, expect};
use flowgate_testkit::{FlowgateBuilder, RawServer, Signal, StreamName};

use crate::support::{Client, flowgate, masked, printed};

/// Prints one POST with an answer and one to a server that breaks off, started with these arguments.
fn session(builder: FlowgateBuilder) -> String {
    let server = RawServer::start(|connection| {
        let head = connection.read_until(b"\r\n\r\n")?;
        if head.starts_with(b"GET") {
            return Ok(());
        }
        connection.read_count(13)?;
        connection.send(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 27\r\n\r\n\
             {\"answer\": [42, null, \"x\"]}",
        )?;
        connection.shutdown_write()?;
        connection.read_to_end().map(drop)
    });
    let flowgate = builder.start();
    let mut client = Client::connect(&flowgate);
    client.send(format!(
        "POST {} HTTP/1.1\r\nHost: shop.test\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: 13\r\n\r\na=1&b=two+%C3",
        server.http_url("/path?q=1")
    ));
    client.read_to_end();
    drop(client);
    // One after the other, so that their lines do not mix.
    flowgate.wait_for(|line| line.contains("client disconnect"));
    let mut client = Client::connect(&flowgate);
    client.send(format!(
        "GET {} HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n",
        server.http_url("/cut")
    ));
    client.read_to_end();
    drop(client);
    assert_eq!(flowgate.stop(Signal::TERM).code(), Some(0));
    assert!(flowgate.lines().iter().all(|line| line.stream == StreamName::Stdout), "{:#?}", flowgate.lines());
    let names = [(server.address().to_string(), "SERVER"), (flowgate.address().to_string(), "PROXY")];
    masked(&printed(&flowgate), &names)
}

fn check(arguments: &[&str], expected: Expect) {
    expected.assert_eq(&session(flowgate().args(arguments.iter().copied())));
}

#[test]
fn nothing_but_the_address_at_detail_0() {
    check(
        &["--flow-detail", "0"],
        expect![[r#"
        HTTP(S) proxy listening at PROXY.
        [TIME][CLIENT] client connect
        [TIME][CLIENT] server connect SERVER
        [TIME][CLIENT] server disconnect SERVER
        [TIME][CLIENT] client disconnect
        [TIME][CLIENT] client connect
        [TIME][CLIENT] server connect SERVER
        [TIME][CLIENT] server disconnect SERVER
        [TIME][CLIENT] client disconnect
    "#]],
    );
}

#[test]
fn a_line_for_each_half_at_detail_1() {
    check(
        &[],
        expect![[r#"
        HTTP(S) proxy listening at PROXY.
        [TIME][CLIENT] client connect
        [TIME][CLIENT] server connect SERVER
        [TIME][CLIENT] server disconnect SERVER
        CLIENT: POST http://SERVER/path?q=1
                      << 200 OK 27b
        [TIME][CLIENT] client disconnect
        [TIME][CLIENT] client connect
        [TIME][CLIENT] server connect SERVER
        [TIME][CLIENT] server disconnect SERVER
        CLIENT: GET http://SERVER/cut
         << server closed the connection before it answered
        [TIME][CLIENT] client disconnect
    "#]],
    );
    check(
        &["--showhost"],
        expect![[r#"
        HTTP(S) proxy listening at PROXY.
        [TIME][CLIENT] client connect
        [TIME][CLIENT] server connect SERVER
        [TIME][CLIENT] server disconnect SERVER
        CLIENT: POST http://shop.test/path?q=1
                      << 200 OK 27b
        [TIME][CLIENT] client disconnect
        [TIME][CLIENT] client connect
        [TIME][CLIENT] server connect SERVER
        [TIME][CLIENT] server disconnect SERVER
        CLIENT: GET http://shop.test/cut
         << server closed the connection before it answered
        [TIME][CLIENT] client disconnect
    "#]],
    );
}

#[test]
fn headers_at_detail_2() {
    check(
        &["--flow-detail", "2"],
        expect![[r#"
        HTTP(S) proxy listening at PROXY.
        [TIME][CLIENT] client connect
        [TIME][CLIENT] server connect SERVER
        [TIME][CLIENT] server disconnect SERVER
        CLIENT: POST http://SERVER/path?q=1
            Host: shop.test
            Content-Type: application/x-www-form-urlencoded
            Content-Length: 13
         << 200 OK 27b
            Content-Type: application/json
            Connection: close
            Content-Length: 27
        [TIME][CLIENT] client disconnect
        [TIME][CLIENT] client connect
        [TIME][CLIENT] server connect SERVER
        [TIME][CLIENT] server disconnect SERVER
        CLIENT: GET http://SERVER/cut
            Host: shop.test
            Connection: close
         << server closed the connection before it answered
        [TIME][CLIENT] client disconnect
    "#]],
    );
}

#[test]
fn bodies_at_detail_3() {
    check(
        &["--flow-detail", "3"],
        expect![[r#"
        HTTP(S) proxy listening at PROXY.
        [TIME][CLIENT] client connect
        [TIME][CLIENT] server connect SERVER
        [TIME][CLIENT] server disconnect SERVER
        CLIENT: POST http://SERVER/path?q=1
            Host: shop.test
            Content-Type: application/x-www-form-urlencoded
            Content-Length: 13

            a: '1'
            b: two \xc3

         << 200 OK 27b
            Content-Type: application/json
            Connection: close
            Content-Length: 27

            {
                "answer": [
                    42,
                    null,
                    "x"
                ]
            }

        [TIME][CLIENT] client disconnect
        [TIME][CLIENT] client connect
        [TIME][CLIENT] server connect SERVER
        [TIME][CLIENT] server disconnect SERVER
        CLIENT: GET http://SERVER/cut
            Host: shop.test
            Connection: close

         << server closed the connection before it answered
        [TIME][CLIENT] client disconnect
    "#]],
    );
}

#[test]
fn everything_at_detail_4() {
    check(
        &["--flow-detail", "4"],
        expect![[r#"
        HTTP(S) proxy listening at PROXY.
        [TIME][CLIENT] client connect
        [TIME][CLIENT] server connect SERVER
        [TIME][CLIENT] server disconnect SERVER
        CLIENT: POST http://SERVER/path?q=1
            Host: shop.test
            Content-Type: application/x-www-form-urlencoded
            Content-Length: 13

            a: '1'
            b: two \xc3

         << 200 OK 27b
            Content-Type: application/json
            Connection: close
            Content-Length: 27

            {
                "answer": [
                    42,
                    null,
                    "x"
                ]
            }

        [TIME][CLIENT] client disconnect
        [TIME][CLIENT] client connect
        [TIME][CLIENT] server connect SERVER
        [TIME][CLIENT] server disconnect SERVER
        CLIENT: GET http://SERVER/cut
            Host: shop.test
            Connection: close

         << server closed the connection before it answered
        [TIME][CLIENT] client disconnect
    "#]],
    );
}

#[test]
fn quiet_is_quiet() {
    // The listening address is what the fixture waits for, so it is read by other means: there must be no line at all.
    let folder = tempfile::TempDir::new().unwrap();
    let confdir = format!("confdir={}", folder.path().display());
    let output = flowgate_testkit::Flowgate::run(
        crate::support::FLOWGATE,
        &["dump", "-q", "--no-server", "-r", "/dev/null", "--set", &confdir],
    );
    assert_eq!((output.status.code(), output.stdout.as_str(), output.stderr.as_str()), (Some(0), "", ""));
}

#[test]
fn verbose_tells_connections_and_decisions() {
    check(
        &["-v"],
        expect![[r#"
        HTTP(S) proxy listening at PROXY.
        [TIME][CLIENT] client connect
        [TIME][CLIENT] server connect SERVER
        [TIME][CLIENT] server disconnect SERVER
        CLIENT: POST http://SERVER/path?q=1
            Host: shop.test
            Content-Type: application/x-www-form-urlencoded
            Content-Length: 13
         << 200 OK 27b
            Content-Type: application/json
            Connection: close
            Content-Length: 27
        [TIME][CLIENT] client disconnect
        [TIME][CLIENT] client connect
        [TIME][CLIENT] server connect SERVER
        [TIME][CLIENT] server disconnect SERVER
        CLIENT: GET http://SERVER/cut
            Host: shop.test
            Connection: close
         << server closed the connection before it answered
        [TIME][CLIENT] client disconnect
    "#]],
    );
}

#[test]
fn a_pipe_is_not_coloured_whatever_the_terminal_is() {
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "xterm-256color")] {
        let shown = session(flowgate().args(["-v", "--flow-detail", "3"]).env(name, value));
        assert!(!shown.contains('\x1b'), "{name}: {shown}");
    }
}

/// What a server sends can draw nothing and forge no line on the terminal.
#[test]
fn hostile_bytes_are_shown_and_not_obeyed() {
    let server = RawServer::start(|connection| {
        connection.read_until(b"\r\n\r\n")?;
        connection.send(b"HTTP/1.1 200 \x9b31m\r\nX: \xc2\x9b2J\xe2\x80\xae\r\nContent-Length: 9\r\n\r\n\x1b[2J\x07\n << ")?;
        connection.read_to_end().map(drop)
    });
    let flowgate = flowgate().args(["--flow-detail", "4"]).start();
    let mut client = Client::connect(&flowgate);
    client.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", server.http_url("/")));
    client.response();
    assert_eq!(flowgate.stop(Signal::TERM).code(), Some(0));
    let printed = printed(&flowgate);
    assert!(!printed.contains(['\x1b', '\x07', '\u{9b}', '\u{202e}']), "{printed:?}");
    assert_eq!(printed.lines().filter(|line| line.starts_with(" << ")).count(), 1, "{printed}");
}
