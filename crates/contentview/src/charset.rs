//! Bytes as text, in the charset that they say they are in: a byte order mark, the Content-Type, or a declaration in the text.
//!
//! For views of text only; what the charset cannot mean becomes U+FFFD, what is said to be UTF-8 and is not `\xNN`.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use crate::escape;

/// Reads text. `declared` finds the charset that the text itself declares near its beginning.
pub(crate) fn decode<'a>(
    bytes: &'a [u8],
    content_type: Option<&[u8]>,
    declared: fn(&[u8]) -> Option<&[u8]>,
) -> Cow<'a, str> {
    let beginning = bytes.get(..DECLARED_WITHIN_BYTES).unwrap_or(bytes);
    let (encoding, bytes) = match Encoding::for_bom(bytes) {
        Some((encoding, mark_len)) => (encoding, bytes.get(mark_len..).unwrap_or_default()),
        None => {
            let label = content_type.and_then(|value| parameter(value, b"charset"));
            let said =
                label.and_then(Encoding::for_label).or_else(|| Encoding::for_label(declared(beginning)?));
            let said = said.filter(|said| !(is_utf_16(said) && is_plain_utf_8(bytes)));
            (said.unwrap_or(UTF_8), bytes)
        }
    };
    if encoding == UTF_8 { utf8(bytes) } else { encoding.decode_without_bom_handling(bytes).0 }
}

fn is_utf_16(encoding: &'static Encoding) -> bool {
    encoding == UTF_16LE || encoding == UTF_16BE
}

/// Whether this is UTF-8 that says UTF-16 of itself, as .NET writes XML into strings. In UTF-16 every ASCII character has a zero byte.
fn is_plain_utf_8(bytes: &[u8]) -> bool {
    !bytes.contains(&0) && std::str::from_utf8(bytes).is_ok()
}

/// UTF-8; what is not, as `\xNN`.
pub(crate) fn utf8(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        escape::push_hex(&mut text, chunk.invalid());
    }
    Cow::Owned(text)
}

/// The value of a parameter of a Content-Type, without its quotes.
pub(crate) fn parameter<'a>(content_type: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    content_type.split(|byte| *byte == b';').skip(1).find_map(|piece| {
        let at = piece.iter().position(|byte| *byte == b'=')?;
        let (found, value) = piece.split_at(at);
        let value = value.get(1..)?.trim_ascii();
        let unquoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        found.trim_ascii().eq_ignore_ascii_case(name).then_some(unquoted.unwrap_or(value))
    })
}

/// What `<meta charset=...>` or `<?xml encoding=...?>` says.
pub(crate) fn declared_in_markup(beginning: &[u8]) -> Option<&[u8]> {
    let wanted: &[u8] =
        if beginning.trim_ascii_start().starts_with(b"<?xml") { b"encoding" } else { b"charset" };
    let at = beginning.windows(wanted.len()).position(|window| window.eq_ignore_ascii_case(wanted))?;
    let value = beginning.get(at + wanted.len()..)?.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let value = value.strip_prefix(b"\"").or_else(|| value.strip_prefix(b"'")).unwrap_or(value);
    let end = value.iter().position(|byte| matches!(byte, b'"' | b'\'' | b'>' | b'?' | b'/' | b' ' | b';'));
    value.get(..end?)
}

/// Text that declares nothing.
pub(crate) const fn nothing_declared(_: &[u8]) -> Option<&[u8]> {
    None
}

/// Where HTML says that a declaration has to stand (WHATWG HTML §4.2.5.4).
const DECLARED_WITHIN_BYTES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charsets() {
        for (bytes, content_type, text) in [
            (&b"a\xe4"[..], None, "a\\xe4"),
            (b"a\xe4", Some("text/html; charset=iso-8859-1"), "aä"),
            (b"a\xe4", Some("text/html;x=y; CharSet=\"latin1\""), "aä"),
            (b"a\xe4", Some("text/html; charset=nonsense"), "a\\xe4"),
            (b"<meta charset=latin1>\xe4", Some("text/html"), "<meta charset=latin1>ä"),
            (
                b"<meta http-equiv=x content='text/html; charset=koi8-r'>\xc1",
                None,
                "<meta http-equiv=x content='text/html; charset=koi8-r'>а",
            ),
            (
                b"<?xml version=\"1.0\" encoding='latin1'?>\xe4",
                None,
                "<?xml version=\"1.0\" encoding='latin1'?>ä",
            ),
            (b"\xef\xbb\xbfa", Some("text/html; charset=latin1"), "a"),
            // These became Chinese.
            (
                b"<?xml version='1.0' encoding='utf-16'?><a/>",
                None,
                "<?xml version='1.0' encoding='utf-16'?><a/>",
            ),
            (b"null", Some("text/html; charset=utf-16"), "null"),
            (b"a\0\xe4\0", Some("text/html; charset=utf-16"), "aä"),
            (b"\0a\0\xe4", Some("text/html; charset=utf-16be"), "aä"),
            (b"\xff\xfea\0\xe4\0", None, "aä"),
            (b"<meta charset=", None, "<meta charset="),
        ] {
            assert_eq!(decode(bytes, content_type.map(str::as_bytes), declared_in_markup), text, "{bytes:?}");
        }
    }
}
