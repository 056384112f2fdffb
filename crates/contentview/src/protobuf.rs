//! The view `protobuf`: a message without its schema, as YAML (protobuf.dev, "Encoding").
//!
//! What a field is cannot be known, only guessed, for all values of a field alike: text if it is text, else a message if it
//! can be read as one, else bytes. What the same bits may mean besides stands behind them as a comment.
//!
//! Differs from mitmproxy: text of other scripts than Latin is text, too.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::Limits;
use crate::cursor::Cursor;
use crate::json::Stop;
use crate::page::Page;
use crate::yaml;

/// Shows one message.
pub(crate) fn render(bytes: &[u8], complete: bool, limits: &Limits, page: &mut Page) -> Result<(), Stop> {
    if bytes.is_empty() {
        return Ok(page.push("{}  # empty protobuf message\n")?);
    }
    let mut budget =
        Budget { fields: limits.fields_max, depth: limits.nesting_max, tried_bytes: bytes.len() };
    // Of a message that is cut, the fields before the cut are shown.
    let (message, stop) = match Message::read(Cursor::new(bytes, complete), &mut budget) {
        (message, Some(Stop::Full)) if !message.fields.is_empty() => (message, Some(Stop::Full)),
        (_, Some(stop)) => return Err(stop),
        (message, None) => (message, None),
    };
    if message.fields.is_empty() {
        page.push("{}\n")?;
    }
    budget.tried_bytes = bytes.len().saturating_mul(TRIED_TIMES_MAX);
    push_message(&message, 0, &mut budget, page)?;
    stop.map_or(Ok(()), Err)
}

/// What one call may still do.
struct Budget {
    fields: usize,
    depth: usize,
    /// Bytes that may be read to find out whether they are a message.
    tried_bytes: usize,
}

/// The fields of a message by number.
#[derive(Default)]
struct Message<'a> {
    fields: BTreeMap<u32, Vec<Value<'a>>>,
}

#[derive(Clone, Copy)]
enum Value<'a> {
    Varint(u64),
    Fixed32([u8; 4]),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
}

impl<'a> Message<'a> {
    /// Reads until the end, or says why not.
    fn read(mut from: Cursor<'a>, budget: &mut Budget) -> (Self, Option<Stop>) {
        let mut message = Self::default();
        let mut groups = 0;
        while !from.is_empty() {
            if budget.fields == 0 {
                return (message, Some(Stop::Full));
            }
            budget.fields -= 1;
            if let Err(stop) = message.field(&mut from, &mut groups) {
                return (message, Some(stop));
            }
        }
        (message, (groups > 0).then(|| from.at_end()))
    }

    fn field(&mut self, from: &mut Cursor<'a>, groups: &mut usize) -> Result<(), Stop> {
        let tag = u32::try_from(varint(from)?).map_err(|_| Stop::Invalid)?;
        let number = tag >> 3;
        if number == 0 {
            return Err(Stop::Invalid);
        }
        let value = match tag & 7 {
            0 => Value::Varint(varint(from)?),
            1 => Value::Fixed64(from.array()?),
            2 => {
                let len = varint(from)?;
                Value::Bytes(from.take_u64(len)?)
            }
            // Groups are out of use; as in mitmproxy their fields are left out.
            3 => {
                *groups += 1;
                return Ok(());
            }
            4 => {
                *groups = groups.checked_sub(1).ok_or(Stop::Invalid)?;
                return Ok(());
            }
            5 => Value::Fixed32(from.array()?),
            _ => return Err(Stop::Invalid),
        };
        if *groups == 0 {
            self.fields.entry(number).or_default().push(value);
        }
        Ok(())
    }
}

fn varint(from: &mut Cursor<'_>) -> Result<u64, Stop> {
    let mut value = 0;
    for shift in (0..70).step_by(7) {
        let byte = from.u8()?;
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or_default();
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Stop::Invalid)
}

/// How the values of a field are shown.
enum Guess<'a> {
    Text(Vec<&'a str>),
    Messages(Vec<Message<'a>>),
    /// Numbers, some of them packed into bytes.
    Numbers(Vec<u64>),
    AsTheyAre,
}

fn guess<'a>(values: &[Value<'a>], budget: &mut Budget) -> Guess<'a> {
    let bytes: Vec<&'a [u8]> = values
        .iter()
        .filter_map(|value| if let Value::Bytes(bytes) = value { Some(*bytes) } else { None })
        .collect();
    if bytes.is_empty() {
        return Guess::AsTheyAre;
    }
    if bytes.len() < values.len() {
        return packed(values, budget.fields).map_or(Guess::AsTheyAre, Guess::Numbers);
    }
    if let Some(texts) = bytes.iter().map(|bytes| text(bytes)).collect() {
        return Guess::Text(texts);
    }
    let len: usize = bytes.iter().map(|bytes| bytes.len()).sum();
    if budget.depth == 0 || budget.tried_bytes < len {
        return Guess::AsTheyAre;
    }
    budget.tried_bytes -= len;
    let read = |bytes: &&'a [u8]| match Message::read(Cursor::new(bytes, true), budget) {
        (message, None) => Some(message),
        _ => None,
    };
    bytes.iter().map(read).collect::<Option<_>>().map_or(Guess::AsTheyAre, Guess::Messages)
}

/// Text, if these bytes look like it.
fn text(bytes: &[u8]) -> Option<&str> {
    let is_shown = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    std::str::from_utf8(bytes).ok().filter(|text| text.chars().all(is_shown))
}

