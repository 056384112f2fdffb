//! What relaying costs: CPU time of the relaying thread alone, copying and splicing in turn, over loopback sockets.
//!
//! `cargo run --release -p flowgate-net --example relay_cost [GiB a run]`. Compare the rows of one run with one another, not
//! runs with one another: how much a byte costs depends on what else the machine does.

#![allow(clippy::print_stdout, reason = "the figures are what this is for")]

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use flowgate_net::{NoTap, RelayEnd, Tap, relay};
use rustix::time::{ClockId, clock_gettime};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// How often each way is measured, in turn with the other.
const ROUNDS: usize = 3;
/// What a sender hands to the kernel at once, in bytes.
const PIECE_BYTES: usize = 128 * 1024;
/// The sizes of the messages that go to and fro, in bytes.
const MESSAGE_BYTES: [usize; 5] = [64, 4 << 10, 32 << 10, 128 << 10, 512 << 10];
/// How many bytes of messages a round of them moves at most, and how many messages.
const MESSAGES_BYTES_MAX: usize = 512 << 20;
const MESSAGES_MAX: usize = 20_000;
const CONNECTIONS: usize = 4_000;

/// Wants to see the bytes, which makes the relay copy, and does nothing with them.
struct Looks;

impl Tap for Looks {
    fn chunk(&mut self, _from_client: bool, _data: &[u8]) {}
}

fn main() -> Result<()> {
    let gib: f64 = std::env::args().nth(1).map_or(Ok(4.0), |arg| arg.parse())?;
    // Sizes are small enough for a float and for every platform.
    let pieces = (gib * (1 << 30) as f64 / PIECE_BYTES as f64) as usize;
    for _ in 0..ROUNDS {
        let [copied, spliced] = both(1, move |addr| download(addr, pieces), move |s| upload(s, pieces))?;
        let per_gib = |cpu: Duration| cpu.as_secs_f64() / gib;
        println!(
            "bulk                          copied {:7.3}   spliced {:7.3} CPU s/GiB",
            per_gib(copied),
            per_gib(spliced)
        );
    }
    for size in MESSAGE_BYTES {
        let count = (MESSAGES_BYTES_MAX / size).min(MESSAGES_MAX);
        for _ in 0..ROUNDS {
            let times = both(1, move |addr| ping(addr, size, count), move |s| pong(s, size))?;
            report(&format!("round trip of {size} bytes"), count, times);
        }
    }
    for _ in 0..ROUNDS {
        let connect_often = |addr| (0..CONNECTIONS).try_for_each(|_| ping(addr, 512, 1));
        let times = both(CONNECTIONS, connect_often, |s| pong(s, 512))?;
        report("connection with one exchange", CONNECTIONS, times);
    }
    Ok(())
}

fn report(what: &str, count: usize, [copied, spliced]: [Duration; 2]) {
    let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / count as f64;
    println!(
        "{what:<29} copied {:7.2}   spliced {:7.2} CPU us ({:.0} and {:.0} a CPU second)",
        each(copied),
        each(spliced),
        1e6 / each(copied),
        1e6 / each(spliced)
    );
}

/// The CPU time of relaying between `client` and `server`, copying and splicing.
fn both(
    connections: usize,
    client: impl Fn(SocketAddr) -> Result<()> + Send + Copy + 'static,
    server: impl Fn(TcpStream) -> Result<()> + Send + Copy + 'static,
) -> Result<[Duration; 2]> {
    Ok([measure(Looks, connections, client, server)?, measure(NoTap, connections, client, server)?])
}

fn measure<T: Tap + Send + 'static>(
    tap: T,
    connections: usize,
    client: impl Fn(SocketAddr) -> Result<()> + Send + 'static,
    server: impl Fn(TcpStream) -> Result<()> + Send + 'static,
) -> Result<Duration> {
    let server_listener = TcpListener::bind("127.0.0.1:0")?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let (addr, to) = (listener.local_addr()?, server_listener.local_addr()?);
    let server = thread::spawn(move || -> Result<()> {
        (0..connections).try_for_each(|_| server(server_listener.accept()?.0))
    });
    let client = thread::spawn(move || client(addr));
    let relaying = thread::spawn(move || relay_on_this_thread(listener, to, tap, connections));
    let cpu = joined(relaying)?;
    joined(client)?;
    joined(server)?;
    Ok(cpu)
}

fn joined<T>(thread: thread::JoinHandle<Result<T>>) -> Result<T> {
    thread.join().map_err(|_| "a thread panicked")?
}

/// Relays connections one after the other; says what this thread worked for that.
fn relay_on_this_thread(
    listener: TcpListener,
    to: SocketAddr,
    mut tap: impl Tap,
    connections: usize,
) -> Result<Duration> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let before = thread_cpu();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        for _ in 0..connections {
            let (client, _) = listener.accept().await?;
            client.set_nodelay(true)?;
            let server = tokio::net::TcpStream::connect(to).await?;
            server.set_nodelay(true)?;
            if let RelayEnd { failure: Some((_, err)), .. } =
                relay(Box::new(client), Box::new(server), &mut tap).await
            {
                return Err(err.into());
            }
        }
        Ok(thread_cpu().saturating_sub(before))
    })
}

fn thread_cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default())
}

fn download(addr: SocketAddr, pieces: usize) -> Result<()> {
    let mut stream = TcpStream::connect(addr)?;
    let mut piece = vec![0; PIECE_BYTES];
    let mut left = pieces * PIECE_BYTES;
    while left > 0 {
        match stream.read(&mut piece)? {
            0 => return Err("the download ended early".into()),
            n => left -= n,
        }
    }
    Ok(())
}

fn upload(mut stream: TcpStream, pieces: usize) -> Result<()> {
    let piece = vec![7; PIECE_BYTES];
    (0..pieces).try_for_each(|_| stream.write_all(&piece))?;
    Ok(())
}

fn ping(addr: SocketAddr, size: usize, count: usize) -> Result<()> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_nodelay(true)?;
    let mut message = vec![7; size];
    for _ in 0..count {
        stream.write_all(&message)?;
        stream.read_exact(&mut message)?;
    }
    Ok(())
}

/// Answers each message with as many bytes until the client ends.
fn pong(mut stream: TcpStream, size: usize) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut message = vec![0; size];
    loop {
        let mut got = 0;
        while got < size {
            match stream.read(message.get_mut(got..).unwrap_or_default())? {
                0 => return Ok(()),
                n => got += n,
            }
        }
        stream.write_all(&message)?;
    }
}
