//! The views `hex dump` (sixteen bytes a row, in groups of four, and what of them is ASCII) and `hex stream` (digits only).

use std::fmt::Write as _;

use crate::page::{Full, Page};

const ROW_BYTES: usize = 16;
const GROUP_BYTES: usize = 4;

/// Shows `bytes`, the first of `total_bytes`, which decides how wide the offsets are.
pub(crate) fn render(bytes: &[u8], total_bytes: u64, page: &mut Page) -> Result<(), Full> {
    let offset_last = total_bytes.saturating_sub(ROW_BYTES as u64);
    let offset_digits = match offset_last {
        0..=0xffff => 4,
        0x1_0000..=0xff_ffff => 6,
        0x100_0000..=0xffff_ffff => 8,
        _ => 16,
    };
    let mut row_text = String::new();
    for (row_number, row) in bytes.chunks(ROW_BYTES).enumerate() {
        if row_number > 0 {
            page.push("\n")?;
        }
        row_text.clear();
        push_row(&mut row_text, row_number * ROW_BYTES, offset_digits, row);
        page.push(&row_text)?;
    }
    Ok(())
}

/// Shows `bytes` as one row of hexadecimal digits.
pub(crate) fn render_stream(bytes: &[u8], page: &mut Page) -> Result<(), Full> {
    let mut digits = String::new();
    for chunk in bytes.chunks(4096) {
        digits.clear();
        for byte in chunk {
            // Writing to a `String` cannot fail.
            let _ = write!(digits, "{byte:02x}");
        }
        page.push(&digits)?;
    }
    Ok(())
}

fn push_row(out: &mut String, offset: usize, offset_digits: usize, row: &[u8]) {
    // Writing to a `String` cannot fail.
    let _ = write!(out, "{offset:0offset_digits$x}:   ");
    for at in 0..ROW_BYTES {
        if at > 0 {
            out.push_str(if at % GROUP_BYTES == 0 { "  " } else { " " });
        }
        match row.get(at) {
            Some(byte) => {
                let _ = write!(out, "{byte:02x}");
            }
            None => out.push_str("  "),
        }
    }
    out.push_str("   ");
    out.extend(row.iter().map(|&byte| match byte {
        b' '..=b'~' => char::from(byte),
        _ => '.',
    }));
}
