//! The URL of a request: where it goes, or where its Host header says it goes. Bytes as they crossed, not escaped.
//!
//! Differs from mitmproxy: IPv6 addresses are in brackets, as in every URL, and names are as they crossed (`xn--...`).

use std::borrow::Cow;
use std::fmt;
use std::io::Write as _;
use std::net::IpAddr;

use crate::{HttpVersion, Request};

/// Where a URL takes its host from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HostFrom {
    /// Where the request goes.
    Destination,
    /// What the request says: its Host header, or `:authority`. A client can write anything there.
    Header,
}

impl Request {
    /// The URL.
    #[must_use]
    pub fn url(&self, host_from: HostFrom) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.host.len() + self.path.len() + 16);
        if self.is_connect() {
            if host_from == HostFrom::Header {
                out.extend_from_slice(&self.authority);
            } else {
                push_host(&mut out, &self.host);
                push_port(&mut out, self.port);
            }
            return out;
        }
        out.extend_from_slice(&self.scheme);
        out.extend_from_slice(b"://");
        let default_port = default_port(&self.scheme);
        let host_header = if host_from == HostFrom::Header { host_header(self) } else { None };
        let port = match &host_header {
            Some(header) => match parse_authority(header) {
                Some((host, port)) => {
                    push_host(&mut out, host);
                    port.filter(|port| *port != 0).or(default_port).unwrap_or(443)
                }
                None => {
                    out.extend_from_slice(header);
                    default_port.unwrap_or(443)
                }
            },
            None => {
                push_host(&mut out, &self.host);
                self.port
            }
        };
        if default_port != Some(port) {
            push_port(&mut out, port);
        }
        if self.path.as_ref() != b"*" {
            out.extend_from_slice(&self.path);
        }
        out
    }

    /// Host and port for a URL that other programs are to read: what the request says ([`HostFrom::Header`]) if that is a host, or else
    /// where it goes. `None` if neither is a host.
    #[must_use]
    pub fn url_host(&self) -> Option<UrlHost<'_>> {
        let said = if self.is_connect() { Some(Cow::Borrowed(&*self.authority)) } else { host_header(self) };
        let said = said.and_then(|said| {
            // RFC 3986 §3.2.3: the digits may be missing.
            let (host, port) = parse_authority(said.strip_suffix(b":").unwrap_or(&said))?;
            let port = port.filter(|port| *port != 0).or_else(|| default_port(&self.scheme)).unwrap_or(443);
            is_host_of_urls(host).then(|| UrlHost { host: Cow::Owned(host.to_owned()), port })
        });
        said.or_else(|| {
            // A zone says something on one machine alone.
            let host = self.host.split('%').next().filter(|host| host.contains(':')).unwrap_or(&self.host);
            is_host_of_urls(host).then_some(UrlHost { host: Cow::Borrowed(host), port: self.port })
        })
    }

    /// The host that the request says, without its port; where it says none, the host it goes to.
    #[must_use]
    pub fn pretty_host(&self) -> Cow<'_, [u8]> {
        match host_header(self) {
            None => Cow::Borrowed(self.host.as_bytes()),
            Some(header) => match parse_authority(&header) {
                Some((host, _)) => Cow::Owned(host.as_bytes().to_vec()),
                None => header,
            },
        }
    }

    /// The query, without its question mark and without a fragment; `None` if the URL has none.
    #[must_use]
    pub fn query(&self) -> Option<&[u8]> {
        if self.is_connect() {
            return None;
        }
        let before_fragment = self.path.split(|byte| *byte == b'#').next()?;
        let question_mark = before_fragment.iter().position(|byte| *byte == b'?')?;
        before_fragment.get(question_mark + 1..)
    }

    /// Whether it asks for a tunnel to its authority. An extended CONNECT (RFC 8441) is none: it has a scheme and a path, and its URL
    /// is that of what answers it. HTTP/1 has no such thing, whatever the path of a flow says.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        let is_http1 = matches!(self.version, HttpVersion::Http10 | HttpVersion::Http11);
        self.method.eq_ignore_ascii_case(b"CONNECT") && (is_http1 || self.path.is_empty())
    }
}

/// Where a URL goes. Shown with its port, whatever the scheme.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UrlHost<'r> {
    /// An address or a name; IPv6 without brackets.
    pub host: Cow<'r, str>,
    /// Its port.
    pub port: u16,
}

impl UrlHost<'_> {
    /// The URL without a path. The port is left out if it is the scheme's own.
    #[must_use]
    pub fn origin(&self, scheme: &str) -> String {
        let authority = self.to_string();
        let port = default_port(scheme.as_bytes()).filter(|port| *port == self.port);
        let without_port = port.and_then(|port| authority.strip_suffix(&format!(":{port}")));
        format!("{scheme}://{}", without_port.unwrap_or(&authority))
    }
}

impl fmt::Display for UrlHost<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

fn default_port(scheme: &[u8]) -> Option<u16> {
    match scheme {
        b"http" => Some(80),
        b"https" => Some(443),
        _ => None,
    }
}

/// What the request says its host is, if it says so.
fn host_header(request: &Request) -> Option<Cow<'_, [u8]>> {
    if matches!(request.version, HttpVersion::Http2 | HttpVersion::Http3) && !request.authority.is_empty() {
        return Some(Cow::Borrowed(&request.authority));
    }
    let mut values = request.headers.get_all("host");
    let first = Cow::Borrowed(values.next()?);
    let joined = values.fold(first, |joined, value| Cow::Owned([joined.as_ref(), value].join(&b", "[..])));
    Some(joined).filter(|value| !value.is_empty())
}

