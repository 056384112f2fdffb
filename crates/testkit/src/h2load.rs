//! Many requests at once with the real h2load, and how many of them came back.
//!
//! For correctness under concurrency, not for figures. h2load knows no proxies, but it can be made to connect elsewhere
//! than its URL says: a proxy that takes targets without a host by their `Host` header then serves it.

use std::net::SocketAddr;
use std::time::Duration;

use crate::need::require;
use crate::process::Process;

const PATIENCE: Duration = Duration::from_secs(120);

/// A load to be made.
#[derive(Clone, Copy, Debug)]
pub struct H2load {
    /// How many requests in all.
    pub requests: u32,
    /// Over how many connections.
    pub clients: u32,
    /// How many streams at once on each connection.
    pub streams: u32,
    /// HTTP/1.1 instead of HTTP/2.
    pub http1: bool,
    /// Connect here, whatever the URL says.
    pub connect_to: Option<SocketAddr>,
}

/// How a load went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Load {
    /// Requests that were to be made.
    pub total: u32,
    /// Requests that were answered with 2xx or 3xx.
    pub succeeded: u32,
    /// Requests without such an answer, for any reason.
    pub failed: u32,
}

impl Default for H2load {
    fn default() -> Self {
        Self { requests: 500, clients: 5, streams: 10, http1: false, connect_to: None }
    }
}

impl H2load {
    /// Makes the load on `url`, or gives `None` after a line that says that h2load is missing (see [`require`]).
    ///
    /// # Panics
    ///
    /// When h2load ends without a summary.
    #[must_use]
    pub fn run(&self, url: &str) -> Option<Load> {
        let mut command = Process::command(&require("h2load")?);
        command
            .arg(format!("--requests={}", self.requests))
            .arg(format!("--clients={}", self.clients))
            .arg(format!("--max-concurrent-streams={}", self.streams))
            .args(self.http1.then_some("--h1"))
            .args(self.connect_to.map(|address| format!("--connect-to={address}")))
            .arg(url);
        let output = Process::run("h2load", command, PATIENCE);
        let load = output.stdout.lines().find_map(Load::parse);
        Some(load.unwrap_or_else(|| panic!("h2load gave no summary: {output:?}")))
    }
}

impl Load {
    /// Reads `requests: 500 total, 500 started, 500 done, 500 succeeded, 0 failed, 0 errored, 0 timeout`.
    fn parse(line: &str) -> Option<Self> {
        let counts = line.strip_prefix("requests: ")?;
        let count = |name: &str| {
            counts
                .split(", ")
                .find_map(|entry| entry.split_once(' ').filter(|(_, found)| *found == name)?.0.parse().ok())
        };
        Some(Self { total: count("total")?, succeeded: count("succeeded")?, failed: count("failed")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_read() {
        let line =
            "requests: 500 total, 499 started, 498 done, 497 succeeded, 3 failed, 2 errored, 0 timeout";
        assert_eq!(Load::parse(line), Some(Load { total: 500, succeeded: 497, failed: 3 }));
        assert_eq!(Load::parse("status codes: 500 2xx"), None);
    }
}
