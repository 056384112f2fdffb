//! The URL of a request: where it goes, or where its Host header says it goes. Bytes as they crossed, not escaped.
//!
//! Differs from mitmproxy: IPv6 addresses are in brackets, as in every URL, and names are as they crossed (`xn--...`).

use std::borrow::Cow;
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
        let default_port = match self.scheme.as_ref() {
            b"http" => Some(80),
            b"https" => Some(443),
            _ => None,
        };
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

    #[test]
    fn an_extended_connect_has_the_url_of_what_it_asks_for() {
        let request = |scheme: &'static str, path: &'static str| Request {
            version: HttpVersion::Http2,
            method: Bytes::from_static(b"CONNECT"),
            scheme: Bytes::from_static(scheme.as_bytes()),
            host: "a.test".into(),
            port: 443,
            authority: Bytes::from_static(b"b.test"),
            path: Bytes::from_static(path.as_bytes()),
            pseudo: PseudoFields::default(),
            headers: Headers::new(),
            body: Body::EMPTY,
            trailers: None,
            timestamp_start: Timestamp(1.0),
            timestamp_end: None,
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
