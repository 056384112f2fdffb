//! `client_replay`: recorded requests are sent again over every version of HTTP, through hooks and ways out, and what cannot be sent
//! again is told.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier, Mutex};

use flowgate_flow::{Body, Flow, FlowKind, MetadataValue, RawFlow, Replay, WebSocketData};
use flowgate_formats::write_flow;
use flowgate_testkit::{Curl, Flowgate, FlowgateBuilder, Nginx, PATIENCE, RawConnection, RawServer, Signal};

use super::support::{FLOWGATE, content, flowgate, http, printed, read_flows, saved_flows, text};

/// A flowgate that saves what it replays to `flows`, and ends by itself.
fn replay(entry: &str) -> FlowgateBuilder {
    flowgate().listeners(0).args(["-n", "-C", entry])
}

/// What came of a replay that ends by itself.
fn replayed(builder: FlowgateBuilder) -> (Vec<Flow>, String) {
    let flowgate = builder.start();
    assert_eq!(flowgate.process().wait(PATIENCE).code(), Some(0), "{:#?}", flowgate.lines());
    (read_flows(&flowgate.path("flows")), printed(&flowgate))
}

/// Answers `ok` to each request, and keeps the lines that ask.
fn server() -> (RawServer, Arc<Mutex<Vec<String>>>) {
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let lines = Arc::clone(&asked);
    let server = RawServer::start(move |connection: &mut RawConnection| {
        loop {
            let head = text(&connection.read_until(b"\r\n\r\n")?);
            if let Some((_, length)) = head.to_ascii_lowercase().split_once("content-length: ") {
                connection.read_count(length.split("\r\n").next().unwrap().parse().unwrap())?;
            }
            lines.lock().unwrap().push(head.lines().next().unwrap().to_owned());
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
        }
    });
    (server, asked)
}

/// Flows of these paths, recorded with a server.
fn recorded(server: &RawServer, paths: &[&str]) -> Option<(tempfile::TempDir, PathBuf, Vec<Flow>)> {
    let curl = Curl::new()?;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recorded");
    let recording = Flowgate::builder(FLOWGATE).args(["-w".to_owned(), file.display().to_string()]).start();
    let curl = curl.proxy(&recording.proxy_url());
    for path in paths {
        assert_eq!(curl.fetch(&server.http_url(path)).status, 200);
    }
    assert_eq!(recording.stop(Signal::TERM).code(), Some(0));
    let flows = read_flows(&file);
    Some((folder, file, flows))
}

fn write(path: &Path, flows: &[Flow]) {
    let mut file = File::create(path).unwrap();
    flows.iter().for_each(|flow| write_flow(&mut file, flow).unwrap());
}

#[test]
fn every_version_is_sent_again_as_it_was() {
    let (Some(nginx), Some(curl)) = (Nginx::builder().start(), Curl::new()) else { return };
    let trusted = nginx.ca().certificate_path().display().to_string();
    let recording = flowgate().set("ssl_verify_upstream_trusted_ca", &trusted).start();
    let curl = curl.proxy(&recording.proxy_url()).trust(&recording.ca_certificate());
    for (version, url) in [
        ("--http1.1", nginx.http_url("")),
        ("--http1.1", nginx.https_url("")),
        ("--http2", nginx.https_url("")),
    ] {
        let curl = curl.clone().args([version, "-H", "X-Test: yes"]);
        assert_eq!(curl.fetch(&format!("{url}/echo")).status, 200);
        // Made the first time, replaced the second.
        let file = format!("{url}/put/{}", url.len() + version.len());
        assert_eq!(curl.args(["-X", "PUT", "--data", "a body"]).fetch(&file).status, 201, "{file}");
    }
    let before = saved_flows(&recording);
    let accesses = nginx.access_log();
    let file = recording.path("flows").display().to_string();
    let (flows, lines) = replayed(replay(&file).set("ssl_verify_upstream_trusted_ca", &trusted));
    assert_eq!(flows.len(), 6);
    for (flow, was) in flows.iter().zip(&before) {
        assert_eq!((flow.replay, flow.error.as_ref()), (Some(Replay::Request), None), "{flow:?}");
        assert_ne!(flow.id, was.id);
        let of = MetadataValue::Text(was.id.to_string());
        assert!(flow.metadata.contains(&("flowgate.replay_of".to_owned(), of)));
        let (flow, was) = (http(flow), http(was));
        assert_eq!(content(&flow.request.body), content(&was.request.body));
        assert_eq!(flow.request.version, was.request.version);
        let answers = [flow, was].map(|flow| flow.response.as_ref().unwrap());
        assert_eq!(answers[0].version, answers[1].version);
        assert_eq!(answers[0].status, if answers[1].status == 201 { 204 } else { 200 });
        assert_eq!(text(&content(&answers[0].body)), text(&content(&answers[1].body)));
    }
    let again = nginx.access_log();
    assert_eq!(again.len(), 2 * accesses.len());
    for (was, is) in accesses.iter().zip(&again[accesses.len()..]) {
        assert_eq!((&was.target, &was.method), (&is.target, &is.method));
    }
    assert_eq!(
        lines.matches("[replay]: GET ").count() + lines.matches("[replay]: PUT ").count(),
        6,
        "{lines}"
    );
    assert!(lines.contains("[replay] server connect "), "{lines}");
}

