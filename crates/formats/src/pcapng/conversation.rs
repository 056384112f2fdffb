//! The packets of one flow: handshake, segments with their numbers, the end.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use flowgate_flow::{Flow, Timestamp};

use super::block;
use super::packet::{self, ACK, FIN, PAYLOAD_BYTES_MAX, PUSH, RST, SYN, Segment};

/// One connection, or the datagrams between two addresses.
pub(super) struct Conversation<'w, W> {
    out: &'w mut W,
    buffer: &'w mut Vec<u8>,
    client: Peer,
    server: Peer,
    /// No packet is before the one that was written last.
    now: u64,
    comment: Option<String>,
    failed: bool,
}

struct Peer {
    address: SocketAddr,
    next: u32,
}

impl<'w, W: Write> Conversation<'w, W> {
    /// `number` tells connections between the same addresses apart.
    pub(super) fn new(flow: &Flow, number: u32, out: &'w mut W, buffer: &'w mut Vec<u8>) -> Self {
        let client = flow.client.connection.peername.unwrap_or_else(|| SocketAddr::from((CLIENT, 0)));
        let port = flow.server.address.as_ref().map_or(0, |address| address.port);
        let server = flow.server.connection.peername.unwrap_or_else(|| {
            let named = flow.server.address.as_ref().and_then(|address| address.host.parse().ok());
            SocketAddr::new(named.unwrap_or(IpAddr::V4(SERVER)), port)
        });
        let (client, server) = in_one_family(client, server);
        // Port 0 is none to Wireshark.
        let client_port = if client.port() == 0 { 49_152 + (number % 16_384) as u16 } else { client.port() };
        let start = number.wrapping_mul(1_000_003);
        Self {
            out,
            buffer,
            client: Peer { address: SocketAddr::new(client.ip(), client_port), next: start },
            server: Peer { address: server, next: start.wrapping_add(1 << 31) },
            now: microseconds(flow.created),
            comment: None,
            failed: flow.error.is_some(),
        }
    }

    /// The port under which the server appears.
    pub(super) const fn server_port(&self) -> u16 {
        self.server.address.port()
    }

    pub(super) fn set_server_port(&mut self, port: u16) {
        self.server.address.set_port(port);
    }

    /// Says something on the next packet.
    pub(super) fn comment(&mut self, text: String) {
        self.comment = Some(text);
    }

    /// The three packets that open a TCP connection.
    pub(super) fn open(&mut self) -> io::Result<()> {
        self.segment(true, SYN, b"")?;
        self.client.next = self.client.next.wrapping_add(1);
        self.segment(false, SYN | ACK, b"")?;
        self.server.next = self.server.next.wrapping_add(1);
        self.segment(true, ACK, b"")
    }

    /// Bytes in one direction of a TCP connection.
    pub(super) fn stream(&mut self, from_client: bool, time: Timestamp, bytes: &[u8]) -> io::Result<()> {
        self.now = self.now.max(microseconds(time));
        for piece in bytes.chunks(SEGMENT_BYTES_MAX) {
            self.segment(from_client, PUSH | ACK, piece)?;
            let sender = if from_client { &mut self.client } else { &mut self.server };
            sender.next = sender.next.wrapping_add(piece.len() as u32);
        }
        Ok(())
    }

    /// The end of a TCP connection: both sides', or a reset after a failure.
    pub(super) fn close(&mut self) -> io::Result<()> {
        if self.failed {
            return self.segment(false, RST | ACK, b"");
        }
        for from_client in [false, true] {
            self.segment(from_client, FIN | ACK, b"")?;
            let sender = if from_client { &mut self.client } else { &mut self.server };
            sender.next = sender.next.wrapping_add(1);
        }
        self.segment(false, ACK, b"")
    }

    /// A datagram; of one that no packet holds, only the beginning.
    pub(super) fn datagram(&mut self, from_client: bool, time: Timestamp, bytes: &[u8]) -> io::Result<()> {
        self.now = self.now.max(microseconds(time));
        let bytes = bytes.get(..PAYLOAD_BYTES_MAX.min(bytes.len())).unwrap_or_default();
        let (from, to) = self.between(from_client);
        self.packet(|out| packet::udp(out, from, to, bytes))
    }

    fn segment(&mut self, from_client: bool, flags: u8, payload: &[u8]) -> io::Result<()> {
        let (from, to) = self.between(from_client);
        let (sender, other) =
            if from_client { (&self.client, &self.server) } else { (&self.server, &self.client) };
        let acknowledged = if flags & ACK == 0 { 0 } else { other.next };
        let segment = Segment { sequence: sender.next, acknowledged, flags };
        self.packet(|out| packet::tcp(out, from, to, segment, payload))
    }

    const fn between(&self, from_client: bool) -> (SocketAddr, SocketAddr) {
        if from_client {
            (self.client.address, self.server.address)
        } else {
            (self.server.address, self.client.address)
        }
    }

    fn packet(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        self.buffer.clear();
        block::packet(self.buffer, self.now, self.comment.take().as_deref(), write);
        self.out.write_all(self.buffer)
    }
}

/// Bytes of a stream in one packet: as network cards hand them to a capture.
const SEGMENT_BYTES_MAX: usize = 16 << 10;

/// Stand for addresses that nobody knows (RFC 5737).
const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// Client and server may be of different families, since they are of different connections.
fn in_one_family(client: SocketAddr, server: SocketAddr) -> (SocketAddr, SocketAddr) {
    let mapped = |address: SocketAddr| match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(IpAddr::V6(ip.to_ipv6_mapped()), address.port()),
        IpAddr::V6(_) => address,
    };
    let plain = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    match (plain(client), plain(server)) {
        (client, server) if client.is_ipv4() == server.is_ipv4() => (client, server),
        (client, server) => (mapped(client), mapped(server)),
    }
}

fn microseconds(time: Timestamp) -> u64 {
    (time.0.clamp(0.0, 1e11) * 1e6).round() as u64
}
