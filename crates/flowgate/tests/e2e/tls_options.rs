//! Options about TLS: certificates that users bring, versions, cipher suites. With nginx that wants client certificates, curl, and
//! openssl.

use std::fs;
use std::path::{Path, PathBuf};

use flowgate_testkit::{Curl, Flowgate, Nginx, PATIENCE, Process, TestCa, mitmproxy_python, require};

use x509_parser::prelude::{FromDer, X509Certificate};

use super::differential::Mitmdumps;
use crate::support::{FLOWGATE, flowgate, http, https_server, saved_flows};

/// A file with key and certificate for these names.
fn identity(folder: &Path, file: &str, ca: &TestCa, names: &[&str]) -> PathBuf {
    let path = folder.join(file);
    let leaf = ca.leaf(names);
    fs::write(&path, leaf.key_pem + &leaf.certificate_pem).unwrap();
    path
}

/// The line of `/echo` that begins so.
fn echoed(text: &str, name: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).trim_start_matches('=').to_owned()
}

/// What openssl's client says of TLS with `name` through a proxy.
fn s_client(openssl: &Path, proxy: &str, server: &str, name: &str, arguments: &[&str]) -> String {
    let mut command = Process::command(openssl);
    command.args(["s_client", "-proxy", proxy, "-connect", server, "-servername", name]).args(arguments);
    command.stdin(std::process::Stdio::null());
    let output = Process::run("openssl", command, PATIENCE);
    output.stdout + &output.stderr
}

#[test]
fn servers_are_logged_in_to_with_a_certificate() {
    let users = TestCa::new();
    let Some(nginx) = Nginx::builder().clients_of(&users).start() else { return };
    let Some(curl) = Curl::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let one = identity(folder.path(), "one", &users, &["one.test"]);
    let hosts = folder.path().join("hosts");
    fs::create_dir(&hosts).unwrap();
    identity(&hosts, "localhost.pem", &users, &["local.test"]);
    for (client_certs, path, expected) in [
        (None, "https://localhost", None),
        (Some(&one), "https://localhost", Some("CN=one.test")),
        (Some(&one), "https://127.0.0.1", Some("CN=one.test")),
        (Some(&hosts), "https://localhost", Some("CN=local.test")),
        (Some(&hosts), "https://127.0.0.1", None),
    ] {
        let mut builder =
            flowgate().set("ssl_verify_upstream_trusted_ca", nginx.ca().certificate_path().display());
        if let Some(path) = client_certs {
            builder = builder.set("client_certs", path.display());
        }
        let flowgate = builder.start();
        let curl = curl.clone().proxy(&flowgate.proxy_url()).trust(&flowgate.ca_certificate());
        for version in ["--http1.1", "--http2"] {
            let url = format!("{path}:{}/echo", nginx.https().port());
            let reply = curl.clone().args([version]).fetch(&url);
            match expected {
                Some(expected) => {
                    assert_eq!(
                        echoed(&reply.text(), "client"),
                        expected,
                        "{client_certs:?} {path} {version}"
                    );
                }
                // nginx's words for it.
                None => {
                    assert_eq!(reply.status, 400, "{}", reply.text());
                    assert!(
                        reply.text().contains("No required SSL certificate was sent"),
                        "{}",
                        reply.text()
                    );
                }
            }
        }
    }
}

