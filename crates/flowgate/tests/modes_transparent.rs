//! Mode `transparent` on a gateway between two machines, each of the three a network namespace of its own.
//!
//! The rules are those of `docs/guides/transparent-setup.sh`, so the script is tested here as well.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use flowgate_testkit::{Flowgate, PATIENCE, Process, require};
use tempfile::TempDir;

const SETUP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guides/transparent-setup.sh");

const SERVER: [&str; 2] = ["10.77.2.2", "fd77:2::2"];
const GATEWAY: [&str; 2] = ["10.77.1.1", "fd77:1::1"];

/// A client, a gateway and a server, connected in this order. They go on drop.
struct Network {
    name: String,
    ip: PathBuf,
}

impl Network {
    /// `None` after a line that says what is missing: the tools, or the rights to use them.
    fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        for program in ["iptables", "ip6tables", "python3", "curl"] {
            require(program)?;
        }
        let ip = require("ip")?;
        let name = format!("fg{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let network = Self { name, ip };
        let may = is_root();
        assert!(may || std::env::var_os("CI").is_none(), "network namespaces need root");
        if !may {
            // Past the capture of the test harness, as the test kit says what it skips.
            let line = b"skipped modes_transparent: network namespaces need root\n";
            std::io::Write::write_all(&mut std::io::stderr(), line).unwrap();
            return None;
        }
        let links = |of: &str, to: &str, link: &str| {
            let (near, far) = (network.space(of), network.space(to));
            let peer = format!("{link}-far");
            let link = format!("{link}-near");
            network.ip(&[
                "link", "add", &link, "netns", &near, "type", "veth", "peer", "name", &peer, "netns", &far,
            ]);
        };
        for space in ["client", "gateway", "server"] {
            network.ip(&["netns", "add", &network.space(space)]);
            network.ip(&["-n", &network.space(space), "link", "set", "lo", "up"]);
        }
        links("client", "gateway", "c");
        links("gateway", "server", "s");
        network.address("client", "c-near", ["10.77.1.2/24", "fd77:1::2/64"]);
        network.address("gateway", "c-far", ["10.77.1.1/24", "fd77:1::1/64"]);
        network.address("gateway", "s-near", ["10.77.2.1/24", "fd77:2::1/64"]);
        network.address("server", "s-far", ["10.77.2.2/24", "fd77:2::2/64"]);
        for (space, gateways) in [("client", GATEWAY), ("server", ["10.77.2.1", "fd77:2::1"])] {
            for via in gateways {
                network.ip(&["-n", &network.space(space), "route", "add", "default", "via", via]);
            }
        }
        Some(network)
    }

    fn space(&self, name: &str) -> String {
        format!("{}-{name}", self.name)
    }

    fn address(&self, space: &str, link: &str, addresses: [&str; 2]) {
        let space = self.space(space);
        let [v4, v6] = addresses;
        self.ip(&["-n", &space, "address", "add", v4, "dev", link]);
        self.ip(&["-n", &space, "address", "add", v6, "dev", link, "nodad"]);
        self.ip(&["-n", &space, "link", "set", link, "up"]);
    }

    fn ip(&self, arguments: &[&str]) {
        let output = Command::new(&self.ip).args(arguments).output().unwrap();
        assert!(output.status.success(), "ip {arguments:?}: {output:?}");
    }

    /// A command on one of the machines.
    fn command(&self, space: &str, program: &str) -> Command {
        let mut command = Process::command(&self.ip);
        command.args(["netns", "exec", &self.space(space), program]);
        command
    }

    /// Runs the set-up script on the gateway.
    fn set_up(&self, arguments: &[&str]) {
        let mut command = self.command("gateway", "sh");
        command.arg(SETUP).args(arguments);
        let output = Process::run("transparent-setup.sh", command, PATIENCE);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }

    /// Loads nftables rules on the gateway.
    fn load(&self, rules: &Path) {
        let mut command = self.command("gateway", "nft");
        command.arg("-f").arg(rules);
        let output = Process::run("nft", command, PATIENCE);
        assert!(output.status.success(), "{output:?}");
    }

