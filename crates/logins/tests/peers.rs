//! Files that the real `htpasswd` writes, and people that a real OpenLDAP knows.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::Duration;

use flowgate_logins::{Answer, Logins};
use flowgate_options::LoginSpec;
use flowgate_testkit::{Process, Slapd, require};
use flowgate_tls::ServerVerification;

fn logins(text: &str, trusted: Option<&Path>) -> Logins {
    let verification =
        ServerVerification { extra_ca_file: trusted.map(Path::to_owned), ..ServerVerification::default() };
    Logins::new(&LoginSpec::parse(text).unwrap(), None, verification).unwrap()
}

async fn said(logins: &Logins, name: &str, password: &str) -> String {
    match logins.check(name, password.as_bytes()).await {
        Answer::Right => "right".into(),
        Answer::Wrong => "wrong".into(),
        Answer::Unanswered(why) => why.to_string(),
    }
}

#[tokio::test]
async fn files_that_htpasswd_writes() {
    let Some(htpasswd) = require("htpasswd") else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users");
    let kinds: [&[&str]; 6] = [&["-B"], &["-B", "-C", "6"], &["-m"], &["-s"], &["-2"], &["-5", "-r", "2000"]];
    for (number, kind) in kinds.iter().enumerate() {
        let mut command = Process::command(&htpasswd);
        let create = if number == 0 { "-cb" } else { "-b" };
        command.arg(create).args(*kind).arg(&path).args([format!("user{number}"), format!("päss {number}")]);
        let output = Process::run("htpasswd", command, Duration::from_secs(30));
        assert!(output.status.success(), "{kind:?}: {}", output.stderr);
    }
    let known = logins(&format!("@{}", path.display()), None);
    for (number, kind) in kinds.iter().enumerate() {
        let (name, password) = (format!("user{number}"), format!("päss {number}"));
        assert_eq!(said(&known, &name, &password).await, "right", "{kind:?}");
        assert_eq!(said(&known, &name, "päss").await, "wrong", "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_that_openldap_knows() {
    let people = [
        ("alice", "al", "secret"),
        ("bob", "bo", "other"),
        ("twin", "t1", "secret"),
        ("twin", "t2", "secret"),
        ("od*d)(x", "odd", "secret"),
    ];
    let Some(slapd) = Slapd::start(&people) else { return };
    let (admin, password) = Slapd::ADMIN;
    let rest = format!("{admin}:{password}:{}", Slapd::PEOPLE);
    let clear = format!("ldap:127.0.0.1:{}:{rest}", slapd.port());
    let over_tls = format!("ldaps:localhost:{}:{rest}", slapd.tls_port());
    for text in [&clear, &over_tls] {
        let known = logins(text, Some(&slapd.ca().certificate_path()));
        known.probe().await.unwrap();
        for (name, password, expected) in [
            ("alice", "secret", "right"),
            ("alice", "other", "wrong"),
            ("alice", "", "wrong"),
            ("nobody", "secret", "wrong"),
            // What would be a filter is a name.
            ("*", "secret", "wrong"),
            ("ali*", "secret", "wrong"),
            ("bob)(|(cn=alice", "secret", "wrong"),
            ("od*d)(x", "secret", "right"),
        ] {
            assert_eq!(said(&known, name, password).await, expected, "{name} {password}");
        }
        assert!(said(&known, "twin", "secret").await.ends_with("several entries have this name"));
    }
    let by_uid = logins(&format!("{clear}?search_filter_key=uid"), None);
    assert_eq!(said(&by_uid, "al", "secret").await, "right");
    assert_eq!(said(&by_uid, "alice", "secret").await, "wrong");
    let wrong = logins(&clear.replace(password, "guess"), None);
    let why = wrong.probe().await.unwrap_err().to_string();
    assert!(why.ends_with("it does not let us look for people: result 49"), "{why}");
    let untrusted = logins(&over_tls, None);
    let why = untrusted.probe().await.unwrap_err().to_string();
    assert!(why.contains("the connection failed: invalid peer certificate"), "{why}");
}