/// The server is told apart by who we are, also after the options changed; a mistake changes nothing.
#[test]
fn options_change_while_the_program_runs() {
    let users = TestCa::new();
    let Some(nginx) = Nginx::builder().clients_of(&users).start() else { return };
    let Some(curl) = Curl::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let first = identity(folder.path(), "first", &users, &["first.test"]);
    let second = identity(folder.path(), "second", &users, &["second.test"]);
    let shown = identity(folder.path(), "shown", &users, &["localhost"]);
    let trusted = format!("ssl_verify_upstream_trusted_ca: {}\n", nginx.ca().certificate_path().display());
    let flowgate = flowgate()
        .confdir_file("config.yaml", format!("{trusted}client_certs: {}\n", first.display()))
        .start();
    let echo = nginx.https_url("/echo");
    let fetch = |root: &Path| curl.clone().proxy(&flowgate.proxy_url()).trust(root).fetch(&echo);
    let ours = flowgate.ca_certificate();
    assert_eq!(echoed(&fetch(&ours).text(), "client"), "CN=first.test");
    let write =
        |text: String| fs::write(flowgate.confdir().join("config.yaml"), trusted.clone() + &text).unwrap();
    write(format!("client_certs: {}\ntls_version_server_max: TLS1_2\n", second.display()));
    flowgate.wait_for(|line| {
        line.contains("options reloaded for new connections: `client_certs`, `tls_version_server_max`")
    });
    let reply = fetch(&ours).text();
    assert_eq!(echoed(&reply, "client"), "CN=second.test");
    assert!(echoed(&reply, "tls").starts_with("TLSv1.2 "), "{reply}");
    write(format!("client_certs: {}\ncerts: ['none.pem']\n", first.display()));
    flowgate.wait_for(|line| {
        line.contains("options not reloaded, the old ones stay: certs[0]: cannot read none.pem: ")
    });
    assert_eq!(echoed(&fetch(&ours).text(), "client"), "CN=second.test");
    write(format!(
        "client_certs: {}\ncerts: ['localhost={}']\nciphers_client: AES128-SHA:AESGCM\n",
        first.display(),
        shown.display()
    ));
    flowgate
        .wait_for(|line| line.contains("options reloaded for new connections: ") && line.contains("`certs`"));
    flowgate.wait_for(|line| line.contains("ciphers_client: AES128-SHA has no effect"));
    let reply = fetch(&users.certificate_path());
    assert_eq!((reply.exit, echoed(&reply.text(), "client")), (0, "CN=first.test".to_owned()), "{reply:?}");
}

/// As those do who renew certificates: the file is another one, and no option changed.
#[test]
fn files_that_are_replaced_count() {
    let (before, after, users) = (TestCa::new(), TestCa::new(), TestCa::new());
    let Some(nginx) = Nginx::builder().clients_of(&users).start() else { return };
    let Some(curl) = Curl::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let shown = identity(folder.path(), "shown", &before, &["localhost"]);
    let client = identity(folder.path(), "client", &users, &["first.test"]);
    let flowgate = flowgate()
        .set("ssl_verify_upstream_trusted_ca", nginx.ca().certificate_path().display())
        .set("certs", format!("localhost={}", shown.display()))
        .set("client_certs", client.display())
        .start();
    let echo = nginx.https_url("/echo");
    let fetch = |root: &TestCa| {
        let reply = curl.clone().proxy(&flowgate.proxy_url()).trust(&root.certificate_path()).fetch(&echo);
        (reply.exit, if reply.exit == 0 { echoed(&reply.text(), "client") } else { String::new() })
    };
    assert_eq!(fetch(&before), (0, "CN=first.test".to_owned()));
    // Written beside, and put in its place at once.
    fs::rename(identity(folder.path(), "new", &after, &["localhost"]), &shown).unwrap();
    flowgate.wait_for(|line| line.contains(&format!("read again for new connections: {}", shown.display())));
    assert_ne!(fetch(&before).0, 0);
    assert_eq!(fetch(&after), (0, "CN=first.test".to_owned()));
    fs::rename(identity(folder.path(), "other", &users, &["second.test"]), &client).unwrap();
    flowgate.wait_for(|line| line.contains(&format!("read again for new connections: {}", client.display())));
    assert_eq!(fetch(&after), (0, "CN=second.test".to_owned()));
    fs::write(&shown, "nothing").unwrap();
    flowgate.wait_for(|line| line.contains("certificates not read again, the old ones stay: certs[0]: "));
    assert_eq!(fetch(&after), (0, "CN=second.test".to_owned()));
}

