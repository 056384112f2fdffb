//! The same options, the same bytes, through flowgate and through mitmproxy 12: what the server got and what the client got has to
//! be the same, or the difference is meant, and the row says why. A row that says so and does not differ fails as well.
//!
//! Skipped with a line where there is no mitmproxy (`flowgate_testkit::mitmproxy_python`).

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use flowgate_testkit::{Flowgate, PATIENCE, Process, RawConnection, RawServer, Signal, mitmproxy_python};

use super::support::{FLOWGATE, text};

/// A request: what it is sent as, and why the two differ, if they are meant to.
struct Case {
    request: &'static str,
    differs: Option<&'static str>,
}

const fn same(request: &'static str) -> Case {
    Case { request, differs: None }
}

const fn differs(request: &'static str, why: &'static str) -> Case {
    Case { request, differs: Some(why) }
}

/// Options, and what is sent while they are in force, in this order.
struct Row {
    options: &'static [&'static str],
    cases: &'static [Case],
}

const GET: &str = "GET SERVER/text HTTP/1.1\r\nHost: HOST\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n";
const GET_JSON: &str =
    "GET SERVER/json?a=1&b=2 HTTP/1.1\r\nHost: HOST\r\nX-One: 1\r\nx-one: 2\r\nX-Two: 2\r\n\r\n";
const GET_GZIP: &str = "GET SERVER/gzip HTTP/1.1\r\nHost: HOST\r\nAccept-Encoding: gzip, br\r\n\r\n";
const GET_CONDITIONAL: &str = "GET SERVER/text HTTP/1.1\r\nHost: HOST\r\nIf-None-Match: \"x\"\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\nIf-Range: \"x\"\r\n\r\n";
const GET_CHUNKED: &str = "GET SERVER/chunked HTTP/1.1\r\nHost: HOST\r\n\r\n";
const GET_NONE: &str = "GET SERVER/none HTTP/1.1\r\nHost: HOST\r\n\r\n";
const HEAD: &str = "HEAD SERVER/text HTTP/1.1\r\nHost: HOST\r\n\r\n";
const POST: &str = "POST SERVER/text HTTP/1.1\r\nHost: HOST\r\nContent-Type: text/plain\r\nContent-Length: 15\r\n\r\nfoo and foo bar";
const POST_CHUNKED: &str = "POST SERVER/text HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfoo an\r\n5\r\nd foo\r\n0\r\n\r\n";
const PUT_EMPTY: &str = "PUT SERVER/text HTTP/1.1\r\nHost: HOST\r\nContent-Length: 0\r\n\r\n";
const COOKIE: &str = "GET SERVER/cookie HTTP/1.1\r\nHost: HOST\r\n\r\n";
const AUTH: &str = "GET SERVER/text HTTP/1.1\r\nHost: HOST\r\nAuthorization: Basic dTpw\r\n\r\n";
/// `u:p`, `u:x`, and what is no credentials.
const KNOWN: &str =
    "GET SERVER/text HTTP/1.1\r\nHost: HOST\r\nProxy-Authorization: Basic dTpw\r\nX-One: 1\r\n\r\n";
const KNOWN_POST: &str = "POST SERVER/text HTTP/1.1\r\nHost: HOST\r\nProxy-Authorization: basic dTpw\r\nContent-Length: 3\r\n\r\nfoo";
const UNKNOWN: &str = "GET SERVER/text HTTP/1.1\r\nHost: HOST\r\nProxy-Authorization: Basic dTp4\r\n\r\n";
const NO_LOGIN: &str = "GET SERVER/text HTTP/1.1\r\nHost: HOST\r\nProxy-Authorization: Bearer dTpw\r\n\r\n";
const TUNNEL: &str = "CONNECT HOST HTTP/1.1\r\nHost: HOST\r\nProxy-Authorization: Basic dTp4\r\n\r\n";
const TO_REVERSE: &str = "GET /text HTTP/1.1\r\nHost: HOST\r\n\r\n";
const TO_REVERSE_KNOWN: &str =
    "GET /text HTTP/1.1\r\nHost: HOST\r\nAuthorization: Basic dTpw\r\nX-One: 1\r\n\r\n";
