//! HAR written while it runs (`hardump`), as others read it; and the key log, with which tshark decrypts both sides.

use std::fs;
use std::path::Path;
use std::process::Command;

use flowgate_flow::FlowKind;
use flowgate_testkit::{
    Curl, Flowgate, Nginx, PATIENCE, Process, RawServer, Signal, mitmproxy_python, require,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Client, FLOWGATE, printed, text};

/// Answers twice, the second time with what is no text.
fn server() -> RawServer {
    RawServer::start(|connection| {
        while let Ok(head) = connection.read_until(b"\r\n\r\n") {
            let body: &[u8] =
                if text(&head).starts_with("GET /binary") { b"\x00\xff\xfe\x80" } else { b"plain" };
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nContent-Length: {}\r\n\r\n", body.len());
            connection.send([head.as_bytes(), body].concat())?;
        }
        Ok(())
    })
}

fn get(flowgate: &Flowgate, server: &RawServer, path: &str) {
    let mut client = Client::connect(flowgate);
    let (url, host) = (server.http_url(path), server.address());
    client.send(format!("GET {url} HTTP/1.1\r\nHost: {host}\r\nCookie: a=1; b=2\r\n\r\n"));
    client.response();
}

fn entries(path: &Path) -> Vec<Value> {
    let har: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert_eq!(har["log"]["version"], "1.2");
    har["log"]["entries"].as_array().unwrap().clone()
}

/// Says what a reader of HAR that is not ours makes of a file: haralyzer, if it is there.
fn seen_by_haralyzer(python: &Path, file: &Path) -> Option<String> {
    let has = Command::new(python).args(["-c", "import haralyzer"]).output().unwrap();
    if !has.status.success() {
        use std::io::Write as _;
        let _ = std::io::stderr().write_all(b"skipped: the Python with mitmproxy has no haralyzer\n");
        return None;
    }
    let script = "import json, sys, haralyzer\n\
        for e in haralyzer.HarParser(json.load(open(sys.argv[1]))).har_data['entries']:\n    \
        e = haralyzer.HarEntry(e)\n    \
        print(e.request.method, e.request.url, e.response.status, e.response.contentSize, len(e.request.cookies), e.startTime.year)\n";
    let mut command = Process::command(python);
    command.args(["-c", script]).arg(file);
    let output = Process::run("haralyzer", command, PATIENCE);
    assert!(output.status.success(), "{output:?}");
    Some(output.stdout)
}

#[test]
fn har_is_written_while_it_runs() {
    let server = server();
    let builder = Flowgate::builder(FLOWGATE);
    let file = builder.path("x.har");
    let flowgate = builder.set("hardump", file.display()).set("save_stream_filter", "!/hidden").start();
    assert_eq!(entries(&file).len(), 0, "an empty file is whole, too");
    for path in ["/one?q=1", "/hidden", "/binary"] {
        get(&flowgate, &server, path);
    }
    assert_eq!(flowgate.stop(Signal::TERM).code(), Some(0));
    let entries = entries(&file);
    let of = |pointer: &str| entries.iter().map(|entry| entry.pointer(pointer).cloned()).collect::<Vec<_>>();
    let urls = ["/one?q=1", "/binary"].map(|path| Some(server.http_url(path).into()));
    assert_eq!(of("/request/url"), urls);
    assert_eq!(of("/response/content/text"), [Some("plain".into()), Some("AP/+gA==".into())]);
    assert_eq!(of("/response/content/encoding"), [None, Some("base64".into())]);
    let lines = printed(&flowgate);
    let len = fs::metadata(&file).unwrap().len();
    assert!(lines.ends_with(&format!("] HAR file saved (2 entries, {len} bytes).\n")), "{lines}");

    // Others read it, too.
    let Some(python) = mitmproxy_python() else { return };
    if let Some(seen) = seen_by_haralyzer(&python, &file) {
        let line = |path: &str, size: u32| format!("GET {} 200 {size} 2 20", server.http_url(path));
        let lines: Vec<_> = seen.lines().collect();
        assert!(
            lines[0].starts_with(&line("/one?q=1", 5)) && lines[1].starts_with(&line("/binary", 4)),
            "{seen}"
        );
    }
    let mut mitmdump = Process::command(&python);
    mitmdump
        .args(["-c", "import sys; from mitmproxy.tools.main import mitmdump; sys.exit(mitmdump())"])
        .args(["--set", &format!("confdir={}", flowgate.path("m").display()), "-nr"])
        .arg(&file)
        .args(["--flow-detail", "3"])
        .env("COLUMNS", "10000");
    let theirs = Process::run("mitmdump", mitmdump, PATIENCE * 3).stdout;
    let ours = Flowgate::run(FLOWGATE, &["dump", "-nr", file.to_str().unwrap(), "--flow-detail", "3"]).stdout;
    // It adds this to every request from HAR that has no body.
    assert_eq!(ours, theirs.replace("    content-length: 0\n", ""));
}

