//! The view `msgpack`: MessagePack (spec of 2017) as YAML, written while it is read.
//!
//! Differs from mitmproxy: bytes, extensions and times are shown and no errors, and so is what follows the first value.

use std::fmt::Write as _;

use crate::Limits;
use crate::cursor::Cursor;
use crate::json::Stop;
use crate::page::Page;
use crate::yaml;

/// Shows all values that stand behind each other.
pub(crate) fn render(bytes: &[u8], complete: bool, limits: &Limits, page: &mut Page) -> Result<(), Stop> {
    let mut reader = Reader { from: Cursor::new(bytes, complete), depth_left: limits.nesting_max, page };
    loop {
        reader.value(0, Place::Top)?;
        if reader.from.is_empty() {
            return Ok(());
        }
        reader.page.push("---\n")?;
    }
}

struct Reader<'a, 'p> {
    from: Cursor<'a>,
    depth_left: usize,
    page: &'p mut Page,
}

/// What stands before a value on its line.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Place {
    /// Nothing.
    Top,
    /// `key:`.
    Key,
    /// `-`.
    Dash,
}

impl<'a> Reader<'a, '_> {
    /// A value and the end of its last line. `indent` is where the lines of its own elements begin.
    fn value(&mut self, indent: usize, place: Place) -> Result<(), Stop> {
        let marker = self.from.u8()?;
        match marker {
            0x80..=0x8f => self.map(u64::from(marker & 0x0f), indent, place),
            0xde => {
                let count = self.from.u16()?;
                self.map(count.into(), indent, place)
            }
            0xdf => {
                let count = self.from.u32()?;
                self.map(count.into(), indent, place)
            }
            0x90..=0x9f => self.list(u64::from(marker & 0x0f), indent, place),
            0xdc => {
                let count = self.from.u16()?;
                self.list(count.into(), indent, place)
            }
            0xdd => {
                let count = self.from.u32()?;
                self.list(count.into(), indent, place)
            }
            _ => {
                if place != Place::Top {
                    self.page.push(" ")?;
                }
                self.scalar(marker, indent.max(2))?;
                Ok(self.page.push("\n")?)
            }
        }
    }

    fn map(&mut self, count: u64, indent: usize, place: Place) -> Result<(), Stop> {
        if count == 0 {
            return Ok(self.page.push(if place == Place::Top { "{}\n" } else { " {}\n" })?);
        }
        self.depth_left = self.depth_left.checked_sub(1).ok_or(Stop::Full)?;
        self.begin(indent, place)?;
        for _ in 0..count {
            self.page.spaces(indent)?;
            let marker = self.from.u8()?;
            // Differs from mitmproxy: a map or list that is a key is told by its size only.
            match marker {
                0x80..=0x9f | 0xdc..=0xdf => return Err(Stop::Invalid),
                _ => self.key(marker)?,
            }
            self.page.push(":")?;
            self.element(indent, Place::Key)?;
        }
        self.depth_left += 1;
        Ok(())
    }

    fn list(&mut self, count: u64, indent: usize, place: Place) -> Result<(), Stop> {
        if count == 0 {
            return Ok(self.page.push(if place == Place::Top { "[]\n" } else { " []\n" })?);
        }
        self.depth_left = self.depth_left.checked_sub(1).ok_or(Stop::Full)?;
        // A list stands as deep as the key it belongs to.
        let indent = if place == Place::Key { indent.saturating_sub(2) } else { indent };
        self.begin(indent, place)?;
        for _ in 0..count {
            self.page.spaces(indent)?;
            self.page.push("-")?;
            self.element(indent, Place::Dash)?;
        }
        self.depth_left += 1;
        Ok(())
    }

    fn element(&mut self, indent: usize, place: Place) -> Result<(), Stop> {
        self.value(indent + 2, place)
    }

    /// Elements begin on a line of their own, or behind the dash they belong to.
    fn begin(&mut self, indent: usize, place: Place) -> Result<(), Stop> {
        match place {
            Place::Top => {}
            Place::Key => self.page.push("\n")?,
            Place::Dash => self.page.join_next_line(indent),
        }
        Ok(())
    }

    fn key(&mut self, marker: u8) -> Result<(), Stop> {
        if let Some(bytes) = self.text(marker)? {
            return Ok(yaml::value(&crate::charset::utf8(bytes), self.page)?);
        }
        self.scalar(marker, 0)
    }

    /// The bytes of a text, if the marker begins one.
    fn text(&mut self, marker: u8) -> Result<Option<&'a [u8]>, Stop> {
        let len = match marker {
            0xa0..=0xbf => u64::from(marker & 0x1f),
            0xd9 => self.from.u8()?.into(),
            0xda => self.from.u16()?.into(),
            0xdb => self.from.u32()?.into(),
            _ => return Ok(None),
        };
        self.from.take_u64(len).map(Some)
    }

    fn scalar(&mut self, marker: u8, indent: usize) -> Result<(), Stop> {
        if let Some(bytes) = self.text(marker)? {
            let text = std::str::from_utf8(bytes).map_err(|_| Stop::Invalid)?;
            return Ok(yaml::text(text, indent, self.page)?);
        }
        let shown = match marker {
            0x00..=0x7f => marker.to_string(),
            0xe0..=0xff => marker.cast_signed().to_string(),
            0xc0 => "null".to_owned(),
            0xc2 => "false".to_owned(),
            0xc3 => "true".to_owned(),
            0xc4 => {
                let len = self.from.u8()?;
                return self.binary(len.into());
            }
            0xc5 => {
                let len = self.from.u16()?;
                return self.binary(len.into());
            }
            0xc6 => {
                let len = self.from.u32()?;
                return self.binary(len.into());
            }
            0xc7 => {
                let len = self.from.u8()?;
                return self.extension(len.into());
            }
            0xc8 => {
                let len = self.from.u16()?;
                return self.extension(len.into());
            }
            0xc9 => {
                let len = self.from.u32()?;
                return self.extension(len.into());
            }
            0xd4..=0xd8 => return self.extension(1 << (marker - 0xd4)),
            0xca => float(self.from.array().map(f32::from_be_bytes)?.into()),
            0xcb => float(self.from.array().map(f64::from_be_bytes)?),
            0xcc => self.from.u8()?.to_string(),
            0xcd => self.from.u16()?.to_string(),
            0xce => self.from.u32()?.to_string(),
            0xcf => u64::from_be_bytes(self.from.array()?).to_string(),
            0xd0 => i8::from_be_bytes(self.from.array()?).to_string(),
            0xd1 => i16::from_be_bytes(self.from.array()?).to_string(),
            0xd2 => i32::from_be_bytes(self.from.array()?).to_string(),
            0xd3 => i64::from_be_bytes(self.from.array()?).to_string(),
            // 0xc1 is never used; maps and lists are not here.
            _ => return Err(Stop::Invalid),
        };
        Ok(self.page.push(&shown)?)
    }

    fn binary(&mut self, len: u64) -> Result<(), Stop> {
        let bytes = self.from.take_u64(len)?;
        self.page.push("!binary ")?;
        Ok(yaml::value(&hex(bytes), self.page)?)
    }

    fn extension(&mut self, len: u64) -> Result<(), Stop> {
        let kind = self.from.u8()?.cast_signed();
        let bytes = self.from.take_u64(len)?;
        let time = if kind == TIMESTAMP { timestamp(bytes) } else { None };
        let shown = time.unwrap_or_else(|| format!("!ext{kind} '{}'", hex(bytes)));
        Ok(self.page.push(&shown)?)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// As YAML has them; a whole number with a fraction, so that it is seen to be one.
fn float(number: f64) -> String {
    if number.is_nan() {
        ".nan".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { ".inf" } else { "-.inf" }.to_owned()
    } else {
        format!("{number:?}")
    }
}

/// Seconds since 1970 and nanoseconds, in one of three forms.
fn timestamp(bytes: &[u8]) -> Option<String> {
    let (seconds, nanoseconds) = match *bytes {
        [a, b, c, d] => (i64::from(u32::from_be_bytes([a, b, c, d])), 0),
        [a, b, c, d, e, f, g, h] => {
            let both = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
            (i64::try_from(both & 0x3_ffff_ffff).ok()?, u32::try_from(both >> 34).ok()?)
        }
        [n0, n1, n2, n3, a, b, c, d, e, f, g, h] => {
            (i64::from_be_bytes([a, b, c, d, e, f, g, h]), u32::from_be_bytes([n0, n1, n2, n3]))
        }
        _ => return None,
    };
    Some(format!("!timestamp {seconds}.{nanoseconds:09}"))
}

const TIMESTAMP: i8 = -1;
