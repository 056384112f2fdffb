//! Makes hostile bytes harmless text.
//!
//! Two rules, and nothing reaches a terminal by a third way:
//!
//! - **One-line fields** ([`push_line`], [`push_line_bytes`]: methods, URLs, host names, reasons, log messages). Every control
//!   character (C0 with tab and line end, DEL, C1), the line and paragraph separators U+2028 and U+2029, and the marks that
//!   reorder a line (U+202A to U+202E, U+2066 to U+2069) become `.`; bytes that are not UTF-8 become `\xNN`.
//! - **Header fields** ([`push_bytes`]): printable ASCII stays, a backslash is doubled, tab, line feed and carriage return
//!   are `\t`, `\n` and `\r`, every other byte is `\xNN`. Nothing is lost.
//!
//! Bodies have a third kind, text of many lines: as one-line fields, but tab is kept and the line ends LF, CRLF, CR, U+2028
//! and U+2029 all become one LF. The marks that reorder text stay there: a body may be in Hebrew.

use std::fmt::Write as _;

/// What stands for a character that is not shown.
pub const REPLACEMENT: char = '.';

/// Adds a one-line field.
pub fn push_line(out: &mut String, text: &str) {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        out.push_str(text);
    } else {
        out.extend(text.chars().map(|c| if is_shown_in_line(c) { c } else { REPLACEMENT }));
    }
}

/// Adds a one-line field of bytes that should be UTF-8.
pub fn push_line_bytes(out: &mut String, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        push_line(out, chunk.valid());
        push_hex(out, chunk.invalid());
    }
}

/// Adds a header's name or value.
pub fn push_bytes(out: &mut String, bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'\\')
    {
        out.push_str(text);
        return;
    }
    for &byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b'\t' => out.push_str("\\t"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => push_hex(out, &[byte]),
        }
    }
}

/// Whether a character may stand in a one-line field as it is.
#[must_use]
pub const fn is_shown_in_line(c: char) -> bool {
    !is_control(c) && !matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// C0, DEL or C1.
pub(crate) const fn is_control(c: char) -> bool {
    matches!(c, '\0'..='\x1f' | '\x7f'..='\u{9f}')
}

/// Adds each byte as `\xNN`.
pub(crate) fn push_hex(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a `String` cannot fail.
        let _ = write!(out, "\\x{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_fields() {
        for (input, shown) in [
            (&b"GET /a?b=c"[..], "GET /a?b=c"),
            ("/ä/日本".as_bytes(), "/ä/日本"),
            (b"a\tb\r\nc\0d\x7f", "a.b..c.d."),
            (b"\x1b]0;title\x07\x1b[2J", ".]0;title..[2J"),
            ("\u{85}\u{9b}31m\u{2028}\u{202e}\u{2066}x\u{2069}\u{200f}".as_bytes(), "..31m...x.\u{200f}"),
            (b"a\xff\xe2\x82z", "a\\xff\\xe2\\x82z"),
        ] {
            let mut out = String::new();
            push_line_bytes(&mut out, input);
            assert_eq!(out, shown, "{input:?}");
        }
    }

    #[test]
    fn header_fields() {
        for (input, shown) in [
            (&b"text/html; charset=\"utf-8\""[..], "text/html; charset=\"utf-8\""),
            (b"it's", "it's"),
            (b"a\\b\t\r\n\0\x1b\x7f\xc3\xa4", "a\\\\b\\t\\r\\n\\x00\\x1b\\x7f\\xc3\\xa4"),
        ] {
            let mut out = String::new();
            push_bytes(&mut out, input);
            assert_eq!(out, shown, "{input:?}");
        }
    }
}
