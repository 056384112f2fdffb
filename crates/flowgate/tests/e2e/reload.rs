//! Options that change while the program runs, by its config file: connections that begin from then on follow them, open ones
//! keep what they have, and a mistake changes nothing.

use std::fs;

use flowgate_flow::FlowKind;
use flowgate_testkit::{Flowgate, RawConnection, RawServer, TestCa};

use crate::support::{Client, flowgate, saved_flows};

/// Answers `ok` to each request on a connection.
fn server(ca: &TestCa) -> RawServer {
    let leaf = ca.leaf(&["pinned.test", "other.test"]);
    RawServer::start_tls(leaf.server_config(&[b"http/1.1"]), |connection: &mut RawConnection| {
        loop {
            connection.read_until(b"\r\n\r\n")?;
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
        }
    })
}

/// One flowgate whose config file can be written, before a server.
struct Setup {
    ca: TestCa,
    server: RawServer,
    flowgate: Flowgate,
}

fn setup(config: &str) -> Setup {
    let ca = TestCa::new();
    let server = server(&ca);
    let flowgate = flowgate()
        .confdir_file("config.yaml", config)
        .set("ssl_verify_upstream_trusted_ca", ca.certificate_path().display())
        .start();
    Setup { ca, server, flowgate }
}

/// Who signed what a client sees.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Signed {
    ByTheServersAuthority,
    ByUs,
}

impl Setup {
    fn write(&self, config: &str) {
        fs::write(self.flowgate.confdir().join("config.yaml"), config).unwrap();
    }

    /// A tunnel to the server, asking for `name`, and one request in it.
    fn open(&self, name: &str) -> (Signed, Client) {
        let ways = [
            (Signed::ByTheServersAuthority, self.ca.certificate_path()),
            (Signed::ByUs, self.flowgate.ca_certificate()),
        ];
        let opened = ways.into_iter().find_map(|(signed, root)| {
            let tunnel = Client::tunnel(&self.flowgate, self.server.address());
            Some((signed, tunnel.try_tls(&root, name, &[b"http/1.1"]).ok()?))
        });
        let (signed, mut client) = opened.unwrap();
        get(&mut client, name);
        (signed, client)
    }

    fn signed(&self, name: &str) -> Signed {
        let (signed, mut client) = self.open(name);
        client.end();
        signed
    }
}

fn get(client: &mut Client, name: &str) {
    client.send(format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n"));
    assert_eq!(client.response().1, "ok");
}

/// The acceptance harness's `runtime.add`, and `runtime.remove` after it.
#[test]
fn an_exemption_that_is_added_counts_for_new_connections_and_not_for_open_ones() {
    let setup = setup("");
    let (signed, mut open) = setup.open("pinned.test");
    assert_eq!(signed, Signed::ByUs);
    setup.write("ignore_hosts: ['^pinned\\.test:']\n");
    setup.flowgate.wait_for(|line| line.contains("options reloaded for new connections: `ignore_hosts`"));
    assert_eq!(setup.signed("pinned.test"), Signed::ByTheServersAuthority);
    assert_eq!(setup.signed("other.test"), Signed::ByUs);
    // What was decrypted stays so, and recorded.
    get(&mut open, "pinned.test");
    open.end();
    let (signed, mut exempt) = setup.open("pinned.test");
    assert_eq!(signed, Signed::ByTheServersAuthority);
    setup.write("ignore_hosts: []\n");
    setup.flowgate.wait_for({
        let mut times = 0;
        move |line| {
            times += usize::from(line.contains("options reloaded for new connections: `ignore_hosts`"));
            times == 2
        }
    });
    assert_eq!(setup.signed("pinned.test"), Signed::ByUs);
    get(&mut exempt, "pinned.test");
    exempt.end();
    let requests = saved_flows(&setup.flowgate);
    let requests = requests.iter().filter(|flow| matches!(flow.kind, FlowKind::Http(_))).count();
    assert_eq!(requests, 4, "two on the first connection, `other.test`, and the last; none that was exempt");
}

/// The acceptance harness's `runtime.bad-regex`.
#[test]
fn a_bad_pattern_is_refused_with_its_place_and_the_old_ones_stay() {
    let setup = setup("ignore_hosts: ['^pinned\\.test:']\n");
    assert_eq!(setup.signed("pinned.test"), Signed::ByTheServersAuthority);
    setup.write("http2: false\nignore_hosts: ['fine', '(']\n");
    setup.flowgate.wait_for(|line| {
        line.contains(
            "options not reloaded, the old ones stay: ignore_hosts[1] /(/: missing ), unterminated subpattern at position 0",
        )
    });
    assert_eq!(setup.signed("pinned.test"), Signed::ByTheServersAuthority);
    assert_eq!(setup.signed("other.test"), Signed::ByUs);
    setup.write("http3: false\n");
    setup.flowgate.wait_for(|line| line.contains("config.yaml:1:1: "));
    assert_eq!(setup.signed("pinned.test"), Signed::ByTheServersAuthority);
}

#[test]
fn what_the_command_line_says_stays_and_what_needs_a_start_is_told() {
    let ca = TestCa::new();
    let server = server(&ca);
    let flowgate = flowgate()
        .args(["--ignore-hosts", r"^pinned\.test:"])
        .set("ssl_verify_upstream_trusted_ca", ca.certificate_path().display())
        .start();
    let setup = Setup { ca, server, flowgate };
    setup.write("ignore_hosts: [other]\nflow_detail: 0\nmode: ['regular@1']\n");
    setup
        .flowgate
        .wait_for(|line| line.contains("options that stay as the command line says: `ignore_hosts`"));
    setup
        .flowgate
        .wait_for(|line| line.contains("options that count from the next start on: `mode`, `flow_detail`"));
    assert_eq!(setup.signed("pinned.test"), Signed::ByTheServersAuthority);
    assert_eq!(setup.signed("other.test"), Signed::ByUs);
}

#[test]
fn rules_in_the_config_file_count_for_new_connections() {
    let setup = setup("rules:\n- action: pass\n  domain: pinned.test\n");
    assert_eq!(setup.signed("pinned.test"), Signed::ByTheServersAuthority);
    assert_eq!(setup.signed("other.test"), Signed::ByUs);
    setup.write("rules:\n- action: pass\n  domain: other.test\n  prot: 443\n");
    setup.flowgate.wait_for(|line| line.contains("/config.yaml:4:3: `prot` is not a key of a rule"));
    assert_eq!(setup.signed("pinned.test"), Signed::ByTheServersAuthority);
    setup.write("rules:\n- action: pass\n  domain: other.test\n");
    setup.flowgate.wait_for(|line| line.contains("options reloaded for new connections: `rules`"));
    assert_eq!(setup.signed("pinned.test"), Signed::ByUs);
    assert_eq!(setup.signed("other.test"), Signed::ByTheServersAuthority);
}
