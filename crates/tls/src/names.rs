//! Which names a leaf carries, in which order. Pure: text in, names out.
//!
//! Order, as in mitmproxy: the server certificate's CN, its SANs, the client's SNI, the server's address. What cannot
//! stand in a certificate is skipped. Invariant: wildcards come from the server's certificate only.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use rustls_pki_types::DnsName;

use crate::UpstreamNames;
use crate::limits::SUBJECT_CHARS_MAX;

/// One name a certificate is valid for.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum San {
    /// A host name in lower case without a trailing dot, possibly `*.` and a host name.
    Dns(Box<str>),
    /// An address.
    Ip(IpAddr),
}

impl San {
    /// The name or address of a host as it stands in SNI, `CONNECT` or a URL (brackets and a zone are dropped). No
    /// wildcards. `None`: not a host.
    pub fn of_host(text: &str) -> Option<Self> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        let without_zone = bare.split_once('%').map_or(bare, |(address, _)| address);
        if let Ok(address) = without_zone.parse() {
            return Some(Self::Ip(address));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        DnsName::try_from(name).ok()?;
        Some(Self::Dns(name.to_ascii_lowercase().into()))
    }

    /// A name as a certificate presents it: like [`San::of_host`], and the first label may be `*`.
    pub(crate) fn of_certificate(text: &str) -> Option<Self> {
        let Some(parent) = text.strip_prefix("*.") else { return Self::of_host(text) };
        match Self::of_host(parent)? {
            Self::Dns(parent) => Some(Self::Dns(format!("*.{parent}").into())),
            Self::Ip(_) => None,
        }
    }

    /// Bytes it takes in a certificate, without its header.
    pub(crate) fn encoded_len(&self) -> usize {
        match self {
            Self::Dns(name) => name.len(),
            Self::Ip(IpAddr::V4(_)) => 4,
            Self::Ip(IpAddr::V6(_)) => 16,
        }
    }
}

impl fmt::Display for San {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

/// What is known of the server a client asked for. Each part may be missing; invalid text is skipped.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeafSpec<'a> {
    /// The name in the client's hello.
    pub server_name: Option<&'a str>,
    /// The host of `CONNECT` or the destination address, without the port.
    pub address: Option<&'a str>,
    /// The names in the server's own certificate, when it was asked first (mitmproxy: `upstream_cert`).
    pub upstream: Option<&'a UpstreamNames>,
}

/// The names of one leaf, deduplicated, in order. The key of the cache.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct LeafNames {
    /// Shared, because it is long and the same for every connection to a server.
    upstream: Arc<[San]>,
    own: Vec<San>,
    organization: Option<Arc<str>>,
}

impl LeafNames {
    /// Collects the names. `None`: there is not one.
    pub(crate) fn of(spec: &LeafSpec<'_>) -> Option<Self> {
        let upstream: Arc<[San]> = spec.upstream.map(|names| names.shared_sans().clone()).unwrap_or_default();
        let mut own = Vec::with_capacity(2);
        for san in [spec.server_name, spec.address].into_iter().flatten().filter_map(San::of_host) {
            if !upstream.contains(&san) && !own.contains(&san) {
                own.push(san);
            }
        }
        if upstream.is_empty() && own.is_empty() {
            return None;
        }
        let organization = spec.upstream.and_then(UpstreamNames::shared_organization).cloned();
        Some(Self { upstream, own, organization })
    }

    pub(crate) fn sans(&self) -> impl Iterator<Item = &San> {
        self.upstream.iter().chain(&self.own)
    }

    /// The first name, if it is short enough for a subject.
    pub(crate) fn common_name(&self) -> Option<Cow<'_, str>> {
        let name = match self.sans().next()? {
            San::Dns(name) => Cow::Borrowed(&**name),
            San::Ip(address) => Cow::Owned(address.to_string()),
        };
        (name.len() < SUBJECT_CHARS_MAX).then_some(name)
    }

    pub(crate) fn organization(&self) -> Option<&str> {
        self.organization.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(san: Option<San>) -> String {
        san.map_or_else(|| "-".into(), |san| format!("{san:?}"))
    }

    #[test]
    fn hosts() {
        for (text, expected) in [
            ("Shop.Test", "Dns(\"shop.test\")"),
            ("shop.test.", "Dns(\"shop.test\")"),
            ("_dmarc.shop.test", "Dns(\"_dmarc.shop.test\")"),
            ("localhost", "Dns(\"localhost\")"),
            ("10.0.0.1", "Ip(10.0.0.1)"),
            ("::1", "Ip(::1)"),
            ("[::1]", "Ip(::1)"),
            ("fe80::1%eth0", "Ip(fe80::1)"),
            ("*.shop.test", "-"),
            ("", "-"),
            (".", "-"),
            ("a..b", "-"),
            ("a b", "-"),
            ("bücher.test", "-"),
            ("shop.test\0.evil.test", "-"),
            ("shop.test\r\n", "-"),
        ] {
            assert_eq!(shown(San::of_host(text)), expected, "{text}");
        }
        assert_eq!(San::of_host(&format!("{}.test", "a".repeat(64))), None, "a label is at most 63 bytes");
        assert!(San::of_host(&"a.".repeat(127)).is_some());
        assert_eq!(San::of_host(&"a.".repeat(128)), None, "a name is at most 253 bytes");
    }

    #[test]
    fn certificates_may_have_one_wildcard_in_front() {
        for (text, expected) in [
            ("*.Shop.test", "Dns(\"*.shop.test\")"),
            ("*", "-"),
            ("*.", "-"),
            ("*.*.test", "-"),
            ("w*.shop.test", "-"),
            ("shop.*.test", "-"),
            ("*.10.0.0.1", "-"),
        ] {
            assert_eq!(shown(San::of_certificate(text)), expected, "{text}");
        }
    }

    #[test]
    fn names_are_ordered_and_occur_once() {
        let upstream = UpstreamNames::for_test(&["cn.test", "*.shop.test", "10.0.0.1"], Some("Shop Inc."));
        let of = |server_name, address, upstream| {
            LeafNames::of(&LeafSpec { server_name, address, upstream }).map(|names| {
                let sans: Vec<_> = names.sans().map(ToString::to_string).collect();
                format!("{} o={}", sans.join(" "), names.organization().unwrap_or("-"))
            })
        };
        let all = Some(&upstream);
        for (names, expected) in [
            (of(Some("a.test"), Some("b.test"), None), Some("a.test b.test o=-")),
            (of(Some("a.test"), Some("A.TEST."), None), Some("a.test o=-")),
            (of(None, Some("10.0.0.1"), None), Some("10.0.0.1 o=-")),
            (
                of(Some("a.test"), Some("10.0.0.1"), all),
                Some("cn.test *.shop.test 10.0.0.1 a.test o=Shop Inc."),
            ),
            (of(None, None, all), Some("cn.test *.shop.test 10.0.0.1 o=Shop Inc.")),
            (of(Some("*.test"), Some("not a host"), None), None),
            (of(None, None, None), None),
        ] {
            assert_eq!(names.as_deref(), expected);
        }
    }

    #[test]
    fn a_long_first_name_is_no_common_name() {
        let of = |name: &str| {
            LeafNames::of(&LeafSpec { server_name: Some(name), ..LeafSpec::default() })
                .and_then(|names| names.common_name().map(Cow::into_owned))
        };
        let fits = format!("{}.test", "a".repeat(58));
        assert_eq!((fits.len(), of(&fits)), (63, Some(fits.clone())));
        assert_eq!(of(&format!("{}.test", "a".repeat(59))), None);
        assert_eq!(of("::1"), Some("::1".into()));
    }
}
