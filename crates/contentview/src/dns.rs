//! The view `dns`: a DNS message (RFC 1035 §4) as YAML, with the data of records that people know.
//!
//! Not for DNS flows, whose messages were read already.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::cursor::Cursor;
use crate::json::Stop;
use crate::page::Page;
use crate::yaml;

/// Shows a message. Over TCP its length stands before it (RFC 1035 §4.2.2).
///
/// Differs from mitmproxy, which takes off two bytes in HTTP, too, where no length is.
pub(crate) fn render(bytes: &[u8], has_length: bool, complete: bool, page: &mut Page) -> Result<(), Stop> {
    if bytes.len() > LENGTH_BYTES + MESSAGE_BYTES_MAX {
        return Err(Stop::Invalid);
    }
    let mut from = Cursor::new(bytes, complete);
    if has_length {
        from.u16()?;
    }
    let message = from.rest();
    let id = from.u16()?;
    let flags = from.u16()?;
    let counts = [from.u16()?, from.u16()?, from.u16()?, from.u16()?];
    let bit = |mask: u16| flags & mask != 0;
    let op_code = flags >> 11 & 0xf;
    let response_code = flags & 0xf;
    page.push(&format!(
        "id: {id}\nquery: {}\nop_code: {}\nauthoritative_answer: {}\ntruncation: {}\nrecursion_desired: {}\nrecursion_available: {}\nresponse_code: {}\n",
        !bit(0x8000),
        named(&OP_CODES, op_code, "OPCODE"),
        bit(0x400),
        bit(0x200),
        bit(0x100),
        bit(0x80),
        named(&RESPONSE_CODES, response_code, "RCODE"),
    ))?;
    let mut size = 0;
    for (section, count) in ["questions", "answers", "authorities", "additionals"].into_iter().zip(counts) {
        page.push(section)?;
        page.push(if count == 0 { ": []\n" } else { ":\n" })?;
        for _ in 0..count {
            let name = name(message, &mut from)?;
            let kind = from.u16()?;
            let class = from.u16()?;
            page.push("- name: ")?;
            yaml::value(&name, page)?;
            page.push(&format!(
                "\n  type: {}\n  class: {}\n",
                named(&KINDS, kind, "TYPE"),
                named(&CLASSES, class, "CLASS")
            ))?;
            if section == "questions" {
                continue;
            }
            let ttl = from.u32()?;
            let len = from.u16()?;
            let before = from;
            let data = from.take(len.into())?;
            size += data.len();
            page.push(&format!("  ttl: {ttl}\n  data: "))?;
            yaml::value(&data_text(kind, data, message, before), page)?;
            page.push("\n")?;
        }
    }
    Ok(page.push(&format!("size: {size}\n"))?)
}

/// A name, also one that ends elsewhere in the message (RFC 1035 §4.1.4).
fn name<'a>(message: &'a [u8], from: &mut Cursor<'a>) -> Result<String, Stop> {
    let mut text = String::new();
    let mut at = *from;
    let mut jumped = false;
    // Every pointer must point back, so there is an end; this bounds how far away it is.
    for _ in 0..NAME_STEPS_MAX {
        let len = at.u8()?;
        match len {
            0 => {
                if !jumped {
                    *from = at;
                }
                return Ok(text);
            }
            1..=63 => {
                if !text.is_empty() {
                    text.push('.');
                }
                crate::escape::push_line_bytes(&mut text, at.take(len.into())?);
                if text.len() > NAME_BYTES_MAX {
                    return Err(Stop::Invalid);
                }
            }
            0xc0..=0xff => {
                let offset = usize::from(len & 0x3f) << 8 | usize::from(at.u8()?);
                if !jumped {
                    *from = at;
                }
                jumped = true;
                at = Cursor::new(message.get(offset..).ok_or(Stop::Invalid)?, true);
            }
            _ => return Err(Stop::Invalid),
        }
    }
    Err(Stop::Invalid)
}

/// What a record says; bytes as hexadecimal if it is not one of the usual kinds.
fn data_text<'a>(kind: u16, data: &[u8], message: &'a [u8], mut from: Cursor<'a>) -> String {
    let known = match kind {
        1 => <[u8; 4]>::try_from(data).ok().map(|octets| Ipv4Addr::from(octets).to_string()),
        28 => <[u8; 16]>::try_from(data).ok().map(|octets| Ipv6Addr::from(octets).to_string()),
        2 | 5 | 12 => name(message, &mut from).ok(),
        15 => {
            from.u16().and_then(|preference| Ok(format!("{preference} {}", name(message, &mut from)?))).ok()
        }
        16 => texts(data),
        _ => None,
    };
    known.unwrap_or_else(|| {
        let mut text = "0x".to_owned();
        for byte in data {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    })
}

/// The strings of a TXT record, together.
fn texts(data: &[u8]) -> Option<String> {
    let mut from = Cursor::new(data, true);
    let mut text = String::new();
    while !from.is_empty() {
        let len = from.u8().ok()?;
        crate::escape::push_line_bytes(&mut text, from.take(len.into()).ok()?);
    }
    Some(text)
}

fn named(names: &[(u16, &str)], number: u16, otherwise: &str) -> String {
    let found = names.iter().find(|(of, _)| *of == number);
    found.map_or_else(|| format!("{otherwise}({number})"), |(_, name)| (*name).to_owned())
}

/// RFC 1035 §4.2.2.
const LENGTH_BYTES: usize = 2;
const MESSAGE_BYTES_MAX: usize = u16::MAX as usize;
const NAME_STEPS_MAX: usize = 256;
const NAME_BYTES_MAX: usize = 1024;
const OP_CODES: [(u16, &str); 6] =
    [(0, "QUERY"), (1, "IQUERY"), (2, "STATUS"), (4, "NOTIFY"), (5, "UPDATE"), (6, "DSO")];
const RESPONSE_CODES: [(u16, &str); 11] = [
    (0, "NOERROR"),
    (1, "FORMERR"),
    (2, "SERVFAIL"),
    (3, "NXDOMAIN"),
    (4, "NOTIMP"),
    (5, "REFUSED"),
    (6, "YXDOMAIN"),
    (7, "YXRRSET"),
    (8, "NXRRSET"),
    (9, "NOTAUTH"),
    (10, "NOTZONE"),
];
const CLASSES: [(u16, &str); 5] = [(1, "IN"), (3, "CH"), (4, "HS"), (254, "NONE"), (255, "ANY")];
const KINDS: [(u16, &str); 22] = [
    (1, "A"),
    (2, "NS"),
    (5, "CNAME"),
    (6, "SOA"),
    (12, "PTR"),
    (13, "HINFO"),
    (15, "MX"),
    (16, "TXT"),
    (28, "AAAA"),
    (33, "SRV"),
    (35, "NAPTR"),
    (39, "DNAME"),
    (41, "OPT"),
    (43, "DS"),
    (46, "RRSIG"),
    (47, "NSEC"),
    (48, "DNSKEY"),
    (50, "NSEC3"),
    (52, "TLSA"),
    (64, "SVCB"),
    (65, "HTTPS"),
    (255, "ANY"),
];
