//! Clients that refuse our certificate, as real programs do it: each with its own alert, at its own time, or without a word.
//! What is told has to name the likely cause and the next step.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use expect_test::{Expect, expect};
use flowgate_testkit::{Chromium, Curl, Flowgate, Process, RawServer, TestCa, client_config, require};
use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use crate::support::{Client, flowgate, https_server, saved_flows};

/// For programs that take a while to begin.
const PATIENCE: Duration = Duration::from_secs(90);

/// What most hints end with.
const NEXT_STEP: &str = "install CONFDIR/flowgate-ca-cert.pem on the client; if the app pins its certificate, \
    `--ignore-hosts '^localhost:PORT$'`, or a rule with `name = \"localhost\"`, `port = PORT`, `action = \"pass\"`, passes it \
    through";

struct Fixture {
    ca: TestCa,
    server: RawServer,
    flowgate: Flowgate,
    /// How many failures were told of before.
    seen: usize,
}

impl Fixture {
    fn new(connection_strategy: &str) -> Self {
        let ca = TestCa::new();
        let server = https_server(&ca, &["localhost"]);
        let flowgate = flowgate()
            .set("ssl_verify_upstream_trusted_ca", ca.certificate_path().display())
            .set("connection_strategy", connection_strategy)
            .start();
        Self { ca, server, flowgate, seen: 0 }
    }

    fn authority(&self) -> String {
        format!("localhost:{}", self.server.address().port())
    }

    fn url(&self) -> String {
        format!("https://{}/", self.authority())
    }

