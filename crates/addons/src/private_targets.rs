//! `block_private_targets`: servers at addresses that are not public ones are not connected to, whatever name or notation led to
//! them. What is judged is the address that is dialled, after its name was looked up, so that no second look-up can lead elsewhere.
//!
//! Not for mode `reverse:`, whose server whoever started the program has named.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use flowgate_proxy::{Addon, ServerFacts};

/// The addon.
#[derive(Debug)]
pub(crate) struct PrivateTargets;

impl Addon for PrivateTargets {
    fn name(&self) -> &str {
        "block_private_targets"
    }

    fn judge_address(&self, server: &ServerFacts, at: SocketAddr) -> Result<(), String> {
        if server.client.mode.starts_with("reverse:") {
            return Ok(());
        }
        match kind(at.ip()) {
            None => Ok(()),
            Some(kind) => Err(format!("block_private_targets: {} is {kind}", at.ip())),
        }
    }
}

/// What kind of address it is, if not a public one (IANA special-purpose address registries, RFC 6890).
fn kind(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(ip) => kind_v4(ip),
        IpAddr::V6(ip) => kind_v6(ip),
    }
}

fn kind_v4(ip: Ipv4Addr) -> Option<&'static str> {
    Some(match ip.octets() {
        [0, ..] => "this machine",
        [127, ..] => "a loopback address",
        // Clouds tell their secrets here.
        [169, 254, ..] => "a link-local address",
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => "a private address",
        [100, 64..=127, ..] => "an address shared by the clients of a provider",
        [192, 0, 0, _] | [192, 0, 2, _] | [198, 18..=19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => {
            "a reserved address"
        }
        [224..=239, ..] => "a multicast address",
        [240..=255, ..] => "a reserved address",
        _ => return None,
    })
}

fn kind_v6(ip: Ipv6Addr) -> Option<&'static str> {
    let segments = ip.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        kind_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("this machine"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("a loopback address"),
        // IPv4 in IPv6: mapped, compatible, translated (RFC 6052, also where each network chooses: RFC 8215), and 6to4.
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        [0x64, 0xff9b, 1, ..] => Some("a reserved address"),
        [0x2002, high, low, ..] => embedded(high, low),
        [0xfc00..=0xfdff, ..] => Some("a private address"),
        [0xfe80..=0xfebf, ..] => Some("a link-local address"),
        [0xfec0..=0xfeff, ..] => Some("a private address"),
        [0xff00..=0xffff, ..] => Some("a multicast address"),
        // Teredo, benchmarks, ORCHID; documentation; discarded.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] | [0x100, ..] => {
            Some("a reserved address")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        for (ip, expected) in [
            ("8.8.8.8", None),
            ("100.128.0.1", None),
            ("172.32.0.1", None),
            ("192.0.1.1", None),
            ("0.0.0.0", Some("this machine")),
            ("127.8.9.1", Some("a loopback address")),
            ("169.254.169.254", Some("a link-local address")),
            ("10.0.0.1", Some("a private address")),
            ("172.31.0.1", Some("a private address")),
            ("192.168.1.1", Some("a private address")),
            ("100.64.0.1", Some("an address shared by the clients of a provider")),
            ("198.19.0.1", Some("a reserved address")),
            ("239.1.1.1", Some("a multicast address")),
            ("255.255.255.255", Some("a reserved address")),
            ("2606:4700::1111", None),
            ("::ffff:8.8.8.8", None),
            ("64:ff9b::808:808", None),
            ("2002:808:808::1", None),
            ("::", Some("this machine")),
            ("::1", Some("a loopback address")),
            ("::ffff:127.0.0.1", Some("a loopback address")),
            ("::127.0.0.1", Some("a loopback address")),
            ("64:ff9b::a9fe:a9fe", Some("a link-local address")),
            ("64:ff9b:1::1", Some("a reserved address")),
            ("2002:a00:1::1", Some("a private address")),
            ("fd00::1", Some("a private address")),
            ("fe80::1", Some("a link-local address")),
            ("ff02::1", Some("a multicast address")),
            ("2001:db8::1", Some("a reserved address")),
            ("2001:0:1::1", Some("a reserved address")),
        ] {
            assert_eq!(kind(ip.parse().unwrap()), expected, "{ip}");
        }
    }
}