const TO_REVERSE_UNKNOWN: &str = "GET /text HTTP/1.1\r\nHost: HOST\r\nAuthorization: Basic dTp4\r\n\r\n";
const LOCAL_A: &str = "GET SERVER/local/a.txt HTTP/1.1\r\nHost: HOST\r\n\r\n";
const LOCAL_SUB: &str = "GET SERVER/local/sub?x HTTP/1.1\r\nHost: HOST\r\n\r\n";
const LOCAL_ABSENT: &str = "GET SERVER/local/absent HTTP/1.1\r\nHost: HOST\r\n\r\n";
const LOCAL_UP: &str = "GET SERVER/local/%2e%2e/secret HTTP/1.1\r\nHost: HOST\r\n\r\n";
const LOCAL_LINK: &str = "GET SERVER/local/link HTTP/1.1\r\nHost: HOST\r\n\r\n";

const ENCODED_AGAIN: &str = "flowgate sends a changed body as it is, mitmproxy encodes it again";

const ALL: &[Case] = &[
    same(GET),
    same(GET_JSON),
    same(GET_CHUNKED),
    same(GET_NONE),
    same(HEAD),
    same(POST),
    same(PUT_EMPTY),
    same(GET_CONDITIONAL),
    same(GET_GZIP),
];

const ROWS: &[Row] = &[
    Row { options: &[], cases: ALL },
    Row { options: &["--modify-headers", "/X-Added/yes"], cases: ALL },
    Row { options: &["-H", "/~q/X-One/replaced"], cases: ALL },
    Row { options: &["-H", "|~s|x-server|"], cases: ALL },
    Row { options: &["-H", "/~m POST & ~q/User-Agent/made", "-H", "/~m GET & ~q/user-agent/"], cases: ALL },
    Row { options: &["-H", "/X-One/a", "-H", "/X-One/b", "-H", "/X-Two/"], cases: ALL },
    Row { options: &["-H", r":~all:X-Escaped:tab\x09end"], cases: ALL },
    Row { options: &["-H", "/~q & ~hq X-Two/X-Two/3", "-H", "/~c 404/X-Missing/yes"], cases: ALL },
    Row { options: &["-H", "|X-File|@FOLDER/value"], cases: ALL },
    Row { options: &["--anticache"], cases: ALL },
    Row { options: &["--anticomp"], cases: ALL },
    Row { options: &["--anticomp", "--anticache", "-H", "/~q/Accept-Encoding/br"], cases: ALL },
    Row {
        options: &["--modify-body", "/foo/quux"],
        cases: &[
            same(GET),
            same(GET_JSON),
            same(GET_NONE),
            same(HEAD),
            same(POST),
            same(PUT_EMPTY),
            same(GET_CHUNKED),
            same(POST_CHUNKED),
            differs(GET_GZIP, ENCODED_AGAIN),
        ],
    },
    Row {
        options: &["-B", "/~q/fo+/x", "-B", "|~s & ~t json|\\d+|number"],
        cases: &[same(GET), same(GET_JSON), same(GET_NONE), same(HEAD), same(POST), same(PUT_EMPTY)],
    },
    Row {
        options: &["-B", "/~q & ~m POST/^foo/^", "-B", "/~s/bar$/$"],
        cases: &[same(GET), same(GET_JSON), same(GET_NONE), same(HEAD), same(POST), same(GET_CHUNKED)],
    },
    Row {
        options: &["-B", r"/~s/(f)(o)/\2\1\n", "-B", "/~q/ /@FOLDER/value"],
        cases: &[same(GET), same(GET_JSON), same(HEAD), same(POST)],
    },
    Row {
        options: &["-B", r"/~s/\bfoo\b/word"],
        cases: &[differs(GET, "in mitmproxy `\\b` is a backspace"), same(GET_NONE), same(HEAD)],
    },
    Row { options: &["--set", "block_list=/~u text/403"], cases: ALL },
    Row { options: &["--set", "block_list=/~m HEAD/444", "--set", "block_list=:~u json:204"], cases: ALL },
    Row {
        options: &["--set", "block_list=/~u json | ~m POST/418", "--set", "block_list=/~m POST/200"],
        cases: ALL,
    },
    Row { options: &["--map-remote", "|/text|/json"], cases: ALL },
    Row { options: &["-M", "|//HOST/|//OTHER/"], cases: ALL },
    Row { options: &["-M", r"|~m GET|(.*)/json\?a=(\d)|\1/text?x=\2"], cases: ALL },
    Row { options: &["-M", "|/text|/none", "-M", "|~u none|/none|/json"], cases: ALL },
    Row { options: &["-M", "|HOST|OTHER", "-H", "/~q/X-To/other", "--anticache"], cases: ALL },
    Row {
        options: &["--map-local", "|HOST/local|FOLDER/root"],
        cases: &[
            same(LOCAL_A),
            same(LOCAL_SUB),
            same(LOCAL_ABSENT),
            same(LOCAL_UP),
            differs(LOCAL_LINK, "a link out of the folder is followed by mitmproxy"),
            same(GET),
            same(HEAD),
            same(POST),
        ],
    },
    Row {
        options: &[
            "--map-local",
            "+~m GET+/(text|json)+FOLDER/root/a.txt",
            "--map-local",
            "|/none|FOLDER/root",
        ],
        cases: &[same(GET), same(GET_JSON), same(GET_NONE), same(POST), same(HEAD), same(PUT_EMPTY)],
    },
    Row {
        options: &["--map-local", "|/text|FOLDER/root/a.txt", "-B", "/~s/text/body"],
        cases: &[same(GET), same(POST), same(GET_JSON)],
    },
    Row {
        options: &["--stickycookie", "~u text"],
        cases: &[same(GET), same(COOKIE), same(GET), same(GET_JSON), same(POST), same(HEAD)],
    },
    Row {
        options: &["--stickyauth", "~m GET"],
        cases: &[same(GET), same(AUTH), same(GET), same(GET_JSON), same(POST), same(HEAD)],
    },
    Row {
        options: &["--proxyauth", "u:p"],
        cases: &[
            same(GET),
            same(KNOWN),
            same(KNOWN_POST),
            same(UNKNOWN),
            same(NO_LOGIN),
            same(AUTH),
            same(POST),
            differs(HEAD, "mitmproxy sends a page after the head"),
            same(TUNNEL),
        ],
    },
    Row { options: &["--proxyauth", "any"], cases: &[same(GET), same(KNOWN), same(UNKNOWN), same(NO_LOGIN)] },
    Row {
        options: &["--proxyauth", "@FOLDER/users", "--map-remote", "|/text|/json"],
        cases: &[same(GET), same(KNOWN), same(KNOWN_POST), same(UNKNOWN), same(TUNNEL)],
    },
    Row {
        // Lazily, as it would depend on the moment whether a connection is seen on which nothing is said.
        options: &["--proxyauth", "u:p", "--mode", "reverse:SERVER", "--set", "connection_strategy=lazy"],
        cases: &[same(TO_REVERSE), same(TO_REVERSE_KNOWN), same(TO_REVERSE_UNKNOWN)],
    },
    Row {
        options: &["--stickycookie", "~all", "--stickyauth", "~all", "--anticomp"],
        cases: &[same(COOKIE), same(AUTH), same(GET), same(POST), same(GET_GZIP)],
    },
];