#[test]
fn har_of_a_file_is_printed_or_compressed() {
    let folder = TempDir::new().unwrap();
    let [flows, zhar, again] = ["flows", "x.zhar", "again.har"].map(|name| folder.path().join(name));
    let server = server();
    let flowgate = Flowgate::builder(FLOWGATE).args(["-w", flows.to_str().unwrap()]).start();
    get(&flowgate, &server, "/one");
    assert_eq!(flowgate.stop(Signal::TERM).code(), Some(0));
    let run = |from: &Path, hardump: &str| {
        let option = format!("hardump={hardump}");
        let output = Flowgate::run(FLOWGATE, &["dump", "-qnr", from.to_str().unwrap(), "--set", &option]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        output.stdout
    };
    // As with mitmproxy it comes behind all else on standard output.
    let printed = run(&flows, "-");
    assert_eq!(run(&flows, zhar.to_str().unwrap()), "");
    assert_eq!(fs::read(&zhar).unwrap()[..2], [0x78, 0xda]);
    run(&zhar, again.to_str().unwrap());
    let har: Value = serde_json::from_str(&printed).unwrap();
    let (one, other) = (&har["log"]["entries"][0], &entries(&again)[0]);
    for part in ["request", "response"] {
        assert_eq!(one[part], other[part]);
    }
    // What is read is not written over, and a start that fails has changed nothing.
    let before = fs::read(&again).unwrap();
    let option = format!("hardump={}", again.display());
    let output = Flowgate::run(FLOWGATE, &["dump", "-nr", again.to_str().unwrap(), "--set", &option]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stderr.contains("options `rfile` and `hardump` name the same place"), "{output:?}");
    let output = Flowgate::run(FLOWGATE, &["dump", "-m", "reverse:http://a@203.0.113.1:1", "--set", &option]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(fs::read(&again).unwrap(), before);
}

#[test]
fn the_key_log_decrypts_both_sides() {
    let Some(tshark) = require("tshark") else { return };
    let nginx = Nginx::builder().file("secret.txt", "secret\n").start();
    let (Some(nginx), Some(curl)) = (nginx, Curl::new()) else { return };
    let keys = TempDir::new().unwrap();
    let key_log = keys.path().join("keys");
    // Two that record what crosses and decrypt nothing, one on either side of the one that decrypts.
    let recorder = |builder: flowgate_testkit::FlowgateBuilder| {
        let flows = builder.path("flows");
        builder.args(["-w", flows.to_str().unwrap(), "--ignore-hosts", ".", "--show-ignored-hosts"])
    };
    let server_side = recorder(Flowgate::builder(FLOWGATE)).start();
    let decrypting = Flowgate::builder(FLOWGATE)
        .set("ssl_verify_upstream_trusted_ca", nginx.ca().certificate_path().display())
        .args(["--mode", &format!("upstream:{}", server_side.proxy_url())])
        .env("MITMPROXY_SSLKEYLOGFILE", key_log.to_str().unwrap())
        .env("SSLKEYLOGFILE", "/nonexistent/not-looked-at")
        .start();
    let client_side = recorder(Flowgate::builder(FLOWGATE))
        .args(["--mode", &format!("upstream:{}", decrypting.proxy_url())])
        .start();
    let reply = curl
        .proxy(&client_side.proxy_url())
        .trust(&decrypting.ca_certificate())
        .fetch(&nginx.https_url("/secret.txt"));
    assert_eq!((reply.exit, reply.text().as_str()), (0, "secret\n"), "{reply:?}");
    for flowgate in [&client_side, &decrypting, &server_side] {
        assert_eq!(flowgate.stop(Signal::TERM).code(), Some(0));
    }
    for recorder in [&client_side, &server_side] {
        let flows = crate::support::read_flows(&recorder.path("flows"));
        assert!(flows.iter().any(|flow| matches!(flow.kind, FlowKind::Tcp(_))), "{flows:?}");
        let mut export = Process::command(Path::new(FLOWGATE));
        export
            .args(["export", recorder.path("flows").to_str().unwrap(), "~tcp", "--format", "pcapng"])
            .args(["--key-log", key_log.to_str().unwrap()]);
        let capture = export.output().unwrap();
        assert!(capture.status.success(), "{capture:?}");
        let file = recorder.path("x.pcapng");
        fs::write(&file, capture.stdout).unwrap();
        let mut command = Process::command(&tshark);
        command.arg("-r").arg(&file).args([
            "-Y",
            "http2.headers.path",
            "-T",
            "fields",
            "-e",
            "http2.headers.path",
        ]);
        let output = Process::run("tshark", command, PATIENCE);
        assert_eq!(output.stdout, "/secret.txt\n", "{output:?}");
    }
}
