//! The view `zip archive`: the names of the files in it, as its central directory says (APPNOTE.TXT 4.3.12). Nothing is unpacked.

use crate::cursor::Cursor;
use crate::json::Stop;
use crate::page::Page;
use crate::{charset, yaml};

/// Shows the names of at most `names_max` files.
pub(crate) fn render(bytes: &[u8], complete: bool, names_max: usize, page: &mut Page) -> Result<(), Stop> {
    if !complete {
        // The directory stands at the end.
        return Err(Stop::Invalid);
    }
    let (mut directory, count) = directory(bytes)?;
    if count == 0 {
        return Ok(page.push("(empty zip file)")?);
    }
    for at in 0..count {
        if usize::from(at) >= names_max {
            return Err(Stop::Full);
        }
        if directory.take(4)? != ENTRY {
            return Err(Stop::Invalid);
        }
        directory.take(24)?;
        let [name_len, extra_len, comment_len] =
            [little_u16(&mut directory)?, little_u16(&mut directory)?, little_u16(&mut directory)?];
        directory.take(12)?;
        let name = directory.take(name_len.into())?;
        directory.take(usize::from(extra_len) + usize::from(comment_len))?;
        page.push("- ")?;
        yaml::value(&charset::utf8(name), page)?;
        page.push("\n")?;
    }
    Ok(())
}

/// The entries, and how many there are.
fn directory(bytes: &[u8]) -> Result<(Cursor<'_>, u16), Stop> {
    let from = bytes.len().saturating_sub(END_LEN + usize::from(u16::MAX));
    let tail = bytes.get(from..).unwrap_or_default();
    let at = from + tail.windows(END.len()).rposition(|window| window == END).ok_or(Stop::Invalid)?;
    let mut end = Cursor::new(bytes.get(at + END.len()..).unwrap_or_default(), true);
    end.take(6)?;
    let count = little_u16(&mut end)?;
    let (len, offset) = (little_u32(&mut end)?, little_u32(&mut end)?);
    // Before an archive other data may stand (a program that unpacks it), so its place is counted from the end.
    let start = at.checked_sub(usize::try_from(len).map_err(|_| Stop::Invalid)?).ok_or(Stop::Invalid)?;
    if u64::from(offset) > start as u64 {
        return Err(Stop::Invalid);
    }
    Ok((Cursor::new(bytes.get(start..at).unwrap_or_default(), true), count))
}

fn little_u16(from: &mut Cursor<'_>) -> Result<u16, Stop> {
    from.array().map(u16::from_le_bytes)
}

fn little_u32(from: &mut Cursor<'_>) -> Result<u32, Stop> {
    from.array().map(u32::from_le_bytes)
}

const ENTRY: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";
const END_LEN: usize = 22;