/// What the file of flows holds that [`REPLAY`] names.
const RECORDED: [&str; 6] = [GET, GET_JSON, POST, HEAD, COOKIE, GET];

const USED_UP: &str = "in mitmproxy nothing holds back requests once all recordings are used up";

/// Rows that answer from recordings. Each server has a port of its own, so ports do not count.
const REPLAY: &[Row] = &[
    Row {
        options: &[
            "-S",
            "FOLDER/flows",
            "--set",
            "server_replay_ignore_port=true",
            "--set",
            "keepserving=true",
        ],
        cases: &[same(GET), same(POST), same(GET), same(GET), same(GET_GZIP), same(HEAD), same(COOKIE)],
    },
    Row {
        options: &[
            "-S",
            "FOLDER/flows",
            "--set",
            "server_replay_ignore_port=true",
            "--set",
            "keepserving=true",
            "--server-replay-reuse",
            "--server-replay-extra",
            "404",
        ],
        cases: &[
            same(GET),
            same(GET),
            same(GET_JSON),
            same(GET_GZIP),
            same(GET_NONE),
            same(POST_CHUNKED),
            same(POST),
        ],
    },
    Row {
        options: &[
            "-S",
            "FOLDER/flows",
            "--set",
            "server_replay_ignore_port=true",
            "--set",
            "keepserving=true",
            "--set",
            "server_replay_extra=kill",
            "--set",
            "server_replay_ignore_content=true",
            "--set",
            "server_replay_ignore_params=a",
            "--set",
            "server_replay_ignore_params=b",
            "--no-server-replay-refresh",
        ],
        cases: &[
            same(POST_CHUNKED),
            same(GET_NONE),
            same(GET_JSON),
            same(COOKIE),
            same(HEAD),
            same(GET),
            same(GET),
            differs(GET, USED_UP),
        ],
    },
    Row {
        options: &[
            "-S",
            "FOLDER/flows",
            "--set",
            "server_replay_ignore_port=true",
            "--set",
            "keepserving=true",
            "--set",
            "server_replay_use_headers=User-Agent",
            "--server-replay-extra",
            "500",
            "-H",
            "/~s/X-New/yes",
        ],
        cases: &[same(GET), same(GET_CONDITIONAL)],
    },
];

