//! The view `image`: what an image says of itself (format, size, comments). Nothing of the picture is decoded.
//!
//! PNG (W3C PNG 3), GIF89a, JPEG (ITU T.81, JFIF), ICO and WebP (RFC 9649).

use crate::Limits;
use crate::charset::utf8;
use crate::cursor::Cursor;
use crate::escape;
use crate::form::Fields;
use crate::json::Stop;
use crate::page::Page;

/// Shows the facts; of an unknown image only that it is one.
pub(crate) fn render(bytes: &[u8], complete: bool, limits: &Limits, page: &mut Page) -> Result<(), Stop> {
    let mut facts =
        Facts { fields: Fields::default(), left: limits.fields_max.min(FACTS_MAX), is_empty: true };
    let from = Cursor::new(bytes, complete);
    let (name, read) = if bytes.starts_with(PNG) {
        ("PNG", png(from, &mut facts))
    } else if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") {
        ("GIF", gif(from, &mut facts))
    } else if bytes.starts_with(b"\xff\xd8\xff") {
        ("JPEG", jpeg(from, &mut facts))
    } else if bytes.starts_with(b"\0\0\x01\0") {
        ("ICO", ico(from, &mut facts))
    } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        ("WEBP", webp(from, &mut facts))
    } else {
        ("Unknown", Ok(()))
    };
    if facts.is_empty && name != "Unknown" {
        return Err(read.err().unwrap_or(Stop::Invalid));
    }
    page.push(&format!("# {name} Image\n"))?;
    facts.fields.push_to(page)?;
    // A damaged image says what it says before the damage.
    if read == Err(Stop::Full) { Err(Stop::Full) } else { Ok(()) }
}

struct Facts {
    fields: Fields,
    left: usize,
    is_empty: bool,
}

impl Facts {
    fn add(&mut self, name: &str, value: impl Into<String>) -> Result<(), Stop> {
        self.left = self.left.checked_sub(1).ok_or(Stop::Full)?;
        self.is_empty = false;
        self.fields.add(name.to_owned(), value.into());
        Ok(())
    }

    fn add_size(&mut self, width: impl Into<u64>, height: impl Into<u64>) -> Result<(), Stop> {
        self.add("Size", format!("{} x {} px", width.into(), height.into()))
    }
}

