//! Hosts as people list them in one breath: names, names with all below them, wildcards, addresses and networks.
//!
//! Not a rule: nothing here says what becomes of a connection. Checks of recorded flows hold hosts against it.

use std::net::IpAddr;

use crate::glob::Glob;
use crate::name_set::{NameSet, NameSetBuilder, Reach};
use crate::network::{Network, NetworkFault};
use flowgate_flow::punycode;

/// Hosts.
#[derive(Debug)]
pub struct HostSet {
    names: NameSet,
    globs: Vec<Glob>,
    networks: Vec<Network>,
}

/// Why a word names no hosts.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HostWordFault {
    /// It is empty, too long, or has a blank or a slash in it, as URLs do.
    #[error(
        "not a host: `example.com`, `.example.com` (with all names below it), `*.example.com`, `192.0.2.0/24`"
    )]
    NotHost,
    /// It looks like a network and is none.
    #[error(transparent)]
    Network(#[from] NetworkFault),
}

impl HostSet {
    /// The hosts that words name: `example.com` itself; `.example.com` and all names below it; `*.example.com` with wildcards;
    /// `192.0.2.1`, `2001:db8::/32`.
    ///
    /// # Errors
    /// The index of the first word that names none, and why.
    pub fn parse<'w>(words: impl IntoIterator<Item = &'w str>) -> Result<Self, (usize, HostWordFault)> {
        let mut names = NameSetBuilder::default();
        let (mut globs, mut networks) = (Vec::new(), Vec::new());
        for (index, word) in words.into_iter().enumerate() {
            let refused = |fault| (index, fault);
            let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '@' | '#');
            if word.contains(odd) || word.contains("//") {
                return Err(refused(HostWordFault::NotHost));
            }
            if word.contains('/') || address(word).is_some() {
                networks.push(Network::parse(word).map_err(|fault| refused(fault.into()))?);
            } else if word.contains(['*', '?']) {
                globs.push(Glob::new(word.strip_suffix('.').unwrap_or(word)));
            } else {
                let (name, reach) = match word.strip_prefix('.') {
                    Some(name) => (name, Reach::WithSubdomains),
                    None => (word, Reach::Exact),
                };
                // A port would never match.
                if name.contains(':') || !names.insert(name, reach) {
                    return Err(refused(HostWordFault::NotHost));
                }
            }
        }
        Ok(Self { names: names.build(), globs, networks })
    }

    /// Whether a host is one of them; letter case, a final dot, brackets and the spelling of other scripts do not count.
    #[must_use]
    pub fn contains(&self, host: &str) -> bool {
        if let Some(address) = address(host) {
            return self.networks.iter().any(|network| network.contains(address));
        }
        let name = host.strip_suffix('.').unwrap_or(host).to_lowercase();
        let ascii = punycode::to_ascii(&name);
        if self.names.find(ascii.as_deref().unwrap_or(&name)).is_some() {
            return true;
        }
        let unicode = punycode::to_unicode(&name);
        let spellings = [Some(name.as_str()), ascii.as_deref(), unicode.as_deref()];
        spellings.into_iter().flatten().any(|name| self.globs.iter().any(|glob| glob.matches(name)))
    }
}

fn address(text: &str) -> Option<IpAddr> {
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    inner.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let set = HostSet::parse([
            "one.test",
            ".two.test",
            "*.three.test",
            "api-?.four.test",
            "192.0.2.1",
            "[2001:db8::1]",
            "10.0.0.0/8",
            "b\u{fc}cher.test",
            "*.k\u{e4}se.test",
        ])
        .unwrap();
        let table = [
            ("one.test", true),
            ("ONE.test.", true),
            ("a.one.test", false),
            ("two.test", true),
            ("b.a.two.test", true),
            ("three.test", false),
            ("a.three.test", true),
            ("api-1.four.test", true),
            ("192.0.2.1", true),
            ("::ffff:192.0.2.1", true),
            ("192.0.2.2", false),
            ("2001:db8::1", true),
            ("[2001:db8::1]", true),
            ("10.255.0.1", true),
            ("xn--bcher-kva.test", true),
            ("b\u{fc}cher.test", true),
            ("a.xn--kse-qla.test", true),
            ("", false),
        ];
        for (host, expected) in table {
            assert_eq!(set.contains(host), expected, "{host}");
        }
    }

    #[test]
    fn words_that_name_none() {
        for word in ["", ".", "https://a.test", "a.test:443", "a b", "10.0.0.1/8", "a.test/24", "u@a.test"] {
            assert_eq!(HostSet::parse(["a.test", word]).unwrap_err().0, 1, "{word}");
        }
    }
}