#[test]
fn clients_are_shown_the_users_own_certificates() {
    let (ca, users) = (TestCa::new(), TestCa::new());
    let server = https_server(&ca, &["shop.test", "www.shop.test", "other.test"]);
    let Some(curl) = Curl::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = identity(folder.path(), "shop.pem", &users, &["shop.test", "*.shop.test"]);
    let flowgate = flowgate()
        .set("ssl_verify_upstream_trusted_ca", ca.certificate_path().display())
        .args(["--certs".to_owned(), format!("shop.test={}", file.display())])
        .start();
    let port = server.address().port();
    for (host, root) in [
        ("shop.test", users.certificate_path()),
        ("www.shop.test", users.certificate_path()),
        ("other.test", flowgate.ca_certificate()),
    ] {
        // The name leads nowhere, so what is asked for is an address, and the name stands in TLS.
        let connect = format!("{host}:{port}:127.0.0.1:{port}");
        let reply = curl
            .clone()
            .proxy(&flowgate.proxy_url())
            .trust(&root)
            .args(["--connect-to", &connect])
            .fetch(&format!("https://{host}:{port}/"));
        assert_eq!((reply.exit, reply.text()), (0, "ok".to_owned()), "{host}: {}", reply.messages);
    }
    let flows = saved_flows(&flowgate);
    assert_eq!(flows.len(), 3);
}

#[test]
fn versions_and_suites_are_those_of_the_options() {
    let Some(openssl) = require("openssl") else { return };
    let Some(nginx) = Nginx::builder().start() else { return };
    let Some(curl) = Curl::new() else { return };
    let server = format!("localhost:{}", nginx.https().port());
    for (options, arguments, expected) in [
        (&["tls_version_client_min=TLS1_3"][..], &["-tls1_2"][..], "Cipher is (NONE)"),
        (&["tls_version_client_min=TLS1_3"], &["-tls1_3"], "Cipher is TLS_AES"),
        (&["tls_version_client_max=TLS1_2"], &[], "TLSv1.2, Cipher is ECDHE-ECDSA-"),
        (
            &["tls_version_client_max=TLS1_2", "ciphers_client=ECDHE-RSA-CHACHA20-POLY1305:AES256-SHA"],
            &[],
            "TLSv1.2, Cipher is ECDHE-RSA-CHACHA20-POLY1305",
        ),
        (&["ciphers_client=ECDHE+AES128"], &[], "TLSv1.3, Cipher is TLS_AES"),
        (&["ciphers_client=ECDHE+AES128"], &["-tls1_2"], "Cipher is ECDHE-ECDSA-AES128-GCM-SHA256"),
        (&["tls_ecdh_curve_client=secp384r1"], &[], "Server Temp Key: ECDH, secp384r1, 384 bits"),
    ] {
        let mut builder = flowgate().set("ssl_insecure", true);
        for option in options {
            builder = builder.args(["--set", option]);
        }
        let flowgate = builder.start();
        let proxy = flowgate.address().to_string();
        let said = s_client(&openssl, &proxy, &server, "localhost", arguments);
        assert!(said.contains(expected), "{options:?} {arguments:?}: {said}");
    }
    for (options, expected) in [
        (&["tls_version_server_max=TLS1_2"][..], "TLSv1.2 ECDHE-ECDSA-"),
        (&["tls_version_server_min=TLS1_3"], "TLSv1.3 TLS_"),
        (
            &["tls_version_server_max=TLS1_2", "ciphers_server=CHACHA20"],
            "TLSv1.2 ECDHE-ECDSA-CHACHA20-POLY1305",
        ),
        (&["ciphers_server=CHACHA20"], "TLSv1.3 TLS_AES"),
    ] {
        let mut builder = flowgate().set("ssl_insecure", true);
        for option in options {
            builder = builder.args(["--set", option]);
        }
        let flowgate = builder.start();
        let curl = curl.clone().proxy(&flowgate.proxy_url()).trust(&flowgate.ca_certificate());
        let reply = curl.fetch(&nginx.https_url("/echo"));
        let tls = echoed(&reply.text(), "tls");
        assert!(tls.starts_with(expected), "{options:?}: {tls}");
    }
}

