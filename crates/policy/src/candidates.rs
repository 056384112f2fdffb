//! The strings that patterns are searched in: `host:port` for each fact that names where a connection goes.
//!
//! Spelled so that a person's pattern hits whatever the client's spelling was: lower case, no final dot, IPv6 as it is
//! written in short with and without brackets, IPv4 in IPv6 as IPv4, internationalised names with letters and as
//! `xn--`. Spellings that come up twice are kept once, for the fact that had them first.
//!
//! Invariant: candidates depend on the facts alone, so a candidate's number means the same in a reason as it did in
//! the decision.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

use crate::facts::{Fact, Facts};
use flowgate_flow::punycode;

/// The longest host that is taken for one, in bytes. A name has at most 253; letters of other scripts take more.
pub const HOST_BYTES_MAX: usize = 1024;

/// Four facts with two spellings each.
const CANDIDATES_MAX: usize = 8;

/// Where a candidate comes from.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum FactKind {
    /// The destination as the client, the mode or the operating system named it.
    #[default]
    Destination,
    /// The name in the ClientHello.
    Sni,
    /// The address that the connection to the server has.
    Peer,
    /// The Host field (or `:authority`) of a request in clear text.
    Host,
}

impl std::fmt::Display for FactKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Destination => "destination",
            Self::Sni => "sni",
            Self::Peer => "peer",
            Self::Host => "host header",
        })
    }
}

/// One string to search in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Candidate<'a> {
    pub(crate) fact: FactKind,
    pub(crate) text: &'a str,
}

/// All strings to search in.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    text: String,
    spans: [Span; CANDIDATES_MAX],
    count: usize,
}

/// A candidate's place in the text.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    fact: FactKind,
    start: usize,
    host_end: usize,
    end: usize,
}

impl Candidates {
    /// The candidates of all facts that are known. Without a destination there are none: nobody could pass the
    /// connection through. The Host field inside decrypted TLS is none, lest it hide what is being recorded.
    pub(crate) fn of(facts: &Facts<'_>) -> Self {
        let mut candidates = Self::default();
        let Some(destination) = facts.destination else { return candidates };
        let port = Port::Number(destination.port);
        candidates.text.reserve(128);
        candidates.add(FactKind::Destination, &destination.host, port);
        if let Fact::Is(name) = facts.sni {
            candidates.add(FactKind::Sni, name, port);
        }
        if let Fact::Is(peer) = facts.peer {
            candidates.add_address(FactKind::Peer, peer.ip(), Port::Number(peer.port()));
        }
        if let (Fact::Is(host), false) = (facts.host, facts.decrypted) {
            let (host, own_port) = split_port(host);
            candidates.add(FactKind::Host, host, own_port.unwrap_or(port));
        }
        candidates
    }

