//! The URL of a request, for reading: where it goes, or with `showhost` where it says it goes.
//!
//! Differs from mitmproxy: IPv6 addresses are in brackets, as in every URL, and names are as they crossed (`xn--...`).

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::IpAddr;

use flowgate_contentview::escape;
use flowgate_flow::{HttpVersion, Request};

/// Adds the URL.
pub(crate) fn push(out: &mut String, request: &Request, showhost: bool) {
    if is_connect(request) {
        if showhost {
            escape::push_line_bytes(out, &request.authority);
        } else {
            push_host(out, &request.host);
            push_port(out, request.port);
        }
        return;
    }
    escape::push_line_bytes(out, &request.scheme);
    out.push_str("://");
    let default_port = match request.scheme.as_ref() {
        b"http" => Some(80),
        b"https" => Some(443),
        _ => None,
    };
    let host_header = if showhost { host_header(request) } else { None };
    let port = match &host_header {
        Some(header) => match parse_authority(header) {
            Some((host, port)) => {
                push_host(out, host);
                port.filter(|port| *port != 0).or(default_port).unwrap_or(443)
            }
            None => {
                escape::push_line_bytes(out, header);
                default_port.unwrap_or(443)
            }
        },
        None => {
            push_host(out, &request.host);
            request.port
        }
    };
    if default_port != Some(port) {
        push_port(out, port);
    }
    if request.path.as_ref() != b"*" {
        escape::push_line_bytes(out, &request.path);
    }
}

/// The query, without its question mark and without a fragment; `None` if the URL has none.
pub(crate) fn query(request: &Request) -> Option<&[u8]> {
    if is_connect(request) {
        return None;
    }
    let before_fragment = request.path.split(|byte| *byte == b'#').next()?;
    let question_mark = before_fragment.iter().position(|byte| *byte == b'?')?;
    before_fragment.get(question_mark + 1..)
}

fn is_connect(request: &Request) -> bool {
    request.method.eq_ignore_ascii_case(b"CONNECT")
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

fn push_host(out: &mut String, host: &str) {
    if host.contains(':') {
        out.push('[');
        escape::push_line(out, host);
        out.push(']');
    } else {
        escape::push_line(out, host);
    }
}

fn push_port(out: &mut String, port: u16) {
    // Writing to a `String` cannot fail.
    let _ = write!(out, ":{port}");
}