#[test]
fn through_hooks_and_an_upstream_proxy() {
    let (server, _) = server();
    let Some((_folder, file, _)) = recorded(&server, &["/a"]) else { return };
    let upstream = RawServer::start(|connection: &mut RawConnection| {
        connection.read_until(b"\r\n\r\n")?;
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nvia")
    });
    let builder = replay(&file.display().to_string())
        .args(["--mode".to_owned(), format!("upstream:http://{}", upstream.address())])
        .args(["-H", "/~q/X-New/yes", "-B", "/~s/via/changed", "-M", "|/a$|/b"]);
    let (flows, _) = replayed(builder);
    assert_eq!(content(&http(&flows[0]).response.as_ref().unwrap().body), b"changed");
    assert_eq!(flows[0].replay, Some(Replay::Request));
    let received = text(&upstream.wait_for_end(0).received);
    assert!(received.starts_with(&format!("GET {} HTTP/1.1\r\n", server.http_url("/b"))), "{received}");
    assert!(received.contains("\r\nX-New: yes\r\n"), "{received}");
}

#[test]
fn one_after_the_other_or_together() {
    let (server, asked) = server();
    let paths = ["/1", "/2", "/3", "/4"];
    let Some((folder, file, mut flows)) = recorded(&server, &paths) else { return };
    asked.lock().unwrap().clear();
    let entry = file.display().to_string();
    assert_eq!(replayed(replay(&entry)).0.len(), 4);
    let lines = paths.map(|path| format!("GET {path} HTTP/1.1"));
    assert_eq!(*asked.lock().unwrap(), lines);
    // Nobody is answered before all have asked.
    let all = Arc::new(Barrier::new(4));
    let together = RawServer::start(move |connection: &mut RawConnection| {
        connection.read_until(b"\r\n\r\n")?;
        all.wait();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    });
    for flow in &mut flows {
        let FlowKind::Http(http) = &mut flow.kind else { panic!() };
        http.request.port = together.address().port();
    }
    let file = folder.path().join("together");
    write(&file, &flows);
    for concurrency in ["4", "-1"] {
        let builder = replay(&file.display().to_string()).set("client_replay_concurrency", concurrency);
        assert_eq!(replayed(builder.set("client_replay_timing", "true")).0.len(), 4);
    }
}

#[test]
fn what_cannot_be_sent_again_is_told_and_the_rest_is_sent() {
    let (server, asked) = server();
    let Some((folder, _, flows)) = recorded(&server, &["/a"]) else { return };
    let good = &flows[0];
    let changed = |change: &dyn Fn(&mut Flow)| {
        let mut flow = good.clone();
        change(&mut flow);
        flow
    };
    let request = |change: fn(&mut flowgate_flow::Request)| {
        changed(&|flow| {
            if let FlowKind::Http(http) = &mut flow.kind {
                change(&mut http.request);
            }
        })
    };
    let flows = [
        changed(&|flow| flow.kind = FlowKind::Tcp(RawFlow::default())),
        changed(&|flow| {
            if let FlowKind::Http(http) = &mut flow.kind {
                http.websocket = Some(WebSocketData::default());
            }
        }),
        request(|request| request.body = Body::Missing),
        // A body that broke off.
        request(|request| {
            request.headers.set("Content-Length", "9");
            request.body = Body::Bytes("half".into());
            request.timestamp_end = None;
        }),
        request(|request| request.method = "CONNECT".into()),
        // Whoever made such a file, no head is sent that is none.
        request(|request| request.path = "/a HTTP/1.1\r\nX: ".into()),
        request(|request| request.method = "GET /b".into()),
        request(|request| request.headers.push("X", "a\r\nY: b")),
        good.clone(),
    ];
    let file = folder.path().join("odd");
    write(&file, &flows);
    asked.lock().unwrap().clear();
    let (flows, lines) = replayed(replay(&file.display().to_string()));
    for why in [
        "Can only replay HTTP flows.",
        "Can't replay WebSocket flows.",
        "Can't replay flow with missing content.",
        "Can't replay CONNECT requests.",
    ] {
        assert!(lines.contains(&format!("[replay] {why}")), "{why}: {lines}");
    }
    assert_eq!(*asked.lock().unwrap(), ["GET /a HTTP/1.1"]);
    let errors: Vec<_> = flows.iter().map(|flow| flow.error.is_some()).collect();
    assert_eq!(errors, [true, true, true, false], "{flows:?}");
}