#[test]
fn the_certificate_that_a_client_shows_is_told_with_its_flow() {
    let (ca, users) = (TestCa::new(), TestCa::new());
    let server = https_server(&ca, &["localhost"]);
    let Some(curl) = Curl::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let shown = identity(folder.path(), "me.pem", &users, &["me.test"]);
    let flowgate = flowgate()
        .set("ssl_verify_upstream_trusted_ca", ca.certificate_path().display())
        .set("request_client_cert", true)
        .start();
    let curl = curl.proxy(&flowgate.proxy_url()).trust(&flowgate.ca_certificate());
    let url = format!("https://localhost:{}/", server.address().port());
    assert_eq!(curl.fetch(&url).text(), "ok");
    assert_eq!(curl.args(["--cert".into(), shown.into_os_string()]).fetch(&url).text(), "ok");
    let flows = saved_flows(&flowgate);
    let shown: Vec<_> = flows.iter().map(|flow| &flow.client.connection.certificate_list).collect();
    assert!(shown[0].is_empty());
    let [certificate] = shown[1].as_slice() else { panic!("{shown:?}") };
    let (_, certificate) = X509Certificate::from_der(certificate).unwrap();
    assert_eq!(certificate.subject().to_string(), "CN=me.test");
    assert_eq!(http(&flows[1]).response.as_ref().unwrap().status, 200);
}

#[test]
fn the_servers_certificates_stand_behind_ours_where_that_is_wanted() {
    let Some(openssl) = require("openssl") else { return };
    let ca = TestCa::new();
    let server = https_server(&ca, &["localhost"]);
    let at = format!("localhost:{}", server.address().port());
    for (wanted, expected) in [("false", 1), ("true", 2)] {
        let flowgate = flowgate()
            .set("ssl_verify_upstream_trusted_ca", ca.certificate_path().display())
            .set("add_upstream_certs_to_client_chain", wanted)
            .start();
        let said = s_client(&openssl, &flowgate.address().to_string(), &at, "localhost", &["-showcerts"]);
        assert_eq!(said.matches("-----BEGIN CERTIFICATE-----").count(), expected, "{said}");
    }
}

#[test]
fn mistakes_end_the_start_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let users = TestCa::new();
    let leaf = users.leaf(&["a.test"]);
    let no_key = folder.path().join("no-key.pem");
    fs::write(&no_key, leaf.certificate_pem).unwrap();
    for (option, expected, hint) in [
        (
            "tls_version_client_min=TLS1".to_owned(),
            "tls_version_client_min: TLS1 is not spoken",
            "hint: TLS1_2",
        ),
        (
            "tls_version_server_max=SSL2".to_owned(),
            "option `tls_version_server_max`: expected one of UNBOUNDED, SSL3, TLS1, TLS1_1, TLS1_2, TLS1_3",
            "",
        ),
        (
            "ciphers_client=ALL:!aNUL".to_owned(),
            "ciphers_client at column 6: `aNUL` is no cipher suite",
            "hint: `openssl ciphers",
        ),
        (
            "ciphers_server=AES128-SHA".to_owned(),
            "ciphers_server: no cipher suite that is spoken is left",
            "hint: ",
        ),
        (
            "tls_ecdh_curve_server=sect163k1".to_owned(),
            "tls_ecdh_curve_server: `sect163k1` is no curve",
            "hint: ",
        ),
        (
            format!("certs=*.a.test={}", no_key.display()),
            "certs[0]: there is no private key in ",
            "hint: the file holds the private key",
        ),
        ("client_certs=/no/such".to_owned(), "client_certs: cannot read /no/such: ", ""),
        ("key_size=2500".to_owned(), "option `key_size`: no RSA keys of 2500 bits", "hint: 2048"),
    ] {
        // Of its own, so that there is no CA yet.
        let confdir = tempfile::tempdir().unwrap();
        let confdir = format!("confdir={}", confdir.path().join("conf").display());
        let output = Flowgate::run(FLOWGATE, &["dump", "-p", "0", "--set", &confdir, "--set", &option]);
        assert_eq!(output.status.code(), Some(1), "{option}: {output:?}");
        assert!(
            output.stderr.contains(expected) && output.stderr.contains(hint),
            "{option}: {}",
            output.stderr
        );
    }
    let output = Flowgate::run(
        FLOWGATE,
        &["dump", "--set", "add_upstream_certs_to_client_chain", "--set", "upstream_cert=false"],
    );
    assert!(
        output.stderr.contains("option `add_upstream_certs_to_client_chain` needs `upstream_cert`"),
        "{}",
        output.stderr
    );
}

