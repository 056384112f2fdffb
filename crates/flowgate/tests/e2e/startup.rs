//! Starts that fail: an `error:` line and a hint on standard error, exit code 1, and nothing half begun.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use expect_test::{Expect, expect};
use flowgate_testkit::Flowgate;
use tempfile::TempDir;

use crate::support::{FLOWGATE, flowgate, masked};

/// Starts `flowgate dump` in a fresh folder; shows what it printed with the folder as `FOLDER`, and which files it left.
fn start(arguments: &[&str], prepare: impl FnOnce(&Path)) -> String {
    let folder = TempDir::new().unwrap();
    prepare(folder.path());
    let replaced = |text: &str| text.replace("FOLDER", folder.path().to_str().unwrap());
    let confdir = replaced("confdir=FOLDER/conf");
    let mut all = vec!["dump".to_owned(), "--set".to_owned(), confdir];
    all.extend(arguments.iter().map(|argument| replaced(argument)));
    if !arguments.contains(&"-p") {
        all.extend(["-p", "0", "--listen-host", "127.0.0.1"].map(str::to_owned));
    }
    let all: Vec<_> = all.iter().map(String::as_str).collect();
    let output = Flowgate::run(FLOWGATE, &all);
    let mut files: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|file| file.unwrap())
        .map(|file| {
            format!(
                "{} {}",
                file.file_name().display(),
                if file.path().is_dir() { 0 } else { file.metadata().unwrap().len() }
            )
        })
        .collect();
    files.sort();
    let shown = format!(
        "exit {}\n{}{}files: {files:?}\n",
        output.status.code().unwrap(),
        output.stdout,
        output.stderr
    );
    shown.replace(folder.path().to_str().unwrap(), "FOLDER")
}

fn check(arguments: &[&str], expected: Expect) {
    expected.assert_eq(&start(arguments, |_| {}));
}

