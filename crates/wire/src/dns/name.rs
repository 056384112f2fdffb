//! Names: labels with their lengths before them, the end of which may stand earlier in the message (RFC 1035 section 4.1.4).

use std::borrow::Cow;

use flowgate_flow::punycode;

use super::{DnsEncodeError, DnsError, Reader};
use crate::limits::DNS_NAME_BYTES_MAX;

/// RFC 1035 section 2.3.4.
const LABEL_BYTES_MAX: usize = 63;
/// How often a name may lead back: no more labels fit one.
const POINTERS_MAX: usize = 127;

impl Reader<'_> {
    pub(super) fn name(&mut self) -> Result<String, DnsError> {
        let mut text = String::new();
        let mut bytes = 1;
        let mut from = *self;
        // Where the name goes on in the message once it led back.
        let mut behind = None;
        let mut begin = from.at;
        let mut pointers = 0;
        loop {
            let at = from.at;
            match from.u8()? {
                0 => break,
                len @ 1..=63 => {
                    bytes += 1 + usize::from(len);
                    if bytes > DNS_NAME_BYTES_MAX {
                        return Err(DnsError::Name { at });
                    }
                    if !text.is_empty() {
                        text.push('.');
                    }
                    push_label(&mut text, from.take(len.into())?);
                }
                high @ 0xc0.. => {
                    let target = usize::from(high & 0x3f) << 8 | usize::from(from.u8()?);
                    // Always back, before all of the name that was read so far: so there is an end.
                    pointers += 1;
                    if target >= begin || pointers > POINTERS_MAX {
                        return Err(DnsError::Name { at });
                    }
                    behind.get_or_insert(from.at);
                    begin = target;
                    from.at = target;
                }
                _ => return Err(DnsError::Name { at }),
            }
        }
        self.at = behind.unwrap_or(from.at);
        Ok(text)
    }
}

fn push_label(text: &mut String, label: &[u8]) {
    for &byte in label {
        match byte {
            b'.' | b'\\' => text.extend(['\\', byte.into()]),
            0x21..=0x7e => text.push(byte.into()),
            _ => {
                let digit = |value: u8| char::from(b'0' + value);
                text.extend(['\\', digit(byte / 100), digit(byte / 10 % 10), digit(byte % 10)]);
            }
        }
    }
}

/// Writes a name. A dot at its end says nothing, and the empty name is the root's.
pub(super) fn put(name: &str, out: &mut Vec<u8>) -> Result<(), DnsEncodeError> {
    let bad = || DnsEncodeError::Name { name: name.to_owned() };
    let in_ascii: Cow<'_, str> = match name.is_ascii() {
        true => name.into(),
        false => {
            punycode::to_ascii(&name.to_lowercase()).filter(|ascii| ascii.is_ascii()).ok_or_else(bad)?.into()
        }
    };
    let begin = out.len();
    let mut rest = in_ascii.bytes().peekable();
    while rest.peek().is_some() {
        let length_at = out.len();
        out.push(0);
        while let Some(byte) = rest.next().filter(|byte| *byte != b'.') {
            out.push(if byte == b'\\' { escaped(&mut rest).ok_or_else(bad)? } else { byte });
        }
        let len = out.len() - length_at - 1;
        if len == 0 || len > LABEL_BYTES_MAX {
            return Err(bad());
        }
        if let Some(length) = out.get_mut(length_at) {
            *length = len as u8;
        }
    }
    out.push(0);
    if out.len() - begin > DNS_NAME_BYTES_MAX { Err(bad()) } else { Ok(()) }
}

/// The byte that stands escaped.
fn escaped(rest: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let first = rest.next()?;
    let digit = |byte: u8| char::from(byte).to_digit(10);
    let Some(hundreds) = digit(first) else { return Some(first) };
    let (tens, ones) = (digit(rest.next()?)?, digit(rest.next()?)?);
    u8::try_from(hundreds * 100 + tens * 10 + ones).ok()
}
