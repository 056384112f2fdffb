//! A name server whose answers stand in the test, by UDP and by TCP on one port. Its bytes are written here and not by the code that
//! is under test.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How many times a pair of ports is tried, one of which somebody may have.
const ATTEMPTS: usize = 50;
/// How long a client by TCP may keep us.
const PATIENCE: Duration = Duration::from_secs(20);

/// What somebody asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Question {
    /// The name, in lower case, without the final dot.
    pub name: String,
    /// 1 for IPv4's addresses, 28 for IPv6's.
    pub kind: u16,
    /// By TCP.
    pub tcp: bool,
}

/// What the server says to that.
#[derive(Clone, Debug)]
pub enum Says {
    /// These records: name, seconds to live, data.
    Records(Vec<(String, u32, Data)>),
    /// The same, by a server that does not search.
    NoRecursion(Vec<(String, u32, Data)>),
    /// A response code, such as 3 (NXDOMAIN).
    Code(u8),
    /// That the answer is longer than a datagram.
    Cut,
    /// Nothing at all.
    Nothing,
    /// These bytes behind the number of the question.
    Bytes(Vec<u8>),
}

/// What a record says.
#[derive(Clone, Debug)]
pub enum Data {
    /// An address; it is left out where addresses of the other kind are asked for.
    Address(IpAddr),
    /// The name that this one stands for.
    Alias(String),
}

/// A running name server; it stops on drop.
#[derive(Debug)]
pub struct NameServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Question>>>,
    stopping: Arc<AtomicBool>,
}

type Script = dyn Fn(&Question) -> Says + Send + Sync;

impl Says {
    /// One name's addresses, for a minute.
    #[must_use]
    pub fn addresses(name: &str, addresses: &[&str]) -> Self {
        let record = |address: &&str| {
            (name.to_owned(), 60, Data::Address(address.parse().expect("an address in the test")))
        };
        Self::Records(addresses.iter().map(record).collect())
    }
}

impl NameServer {
    /// Answers as `script` says, on a port of its own.
    ///
    /// # Panics
    ///
    /// When no port is to be had.
    #[must_use]
    pub fn start(script: impl Fn(&Question) -> Says + Send + Sync + 'static) -> Self {
        let (udp, tcp) = (0..ATTEMPTS).find_map(|_| pair().ok()).expect("a port for a name server");
        let address = udp.local_addr().expect("a bound socket has an address");
        let server = Self { address, asked: Arc::default(), stopping: Arc::default() };
        let script: Arc<Script> = Arc::new(script);
        let (asked, stopping, of_udp) = (server.asked.clone(), server.stopping.clone(), script.clone());
        thread::spawn(move || {
            let mut buffer = [0; 1024];
            while let Ok((len, from)) = udp.recv_from(&mut buffer) {
                if stopping.load(Ordering::Relaxed) {
                    return;
                }
                if let Some(answer) =
                    buffer.get(..len).and_then(|query| answer(query, false, &*of_udp, &asked))
                {
                    let _ = udp.send_to(&answer, from);
                }
            }
        });
        let (asked, stopping) = (server.asked.clone(), server.stopping.clone());
        thread::spawn(move || {
            for stream in tcp.incoming().map_while(Result::ok) {
                if stopping.load(Ordering::Relaxed) {
                    return;
                }
                // A client that goes away is none of the test's business.
                let _ = serve(stream, &*script, &asked);
            }
        });
        server
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was asked until now.
    #[must_use]
    pub fn asked(&self) -> Vec<Question> {
        self.asked.lock().expect("no script panicked").clone()
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        // Both threads wait for somebody.
        let _ =
            UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.send_to(b"", self.address));
        let _ = TcpStream::connect(self.address);
    }
}

fn pair() -> io::Result<(UdpSocket, TcpListener)> {
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok((UdpSocket::bind(tcp.local_addr()?)?, tcp))
}

fn serve(mut stream: TcpStream, script: &Script, asked: &Mutex<Vec<Question>>) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut query = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut query)?;
    if let Some(answer) = answer(&query, true, script, asked) {
        stream.write_all(&[&(answer.len() as u16).to_be_bytes()[..], &answer].concat())?;
    }
    Ok(())
}

fn answer(query: &[u8], tcp: bool, script: &Script, asked: &Mutex<Vec<Question>>) -> Option<Vec<u8>> {
    let mut rest = query.get(12..)?;
    let mut labels = Vec::new();
    while let Some((&len, after)) = rest.split_first().filter(|(len, _)| **len > 0) {
        let (label, after) = after.split_at_checked(len.into())?;
        labels.push(String::from_utf8_lossy(label).to_lowercase());
        rest = after;
    }
    let kind = u16::from_be_bytes([*rest.get(1)?, *rest.get(2)?]);
    let question = Question { name: labels.join("."), kind, tcp };
    asked.lock().expect("no script panicked").push(question.clone());
    let end = query.len() - rest.len() + 5;
    let asked_again = query.get(12..end)?;
    let id = query.get(..2)?;
    let message = |flags: [u8; 2], records: &[Vec<u8>]| {
        let counts = [0, 1, 0, records.len() as u8, 0, 0, 0, 0];
        [id, &flags, &counts, asked_again, &records.concat()].concat()
    };
    let of_kind = |records: Vec<(String, u32, Data)>| -> Vec<_> {
        let fits = |data: &Data| match data {
            Data::Address(address) => address.is_ipv4() == (kind == 1),
            Data::Alias(_) => true,
        };
        records.into_iter().filter(|(_, _, data)| fits(data)).map(record).collect()
    };
    Some(match script(&question) {
        Says::Records(records) => message([0x81, 0x80], &of_kind(records)),
        Says::NoRecursion(records) => message([0x81, 0], &of_kind(records)),
        Says::Code(code) => message([0x81, 0x80 | code], &[]),
        Says::Cut => message([0x83, 0x80], &[]),
        Says::Nothing => return None,
        Says::Bytes(bytes) => [id, &bytes].concat(),
    })
}

fn record((owner, ttl, data): (String, u32, Data)) -> Vec<u8> {
    let (kind, data) = match data {
        Data::Address(IpAddr::V4(address)) => (1_u16, address.octets().to_vec()),
        Data::Address(IpAddr::V6(address)) => (28, address.octets().to_vec()),
        Data::Alias(target) => (5, name(&target)),
    };
    let head = [&name(&owner)[..], &kind.to_be_bytes(), &1_u16.to_be_bytes(), &ttl.to_be_bytes()].concat();
    [&head[..], &(data.len() as u16).to_be_bytes(), &data].concat()
}

fn name(text: &str) -> Vec<u8> {
    let labels = text.split('.').flat_map(|label| [&[label.len() as u8][..], label.as_bytes()].concat());
    labels.chain([0]).collect()
}
