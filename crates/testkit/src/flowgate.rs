//! The real binary, running with a configuration folder of its own on a port of its own choice.
//!
//! Ready means that it printed the line with its address, in mitmproxy's wording
//! (`HTTP(S) proxy listening at 127.0.0.1:PORT.`): what users read is what tests wait for.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use tempfile::TempDir;

use crate::process::{Line, Output, Process, Signal};

/// How long a start, an awaited line or an end may take before the test fails: long for a busy machine, short for a person.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running flowgate.
#[derive(Debug)]
pub struct Flowgate {
    process: Process,
    addresses: Vec<SocketAddr>,
    confdir: PathBuf,
    folder: TempDir,
}

/// How to start a [`Flowgate`].
#[derive(Debug)]
pub struct FlowgateBuilder {
    binary: PathBuf,
    tool: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    listeners: usize,
    confdir: PathBuf,
    folder: TempDir,
}

impl Flowgate {
    /// Begins a `flowgate dump` on loopback. `binary` is `env!("CARGO_BIN_EXE_flowgate")` in the binary's own tests.
    #[must_use]
    pub fn builder(binary: impl Into<PathBuf>) -> FlowgateBuilder {
        let folder = TempDir::new().expect("a temporary folder");
        fs::create_dir(folder.path().join("conf")).expect("a configuration folder");
        FlowgateBuilder {
            binary: binary.into(),
            tool: "dump".to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            listeners: 1,
            confdir: folder.path().join("conf"),
            folder,
        }
    }

    /// Runs the binary to its end: for `--version`, `--options`, and command lines that are refused.
    #[must_use]
    pub fn run(binary: impl AsRef<Path>, arguments: &[&str]) -> Output {
        let folder = TempDir::new().expect("a temporary folder");
        let mut command = Process::command(binary.as_ref());
        isolate(&mut command, folder.path()).args(arguments);
        Process::run("flowgate", command, PATIENCE)
    }

    /// Where its first mode listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Where its modes listen, in the order printed.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// `http://127.0.0.1:PORT`, as clients take it for a proxy.
    #[must_use]
    pub fn proxy_url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Its own CA's certificate, which clients have to trust.
    #[must_use]
    pub fn ca_certificate(&self) -> PathBuf {
        self.confdir().join("flowgate-ca-cert.pem")
    }

    /// Its configuration folder.
    #[must_use]
    pub fn confdir(&self) -> PathBuf {
        self.confdir.clone()
    }

    /// A path in its temporary folder, for what it shall read or write.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Waits for a line on either output, printed already or to come.
    pub fn wait_for(&self, mut wanted: impl FnMut(&str) -> bool) -> Line {
        self.process.wait_for("a line", PATIENCE, |line| wanted(&line.text).then(|| line.clone()))
    }

    /// All lines printed so far.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        self.process.lines()
    }

    /// The process, for its id, signals and waits.
    #[must_use]
    pub const fn process(&self) -> &Process {
        &self.process
    }

    /// Sends a signal and waits for the end.
    #[must_use]
    pub fn stop(&self, signal: Signal) -> ExitStatus {
        self.process.signal(signal);
        self.process.wait(PATIENCE)
    }
}

impl FlowgateBuilder {
    /// Another tool than `dump`; empty for the bare binary.
    #[must_use]
    pub fn tool(mut self, tool: &str) -> Self {
        tool.clone_into(&mut self.tool);
        self
    }

    /// Adds arguments after those every start has.
    #[must_use]
    pub fn args<A: Into<String>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Adds `--set NAME=VALUE`.
    #[must_use]
    pub fn set(self, option: &str, value: impl std::fmt::Display) -> Self {
        self.args(["--set".to_owned(), format!("{option}={value}")])
    }

    /// Sets an environment variable. None of ours is handed down but `PATH`.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Takes this configuration folder instead of one of its own. It need not exist.
    #[must_use]
    pub fn confdir(mut self, path: &Path) -> Self {
        path.clone_into(&mut self.confdir);
        self
    }

    /// Puts a file into the configuration folder, such as `config.yaml`.
    #[must_use]
    pub fn confdir_file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        fs::write(self.confdir.join(name), content).expect("a configuration file");
        self
    }

    /// A path in its temporary folder, to be named in arguments.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// How many addresses it will print; 1 without this.
    #[must_use]
    pub const fn listeners(mut self, count: usize) -> Self {
        self.listeners = count;
        self
    }

    /// Starts it and waits until all listeners are up.
    ///
    /// # Panics
    ///
    /// When it ends or is silent instead; the message shows what it printed.
    #[must_use]
    pub fn start(self) -> Flowgate {
        let mut command = Process::command(&self.binary);
        isolate(&mut command, self.folder.path());
        if !self.tool.is_empty() {
            command.arg(&self.tool);
        }
        command
            .args(["--listen-host", "127.0.0.1", "-p", "0", "--set"])
            .arg(format!("confdir={}", self.confdir.display()))
            .args(&self.arguments)
            .envs(self.environment);
        let process = Process::spawn("flowgate", command);
        let mut addresses = Vec::new();
        process.wait_for("its address", PATIENCE, |line| {
            addresses.extend(listening_at(&line.text));
            (addresses.len() >= self.listeners).then_some(())
        });
        Flowgate { process, addresses, confdir: self.confdir, folder: self.folder }
    }
}

impl Drop for Flowgate {
    /// A panic inside flowgate fails every test in which it happens, whatever the test looked at.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let lines = self.process.lines();
        let own_fault = |text: &str| {
            text.contains("flowgate itself failed")
                || (text.starts_with("thread '") && text.contains(" panicked at "))
        };
        let fault = lines.iter().find(|line| own_fault(&line.text));
        assert!(fault.is_none(), "flowgate panicked: {lines:#?}");
    }
}

/// Keeps the machine's settings (proxies, home folder, colours, locale) out of the test.
fn isolate<'a>(command: &'a mut Command, home: &Path) -> &'a mut Command {
    command
        .env_clear()
        .envs(std::env::vars_os().filter(|(name, _)| name == "PATH"))
        .env("HOME", home)
        .current_dir(home)
}

/// The address in a line such as `HTTP(S) proxy listening at 127.0.0.1:8080.`
fn listening_at(line: &str) -> Option<SocketAddr> {
    let (_, address) = line.split_once(" listening at ")?;
    let address = address.strip_suffix('.').unwrap_or(address);
    address.replace('*', "127.0.0.1").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_from_what_users_read() {
        for (line, expected) in [
            ("HTTP(S) proxy listening at 127.0.0.1:40123.", Some("127.0.0.1:40123")),
            ("[07:59:02.123] HTTP(S) proxy listening at *:8080.", Some("127.0.0.1:8080")),
            ("reverse proxy to http://a.test listening at [::1]:8081.", Some("[::1]:8081")),
            ("SOCKS v5 proxy listening at 127.0.0.1:1080", Some("127.0.0.1:1080")),
            ("HTTP(S) proxy failed to listen on 127.0.0.1:8080", None),
        ] {
            assert_eq!(listening_at(line), expected.map(|address| address.parse().unwrap()), "{line}");
        }
    }
}
