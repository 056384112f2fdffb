//! Name servers of our own choice (`dns_name_servers`, `dns_use_hosts_file`): what clients get of what servers answer, and what
//! is judged when an answer is there.

use std::fs;

use flowgate_testkit::{Curl, Data, Flowgate, NameServer, RawConnection, RawServer, Says, TestCa};

use crate::support::{FLOWGATE, flowgate, https_server, saved_flows};

fn plain_server() -> RawServer {
    RawServer::start(|connection: &mut RawConnection| {
        connection.read_until(b"\r\n\r\n")?;
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
    })
}

#[test]
fn answers_lead_to_servers_and_errors_are_told() {
    let Some(curl) = Curl::new() else { return };
    let ca = TestCa::new();
    let secure = https_server(&ca, &["shop.test", "bank.test"]);
    let plain = plain_server();
    let silent = NameServer::start(|_| Says::Nothing);
    let fails = NameServer::start(
        |question| if question.name == "gone.test" { Says::Code(3) } else { Says::Code(2) },
    );
    let answers = NameServer::start(|question| match question.name.as_str() {
        // Nobody listens at the first address: the next is tried.
        "shop.test" => Says::addresses("shop.test", &["127.0.0.7", "127.0.0.1"]),
        "bank.test" if !question.tcp => Says::Cut,
        "bank.test" => Says::Records(vec![
            ("bank.test".into(), 60, Data::Alias("host.test".into())),
            ("host.test".into(), 60, Data::Address([127, 0, 0, 1].into())),
        ]),
        "empty.test" => Says::Records(vec![]),
        "gone.test" => Says::Code(3),
        "broken.test" => Says::Code(2),
        _ => Says::addresses(&question.name, &["127.0.0.1"]),
    });
    let flowgate = flowgate()
        .args(["--ignore-hosts", "^bank"])
        .set("ssl_verify_upstream_trusted_ca", ca.certificate_path().display())
        .set("dns_name_servers", silent.address())
        .set("dns_name_servers", fails.address())
        .set("dns_name_servers", answers.address())
        .start();
    let curl = curl.proxy(&flowgate.proxy_url());
    let port = secure.address().port();
    for (host, root) in [("shop.test", flowgate.ca_certificate()), ("bank.test", ca.certificate_path())] {
        let reply = curl.clone().trust(&root).fetch(&format!("https://{host}:{port}/"));
        assert_eq!((reply.exit, reply.text().as_str()), (0, "ok"), "{host}: {}", reply.messages);
    }
    assert!(answers.asked().iter().any(|question| question.name == "bank.test" && question.tcp));
    let plain_port = plain.address().port();
    assert_eq!(curl.fetch(&format!("http://other.test:{plain_port}/")).status, 200);
    let says = format!("name server {}", answers.address());
    for (host, told) in [
        ("gone.test", format!("cannot resolve gone.test: {says} says that there is no such name")),
        ("empty.test", "empty.test has no address".to_owned()),
        ("broken.test", "cannot resolve broken.test: name server ".to_owned()),
    ] {
        let reply = curl.fetch(&format!("http://{host}:{plain_port}/"));
        assert_eq!(reply.status, 502, "{host}");
        assert!(reply.text().contains(&told), "{host}: {}", reply.text());
    }
    let flows = saved_flows(&flowgate);
    let errors: Vec<_> =
        flows.iter().filter_map(|flow| flow.error.as_ref()).map(|error| &error.message).collect();
    assert_eq!(errors.len(), 3, "{errors:?}");
    assert!(errors.iter().any(|error| error.contains("no such name")), "{errors:?}");
}

#[test]
fn an_answer_is_judged_before_it_is_connected_to() {
    let Some(curl) = Curl::new() else { return };
    let plain = plain_server();
    let server = NameServer::start(|question| Says::addresses(&question.name, &["127.0.0.1", "::1"]));
    let flowgate =
        flowgate().set("dns_name_servers", server.address()).set("block_private_targets", true).start();
    let url = format!("http://public.test:{}/", plain.address().port());
    assert_eq!(curl.proxy(&flowgate.proxy_url()).fetch(&url).status, 403);
    assert_eq!(plain.connections(), 0);
}

#[test]
fn the_hosts_file_counts_unless_it_is_not_wanted() {
    let Some(curl) = Curl::new() else { return };
    // A name that this machine knows by itself, as most do: their own.
    let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
    let own = hosts.lines().filter_map(|line| line.strip_prefix("127.0.0.1")).flat_map(str::split_whitespace);
    let Some(name) = own.into_iter().find(|name| !name.contains("localhost")) else { return };
    let plain = plain_server();
    let server = NameServer::start(|_| Says::Code(3));
    for (use_hosts, status) in [(true, 200), (false, 502)] {
        let flowgate =
            flowgate().set("dns_name_servers", server.address()).set("dns_use_hosts_file", use_hosts).start();
        let url = format!("http://{name}:{}/", plain.address().port());
        assert_eq!(curl.clone().proxy(&flowgate.proxy_url()).fetch(&url).status, status, "{use_hosts}");
    }
}

#[test]
fn other_servers_are_asked_when_the_config_file_says_so() {
    let Some(curl) = Curl::new() else { return };
    let plain = plain_server();
    let (before, after) = (
        NameServer::start(|_| Says::Code(3)),
        NameServer::start(|question| Says::addresses(&question.name, &["127.0.0.1"])),
    );
    let config = |server: &NameServer| format!("dns_name_servers: ['{}']\n", server.address());
    let flowgate = flowgate().confdir_file("config.yaml", config(&before)).start();
    let curl = curl.proxy(&flowgate.proxy_url());
    let url = format!("http://a.test:{}/", plain.address().port());
    assert_eq!(curl.fetch(&url).status, 502);
    fs::write(flowgate.confdir().join("config.yaml"), config(&after)).unwrap();
    flowgate.wait_for(|line| line.contains("options reloaded for new connections: `dns_name_servers`"));
    assert_eq!(curl.fetch(&url).status, 200);
}

#[test]
fn a_bad_entry_is_refused_at_the_start() {
    let output = Flowgate::run(FLOWGATE, &["dump", "--set", "dns_name_servers=dns.test"]);
    let said = output.stderr;
    assert!(
        said.starts_with("error: option `dns_name_servers`: `dns.test` is no IP address of a name server"),
        "{said}"
    );
}
