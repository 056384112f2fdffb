//! What floods of HTTP/2 cost their sender, and what they cost us: seconds of CPU, memory, the time that another client waits meanwhile.
//!
//! `cargo build --release -p flowgate && cargo run --release -p flowgate-testkit --example floods -- [--tls] target/release/flowgate
//! [SECONDS [SLOW_CLIENTS [SLOW_SECONDS [NAME]]]]`, all or the one of this name, in TLS or in the clear; Linux only. Each flood is sent
//! for so long by one thread, as fast as it is taken, on one connection after the other: those that we end are opened anew. None shall cost us more than its sender, nor
//! more than 16 MiB; another client shall wait for 100 ms at most; and whoever floods shall be told ENHANCE_YOUR_CALM. Behind them stand
//! clients of HTTP/1 that are slow: what each takes in memory (32 KiB at most), how long another client waits meanwhile, and when they are
//! ended. Not a test: what it prints depends on the machine, most of all the times.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement that fails says so by panicking")]
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "it says figures, and waits for time to go by"
)]

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use flowgate_testkit::{Flowgate, client_config};
use rustix::net::{AddressFamily, SocketType, connect, socket, sockopt};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How much is sent at a time: what a sender does that wants to spare itself.
const BATCH_BYTES: usize = 64 * 1024;
/// A request with everything from the static table but its authority: GET, https, /.
const GET: &[u8] = b"\x82\x86\x84\x41\x01a";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

/// Appends what is sent the n-th time on a connection.
type Nth = fn(u32, &mut Vec<u8>);

fn main() {
    let mut arguments = env::args().skip(1).peekable();
    let in_tls = arguments.next_if(|argument| argument == "--tls").is_some();
    let binary = arguments.next().expect("the path of the binary");
    let binary = std::path::absolute(binary).expect("a path");
    let mut number = |default: u64| arguments.next().map_or(default, |text| text.parse().expect("a number"));
    let (seconds, clients, rest) = (number(2), number(500), number(5));
    let only = arguments.next();
    let server = serve();
    let flowgate = Flowgate::builder(binary)
        .args(["--flow-detail", "0", "--mode", &format!("reverse:http://{server}")])
        .start();
    println!(
        "{:18} {:>11} {:>9} {:>11} {:>9} {:>6} {:>8} {:>8} {:>9} {:>6}  how they ended",
        "flood",
        "connections",
        "MiB sent",
        "sender CPU",
        "our CPU",
        "ratio",
        "MiB more",
        "MiB left",
        "another",
        "busy"
    );
    let ca = flowgate.ca_certificate();
    let target = Target {
        address: flowgate.address(),
        tls: in_tls.then(|| Tls {
            http2: Arc::new(client_config(&ca, &[b"h2"])),
            http1: Arc::new(client_config(&ca, &[b"http/1.1"])),
        }),
    };
    // The certificate is made for the first.
    ask(&target);
    let begun = resident(&flowgate);
    let wanted = |name: &str| only.as_ref().is_none_or(|only| only == name);
    for (name, nth) in FLOODS.iter().filter(|(name, _)| wanted(name)) {
        measure(&flowgate, &target, name, *nth, Duration::from_secs(seconds));
    }
    thread::sleep(Duration::from_secs(10));
    println!(
        "ten seconds later: {:.1} MiB more than at first",
        mib(resident(&flowgate).saturating_sub(begun))
    );
    println!("\n{clients} slow clients: {:>13} {:>14}  for {rest} s", "KiB for each", "another waits");
    for (name, request) in SLOW.iter().filter(|(name, _)| wanted(name)) {
        slow(&flowgate, &target, name, request, clients, Duration::from_secs(rest));
    }
}

/// How the proxy is reached.
#[derive(Clone)]
struct Target {
    address: SocketAddr,
    /// Unless it is in the clear.
    tls: Option<Tls>,
}

#[derive(Clone)]
struct Tls {
    http2: Arc<ClientConfig>,
    http1: Arc<ClientConfig>,
}

