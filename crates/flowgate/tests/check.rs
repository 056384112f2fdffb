//! `flowgate check`, as the built program answers it, on a file and on a store.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::Command;

use expect_test::{Expect, expect};
use flowgate_testkit::{Curl, Flowgate, Nginx, Signal};
use tempfile::TempDir;

/// Flows of every kind, as mitmproxy wrote them.
const FLOWS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../formats/tests/data/mitmproxy-12.2.3-v21.flows");

const GOOD: &str = "[[check]]\nname = \"few\"\nat_most = 100\n";

const BAD: &str = r#"
[[check]]
name = "no errors"
filter = "~http"
forbid = "~e"

[[check]]
name = "at home"
only_hosts = ["address"]
severity = "warning"

[[check]]
name = "objects"
filter = "~u example.com/path"
schema = "object.json"
"#;

fn run(home: &Path, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_flowgate"))
        .args(arguments)
        .current_dir(home)
        .env("HOME", home)
        .env_remove("MITMPROXY_CASE_SENSITIVE_FILTERS")
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    format!("exit {}\n{out}{err}", output.status.code().unwrap())
}

/// A folder with checks and flows.
fn home() -> TempDir {
    let home = TempDir::new().unwrap();
    let file = |name: &str, text: &str| fs::write(home.path().join(name), text).unwrap();
    fs::create_dir(home.path().join("checks")).unwrap();
    file("checks/good.toml", GOOD);
    file("checks/bad.toml", BAD);
    file("checks/object.json", "{\"type\": \"object\"}");
    fs::copy(FLOWS, home.path().join("a.flows")).unwrap();
    let converted = run(home.path(), &["convert", "a.flows", "a.store"]);
    assert!(converted.starts_with("exit 0\n"), "{converted}");
    home
}

/// The file and the store answer alike.
#[track_caller]
fn check(arguments: &[&str], expected: Expect) {
    let home = home();
    let of = |source: &[&str]| run(home.path(), &[&["check"], arguments, source].concat());
    let answer = of(&["-r", "a.flows"]);
    expected.assert_eq(&answer);
    assert_eq!(of(&["--store", "a.store"]), answer);
}

