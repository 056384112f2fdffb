//! What a request target names (RFC 9112 section 3.2).

use bytes::Bytes;
use flowgate_flow::Address;
use thiserror::Error;

use super::grammar::byte_set;

/// A request target, taken apart.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    /// `/path?query`
    Origin,
    /// `http://host:port/path?query`
    Absolute {
        /// `http` or `https`, lower-cased.
        scheme: &'static str,
        /// The authority as it was written.
        authority: Bytes,
        /// Where that is.
        address: Address,
        /// Path and query; `/` if the target had none (`*` for OPTIONS: RFC 9112 section 3.2.4).
        path: Bytes,
    },
    /// `host:port`, for CONNECT.
    Authority(Address),
    /// `*`, for OPTIONS.
    Asterisk,
}

/// Why a target was refused.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum TargetError {
    /// None of the four forms, or not the one its method needs.
    #[error("malformed request target")]
    Form,
    /// An absolute target of a scheme other than http and https.
    #[error("scheme of the request target is neither http nor https")]
    Scheme,
    /// The host is empty or has bytes that no host has.
    #[error("malformed host in the request target")]
    Host,
    /// The port is missing where it must be, or not 1 to 65535.
    #[error("malformed port in the request target")]
    Port,
    /// User information before the host (RFC 9110 section 4.2.4).
    #[error("user information in the request target")]
    UserInfo,
}

/// Takes a target apart.
///
/// # Errors
/// If it has none of the forms its method allows.
pub fn parse_target(method: &[u8], target: &Bytes) -> Result<Target, TargetError> {
    if method == b"CONNECT" {
        return parse_authority(target, None).map(Target::Authority);
    }
    match target.first() {
        Some(b'/') => return Ok(Target::Origin),
        Some(b'*') if target.len() == 1 && method == b"OPTIONS" => return Ok(Target::Asterisk),
        _ => {}
    }
    let scheme_end = memchr::memmem::find(target, b"://").ok_or(TargetError::Form)?;
    let (scheme, port) = match target.get(..scheme_end) {
        Some(text) if text.eq_ignore_ascii_case(b"http") => ("http", 80),
        Some(text) if text.eq_ignore_ascii_case(b"https") => ("https", 443),
        _ => return Err(TargetError::Scheme),
    };
    let rest = target.slice(scheme_end + 3..);
    let authority_end = memchr::memchr3(b'/', b'?', b'#', &rest).unwrap_or(rest.len());
    let authority = rest.slice(..authority_end);
    let address = parse_authority(&authority, Some(port))?;
    let path = match rest.get(authority_end) {
        Some(b'/') => rest.slice(authority_end..),
        None if method == b"OPTIONS" => Bytes::from_static(b"*"),
        None => Bytes::from_static(b"/"),
        // `http://host?query`: origin-form needs its slash.
        Some(_) => [b"/", rest.get(authority_end..).unwrap_or_default()].concat().into(),
    };
    Ok(Target::Absolute { scheme, authority, address, path })
}

/// Reads `host:port`; the port may be missing if there is a default. IPv6 addresses stand in brackets.
///
/// # Errors
/// If the host or the port is malformed.
pub fn parse_authority(text: &[u8], default_port: Option<u16>) -> Result<Address, TargetError> {
    if text.contains(&b'@') {
        return Err(TargetError::UserInfo);
    }
    let (host, rest) = if text.first() == Some(&b'[') {
        let end = memchr::memchr(b']', text).ok_or(TargetError::Host)?;
        let host = text.get(1..end).unwrap_or_default();
        let address = std::str::from_utf8(host).ok().and_then(|text| text.parse::<std::net::Ipv6Addr>().ok());
        address.ok_or(TargetError::Host)?;
        (host, text.get(end + 1..).unwrap_or_default())
    } else {
        text.split_at_checked(memchr::memchr(b':', text).unwrap_or(text.len())).ok_or(TargetError::Host)?
    };
    let port = match rest {
        // RFC 3986 section 3.2.3: an empty port is the default port.
        [] | [b':'] => default_port.ok_or(TargetError::Port)?,
        [b':', digits @ ..] if digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit) => {
            let number = digits.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0'));
            u16::try_from(number).ok().filter(|port| *port != 0).ok_or(TargetError::Port)?
        }
        _ => return Err(TargetError::Port),
    };
    let is_host_byte = |b: &u8| HOST_BYTES.get(usize::from(*b)) == Some(&true);
    if host.is_empty() || !host.iter().all(is_host_byte) {
        return Err(TargetError::Host);
    }
    let host = std::str::from_utf8(host).map_err(|_| TargetError::Host)?;
    Ok(Address { host: host.to_owned(), port })
}

/// What stands in a host: names and addresses (RFC 3986 section 3.2.2), and whatever is not ASCII.
static HOST_BYTES: [bool; 256] = {
    let mut table =
        byte_set(b"-._~!$&'()*+,;=%:0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
    let mut byte = 0x80;
    while byte < table.len() {
        #[expect(clippy::indexing_slicing, reason = "checked while compiling")]
        {
            table[byte] = true;
        }
        byte += 1;
    }
    table
};