    /// Fetches a URL from a machine; gives what came.
    fn fetch(&self, space: &str, url: &str) -> String {
        let mut command = self.command(space, "curl");
        command.args(["-q", "-s", "-S", "-g", "--max-time", "20", "--noproxy", "*", url]);
        let output = Process::run("curl", command, PATIENCE * 2);
        format!("{}{}", output.stdout.trim_end(), output.stderr)
    }

    /// A web server on port 80 of the server that has one file.
    fn serve(&self, folder: &Path) -> Process {
        fs::write(folder.join("page"), "from the server").unwrap();
        let mut command = self.command("server", "python3");
        command.args(["-u", "-m", "http.server", "80", "--bind", "::", "--directory"]).arg(folder);
        let server = Process::spawn("http.server", command);
        server.wait_for("its start", PATIENCE, |line| line.text.contains("Serving HTTP").then_some(()));
        server
    }

    /// flowgate on the gateway, at port 8080 of both families.
    fn flowgate(&self, folder: &Path, arguments: &[&str]) -> Flowgate {
        let modes = ["transparent@0.0.0.0:8080", "transparent@[::]:8080"];
        self.flowgate_on("gateway", modes, folder, arguments)
    }

    fn flowgate_on(&self, space: &str, modes: [&str; 2], folder: &Path, arguments: &[&str]) -> Flowgate {
        let script = folder.join(format!("flowgate-{space}"));
        let (ip, space) = (self.ip.display(), self.space(space));
        let binary = env!("CARGO_BIN_EXE_flowgate");
        fs::write(&script, format!("#!/bin/sh\nexec '{ip}' netns exec {space} '{binary}' \"$@\"\n")).unwrap();
        fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
        Flowgate::builder(script)
            .args(["--mode", modes[0], "--mode", modes[1]])
            .args(arguments.to_vec())
            .listeners(2)
            .start()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for space in ["client", "gateway", "server"] {
            let _ = Command::new(&self.ip).args(["netns", "delete", &self.space(space)]).output();
        }
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0)
}

fn in_brackets(ip: &str) -> String {
    if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() }
}

/// A client behind the gateway is served by the server, through flowgate, with either kind of rules.
fn a_gateway_sees_what_crosses(kind: &str) {
    let Some(network) = Network::new() else { return };
    let folder = TempDir::new().unwrap();
    let _server = network.serve(folder.path());
    network.set_up(&["up", kind, "c-far"]);
    let flowgate = network.flowgate(folder.path(), &[]);
    flowgate.wait_for(|line| line.contains("Transparent Proxy listening at *:8080."));
    for server in SERVER {
        let url = format!("http://{}/page", in_brackets(server));
        assert_eq!(network.fetch("client", &url), "from the server", "{url}");
        flowgate.wait_for(|line| line.contains(&format!("GET {url}")));
    }
    for gateway in GATEWAY {
        let url = format!("http://{}:8080/", in_brackets(gateway));
        assert!(network.fetch("client", &url).contains("curl: ("), "{url} was served");
        let wanted = format!("not redirected: the client connected to {}:8080 itself", in_brackets(gateway));
        flowgate.wait_for(|line| line.contains(&wanted));
    }
    // Undone, the client reaches the server without us.
    network.set_up(&["down", kind]);
    let before = flowgate.lines().len();
    for server in SERVER {
        assert_eq!(
            network.fetch("client", &format!("http://{}/page", in_brackets(server))),
            "from the server"
        );
    }
    assert_eq!(flowgate.lines().len(), before);
}

#[test]
fn a_gateway_with_redirect() {
    a_gateway_sees_what_crosses("redirect");
}

#[test]
fn a_gateway_with_tproxy() {
    a_gateway_sees_what_crosses("tproxy");
}