/// Loads mitmproxy once, and becomes one mitmdump for each line of arguments, which takes far longer to load than to start. Each
/// line that one prints begins with its number.
const MITMDUMPS: &str = r#"
import ctypes, io, os, pathlib, sys
from mitmproxy.certs import CertStore
from mitmproxy.tools.main import mitmdump

class Numbered(io.TextIOBase):
    def __init__(self, number):
        self.number = number

    def write(self, text):
        for line in text.splitlines():
            os.write(1, f"{self.number}: {line}\n".encode())
        return len(text)

# One CA for all: to make one takes a second.
CertStore.from_store(pathlib.Path(sys.argv[2]), "mitmproxy", 2048)
rows = [line.split("\x1f") for line in sys.argv[1].split("\x1e")]
for number, arguments in enumerate(rows):
    if os.fork() == 0:
        ctypes.CDLL(None).prctl(1, 9)  # it ends with this program
        sys.stdout = Numbered(number)
        sys.exit(mitmdump(arguments))
for _ in rows:
    os.wait()
"#;

/// A mitmdump for each row, by its number.
pub(crate) struct Mitmdumps {
    process: Process,
    _folder: tempfile::TempDir,
}

impl Mitmdumps {
    pub(crate) fn start(python: &Path, rows: &[Vec<String>]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let confdir = format!("confdir={}", folder.path().display());
        let row = |options: &Vec<String>| {
            let common = ["--listen-host", "127.0.0.1", "-p", "0", "--set", &confdir];
            common.map(str::to_owned).into_iter().chain(options.clone()).collect::<Vec<_>>().join("\x1f")
        };
        let arguments: Vec<_> = rows.iter().map(row).collect();
        let mut command = Process::command(python);
        command.args(["-c", MITMDUMPS]).arg(arguments.join("\x1e")).arg(folder.path());
        Self { process: Process::spawn("mitmdump", command), _folder: folder }
    }

    pub(crate) fn address(&self, number: usize) -> SocketAddr {
        self.process.wait_for("the address of a mitmdump", LONG_PATIENCE, |line| {
            let (of, text) = line.text.split_once(": ")?;
            let (_, address) = text.split_once("listening at ").filter(|_| of == number.to_string())?;
            address.trim_end_matches('.').parse().ok()
        })
    }
}

/// They all start at once, and a first request finds much that is not loaded yet.
const LONG_PATIENCE: std::time::Duration = std::time::Duration::from_secs(180);

/// Reads a request and answers by its path. Every connection carries one.
fn answer(connection: &mut RawConnection) -> io::Result<()> {
    let head = text(&connection.read_until(b"\r\n\r\n")?);
    let lower = head.to_ascii_lowercase();
    if let Some((_, length)) = lower.split_once("content-length: ") {
        connection.read_count(length.split("\r\n").next().unwrap_or_default().parse().unwrap())?;
    } else if lower.contains("transfer-encoding: chunked") {
        connection.read_until(b"0\r\n\r\n")?;
    }
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let path = target.split('?').next().unwrap_or_default();
    let whole = |status: &str, fields: &str, body: &[u8]| {
        let length = body.len();
        let mut bytes = format!(
            "HTTP/1.1 {status}\r\nX-Server: yes\r\n{fields}Content-Length: {length}\r\nConnection: close\r\n\r\n"
        )
        .into_bytes();
        if !head.starts_with("HEAD ") {
            bytes.extend_from_slice(body);
        }
        bytes
    };
    connection.send(match path {
        "/text" => whole("200 OK", "Content-Type: text/plain\r\n", b"text: foo bar, foofoo bar"),
        "/json" => whole("200 OK", "Content-Type: application/json\r\n", b"{\"foo\": 17, \"bar\": [1, 22]}"),
        "/gzip" => whole("200 OK", "Content-Type: text/plain\r\nContent-Encoding: gzip\r\n", &gzipped()),
        "/cookie" => whole("200 OK", "Set-Cookie: a=1\r\nSet-Cookie: b=2; Path=/text\r\n", b"set"),
        "/chunked" => b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\na foo\r\n8\r\n and bar\r\n0\r\n\r\n".to_vec(),
        _ => whole("404 Not Found", "", b"none"),
    })
}

