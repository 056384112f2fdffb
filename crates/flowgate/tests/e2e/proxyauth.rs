//! `proxyauth` with real clients in every mode that can ask: nobody gets by without saying who they are, credentials go no further,
//! and no password is printed or saved.

use std::fs;

use flowgate_flow::{Flow, MetadataValue};
use flowgate_testkit::{
    Curl, Flowgate, FlowgateBuilder, Nginx, Process, RawConnection, RawServer, Slapd, TestCa, require,
};

use super::support::{Client, FLOWGATE, flowgate, http, https_server, printed, saved_flows, text};

/// In no line and no flow.
const PASSWORD: &str = "open:sesame";
const USER: &str = "alice:open:sesame";
/// `alice:open:sesame`, as Basic credentials have it.
const BASIC: &str = "YWxpY2U6b3BlbjpzZXNhbWU=";

fn asking() -> FlowgateBuilder {
    flowgate().args(["-v", "--flow-detail", "4", "--proxyauth", USER])
}

/// Answers `ok` to each request.
fn ok(connection: &mut RawConnection) -> std::io::Result<()> {
    loop {
        connection.read_until(b"\r\n\r\n")?;
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
    }
}

fn who(flow: &Flow) -> Option<&MetadataValue> {
    flow.metadata.iter().find(|(name, _)| name == "proxyauth").map(|(_, who)| who)
}

fn is_alice(flow: &Flow) -> bool {
    let expected = ["alice", ""].map(|text| MetadataValue::Text(text.to_owned()));
    who(flow) == Some(&MetadataValue::List(expected.into()))
}

/// No password in what was printed, nor in what was saved of clients that were let in.
fn tells_no_password(flowgate: &Flowgate) {
    let lines = printed(flowgate);
    assert!(!lines.contains(PASSWORD) && !lines.contains(BASIC), "{lines}");
    let saved = text(&fs::read(flowgate.path("flows")).unwrap());
    assert!(!saved.contains(PASSWORD) && !saved.contains(BASIC));
}

#[test]
fn an_explicit_proxy_asks_for_each_request_and_once_for_a_tunnel() {
    let (Some(nginx), Some(curl)) = (Nginx::builder().start(), Curl::new()) else { return };
    let flowgate =
        asking().set("ssl_verify_upstream_trusted_ca", nginx.ca().certificate_path().display()).start();
    let curl = curl.proxy(&flowgate.proxy_url()).trust(&flowgate.ca_certificate());
    for wrong in [&[][..], &["--proxy-user", "alice:guess"], &["--proxy-user", "bob:open:sesame"]] {
        let reply = curl.clone().args(wrong.iter().copied()).fetch(&nginx.http_url("/echo"));
        assert_eq!((reply.exit, reply.status), (0, 407), "{wrong:?}: {reply:?}");
        assert_eq!(reply.header("proxy-authenticate"), Some("Basic realm=\"flowgate\""));
        let reply = curl.clone().args(wrong.iter().copied()).fetch(&nginx.https_url("/echo"));
        assert_eq!(reply.exit, 56, "{wrong:?}: {reply:?}");
        assert!(reply.heads.starts_with("HTTP/1.1 407 Proxy Authentication Required\r\n"), "{reply:?}");
    }
    assert!(nginx.access_log().is_empty());
    let known = curl.args(["--proxy-user", USER]);
    for version in ["--http1.1", "--http2"] {
        for url in [nginx.http_url("/echo"), nginx.https_url("/echo")] {
            let reply = known.clone().args([version]).fetch(&url);
            assert_eq!((reply.exit, reply.status), (0, 200), "{version} {url}: {reply:?}");
            assert!(reply.text().contains("\nproxy-authorization=\n"), "{reply:?}");
        }
    }
    // curl first asks without, is told how, and asks again.
    let reply = known.args(["--proxy-anyauth"]).fetch(&nginx.https_url("/echo"));
    assert_eq!((reply.exit, reply.status), (0, 200), "{reply:?}");
    flowgate.wait_for(|line| line.contains("proxyauth: `bob` was not let in"));
    let flows = saved_flows(&flowgate);
    let let_in = flows
        .iter()
        .filter(|flow| http(flow).response.as_ref().is_some_and(|response| response.status == 200));
    assert_eq!(let_in.clone().count(), 5);
    assert!(let_in.clone().all(is_alice));
    assert_eq!(flows.iter().filter(|flow| who(flow).is_some()).count(), 5);
    // What was refused is a flow as it came, with the credentials that were wrong.
    tells_no_password_of(&flows, let_in);
}

