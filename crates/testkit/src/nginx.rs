//! An nginx that serves fixed files over HTTP and HTTPS, on ports nobody else can have taken.
//!
//! nginx cannot say which port it got, and a port that is free now may be taken a moment later. So both listeners are
//! made here and handed over as its standard input and output, the way nginx hands its own over when it is upgraded
//! while running (its environment variable `NGINX`). They accept connections from the start. The access log goes to
//! standard error, where a test can wait for an entry.

mod config;

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;

use crate::ca::TestCa;
use crate::need::require;
use crate::process::Process;

/// How long a start or an awaited log entry may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running nginx. What it serves is listed at [`NginxBuilder`].
#[derive(Debug)]
pub struct Nginx {
    process: Process,
    http: SocketAddr,
    https: SocketAddr,
    ca: TestCa,
    folder: TempDir,
}

/// What an [`Nginx`] serves besides its fixed locations.
///
/// | path | answer |
/// |---|---|
/// | `/NAME` | the file of that name, with a length |
/// | `/chunked/NAME` | the same without a length: chunked over HTTP/1.1 |
/// | `/close-delimited/NAME` | the same, its end is the end of the connection: the way of HTTP/1.0 |
/// | `/gzip/NAME` | the same, compressed for those who accept it |
/// | `/slow/NAME` | the same at 64 KiB a second |
/// | `/echo` | what arrived, one `name=value` a line: `method`, `uri`, `protocol`, `host`, `x-test`, ... |
/// | `/cookie`, `/alternative` | 200 with `Set-Cookie: kept=yes`, with `Alt-Svc: h3=":443"; ma=60` |
/// | `/close` | 200, then the connection is closed |
/// | `/status/CODE` | 204, 301 (to `/echo`), 400, 404, 500 or 503 |
/// | `/put/NAME` | `PUT` stores the body, `GET` returns it |
#[derive(Debug)]
pub struct NginxBuilder {
    names: Vec<String>,
    files: Vec<(String, Content)>,
    keepalive_requests: u32,
    clients_of: Option<PathBuf>,
}

#[derive(Debug)]
enum Content {
    Bytes(Vec<u8>),
    Pattern(usize),
}

/// One request as nginx logged it when it was done with it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AccessEntry {
    /// Which of nginx's connections, counted up over its life.
    pub connection: u64,
    /// Which request on that connection, from 1.
    pub request_on_connection: u64,
    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2.0`.
    pub protocol: String,
    /// The method, as sent.
    pub method: String,
    /// The request target with its query, as sent.
    pub target: String,
    /// The status answered.
    pub status: u16,
    /// The negotiated TLS version, `-` without TLS.
    pub tls: String,
    /// The name in the ClientHello, `-` without one.
    pub sni: String,
}

impl Nginx {
    /// Begins one that serves no files yet, under the names `localhost` and `127.0.0.1`.
    #[must_use]
    pub fn builder() -> NginxBuilder {
        let names = ["localhost", "127.0.0.1"].map(str::to_owned).to_vec();
        NginxBuilder { names, files: Vec::new(), keepalive_requests: 1_000_000, clients_of: None }
    }

    /// Where it speaks HTTP/1.
    #[must_use]
    pub const fn http(&self) -> SocketAddr {
        self.http
    }

    /// Where it speaks HTTP/1.1 and HTTP/2 over TLS.
    #[must_use]
    pub const fn https(&self) -> SocketAddr {
        self.https
    }

    /// `http://127.0.0.1:PORT` + `path`.
    #[must_use]
    pub fn http_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    /// `https://localhost:PORT` + `path`, so that the ClientHello has a name.
    #[must_use]
    pub fn https_url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.https.port())
    }

    /// The authority behind its certificate.
    #[must_use]
    pub const fn ca(&self) -> &TestCa {
        &self.ca
    }

    /// What a `PUT` to `/put/NAME` stored.
    #[must_use]
    pub fn stored(&self, name: &str) -> Vec<u8> {
        let path = self.folder.path().join("root/put").join(name);
        fs::read(&path).unwrap_or_else(|error| panic!("nothing was stored as {name}: {error}"))
    }

    /// The requests it was done with until now, oldest first. One whose answer has just arrived may be missing.
    #[must_use]
    pub fn access_log(&self) -> Vec<AccessEntry> {
        self.process.lines().iter().filter_map(|line| AccessEntry::parse(&line.text)).collect()
    }

    /// Waits for a request, among those logged already and those to come.
    pub fn wait_for_access(&self, mut wanted: impl FnMut(&AccessEntry) -> bool) -> AccessEntry {
        self.process.wait_for("an access log entry", PATIENCE, |line| {
            AccessEntry::parse(&line.text).filter(|entry| wanted(entry))
        })
    }
}