/// `foo bar` as gzip.
fn gzipped() -> Vec<u8> {
    // Deflate without compression, and the CRC-32 of what is in it.
    let (body, crc) = (b"foo bar", 0xbe46_0134_u32);
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 7, 0, 0xf8, 0xff];
    bytes.extend_from_slice(body);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes.extend_from_slice(&7u32.to_le_bytes());
    bytes
}

/// What a request came to.
#[derive(Debug, Eq, PartialEq)]
struct Outcome {
    /// What the two servers got, one after the other.
    servers: Vec<String>,
    client: String,
}

/// Sends a request through a proxy that is alone in using these servers.
fn send(proxy: SocketAddr, servers: &[&RawServer; 2], request: &str) -> Outcome {
    let before = servers.map(RawServer::connections);
    let mut socket = TcpStream::connect(proxy).unwrap();
    socket.set_read_timeout(Some(LONG_PATIENCE)).unwrap();
    let request = request.replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1);
    socket.write_all(request.as_bytes()).unwrap();
    let mut got = Vec::new();
    let _ = socket.read_to_end(&mut got);
    let mut seen = Vec::new();
    for (server, before) in servers.iter().zip(before) {
        for index in before..server.connections() {
            seen.push(message(&server.wait_for_end(index).received));
        }
    }
    Outcome { servers: seen, client: message(&got) }
}

/// A message without what differs between any two proxies: names in lower case, no delimiting of bodies, and nothing that proxies
/// say of themselves or of a file. The order of fields counts.
fn message(bytes: &[u8]) -> String {
    const NOT_COMPARED: [&str; 9] = [
        "connection",
        "content-length",
        "date",
        "server",
        "transfer-encoding",
        "etag",
        "last-modified",
        "accept-ranges",
        "proxy-connection",
    ];
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return text(bytes) };
    let (head, body) = (text(&bytes[..end]), &bytes[end + 4..]);
    let mut lines = head.split("\r\n");
    // Reason phrases of statuses without one are spelled in many ways.
    let mut shown = lines.next().unwrap_or_default().to_owned() + "\n";
    let mut is_chunked = false;
    let asks_who = shown.starts_with("HTTP/1.1 407 ") || shown.starts_with("HTTP/1.1 401 ");
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        let name = name.to_ascii_lowercase();
        is_chunked |= name == "transfer-encoding";
        // Pages of theirs have no type; realms are named after who asks.
        if asks_who && name == "content-type" {
            continue;
        }
        let value = value.replace("realm=\"mitmproxy\"", "realm=\"flowgate\"");
        if !NOT_COMPARED.contains(&name.as_str()) {
            shown += &format!("{name}: {}\n", value.trim());
        }
    }
    let body = if is_chunked { without_chunks(body) } else { body.to_vec() };
    shown + "\n" + &text(&body)
}

fn without_chunks(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = bytes.windows(2).position(|window| window == b"\r\n") {
        let length = usize::from_str_radix(&text(&bytes[..end]), 16).unwrap();
        let (chunk, rest) = bytes[end + 2..].split_at(length);
        body.extend_from_slice(chunk);
        bytes = &rest[2..];
        if length == 0 {
            break;
        }
    }
    body
}

/// Has flowgate save what [`RECORDED`] comes to.
fn record(file: &Path) {
    record_with(&RawServer::start(answer), file, &RECORDED);
}

/// Has flowgate save what requests to a server come to.
fn record_with(server: &RawServer, file: &Path, requests: &[&str]) {
    let host = server.http_url("").trim_start_matches("http://").to_owned();
    let recording = Flowgate::builder(FLOWGATE).args(["-w".to_owned(), file.display().to_string()]).start();
    for request in requests {
        let mut socket = TcpStream::connect(recording.address()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = request.replace("SERVER", &format!("http://{host}")).replace("HOST", &host);
        socket
            .write_all(request.replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1).as_bytes())
            .unwrap();
        let _ = socket.read_to_end(&mut Vec::new());
    }
    assert_eq!(recording.stop(Signal::TERM).code(), Some(0));
}

