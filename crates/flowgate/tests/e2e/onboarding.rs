//! The page that hands out the CA: at its host through the proxy, on our own port, and held against mitmproxy's.

use flowgate_testkit::{Chromium, Curl, Flowgate, Process, mitmproxy_python, require};

use super::differential::Mitmdumps;
use crate::support::{FLOWGATE, flowgate, printed, saved_flows};

#[test]
fn every_way_to_the_page() {
    let Some(curl) = Curl::new() else { return };
    let flowgate = flowgate().start();
    let proxied = curl.clone().proxy(&flowgate.proxy_url());
    let pem = std::fs::read(flowgate.ca_certificate()).unwrap();
    let p12 = std::fs::read(flowgate.confdir().join("flowgate-ca-cert.p12")).unwrap();
    let trusting = proxied.clone().trust(&flowgate.ca_certificate());
    let own_port = flowgate.proxy_url();
    let straight = curl;
    for (how, curl, base) in [
        ("through the proxy", &proxied, "http://mitm.it"),
        ("in other letters", &proxied, "http://MITM.it:8123"),
        ("in TLS", &trusting, "https://mitm.it"),
        ("our own port", &straight, &*own_port),
    ] {
        for version in ["--http1.1", "--http2"] {
            let curl = curl.clone().args([version]);
            let page = curl.fetch(&format!("{base}/"));
            assert_eq!((page.exit, page.status), (0, 200), "{how}: {}", page.messages);
            let text = page.text();
            assert!(
                text.contains("<svg")
                    && text.contains("/cert/pem")
                    && text.contains("update-ca-certificates"),
                "{how}"
            );
            let file = curl.fetch(&format!("{base}/cert/pem"));
            assert_eq!(file.body, pem, "{how}");
            assert_eq!(file.header("content-type"), Some("application/x-x509-ca-cert"), "{how}");
            assert_eq!(
                file.header("content-disposition"),
                Some("attachment; filename=flowgate-ca-cert.pem"),
                "{how}"
            );
            assert_eq!(curl.fetch(&format!("{base}/cert/p12")).body, p12, "{how}");
            assert_eq!(curl.fetch(&format!("{base}/cert/cer")).body, pem, "{how}");
            for path in ["/flowgate-ca.pem", "/cert/key", "/cert/..%2fflowgate-ca.pem"] {
                let reply = curl.clone().args(["--path-as-is"]).fetch(&format!("{base}{path}"));
                assert_eq!(reply.status, 404, "{how} {path}");
            }
            assert_eq!(curl.clone().args(["-X", "POST", "-d", "x"]).fetch(&format!("{base}/")).status, 405);
            let head = curl.clone().args(["--head"]).fetch(&format!("{base}/cert/pem"));
            assert_eq!((head.status, head.exit), (200, 0), "{how}");
            // Nothing that is handed out has to do with the key.
            for path in ["/", "/cert/pem", "/cert/p12", "/cert/cer"] {
                assert!(!curl.fetch(&format!("{base}{path}")).text().contains("PRIVATE"), "{how} {path}");
            }
        }
    }
    // Nobody was asked where the host is.
    assert!(!printed(&flowgate).contains("cannot resolve"), "{}", printed(&flowgate));
    assert!(!saved_flows(&flowgate).is_empty());
}

/// A rule that hides everything hid the page, too: it was offered to guards alone, and its host was looked up.
#[test]
fn the_page_is_there_where_nothing_is_shown() {
    let Some(curl) = Curl::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules.toml");
    std::fs::write(&rules, "[[rule]]\naction = \"hide\"\ndomain = \"mitm.it\"\n").unwrap();
    let flowgate = flowgate().args(["--rules".to_owned(), rules.display().to_string()]).start();
    let curl = curl.proxy(&flowgate.proxy_url()).trust(&flowgate.ca_certificate());
    for base in ["http://mitm.it", "https://mitm.it"] {
        let file = curl.fetch(&format!("{base}/cert/pem"));
        assert_eq!(
            (file.status, file.body),
            (200, std::fs::read(flowgate.ca_certificate()).unwrap()),
            "{base}"
        );
    }
    assert!(saved_flows(&flowgate).is_empty());
}

#[test]
fn chromium_shows_the_page_with_its_code() {
    let flowgate = flowgate().start();
    let Some(browser) = Chromium::new(&[&flowgate.ca_certificate()]) else { return };
    let browser = browser.proxy(&flowgate.proxy_url());
    for url in ["http://mitm.it/", "https://mitm.it/"] {
        let page = browser.dump_dom(url);
        assert!(
            page.contains("Trust this flowgate") && page.contains("aria-label=\"QR code\""),
            "{url}: {page}"
        );
    }
}

#[test]
fn another_host_or_none() {
    let Some(curl) = Curl::new() else { return };
    let named = flowgate().set("onboarding_host", "trust.test").start();
    let proxied = curl.clone().proxy(&named.proxy_url());
    assert_eq!(proxied.fetch("http://trust.test/cert/cer").status, 200);
    assert_eq!(proxied.fetch("http://mitm.invalid/").status, 502);
    let off = flowgate().set("onboarding", "false").start();
    assert_eq!(curl.clone().proxy(&off.proxy_url()).fetch("http://mitm.invalid/").status, 502);
    let loops = curl.fetch(&off.proxy_url());
    assert_eq!(loops.status, 502);
    assert!(loops.text().contains("is this proxy itself"), "{}", loops.text());
}

/// What mitmproxy 12 hands out, for each path: status, type and name, and that it is the CA's certificate.
#[test]
fn files_are_handed_out_as_mitmproxy_does() {
    let Some(python) = mitmproxy_python() else { return };
    let Some(curl) = Curl::new() else { return };
    let Some(openssl) = require("openssl") else { return };
    let mitmdump = Mitmdumps::start(&python, &[Vec::new()]);
    let ours = Flowgate::builder(FLOWGATE).start();
    let seen = |proxy: &str, path: &str, version: &str| {
        let reply = curl.clone().proxy(proxy).args([version]).fetch(&format!("http://mitm.it{path}"));
        let field = |name| {
            reply.header(name).unwrap_or("-").replace("mitmproxy-", "NAME-").replace("flowgate-", "NAME-")
        };
        let form = match path {
            "/cert/p12" => vec!["pkcs12", "-nokeys", "-passin", "pass:"],
            _ => vec!["x509", "-noout"],
        };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, &reply.body).unwrap();
        let mut command = Process::command(&openssl);
        command.args(form).arg("-in").arg(&file);
        let readable = Process::run("openssl", command, flowgate_testkit::PATIENCE).status.success();
        (reply.status, field("content-type"), field("content-disposition"), readable)
    };
    for path in ["/cert/pem", "/cert/p12", "/cert/cer", "/cert/none"] {
        let theirs = seen(&format!("http://{}", mitmdump.address(0)), path, "--http1.1");
        let ours = seen(&ours.proxy_url(), path, "--http1.1");
        if theirs.0 == 404 {
            assert_eq!(ours.0, 404);
        } else {
            assert_eq!(ours, theirs, "{path}");
            assert!(ours.3, "{path}");
        }
    }
}
