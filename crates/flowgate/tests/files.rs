//! Files of flows and the built program: HAR, damaged files, exports.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use expect_test::{Expect, expect};
use flowgate_flow::{Flow, FlowKind, HostFrom};
use flowgate_formats::har::{HarLimits, read_har};
use flowgate_formats::write_flow;
use flowgate_testkit::require;
use tempfile::TempDir;

const HAR: &str = r#"{"log": {"version": "1.2", "creator": {"name": "test", "version": "1"}, "entries": [
    {"startedDateTime": "2023-03-29T16:58:59.303Z", "time": 23, "request": {"method": "GET", "url": "https://a.test/x?y=1", "httpVersion": "http/2.0",
        "headers": [{"name": ":authority", "value": "a.test"}, {"name": "accept", "value": "*/*"}]},
     "response": {"status": 200, "statusText": "", "httpVersion": "http/2.0", "headers": [{"name": "content-type", "value": "text/plain"}],
        "content": {"size": 5, "mimeType": "text/plain", "text": "hello"}}},
    {"startedDateTime": "2023-03-29T16:59:00Z", "time": 5, "request": {"method": "POST", "url": "http://b.test:8080/", "httpVersion": "HTTP/1.1",
        "headers": [{"name": "Host", "value": "b.test:8080"}], "postData": {"mimeType": "text/plain", "text": "it's $(here)"}},
     "response": {"status": 0, "_error": "net::ERR_FAILED"}}
]}}"#;

/// The flows of [`HAR`] as a flow file.
fn flow_file() -> Vec<u8> {
    let mut out = Vec::new();
    read_har(HAR.as_bytes(), &HarLimits::default(), |flow: Flow| write_flow(&mut out, &flow).unwrap())
        .unwrap();
    out
}

