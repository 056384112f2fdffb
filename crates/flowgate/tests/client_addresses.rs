//! Which clients are let in by their addresses (`block_global`, `block_private`): on a machine of its own, a network namespace, that
//! has addresses of every kind.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use flowgate_testkit::{Flowgate, PATIENCE, Process, require};
use tempfile::TempDir;

const PRIVATE: [&str; 2] = ["10.1.2.3", "fd00::3"];
const GLOBAL: [&str; 2] = ["93.184.216.34", "2606:4700::1111"];
const LOOPBACK: [&str; 2] = ["127.0.0.1", "::1"];

/// A machine that reaches nobody. It goes on drop.
struct Machine {
    ip: PathBuf,
    name: String,
    folder: TempDir,
}

impl Machine {
    /// `None` after a line that says what is missing: the tools, or the rights to use them.
    fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (ip, _) = (require("ip")?, require("curl")?);
        let may = fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0);
        assert!(may || std::env::var_os("CI").is_none(), "network namespaces need root");
        if !may {
            // Past the capture of the test harness, as the test kit says what it skips.
            let line = b"skipped client_addresses: network namespaces need root\n";
            std::io::Write::write_all(&mut std::io::stderr(), line).unwrap();
            return None;
        }
        let name = format!("fga{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let machine = Self { ip, name, folder: TempDir::new().unwrap() };
        machine.ip(&["netns", "add", &machine.name]);
        machine.ip(&["-n", &machine.name, "link", "set", "lo", "up"]);
        for address in PRIVATE.into_iter().chain(GLOBAL) {
            machine.ip(&["-n", &machine.name, "address", "add", address, "dev", "lo"]);
        }
        Some(machine)
    }

    fn ip(&self, arguments: &[&str]) {
        let output = Command::new(&self.ip).args(arguments).output().unwrap();
        assert!(output.status.success(), "ip {arguments:?}: {output:?}");
    }

    /// flowgate on it, at port 8080 of both families.
    fn flowgate(&self, options: &[&str]) -> Flowgate {
        let script = self.folder.path().join("flowgate");
        let (ip, name, binary) = (self.ip.display(), &self.name, env!("CARGO_BIN_EXE_flowgate"));
        fs::write(&script, format!("#!/bin/sh\nexec '{ip}' netns exec {name} '{binary}' \"$@\"\n")).unwrap();
        fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
        let options = options.iter().flat_map(|option| ["--set", option]);
        Flowgate::builder(script)
            .args(["--mode", "regular@0.0.0.0:8080", "--mode", "regular@[::]:8080"])
            .args(options)
            .listeners(2)
            .start()
    }

    /// Whether a client with this address is served.
    fn is_served(&self, from: &str) -> bool {
        let own = if from.contains(':') { "[fd00::3]" } else { "10.1.2.3" };
        let mut command = Process::command(&self.ip);
        command.args([
            "netns",
            "exec",
            &self.name,
            "curl",
            "-q",
            "-s",
            "-g",
            "--max-time",
            "20",
            "--interface",
            from,
        ]);
        // The page that flowgate itself has: no server is needed.
        command.args(["-x", &format!("http://{own}:8080"), "http://mitm.it/"]);
        Process::run("curl", command, PATIENCE * 2).status.success()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = Command::new(&self.ip).args(["netns", "delete", &self.name]).output();
    }
}

#[test]
fn clients_are_let_in_by_their_addresses() {
    let Some(machine) = Machine::new() else { return };
    for (options, refused) in [
        (&[][..], &[("block_global", GLOBAL)][..]),
        (&["block_global=false"], &[]),
        (&["block_global=false", "block_private=true"], &[("block_private", PRIVATE)]),
        (&["block_private=true"], &[("block_private", PRIVATE), ("block_global", GLOBAL)]),
    ] {
        let flowgate = machine.flowgate(options);
        for from in [LOOPBACK, PRIVATE, GLOBAL].concat() {
            let by = refused.iter().find(|(_, addresses)| addresses.contains(&from));
            assert_eq!(machine.is_served(from), by.is_none(), "{from} with {options:?}");
            if let Some((option, _)) = by {
                let told = format!("Client connection from {from} killed by {option} option.");
                flowgate.wait_for(|line| line.contains(&told));
            }
        }
    }
}
