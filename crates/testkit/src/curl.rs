//! One request with the real curl, through a proxy or not, and what came back.
//!
//! Nothing of the machine takes part: no `.curlrc`, no proxy variables, no system roots unless asked for. A failed
//! transfer is a [`Reply`] like any other, with curl's exit code, because failing is what many tests want to see.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::need::require;
use crate::process::Process;

/// Longer than curl's own `--max-time`, so that curl tells what took so long.
const PATIENCE: Duration = Duration::from_secs(40);

/// A curl command line in the making.
#[derive(Clone, Debug)]
pub struct Curl {
    program: PathBuf,
    arguments: Vec<OsString>,
}

/// What curl saw.
#[derive(Debug)]
pub struct Reply {
    /// curl's exit code: 0 done, 7 refused, 18 cut, 28 timed out, 35 TLS failed, 52 nothing answered, 56 reset, 60 untrusted.
    pub exit: i32,
    /// The last status, 0 when there was none.
    pub status: u16,
    /// `0`, `1`, `1.1` or `2`: the version of the last answer.
    pub version: String,
    /// All heads as received, in order: those of the proxy, interim ones, and trailers too.
    pub heads: String,
    /// The body as received, decoded by nobody unless `--compressed` was given.
    pub body: Vec<u8>,
    /// curl's messages; with `-v` its whole story.
    pub messages: String,
}

impl Curl {
    /// A curl that asks directly, or `None` after a line that says that it is missing (see [`require`]).
    #[must_use]
    pub fn new() -> Option<Self> {
        Some(Self { program: require("curl")?, arguments: Vec::new() })
    }

    /// Goes through this proxy (`http://`, `https://`, `socks5h://`), for every host.
    #[must_use]
    pub fn proxy(self, url: &str) -> Self {
        self.args(["--noproxy", "", "--proxy", url])
    }

    /// Trusts this root and no other.
    #[must_use]
    pub fn trust(mut self, certificate: &Path) -> Self {
        self.arguments.extend(["--cacert".into(), certificate.into()]);
        self
    }

    /// Adds arguments, as on a command line.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Fetches `url`.
    #[must_use]
    pub fn fetch(&self, url: &str) -> Reply {
        let folder = TempDir::new().expect("a temporary folder");
        let (heads, body) = (folder.path().join("heads"), folder.path().join("body"));
        let mut command = Process::command(&self.program);
        for name in
            ["http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"]
        {
            command.env_remove(name);
        }
        command
            .args(["-q", "--silent", "--show-error", "--max-time", "30"])
            .args(["--write-out", "%{http_code} %{http_version}"])
            .arg("--dump-header")
            .arg(&heads)
            .arg("--output")
            .arg(&body)
            .args(&self.arguments)
            .arg("--")
            .arg(url);
        let output = Process::run("curl", command, PATIENCE);
        let (status, version) = output.stdout.trim().split_once(' ').unwrap_or_default();
        Reply {
            exit: output.status.code().unwrap_or(-1),
            status: status.parse().unwrap_or(0),
            version: version.to_owned(),
            // curl writes neither file when nothing came.
            heads: String::from_utf8_lossy(&fs::read(heads).unwrap_or_default()).into_owned(),
            body: fs::read(body).unwrap_or_default(),
            messages: output.stderr,
        }
    }
}

impl Reply {
    /// The body as text, with what is no UTF-8 replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The first header of this name in any head, with surrounding white space cut off.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.heads.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}
