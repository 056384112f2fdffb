//! Real upstream proxies: squid, and flowgate itself.

use std::path::Path;

use flowgate_flow::FlowKind;
use flowgate_testkit::{Curl, Flowgate, Nginx, Reply, Squid};

use crate::support::{assert_secret, flowgate, printed, saved_flows, through, via};

fn nginx() -> Option<Nginx> {
    Nginx::builder().file("a.txt", "hello\n").large_file("large.bin", 3_000_001).start()
}

/// Everything a client can ask for, through a flowgate that passes `127.0.0.1` through: clear text, decrypted, and exempt
/// (then `root` is behind the certificate that the client sees).
fn ask_for_everything(curl: &Curl, flowgate: &Flowgate, nginx: &Nginx, root: &Path) {
    let curl = curl.clone().proxy(&flowgate.proxy_url());
    let decrypted = curl.clone().trust(&flowgate.ca_certificate());
    let exempt = curl.clone().trust(root);
    let by_address = format!("https://127.0.0.1:{}/a.txt", nginx.https().port());
    for (reply, version) in [
        (curl.fetch(&nginx.http_url("/a.txt")), "1.1"),
        (curl.args(["--proxytunnel"]).fetch(&nginx.http_url("/a.txt")), "1.1"),
        (decrypted.fetch(&nginx.https_url("/a.txt")), "2"),
        (exempt.fetch(&by_address), "2"),
    ] {
        let seen = (reply.exit, reply.status, reply.version.as_str(), reply.text());
        assert_eq!(
            seen,
            (0, 200, version, "hello\n".to_owned()),
            "{}\n{}",
            reply.messages,
            printed(flowgate)
        );
    }
    let large: Reply = decrypted.fetch(&nginx.https_url("/large.bin"));
    assert!(large.exit == 0 && large.body == flowgate_testkit::pattern(3_000_001), "{}", large.messages);
}

#[test]
fn squid_without_credentials() {
    let (Some(squid), Some(nginx), Some(curl)) = (Squid::start(None), nginx(), Curl::new()) else { return };
    let flowgate = through("http", squid.address())
        .set("ssl_verify_upstream_trusted_ca", nginx.ca().certificate_path().display())
        .args(["--ignore-hosts", "^127"])
        .start();
    ask_for_everything(&curl, &flowgate, &nginx, &nginx.ca().certificate_path());
    let flows = saved_flows(&flowgate);
    assert!(flows.iter().all(|flow| flow.server.via == via("http", squid.address())));
    // The exempt ones are not among them.
    assert_eq!(flows.len(), 3);
}

#[test]
fn squid_with_credentials() {
    let squid = Squid::start(Some(("alice", "opensesame")));
    let (Some(squid), Some(nginx), Some(curl)) = (squid, nginx(), Curl::new()) else { return };
    let flowgate = through("http", squid.address())
        .set("ssl_verify_upstream_trusted_ca", nginx.ca().certificate_path().display())
        .set("upstream_auth", "alice:opensesame")
        .args(["--ignore-hosts", "^127"])
        .start();
    ask_for_everything(&curl, &flowgate, &nginx, &nginx.ca().certificate_path());
    assert_eq!(saved_flows(&flowgate).len(), 3);
    assert_secret(&flowgate, "opensesame");

    let wrong = through("http", squid.address()).set("upstream_auth", "alice:guess").start();
    let curl = curl.proxy(&wrong.proxy_url());
    let reply = curl.fetch(&nginx.https_url("/a.txt"));
    assert!(reply.exit != 0 && reply.heads.starts_with("HTTP/1.1 502 "), "{reply:?}");
    assert_eq!(curl.fetch(&nginx.http_url("/a.txt")).status, 407);
    let flows = saved_flows(&wrong);
    let said = "answered CONNECT with 407 Proxy Authentication Required";
    assert!(flows[0].error.as_ref().unwrap().message.contains(said), "{flows:?}");
}

/// A flowgate as the upstream proxy of another. The last one decrypts what the first passes through.
fn chained(scheme: &str) {
    let (Some(nginx), Some(curl)) = (nginx(), Curl::new()) else { return };
    let last =
        flowgate().set("ssl_verify_upstream_trusted_ca", nginx.ca().certificate_path().display()).start();
    let address = format!("localhost:{}", last.address().port());
    let first = through(scheme, &address)
        .set("ssl_verify_upstream_trusted_ca", last.ca_certificate().display())
        .args(["--ignore-hosts", "^127"])
        .start();
    ask_for_everything(&curl, &first, &nginx, &last.ca_certificate());
    let (of_first, of_last) = (saved_flows(&first), saved_flows(&last));
    assert_eq!((of_first.len(), of_last.len()), (3, 5));
    for flow in &of_first {
        let named = flow.server.via.as_ref().map(|via| (via.scheme.as_str(), via.address.to_string()));
        assert_eq!(named, Some((scheme, address.clone())));
    }
    for flow in &of_last {
        assert_eq!(flow.server.via, None);
        assert!(matches!(&flow.kind, FlowKind::Http(_)));
    }
}

#[test]
fn flowgate_behind_flowgate() {
    chained("http");
}

#[test]
fn flowgate_as_a_secure_web_proxy_behind_flowgate() {
    chained("https");
}