/// A connection to it.
enum Link {
    Clear(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Target {
    /// For HTTP/2.
    fn flood(&self) -> std::io::Result<Link> {
        Ok(Link::new(TcpStream::connect(self.address)?, self.tls.as_ref().map(|tls| &tls.http2)))
    }

    /// On this socket, for HTTP/1.
    fn http1(&self, socket: TcpStream) -> Link {
        Link::new(socket, self.tls.as_ref().map(|tls| &tls.http1))
    }
}

impl Link {
    fn new(socket: TcpStream, config: Option<&Arc<ClientConfig>>) -> Self {
        let Some(config) = config else { return Self::Clear(socket) };
        let name = ServerName::try_from("a.test").unwrap();
        let connection = ClientConnection::new(Arc::clone(config), name).unwrap();
        Self::Tls(Box::new(StreamOwned::new(connection, socket)))
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Self::Clear(socket) => socket,
            Self::Tls(stream) => &stream.sock,
        }
    }
}

impl Read for Link {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Clear(socket) => socket.read(buf),
            Self::Tls(stream) => stream.read(buf),
        }
    }
}

impl Write for Link {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Clear(socket) => socket.write(buf),
            Self::Tls(stream) => stream.write(buf),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Clear(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// What slow clients send before they rest.
const SLOW: [(&str, &str); 3] = [
    ("slow head", "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "),
    ("slow body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n{"),
    ("slow reading", "GET /large HTTP/1.1\r\nHost: a\r\n\r\n"),
];

fn slow(flowgate: &Flowgate, target: &Target, name: &str, request: &str, clients: u64, how_long: Duration) {
    let before = resident(flowgate);
    let began = Instant::now();
    let mut held: Vec<_> = (0..clients)
        .map(|_| {
            let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
            // As little room as the system lets anybody have.
            sockopt::set_socket_recv_buffer_size(&socket, 1).unwrap();
            connect(&socket, &target.address).unwrap();
            let mut link = target.http1(TcpStream::from(socket));
            link.write_all(request.as_bytes()).unwrap();
            link.flush().unwrap();
            link.socket().set_nonblocking(true).unwrap();
            link
        })
        .collect();
    let (mut most, mut longest, mut ended) = (0, Duration::ZERO, None);
    while began.elapsed() < how_long {
        thread::sleep(Duration::from_secs(5).min(how_long));
        most = most.max(resident(flowgate).saturating_sub(before));
        // Now and then a byte.
        held.retain_mut(|link| {
            let moved = if name == "slow reading" { link.read(&mut [0]) } else { link.write(b"a") };
            !matches!(moved, Ok(0)) && moved.err().is_none_or(|err| err.kind() == ErrorKind::WouldBlock)
        });
        if held.is_empty() {
            ended.get_or_insert_with(|| began.elapsed());
        }
        longest = longest.max((0..20).map(|_| ask(target)).max().unwrap_or_default());
    }
    let each = most as f64 / 1024.0 / clients as f64;
    let ended = match ended {
        Some(after) => format!("none is left after {after:.0?}"),
        None => format!("{} are left", held.len()),
    };
    println!("{name:18} {each:>19.1} {longest:>14.1?}  {ended}");
    drop(held);
    // They are to be gone before the next ones come.
    thread::sleep(Duration::from_secs(2));
}

/// How long a client waits for the answer to a request of its own.
fn ask(target: &Target) -> Duration {
    let began = Instant::now();
    let mut client = target.http1(TcpStream::connect(target.address).unwrap());
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // An end without the end of TLS is none, but what matters is there.
    let _ = client.read_to_end(&mut answer);
    assert!(answer.starts_with(b"HTTP/1.1 200 "));
    began.elapsed()
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Resident memory, in bytes.
fn resident(flowgate: &Flowgate) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", flowgate.process().id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

const FLOODS: &[(&str, Nth)] = &[
    ("requests (honest)", |n, out| frame(HEADERS, 5, stream(n), GET, out)),
    ("rapid reset", |n, out| {
        frame(HEADERS, 5, stream(n), GET, out);
        frame(RST_STREAM, 0, stream(n), &8_u32.to_be_bytes(), out);
    }),
    ("made you reset", |n, out| {
        frame(HEADERS, 5, stream(n), GET, out);
        frame(WINDOW_UPDATE, 0, stream(n), &0_u32.to_be_bytes(), out);
    }),
    ("CONTINUATION", |n, out| match n {
        0 => frame(HEADERS, 1, 1, b"", out),
        _ => frame(CONTINUATION, 0, 1, b"", out),
    }),
    ("long CONTINUATION", |n, out| match n {
        0 => frame(HEADERS, 1, 1, &[0; 16_384], out),
        _ => frame(CONTINUATION, 0, 1, &[0; 16_384], out),
    }),
    ("PING", |_, out| frame(PING, 0, 0, &[0; 8], out)),
    ("SETTINGS", |_, out| frame(SETTINGS, 0, 0, b"", out)),
    ("SETTINGS, answered", |_, out| frame(SETTINGS, 1, 0, b"", out)),
    ("SETTINGS, long", |_, out| frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 1].repeat(2730), out)),
    ("SETTINGS, windows", |n, out| {
        if n < 90 {
            frame(HEADERS, 4, stream(n), GET, out);
        }
        frame(SETTINGS, 0, 0, &[&[0, 4][..], &(n % 2 * 1000).to_be_bytes()].concat(), out);
    }),
    ("empty DATA", |n, out| {
        if n == 0 {
            frame(HEADERS, 4, 1, b"\x83\x86\x84\x41\x01a", out);
        }
        frame(DATA, 0, 1, b"", out);
    }),
    ("tiny DATA", |n, out| {
        if n == 0 {
            frame(HEADERS, 4, 1, b"\x83\x86\x84\x41\x01a", out);
        }
        frame(DATA, 0, 1, b"x", out);
    }),
    ("DATA behind reset", |n, out| {
        if n == 0 {
            frame(HEADERS, 4, 1, b"\x83\x86\x84\x00\x01X\x01y", out);
        }
        frame(DATA, 0, 1, b"x", out);
    }),
    ("HEADERS behind reset", |_, out| {
        // The first is malformed: its stream is reset.
        frame(HEADERS, 4, 1, b"\x83\x86\x84\x00\x01X\x01y", out);
    }),
    ("GOAWAY", |_, out| frame(GOAWAY, 0, 0, &[0; 8], out)),
    ("WINDOW_UPDATE", |_, out| frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes(), out)),
    ("PRIORITY", |n, out| frame(PRIORITY, 0, stream(n), &[0; 5], out)),
    ("unknown frames", |_, out| frame(0xbb, 0, 0, b"", out)),
    ("HPACK bomb", |n, out| frame(HEADERS, 5, stream(n), &bomb(), out)),
    ("HPACK table", |n, out| {
        // Each block fills the table with entries of its own.
        let mut block = GET.to_vec();
        for entry in 0..30_u8 {
            block.extend_from_slice(&[0x40, 3, b'x', b'a' + entry % 26, b'a' + (n % 26) as u8, 1, b'y']);
        }
        frame(HEADERS, 5, stream(n), &block, out);
    }),
    ("Huffman", |n, out| {
        // A cookie of 3 KiB, as long in Huffman code as it can be.
        let mut block = GET.to_vec();
        block.extend_from_slice(b"\x0f\x11\xff\x81\x17");
        block.resize(block.len() + 3072, 0x1f);
        frame(HEADERS, 5, stream(n), &block, out);
    }),
    ("malformed requests", |n, out| frame(HEADERS, 5, stream(n), b"\x82\x86\x84\x00\x01X\x01y", out)),
    ("WebSockets", |n, out| {
        let block = b"\x02\x07CONNECT\x86\x84\x41\x01a\x00\x09:protocol\x09websocket";
        frame(HEADERS, 4, stream(n), block, out);
        frame(RST_STREAM, 0, stream(n), &8_u32.to_be_bytes(), out);
    }),
];