/// Host, without brackets, and port of a well-formed authority.
fn parse_authority(authority: &[u8]) -> Option<(&str, Option<u16>)> {
    let authority = std::str::from_utf8(authority).ok()?;
    let (host, after) = match authority.strip_prefix('[') {
        Some(bracketed) => bracketed.rsplit_once(']')?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let port = match after.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
        Some(_) => return None,
        None if after.is_empty() => None,
        None => return None,
    };
    is_host(host).then_some((host, port))
}

/// An address or a name whose labels are of letters, digits, hyphens and underscores.
fn is_host(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
    };
    host.parse::<IpAddr>().is_ok() || host.len() <= 255 && name.split('.').all(is_label)
}

/// One that every reader of URLs takes for a host: what ends in a number is an IPv4 address or none (WHATWG URL, 3.5).
fn is_host_of_urls(host: &str) -> bool {
    let last = host.strip_suffix('.').unwrap_or(host).rsplit('.').next().unwrap_or_default();
    let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    let is_number = match hexadecimal {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => last.bytes().all(|byte| byte.is_ascii_digit()),
    };
    is_host(host) && (!is_number || host.parse::<IpAddr>().is_ok())
}

fn push_host(out: &mut Vec<u8>, host: &str) {
    if host.contains(':') {
        out.push(b'[');
        out.extend_from_slice(host.as_bytes());
        out.push(b']');
    } else {
        out.extend_from_slice(host.as_bytes());
    }
}

fn push_port(out: &mut Vec<u8>, port: u16) {
    // Writing to a `Vec` cannot fail.
    let _ = write!(out, ":{port}");
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{Body, Headers, PseudoFields, Timestamp};

    fn request(method: &'static str, host: &str, headers: Headers) -> Request {
        Request {
            version: HttpVersion::Http11,
            method: Bytes::from_static(method.as_bytes()),
            scheme: Bytes::from_static(if method == "CONNECT" { b"" } else { b"http" }),
            host: host.into(),
            port: 8080,
            authority: Bytes::new(),
            path: Bytes::from_static(b"/"),
            pseudo: PseudoFields::default(),
            headers,
            body: Body::EMPTY,
            trailers: None,
            timestamp_start: Timestamp(1.0),
            timestamp_end: None,
        }
    }

    /// A Host header of `b.example::080` made URLs for other programs that none of them could read.
    #[test]
    fn a_host_for_urls_is_one_that_others_read() {
        for (said, destination, expected) in [
            ("b.example:81", "a.test", "http://b.example:81"),
            ("b.example", "a.test", "http://b.example"),
            ("b.example:", "a.test", "http://b.example"),
            ("b.example:0", "a.test", "http://b.example"),
            ("[2001:db8::1]:81", "a.test", "http://[2001:db8::1]:81"),
            ("\u{fc}.example", "a.test", "http://\u{fc}.example"),
            ("", "a.test", "http://a.test:8080"),
            ("", "2001:db8::1", "http://[2001:db8::1]:8080"),
            ("", "fe80::1%eth0", "http://[fe80::1]:8080"),
            ("b.example::080", "a.test", "http://a.test:8080"),
            ("b.example:65536", "a.test", "http://a.test:8080"),
            ("b.example:+1", "a.test", "http://a.test:8080"),
            ("b.example/x", "a.test", "http://a.test:8080"),
            ("u@b.example", "a.test", "http://a.test:8080"),
            ("a b", "a.test", "http://a.test:8080"),
            // One program's 127.0.0.1, and another's name.
            ("0x7f.1", "a.test", "http://a.test:8080"),
            ("127.1", "a.test", "http://a.test:8080"),
            ("b.0x7F", "a.test", "http://a.test:8080"),
            ("1.example", "a.test", "http://1.example"),
            ("192.0.2.1", "a.test", "http://192.0.2.1"),
            ("a b", "a b", ""),
            ("", "", ""),
            ("", "%", ""),
            ("", ":", ""),
        ] {
            let request = request("GET", destination, [("host", said)].into_iter().collect());
            let host = request.url_host();
            assert_eq!(
                host.map(|host| host.origin("http")).unwrap_or_default(),
                expected,
                "{said} {destination}"
            );
        }
        let mut tunnel = request("CONNECT", "a.test", Headers::new());
        assert_eq!(tunnel.url_host().unwrap().to_string(), "a.test:8080");
        tunnel.authority = "b.test:443".into();
        assert_eq!(tunnel.url_host().unwrap().to_string(), "b.test:443");
    }

    #[test]
    fn an_extended_connect_has_the_url_of_what_it_asks_for() {
        let request = |scheme: &'static str, path: &'static str| Request {
            version: HttpVersion::Http2,
            scheme: Bytes::from_static(scheme.as_bytes()),
            port: 443,
            authority: Bytes::from_static(b"b.test"),
            path: Bytes::from_static(path.as_bytes()),
            ..request("CONNECT", "a.test", Headers::new())
        };
        let chat = request("https", "/chat?x");
        assert_eq!(chat.url(HostFrom::Destination), b"https://a.test/chat?x");
        assert_eq!(chat.url(HostFrom::Header), b"https://b.test/chat?x");
        assert_eq!(chat.query(), Some(&b"x"[..]));
        let tunnel = request("", "");
        assert_eq!(tunnel.url(HostFrom::Destination), b"a.test:443");
        assert_eq!(tunnel.query(), None);
    }
}