fn tells_no_password_of<'a>(all: &[Flow], let_in: impl Iterator<Item = &'a Flow>) {
    assert_eq!(all.iter().filter(|flow| http(flow).request.method.as_ref() == b"CONNECT").count(), 4);
    for flow in let_in {
        assert!(!http(flow).request.headers.contains("proxy-authorization"));
    }
}

#[test]
fn what_is_exempt_or_hidden_is_asked_for_as_well() {
    let (Some(nginx), Some(curl)) = (Nginx::builder().file("a", "a").start(), Curl::new()) else { return };
    let flowgate = asking().args(["--ignore-hosts", "."]).set("hide_ignored_requests", "true").start();
    let curl = curl.proxy(&flowgate.proxy_url()).trust(&nginx.ca().certificate_path());
    assert_eq!(curl.fetch(&nginx.http_url("/a")).status, 407);
    assert_eq!(curl.fetch(&nginx.https_url("/a")).exit, 56);
    assert!(nginx.access_log().is_empty());
    let known = curl.args(["--proxy-user", USER]);
    for url in [nginx.http_url("/a"), nginx.https_url("/a")] {
        let reply = known.fetch(&url);
        assert_eq!((reply.exit, reply.text().as_str()), (0, "a"), "{url}: {reply:?}");
    }
    // The refused tunnel alone: nothing was decided about it.
    assert_eq!(saved_flows(&flowgate).len(), 1);
    tells_no_password(&flowgate);
}

#[test]
fn socks5_asks_before_it_hears_where_to() {
    let (Some(nginx), Some(curl)) = (Nginx::builder().start(), Curl::new()) else { return };
    let flowgate = asking()
        .args(["--mode", "socks5"])
        .set("ssl_verify_upstream_trusted_ca", nginx.ca().certificate_path().display())
        .start();
    let curl = curl.trust(&flowgate.ca_certificate()).args(["--noproxy", "", "--socks5-hostname"]);
    let through = |user: &str| curl.clone().args([format!("{user}{}", flowgate.address())]);
    for wrong in ["", "alice:guess@", "bob:open:sesame@"] {
        let reply = through(wrong).fetch(&nginx.https_url("/echo"));
        assert_eq!(reply.exit, 97, "{wrong}: {reply:?}");
    }
    for url in [nginx.http_url("/echo"), nginx.https_url("/echo")] {
        let reply = through("alice:open%3Asesame@").fetch(&url);
        assert_eq!((reply.exit, reply.status), (0, 200), "{url}: {reply:?}");
    }
    assert_eq!(nginx.access_log().len(), 2);
    for (sent, answered) in [
        // Who does not offer to say a name and a password is told that nothing else will do.
        (&b"\x05\x01\x00"[..], &b"\x05\xff"[..]),
        (b"\x05\x02\x00\x02\x01\x05alice\x01x", b"\x05\x02\x01\x01"),
        (b"\x05\x01\x02\x02\x05alice\x01x", b"\x05\x02"),
    ] {
        let mut client = Client::connect(&flowgate);
        client.send(sent);
        client.end();
        assert_eq!(client.read_to_end(), answered, "{sent:02x?}");
    }
    let flows = saved_flows(&flowgate);
    assert!(flows.len() == 2 && flows.iter().all(is_alice), "{flows:?}");
    tells_no_password(&flowgate);
}

