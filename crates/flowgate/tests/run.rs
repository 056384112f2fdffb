//! `flowgate run`: real commands behind a proxy of their own, their ends, and what checks say of them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use expect_test::{Expect, expect};
use flowgate_testkit::{Nginx, require};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

fn flowgate(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flowgate"));
    command.current_dir(home).env("HOME", home).env("no_proxy", "*").arg("run");
    command
}

fn shown(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    format!("exit {}\n{}{}", output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[track_caller]
fn check(arguments: &[&str], expected: Expect) {
    let home = TempDir::new().unwrap();
    let output = flowgate(home.path()).args(arguments).output().unwrap();
    expected.assert_eq(&shown(&output));
}

#[test]
fn a_command_is_decrypted_without_being_told_how() {
    let (Some(curl), Some(nginx)) = (require("curl"), Nginx::builder().file("a.txt", "hello\n").start())
    else {
        return;
    };
    let home = TempDir::new().unwrap();
    let checks = "[[check]]\nname = \"one\"\nfilter = \"~c 200\"\nexactly = 1\n\
                  [[check]]\nname = \"elsewhere\"\nonly_hosts = [\"example.test\"]\n";
    fs::write(home.path().join("checks.toml"), checks).unwrap();
    let trusted = format!("ssl_verify_upstream_trusted_ca={}", nginx.ca().certificate_path().display());
    let run = |checked: &[&str]| {
        flowgate(home.path())
            .args(["--set", &trusted, "-w", "a.flows"])
            .args(checked)
            .arg("--")
            .arg(&curl)
            .args(["--silent", "--show-error", &nginx.https_url("/a.txt")])
            .output()
            .unwrap()
    };
    expect![[r"
        exit 0
        hello
    "]]
    .assert_eq(&shown(&run(&[])));
    let flows = Command::new(env!("CARGO_BIN_EXE_flowgate"))
        .args(["flows", "-r", "a.flows", "--json"])
        .current_dir(home.path())
        .output()
        .unwrap();
    let flow: serde_json::Value = serde_json::from_slice(&flows.stdout).unwrap();
    assert_eq!((&flow["url"], &flow["status"]), (&nginx.https_url("/a.txt").into(), &200.into()));
    // A check that fails is the answer where the command's own is good.
    let checked = shown(&run(&["--check", "checks.toml", "--junit", "report.xml"]));
    // What violates a check is told when it comes, and again in the report.
    let (told, report) = checked.split_once("ok    one  (1 flow)\n").unwrap_or_else(|| panic!("{checked}"));
    let told = told.strip_prefix("exit 1\nhello\nFAIL  elsewhere: ").unwrap_or_else(|| panic!("{checked}"));
    let violation = format!("  GET {}: goes to localhost\n", nginx.https_url("/a.txt"));
    assert!(told.ends_with(&violation) && told.lines().count() == 1, "{checked}");
    assert!(report.starts_with("FAIL  elsewhere  (1 flow): 1 violation\n"), "{checked}");
    assert!(fs::read_to_string(home.path().join("report.xml")).unwrap().contains("failures=\"1\""));
}

#[test]
fn the_exit_code_is_the_commands() {
    check(
        &["--", "sh", "-c", "echo out; echo err >&2; exit 7"],
        expect![[r#"
        exit 7
        out
        err
    "#]],
    );
    check(
        &["--", "sh", "-c", "kill -9 $$"],
        expect![[r#"
        exit 137
    "#]],
    );
    check(
        &["--", "./none"],
        expect![[r#"
        exit 127
        error: cannot run `./none`
          cause: No such file or directory (os error 2)
    "#]],
    );
    check(
        &["--"],
        expect![[r#"
        exit 1
        error: `flowgate run` needs a command behind `--`
        hint: as in `flowgate run -w session.flows -- curl https://example.com/`
    "#]],
    );
    check(
        &["sh"],
        expect![[r#"
        exit 1
        error: unexpected argument `sh`
    "#]],
    );
    check(
        &["--check", "none.toml", "--", "sh", "-c", "echo not run"],
        expect![[r#"
        exit 2
        error: cannot read the checks in none.toml
          cause: No such file or directory (os error 2)
    "#]],
    );
    check(
        &["--mode", "nonsense", "--", "sh", "-c", "echo not run"],
        expect![[r#"
        exit 1
        error: option `mode`: invalid proxy mode specification: `nonsense`: there is no such mode
        hint: modes that run today: `regular`, `transparent`, `socks5`, `upstream:` with `http`, `https` or `socks5`, and `reverse:` with `http`, `https`, `tcp`, `tls`, `udp`, `quic` or `http3`; each may end in `@[host:]port`
    "#]],
    );
}

#[test]
fn the_environment_names_the_proxy_and_its_roots() {
    let home = TempDir::new().unwrap();
    let script = "test -z \"$no_proxy\" || echo no_proxy; echo $HTTPS_PROXY; grep -c BEGIN $SSL_CERT_FILE; \
                  grep -c BEGIN $NODE_EXTRA_CA_CERTS; test $SSL_CERT_FILE = $CURL_CA_BUNDLE && echo same";
    let output = flowgate(home.path()).args(["--mode", "socks5", "--", "sh", "-c", script]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let [url, roots, own, same] = lines[..] else { panic!("{text}") };
    assert!(url.starts_with("socks5h://127.0.0.1:"), "{text}");
    // The system's, if it has any, and ours.
    assert!(roots.parse::<u32>().unwrap() >= 1, "{text}");
    assert_eq!((own, same), ("1", "same"));
}

/// A signal that asks flowgate to end asks the command, which may clean up, and flowgate waits for that.
#[test]
fn a_command_is_asked_to_end() {
    let home = TempDir::new().unwrap();
    let script = "trap 'echo cleaned; exit 3' TERM; echo ready; while :; do sleep 0.01; done";
    let mut child =
        flowgate(home.path()).args(["--", "sh", "-c", script]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    kill_process(Pid::from_raw(child.id().try_into().unwrap()).unwrap(), Signal::TERM).unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "cleaned");
    assert_eq!(child.wait().unwrap().code(), Some(3));
}
