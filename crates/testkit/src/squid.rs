//! A squid as an upstream proxy, with or without a name and a password.
//!
//! squid takes neither port 0 nor a listener that is open already, so it gets a port that was free a moment ago, and
//! another one if somebody took that meanwhile.

use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::need::require;
use crate::process::Process;

/// How long a start may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many ports are tried.
const ATTEMPTS: usize = 5;

/// A running squid that forwards everything and caches nothing.
#[derive(Debug)]
pub struct Squid {
    address: SocketAddr,
    _process: Process,
    _folder: TempDir,
}

impl Squid {
    /// Starts one that lets everybody through, or only those with these credentials (`user`, `password`: letters and
    /// digits). `None` after a line that says that squid is missing (see [`require`]).
    ///
    /// # Panics
    ///
    /// When it does not start.
    #[must_use]
    pub fn start(credentials: Option<(&str, &str)>) -> Option<Self> {
        let program = require("squid")?;
        let folder = TempDir::new().expect("a temporary folder");
        // As root, squid becomes another user before it starts its helper.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))
            .expect("a folder that others may read");
        if let Some((user, password)) = credentials {
            let helper = format!(
                "while read -r given; do\n[ \"$given\" = '{user} {password}' ] && echo OK || echo ERR\ndone\n"
            );
            fs::write(folder.path().join("helper.sh"), helper).expect("a helper for squid");
        }
        for _ in 0..ATTEMPTS {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
            let address = free.expect("a port on loopback");
            let file = folder.path().join("squid.conf");
            fs::write(&file, config(address, folder.path(), credentials.is_some()))
                .expect("a configuration file");
            let mut command = Process::command(&program);
            // In the foreground, with its messages on standard error.
            command.args(["-N", "-d", "1", "-f"]).arg(&file);
            let process = Process::spawn("squid", command);
            let started = process.wait_for("its start", PATIENCE, |line| {
                let started = line.text.contains("Accepting HTTP Socket connections");
                (started || line.text.contains("FATAL")).then_some(started)
            });
            if started {
                return Some(Self { address, _process: process, _folder: folder });
            }
        }
        panic!("squid found no free port");
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

fn config(address: SocketAddr, folder: &Path, with_credentials: bool) -> String {
    let access = if with_credentials {
        let helper = folder.join("helper.sh");
        format!(
            "auth_param basic program /bin/sh {}\nauth_param basic children 1 startup=1\n\
             acl known proxy_auth REQUIRED\nhttp_access deny !known\nhttp_access allow all\n",
            helper.display()
        )
    } else {
        "http_access allow all\n".to_owned()
    };
    format!(
        "http_port {address}\npid_filename none\ncache_log /dev/null\naccess_log none\ncoredump_dir none\n\
         cache deny all\ncache_mem 1 MB\npinger_enable off\nshutdown_lifetime 0 seconds\n\
         visible_hostname squid.test\n{access}"
    )
}