/// The same options through flowgate and mitmproxy 12: what the server learns of us, and whose certificate clients see.
#[test]
fn certificates_are_used_as_mitmproxy_uses_them() {
    let Some(python) = mitmproxy_python() else { return };
    let users = TestCa::new();
    let Some(nginx) = Nginx::builder().name("shop.test").clients_of(&users).start() else { return };
    let Some(curl) = Curl::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let one = identity(folder.path(), "one", &users, &["one.test"]);
    let hosts = folder.path().join("hosts");
    fs::create_dir(&hosts).unwrap();
    identity(&hosts, "shop.test.pem", &users, &["for-shop.test"]);
    let shop = identity(folder.path(), "shop", &users, &["shop.test"]);
    let any = identity(folder.path(), "any", &users, &["localhost", "127.0.0.1"]);
    let rows: Vec<Vec<String>> = [
        vec![format!("client_certs={}", one.display())],
        vec![format!("client_certs={}", hosts.display())],
        vec![format!("client_certs={}", one.display()), format!("certs={}", shop.display())],
        vec![
            format!("client_certs={}", one.display()),
            format!("certs=shop.test={}", shop.display()),
            format!("certs=localhost={}", any.display()),
        ],
    ]
    .into_iter()
    .map(|options| {
        let all = options.into_iter().chain(["ssl_insecure=true".to_owned()]);
        all.flat_map(|option| ["--set".to_owned(), option]).collect()
    })
    .collect();
    let mitmdumps = Mitmdumps::start(&python, &rows);
    let port = nginx.https().port();
    let seen = |proxy: &str, host: &str| {
        let reply = curl
            .clone()
            .proxy(proxy)
            .args(["--insecure", "--http1.1", "-v", "--connect-to"])
            .args([format!("{host}:{port}:127.0.0.1:{port}")])
            .fetch(&format!("https://{host}:{port}/echo"));
        let client = reply.text().lines().find_map(|line| line.strip_prefix("client=").map(str::to_owned));
        let issuer = reply.messages.lines().find(|line| line.contains("issuer:"));
        let by_users = issuer.is_some_and(|line| line.contains("flowgate test root"));
        (reply.status, client, by_users)
    };
    for (number, row) in rows.iter().enumerate() {
        let ours = Flowgate::builder(FLOWGATE).args(row.clone()).start();
        let theirs = format!("http://{}", mitmdumps.address(number));
        for host in ["shop.test", "localhost"] {
            let (ours, theirs) = (seen(&ours.proxy_url(), host), seen(&theirs, host));
            assert_eq!(ours, theirs, "{row:?} {host}");
            assert!(ours.0 == 200 || ours.0 == 400, "{ours:?}");
        }
    }
}