fn png(mut from: Cursor<'_>, facts: &mut Facts) -> Result<(), Stop> {
    from.take(PNG.len())?;
    while !from.is_empty() {
        let len = from.u32()?;
        let kind = from.array::<4>()?;
        let mut chunk = Cursor::new(from.take_u64(len.into())?, true);
        from.u32()?;
        match &kind {
            b"IHDR" => {
                facts.add("Format", "Portable network graphics")?;
                facts.add_size(chunk.u32()?, chunk.u32()?)?;
            }
            b"gAMA" => facts.add("gamma", python_float(f64::from(chunk.u32()?) / 100_000.0))?,
            b"pHYs" => facts.add("aspect", format!("{} x {}", chunk.u32()?, chunk.u32()?))?,
            b"tEXt" => {
                let (name, text) = until_nul(chunk.rest());
                facts.add(&latin1(name), latin1(text))?;
            }
            b"iTXt" => {
                let (name, rest) = until_nul(chunk.rest());
                // Two bytes that say whether and how it is compressed, the language, and the name in it.
                let mut rest = Cursor::new(rest, true);
                let is_compressed = rest.u8()? != 0;
                rest.u8()?;
                let (_, rest) = until_nul(rest.rest());
                let (_, text) = until_nul(rest);
                facts.add(&latin1(name), if is_compressed { "(compressed)".into() } else { utf8(text) })?;
            }
            b"zTXt" => {
                let (name, _) = until_nul(chunk.rest());
                facts.add(&latin1(name), "(compressed)")?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn gif(mut from: Cursor<'_>, facts: &mut Facts) -> Result<(), Stop> {
    let version = latin1(from.take(6)?);
    let (width, height) = (little_u16(&mut from)?, little_u16(&mut from)?);
    let flags = from.u8()?;
    let background = from.u8()?;
    from.u8()?;
    facts.add("Format", "Compuserve GIF")?;
    facts.add("Version", version)?;
    facts.add_size(width, height)?;
    facts.add("background", background.to_string())?;
    skip_colours(&mut from, flags)?;
    loop {
        match from.u8()? {
            // An extension; 0xfe is a comment.
            0x21 => {
                let label = from.u8()?;
                while let Some(block) = sub_block(&mut from)? {
                    if label == 0xfe {
                        facts.add("comment", python_bytes(block))?;
                    }
                }
            }
            // An image.
            0x2c => {
                from.take(8)?;
                let flags = from.u8()?;
                skip_colours(&mut from, flags)?;
                from.u8()?;
                while sub_block(&mut from)?.is_some() {}
            }
            0x3b => return Ok(()),
            _ => return Err(Stop::Invalid),
        }
    }
}

fn skip_colours(from: &mut Cursor<'_>, flags: u8) -> Result<(), Stop> {
    if flags & 0x80 != 0 {
        from.take(3 << ((flags & 7) + 1))?;
    }
    Ok(())
}

fn sub_block<'a>(from: &mut Cursor<'a>) -> Result<Option<&'a [u8]>, Stop> {
    match from.u8()? {
        0 => Ok(None),
        len => from.take(len.into()).map(Some),
    }
}

fn jpeg(mut from: Cursor<'_>, facts: &mut Facts) -> Result<(), Stop> {
    from.take(2)?;
    facts.add("Format", "JPEG (ISO 10918)")?;
    loop {
        if from.u8()? != 0xff {
            return Err(Stop::Invalid);
        }
        let mut marker = from.u8()?;
        while marker == 0xff {
            marker = from.u8()?;
        }
        match marker {
            // The picture itself, or the end: nothing is said behind it.
            0xda | 0xd9 => return Ok(()),
            0x01 | 0xd0..=0xd8 => continue,
            _ => {}
        }
        let len = from.u16()?.checked_sub(2).ok_or(Stop::Invalid)?;
        let mut segment = Cursor::new(from.take(len.into())?, true);
        match marker {
            // All kinds of frames but the tables among them (T.81 table B.1).
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                segment.u8()?;
                let (height, width) = (segment.u16()?, segment.u16()?);
                facts.add_size(width, height)?;
            }
            0xe0 if segment.rest().starts_with(b"JFIF\0") => {
                segment.take(5)?;
                facts.add("jfif_version", format!("({}, {})", segment.u8()?, segment.u8()?))?;
                let unit = segment.u8()?;
                facts.add("jfif_density", format!("({}, {})", segment.u16()?, segment.u16()?))?;
                facts.add("jfif_unit", unit.to_string())?;
            }
            0xfe => facts.add("comment", utf8(segment.rest()))?,
            _ => {}
        }
    }
}

fn ico(mut from: Cursor<'_>, facts: &mut Facts) -> Result<(), Stop> {
    let all = from.rest();
    from.take(4)?;
    let count = little_u16(&mut from)?;
    facts.add("Format", "ICO")?;
    facts.add("Number of images", count.to_string())?;
    for number in 1..=count {
        let [width, height] = from.array::<2>()?.map(|side| if side == 0 { 256 } else { u32::from(side) });
        from.take(4)?;
        let bits = little_u16(&mut from)?;
        from.take(4)?;
        let offset = u32::from_le_bytes(from.array()?);
        let is_png = usize::try_from(offset)
            .ok()
            .and_then(|at| all.get(at..))
            .is_some_and(|image| image.starts_with(PNG));
        // Differs from mitmproxy, which spreads this over three lines.
        facts.add(
            &format!("Image {number}"),
            format!("{width} x {height} px, {bits} bits per pixel{}", if is_png { ", PNG" } else { "" }),
        )?;
    }
    Ok(())
}

fn webp(mut from: Cursor<'_>, facts: &mut Facts) -> Result<(), Stop> {
    from.take(12)?;
    let kind = from.array::<4>()?;
    let mut chunk = from;
    chunk.take(4)?;
    facts.add("Format", "WebP")?;
    let little_u24 = |bytes: [u8; 3]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]);
    match &kind {
        b"VP8X" => {
            chunk.take(4)?;
            let (width, height) = (little_u24(chunk.array()?), little_u24(chunk.array()?));
            facts.add_size(width + 1, height + 1)
        }
        b"VP8L" => {
            chunk.u8()?;
            let bits = u32::from_le_bytes(chunk.array()?);
            facts.add_size((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1)
        }
        b"VP8 " => {
            // Three bytes of a frame's head, and its mark.
            chunk.take(6)?;
            let (width, height) = (little_u16(&mut chunk)?, little_u16(&mut chunk)?);
            facts.add_size(width & 0x3fff, height & 0x3fff)
        }
        _ => Ok(()),
    }
}

fn little_u16(from: &mut Cursor<'_>) -> Result<u16, Stop> {
    from.array().map(u16::from_le_bytes)
}

fn until_nul(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|byte| *byte == 0) {
        Some(at) => (bytes.get(..at).unwrap_or_default(), bytes.get(at + 1..).unwrap_or_default()),
        None => (bytes, b""),
    }
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// As mitmproxy shows the bytes of a comment.
fn python_bytes(bytes: &[u8]) -> String {
    let mut text = String::new();
    escape::push_bytes(&mut text, bytes);
    if bytes.contains(&b'\'') && !bytes.contains(&b'"') {
        format!("b\"{text}\"")
    } else {
        format!("b'{}'", text.replace('\'', "\\'"))
    }
}

fn python_float(number: f64) -> String {
    format!("{number:?}")
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
/// Comments and the like of one image.
const FACTS_MAX: usize = 4096;
