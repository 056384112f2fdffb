//! The real Chromium, headless, with a profile and a trust store of its own.
//!
//! Roots are trusted through an NSS database in a fresh home folder, as a user would install flowgate's CA, so that
//! certificate errors are real ones. Everything goes through the proxy, loopback included, which a browser would spare.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::need::require;
use crate::process::Process;

const PATIENCE: Duration = Duration::from_secs(60);

/// As root there is no sandbox; the rest keeps the browser from talking on its own behalf.
const ARGUMENTS: [&str; 14] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-breakpad",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--hide-scrollbars",
];

/// A browser that is started anew for each page.
#[derive(Debug)]
pub struct Chromium {
    program: PathBuf,
    home: TempDir,
    arguments: Vec<String>,
}

impl Chromium {
    /// A browser that trusts these roots, or `None` after a line that says what is missing (see [`require`]).
    ///
    /// # Panics
    ///
    /// When the trust store cannot be made.
    #[must_use]
    pub fn new(trusted: &[&Path]) -> Option<Self> {
        let program = require("chromium")?;
        let certutil = require("certutil")?;
        let home = TempDir::new().expect("a temporary folder");
        let database = home.path().join(".pki/nssdb");
        fs::create_dir_all(&database).expect("a folder for the trust store");
        let database = format!("sql:{}", database.display());
        let certutil = |arguments: &[&str]| {
            let mut command = Process::command(&certutil);
            command.args(["-d", &database]).args(arguments);
            let output = Process::run("certutil", command, PATIENCE);
            assert!(output.status.success(), "certutil {arguments:?}: {output:?}");
        };
        certutil(&["-N", "--empty-password"]);
        for (index, certificate) in trusted.iter().enumerate() {
            let file = certificate.to_str().expect("a path that is text");
            certutil(&["-A", "-t", "C,,", "-n", &format!("root {index}"), "-i", file]);
        }
        Some(Self { program, home, arguments: Vec::new() })
    }

    /// Goes through this proxy (`http://HOST:PORT`, `socks5://HOST:PORT`), for every host, loopback included.
    #[must_use]
    pub fn proxy(self, url: &str) -> Self {
        let server = format!("--proxy-server={url}");
        self.args([server.as_str(), "--proxy-bypass-list=<-loopback>"])
    }

    /// Adds arguments, as on a command line.
    #[must_use]
    pub fn args<A: Into<String>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Loads a page, runs its scripts, and returns its document as HTML.
    #[must_use]
    pub fn dump_dom(&self, url: &str) -> String {
        self.run(&["--dump-dom"], url)
    }

    /// Loads a page and returns a picture of it, PNG.
    ///
    /// # Panics
    ///
    /// When no picture was made.
    #[must_use]
    pub fn screenshot(&self, url: &str) -> Vec<u8> {
        let file = self.home.path().join("screenshot.png");
        self.run(&[&format!("--screenshot={}", file.display()), "--window-size=1280,800"], url);
        fs::read(file).expect("a screenshot")
    }

    fn run(&self, what: &[&str], url: &str) -> String {
        // A profile remembers answers and errors; each page shall be asked for.
        let profile = TempDir::new_in(self.home.path()).expect("a temporary folder");
        let mut command = Process::command(&self.program);
        for name in [
            "http_proxy",
            "https_proxy",
            "all_proxy",
            "no_proxy",
            "DBUS_SESSION_BUS_ADDRESS",
            "XDG_DATA_HOME",
        ] {
            command.env_remove(name);
        }
        command
            .env("HOME", self.home.path())
            .args(ARGUMENTS)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(&self.arguments)
            .args(what)
            .arg(url);
        let output = Process::run("chromium", command, PATIENCE);
        assert!(output.status.success(), "chromium failed: {output:?}");
        output.stdout
    }
}
