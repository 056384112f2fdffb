//! Flows from one form into another with the built program: what comes back, what is never written over, what a failure leaves.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use expect_test::expect;
use flowgate_flow::{Flow, FlowKind, HostFrom};
use flowgate_session::read_flows;
use flowgate_testkit::{PATIENCE, Process, SmallDisk, require};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Flows of every kind, as mitmproxy 12 wrote them.
const FLOWS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../formats/tests/data/mitmproxy-12.2.3-v21.flows");
/// An HTTP flow of them.
const ID: &str = "0000000a-0000-4000-8000-000000000000";

fn command(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Process::command(Path::new(env!("CARGO_BIN_EXE_flowgate")));
    command.args(arguments).current_dir(home).env("HOME", home);
    command
}

/// Runs the program; shows the exit code, then what it printed.
fn run(home: &Path, arguments: &[&str]) -> String {
    let output = command(home, arguments).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("exit {}\n{out}{err}", output.status.code().unwrap())
}

fn home() -> TempDir {
    let home = TempDir::new().unwrap();
    fs::copy(FLOWS, home.path().join("a.flows")).unwrap();
    home
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn flows(path: &Path) -> Vec<Flow> {
    let mut flows = Vec::new();
    read_flows(path, |flow| flows.push(flow)).unwrap();
    flows
}

/// What HAR keeps of an exchange, a line for each part.
fn exchange(flow: &Flow) -> Option<Vec<String>> {
    let FlowKind::Http(http) = &flow.kind else { return None };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut lines = Vec::new();
    let (request, response) = (&http.request, http.response.as_ref());
    lines.push(format!("{} {}", text(&request.method), text(&request.url(HostFrom::Header))));
    lines.push(response.map_or_else(String::new, |response| response.status.to_string()));
    for headers in [Some(&request.headers), response.map(|response| &response.headers)].into_iter().flatten()
    {
        // The length becomes that of the body, whatever was said of it.
        let kept = headers.iter().filter(|field| !field.name.eq_ignore_ascii_case(b"content-length"));
        lines.extend(kept.map(|field| format!("{}: {}", text(field.name), text(field.value))));
    }
    for body in [Some(&request.body), response.map(|response| &response.body)].into_iter().flatten() {
        let bytes = body.prefix(1 << 20).unwrap().unwrap_or_default();
        lines.push(format!("{} bytes: {}", bytes.len(), bytes.escape_ascii()));
    }
    for message in http.websocket.iter().flat_map(|websocket| &websocket.messages) {
        lines.push(format!("{} {} {}", message.from_client, message.opcode, message.content.escape_ascii()));
    }
    Some(lines)
}

#[test]
fn every_form_into_every_other() {
    let home = home();
    let convert = |from: &str, to: &str| run(home.path(), &["convert", from, to]);
    let lines = [
        convert("a.flows", "b.har"),
        convert("a.flows", "b.zhar"),
        convert("a.flows", "b.store"),
        convert("b.store", "b.pcapng"),
        convert("b.store", "c.zhar"),
        convert("b.har", "c.flows"),
        convert("b.zhar", "d.mitm"),
        convert("b.zhar", "d/e/f/"),
        convert("d/e/f", "e.flows"),
    ];
    expect![[r#"
        exit 0
        8 flows written to b.har; 9 flows are not HTTP and have no place in it
        exit 0
        8 flows written to b.zhar; 9 flows are not HTTP and have no place in it
        exit 0
        17 flows written to b.store
        exit 0
        17 flows written to b.pcapng
        exit 0
        8 flows written to c.zhar; 9 flows are not HTTP and have no place in it
        exit 0
        8 flows written to c.flows
        exit 0
        8 flows written to d.mitm
        exit 0
        8 flows written to d/e/f/
        exit 0
        8 flows written to e.flows
    "#]]
    .assert_eq(&lines.concat());
    let mode = fs::metadata(home.path().join("b.store")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    // HAR has a place for these.
    let all = flows(&home.path().join("a.flows"));
    let http: Vec<_> = all.iter().filter_map(exchange).collect();
    for name in ["b.har", "b.zhar", "c.zhar", "c.flows", "d.mitm", "d/e/f", "e.flows"] {
        let back: Vec<_> = flows(&home.path().join(name)).iter().filter_map(exchange).collect();
        for (back, was) in back.iter().zip(&http) {
            let differs = back.iter().zip(was).find(|(back, was)| back != was);
            assert!(back.len() == was.len() && differs.is_none(), "{name}: {differs:.200?}");
        }
        assert_eq!(back.len(), http.len(), "{name}");
    }
}

/// As PowerShell's `>` saves what a program prints.
#[test]
fn har_in_utf_16_is_read() {
    let home = home();
    let run = |arguments: &[&str]| run(home.path(), arguments);
    assert_eq!(run(&["convert", "a.flows", "a.har", "~http"]), "exit 0\n8 flows written to a.har\n");
    let text = fs::read_to_string(home.path().join("a.har")).unwrap();
    let utf_16 = "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes);
    fs::write(home.path().join("wide.har"), utf_16.collect::<Vec<u8>>()).unwrap();
    assert_eq!(run(&["flows", "--json", "-r", "wide.har"]), run(&["flows", "--json", "-r", "a.har"]));
}

#[test]
fn exports_of_one_flow_and_of_some() {
    let home = home();
    let run = |arguments: &[&str]| run(home.path(), arguments);
    run(&["convert", "a.flows", "a.store"]);
    let one = expect![[r#"
        exit 0
        curl -H 'Cookie: a=1' -H 'cookie: b=2' -H "$(printf '%b' 'x-latin: \0344')" -H 'empty;' -H Content-Type: -X GET https://example.com/path --data-raw content
    "#]];
    let mut answers = vec![run(&["export", "a.flows", ID])];
    for source in [["-r", "a.flows"], ["--store", "a.store"], ["-r", "a.store"]] {
        for id in [ID, &ID[..8], &ID.to_uppercase()] {
            answers.push(run(&["export", source[0], source[1], id]));
        }
    }
    one.assert_eq(&answers[0]);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    expect![[r#"
        exit 1
        printf %s content | http GET http://address:22/path 'header: qvalue' Content-Type:
        printf %s content | http GET http://address:22/path 'header: qvalue' Content-Type:
        error: flow 0000000a-0000-4000-8000-000000000000: HTTPie cannot send this header field: x-latin: \xe4
    "#]]
    .assert_eq(&run(&["export", "-r", "a.flows", "~c", "200", "--format", "httpie"]));
    expect![[r#"
        exit 1
        error: no flow has an id that begins with `12345678`
        hint: `flowgate flows` lists the flows with their ids
    "#]]
    .assert_eq(&run(&["export", "-r", "a.flows", "12345678"]));
    expect![[r#"
        exit 1
        error: no flow of a.flows matches
    "#]]
    .assert_eq(&run(&["export", "-r", "a.flows", "nowhere.test"]));
    expect![[r#"
        exit 1
        error: nothing says which flows are meant
        hint: name a store with `--store FOLDER`, or a flow file with `-r FILE`
    "#]]
    .assert_eq(&run(&["export"]));
    expect![[r#"
        exit 1
        error: invalid value 'python' for '--format <FORMAT>': expected one of curl, httpie, raw, raw_request, raw_response, har, zhar, pcapng, flows
    "#]].assert_eq(&run(&["export", "-r", "a.flows", "--format", "python"]));
    // All kinds of flows, as the store has them.
    let both = ["-r", "--store"].map(|flag| {
        let source = if flag == "-r" { "a.flows" } else { "a.store" };
        command(home.path(), &["export", flag, source, "--format", "flows"]).output().unwrap().stdout
    });
    assert!(both[0] == both[1] && !both[0].is_empty());
}

#[test]
fn exports_into_files() {
    let home = home();
    let run = |arguments: &[&str]| run(home.path(), arguments);
    let read = |name: &str| fs::read(home.path().join(name)).unwrap();
    expect![[r#"
        exit 0
        note: 9 flows are not HTTP and have no place in it
    "#]]
    .assert_eq(&run(&["export", "-r", "a.flows", "-o", "x.har"]));
    assert_eq!(flows(&home.path().join("x.har")).len(), 8);
    for name in ["x.zhar", "x.pcapng", "x.flows"] {
        run(&["export", "-r", "a.flows", "-o", name]);
    }
    assert!(read("x.zhar").starts_with(&[0x78]));
    assert!(read("x.pcapng").starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]));
    assert_eq!(flows(&home.path().join("x.flows")).len(), 17);
    // The bytes of a message and nothing else.
    expect!["exit 0\n"].assert_eq(&run(&[
        "export",
        "-r",
        "a.flows",
        ID,
        "--format",
        "raw_response",
        "-o",
        "response",
    ]));
    assert!(read("response").starts_with(b"HTTP/1.1 200 "));
    let body: Vec<u8> = (0..=255).cycle().take(256 * 20).collect();
    assert!(read("response").ends_with(&[b"\r\n\r\n", &body[..]].concat()));
    // Nothing is written over unless that is asked for.
    expect![[r#"
        exit 1
        error: cannot write flows to response
          cause: there is a file of this name already
        hint: name another file, or let it be replaced with `--overwrite`
    "#]]
    .assert_eq(&run(&["export", "-r", "a.flows", ID, "-o", "response"]));
    assert!(read("response").ends_with(&body));
    expect!["exit 0\n"].assert_eq(&run(&["export", "-r", "a.flows", ID, "-o", "response", "--overwrite"]));
    assert!(read("response").starts_with(b"curl ") && read("response").ends_with(b"\n"));
    // Nothing is made of nothing.
    run(&["export", "-r", "a.flows", "nowhere.test", "-o", "none.har"]);
    run(&["export", "-r", "a.flows", "~tcp", "-o", "none.sh"]);
    assert_eq!(names(home.path()), ["a.flows", "response", "x.flows", "x.har", "x.pcapng", "x.zhar"]);
}

#[test]
fn conversions_that_fail_leave_what_was_there() {
    let home = home();
    let run = |arguments: &[&str]| run(home.path(), arguments);
    fs::write(home.path().join("text"), "no flows\n").unwrap();
    fs::write(home.path().join("old.har"), "old").unwrap();
    for to in ["x.flows", "x.har", "x.zhar", "x.pcapng", "x.store"] {
        let answer = run(&["convert", "text", to]);
        assert!(answer.starts_with("exit 1\nerror: cannot read flows from text\n"), "{to}: {answer}");
    }
    run(&["convert", "text", "old.har", "--overwrite"]);
    expect![[r#"
        exit 1
        error: cannot write flows to old.har
          cause: there is a file of this name already
        hint: name another file, or let it be replaced with `--overwrite`
    "#]]
    .assert_eq(&run(&["convert", "a.flows", "old.har"]));
    expect![[r#"
        exit 1
        error: cannot write flows to none/x.har
          cause: No such file or directory (os error 2)
        hint: the folder has to exist
    "#]]
    .assert_eq(&run(&["convert", "a.flows", "none/x.har"]));
    expect![[r#"
        exit 1
        error: cannot tell from the name x.pcap what to write
        hint: the name ends in `.flows`, `.flow`, `.mitm`, `.dump`, `.mitmdump`, `.har`, `.zhar`, `.pcapng`, or for a store in `.store` or `/`
    "#]].assert_eq(&run(&["convert", "a.flows", "x.pcap"]));
    expect![[r#"
        exit 1
        error: cannot read TLS secrets from none
          cause: No such file or directory (os error 2)
    "#]]
    .assert_eq(&run(&["convert", "a.flows", "x.pcapng", "--key-log", "none"]));
    assert_eq!(names(home.path()), ["a.flows", "old.har", "text"]);
    assert_eq!(fs::read(home.path().join("old.har")).unwrap(), b"old");
    expect![[r#"
        exit 0
        8 flows written to old.har; 9 flows are not HTTP and have no place in it
    "#]]
    .assert_eq(&run(&["convert", "a.flows", "old.har", "--overwrite"]));
    assert_eq!(flows(&home.path().join("old.har")).len(), 8);
}

#[test]
fn a_full_disk_is_left_as_it_was() {
    let Some(disk) = SmallDisk::new(64 << 10) else { return };
    let home = home();
    let many = fs::read(FLOWS).unwrap().repeat(40);
    fs::write(home.path().join("many.flows"), many).unwrap();
    for ending in ["flows", "har", "pcapng", "store"] {
        let to = disk.path().join(format!("x.{ending}"));
        let answer = run(home.path(), &["convert", "many.flows", to.to_str().unwrap()]);
        let expected = if ending == "store" {
            "exit 1\nerror: cannot "
        } else {
            "exit 1\nerror: cannot write flows to "
        };
        assert!(answer.starts_with(expected) && answer.contains("cause: "), "{answer}");
        assert!(names(disk.path()).is_empty(), "{ending}: {:?}", names(disk.path()));
    }
}

#[test]
fn an_interrupted_conversion_leaves_nothing() {
    for (to, signal) in [("x.har", Signal::INT), ("x.flows", Signal::TERM), ("x.store", Signal::HUP)] {
        let home = home();
        let mut child = command(home.path(), &["convert", "-", to]).stdin(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        // More than a pipe holds: when it is written, the conversion has begun.
        input.write_all(&fs::read(FLOWS).unwrap().repeat(40)).unwrap();
        kill_process(Pid::from_child(&child), signal).unwrap();
        let status = child.wait().unwrap();
        assert_eq!((status.code(), status.signal()), (Some(128 + signal.as_raw()), None));
        assert_eq!(names(home.path()), ["a.flows"]);
    }
}

/// Two flows are looked for in what can be read only once.
#[test]
fn differences_in_standard_input() {
    let home = home();
    let ids = ["0000000c", "00000000"];
    let diff = |source: &str, input: &Path| {
        let mut command = command(home.path(), &["diff", "-r", source, ids[0], ids[1]]);
        let output =
            command.env("TMPDIR", home.path()).stdin(fs::File::open(input).unwrap()).output().unwrap();
        assert!(output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let expected = diff("a.flows", Path::new("/dev/null"));
    assert!(expected.starts_with("--- 0000000c-"), "{expected}");
    assert_eq!(diff("-", Path::new(FLOWS)), expected);
    // What was kept for it is gone.
    assert_eq!(names(home.path()), ["a.flows"]);
}

/// What goes to port 22 is SSH to Wireshark. That TLS is decrypted by the secrets in a capture is tested in `e2e/har.rs`.
#[test]
fn captures_are_dissected() {
    let Some(tshark) = require("tshark") else { return };
    let home = home();
    run(home.path(), &["convert", "a.flows", "a.store"]);
    run(home.path(), &["convert", "a.store", "a.pcapng", "~http"]);
    let mut command = Process::command(&tshark);
    command.current_dir(home.path()).args(["-r", "a.pcapng", "-T", "fields", "-e", "http.request.full_uri"]);
    command.args(["-Y", "http.request"]);
    let output = Process::run("tshark", command, PATIENCE);
    expect![[r#"
        http://example.com/path
        http://address/path
    "#]]
    .assert_eq(&output.stdout);
}
