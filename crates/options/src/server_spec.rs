//! Server specifications: `[scheme://]host[:port]`, as `upstream:` and `reverse:` modes name a server.
//!
//! The host is kept as it was written (a non-ASCII name is not turned into its IDNA form here). A path is refused.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::value::quoted;

const HOST_BYTES_MAX: usize = 255;
const LABEL_BYTES_MAX: usize = 63;

/// What is spoken to the server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "each is the scheme of its name")]
pub enum Scheme {
    Http,
    Https,
    Http3,
    Tls,
    Dtls,
    Tcp,
    Udp,
    Dns,
    Quic,
    Socks5,
}

impl Scheme {
    const ALL: [Self; 10] = [
        Self::Http,
        Self::Https,
        Self::Http3,
        Self::Tls,
        Self::Dtls,
        Self::Tcp,
        Self::Udp,
        Self::Dns,
        Self::Quic,
        Self::Socks5,
    ];

    /// The scheme as it is written before `://`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Http3 => "http3",
            Self::Tls => "tls",
            Self::Dtls => "dtls",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Dns => "dns",
            Self::Quic => "quic",
            Self::Socks5 => "socks5",
        }
    }

    /// The port when none is given; `None` where one must be.
    pub fn default_port(self) -> Option<u16> {
        match self {
            Self::Http => Some(80),
            Self::Https | Self::Http3 | Self::Quic => Some(443),
            Self::Dns => Some(53),
            Self::Socks5 => Some(1080),
            Self::Tls | Self::Dtls | Self::Tcp | Self::Udp => None,
        }
    }
}

/// A server and what is spoken to it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServerSpec {
    /// What is spoken.
    pub scheme: Scheme,
    /// A name or an IP address, an IPv6 address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Why a server specification was refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerSpecError {
    /// The text before `://` is no scheme.
    #[error(
        "{} is not a scheme (known: http, https, http3, tls, dtls, tcp, udp, dns, quic, socks5)",
        quoted(found)
    )]
    Scheme {
        /// What stood there.
        found: String,
    },
    /// Neither a host name nor an IP address.
    #[error("{} is not a host name or IP address", quoted(found))]
    Host {
        /// What stood there.
        found: String,
    },
    /// Not a number from 1 to 65535.
    #[error("{} is not a port (1 to 65535)", quoted(found))]
    Port {
        /// What stood there.
        found: String,
    },
    /// The scheme has no port of its own, and none was given.
    #[error("`{}://` needs a port", scheme.name())]
    PortMissing {
        /// The scheme.
        scheme: Scheme,
    },
    /// Something follows the port.
    #[error("a path is not allowed: {}", quoted(found))]
    Path {
        /// The path.
        found: String,
    },
}

impl ServerSpec {
    /// Reads `[scheme://]host[:port][/]`; `scheme` is taken when none is written.
    ///
    /// # Errors
    /// When a part is not what the grammar says, or the port is missing and the scheme has none of its own.
    pub fn parse(text: &str, scheme: Scheme) -> Result<Self, ServerSpecError> {
        let (scheme, rest) = match text.split_once("://") {
            None => (scheme, text),
            Some((name, rest)) => {
                let known = Scheme::ALL.into_iter().find(|scheme| scheme.name().eq_ignore_ascii_case(name));
                (known.ok_or_else(|| ServerSpecError::Scheme { found: name.into() })?, rest)
            }
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if let Some((_, path)) = rest.split_once('/') {
            return Err(ServerSpecError::Path { found: format!("/{path}") });
        }
        let (host, port) = split_port(rest);
        let is_bracketed = host.starts_with('[');
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let valid = if is_bracketed { is_ipv6(bare) } else { is_name_or_ipv4(bare) };
        if !valid {
            return Err(ServerSpecError::Host { found: host.into() });
        }
        let port = match port {
            None => scheme.default_port().ok_or(ServerSpecError::PortMissing { scheme })?,
            Some(digits) => parse_port(digits)
                .filter(|port| *port != 0)
                .ok_or_else(|| ServerSpecError::Port { found: digits.into() })?,
        };
        Ok(Self { scheme, host: bare.into(), port })
    }
}

impl fmt::Display for ServerSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{}://{open}{}{close}:{}", self.scheme.name(), self.host, self.port)
    }
}

