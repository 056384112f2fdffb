//! The view `mqtt`: the control packets of MQTT 3.1 to 5 (OASIS MQTT 3.1.1 and 5.0), each by its kind, with what is said in it.
//!
//! Differs from mitmproxy: shows all packets of a chunk, all kinds of them, and is chosen for MQTT's own ports.

use crate::cursor::Cursor;
use crate::json::Stop;
use crate::page::Page;

/// Shows the packets that stand behind each other.
pub(crate) fn render(bytes: &[u8], complete: bool, packets_max: usize, page: &mut Page) -> Result<(), Stop> {
    let mut from = Cursor::new(bytes, complete);
    for at in 0.. {
        if at > 0 {
            if from.is_empty() {
                return Ok(());
            }
            page.push("\n")?;
        }
        if at >= packets_max {
            return Err(Stop::Full);
        }
        let flags = from.u8()?;
        let len = length(&mut from)?;
        let kind = NAMES.get(usize::from(flags >> 4)).copied().flatten().ok_or(Stop::Invalid)?;
        let mut body = Cursor::new(from.take(len)?, true);
        page.push(&format!("[{kind}]"))?;
        match flags >> 4 {
            1 => connect(&mut body, page)?,
            2 => {
                body.u8()?;
                page.push(&format!(" code {}", body.u8()?))?;
            }
            3 => publish(flags, &mut body, page)?,
            4..=7 | 11 => page.push(&format!(" id {}", body.u16()?))?,
            8 => {
                body.u16()?;
                topics(&mut body, " sent topic filters: ", Options::One, page)?;
            }
            9 => {
                page.push(&format!(" id {}", body.u16()?))?;
                let codes = body.rest().iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
                page.push(&format!(", codes {codes}"))?;
            }
            10 => {
                body.u16()?;
                topics(&mut body, " topic filters: ", Options::None, page)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// A length of one to four bytes (§2.2.3).
fn length(from: &mut Cursor<'_>) -> Result<usize, Stop> {
    let mut len = 0;
    for shift in [0, 7, 14, 21] {
        let byte = from.u8()?;
        len |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(len);
        }
    }
    Err(Stop::Invalid)
}

fn prefixed<'a>(from: &mut Cursor<'a>) -> Result<&'a [u8], Stop> {
    let len = from.u16()?;
    from.take(len.into())
}

fn connect(body: &mut Cursor<'_>, page: &mut Page) -> Result<(), Stop> {
    prefixed(body)?;
    let level = body.u8()?;
    let flags = body.u8()?;
    body.u16()?;
    let skip_properties = |body: &mut Cursor<'_>| -> Result<(), Stop> {
        if level >= 5 {
            let len = length(body)?;
            body.take(len)?;
        }
        Ok(())
    };
    skip_properties(body)?;
    let client = prefixed(body)?;
    let mut said = [None; 4];
    if flags & 0x04 != 0 {
        skip_properties(body)?;
        said = [Some(prefixed(body)?), Some(prefixed(body)?), None, None];
    }
    for (bit, at) in [(0x80, 2), (0x40, 3)] {
        if flags & bit != 0
            && let Some(said) = said.get_mut(at)
        {
            *said = Some(prefixed(body)?);
        }
    }
    page.push("\n\nClient Id: ")?;
    page.push_escaped(client)?;
    for (name, value) in ["Will Topic", "Will Message", "User Name", "Password"].iter().zip(said) {
        page.push(&format!("\n{name}: "))?;
        page.push_escaped(value.unwrap_or(b"None"))?;
    }
    Ok(page.push("\n")?)
}

fn publish(flags: u8, body: &mut Cursor<'_>, page: &mut Page) -> Result<(), Stop> {
    let topic = prefixed(body)?;
    if flags & 0x06 != 0 {
        body.u16()?;
    }
    page.push(" '")?;
    page.push_escaped(body.rest())?;
    page.push("' to topic '")?;
    page.push_escaped(topic)?;
    Ok(page.push("'")?)
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Options {
    /// A topic is followed by a byte of options.
    One,
    None,
}

fn topics(body: &mut Cursor<'_>, before: &str, options: Options, page: &mut Page) -> Result<(), Stop> {
    page.push(before)?;
    let mut is_first = true;
    while !body.is_empty() {
        let topic = prefixed(body)?;
        if options == Options::One {
            body.u8()?;
        }
        page.push(if is_first { "'" } else { ", '" })?;
        page.push_escaped(topic)?;
        page.push("'")?;
        is_first = false;
    }
    Ok(())
}

/// By the upper half of the first byte (§2.2.1).
const NAMES: [Option<&str>; 16] = [
    None,
    Some("CONNECT"),
    Some("CONNACK"),
    Some("PUBLISH"),
    Some("PUBACK"),
    Some("PUBREC"),
    Some("PUBREL"),
    Some("PUBCOMP"),
    Some("SUBSCRIBE"),
    Some("SUBACK"),
    Some("UNSUBSCRIBE"),
    Some("UNSUBACK"),
    Some("PINGREQ"),
    Some("PINGRESP"),
    Some("DISCONNECT"),
    Some("AUTH"),
];