#[test]
fn a_reverse_proxy_asks_as_a_server_does_and_relays_nothing_unasked() {
    let ca = TestCa::new();
    let server = https_server(&ca, &["127.0.0.1"]);
    let Some(curl) = Curl::new() else { return };
    let flowgate = asking()
        .args(["--mode", &format!("reverse:https://{}", server.address()), "--ignore-hosts", "exempt"])
        .set("ssl_verify_upstream_trusted_ca", ca.certificate_path().display())
        .start();
    let curl = curl.trust(&flowgate.ca_certificate()).args(["--connect-to"]);
    let curl = curl.args([format!("::{}", flowgate.address())]);
    let reply = curl.fetch("https://localhost/a");
    assert_eq!((reply.exit, reply.status), (0, 401), "{reply:?}");
    assert_eq!(reply.header("www-authenticate"), Some("Basic realm=\"flowgate\""));
    let reply = curl.clone().args(["--user", "alice:guess"]).fetch("https://localhost/b");
    assert_eq!(reply.status, 401, "{reply:?}");
    let reply = curl.clone().args(["--user", USER]).fetch("https://localhost/c");
    assert_eq!((reply.status, reply.text().as_str()), (200, "ok"), "{reply:?}");
    // Nobody can be asked in TLS that is passed through.
    let reply = curl.args(["--user", USER]).fetch("https://exempt.test/d");
    assert_ne!(reply.exit, 0, "{reply:?}");
    flowgate.wait_for(|line| line.contains("closed, proxyauth: the client has not said who it is"));
    let flows = saved_flows(&flowgate);
    let statuses: Vec<_> = flows.iter().map(|flow| http(flow).response.as_ref().unwrap().status).collect();
    assert_eq!(statuses, [401, 401, 200]);
    assert!(is_alice(&flows[2]) && !http(&flows[2]).request.headers.contains("authorization"));
    tells_no_password(&flowgate);
    let received: Vec<_> =
        (0..server.connections()).map(|at| text(&server.wait_for_end(at).received)).collect();
    assert_eq!(received.concat().matches("GET ").count(), 1, "{received:?}");
}

/// The client's credentials are for us, ours for the proxy behind us.
#[test]
fn an_upstream_proxy_gets_our_credentials_and_not_the_clients() {
    let upstream = RawServer::start(ok);
    let Some(curl) = Curl::new() else { return };
    let flowgate = asking()
        .args(["--mode", &format!("upstream:http://{}", upstream.address()), "--upstream-auth", "we:us"])
        .start();
    let curl = curl.proxy(&flowgate.proxy_url());
    assert_eq!(curl.fetch("http://a.test/").status, 407);
    assert_eq!(upstream.connections(), 0);
    let reply = curl.args(["--proxy-user", USER]).fetch("http://a.test/");
    assert_eq!((reply.exit, reply.text().as_str()), (0, "ok"), "{reply:?}");
    drop(saved_flows(&flowgate));
    let received = text(&upstream.wait_for_end(0).received);
    assert!(
        received.contains("Proxy-Authorization: Basic d2U6dXM=\r\n") && !received.contains(BASIC),
        "{received}"
    );
    tells_no_password(&flowgate);
}

#[test]
fn a_file_of_htpasswd_is_read_again_when_it_changes() {
    let (Some(htpasswd), Some(curl)) = (require("htpasswd"), Curl::new()) else { return };
    let server = RawServer::start(ok);
    let builder = flowgate();
    let users = builder.path("users");
    let write = |arguments: &[&str]| {
        let mut command = Process::command(&htpasswd);
        command.args(arguments).arg(&users);
        let name = if arguments[0] == "-D" { &["alice"][..] } else { &["alice", "sesame"] };
        let output = Process::run("htpasswd", command_with(command, name), flowgate_testkit::PATIENCE);
        assert!(output.status.success(), "{}", output.stderr);
    };
    write(&["-cbB"]);
    let flowgate = builder.args(["--proxyauth".to_owned(), format!("@{}", users.display())]).start();
    let curl = curl.proxy(&flowgate.proxy_url());
    let status = |user: &str| curl.clone().args(["--proxy-user", user]).fetch(&server.http_url("/")).status;
    assert_eq!((status("alice:sesame"), status("alice:open")), (200, 407));
    // bob, with the same password by another kind of hash.
    fs::write(&users, "bob:$6$uTIK8s84DfbEIBiT$9weJk0PPy8VMdHcW0G3mnTYcZ7pjXrnAFEtSiPljOBD98uv.rQgpJcQQwtzdjbCyRiiJBwmT9eS/w6Vp6fBNI0\n").unwrap();
    flowgate.wait_for(|line| line.contains("users read again, names: 1"));
    assert_eq!((status("alice:sesame"), status("bob:open sesame")), (407, 200));
    fs::write(&users, "# soon\nalice\n").unwrap();
    flowgate.wait_for(|line| {
        line.contains("those known before stay") && line.contains("users line 2: expected `name:hash`")
    });
    assert_eq!(status("bob:open sesame"), 200);
}

