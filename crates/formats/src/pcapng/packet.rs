//! IP, TCP and UDP headers, with their checksums (RFC 791, 8200, 9293, 768, 1071).

use std::net::{IpAddr, SocketAddr};

pub(super) const FIN: u8 = 0x01;
pub(super) const SYN: u8 = 0x02;
pub(super) const RST: u8 = 0x04;
pub(super) const PUSH: u8 = 0x08;
pub(super) const ACK: u8 = 0x10;

/// What of a TCP header varies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) sequence: u32,
    pub(super) acknowledged: u32,
    pub(super) flags: u8,
}

/// The payload must be of at most [`PAYLOAD_BYTES_MAX`].
pub(super) fn tcp(out: &mut Vec<u8>, from: SocketAddr, to: SocketAddr, segment: Segment, payload: &[u8]) {
    let start = ip(out, from.ip(), to.ip(), TCP, TCP_HEADER_BYTES + payload.len());
    out.extend_from_slice(&from.port().to_be_bytes());
    out.extend_from_slice(&to.port().to_be_bytes());
    out.extend_from_slice(&segment.sequence.to_be_bytes());
    out.extend_from_slice(&segment.acknowledged.to_be_bytes());
    out.push((TCP_HEADER_BYTES as u8 / 4) << 4);
    out.push(segment.flags);
    // Window, checksum, urgent pointer.
    out.extend_from_slice(&[0xff, 0xff, 0, 0, 0, 0]);
    out.extend_from_slice(payload);
    put_checksum(out, start, 16, from.ip(), to.ip(), TCP);
}

/// The payload must be of at most [`PAYLOAD_BYTES_MAX`].
pub(super) fn udp(out: &mut Vec<u8>, from: SocketAddr, to: SocketAddr, payload: &[u8]) {
    let length = UDP_HEADER_BYTES + payload.len();
    let start = ip(out, from.ip(), to.ip(), UDP, length);
    out.extend_from_slice(&from.port().to_be_bytes());
    out.extend_from_slice(&to.port().to_be_bytes());
    out.extend_from_slice(&(length as u16).to_be_bytes());
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(payload);
    put_checksum(out, start, 6, from.ip(), to.ip(), UDP);
}

/// What fits an IPv4 packet with its headers.
pub(super) const PAYLOAD_BYTES_MAX: usize = 65_000;

const TCP: u8 = 6;
const UDP: u8 = 17;
const TCP_HEADER_BYTES: usize = 20;
const UDP_HEADER_BYTES: usize = 8;

/// Writes an IP header; says where what follows begins. Both addresses are of one family.
fn ip(out: &mut Vec<u8>, from: IpAddr, to: IpAddr, protocol: u8, length: usize) -> usize {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let start = out.len();
            out.extend_from_slice(&[0x45, 0]);
            out.extend_from_slice(&((20 + length) as u16).to_be_bytes());
            // Identification, no fragments, time to live.
            out.extend_from_slice(&[0, 0, 0x40, 0, 64, protocol, 0, 0]);
            out.extend_from_slice(&from.octets());
            out.extend_from_slice(&to.octets());
            let sum = checksum(sum_of(out.get(start..).unwrap_or_default()));
            put(out, start + 10, sum);
        }
        (from, to) => {
            out.extend_from_slice(&[0x60, 0, 0, 0]);
            out.extend_from_slice(&(length as u16).to_be_bytes());
            out.extend_from_slice(&[protocol, 64]);
            out.extend_from_slice(&in_ipv6(from));
            out.extend_from_slice(&in_ipv6(to));
        }
    }
    out.len()
}

fn in_ipv6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// Puts the checksum of what begins at `start`, and of the pseudo-header, `at` bytes behind it.
fn put_checksum(out: &mut [u8], start: usize, at: usize, from: IpAddr, to: IpAddr, protocol: u8) {
    let segment = out.get(start..).unwrap_or_default();
    let addresses = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => sum_of(&from.octets()) + sum_of(&to.octets()),
        (from, to) => sum_of(&in_ipv6(from)) + sum_of(&in_ipv6(to)),
    };
    let sum = checksum(addresses + u64::from(protocol) + segment.len() as u64 + sum_of(segment));
    // In UDP zero would mean that there is none.
    put(out, start + at, if sum == 0 && protocol == UDP { 0xffff } else { sum });
}

fn sum_of(bytes: &[u8]) -> u64 {
    let mut pairs = bytes.chunks_exact(2);
    let sum: u64 = pairs
        .by_ref()
        .map(|pair| u64::from(pair.iter().fold(0_u16, |n, byte| n << 8 | u16::from(*byte))))
        .sum();
    sum + pairs.remainder().first().map_or(0, |byte| u64::from(*byte) << 8)
}

const fn checksum(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn put(out: &mut [u8], at: usize, value: u16) {
    if let Some(place) = out.get_mut(at..at + 2) {
        place.copy_from_slice(&value.to_be_bytes());
    }
}
