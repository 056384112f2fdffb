//! The fixture for the binary, tried on a shell script that prints what flowgate prints.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use flowgate_testkit::{Flowgate, Signal};
use tempfile::TempDir;

/// Prints its arguments and one address, and ends with status 7 on an interrupt.
const STAND_IN: &str = r#"#!/bin/sh
trap 'echo "stopping" >&2; exit 7' INT
[ "$1" = --version ] && { echo "flowgate 0"; exit 0; }
echo "arguments: $*"
echo "home: $HOME, user: ${USER-unset}, extra: $EXTRA"
echo "HTTP(S) proxy listening at 127.0.0.1:4711."
mkfifo "$HOME/never"; exec 3<>"$HOME/never"; read -r line <&3
"#;

fn stand_in() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("flowgate");
    fs::write(&path, STAND_IN).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    (folder, path)
}

#[test]
fn it_is_started_apart_from_the_machine_and_stopped_by_a_signal() {
    let (_folder, binary) = stand_in();
    let flowgate = Flowgate::builder(binary)
        .confdir_file("config.yaml", "web_open_browser: false\n")
        .set("ssl_insecure", true)
        .args(["--ignore-hosts", "^bank\\.test:443$"])
        .env("EXTRA", "1")
        .start();
    assert_eq!(flowgate.address(), "127.0.0.1:4711".parse().unwrap());
    let confdir = flowgate.confdir();
    let arguments = format!(
        "arguments: dump --listen-host 127.0.0.1 -p 0 --set confdir={} --set ssl_insecure=true --ignore-hosts ^bank\\.test:443$",
        confdir.display()
    );
    flowgate.wait_for(|line| line == arguments);
    let home = flowgate.wait_for(|line| line.starts_with("home: ")).text;
    assert_eq!(
        home,
        format!(
            "home: {}, user: unset, extra: 1",
            flowgate.path("").display().to_string().trim_end_matches('/')
        )
    );
    assert!(confdir.join("config.yaml").is_file());
    assert_eq!(flowgate.stop(Signal::INT).code(), Some(7));
    assert_eq!(flowgate.lines().last().map(|line| line.text.as_str()), Some("stopping"));
    drop(flowgate);
    assert!(!confdir.exists());
}

#[test]
fn what_ends_by_itself_is_run() {
    let (_folder, binary) = stand_in();
    let output = Flowgate::run(binary, &["--version"]);
    assert_eq!(
        (output.status.code(), output.stdout.as_str(), output.stderr.as_str()),
        (Some(0), "flowgate 0\n", "")
    );
}