/// A port in decimal digits: no sign, no spaces.
pub(crate) fn parse_port(digits: &str) -> Option<u16> {
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// Divides at the last colon that is outside brackets.
fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    }
}

fn is_ipv6(text: &str) -> bool {
    let (address, zone) = text.split_once('%').map_or((text, None), |(address, zone)| (address, Some(zone)));
    let zone_fits = zone.is_none_or(|zone| !zone.is_empty() && zone.bytes().all(is_label_byte));
    zone_fits && address.parse::<Ipv6Addr>().is_ok()
}

fn is_name_or_ipv4(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let labels_fit = name.split('.').all(|label| {
        !label.is_empty()
            && label.len() <= LABEL_BYTES_MAX
            && label
                .chars()
                .all(|c| u8::try_from(c).is_ok_and(is_label_byte) || (!c.is_ascii() && c.is_alphanumeric()))
    });
    (labels_fit && name.len() <= HOST_BYTES_MAX) || text.parse::<Ipv4Addr>().is_ok()
}

fn is_label_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    fn check(text: &str, expected: Expect) {
        expected.assert_eq(&match ServerSpec::parse(text, Scheme::Https) {
            Ok(spec) => spec.to_string(),
            Err(error) => format!("error: {error}"),
        });
    }

    #[test]
    fn servers() {
        check("example.com", expect!["https://example.com:443"]);
        check("example.com:8443", expect!["https://example.com:8443"]);
        check("HTTP://example.com/", expect!["http://example.com:80"]);
        check("http3://a_b.example.com.", expect!["http3://a_b.example.com.:443"]);
        check("dns://8.8.8.8", expect!["dns://8.8.8.8:53"]);
        check("tcp://[::1]:25", expect!["tcp://[::1]:25"]);
        check("[fe80::1%eth0]", expect!["https://[fe80::1%eth0]:443"]);
        check("socks5://proxy.test", expect!["socks5://proxy.test:1080"]);
        check("bücher.example", expect!["https://bücher.example:443"]);
    }

    #[test]
    fn not_servers() {
        check("", expect!["error: `` is not a host name or IP address"]);
        check("::1", expect!["error: `:` is not a host name or IP address"]);
        check("[::1", expect!["error: `[:` is not a host name or IP address"]);
        check("[example.com]", expect!["error: `[example.com]` is not a host name or IP address"]);
        check("a b", expect!["error: `a b` is not a host name or IP address"]);
        check("a..b", expect!["error: `a..b` is not a host name or IP address"]);
        check("user@host", expect!["error: `user@host` is not a host name or IP address"]);
        check("host:0", expect!["error: `0` is not a port (1 to 65535)"]);
        check("host:99999", expect!["error: `99999` is not a port (1 to 65535)"]);
        check("host:+1", expect!["error: `+1` is not a port (1 to 65535)"]);
        check("host:", expect!["error: `` is not a port (1 to 65535)"]);
        check("tcp://host", expect!["error: `tcp://` needs a port"]);
        check(
            "ftp://host",
            expect![
                "error: `ftp` is not a scheme (known: http, https, http3, tls, dtls, tcp, udp, dns, quic, socks5)"
            ],
        );
        check("https://host/path", expect!["error: a path is not allowed: `/path`"]);
        check(
            &"a".repeat(64),
            expect![[r#"
            error: `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa` is not a host name or IP address"#]],
        );
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC*") {
            let _ = ServerSpec::parse(&text, Scheme::Http);
        }

        #[test]
        fn shown_and_read_again(text in "(http|https|tls|dns)://([a-z0-9_-]{1,9}|\\[::[0-9a-f]{1,4}\\]|1\\.2\\.3\\.[0-9]):[1-9][0-9]{0,3}/?") {
            let spec = ServerSpec::parse(&text, Scheme::Http).unwrap();
            prop_assert_eq!(ServerSpec::parse(&spec.to_string(), Scheme::Udp).unwrap(), spec);
        }
    }
}