#[test]
fn what_holds() {
    check(
        &["checks/good.toml"],
        expect![[r#"
        exit 0
        ok    few  (17 flows)
        1 of 1 checks hold
    "#]],
    );
}

#[test]
fn what_does_not() {
    check(
        &["checks/bad.toml"],
        expect![[r#"
        exit 1
        FAIL  no errors  (8 flows): 1 violation
                00000001  GET http://address:22/path: is ~e
        warn  at home  (17 flows): 2 violations
                0000000d  GET http://example.com/ws: goes to example.com
                0000000e  GET http://example.com/ws: goes to example.com
        FAIL  objects  (1 flow): 1 violation
                0000000a  GET https://example.com/path: response body: not JSON: expected value at line 1 column 1
        0 of 3 checks hold, 2 failed, 1 gave a warning
    "#]],
    );
}

#[test]
fn reports_are_written() {
    let home = home();
    let files = ["--junit", "report.xml", "--sarif", "report.sarif"];
    let answer = run(home.path(), &[&["check", "checks/bad.toml", "-r", "a.flows"][..], &files].concat());
    assert!(answer.starts_with("exit 1\n"), "{answer}");
    let read = |name: &str| fs::read_to_string(home.path().join(name)).unwrap();
    assert!(read("report.xml").contains("<testcase name=\"no errors\" classname=\"checks/bad.toml\""));
    let sarif: serde_json::Value = serde_json::from_str(&read("report.sarif")).unwrap();
    assert_eq!(sarif["runs"][0]["results"][0]["ruleId"], "no errors");
    let place = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(
        (&place["artifactLocation"]["uri"], &place["region"]["startLine"]),
        (&"checks/bad.toml".into(), &2.into())
    );
}

#[test]
fn what_cannot_be_said() {
    let home = home();
    let of = |arguments: &[&str]| run(home.path(), arguments);
    // A file that breaks off: what was read is judged, and that is not all.
    let bytes = fs::read(FLOWS).unwrap();
    fs::write(home.path().join("cut.flows"), &bytes[..3000]).unwrap();
    expect![[r#"
        exit 2
        ok    few  (1 flow)
        1 of 1 checks hold
        error: cannot read flows from cut.flows
          cause: flow file corrupted at byte 3000 after 1 flows
          cause: expected the rest of an item, found the end of the file
    "#]]
    .assert_eq(&of(&["check", "checks/good.toml", "-r", "cut.flows"]));
    expect![[r#"
        exit 2
        error: nothing says which flows are to be checked
        hint: name a store with `--store FOLDER`, or a flow file with `-r FILE`, or say `--live`
    "#]]
    .assert_eq(&of(&["check", "checks/good.toml"]));
    expect![[r#"
        exit 2
        error: cannot read the checks in none.toml
          cause: No such file or directory (os error 2)
    "#]]
    .assert_eq(&of(&["check", "none.toml", "-r", "a.flows"]));
    expect![[r#"
        exit 2
        error: cannot read flows from none.flows
          cause: No such file or directory (os error 2)
        hint: flows are read from a flow file, a HAR file, or the folder of a store
    "#]]
    .assert_eq(&of(&["check", "checks/good.toml", "-r", "none.flows"]));
    fs::write(home.path().join("wrong.toml"), "[[check]]\nname = \"a\"\nonly_host = [\"b\"]\n").unwrap();
    expect![[r#"
        exit 2
        error: wrong.toml:3:1: unknown field `only_host`, expected one of `name`, `help`, `severity`, `filter`, `at_least`, `at_most`, `exactly`, `per`, `require`, `forbid`, `only_hosts`, `header_only_to`, `status`, `duration`, `schema`, `request_schema`
    "#]].assert_eq(&of(&["check", "wrong.toml", "-r", "a.flows"]));
    // Once ended with 1, as where a check fails.
    expect![[r#"
        exit 2
        error: `flowgate check` needs a file of checks
        hint: as in `flowgate check checks.toml -r FILE`
    "#]]
    .assert_eq(&of(&["check"]));
    let nowhere = ["check", "checks/good.toml", "-r", "a.flows", "--junit", "no/such/folder.xml"];
    expect![[r#"
        exit 2
        ok    few  (17 flows)
        1 of 1 checks hold
        error: cannot write the report no/such/folder.xml
          cause: No such file or directory (os error 2)
    "#]]
    .assert_eq(&of(&nowhere));
}

/// A proxy that runs tells a violation when it comes, and gives the report in the end. A schema sees the bodies that cross.
#[test]
fn a_proxy_is_watched() {
    let nginx =
        Nginx::builder().file("good.json", "{\"id\": 1}").file("bad.json", "{\"id\": \"secret\"}").start();
    let (Some(nginx), Some(curl)) = (nginx, Curl::new()) else { return };
    let builder = Flowgate::builder(env!("CARGO_BIN_EXE_flowgate")).tool("check");
    let checks = "[[check]]\nname = \"users\"\nfilter = \"~u json\"\nschema = \"user.json\"\n\
                  [[check]]\nname = \"few\"\nat_most = 1\nseverity = \"warning\"\n";
    let schema = r#"{"type": "object", "properties": {"id": {"type": "integer"}}}"#;
    fs::write(builder.path("checks.toml"), checks).unwrap();
    fs::write(builder.path("user.json"), schema).unwrap();
    let flowgate = builder.args(["checks.toml", "--live"]).start();
    let curl = curl.proxy(&flowgate.proxy_url());
    let good = nginx.http_url("/good.json");
    assert_eq!(curl.fetch(&good).text(), "{\"id\": 1}");
    let bad = nginx.http_url("/bad.json");
    assert_eq!(curl.fetch(&bad).status, 200);
    let told = flowgate.wait_for(|line| line.starts_with("FAIL  users: ")).text;
    let what = "response body: at /id: value is not of type \"integer\"";
    assert!(told.ends_with(&format!("  GET {bad}: {what}")), "{told}");
    let told = flowgate.wait_for(|line| line.starts_with("warn  few: ")).text;
    assert!(told.ends_with(": 2 flows, at most 1 asked"), "{told}");
    assert_eq!(flowgate.stop(Signal::TERM).code(), Some(1));
    let lines: Vec<_> = flowgate.lines().into_iter().map(|line| line.text).collect();
    assert!(lines.iter().any(|line| line == "FAIL  users  (2 flows): 1 violation"), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("secret")), "{lines:#?}");
}