#[test]
fn a_server_that_is_not_there_is_a_flow_with_an_error() {
    let (server, _) = server();
    let Some((folder, _, mut flows)) = recorded(&server, &["/a"]) else { return };
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let FlowKind::Http(http) = &mut flows[0].kind else { panic!() };
    http.request.port = nobody;
    let file = folder.path().join("nobody");
    write(&file, &flows);
    let (flows, _) = replayed(replay(&file.display().to_string()));
    assert!(flows[0].error.as_ref().unwrap().message.contains("Connection refused"), "{flows:?}");
}

#[test]
fn single_flows_of_a_file_or_a_store() {
    let (server, asked) = server();
    let Some((folder, file, flows)) = recorded(&server, &["/1", "/2", "/3"]) else { return };
    let store = folder.path().join("store");
    let [from, to] = [&file, &store].map(|path| path.display().to_string());
    let stored = Flowgate::run(FLOWGATE, &["dump", "-q", "-n", "-r", &from, "--store", &to]);
    assert_eq!(stored.status.code(), Some(0), "{stored:?}");
    for source in [&file, &store] {
        asked.lock().unwrap().clear();
        let entry = format!("{}#{},{}", source.display(), flows[2].id, &flows[0].id.to_string()[..13]);
        assert_eq!(replayed(replay(&entry)).0.len(), 2);
        assert_eq!(*asked.lock().unwrap(), ["GET /3 HTTP/1.1", "GET /1 HTTP/1.1"]);
    }
    let refused = |arguments: &[&str]| {
        let output = Flowgate::run(FLOWGATE, &[&["dump", "-n"], arguments].concat());
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        output.stderr.replace(&folder.path().display().to_string(), "DIR")
    };
    let (none, absent) =
        (format!("{}#zz", file.display()), folder.path().join("absent").display().to_string());
    fs::write(folder.path().join("bad"), "no flows").unwrap();
    let bad = folder.path().join("bad").display().to_string();
    for (arguments, told) in [
        (
            &["-C", none.as_str()][..],
            "option `client_replay`: `DIR/recorded#zz` has no flow whose id begins with `zz`\n",
        ),
        (
            &["-C", absent.as_str()],
            "option `client_replay` cannot be put into effect\n  cause: cannot read flows from DIR/absent\n  cause: No such file or directory (os error 2)\n",
        ),
        (
            &["-C", bad.as_str()],
            "option `client_replay` cannot be put into effect\n  cause: cannot read flows from DIR/bad\n",
        ),
        (
            &["-C", bad.as_str(), "--set", "client_replay_concurrency=0"],
            "option `client_replay_concurrency`: expected a number from 1 on, or -1 for no limit, found 0\n",
        ),
    ] {
        let said = refused(arguments);
        assert!(said.starts_with(&format!("error: {told}")), "{arguments:?}: {said}");
    }
}

#[test]
fn with_keepserving_the_proxy_goes_on() -> io::Result<()> {
    let (server, _) = server();
    let Some((_folder, file, _)) = recorded(&server, &["/a"]) else { return Ok(()) };
    let flowgate =
        flowgate().args(["-C".to_owned(), file.display().to_string()]).set("keepserving", "true").start();
    flowgate.wait_for(|line| line.contains("[replay]: GET "));
    let reply = Curl::new().unwrap().proxy(&flowgate.proxy_url()).fetch(&server.http_url("/b"));
    assert_eq!(reply.status, 200);
    let flows = saved_flows(&flowgate);
    assert_eq!(flows.iter().map(|flow| flow.replay).collect::<Vec<_>>(), [Some(Replay::Request), None]);
    Ok(())
}