#[test]
fn the_same_as_mitmproxy_or_different_on_purpose() {
    let Some(python) = mitmproxy_python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    fs::create_dir_all(root.join("sub")).unwrap();
    for (name, bytes) in [
        ("root/a.txt", "a text"),
        ("root/sub/index.html", "<p>text</p>"),
        ("root/index.html", "home"),
        ("secret", "secret"),
        ("value", "from a file"),
        // `p`, by SHA-1.
        ("users", "u:{SHA}UWuXg/ylF+7L0dBk2i0WUxCxl1k=\n"),
    ] {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    std::os::unix::fs::symlink(folder.path().join("secret"), root.join("link")).unwrap();
    record(&folder.path().join("flows"));
    let mut failures = String::new();
    let mut combinations = 0;
    let rows: Vec<&Row> = ROWS.iter().chain(REPLAY).collect();
    // Servers of its own for each row, so that what is left of one is not seen in the next.
    let servers: Vec<_> = rows.iter().map(|_| [RawServer::start(answer), RawServer::start(answer)]).collect();
    let host = |server: &RawServer| server.http_url("").trim_start_matches("http://").to_owned();
    let filled = |text: &str, [server, other]: &[RawServer; 2]| {
        text.replace("FOLDER", &folder.path().display().to_string())
            .replace("SERVER", &format!("http://{}", host(server)))
            .replace("HOST", &host(server))
            .replace("OTHER", &host(other))
    };
    let options = |(row, servers): (&&Row, &[RawServer; 2])| {
        row.options.iter().map(|option| filled(option, servers)).collect::<Vec<_>>()
    };
    let options: Vec<_> = rows.iter().zip(&servers).map(options).collect();
    let mitmdumps = Mitmdumps::start(&python, &options);
    for (number, ((row, servers), options)) in rows.iter().zip(&servers).zip(options).enumerate() {
        let ours = Flowgate::builder(FLOWGATE).args(options).start();
        let theirs = mitmdumps.address(number);
        for case in row.cases {
            combinations += 1;
            let request = filled(case.request, servers);
            let both = servers.each_ref();
            let (ours, theirs) = (send(ours.address(), &both, &request), send(theirs, &both, &request));
            match (ours == theirs, case.differs) {
                (true, None) | (false, Some(_)) => {}
                (true, Some(why)) => {
                    failures += &format!("{:?} {request:?}: no difference, although {why}\n", row.options);
                }
                (false, None) => {
                    failures +=
                        &format!("{:?} {request:?}:\n   ours: {ours:?}\n theirs: {theirs:?}\n", row.options);
                }
            }
            assert!(ours.client.is_empty() || ours.client.starts_with("HTTP/1.1 "), "{ours:?}");
        }
    }
    assert!(failures.is_empty(), "{failures}");
    assert!(combinations >= 120, "{combinations} combinations");
}

/// What a server gets of requests that are sent again is the same as with mitmproxy.
#[test]
fn requests_are_sent_again_as_by_mitmproxy() {
    let Some(python) = mitmproxy_python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (server, file) = (RawServer::start(answer), folder.path().join("flows"));
    record_with(
        &server,
        &file,
        &[GET, GET_JSON, GET_CONDITIONAL, POST, POST_CHUNKED, PUT_EMPTY, HEAD, COOKIE, AUTH],
    );
    let file = file.display().to_string();
    let arguments = ["-n", "-q", "-C", &file, "-H", "/~q & ~m GET/X-Again/yes", "--anticache"];
    let got = |run: &dyn Fn() -> Process| {
        let before = server.connections();
        assert_eq!(run().wait(LONG_PATIENCE).code(), Some(0));
        (before..server.connections())
            .map(|at| message(&server.wait_for_end(at).received))
            // A target that was recorded in absolute form is sent to its server so by mitmproxy.
            .map(|message| message.replacen(&server.http_url(""), "", 1))
            .collect::<Vec<_>>()
    };
    let confdir = format!("confdir={}", folder.path().display());
    let ours = got(&|| {
        let mut command = Process::command(Path::new(FLOWGATE));
        command.arg("dump").args(arguments).args(["--set", &confdir]);
        Process::spawn("flowgate", command)
    });
    let theirs = got(&|| {
        let mut command = Process::command(&python);
        command.args(["-c", "from mitmproxy.tools.main import mitmdump; mitmdump()"]).args(arguments);
        command.args(["--set", &confdir]);
        Process::spawn("mitmdump", command)
    });
    assert_eq!(ours.len(), 9);
    assert_eq!(ours, theirs);
}