const fn stream(n: u32) -> u32 {
    n * 2 + 1
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    out.extend_from_slice(&length[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// One entry of 4,000 bytes, then a reference to it as often as it takes to be just allowed.
fn bomb() -> Vec<u8> {
    let mut block = GET.to_vec();
    block.extend_from_slice(b"\x40\x01x\x7f\xa1\x1e");
    block.resize(block.len() + 4000, b'y');
    block.resize(block.len() + 200, 0xbe);
    block
}

/// What a flood came to.
#[derive(Default)]
struct Flooded {
    connections: u64,
    sent: u64,
    cpu: f64,
    /// With which codes connections were ended, and how often.
    codes: BTreeMap<u32, u64>,
}

fn measure(flowgate: &Flowgate, target: &Target, name: &str, nth: Nth, how_long: Duration) {
    let (before, memory) = (process_cpu(flowgate), resident(flowgate));
    let flooded = target.clone();
    let sending = thread::spawn(move || {
        let (target, mut flooded) = (flooded, Flooded::default());
        let began = Instant::now();
        while began.elapsed() < how_long {
            flooded.connections += 1;
            flood(&target, nth, began, how_long, &mut flooded);
        }
        flooded.cpu = thread_cpu();
        flooded
    });
    let (mut most, mut longest) = (0, Duration::ZERO);
    while !sending.is_finished() {
        longest = longest.max(ask(target));
        most = most.max(resident(flowgate).saturating_sub(memory));
        thread::sleep(Duration::from_millis(10));
    }
    let Flooded { connections, sent, cpu: sender, codes } = sending.join().unwrap();
    // What is still on its way there is its work too.
    thread::sleep(Duration::from_millis(300));
    let ours = process_cpu(flowgate) - before;
    thread::sleep(Duration::from_millis(1700));
    let then = process_cpu(flowgate);
    thread::sleep(Duration::from_secs(1));
    let busy = (process_cpu(flowgate) - then) * 100.0;
    let left = resident(flowgate).saturating_sub(memory);
    let ends: Vec<_> = codes.iter().map(|(code, count)| format!("{count} {}", code_name(*code))).collect();
    println!(
        "{name:18} {connections:>11} {:>9.1} {sender:>9.2} s {ours:>7.2} s {:>6.2} {:>8.1} {:>8.1} {longest:>9.1?} {busy:>4.0} %  {}",
        mib(sent),
        ours / sender.max(0.01),
        mib(most),
        mib(left),
        ends.join(", "),
    );
}

/// RFC 9113 section 7.
fn code_name(code: u32) -> String {
    match code {
        0 => "NO_ERROR".to_owned(),
        1 => "PROTOCOL_ERROR".to_owned(),
        9 => "COMPRESSION_ERROR".to_owned(),
        11 => "ENHANCE_YOUR_CALM".to_owned(),
        other => format!("code {other}"),
    }
}

/// Sends on one connection until it ends or the time is up.
fn flood(target: &Target, nth: Nth, began: Instant, how_long: Duration, flooded: &mut Flooded) {
    let Ok(mut link) = target.flood() else { return };
    link.socket().set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut batch = PREFACE.to_vec();
    frame(SETTINGS, 0, 0, b"", &mut batch);
    frame(SETTINGS, 1, 0, b"", &mut batch);
    let (mut n, mut answers, mut over) = (0, Answers::default(), false);
    while began.elapsed() < how_long && !over && n <= 0x3000_0000 {
        while batch.len() < BATCH_BYTES {
            nth(n, &mut batch);
            n += 1;
        }
        over = link.write_all(&batch).is_err();
        flooded.sent += batch.len() as u64;
        batch.clear();
        // What is answered is hardly looked at, so that nobody waits for it.
        link.socket().set_nonblocking(true).unwrap();
        over |= answers.take(&mut link);
        link.socket().set_nonblocking(false).unwrap();
    }
    if let Some(code) = answers.go_away {
        *flooded.codes.entry(code).or_default() += 1;
    }
}

/// What comes back on a connection, as far as it matters here.
#[derive(Default)]
struct Answers {
    /// The frame under way.
    held: Vec<u8>,
    /// With which code the connection was ended.
    go_away: Option<u32>,
}

impl Answers {
    /// Reads what is there; whether that is all there ever will be.
    fn take(&mut self, link: &mut Link) -> bool {
        let mut heard = [0; BATCH_BYTES];
        loop {
            match link.read(&mut heard) {
                Ok(0) => return true,
                Ok(count) => self.hear(&heard[..count]),
                Err(err) => return err.kind() != ErrorKind::WouldBlock,
            }
            if self.go_away.is_some() {
                return true;
            }
        }
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        let mut at = 0;
        while let Some([a, b, c, kind, rest @ ..]) = self.held.get(at..) {
            let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
            if rest.len() < 5 + length {
                break;
            }
            if *kind == GOAWAY {
                self.go_away = rest[5..].get(4..8).map(|code| u32::from_be_bytes(code.try_into().unwrap()));
            }
            at += 9 + length;
        }
        self.held.drain(..at);
    }
}

/// A server in the clear that answers every request with 200, in HTTP/2 or HTTP/1.
fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for socket in listener.incoming().map(Result::unwrap) {
            // A peer that leaves is the end.
            let serving = move || {
                let mut first = [0];
                match socket.peek(&mut first) {
                    Ok(1) if first == *b"P" && is_http2(&socket) => answer(socket).is_ok(),
                    _ => answer_http1(socket).is_ok(),
                }
            };
            thread::Builder::new().stack_size(128 * 1024).spawn(serving).unwrap();
        }
    });
    address
}

