//! What floods of HTTP/2 cost their sender, and what they cost us, in seconds of CPU.
//!
//! `cargo build --release -p flowgate && cargo run --release -p flowgate-testkit --example floods -- target/release/flowgate [SECONDS]`;
//! Linux only. Each flood is sent for so long by one thread, as fast as it is taken, on one connection after the other: those that we
//! end are opened anew. None shall cost us more than its sender. Behind them stand clients of HTTP/1 that are slow: what each takes in
//! memory, and how soon another client is answered meanwhile. Not a test: what it prints depends on the machine, though less than times
//! would.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement that fails says so by panicking")]
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "it says figures, and waits for time to go by"
)]

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use flowgate_testkit::Flowgate;

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
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

/// Appends what is sent the n-th time on a connection.
type Nth = fn(u32, &mut Vec<u8>);

fn main() {
    let mut arguments = env::args().skip(1);
    let binary = arguments.next().expect("the path of the binary");
    let binary = std::path::absolute(binary).expect("a path");
    let seconds = arguments.next().map_or(2, |text| text.parse().expect("a number"));
    let server = serve();
    let flowgate = Flowgate::builder(binary)
        .args(["--flow-detail", "0", "--mode", &format!("reverse:http://{server}")])
        .start();
    println!(
        "{:18} {:>11} {:>9} {:>11} {:>9} {:>6}",
        "flood", "connections", "MiB sent", "sender CPU", "our CPU", "ratio"
    );
    for (name, nth) in FLOODS {
        measure(&flowgate, name, *nth, Duration::from_secs(seconds));
    }
    println!("\n{SLOW_CLIENTS} slow clients: {:>14} {:>14}", "KiB for each", "another waits");
    for (name, request) in SLOW {
        slow(&flowgate, name, request);
    }
}

/// How many slow clients there are at a time.
const SLOW_CLIENTS: u64 = 500;

/// What slow clients send before they rest.
const SLOW: [(&str, &str); 3] = [
    ("slow head", "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "),
    ("slow body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n{"),
    ("slow reading", "GET /large HTTP/1.1\r\nHost: a\r\n\r\n"),
];

fn slow(flowgate: &Flowgate, name: &str, request: &str) {
    let before = resident(flowgate);
    let held: Vec<_> = (0..SLOW_CLIENTS)
        .map(|_| {
            let mut socket = TcpStream::connect(flowgate.address()).unwrap();
            socket.write_all(request.as_bytes()).unwrap();
            socket
        })
        .collect();
    thread::sleep(Duration::from_secs(3));
    let each = resident(flowgate).saturating_sub(before) as f64 / 1024.0 / SLOW_CLIENTS as f64;
    let longest = (0..20)
        .map(|_| {
            let began = Instant::now();
            let mut client = TcpStream::connect(flowgate.address()).unwrap();
            client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).unwrap();
            assert!(answer.starts_with(b"HTTP/1.1 200 "));
            began.elapsed()
        })
        .max();
    println!("{name:18} {each:>19.1} {:>14.1?}", longest.unwrap_or_default());
    drop(held);
    // They are to be gone before the next ones come.
    thread::sleep(Duration::from_secs(2));
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

fn measure(flowgate: &Flowgate, name: &str, nth: Nth, how_long: Duration) {
    let before = process_cpu(flowgate);
    let address = flowgate.address();
    let sending = thread::spawn(move || {
        let (mut connections, mut sent) = (0_u64, 0_u64);
        let began = Instant::now();
        while began.elapsed() < how_long {
            connections += 1;
            sent += flood(address, nth, began, how_long);
        }
        (connections, sent, thread_cpu())
    });
    let (connections, sent, sender) = sending.join().unwrap();
    // What is still on its way there is its work too.
    thread::sleep(Duration::from_millis(300));
    let ours = process_cpu(flowgate) - before;
    println!(
        "{name:18} {connections:>11} {:>9.1} {sender:>9.2} s {ours:>7.2} s {:>6.2}",
        sent as f64 / f64::from(1 << 20),
        ours / sender.max(0.01)
    );
}

/// Sends on one connection until it ends or the time is up; says how many bytes.
fn flood(address: SocketAddr, nth: Nth, began: Instant, how_long: Duration) -> u64 {
    let Ok(mut socket) = TcpStream::connect(address) else { return 0 };
    socket.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut batch = PREFACE.to_vec();
    frame(SETTINGS, 0, 0, b"", &mut batch);
    frame(SETTINGS, 1, 0, b"", &mut batch);
    let (mut n, mut sent) = (0, 0);
    let mut heard = vec![0; BATCH_BYTES];
    while began.elapsed() < how_long {
        while batch.len() < BATCH_BYTES {
            nth(n, &mut batch);
            n += 1;
        }
        if socket.write_all(&batch).is_err() {
            break;
        }
        sent += batch.len() as u64;
        batch.clear();
        // What is answered is thrown away, so that nobody waits for it.
        socket.set_nonblocking(true).unwrap();
        let over = loop {
            match socket.read(&mut heard) {
                Ok(0) => break true,
                Ok(_) => {}
                Err(err) => break err.kind() != std::io::ErrorKind::WouldBlock,
            }
        };
        socket.set_nonblocking(false).unwrap();
        if over || n > 0x3000_0000 {
            break;
        }
    }
    sent
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