/// Runs the program beside these files, with `input` on its standard input; shows the exit code, then what it printed.
#[track_caller]
fn check(arguments: &[&str], files: &[(&str, &[u8])], input: &[u8], expected: Expect) {
    let home = TempDir::new().unwrap();
    for (name, bytes) in files {
        fs::write(home.path().join(name), bytes).unwrap();
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_flowgate"))
        .args(arguments)
        .current_dir(home.path())
        .env("HOME", home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    let shown = format!("exit {}\n{out}{err}", output.status.code().unwrap());
    expected.assert_eq(&shown.replace('\r', "\\r"));
}

#[test]
fn har_is_read() {
    check(
        &["dump", "-n", "-r", "x.har", "--flow-detail", "3"],
        &[("x.har", HAR.as_bytes())],
        b"",
        expect![[r#"
            exit 0
            127.0.0.1:0: GET https://a.test/x?y=1 HTTP/2.0
                accept: */*

                y: '1'

             << HTTP/2.0 200 OK 5b
                content-type: text/plain

                hello

            127.0.0.1:0: POST http://b.test:8080/
                Host: b.test:8080

                it's $(here)

             << net::ERR_FAILED
        "#]],
    );
    check(
        &["dump", "-n", "-r", "-", "~m POST"],
        &[],
        HAR.as_bytes(),
        expect![[r#"
        exit 0
        127.0.0.1:0: POST http://b.test:8080/
         << net::ERR_FAILED
    "#]],
    );
}

#[test]
fn damaged_files_give_what_there_is() {
    let whole = flow_file();
    check(
        &["dump", "-n", "-r", "cut.flows"],
        &[("cut.flows", &whole[..whole.len() - 9])],
        b"",
        expect![[r#"
            exit 1
            127.0.0.1:0: GET https://a.test/x?y=1 HTTP/2.0
             << HTTP/2.0 200 OK 5b
            error: cannot read flows from cut.flows
              cause: flow file corrupted at byte 2923 after 1 flows
              cause: expected the rest of an item, found the end of the file
        "#]],
    );
    // A flow that is none, between two that are.
    let mixed = [&whole[..], b"4:1:a,]", &whole].concat();
    check(
        &["dump", "-n", "-r", "mixed.flows"],
        &[("mixed.flows", &mixed)],
        b"",
        expect![[r#"
            exit 1
            127.0.0.1:0: GET https://a.test/x?y=1 HTTP/2.0
             << HTTP/2.0 200 OK 5b
            127.0.0.1:0: POST http://b.test:8080/
             << net::ERR_FAILED
            127.0.0.1:0: GET https://a.test/x?y=1 HTTP/2.0
             << HTTP/2.0 200 OK 5b
            127.0.0.1:0: POST http://b.test:8080/
             << net::ERR_FAILED
            error: cannot read flows from mixed.flows
              cause: flow 3 at byte 2932 is not a flow of format version 21
              cause: flow: expected a map, found a list
        "#]],
    );
    let cut = HAR.find("POST").unwrap();
    check(
        &["dump", "-n", "-r", "cut.har"],
        &[("cut.har", &HAR.as_bytes()[..cut])],
        b"",
        expect![[r#"
            exit 1
            127.0.0.1:0: GET https://a.test/x?y=1 HTTP/2.0
             << HTTP/2.0 200 OK 5b
            error: cannot read flows from cut.har
              cause: HAR file corrupted at byte 636 after 1 flows
              cause: EOF while parsing a string at line 6 column 82
        "#]],
    );
    check(
        &["dump", "-n", "-r", "x.json"],
        &[("x.json", b"{}")],
        b"",
        expect![[r#"
            exit 1
            error: cannot read flows from x.json
              cause: this JSON is no HAR file: it has no list `log.entries`
        "#]],
    );
}

#[test]
fn flows_are_exported() {
    let whole = flow_file();
    check(
        &["export", "x.flows"],
        &[("x.flows", &whole)],
        b"",
        expect![[r#"
        exit 0
        curl -H 'accept: */*' 'https://a.test/x?y=1'
        curl -H Content-Type: -X POST http://b.test:8080/ --data-raw 'it'\''s $(here)'
    "#]],
    );
    check(
        &["export", "-", "~m POST", "--format", "httpie"],
        &[],
        &whole,
        expect![[r#"
        exit 0
        printf %s 'it'\''s $(here)' | http POST http://b.test:8080/ Content-Type:
    "#]],
    );
    check(
        &["export", "x.har", "--format=raw"],
        &[("x.har", HAR.as_bytes())],
        b"",
        expect![[r#"
            exit 0
            GET https://a.test/x?y=1 HTTP/2.0\r
            accept: */*\r
            \r
            \r
            \r
            HTTP/2.0 200 \r
            content-type: text/plain\r
            \r
            hello
            POST / HTTP/1.1\r
            Host: b.test:8080\r
            \r
            it's $(here)
        "#]],
    );
    check(
        &["export", "x.har", "--format", "raw_response"],
        &[("x.har", HAR.as_bytes())],
        b"",
        expect![[r#"
            exit 1
            HTTP/2.0 200 \r
            content-type: text/plain\r
            \r
            hello
            error: flow e07b9552-85c0-89e2-9707-5b576d981c04: the flow has no response
        "#]],
    );
    check(
        &["export", "x.har", "~d", "c.test"],
        &[("x.har", HAR.as_bytes())],
        b"",
        expect![[r#"
        exit 1
        error: no flow of x.har matches
    "#]],
    );
    check(
        &["export", "x.har", "~d ("],
        &[("x.har", HAR.as_bytes())],
        b"",
        expect![[r#"
            exit 1
            error: ~d needs a regex at column 1; put a pattern with spaces, parentheses or a tilde in quotes
        "#]],
    );
    check(
        &["export", "--format", "python", "x.har"],
        &[],
        b"",
        expect![[r#"
            exit 1
            error: invalid value 'python' for '--format <FORMAT>': expected one of curl, httpie, raw, raw_request, raw_response, har, zhar, pcapng, flows
        "#]],
    );
    check(
        &["export", "nothing.flows"],
        &[],
        b"",
        expect![[r#"
            exit 1
            error: cannot read flows from nothing.flows
              cause: No such file or directory (os error 2)
            hint: flows are read from a flow file, a HAR file, or the folder of a store
        "#]],
    );
    check(
        &["export"],
        &[],
        b"",
        expect![[r#"
            exit 1
            error: nothing says which flows are meant
            hint: name a store with `--store FOLDER`, or a flow file with `-r FILE`
        "#]],
    );
    check(
        &["export", "x.har", "--format", "pcapng", "--key-log", "none"],
        &[("x.har", HAR.as_bytes())],
        b"",
        expect![[r#"
            exit 1
            error: cannot read TLS secrets from none
              cause: No such file or directory (os error 2)
        "#]],
    );
}

/// What was appended behind half a flow, or to a file of something else, was lost without a word.
#[test]
fn flows_are_appended_to_flow_files_alone() {
    let flows = flow_file();
    check(
        &["dump", "-n", "-r", "x.flows", "-w", "+x.har"],
        &[("x.flows", &flows), ("x.har", HAR.as_bytes())],
        b"",
        expect![[r#"
            exit 1
            error: cannot append flows to x.har
              cause: no whole flow at byte 0
              cause: expected a length and a colon
            hint: name another file; `flowgate convert x.har NEW` saves what can be read
        "#]],
    );
    let home = TempDir::new().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flowgate"));
        let output =
            command.args(arguments).current_dir(home.path()).env("HOME", home.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    fs::write(home.path().join("x.flows"), &flows).unwrap();
    fs::write(home.path().join("cut.flows"), &flows[..flows.len() - 7]).unwrap();
    let told = run(&["dump", "-n", "-r", "x.flows", "-w", "+cut.flows"]);
    assert!(told.contains("cut.flows ends with ") && told.contains(" bytes of half a flow"), "{told}");
    // The one before the cut, and the two that were appended.
    assert_eq!(run(&["flows", "-r", "cut.flows", "--json"]).lines().count(), 3);
}

/// What is exported as HAR and read again is the same, and a capture is one to tshark.
#[test]
fn files_are_exported() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("x.flows"), flow_file()).unwrap();
    let export = |format: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_flowgate"))
            .args(["export", "x.flows", "--format", format])
            .current_dir(folder.path())
            .env("HOME", folder.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let mut urls = Vec::new();
    let each = |flow: Flow| {
        let FlowKind::Http(http) = &flow.kind else { return };
        urls.push(String::from_utf8(http.request.url(HostFrom::Header)).unwrap());
    };
    read_har(&export("har")[..], &HarLimits::default(), each).unwrap();
    assert_eq!(urls, ["https://a.test/x?y=1", "http://b.test:8080/"]);
    let Some(tshark) = require("tshark") else { return };
    fs::write(folder.path().join("x.pcapng"), export("pcapng")).unwrap();
    let output = Command::new(tshark)
        .args(["-r", "x.pcapng", "-Y", "http.request", "-T", "fields", "-e", "http.request.full_uri"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "http://a.test/x?y=1\nhttp://b.test:8080/\n");
}
