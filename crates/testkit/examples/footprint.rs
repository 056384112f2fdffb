//! What the binary takes in memory: for connections that idle, and while large bodies cross.
//!
//! `cargo build --release -p flowgate && cargo run --release -p flowgate-testkit --example footprint -- target/release/flowgate
//! [CONNECTIONS] [PAIRS] [GIB]`; Linux only. The figures that we mean to keep are 10 KB for an idle connection, 80 KB for a pair
//! of connections whose TLS ends here, and 32 MiB more at the most while bodies of any size cross. Not a test: it takes minutes, and
//! as many descriptors as connections.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement that fails says so by panicking")]
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "it says figures, and looks at a process from time to time"
)]

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use flowgate_testkit::{Flowgate, TestCa, client_config};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, StreamOwned};

/// What is written and read at a time.
const PIECE: usize = 256 * 1024;

fn main() {
    let mut arguments = env::args().skip(1);
    let binary = arguments.next().expect("the path of the binary");
    let binary = std::path::absolute(binary).expect("a path");
    let mut number = |default: u64| arguments.next().map_or(default, |text| text.parse().expect("a number"));
    let (connections, pairs, gib) = (number(10_000), number(4_000), number(10));
    let ca = TestCa::new();
    let server = serve(ca.leaf(&["localhost"]).server_config(&[b"http/1.1"]), gib << 30);
    idle(&binary, connections);
    decrypted(&binary, &ca, server, pairs);
    bodies(&binary, &ca, server, gib << 30);
}

fn start(binary: &Path, ca: Option<&TestCa>) -> Flowgate {
    let builder = Flowgate::builder(binary).args(["--flow-detail", "0"]);
    match ca {
        Some(ca) => builder.set("ssl_verify_upstream_trusted_ca", ca.certificate_path().display()),
        None => builder,
    }
    .start()
}

/// Connections to the proxy on which nothing was asked yet.
fn idle(binary: &Path, count: u64) {
    let flowgate = start(binary, None);
    drop((0..200).map(|_| TcpStream::connect(flowgate.address()).unwrap()).collect::<Vec<_>>());
    let before = settled(&flowgate);
    let descriptors = descriptors(&flowgate);
    let held: Vec<_> = (0..count).map(|_| TcpStream::connect(flowgate.address()).unwrap()).collect();
    while self::descriptors(&flowgate) < descriptors + held.len() {
        thread::sleep(Duration::from_millis(20));
    }
    let each = (settled(&flowgate) - before) / count;
    println!("{count} idle connections: {each} bytes each");
    meanwhile(&flowgate);
}

/// A client's connection and a server's, both with TLS that ends in the proxy, after one exchange.
fn decrypted(binary: &Path, ca: &TestCa, server: SocketAddr, count: u64) {
    let flowgate = start(binary, Some(ca));
    let config = trusting(&flowgate.ca_certificate());
    drop((0..50).map(|_| pair(&flowgate, &config, server)).collect::<Vec<_>>());
    let before = settled(&flowgate);
    let held: Vec<_> = (0..count).map(|_| pair(&flowgate, &config, server)).collect();
    let each = (settled(&flowgate) - before) / count;
    println!("{count} decrypted pairs: {each} bytes each");
    meanwhile(&flowgate);
    drop(held);
}

/// Large bodies in TLS, down and up.
fn bodies(binary: &Path, ca: &TestCa, server: SocketAddr, bytes: u64) {
    let flowgate = start(binary, Some(ca));
    let config = trusting(&flowgate.ca_certificate());
    drop((0..50).map(|_| pair(&flowgate, &config, server)).collect::<Vec<_>>());
    let before = settled(&flowgate);
    let mut piece = vec![0; PIECE];
    let began = Instant::now();
    let mut client = tunnel(&flowgate, &config, server);
    client.write_all(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    head(&mut client);
    let mut left = bytes;
    while left > 0 {
        let count = client.read(&mut piece).unwrap();
        assert!(count > 0, "{left} bytes are missing");
        left -= count as u64;
    }
    told("down", bytes, began, peak(&flowgate) - before);
    let began = Instant::now();
    client
        .write_all(
            format!("PUT /large HTTP/1.1\r\nHost: localhost\r\nContent-Length: {bytes}\r\n\r\n").as_bytes(),
        )
        .unwrap();
    let mut left = bytes;
    while left > 0 {
        let count = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        client.write_all(&piece[..count]).unwrap();
        left -= count as u64;
    }
    head(&mut client);
    told("up", bytes, began, peak(&flowgate) - before);
}

fn told(way: &str, bytes: u64, began: Instant, more: u64) {
    let seconds = began.elapsed().as_secs_f64();
    println!("{} MiB {way} in {seconds:.1} s: at most {} KiB more", bytes >> 20, more >> 10);
}

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A tunnel to the server with TLS in it.
fn tunnel(flowgate: &Flowgate, config: &Arc<ClientConfig>, server: SocketAddr) -> Tls {
    let mut socket = TcpStream::connect(flowgate.address()).unwrap();
    socket.set_nodelay(true).unwrap();
    let authority = format!("localhost:{}", server.port());
    socket
        .write_all(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n").as_bytes())
        .unwrap();
    head(&mut socket);
    let name = ServerName::try_from("localhost").unwrap();
    StreamOwned::new(ClientConnection::new(Arc::clone(config), name).unwrap(), socket)
}

/// A tunnel in which one small exchange took place.
fn pair(flowgate: &Flowgate, config: &Arc<ClientConfig>, server: SocketAddr) -> Tls {
    let mut client = tunnel(flowgate, config, server);
    client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    head(&mut client);
    client
}

/// Reads a head, byte for byte: what follows stays.
fn head(stream: &mut impl Read) -> Vec<u8> {
    let mut read = Vec::new();
    let mut byte = [0];
    while !read.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return Vec::new();
        }
        read.push(byte[0]);
    }
    read
}