    /// What is told of the next client, without what differs from run to run. A browser opens several connections at once, and
    /// what is told of one may stand between the lines of another.
    fn told(&mut self) -> String {
        let (mut told, mut clients, mut of) = (String::new(), 0, None);
        self.flowgate.wait_for(|line| {
            let found =
                |what| line.find(what).map(|at| (line[..at].rsplit('[').next().unwrap().to_owned(), at));
            if let Some((client, at)) = found("Client TLS ") {
                clients += 1;
                if clients == self.seen + 1 {
                    told = line[at..].to_owned() + "\n";
                    of = Some(client);
                }
                return false;
            }
            let Some((_, at)) = found("hint: ").filter(|(client, _)| of.as_ref() == Some(client)) else {
                return false;
            };
            told = told.clone() + &line[at..] + "\n";
            true
        });
        self.seen += 1;
        let told = told
            .replace(&self.flowgate.confdir().display().to_string(), "CONFDIR")
            .replace(&self.server.address().port().to_string(), "PORT")
            .replace(NEXT_STEP, "NEXT_STEP");
        let Some((before, after)) = told.split_once("after ") else { return told };
        format!("{before}after N{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
    }

    /// `openssl s_client` through the proxy; `trusting` our CA or nobody's.
    fn s_client(&self, trusting: bool, arguments: &[&str]) -> Option<()> {
        let mut command = Process::command(&require("openssl")?);
        command
            .args(["s_client", "-proxy", &self.flowgate.address().to_string(), "-connect", &self.authority()])
            .args(["-servername", "localhost", "-verify_return_error"])
            .args(arguments);
        let root = if trusting { self.flowgate.ca_certificate() } else { self.ca.certificate_path() };
        command.arg("-CAfile").arg(root).args(["-no-CApath", "-no-CAstore"]);
        let output = Process::run("openssl", command, PATIENCE);
        assert!(!output.status.success(), "{output:?}");
        Some(())
    }
}

fn check(fixture: &mut Fixture, client: impl FnOnce(&Fixture) -> Option<()>, expected: Expect) {
    if client(fixture).is_some() {
        expected.assert_eq(&fixture.told());
    }
}

/// Seconds since 1970, so many days from now.
fn days_from_now(days: i64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    (i64::try_from(now).unwrap() + days * 86_400).to_string()
}

fn curl(fixture: &Fixture, root: &Path, arguments: &[&str]) -> Option<i32> {
    let curl = Curl::new()?.proxy(&fixture.flowgate.proxy_url()).trust(root).args(arguments.iter().copied());
    Some(curl.fetch(&fixture.url()).exit)
}

#[test]
fn openssl_says_what_it_does_not_like() {
    let fixture = &mut Fixture::new("eager");
    for version in ["-tls1_2", "-tls1_3"] {
        check(
            fixture,
            |fixture| fixture.s_client(false, &[version]),
            expect![[r#"
                Client TLS handshake failed: client does not trust our certificate for `localhost`: TLS alert: unknown certificate authority (sent by the client after N ms)
                hint: likely our CA is not installed where this client looks for it: NEXT_STEP
            "#]],
        );
        check(
            fixture,
            |fixture| fixture.s_client(true, &[version, "-attime", &days_from_now(300)]),
            expect![[r#"
                Client TLS handshake failed: client does not trust our certificate for `localhost`: TLS alert: certificate expired (sent by the client after N ms)
                hint: likely the client's clock is wrong: our certificates are valid from 2 days ago to 197 days from now
            "#]],
        );
        check(
            fixture,
            |fixture| fixture.s_client(true, &[version, "-attime", &days_from_now(-3)]),
            expect![[r#"
                Client TLS handshake failed: client does not trust our certificate for `localhost`: TLS alert: bad certificate (sent by the client after N ms)
                hint: likely the app pins its certificate, wants another name than `localhost`, has a clock that is more than 2 days behind, or looks for our CA where it is not installed: NEXT_STEP
            "#]],
        );
        check(
            fixture,
            |fixture| fixture.s_client(true, &[version, "-verify_hostname", "other.test"]),
            expect![[r#"
                Client TLS handshake failed: client does not trust our certificate for `localhost`: TLS alert: bad certificate (sent by the client after N ms)
                hint: likely the app pins its certificate, wants another name than `localhost`, has a clock that is more than 2 days behind, or looks for our CA where it is not installed: NEXT_STEP
            "#]],
        );
    }
}

#[test]
fn curl_and_python_without_our_ca() {
    let fixture = &mut Fixture::new("eager");
    check(
        fixture,
        |fixture| {
            assert_eq!(curl(fixture, &fixture.ca.certificate_path(), &[])?, 60);
            Some(())
        },
        expect![[r#"
            Client TLS handshake failed: client does not trust our certificate for `localhost`: TLS alert: unknown certificate authority (sent by the client after N ms)
            hint: likely our CA is not installed where this client looks for it: NEXT_STEP
        "#]],
    );
    check(
        fixture,
        |fixture| {
            let mut command = Process::command(&require("python3")?);
            command
                .args([
                    "-c",
                    "import sys, urllib.request; urllib.request.urlopen(sys.argv[1])",
                    &fixture.url(),
                ])
                .env("https_proxy", fixture.flowgate.proxy_url())
                .env("no_proxy", "")
                .env("SSL_CERT_FILE", fixture.ca.certificate_path());
            let output = Process::run("python3", command, PATIENCE);
            assert!(output.stderr.contains("CERTIFICATE_VERIFY_FAILED"), "{output:?}");
            Some(())
        },
        expect![[r#"
            Client TLS handshake failed: client does not trust our certificate for `localhost`: TLS alert: unknown certificate authority (sent by the client after N ms)
            hint: likely our CA is not installed where this client looks for it: NEXT_STEP
        "#]],
    );
}

#[test]
fn chromium_without_our_ca() {
    let fixture = &mut Fixture::new("eager");
    let Some(chromium) = Chromium::new(&[]) else { return };
    let page = chromium.proxy(&fixture.flowgate.proxy_url()).dump_dom(&fixture.url());
    assert!(!page.contains("ok"), "{page}");
    let mut told = fixture.told();
    while told.contains("closed the connection during the TLS handshake") {
        // It opens others to be faster, and drops them when the first one has shown what there is.
        told = fixture.told();
    }
    expect![[r#"
        Client TLS handshake failed: client does not trust our certificate for `localhost`: TLS alert: certificate unknown (sent by the client after N ms)
        hint: likely our CA is not installed where this client looks for it, or the app pins its certificate: NEXT_STEP
    "#]]
    .assert_eq(&told);
}

/// A wrong pin is found out when the handshake is over: TLS has nothing to say about it.
#[test]
fn an_app_that_pins() {
    // HTTP/1.1 and HTTP/2 inside: one begins with the client's bytes, the other with ours.
    for (connection_strategy, version) in [("eager", "--http1.1"), ("lazy", "--http2")] {
        let fixture = &mut Fixture::new(connection_strategy);
        check(
            fixture,
            |fixture| {
                let pin = format!("sha256//{}=", "A".repeat(43));
                let root = fixture.flowgate.ca_certificate();
                assert_eq!(curl(fixture, &root, &[version, "--pinnedpubkey", &pin])?, 90);
                Some(())
            },
            expect![[r#"
                Client TLS failed: client left as soon as its TLS with `localhost` stood, without a word: after N ms
                hint: if it always does, it looks at our certificate only then, and does not trust it: NEXT_STEP
            "#]],
        );
        // Not even an empty conversation of TCP is shown.
        assert!(saved_flows(&fixture.flowgate).is_empty());
    }
}

/// GnuTLS looks at certificates when the handshake is finished.
#[test]
fn wget_without_our_ca() {
    let fixture = &mut Fixture::new("eager");
    check(
        fixture,
        |fixture| {
            let mut command = Process::command(&require("wget")?);
            command
                .args(["--no-config", "--tries=1", "--no-hsts", "-O", "-", &fixture.url()])
                .arg(format!("--ca-certificate={}", fixture.ca.certificate_path().display()))
                .env("https_proxy", fixture.flowgate.proxy_url())
                .env("no_proxy", "");
            let output = Process::run("wget", command, PATIENCE);
            assert_eq!(output.status.code(), Some(5), "{output:?}");
            Some(())
        },
        expect![[r#"
            Client TLS failed: client left as soon as its TLS with `localhost` stood, without a word: after N ms
            hint: if it always does, it looks at our certificate only then, and does not trust it: NEXT_STEP
        "#]],
    );
}

#[test]
fn a_client_that_hangs_up() {
    let fixture = &mut Fixture::new("eager");
    check(
        fixture,
        |fixture| {
            let mut client = Client::tunnel(&fixture.flowgate, fixture.authority());
            let name = ServerName::try_from("localhost").unwrap();
            let config = Arc::new(client_config(&fixture.ca.certificate_path(), &[]));
            let mut hello = Vec::new();
            ClientConnection::new(config, name).unwrap().write_tls(&mut hello).unwrap();
            client.send(hello);
            // A record of the handshake: our hello.
            assert_eq!(client.read_count(1), [22]);
            Some(())
        },
        expect![[r#"
            Client TLS handshake failed: client closed the connection during the TLS handshake for `localhost`: after N ms
            hint: if it always does, it may not trust our certificate: NEXT_STEP
        "#]],
    );
}
