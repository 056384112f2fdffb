//! Certificates on both sides: our CA and its files, what stands in leaves, whom we trust, and what a client reads when
//! we do not.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use expect_test::expect;
use flowgate_testkit::{Curl, Flowgate, Process, RawServer, TestCa, require};
use tempfile::TempDir;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::support::{Client, FLOWGATE, flowgate, https_server, saved_flows};

/// The subject alternative names of a certificate, in no order.
fn names(der: &[u8]) -> BTreeSet<String> {
    let (_, certificate) = X509Certificate::from_der(der).unwrap();
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    let shown = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => (*name).to_owned(),
        GeneralName::IPAddress([a, b, c, d]) => format!("{a}.{b}.{c}.{d}"),
        other => format!("{other:?}"),
    };
    names.value.general_names.iter().map(shown).collect()
}

#[test]
fn the_ca_is_made_once_and_its_key_is_private() {
    let folder = TempDir::new().unwrap();
    let confdir = folder.path().join("new/conf");
    let start = || Flowgate::builder(FLOWGATE).confdir(&confdir).start();
    drop(start());
    let listing = || {
        let mut files: Vec<_> = fs::read_dir(&confdir).unwrap().map(Result::unwrap).collect();
        files.sort_by_key(fs::DirEntry::file_name);
        // How far the others may be read is the umask's affair.
        files.iter().fold(String::new(), |text, file| {
            let mode = file.metadata().unwrap().permissions().mode();
            let private =
                if mode & 0o077 == 0 && file.file_name() == "flowgate-ca.pem" { ", private" } else { "" };
            format!("{text}{}{private}\n", file.file_name().display())
        })
    };
    let before = listing();
    expect![[r#"
        flowgate-ca-cert.cer
        flowgate-ca-cert.p12
        flowgate-ca-cert.pem
        flowgate-ca.pem, private
    "#]]
    .assert_eq(&before);
    assert_eq!(fs::metadata(&confdir).unwrap().permissions().mode() & 0o777, 0o700);
    let key = fs::read(confdir.join("flowgate-ca.pem")).unwrap();
    drop(start());
    assert_eq!((listing(), fs::read(confdir.join("flowgate-ca.pem")).unwrap()), (before, key));
}

#[test]
fn two_first_starts_at_once_agree_on_one_ca() {
    let folder = TempDir::new().unwrap();
    let confdir = folder.path().join("conf");
    let ca = TestCa::new();
    let server = https_server(&ca, &["localhost"]);
    let running: Vec<Flowgate> = std::thread::scope(|scope| {
        let start = || {
            Flowgate::builder(FLOWGATE)
                .confdir(&confdir)
                .set("ssl_verify_upstream_trusted_ca", ca.certificate_path().display())
                .start()
        };
        let starts: Vec<_> = (0..4).map(|_| scope.spawn(start)).collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    for flowgate in &running {
        let tunnel = Client::tunnel(flowgate, format_args!("localhost:{}", server.address().port()));
        let mut client = tunnel.tls(&confdir.join("flowgate-ca-cert.pem"), "localhost", &[]);
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response().1, "ok");
    }
}

/// Makes an RSA CA with the openssl program, in the shape of mitmproxy's `mitmproxy-ca.pem`: key, then certificate.
fn openssl_ca(folder: &Path) -> Option<(String, String)> {
    let openssl = require("openssl")?;
    let (key, certificate) = (folder.join("key.pem"), folder.join("cert.pem"));
    let mut command = Process::command(&openssl);
    command
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "30",
            "-subj",
            "/CN=mitmproxy/O=mitmproxy",
        ])
        .args([
            "-addext",
            "basicConstraints=critical,CA:TRUE",
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
        ])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate);
    let output = Process::run("openssl", command, flowgate_testkit::PATIENCE);
    assert!(output.status.success(), "{output:?}");
    Some((fs::read_to_string(key).unwrap(), fs::read_to_string(certificate).unwrap()))
}

#[test]
fn mitmproxys_ca_is_used_as_it_is() {
    let folder = TempDir::new().unwrap();
    let (Some((key, certificate)), Some(curl)) = (openssl_ca(folder.path()), Curl::new()) else { return };
    let ca = TestCa::new();
    let server = https_server(&ca, &["localhost"]);
    let bundle = key + &certificate;
    let flowgate = flowgate()
        .confdir_file("mitmproxy-ca.pem", &bundle)
        .set("ssl_verify_upstream_trusted_ca", ca.certificate_path().display())
        .start();
    let confdir = flowgate.confdir();
    let url = format!("https://localhost:{}/", server.address().port());
    let reply = curl.proxy(&flowgate.proxy_url()).trust(&folder.path().join("cert.pem")).fetch(&url);
    assert_eq!((reply.exit, reply.text().as_str()), (0, "ok"), "{reply:?}");
    let files: Vec<_> = fs::read_dir(&confdir).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, ["mitmproxy-ca.pem"], "no CA of our own was made beside it");
    assert_eq!(fs::read_to_string(confdir.join("mitmproxy-ca.pem")).unwrap(), bundle);
}

