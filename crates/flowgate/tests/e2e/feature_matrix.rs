//! Each feature over both versions of HTTP, with bodies that stream and bodies that are held, against nginx: what arrives there and
//! what comes back.

use std::fs;

use flowgate_testkit::{Curl, Flowgate, FlowgateBuilder, Nginx, Reply, pattern};

use super::support::{flowgate, http, saved_flows};

const VERSIONS: [(&str, &str); 2] = [("--http1.1", "1.1"), ("--http2", "2")];

/// A server, and flowgate with these options between it and a client.
fn between(nginx: &Nginx, options: &[&str]) -> Flowgate {
    trusting(nginx).args(options.to_vec()).start()
}

fn trusting(nginx: &Nginx) -> FlowgateBuilder {
    flowgate().set("ssl_verify_upstream_trusted_ca", nginx.ca().certificate_path().display())
}

/// The value of a line of `/echo`.
fn echoed(reply: &Reply, name: &str) -> String {
    let text = reply.text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    line.unwrap_or_else(|| panic!("no {name} in {reply:?}")).to_owned()
}

#[test]
fn heads_are_changed_in_both_versions() {
    let (Some(nginx), Some(curl)) = (Nginx::builder().file("a.txt", "a text\n").start(), Curl::new()) else {
        return;
    };
    let options = [
        ["--modify-headers", "/~q/X-Test/made"],
        ["--modify-headers", "/~s/X-Back/made"],
        ["--stickycookie", "~all"],
        ["--stickyauth", "~all"],
    ];
    let flowgate = between(&nginx, &[&options.concat()[..], &["--anticache", "--anticomp"]].concat());
    let curl = curl.proxy(&flowgate.proxy_url()).trust(&flowgate.ca_certificate());
    for (flag, version) in VERSIONS {
        let curl = curl.clone().args([flag]);
        let get = |arguments: &[&str], path: &str| {
            let reply = curl.clone().args(arguments.to_vec()).fetch(&nginx.https_url(path));
            assert_eq!((reply.exit, reply.version.as_str()), (0, version), "{path}: {reply:?}");
            assert_eq!(reply.header("x-back"), Some("made"), "{path}: {reply:?}");
            reply
        };
        let first = get(&["--user", "u:p"], "/cookie");
        assert_eq!(first.header("set-cookie"), Some("kept=yes"));
        let reply = get(&["--header", "Accept-Encoding: gzip"], "/echo");
        for (name, value) in [
            ("x-test", "made"),
            ("cookie", "kept=yes"),
            ("authorization", "Basic dTpw"),
            ("accept-encoding", "identity"),
        ] {
            assert_eq!(echoed(&reply, name), value, "{name} {version}");
        }
        // nginx would say that it has not changed.
        let since =
            ["--header", "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT", "--header", "If-None-Match: *"];
        assert_eq!(get(&since, "/a.txt").status, 200, "{version}");
    }
    assert!(saved_flows(&flowgate).iter().all(|flow| flow.error.is_none()));
}

/// `foo`, a lot, `end`: what is searched for is at both ends.
fn long() -> String {
    format!("foo{}end", "x".repeat(300_000))
}

#[test]
fn bodies_are_changed_while_they_stream_and_when_they_are_held() {
    let nginx = Nginx::builder().file("streamed.txt", long()).file("held.txt", long()).start();
    let (Some(nginx), Some(curl)) = (nginx, Curl::new()) else { return };
    let flowgate = between(
        &nginx,
        &[
            // The first can be told from a few bytes, the second only from all of them.
            ["--modify-body", "/~u streamed/foo|end/quux"],
            ["--modify-body", "/~u held/(?s)foo.*end/whole"],
        ]
        .concat(),
    );
    let sent = flowgate.path("sent");
    fs::write(&sent, long()).unwrap();
    let streamed = long().replace("foo", "quux").replace("end", "quux");
    let curl = curl.proxy(&flowgate.proxy_url()).trust(&flowgate.ca_certificate());
    for (flag, version) in VERSIONS {
        let curl = curl.clone().args([flag]);
        for (name, expected) in [("streamed", streamed.as_str()), ("held", "whole")] {
            for folder in ["", "chunked/", "gzip/"] {
                let url = nginx.https_url(&format!("/{folder}{name}.txt"));
                let reply = curl.clone().args(["--header", "Accept-Encoding: gzip"]).fetch(&url);
                let told =
                    (reply.exit, reply.status, reply.version.as_str(), reply.header("content-encoding"));
                assert_eq!(told, (0, 200, version, None), "{url}");
                assert!(reply.text() == expected, "{url} {version}: {} bytes", reply.body.len());
            }
            let url = nginx.https_url(&format!("/put/{name}"));
            let reply =
                curl.clone().args(["--upload-file".to_owned(), sent.display().to_string()]).fetch(&url);
            assert!([201, 204].contains(&reply.status), "{reply:?}");
            assert!(nginx.stored(name) == expected.as_bytes(), "{url} {version}");
        }
    }
    assert!(saved_flows(&flowgate).iter().all(|flow| flow.error.is_none()));
}