fn command_with(mut command: std::process::Command, arguments: &[&str]) -> std::process::Command {
    command.args(arguments);
    command
}

#[test]
fn people_of_a_directory() {
    let Some(curl) = Curl::new() else { return };
    let Some(slapd) = Slapd::start(&[("alice", "al", "secret"), ("bob", "bo", "other")]) else { return };
    let server = RawServer::start(ok);
    let (admin, password) = Slapd::ADMIN;
    let spec = |port: u16, password: &str| {
        format!("ldap:127.0.0.1:{port}:{admin}:{password}:{}?search_filter_key=uid", Slapd::PEOPLE)
    };
    let flowgate = flowgate().args(["--proxyauth".to_owned(), spec(slapd.port(), password)]).start();
    let curl = curl.proxy(&flowgate.proxy_url());
    for (user, status) in
        [("al:secret", 200), ("al:other", 407), ("*:secret", 407), ("alice:secret", 407), ("bo:", 407)]
    {
        let reply = curl.clone().args(["--proxy-user", user]).fetch(&server.http_url("/"));
        assert_eq!(reply.status, status, "{user}: {reply:?}");
    }
    let refused = Flowgate::run(FLOWGATE, &["dump", "-p", "0", "--proxyauth", &spec(slapd.port(), "guess")]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(
        refused.stderr,
        format!(
            "error: option `proxyauth` cannot be put into effect\n  cause: LDAP server 127.0.0.1:{}: it does not let us look for people: result 49\n",
            slapd.port()
        )
    );
}

#[test]
fn mistakes_end_the_start_and_name_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users");
    fs::write(&users, "\nalice:O371xzyAqUxZM\n").unwrap();
    let (file, absent) = (format!("@{}", users.display()), format!("@{}/absent", folder.path().display()));
    for (arguments, told) in [
        (
            vec!["--proxyauth", "secret"],
            "option `proxyauth`: expected `USER:PASS`, `any`, `@FILE` or `ldap[s]:SERVER[:PORT]:DN:PASSWORD:SUBTREE`\n",
        ),
        (
            vec!["--proxyauth", "ldap:h:dn:secret"],
            "option `proxyauth`: expected `ldap[s]:SERVER[:PORT]:DN:PASSWORD:SUBTREE[?search_filter_key=NAME]`\n",
        ),
        (
            vec!["--proxyauth", "any", "--mode", "transparent"],
            "option `proxyauth`: clients of mode transparent cannot be asked who they are\n\
             hint: modes `regular`, `upstream`, `socks5` and `reverse` to http and https can\n",
        ),
        (
            vec!["--proxyauth", &absent],
            "proxyauth: cannot read DIR/absent: No such file or directory (os error 2)\n",
        ),
        (
            vec!["--proxyauth", &file],
            "proxyauth: DIR/users line 2: the password is not hashed in a way that is taken here\n\
             hint: `htpasswd -B FILE NAME` writes bcrypt hashes; those of `-5`, `-2`, `-m` and `-s` are taken, too\n",
        ),
    ] {
        let output = Flowgate::run(FLOWGATE, &[&["dump", "-p", "0"], arguments.as_slice()].concat());
        let said = output.stderr.replace(&folder.path().display().to_string(), "DIR");
        assert_eq!((output.status.code(), said), (Some(1), format!("error: {told}")), "{arguments:?}");
    }
}