#[test]
fn options_that_are_none() {
    check(
        &["--set", "ignore_host=x"],
        expect![[r#"
        exit 1
        error: `ignore_host` is not an option
        hint: did you mean `ignore_hosts`?
        files: []
    "#]],
    );
    check(
        &["--set", "flow_detail=9"],
        expect![[r#"
        exit 1
        error: option `flow_detail`: expected a whole number from 0 to 4, found `9`
        files: []
    "#]],
    );
    check(
        &["--ignore-hosts", "(unclosed"],
        expect![[r#"
        exit 1
        error: ignore_hosts[0] /(unclosed/: missing ), unterminated subpattern at position 0
        hint: patterns are regular expressions as in Python's `re`
        files: []
    "#]],
    );
    check(
        &["--allow-hosts", "ok", "--allow-hosts", "a**"],
        expect![[r#"
        exit 1
        error: allow_hosts[1] /a**/: multiple repeat at position 2
        hint: patterns are regular expressions as in Python's `re`
        files: []
    "#]],
    );
    check(
        &["--mode", "regular@nonsense"],
        expect![[r#"
        exit 1
        error: option `mode`: invalid proxy mode specification: `regular@nonsense`: `nonsense` is not a port (0 to 65535)
        files: []
    "#]],
    );
    check(
        &["--set", "ssl_verify_upstream_trusted_ca=FOLDER/none.pem"],
        expect![[r#"
        exit 1
        error: cannot read the trusted CA certificates in FOLDER/none.pem
          cause: No such file or directory (os error 2)
        hint: check `ssl_verify_upstream_trusted_ca` and `ssl_verify_upstream_trusted_confdir`
        files: []
    "#]],
    );
}

#[test]
fn files_that_are_not_there() {
    check(
        &["-r", "FOLDER/none"],
        expect![[r#"
            exit 1
            error: cannot read flows from FOLDER/none
              cause: No such file or directory (os error 2)
            hint: flows are read from a flow file, a HAR file, or the folder of a store
            files: []
        "#]],
    );
    check(
        &["-r", "FOLDER"],
        expect![[r#"
            exit 1
            error: cannot read flows from FOLDER
              cause: there is no store at FOLDER
            hint: a store is the folder that `--store` named
            files: []
        "#]],
    );
    check(
        &["-w", "/dev/null/flows"],
        expect![[r#"
        exit 1
        error: cannot write flows to /dev/null/flows
          cause: Not a directory (os error 20)
        hint: option `save_stream_file` (`-w`) names a file that can be written
        files: []
    "#]],
    );
    check(
        &["-w", "FOLDER"],
        expect![[r#"
        exit 1
        error: cannot write flows to FOLDER
          cause: Is a directory (os error 21)
        hint: option `save_stream_file` (`-w`) names a file that can be written
        files: []
    "#]],
    );
}

#[test]
fn files_of_something_else() {
    let write = |content: &'static str| move |folder: &Path| fs::write(folder.join("file"), content).unwrap();
    expect![[r#"
        exit 1
        error: cannot read flows from FOLDER/file
          cause: flow file corrupted at byte 0 after 0 flows
          cause: expected a length and a colon
        hint: flow files of mitmproxy and flowgate, HAR files and stores are read; captures for Wireshark are only written
        files: ["file 16"]
    "#]]
    .assert_eq(&start(&["-r", "FOLDER/file"], write("<!doctype html>\n")));
    expect![[r#"
        exit 1
        error: cannot read flows from FOLDER/file
          cause: flow file corrupted at byte 12 after 0 flows
          cause: expected the rest of an item, found the end of the file
        files: ["file 12"]
    "#]]
    .assert_eq(&start(&["-r", "FOLDER/file"], write("100:5:hello,")));
}

#[test]
fn a_ca_that_is_none_is_not_replaced() {
    let shown = start(&[], |folder| {
        fs::create_dir(folder.join("conf")).unwrap();
        fs::write(folder.join("conf/flowgate-ca.pem"), "not PEM\n").unwrap();
    });
    expect![[r#"
        exit 1
        error: the CA file FOLDER/conf/flowgate-ca.pem has no private key
        hint: FOLDER/conf/flowgate-ca.pem must hold the private key and then the certificate; clients get the certificate alone, from the file that ends in -ca-cert.pem
        files: ["conf 0"]
    "#]].assert_eq(&shown);
}

#[test]
fn a_port_that_is_taken() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let shown = start(&["-p", &port.to_string(), "--listen-host", "127.0.0.1"], |_| {});
    let names = [(format!("127.0.0.1:{port}"), "ADDRESS"), ((port + 2).to_string(), "OTHER")];
    expect![[r#"
        exit 1
        error: HTTP(S) proxy failed to listen
          cause: cannot listen at ADDRESS
          cause: Address already in use (os error 98)
        hint: another program listens there already; choose another port, such as `-p OTHER`
        files: ["conf 0"]
    "#]]
    .assert_eq(&masked(&shown, &names));
}

/// Reading what is being written would never end, or read nothing.
#[test]
fn a_file_is_not_read_and_written_at_once() {
    for save in ["FOLDER/flows", "+FOLDER/../FOLDER_NAME/flows"] {
        let folder_name = |folder: &Path| folder.file_name().unwrap().to_str().unwrap().to_owned();
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("flows"), "flows of a day").unwrap();
        let path = folder.path().to_str().unwrap();
        let save = save.replace("FOLDER_NAME", &folder_name(folder.path())).replace("FOLDER", path);
        let output = Flowgate::run(FLOWGATE, &["dump", "-n", "-r", &format!("{path}/flows"), "-w", &save]);
        assert_eq!(output.status.code(), Some(1));
        let told = "error: options `rfile` and `save_stream_file` name the same place, ";
        assert!(output.stderr.starts_with(told) && output.stderr.contains("\nhint: "), "{}", output.stderr);
        assert_eq!(fs::read(folder.path().join("flows")).unwrap(), b"flows of a day");
    }
}

/// Somebody starts the same command line twice: the second one must not empty the file of the first.
#[test]
fn a_start_that_fails_leaves_the_flow_file_as_it_was() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    for failing in [
        vec!["-p", &port, "--listen-host", "127.0.0.1", "-w", "FOLDER/flows"],
        vec!["--ignore-hosts", "(", "-w", "FOLDER/flows"],
        vec!["-r", "FOLDER/none", "-w", "FOLDER/flows"],
    ] {
        let shown = start(&failing, |folder| fs::write(folder.join("flows"), "flows of a day").unwrap());
        assert!(shown.starts_with("exit 1\n"), "{shown}");
        assert!(shown.contains("\"flows 14\""), "{failing:?}: {shown}");
    }
}

#[test]
fn the_config_file_is_read_and_flags_win() {
    let flowgate = flowgate()
        .confdir_file("config.yaml", "flow_detail: 0\nlisten_port: 1\nignore_hosts: ['a']\n")
        .start();
    assert_ne!(flowgate.address().port(), 1);
}
