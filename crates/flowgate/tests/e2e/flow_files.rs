//! Flow files: written while it runs, read back, appended to, and exchanged with the real mitmproxy 12.

use std::fs;
use std::path::{Path, PathBuf};

use flowgate_testkit::{Flowgate, Output, PATIENCE, Process, RawServer, Signal, mitmproxy_python};
use tempfile::TempDir;

use crate::support::{Client, FLOWGATE, content, flowgate, http, read_flows, saved_flows, text};

fn server() -> RawServer {
    RawServer::start(|connection| {
        while let Ok(head) = connection.read_until(b"\r\n\r\n") {
            let head = text(&head);
            if head.starts_with("GET /cut ") {
                return Ok(());
            }
            let body = if head.starts_with("PUT") {
                connection.read_count(11)?
            } else {
                b"binary \x00\xff".to_vec()
            };
            let answer =
                format!("HTTP/1.1 200 OK\r\nX-Dup: 1\r\nx-dup: 2\r\nContent-Length: {}\r\n\r\n", body.len());
            connection.send([answer.as_bytes(), &body].concat())?;
        }
        Ok(())
    })
}

/// Some flows of each kind through a proxy.
fn traffic(flowgate: &Flowgate, server: &RawServer) {
    let mut client = Client::connect(flowgate);
    client.send(format!(
        "PUT {} HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world",
        server.http_url("/put")
    ));
    client.response();
    client.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", server.http_url("/get?a=%20&b")));
    client.response();
    client.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", server.http_url("/cut")));
    client.response();
    let first = RawServer::start(|connection| {
        connection.send("speaks first\n")?;
        connection.read_to_end().map(drop)
    });
    let mut tunnel = Client::tunnel(flowgate, first.address());
    tunnel.read_until("\n");
    tunnel.send("answer\n");
    tunnel.end();
    assert_eq!(first.wait_for_end(0).outcome, Some(Ok(())));
    tunnel.read_to_end();
}

fn dump(arguments: &[&str]) -> Output {
    let all: Vec<_> = ["dump"].iter().chain(arguments).copied().collect();
    let output = Flowgate::run(FLOWGATE, &all);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    output
}

#[test]
fn what_was_printed_is_printed_again_from_the_file() {
    let server = server();
    for detail in ["1", "2", "3", "4"] {
        let flowgate = flowgate().args(["--flow-detail", detail]).start();
        traffic(&flowgate, &server);
        assert_eq!(saved_flows(&flowgate).len(), 4);
        let lines = flowgate.lines();
        let of_flows = lines.iter().skip(1).filter(|line| !line.text.starts_with('['));
        let live: String = of_flows.map(|line| line.text.clone() + "\n").collect();
        // A TCP flow is told piece by piece while it lives, and by its messages when it is read.
        let file = flowgate.path("flows");
        let read = dump(&["-nr", file.to_str().unwrap(), "--flow-detail", detail]).stdout;
        let of_http = |text: &str| {
            let end = text.find(" -> tcp -> ").or_else(|| text.find("<- tcp <-")).unwrap_or(text.len());
            text[..text[..end].rfind('\n').unwrap()].trim_end().to_owned()
        };
        assert_eq!(of_http(&read), of_http(&live), "detail {detail}");
    }
}

#[test]
fn a_file_is_emptied_or_appended_to() {
    let server = server();
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("flows");
    for (spec, count) in [("", 4), ("+", 8), ("+", 12), ("", 4)] {
        let flowgate =
            Flowgate::builder(FLOWGATE).args(["-w".to_owned(), format!("{spec}{}", file.display())]).start();
        traffic(&flowgate, &server);
        assert_eq!(flowgate.stop(Signal::INT).code(), Some(0));
        assert_eq!(read_flows(&file).len(), count);
    }
}

