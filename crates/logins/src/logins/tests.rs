//! One name, files, and directories that answer whatever a test wants. Those that are real stand in `tests/peers.rs`.

use super::*;

use std::fs;
use std::time::Duration;

use flowgate_wire::ldap::{Says, parse};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// `open sesame`, by bcrypt with the lowest cost, and by SHA-1.
const BCRYPT: &str = "$2y$04$PCCe1rGX3HOCuMRyk1xVVubleHIaxWq/CutvH.0ZtPCDjOvg7RlI2";
const SHA: &str = "{SHA}W8r/fyL/UzygmbNAjq2HbA67qac=";

fn logins(text: &str) -> Result<Logins, LoginsError> {
    Logins::new(&LoginSpec::parse(text).unwrap(), None, ServerVerification::default())
}

async fn said(logins: &Logins, name: &str, password: &str) -> String {
    match logins.check(name, password.as_bytes()).await {
        Answer::Right => "right".into(),
        Answer::Wrong => "wrong".into(),
        Answer::Unanswered(why) => why.to_string(),
    }
}

#[tokio::test]
async fn one_and_any() {
    let one = logins("alice:open:sesame").unwrap();
    for (name, password, expected) in [
        ("alice", "open:sesame", "right"),
        ("alice", "open", "wrong"),
        ("Alice", "open:sesame", "wrong"),
        ("alic", "eopen:sesame", "wrong"),
        ("", "", "wrong"),
    ] {
        assert_eq!(said(&one, name, password).await, expected, "{name} {password}");
    }
    assert_eq!(said(&logins("any").unwrap(), "who", "ever").await, "right");
}

#[tokio::test]
async fn a_file_that_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users");
    let spec = format!("@{}", path.display());
    let told = |error: LoginsError| error.to_string().replace(&folder.path().display().to_string(), "DIR");
    assert_eq!(
        told(logins(&spec).unwrap_err()),
        "cannot read DIR/users: No such file or directory (os error 2)"
    );
    fs::write(&path, "").unwrap();
    assert_eq!(told(logins(&spec).unwrap_err()), "DIR/users names nobody");
    fs::write(&path, format!("alice:{BCRYPT}\nbob:{SHA}\n")).unwrap();
    let known = logins(&spec).unwrap();
    assert_eq!(known.file(), Some(&*path));
    assert_eq!(known.check_at_once("alice", b"open sesame"), None);
    assert_eq!(said(&known, "alice", "open sesame").await, "right");
    assert_eq!(known.check_at_once("alice", b"open sesame"), Some(true), "it is remembered");
    for (name, password) in [("alice", "x"), ("bob", ""), ("carol", "open sesame")] {
        assert_eq!(said(&known, name, password).await, "wrong");
        assert_eq!(known.check_at_once(name, password.as_bytes()), None, "what is wrong is not");
    }
    fs::write(&path, format!("bob:{SHA}\nalice:x\n")).unwrap();
    assert_eq!(
        told(known.read_again().unwrap_err()),
        "DIR/users line 2: the password is not hashed in a way that is taken here"
    );
    assert_eq!(said(&known, "alice", "open sesame").await, "right", "the old one stays");
    fs::write(&path, format!("bob:{SHA}\n")).unwrap();
    assert_eq!(known.read_again().unwrap(), Some(1));
    assert_eq!(known.read_again().unwrap(), None, "it says the same");
    assert_eq!(said(&known, "alice", "open sesame").await, "wrong", "what was right is forgotten");
    assert_eq!(said(&known, "bob", "open sesame").await, "right");
}

/// A directory that answers with these bytes, one after each message, and then closes.
async fn directory(answers: &'static [&'static [u8]]) -> Logins {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut received = [0; 1024];
            for answer in answers {
                if stream.read(&mut received).await.unwrap_or(0) == 0 {
                    break;
                }
                let _ = stream.write_all(answer).await;
            }
        }
    });
    logins(&format!("ldap:127.0.0.1:{port}:cn=admin:pw:dc=a")).unwrap()
}

const BOUND: &[u8] = b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00";
const FOUND: &[u8] = b"\x30\x0d\x02\x01\x02\x64\x08\x04\x04cn=a\x30\x00\x30\x0c\x02\x01\x02\x65\x07\x0a\x01\x00\x04\x00\x04\x00";
const TWO: &[u8] =
    b"\x30\x0d\x02\x01\x02\x64\x08\x04\x04cn=a\x30\x00\x30\x0d\x02\x01\x02\x64\x08\x04\x04cn=b\x30\x00";