/// Numbers that stand alone and numbers in a row (packed) are one list.
fn packed(values: &[Value<'_>], count_max: usize) -> Option<Vec<u64>> {
    let mut numbers = Vec::new();
    for value in values {
        match value {
            Value::Varint(number) => numbers.push(*number),
            Value::Bytes(bytes) => {
                let mut row = Cursor::new(bytes, true);
                while !row.is_empty() {
                    if numbers.len() >= count_max {
                        return None;
                    }
                    numbers.push(varint(&mut row).ok()?);
                }
            }
            Value::Fixed32(_) | Value::Fixed64(_) => return None,
        }
    }
    Some(numbers)
}

fn push_message(
    message: &Message<'_>,
    indent: usize,
    budget: &mut Budget,
    page: &mut Page,
) -> Result<(), Stop> {
    for (number, values) in &message.fields {
        push_indent(indent, page)?;
        page.push(&format!("{number}:"))?;
        match guess(values, budget) {
            Guess::Text(texts) => {
                push_all(&texts, indent, page, |text, page| Ok(yaml::text(text, indent + 2, page)?))?
            }
            Guess::Numbers(numbers) => {
                push_all(&numbers, indent, page, |number, page| Ok(page.push(&shown(*number))?))?
            }
            Guess::AsTheyAre => push_all(values, indent, page, |value, page| push_value(*value, page))?,
            Guess::Messages(messages) => {
                budget.depth -= 1;
                page.push("\n")?;
                let is_list = messages.len() > 1;
                for message in &messages {
                    if !is_list {
                        push_message(message, indent + 2, budget, page)?;
                        continue;
                    }
                    push_indent(indent, page)?;
                    page.push("-")?;
                    // The first line of an element stands behind its dash.
                    page.join_next_line(indent + 2);
                    push_message(message, indent + 2, budget, page)?;
                    if message.fields.is_empty() {
                        page.push(" {}\n")?;
                    }
                }
                budget.depth += 1;
            }
        }
    }
    Ok(())
}

/// One value behind the colon, several as a list.
fn push_all<T>(
    values: &[T],
    indent: usize,
    page: &mut Page,
    push: impl Fn(&T, &mut Page) -> Result<(), Stop>,
) -> Result<(), Stop> {
    if values.len() > 1 {
        page.push("\n")?;
    }
    for value in values {
        if values.len() > 1 {
            push_indent(indent, page)?;
            page.push("-")?;
        }
        page.push(" ")?;
        push(value, page)?;
        page.push("\n")?;
    }
    Ok(())
}

fn push_indent(indent: usize, page: &mut Page) -> Result<(), Stop> {
    Ok(page.spaces(indent)?)
}

fn push_value(value: Value<'_>, page: &mut Page) -> Result<(), Stop> {
    match value {
        Value::Varint(number) => Ok(page.push(&shown(number))?),
        Value::Fixed32(bytes) => {
            let (unsigned, float) = (u32::from_le_bytes(bytes), f32::from_le_bytes(bytes));
            let said = fixed(
                "fixed32",
                unsigned.into(),
                i32::from_le_bytes(bytes).into(),
                float.into(),
                &format!("{float:?}"),
                "32",
            );
            Ok(page.push(&said)?)
        }
        Value::Fixed64(bytes) => {
            let (unsigned, float) = (u64::from_le_bytes(bytes), f64::from_le_bytes(bytes));
            let said =
                fixed("fixed64", unsigned, i64::from_le_bytes(bytes), float, &format!("{float:?}"), "64");
            Ok(page.push(&said)?)
        }
        Value::Bytes(bytes) => {
            page.push("!binary ")?;
            let mut digits = String::new();
            for &byte in bytes.get(..BINARY_SHOWN_BYTES_MAX).unwrap_or(bytes) {
                // Writing to a `String` cannot fail.
                let _ = write!(digits, "{byte:02x}");
            }
            yaml::value(&digits, page)?;
            if bytes.len() > BINARY_SHOWN_BYTES_MAX {
                page.push(&format!("  # the first of {} bytes", bytes.len()))?;
            }
            Ok(())
        }
    }
}

/// A varint, and what it is as the other kinds of integer.
fn shown(number: u64) -> String {
    let signed = number.cast_signed();
    if signed < 0 {
        return format!("{signed}  # u64: {number}");
    }
    let zigzag = (number >> 1).cast_signed() ^ -(number & 1).cast_signed();
    format!("{number}  # !sint: {zigzag}")
}

/// Four or eight bytes: as a floating point number if that looks like one, and as integers.
fn fixed(tag: &str, unsigned: u64, signed: i64, float: f64, shown_float: &str, bits: &str) -> String {
    let looks_like_float = float.is_finite() && (1e-9..1e18).contains(&float.abs());
    let mut text = format!("!{tag} ");
    let mut others = Vec::new();
    if looks_like_float {
        text += shown_float;
        others.push(format!("u{bits}: {unsigned}"));
        if signed < 0 {
            others.push(format!("i{bits}: {signed}"));
        }
    } else {
        text += &signed.to_string();
        if signed < 0 {
            others.push(format!("u{bits}: {unsigned}"));
        }
    }
    if !others.is_empty() {
        text += "  # ";
        text += &others.join(", ");
    }
    text
}

/// How often over each byte of a message may be looked at to guess what is inside.
const TRIED_TIMES_MAX: usize = 32;
/// Of bytes that mean nothing, so many are shown.
const BINARY_SHOWN_BYTES_MAX: usize = 4096;