impl NginxBuilder {
    /// Adds a DNS name or IP address to the certificate.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.names.push(name.to_owned());
        self
    }

    /// Serves `bytes` as `/NAME`; the content type follows from the ending.
    #[must_use]
    pub fn file(mut self, name: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.files.push((name.to_owned(), Content::Bytes(bytes.into())));
        self
    }

    /// Serves the first `size` bytes of [`pattern`] as `/NAME`, written without holding them in memory.
    #[must_use]
    pub fn large_file(mut self, name: &str, size: usize) -> Self {
        self.files.push((name.to_owned(), Content::Pattern(size)));
        self
    }

    /// Closes a connection after this many requests.
    #[must_use]
    pub const fn keepalive_requests(mut self, count: u32) -> Self {
        self.keepalive_requests = count;
        self
    }

    /// Lets in over TLS only clients with a certificate of this CA (`ssl_verify_client on`); others are answered with 400.
    #[must_use]
    pub fn clients_of(mut self, ca: &TestCa) -> Self {
        self.clients_of = Some(ca.certificate_path());
        self
    }

    /// Starts it, or gives `None` after a line that says that nginx is missing (see [`require`]).
    #[must_use]
    pub fn start(self) -> Option<Nginx> {
        let program = require("nginx")?;
        let folder = TempDir::new().expect("a temporary folder");
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("put")).expect("a folder to serve");
        for (name, content) in &self.files {
            write_file(root.join(name), content);
        }
        let ca = TestCa::new();
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let (certificate, key) = ca.leaf(&names).write_to(folder.path());

        let (http_listener, http) = listen();
        let (https_listener, https) = listen();
        let config = config::Config {
            folder: folder.path(),
            http,
            https,
            certificate: &certificate,
            key: &key,
            keepalive_requests: self.keepalive_requests,
            clients_of: self.clients_of.as_deref(),
        };
        let config_path = folder.path().join("nginx.conf");
        fs::write(&config_path, config.to_string()).expect("a configuration file");

        // Its master ends the worker when it is asked to, not when it is killed.
        let mut command = Process::command_ended_by(&program, "TERM");
        command
            .arg("-e")
            .arg("stderr")
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(&config_path)
            .env("NGINX", "0;1;")
            .stdin(Stdio::from(OwnedFd::from(http_listener)))
            .stdout(Stdio::from(OwnedFd::from(https_listener)));
        let process = Process::spawn("nginx", command);
        // The listeners are open already; this line only tells that the configuration was accepted.
        process.wait_for("its start", PATIENCE, |line| {
            line.text.contains("start worker process ").then_some(())
        });
        Some(Nginx { process, http, https, ca, folder })
    }
}

impl AccessEntry {
    /// Reads one line of the log format in `config`; anything else is none.
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.strip_prefix("access\t")?.split('\t').map(str::to_owned);
        Some(Self {
            connection: fields.next()?.parse().ok()?,
            request_on_connection: fields.next()?.parse().ok()?,
            protocol: fields.next()?,
            method: fields.next()?,
            target: fields.next()?,
            status: fields.next()?.parse().ok()?,
            tls: fields.next()?,
            sni: fields.next()?,
        })
    }
}

/// `size` bytes in which every window of eight tells its place, so that a lost or doubled piece shows.
#[must_use]
pub fn pattern(size: usize) -> Vec<u8> {
    pattern_words(size).flatten().take(size).collect()
}

fn pattern_words(size: usize) -> impl Iterator<Item = [u8; 8]> {
    // Multiplying by an odd number keeps all words different (Knuth's multiplicative hash).
    (0..size.div_ceil(8) as u64).map(|index| index.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes())
}

fn write_file(path: PathBuf, content: &Content) {
    fs::create_dir_all(path.parent().expect("a name below the root")).expect("a folder to serve");
    let mut file = BufWriter::new(File::create(path).expect("a file to serve"));
    match content {
        Content::Bytes(bytes) => file.write_all(bytes).expect("room for a file"),
        Content::Pattern(size) => {
            let mut left = *size;
            for word in pattern_words(*size) {
                let count = left.min(word.len());
                file.write_all(&word[..count]).expect("room for a file");
                left -= count;
            }
        }
    }
    file.flush().expect("room for a file");
}

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener on loopback");
    // nginx takes over inherited listeners as they are and expects them not to block.
    listener.set_nonblocking(true).expect("a listener that does not block");
    let address = listener.local_addr().expect("the address of a listener");
    (listener, address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_line_is_read_and_others_are_not() {
        let entry =
            AccessEntry::parse("access\t7\t2\tHTTP/2.0\tGET\t/a?b=c\t206\tTLSv1.3\tlocalhost").unwrap();
        assert_eq!((entry.connection, entry.request_on_connection, entry.status), (7, 2, 206));
        assert_eq!((entry.target.as_str(), entry.sni.as_str()), ("/a?b=c", "localhost"));
        assert_eq!(AccessEntry::parse("2026/11/23 [notice] 1#1: using the \"epoll\" event method"), None);
        assert_eq!(AccessEntry::parse("access\t7\tcut"), None);
    }

    #[test]
    fn the_pattern_has_the_length_asked_for_and_never_repeats_a_word() {
        assert_eq!([0, 1, 7, 8, 9].map(|size| pattern(size).len()), [0, 1, 7, 8, 9]);
        let bytes = pattern(80_000);
        let words: std::collections::HashSet<_> = bytes.chunks(8).collect();
        assert_eq!(words.len(), 10_000);
    }
}
