//! `faults` with a real client and server, over both versions of HTTP. How long something takes is the business of tests with paused
//! time where it is made.

use flowgate_flow::{Flow, MetadataValue};
use flowgate_testkit::{Curl, Flowgate, Nginx, RawConnection, RawServer, pattern};

use super::support::{Client, FLOWGATE, content, flowgate, http, saved_flows, text};

fn noted(flow: &Flow, entry: usize) -> Option<&str> {
    let name = format!("flowgate.faults[{entry}]");
    flow.metadata.iter().find_map(|(known, value)| match value {
        MetadataValue::Text(text) if *known == name => Some(text.as_str()),
        _ => None,
    })
}

#[test]
fn what_networks_and_servers_do_on_bad_days() {
    let nginx = Nginx::builder().file("digits", "0123456789").large_file("large", 200_000).start();
    let (Some(nginx), Some(curl)) = (nginx, Curl::new()) else { return };
    let flowgate = flowgate()
        .set("ssl_verify_upstream_trusted_ca", nginx.ca().certificate_path().display())
        .set("faults", "/~u echo/status=503")
        .set("faults", "/~u close/reset")
        .set("faults", "/~u digits/cut=4")
        .set("faults", "/~c 404/status=500,latency=1ms..2ms")
        .set("faults", "/~u large/down=10m,up=10m,latency=1ms")
        .start();
    let curl = curl.proxy(&flowgate.proxy_url()).trust(&flowgate.ca_certificate());
    for version in ["--http1.1", "--http2"] {
        let curl = curl.clone().args([version]);
        let get = |path: &str| curl.fetch(&nginx.https_url(path));
        let reply = get("/echo");
        assert_eq!((reply.exit, reply.status, reply.body.len()), (0, 503, 0), "{reply:?}");
        assert_ne!(get("/close").exit, 0);
        let reply = get("/digits");
        assert_eq!((reply.status, reply.text().as_str()), (200, "0123"), "{reply:?}");
        assert!([18, 56, 92].contains(&reply.exit), "{reply:?}");
        let reply = get("/status/404");
        assert_eq!((reply.exit, reply.status), (0, 500), "{reply:?}");
        let reply = get("/large");
        assert_eq!((reply.exit, reply.status), (0, 200));
        assert!(reply.body == pattern(200_000));
    }
    let flows = saved_flows(&flowgate);
    for flows in flows.chunks(5) {
        let [answered, reset, cut, late, slow] = flows else { panic!("{flows:?}") };
        assert_eq!(noted(answered, 0), Some("status 503"));
        assert_eq!(noted(reset, 1), Some("reset"));
        assert!(reset.error.is_some() && http(reset).response.is_none());
        assert_eq!(noted(cut, 2), Some("cut after 4 bytes"));
        assert_eq!(cut.error.as_ref().unwrap().message, "cut off after 4 bytes, as an addon asked");
        assert_eq!(content(&http(cut).response.as_ref().unwrap().body), b"0123");
        let told = noted(late, 3).unwrap();
        assert!(told.starts_with("latency ") && told.ends_with(" ms, status 500"), "{told}");
        assert_eq!(noted(slow, 4), Some("latency 1 ms, up 10485760 bytes/s, down 10485760 bytes/s"));
    }
    let asked: Vec<_> = nginx.access_log().into_iter().map(|entry| entry.target).collect();
    assert_eq!(asked, ["/digits", "/status/404", "/large", "/digits", "/status/404", "/large"]);
}

/// A flow that waits for an hour holds nobody else.
#[test]
fn only_the_flow_that_is_meant_waits() {
    let server = RawServer::start(|connection: &mut RawConnection| {
        connection.read_until(b"\r\n\r\n")?;
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    });
    let flowgate = flowgate().set("faults", "/~u slow/latency=60min").start();
    let ask = |path: &str| {
        let mut client = Client::connect(&flowgate);
        client.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", server.http_url(path)));
        client
    };
    let waiting = ask("/slow");
    assert!(ask("/other").response().0.starts_with("HTTP/1.1 200 "));
    assert_eq!(server.connections(), 1);
    drop(waiting);
}

#[test]
fn the_same_seed_has_the_same_luck() {
    let Some(curl) = Curl::new() else { return };
    let run = |seed: &str| {
        let flowgate = flowgate()
            .set("faults", "/status=200,chance=50%")
            .set("faults_seed", seed)
            .set("faults", "/status=404")
            .start();
        let curl = curl.clone().proxy(&flowgate.proxy_url());
        (0..16).map(|_| curl.fetch("http://a.test/").status).collect::<Vec<_>>()
    };
    let first = run("1");
    assert_eq!(first, run("1"));
    assert!(first.contains(&200) && first.contains(&404), "{first:?}");
}

/// Messages of raw connections wait, and arrive as they were.
#[test]
fn raw_connections_are_slow_as_well() {
    let server = RawServer::start(|connection: &mut RawConnection| {
        connection.send("220 hello\r\n")?;
        let said = connection.read_until(b"\r\n")?;
        connection.send(said)
    });
    let flowgate = flowgate()
        .args(["--mode", &format!("reverse:tcp://{}", server.address())])
        .set("faults", "/~tcp/latency=1ms,up=1m,down=1m")
        .start();
    let mut client = Client::connect(&flowgate);
    client.read_until("\r\n");
    client.send("MAIL\r\n");
    assert_eq!(text(&client.read_to_end()), "MAIL\r\n");
}

/// Raw connections are reset before anything crosses, by chance or always; those that are exempt are untouched, also where they are
/// shown.
#[test]
fn raw_connections_are_reset_unless_they_are_exempt() {
    let server = RawServer::start(|connection: &mut RawConnection| {
        connection.send("220 hello\r\n")?;
        let said = connection.read_until(b"\r\n")?;
        connection.send(said)
    });
    for exempt in [false, true] {
        let options = if exempt { &["--ignore-hosts", ".", "--show-ignored-hosts"][..] } else { &[] };
        let flowgate = flowgate()
            .args(["--mode", &format!("reverse:tcp://{}", server.address())])
            .args(options.to_vec())
            .set("faults", "/~u nobody/reset")
            .set("faults", "/~tcp/reset,latency=1ms")
            .set("faults", "/~tcp/latency=60min,up=1,down=1")
            .start();
        let mut client = Client::connect(&flowgate);
        if exempt {
            client.read_until("\r\n");
            client.send("MAIL\r\n");
            assert_eq!(text(&client.read_to_end()), "MAIL\r\n");
        } else {
            assert!(client.read_to_end().is_empty());
            assert_eq!(client.cut(), Some(std::io::ErrorKind::ConnectionReset));
        }
        // Its side is open until then.
        drop(client);
        let [flow] = &saved_flows(&flowgate)[..] else { panic!("one flow") };
        let error = flow.error.as_ref().map(|error| error.message.as_str());
        assert_eq!((noted(flow, 0), noted(flow, 2)), (None, None));
        if exempt {
            assert_eq!((noted(flow, 1), error), (None, None));
        } else {
            assert_eq!((noted(flow, 1), error), (Some("latency 1 ms, reset"), Some("Connection killed.")));
        }
    }
}

#[test]
fn mistakes_end_the_start() {
    let output = Flowgate::run(FLOWGATE, &["dump", "-p", "0", "--set", "faults=/~d a/latency=soon"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        output.stderr,
        "error: faults[0] at column 7: expected a time such as `200ms`, `1.5s`, or `200ms..300ms` for one between them, up to an hour\n"
    );
}