/// Whether a connection that begins with a P begins with the preface, and not with POST.
fn is_http2(socket: &TcpStream) -> bool {
    let mut start = [0; 3];
    while matches!(socket.peek(&mut start), Ok(1 | 2)) {}
    start == *b"PRI"
}

/// Answers requests of HTTP/1 when their heads are there: `/large` with more than anybody reads.
fn answer_http1(mut socket: TcpStream) -> std::io::Result<()> {
    let mut reader = std::io::BufReader::new(socket.try_clone()?);
    loop {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            reader.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        if head.starts_with(b"GET /large ") {
            socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")?;
            (0..1000).try_for_each(|_| socket.write_all(&[0; 100_000]))?;
        } else if head.starts_with(b"GET ") {
            socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
        }
    }
}

fn answer(mut socket: TcpStream) -> std::io::Result<()> {
    let mut hello = [0; PREFACE.len()];
    socket.read_exact(&mut hello)?;
    let mut out = Vec::new();
    frame(SETTINGS, 0, 0, b"", &mut out);
    socket.write_all(&out)?;
    let mut reader = std::io::BufReader::new(socket.try_clone()?);
    loop {
        let mut header = [0; 9];
        reader.read_exact(&mut header)?;
        let [a, b, c, kind, flags, stream @ ..] = header;
        let mut payload = vec![0; usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c)];
        reader.read_exact(&mut payload)?;
        let mut out = Vec::new();
        match kind {
            HEADERS => frame(HEADERS, 5, u32::from_be_bytes(stream), b"\x88", &mut out),
            SETTINGS if flags & 1 == 0 => frame(SETTINGS, 1, 0, b"", &mut out),
            PING if flags & 1 == 0 => frame(PING, 1, 0, &payload, &mut out),
            _ => {}
        }
        socket.write_all(&out)?;
    }
}

/// The CPU time of the proxy so far, in seconds.
fn process_cpu(flowgate: &Flowgate) -> f64 {
    cpu(&format!("/proc/{}/stat", flowgate.process().id()))
}

/// That of this thread.
fn thread_cpu() -> f64 {
    cpu("/proc/thread-self/stat")
}

fn cpu(path: &str) -> f64 {
    let stat = fs::read_to_string(path).unwrap();
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    // A tick is 10 ms.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}