const NONE: &[u8] = b"\x30\x0c\x02\x01\x02\x65\x07\x0a\x01\x00\x04\x00\x04\x00";
const NO_BASE: &[u8] = b"\x30\x0c\x02\x01\x02\x65\x07\x0a\x01\x20\x04\x00\x04\x00";
const MANY: &[u8] = b"\x30\x0c\x02\x01\x02\x65\x07\x0a\x01\x04\x04\x00\x04\x00";
const RIGHT: &[u8] = b"\x30\x0c\x02\x01\x03\x61\x07\x0a\x01\x00\x04\x00\x04\x00";
const WRONG: &[u8] = b"\x30\x0c\x02\x01\x03\x61\x07\x0a\x01\x31\x04\x00\x04\x00";
const BUSY: &[u8] = b"\x30\x0c\x02\x01\x03\x61\x07\x0a\x01\x33\x04\x00\x04\x00";
const NOT_ALLOWED: &[u8] = b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x31\x04\x00\x04\x00";

#[tokio::test]
async fn whatever_a_directory_answers() {
    let rows: &[(&[&[u8]], &str)] = &[
        (&[BOUND, FOUND, RIGHT], "right"),
        (&[BOUND, FOUND, WRONG], "wrong"),
        (&[BOUND, NONE], "wrong"),
        (&[BOUND, FOUND, BUSY], "it cannot say whether the password is right: result 51"),
        (&[BOUND, TWO], "several entries have this name"),
        (&[BOUND, MANY], "several entries have this name"),
        (&[BOUND, NO_BASE], "the search for people failed: result 32"),
        (&[NOT_ALLOWED], "it does not let us look for people: result 49"),
        (&[BOUND, BOUND], "it gave an answer that belongs to no question"),
        (&[NONE], "it gave an answer that belongs to no question"),
        (&[BOUND], "it closed the connection"),
        (&[b"HTTP/1.1 400 Bad Request\r\n\r\n"], "malformed LDAP message at byte 0"),
    ];
    for (answers, expected) in rows {
        let found = said(&directory(answers).await, "alice", "pw").await;
        assert_eq!(found.split_once(": ").map_or(&*found, |(_, why)| why), *expected);
    }
    assert!(matches!(parse(FOUND), Ok(Some((message, 15))) if message.says == Says::Entry("cn=a".into())));
}

/// Without a password it would be a bind of nobody, which servers take for well done.
#[tokio::test]
async fn no_password_is_never_right() {
    let known = directory(&[BOUND, FOUND, RIGHT]).await;
    assert_eq!(said(&known, "alice", "").await, "wrong");
    assert_eq!(said(&known, "", "pw").await, "wrong");
    known.probe().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_directory_said_is_remembered_for_a_while() {
    let spec = LoginSpec::parse("ldap:h:cn=admin:pw:dc=a").unwrap();
    let known = Logins::new(&spec, None, ServerVerification::default()).unwrap();
    let Known::Ldap(_, verified) = &known.known else { panic!() };
    verified.add(known.tagger.tag("alice", b"pw"), Some(Instant::now() + LDAP_TRUST_TIME));
    assert_eq!(said(&known, "alice", "pw").await, "right");
    tokio::time::advance(LDAP_TRUST_TIME + Duration::from_millis(1)).await;
    assert_eq!(known.check_at_once("alice", b"pw"), None);
}

/// A directory that says nothing holds as many as may ask it, and nobody for longer than it takes to give up.
#[tokio::test]
async fn a_silent_directory_holds_nobody_for_ever() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let known = Arc::new(logins(&format!("ldap:127.0.0.1:{port}:cn=admin:pw:dc=a")).unwrap());
    tokio::time::pause();
    let since = Instant::now();
    let asked: Vec<_> = (0..CHECKS_MAX * 2)
        .map(|_| {
            let known = Arc::clone(&known);
            tokio::spawn(async move { said(&known, "alice", "pw").await })
        })
        .collect();
    for asked in asked {
        assert_eq!(asked.await.unwrap(), "no answer within 10 s");
    }
    assert!(since.elapsed() < CHECK_TIMEOUT + Duration::from_secs(1));
}