#[test]
fn a_leaf_has_the_names_the_client_uses_and_those_of_the_server() {
    let ca = TestCa::new();
    let server = https_server(&ca, &["name.test", "*.wild.test", "127.0.0.1"]);
    let port = server.address().port();
    for (upstream_cert, connection_strategy, authority, sni, expected) in [
        // The name of the ClientHello, the host of CONNECT, the names of the server's certificate.
        (true, "eager", "127.0.0.1", "name.test", "*.wild.test 127.0.0.1 name.test"),
        (true, "eager", "localhost", "name.test", "*.wild.test 127.0.0.1 localhost name.test"),
        // An IP address is no server name (RFC 6066 section 3): there is CONNECT for that.
        (true, "eager", "127.0.0.1", "127.0.0.1", "*.wild.test 127.0.0.1 name.test"),
        (false, "eager", "127.0.0.1", "127.0.0.1", "127.0.0.1"),
        (false, "eager", "127.0.0.1", "name.test", "127.0.0.1 name.test"),
        (false, "eager", "localhost", "localhost", "localhost"),
        // Nobody asked the server yet.
        (true, "lazy", "127.0.0.1", "name.test", "127.0.0.1 name.test"),
    ] {
        let flowgate = flowgate()
            .set("upstream_cert", upstream_cert)
            .set("connection_strategy", connection_strategy)
            .set("ssl_insecure", true)
            .start();
        let tunnel = Client::tunnel(&flowgate, format_args!("{authority}:{port}"));
        let client = tunnel.tls(&flowgate.ca_certificate(), sni, &[]);
        let names: Vec<_> = names(&client.certificate()).into_iter().collect();
        assert_eq!(names.join(" "), expected, "{upstream_cert} {connection_strategy} {authority} {sni}");
    }
}

/// The words of the page, and whether the flow has them as its error.
fn page(server: &RawServer, name: &str, arguments: &[&str]) -> Option<String> {
    let flowgate = flowgate().args(arguments.iter().copied()).start();
    let host = format!("{name}:{}", server.address().port());
    let reply = Curl::new()?
        .proxy(&flowgate.proxy_url())
        .trust(&flowgate.ca_certificate())
        .fetch(&format!("https://{host}/"));
    assert_eq!(reply.exit, 0, "{reply:?}");
    let body = reply.text();
    let words = body.lines().find_map(|line| line.strip_prefix("<p>")?.strip_suffix("</p>"));
    let words = words.unwrap_or(&body).replace(&host, "HOST");
    let flows = saved_flows(&flowgate);
    let error = flows[0].error.as_ref().map(|error| error.message.as_str());
    if let Some(error) = error {
        assert_eq!(body.matches("502 Bad Gateway").count(), 2, "{body}");
        let unescaped = words.replace("&#39;", "'").replace("&quot;", "\"").replace("&lt;", "<");
        assert_eq!(unescaped, error);
    }
    Some(format!("{} {words}\n", reply.status))
}

#[test]
fn a_server_that_cannot_be_verified_is_told_with_the_reason() {
    let (ca, stranger) = (TestCa::new(), TestCa::new());
    let trusted = format!("ssl_verify_upstream_trusted_ca={}", ca.certificate_path().display());
    let trust = ["--set", trusted.as_str()];
    let good = https_server(&ca, &["localhost"]);
    let unknown = https_server(&stranger, &["localhost"]);
    let misnamed = https_server(&ca, &["other.test"]);
    let pages: Option<String> = [
        page(&good, "localhost", &trust),
        page(&unknown, "localhost", &trust),
        page(&misnamed, "localhost", &trust),
        page(&good, "127.0.0.1", &trust),
        page(&unknown, "localhost", &[]),
        page(&unknown, "localhost", &["--ssl-insecure"]),
        page(&misnamed, "localhost", &["-k"]),
    ]
    .into_iter()
    .collect();
    let Some(pages) = pages else { return };
    expect![[r#"
        200 ok
        502 certificate of server `localhost` cannot be trusted: its signature was not made with its issuer&#39;s key
        502 certificate of server `localhost` cannot be trusted: it is not valid for `localhost` (valid for other.test)
        502 certificate of server `127.0.0.1` cannot be trusted: it is not valid for `127.0.0.1` (valid for localhost)
        502 certificate of server `localhost` cannot be trusted: its issuer `flowgate test root` is unknown
        200 ok
        200 ok
    "#]].assert_eq(&pages);
}

#[test]
fn the_proxy_itself_can_be_spoken_to_over_tls() {
    let Some(curl) = Curl::new() else { return };
    let ca = TestCa::new();
    let server = https_server(&ca, &["localhost"]);
    let plain = RawServer::start(|connection| {
        connection.read_until(b"\r\n\r\n")?;
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain")
    });
    let flowgate = flowgate().set("ssl_verify_upstream_trusted_ca", ca.certificate_path().display()).start();
    let own = flowgate.ca_certificate();
    let curl = curl
        .proxy(&format!("https://localhost:{}", flowgate.address().port()))
        .args(["--proxy-cacert", own.to_str().unwrap()])
        .trust(&own);
    let reply = curl.fetch(&format!("https://localhost:{}/", server.address().port()));
    assert_eq!((reply.exit, reply.text().as_str()), (0, "ok"), "{reply:?}");
    let reply = curl.fetch(&plain.http_url("/"));
    assert_eq!((reply.exit, reply.text().as_str()), (0, "plain"), "{reply:?}");
    assert_eq!(saved_flows(&flowgate).len(), 2);
}
