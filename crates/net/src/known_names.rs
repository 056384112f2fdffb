//! Names whose addresses are given, so that nobody is asked for them.

use std::collections::HashMap;
use std::net::IpAddr;

use flowgate_flow::{Address, punycode};

/// What is known of names. Names are compared without case and final dot, and are the same with letters of
/// any script as with `xn--`; addresses stand for themselves.
#[derive(Clone, Debug, Default)]
pub struct KnownNames {
    by_name: HashMap<String, Vec<Known>>,
    /// Of names that are not among those.
    others: Vec<Known>,
}

#[derive(Clone, Debug)]
struct Known {
    /// `None` for every port.
    port: Option<u16>,
    addresses: Vec<IpAddr>,
}

impl KnownNames {
    /// Adds the addresses of a name (`None` for every name) for connections to a port (`None` for every port). Of two that fit,
    /// the one that names the host counts, and then the first.
    pub fn add(&mut self, host: Option<&str>, port: Option<u16>, addresses: Vec<IpAddr>) {
        let known = Known { port, addresses };
        match host {
            Some(host) => self.by_name.entry(plain(host)).or_default().push(known),
            None => self.others.push(known),
        }
    }

    /// The addresses to connect to; `None` if they have to be looked up.
    pub(crate) fn addresses_of(&self, to: &Address) -> Option<&[IpAddr]> {
        if self.by_name.is_empty() && self.others.is_empty() {
            return None;
        }
        let fits = |known: &&Known| known.port.is_none_or(|port| port == to.port);
        let by_name = self.by_name.get(&plain(&to.host)).into_iter().flatten();
        by_name.chain(&self.others).find(fits).map(|known| known.addresses.as_slice())
    }
}

/// The spelling in which names are compared: lower case, in ASCII, without a final dot.
pub(crate) fn plain(host: &str) -> String {
    let host = host.strip_suffix('.').unwrap_or(host).to_lowercase();
    punycode::to_ascii(&host).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_counts_before_all_names_and_the_first_before_the_second() {
        let mut known = KnownNames::default();
        let ip = |last: u8| vec![IpAddr::from([127, 0, 0, last])];
        known.add(None, Some(80), ip(1));
        known.add(Some("A.test."), Some(443), ip(2));
        known.add(Some("a.test"), None, ip(3));
        known.add(Some("a.test"), Some(8080), ip(4));
        known.add(Some("B\u{fc}cher.test"), None, ip(5));
        known.add(Some("xn--caf-dma.test"), None, ip(6));
        for (host, port, expected) in [
            ("a.test", 443, Some(2)),
            ("a.TEST.", 443, Some(2)),
            ("a.test", 80, Some(3)),
            ("a.test", 8080, Some(3)),
            ("b.test", 80, Some(1)),
            ("b.test", 443, None),
            ("sub.a.test", 443, None),
            ("xn--bcher-kva.test", 443, Some(5)),
            ("XN--BCHER-KVA.test.", 443, Some(5)),
            ("b\u{fc}cher.test", 443, Some(5)),
            ("caf\u{e9}.TEST", 443, Some(6)),
        ] {
            let to = Address { host: host.into(), port };
            assert_eq!(known.addresses_of(&to), expected.map(ip).as_deref(), "{to}");
        }
        assert_eq!(KnownNames::default().addresses_of(&Address { host: "a".into(), port: 1 }), None);
    }
}
