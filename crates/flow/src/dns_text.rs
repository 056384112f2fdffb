//! DNS as text: the names of its numbers, and what a record says, in a line (RFC 1035 section 3.3, RFC 9460).
//!
//! Never fails: data that does not fit its type is shown in hexadecimal.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::DnsRecord;

mod names;

pub use names::{A, AAAA, push_kind, push_op_code, push_response_code};

/// The record's data as text; it may hold control characters.
#[must_use]
pub fn record_data(record: &DnsRecord) -> String {
    let data = record.data.as_ref();
    let text = match record.kind {
        A => <[u8; 4]>::try_from(data).ok().map(|octets| Ipv4Addr::from(octets).to_string()),
        AAAA => <[u8; 16]>::try_from(data).ok().map(|octets| Ipv6Addr::from(octets).to_string()),
        names::NS | names::CNAME | names::PTR => match domain_name(data) {
            Some((name, b"")) => Some(name),
            _ => None,
        },
        names::TXT => character_strings(data),
        names::HTTPS => service_binding(data),
        _ => return hex(data),
    };
    text.unwrap_or_else(|| {
        let mut text = hex(data);
        text.push_str(" (invalid ");
        push_kind(&mut text, record.kind);
        text.push_str(" data)");
        text
    })
}

fn hex(data: &[u8]) -> String {
    let mut text = String::from("0x");
    for byte in data {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// An uncompressed name, dotted, and what follows it.
fn domain_name(data: &[u8]) -> Option<(String, &[u8])> {
    let mut name = String::new();
    let mut rest = data;
    loop {
        let (&len, after) = rest.split_first()?;
        let (label, after) = after.split_at_checked(len.into())?;
        rest = after;
        if label.is_empty() {
            return Some((name, rest));
        }
        if label.len() > LABEL_BYTES_MAX || !label.is_ascii() {
            return None;
        }
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(std::str::from_utf8(label).ok()?);
    }
}

/// The strings of a TXT record, with a space between them.
///
/// Differs from mitmproxy: the bytes that hold the strings' lengths are not shown as characters.
fn character_strings(data: &[u8]) -> Option<String> {
    let mut text = String::new();
    let mut rest = data;
    while let Some((&len, after)) = rest.split_first() {
        let (string, after) = after.split_at_checked(len.into())?;
        rest = after;
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(std::str::from_utf8(string).ok()?);
    }
    Some(text)
}

/// An HTTPS record: target, priority and parameters, in the notation of a Python dictionary as mitmproxy prints it.
fn service_binding(data: &[u8]) -> Option<String> {
    let (priority, rest) = data.split_first_chunk()?;
    let (target, mut rest) = domain_name(rest)?;
    let mut parameters: Vec<(u16, &[u8])> = Vec::new();
    while !rest.is_empty() {
        let (key, after) = rest.split_first_chunk()?;
        let (len, after) = after.split_first_chunk()?;
        let (value, after) = after.split_at_checked(u16::from_be_bytes(*len).into())?;
        rest = after;
        let key = u16::from_be_bytes(*key);
        if let Some((_, known)) = parameters.iter_mut().find(|(known, _)| *known == key) {
            *known = value;
        } else if parameters.len() < PARAMETERS_MAX {
            parameters.push((key, value));
        } else {
            return None;
        }
    }
    let mut text = String::from("{'target_name': ");
    push_quoted(&mut text, &target);
    // Writing to a `String` cannot fail.
    let _ = write!(text, ", 'priority': {}", i16::from_be_bytes(*priority));
    for (key, value) in parameters {
        text.push_str(", ");
        let name = usize::from(key);
        let _ = match PARAMETER_NAMES.get(name) {
            Some(name) => write!(text, "'{name}': "),
            None => write!(text, "{key}: "),
        };
        let mut escaped = String::new();
        push_escaped(&mut escaped, value);
        push_quoted(&mut text, &escaped);
    }
    text.push('}');
    Some(text)
}

/// Adds bytes so that none is lost: printable ASCII as it is, all else escaped.
fn push_escaped(out: &mut String, bytes: &[u8]) {
    for &byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b'\t' => out.push_str("\\t"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => {
                // Writing to a `String` cannot fail.
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
}

/// Adds text in the quotes that Python's `repr` puts it in.
fn push_quoted(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        if c == '\\' || c == quote {
            out.push('\\');
        }
        out.push(c);
    }
    out.push(quote);
}

const LABEL_BYTES_MAX: usize = 63;
/// Parameters of a service binding; seven are registered.
const PARAMETERS_MAX: usize = 64;
/// SvcParamKeys by number (RFC 9460 section 14.3.2).
const PARAMETER_NAMES: [&str; 7] =
    ["mandatory", "alpn", "no_default_alpn", "port", "ipv4hint", "ech", "ipv6hint"];