    /// `host:port` of each.
    pub(crate) fn with_port(&self) -> impl Iterator<Item = Candidate<'_>> + Clone {
        self.spans().iter().filter_map(|span| self.candidate(span.fact, span.start, span.end))
    }

    /// The host of each, without its port.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = Candidate<'_>> + Clone {
        self.spans().iter().filter_map(|span| self.candidate(span.fact, span.start, span.host_end))
    }

    /// What `tcp_hosts` and `udp_hosts` see: of the destination and the SNI, the host alone and `host:port`.
    pub(crate) fn raw_hosts(&self) -> impl Iterator<Item = Candidate<'_>> + Clone {
        let named = |span: &&Span| matches!(span.fact, FactKind::Destination | FactKind::Sni);
        self.spans()
            .iter()
            .filter(named)
            .flat_map(|span| [(span.fact, span.start, span.host_end), (span.fact, span.start, span.end)])
            .filter_map(|(fact, start, end)| self.candidate(fact, start, end))
    }

    fn spans(&self) -> &[Span] {
        self.spans.get(..self.count).unwrap_or_default()
    }

    fn candidate(&self, fact: FactKind, start: usize, end: usize) -> Option<Candidate<'_>> {
        Some(Candidate { fact, text: self.text.get(start..end)? })
    }

    /// Adds all spellings of a host as it was sent.
    fn add(&mut self, fact: FactKind, host: &str, port: Port<'_>) {
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let may_be_address = host.contains(':') || host.ends_with(|last: char| last.is_ascii_digit());
        if let (true, Ok(address)) = (may_be_address, host.parse()) {
            return self.add_address(fact, address, port);
        }
        let name = host.strip_suffix('.').unwrap_or(host);
        if name.is_empty() || name.len() > HOST_BYTES_MAX {
            return;
        }
        self.add_spelling(fact, port, |text| push_lowercase(name, text));
        if name.is_ascii() && !name.as_bytes().windows(4).any(|bytes| bytes.eq_ignore_ascii_case(b"xn--")) {
            return;
        }
        let name = name.to_lowercase();
        if let Some(other) = punycode::to_unicode(&name).or_else(|| punycode::to_ascii(&name)) {
            self.add_spelling(fact, port, |text| text.push_str(&other));
        }
    }

    fn add_address(&mut self, fact: FactKind, address: IpAddr, port: Port<'_>) {
        match address.to_canonical() {
            IpAddr::V4(address) => self.add_spelling(fact, port, |text| push_ipv4(address, text)),
            IpAddr::V6(address) => {
                self.add_spelling(fact, port, |text| {
                    let _ = write!(text, "{address}");
                });
                self.add_spelling(fact, port, |text| {
                    let _ = write!(text, "[{address}]");
                });
            }
        }
    }

    fn add_spelling(&mut self, fact: FactKind, port: Port<'_>, write_host: impl FnOnce(&mut String)) {
        let start = self.text.len();
        write_host(&mut self.text);
        let host_end = self.text.len();
        self.text.push(':');
        match port {
            Port::Number(port) => push_number(port, &mut self.text),
            Port::Digits(port) => self.text.push_str(port),
        }
        let end = self.text.len();
        let added = self.text.get(start..end);
        let known = self.with_port().any(|candidate| Some(candidate.text) == added);
        match self.spans.get_mut(self.count) {
            Some(slot) if !known => {
                *slot = Span { fact, start, host_end, end };
                self.count += 1;
            }
            _ => self.text.truncate(start),
        }
    }
}

/// Writes a name in lower case; nearly every name is ASCII, which takes one pass.
fn push_lowercase(name: &str, text: &mut String) {
    if name.is_ascii() {
        let start = text.len();
        text.push_str(name);
        if let Some(added) = text.get_mut(start..) {
            added.make_ascii_lowercase();
        }
    } else {
        text.extend(name.chars().flat_map(char::to_lowercase));
    }
}

/// Writes an address as `Display` does, without its formatter: every connection that is decided on pays for that.
fn push_ipv4(address: Ipv4Addr, text: &mut String) {
    for (at, octet) in address.octets().into_iter().enumerate() {
        if at > 0 {
            text.push('.');
        }
        push_number(octet.into(), text);
    }
}

/// Writes a number in decimal, for the same reason.
fn push_number(number: u16, text: &mut String) {
    if number >= 10 {
        push_number(number / 10, text);
    }
    text.push(char::from(b'0' + u8::try_from(number % 10).unwrap_or_default()));
}

#[derive(Clone, Copy)]
enum Port<'a> {
    Number(u16),
    /// Digits that are no port, kept so that they match no pattern for another one.
    Digits(&'a str),
}

/// Cuts a Host field into the host and the port it names itself.
fn split_port(field: &str) -> (&str, Option<Port<'_>>) {
    match field.rsplit_once(':') {
        Some((host, "")) => (host, None),
        // `::1` is not valid here, but is no host with a port either.
        Some((host, digits)) if digits.bytes().all(|byte| byte.is_ascii_digit()) && !is_bare_ipv6(field) => {
            (host, Some(digits.parse().map_or(Port::Digits(digits), Port::Number)))
        }
        _ => (field, None),
    }
}

fn is_bare_ipv6(field: &str) -> bool {
    field.parse::<std::net::Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn addresses_and_ports_are_written_as_everybody_does(address: Ipv4Addr, port: u16) {
            let mut text = String::from("at ");
            push_ipv4(address, &mut text);
            text.push(':');
            push_number(port, &mut text);
            prop_assert_eq!(text, format!("at {address}:{port}"));
        }
    }
}