#[test]
fn a_gateway_leaves_by_the_way_that_rules_say() {
    let Some(network) = Network::new() else { return };
    let folder = TempDir::new().unwrap();
    let _server = network.serve(folder.path());
    network.set_up(&["up", "redirect", "c-far"]);
    let modes = ["regular@10.77.2.2:3128", "socks5@10.77.2.2:1080"];
    let proxy = network.flowgate_on("server", modes, folder.path(), &[]);
    let trust = format!("ssl_verify_upstream_trusted_ca={}", proxy.ca_certificate().display());
    let rules = folder.path().join("rules.toml");
    for egress in ["http://10.77.2.2:3128", "https://10.77.2.2:3128", "socks5://10.77.2.2:1080", "direct"] {
        // What is passed through takes the same way as what is read.
        let text = format!("[[rule]]\nvia = '{egress}'\n\n[[rule]]\naction = 'pass'\ncidr = 'fd77::/16'\n");
        fs::write(&rules, text).unwrap();
        let arguments = ["--rules", rules.to_str().unwrap(), "--set", &trust];
        let flowgate = network.flowgate(folder.path(), &arguments);
        let way = if egress == "direct" { "".to_owned() } else { format!(" via upstream proxy {egress}") };
        for server in SERVER {
            let url = format!("http://{}/page", in_brackets(server));
            assert_eq!(network.fetch("client", &url), "from the server", "{url} {egress}");
            let wanted = format!("server connect {}:80{way}", in_brackets(server));
            flowgate.wait_for(|line| line.ends_with(&wanted));
        }
        assert!(flowgate.lines().iter().any(|line| line.text.contains("GET http://10.77.2.2/page")));
        assert!(!flowgate.lines().iter().any(|line| line.text.contains("GET http://[fd77")), "{egress}");
    }
}

/// A table of nftables rules that the guide shows, which begins with this chain.
fn nftables_of_the_guide(chain: &str) -> String {
    let guide = include_str!("../../../docs/guides/transparent.md");
    let begins = guide.find(&format!("    table inet flowgate {{\n        chain {chain} {{")).unwrap();
    let block: Vec<_> = guide[begins..].lines().take_while(|line| line.starts_with("    ")).collect();
    block.join("\n")
}

#[test]
fn a_gateway_with_the_nftables_rules_of_the_guide() {
    let (Some(_), Some(network)) = (require("nft"), Network::new()) else { return };
    let folder = TempDir::new().unwrap();
    let _server = network.serve(folder.path());
    let rules = folder.path().join("rules.nft");
    fs::write(&rules, nftables_of_the_guide("prerouting").replace("lan0", "c-far")).unwrap();
    network.load(&rules);
    let flowgate = network.flowgate(folder.path(), &[]);
    for server in SERVER {
        let url = format!("http://{}/page", in_brackets(server));
        assert_eq!(network.fetch("client", &url), "from the server", "{url}");
        flowgate.wait_for(|line| line.contains(&format!("GET {url}")));
    }
}

#[test]
fn one_machine_sees_what_it_sends() {
    let Some(network) = Network::new() else { return };
    // flowgate runs as root here, so everybody else is to be redirected.
    network.set_up(&["up", "machine", "root"]);
    one_machine(&network);
}

#[test]
fn one_machine_with_the_nftables_rules_of_the_guide() {
    let (Some(_), Some(network)) = (require("nft"), Network::new()) else { return };
    let folder = TempDir::new().unwrap();
    let rules = folder.path().join("rules.nft");
    fs::write(&rules, nftables_of_the_guide("output").replace("skuid \"flowgate\"", "skuid \"root\""))
        .unwrap();
    network.load(&rules);
    one_machine(&network);
}

fn one_machine(network: &Network) {
    let folder = TempDir::new().unwrap();
    let _server = network.serve(folder.path());
    let flowgate = network.flowgate(folder.path(), &["--ignore-hosts", "^\\[?fd77"]);
    let mut command = network.command("gateway", "setpriv");
    command.args(["--reuid=65534", "--clear-groups", "curl", "-q", "-s", "-S", "--max-time", "20"]);
    command.args(["http://10.77.2.2/page", "-g", "http://[fd77:2::2]/page"]);
    let output = Process::run("curl", command, PATIENCE * 2);
    assert_eq!(output.stdout.trim_end(), "from the serverfrom the server", "{output:?}");
    flowgate.wait_for(|line| line.contains("GET http://10.77.2.2/page"));
    flowgate.wait_for(|line| line.contains("server connect [fd77:2::2]:80"));
    assert!(
        !flowgate.lines().iter().any(|line| line.text.contains("GET http://[fd77")),
        "it was to be passed through"
    );
}