#[test]
fn urls_lead_elsewhere_in_both_versions() {
    let nginx = Nginx::builder().large_file("large", 200_000).start();
    let (Some(nginx), Some(curl)) = (nginx, Curl::new()) else { return };
    let builder = trusting(&nginx);
    fs::create_dir(builder.path("root")).unwrap();
    fs::write(builder.path("root/file"), pattern(200_000)).unwrap();
    let root = builder.path("root").display().to_string();
    let flowgate = builder
        .args(["--map-remote", "|/mapped/|/put/"])
        .args(["--map-remote", "|/other$|/large"])
        .args(["--map-local".to_owned(), format!("|/local/|{root}")])
        .set("block_list", "/~u blocked/418")
        .start();
    let sent = flowgate.path("sent");
    fs::write(&sent, pattern(200_000)).unwrap();
    let sent = sent.display().to_string();
    let curl = curl.proxy(&flowgate.proxy_url()).trust(&flowgate.ca_certificate());
    for (flag, version) in VERSIONS {
        let curl = curl.clone().args([flag]);
        let upload = |path: &str| {
            curl.clone().args(["--upload-file", &sent, "--max-time", "10"]).fetch(&nginx.https_url(path))
        };
        let name = format!("body-{version}");
        assert_eq!(upload(&format!("/mapped/{name}")).status, 201, "{version}");
        assert!(nginx.stored(&name) == pattern(200_000), "{version}");
        let reply = curl.fetch(&nginx.https_url("/other"));
        assert_eq!((reply.exit, reply.version.as_str()), (0, version));
        assert!(reply.body == pattern(200_000));
        let reply = curl.fetch(&nginx.https_url("/local/file"));
        assert!(reply.exit == 0 && reply.body == pattern(200_000), "{version}");
        let reply = curl.clone().args(["--range", "1000-150000"]).fetch(&nginx.https_url("/local/file"));
        assert_eq!((reply.exit, reply.status), (0, 206), "{version}");
        assert!(reply.body == pattern(200_000)[1000..=150_000]);
        assert_eq!(curl.fetch(&nginx.https_url("/local/none")).status, 404);
        // An upload that nobody wants is answered all the same.
        let reply = upload("/local/file");
        assert_eq!((reply.exit, reply.status), (0, 200), "{version}: {}", reply.messages);
        let reply = upload("/blocked");
        assert_eq!(reply.status, 418, "{version}: {}", reply.messages);
        // Over HTTP/2 curl 7.88 ends its stream when it sees an error, has read the end of the other direction by then, and waits for
        // more at times, whoever the server is.
        assert!(reply.exit == 0 || (reply.exit == 28 && version == "2"), "{version}: {}", reply.messages);
    }
    let targets: Vec<_> = nginx.access_log().into_iter().map(|entry| entry.target).collect();
    assert_eq!(targets, ["/put/body-1.1", "/large", "/put/body-2", "/large"]);
}

#[test]
fn a_reverse_proxy_asks_and_says_who_it_is_in_both_versions() {
    let (Some(nginx), Some(curl)) = (Nginx::builder().start(), Curl::new()) else { return };
    let mode = format!("reverse:{}", nginx.https_url(""));
    let flowgate =
        trusting(&nginx).args(["--mode", &mode, "--proxyauth", "u:p"]).set("upstream_auth", "we:us").start();
    let port = flowgate.address().port();
    let curl = curl.trust(&flowgate.ca_certificate());
    for (flag, version) in VERSIONS {
        let curl = curl.clone().args([flag]);
        let url = |path: &str| format!("https://localhost:{port}{path}");
        let reply = curl.fetch(&url("/echo"));
        assert_eq!((reply.status, reply.version.as_str()), (401, version), "{reply:?}");
        assert!(
            reply.header("www-authenticate").is_some_and(|how| how.starts_with("Basic realm=")),
            "{reply:?}"
        );
        assert_eq!(curl.clone().args(["--user", "u:x"]).fetch(&url("/echo")).status, 401);
        let curl = curl.clone().args(["--user", "u:p"]);
        let reply = curl.fetch(&url("/echo"));
        assert_eq!((reply.status, reply.version.as_str()), (200, version), "{reply:?}");
        assert_eq!(echoed(&reply, "authorization"), "Basic d2U6dXM=", "ours, and not the client's");
        let reply = curl.fetch(&url("/alternative"));
        assert_eq!(reply.header("alt-svc"), Some(format!("h3=\":{port}\"; ma=60").as_str()), "{version}");
    }
    let flows = saved_flows(&flowgate);
    assert!(flows.iter().all(|flow| http(flow).response.is_some()), "{}", flows.len());
}

#[test]
fn servers_of_our_own_network_are_refused_in_both_versions() {
    let (Some(nginx), Some(curl)) = (Nginx::builder().start(), Curl::new()) else { return };
    // Lazily: the tunnel is there before anybody knows where it leads.
    let lazily = ["--set", "connection_strategy=lazy", "--set", "block_private_targets=true"];
    let flowgate = between(&nginx, &[&lazily[..], &["--set", "upstream_cert=false"]].concat());
    let curl = curl.proxy(&flowgate.proxy_url()).trust(&flowgate.ca_certificate());
    for (flag, version) in VERSIONS {
        let reply = curl.clone().args([flag]).fetch(&nginx.https_url("/echo"));
        assert_eq!((reply.status, reply.version.as_str()), (403, version), "{reply:?}");
    }
    assert!(nginx.access_log().is_empty());
}