fn trusting(root: &Path) -> Arc<ClientConfig> {
    let mut config = client_config(root, &[]);
    // Each connection is to be a new client's.
    config.resumption = rustls::client::Resumption::disabled();
    Arc::new(config)
}

/// A server that answers `GET /` without a body, `GET /large` with one of so many bytes, and takes any `PUT`.
fn serve(config: Arc<ServerConfig>, large: u64) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for socket in listener.incoming().map(Result::unwrap) {
            let config = Arc::clone(&config);
            let serve = move || {
                socket.set_nodelay(true).unwrap();
                let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), socket);
                // A client that leaves is the end.
                let _ = serve_one(&mut stream, large);
            };
            thread::Builder::new().stack_size(256 * 1024).spawn(serve).unwrap();
        }
    });
    address
}

fn serve_one(stream: &mut (impl Read + Write), large: u64) -> std::io::Result<()> {
    loop {
        let head = head(stream);
        let head = String::from_utf8_lossy(&head);
        let announced = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut left: u64 = announced.unwrap_or(0);
        let mut piece = Vec::new();
        if head.is_empty() {
            return Ok(());
        }
        if left > 0 || head.starts_with("GET /large ") {
            piece = vec![0; PIECE];
        }
        while left > 0 {
            let count = stream.read(&mut piece)?;
            left -= count as u64;
            if count == 0 {
                return Ok(());
            }
        }
        let mut left = if head.starts_with("GET /large ") { large } else { 0 };
        stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {left}\r\n\r\n").as_bytes())?;
        while left > 0 {
            let count = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            stream.write_all(&piece[..count])?;
            left -= count as u64;
        }
        stream.flush()?;
    }
}

/// How soon a new client is answered, and what idling costs, while the others are there.
fn meanwhile(flowgate: &Flowgate) {
    let mut waits: Vec<_> = (0..20)
        .map(|_| {
            let began = Instant::now();
            let mut client = TcpStream::connect(flowgate.address()).unwrap();
            client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            assert!(!head(&mut client).is_empty());
            began.elapsed()
        })
        .collect();
    waits.sort();
    let (ticks, period) = (cpu_ticks(flowgate), Duration::from_secs(5));
    thread::sleep(period);
    // A tick is 10 ms.
    let busy = (cpu_ticks(flowgate) - ticks) as f64 / period.as_secs_f64();
    println!(
        "    meanwhile: a new client is answered in {:?} at most, and idling takes {busy:.1} % of a CPU",
        waits[19]
    );
}

/// A line of `/proc/PID/status`, in bytes.
fn status(flowgate: &Flowgate, key: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", flowgate.process().id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

fn peak(flowgate: &Flowgate) -> u64 {
    status(flowgate, "VmHWM")
}

/// Resident memory, once it does not change any more.
fn settled(flowgate: &Flowgate) -> u64 {
    let (mut last, mut same) = (0, 0);
    while same < 5 {
        thread::sleep(Duration::from_millis(100));
        let now = status(flowgate, "VmRSS");
        same = if now == last { same + 1 } else { 0 };
        last = now;
    }
    last
}

fn descriptors(flowgate: &Flowgate) -> usize {
    fs::read_dir(format!("/proc/{}/fd", flowgate.process().id())).unwrap().count()
}

fn cpu_ticks(flowgate: &Flowgate) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", flowgate.process().id())).unwrap();
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}
