//! Networks (CIDR) and ranges of ports, as they stand in rules.

use std::fmt;
use std::net::IpAddr;

/// Addresses with the same first bits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Network {
    address: IpAddr,
    bits: u8,
}

/// Why a text is no network.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkFault {
    /// The part before the slash is no address.
    #[error("not an address or a network such as 192.0.2.0/24")]
    NotAddress,
    /// The part behind the slash is no number of bits.
    #[error("the number behind the `/` is to be from 0 to {max}")]
    Bits {
        /// As many as the address has.
        max: u8,
    },
    /// `192.0.2.1/24`: an address or its network, nobody knows which.
    #[error("address bits are set behind the first {bits}; the network is {network}")]
    HostBits {
        /// The number behind the slash.
        bits: u8,
        /// The network that the address is in.
        network: String,
    },
}

impl Network {
    pub(crate) fn parse(text: &str) -> Result<Self, NetworkFault> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
        let address: IpAddr = address.parse().map_err(|_| NetworkFault::NotAddress)?;
        let max = width(address);
        let bits = match bits {
            None => max,
            Some(bits) => {
                let digits = !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
                let bits = bits.parse().ok().filter(|bits| digits && *bits <= max);
                bits.ok_or(NetworkFault::Bits { max })?
            }
        };
        let network = Self { address: masked(address, bits), bits };
        if network.address != address {
            return Err(NetworkFault::HostBits { bits, network: network.to_string() });
        }
        // IPv4 in IPv6 is compared as IPv4, as everywhere here.
        match (address.to_canonical(), bits) {
            (v4 @ IpAddr::V4(_), 96..) if address.is_ipv6() => Ok(Self { address: v4, bits: bits - 96 }),
            _ => Ok(network),
        }
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && masked(address, self.bits) == self.address
    }

    /// Every address of `other` is one of this network.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.bits <= other.bits && self.contains(other.address)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

const fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}

/// Ports from one to another, both included.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Ports {
    first: u16,
    last: u16,
}

impl Ports {
    /// `443` or `8000-8999`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let number = |text: &str| {
            let text = text.trim();
            text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
        };
        let (first, last) = match text.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(text)?, number(text)?),
        };
        (first <= last).then_some(Self { first, last })
    }

    pub(crate) const fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }

    pub(crate) const fn covers(self, other: Self) -> bool {
        self.first <= other.first && other.last <= self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn networks() {
        let table = [
            ("192.0.2.0/24", "192.0.2.77", true),
            ("192.0.2.0/24", "192.0.3.1", false),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.0/24", "::ffff:192.0.2.9", true),
            ("::ffff:192.0.2.0/120", "192.0.2.9", true),
            ("0.0.0.0/0", "203.0.113.1", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "2001:db8::1", true),
            ("[2001:db8::]/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
        ];
        for (network, address, expected) in table {
            assert_eq!(
                Network::parse(network).unwrap().contains(address.parse().unwrap()),
                expected,
                "{network}"
            );
        }
        let refused = ["", "a", "1.2.3", "1.2.3.4/33", "1.2.3.4/", "1.2.3.4/+8", "::/129", "10.0.0.1/8"];
        for text in refused {
            assert!(Network::parse(text).is_err(), "{text}");
        }
        assert_eq!(
            Network::parse("10.0.0.1/8").unwrap_err().to_string(),
            "address bits are set behind the first 8; the network is 10.0.0.0/8"
        );
    }

    #[test]
    fn ports() {
        assert!(Ports::parse("443").unwrap().contains(443));
        assert!(Ports::parse("8000-8999").unwrap().contains(8999));
        assert!(!Ports::parse("8000-8999").unwrap().contains(9000));
        for text in ["", "-", "1-", "65536", "9-1", "a", "+1", "1-2-3"] {
            assert!(Ports::parse(text).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text(text: String, address: IpAddr) {
            if let Ok(network) = Network::parse(&text) {
                let _ = network.contains(address);
                prop_assert_eq!(Network::parse(&network.to_string()), Ok(network));
            }
            let _ = Ports::parse(&text);
        }

        #[test]
        fn a_network_has_its_own_addresses(address: IpAddr, bits in 0_u8..=32) {
            let network = Network { address: masked(address.to_canonical(), bits), bits };
            prop_assert!(network.contains(address));
        }
    }
}