#[test]
fn a_file_is_named_by_the_time() {
    let builder = Flowgate::builder(FLOWGATE);
    let folder = builder.path("");
    let spec = folder.join("of %Y/flows%%%z").display().to_string();
    let flowgate = builder.args(["-w".to_owned(), spec]).env("TZ", "XXX-03:30").start();
    traffic(&flowgate, &server());
    assert_eq!(flowgate.stop(Signal::INT).code(), Some(0));
    let years = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let year = years
        .into_iter()
        .find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("of 2"))
        .unwrap();
    assert_eq!(read_flows(&year.join("flows%+0330")).len(), 4);
}

#[test]
fn a_file_is_copied_by_reading_and_writing() {
    let flowgate = flowgate().start();
    traffic(&flowgate, &server());
    saved_flows(&flowgate);
    let (file, copy) = (flowgate.path("flows"), flowgate.path("copy"));
    dump(&["-n", "-r", file.to_str().unwrap(), "-w", copy.to_str().unwrap()]);
    assert!(fs::read(&file).unwrap() == fs::read(&copy).unwrap());
}

#[test]
fn a_cut_file_gives_the_flows_before_the_cut() {
    let flowgate = flowgate().start();
    traffic(&flowgate, &server());
    saved_flows(&flowgate);
    let file = flowgate.path("flows");
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 5]).unwrap();
    let output = Flowgate::run(FLOWGATE, &["dump", "-nr", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.contains("/put\n") && output.stdout.contains("/cut\n"), "{output:?}");
    assert!(
        output.stderr.starts_with("error: cannot read flows from ") && output.stderr.contains("\n  cause: "),
        "{output:?}"
    );
}

#[test]
fn bodies_are_not_kept_where_nobody_wants_them() {
    let server = server();
    let flowgate = flowgate().set("stream_large_bodies", "10").set("store_streamed_bodies", false).start();
    traffic(&flowgate, &server);
    let flows = saved_flows(&flowgate);
    assert_eq!(content(&http(&flows[0]).request.body), b"", "11 bytes are too many");
    assert_eq!(content(&http(&flows[1]).response.as_ref().unwrap().body), b"binary \x00\xff");
}

/// Runs mitmdump with a configuration of its own.
fn mitmdump(python: &Path, folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Process::command(python);
    command
        .args(["-c", "import sys; from mitmproxy.tools.main import mitmdump; sys.exit(mitmdump())"])
        .args(["--set", &format!("confdir={}", folder.join("mitmproxy").display())])
        .args(arguments)
        .env("HOME", folder)
        .env("COLUMNS", "10000");
    let output = Process::run("mitmdump", command, PATIENCE * 3);
    assert!(output.status.success(), "{output:?}");
    output
}

fn recorded() -> (Flowgate, PathBuf) {
    let flowgate = flowgate().start();
    traffic(&flowgate, &server());
    saved_flows(&flowgate);
    let file = flowgate.path("flows");
    (flowgate, file)
}

#[test]
fn mitmproxy_reads_what_we_write() {
    let Some(python) = mitmproxy_python() else { return };
    let (flowgate, file) = recorded();
    let file = file.to_str().unwrap();
    for detail in ["1", "2", "3"] {
        let ours = dump(&["-nr", file, "--flow-detail", detail]).stdout;
        let theirs = mitmdump(&python, &flowgate.path(""), &["-nr", file, "--flow-detail", detail]).stdout;
        assert_eq!(ours, theirs, "detail {detail}");
    }
}

#[test]
fn we_read_what_mitmproxy_writes() {
    let Some(python) = mitmproxy_python() else { return };
    let (flowgate, file) = recorded();
    let theirs = flowgate.path("theirs");
    let (file, theirs) = (file.to_str().unwrap(), theirs.to_str().unwrap());
    mitmdump(&python, &flowgate.path(""), &["-nr", file, "-w", theirs]);
    assert_eq!(read_flows(Path::new(theirs)).len(), 4);
    assert_eq!(
        dump(&["-nr", theirs, "--flow-detail", "4"]).stdout,
        dump(&["-nr", file, "--flow-detail", "4"]).stdout
    );
}
