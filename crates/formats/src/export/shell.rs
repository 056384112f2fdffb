//! Words for a POSIX shell, from any bytes.

/// One word of a command line.
///
/// Printable text stands in single quotes, in which nothing has a meaning. What else there is goes through `printf`, so that no
/// control character is pasted into a terminal. Without NUL and without LF at the end, which no word can have.
pub(super) fn word(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && text.bytes().all(is_plain) => text.to_owned(),
        Ok(text) if text.chars().all(is_printable) && !(text.contains('!') && text.contains('\'')) => {
            format!("'{}'", text.replace('\'', r"'\''"))
        }
        _ => format!("\"$({})\"", printf(bytes)),
    }
}

/// A command that writes exactly these bytes.
pub(super) fn printf(bytes: &[u8]) -> String {
    let mut out = String::from("printf '%b' '");
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b" _.,:;/=@+-#&?(){}[]<>|~*^".contains(byte) {
            out.push(char::from(*byte));
        } else {
            // Always three digits, or a digit that follows would be taken for one more.
            out.push_str(&format!("\\0{byte:03o}"));
        }
    }
    out.push('\'');
    out
}

/// Means itself without quotes.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'_' | b'-' | b'.' | b'/' | b':' | b'@' | b'%' | b'+' | b',')
}

/// Can be pasted: no control character of any kind, nothing that turns the direction of text or cannot be seen.
fn is_printable(c: char) -> bool {
    !c.is_control()
        && !matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        for (bytes, expected) in [
            (&b"GET"[..], "GET"),
            (b"", "''"),
            (b"a b", "'a b'"),
            (b"$(x) `y` \"z\" \\ *", "'$(x) `y` \"z\" \\ *'"),
            (b"it's", r"'it'\''s'"),
            // History is expanded in the double quotes that `printf` stands in, and quotes mislead it.
            (b"it's!", r#""$(printf '%b' 'it\0047s\0041')""#),
            ("é".as_bytes(), "'é'"),
            (b"\xff1", r#""$(printf '%b' '\03771')""#),
            (b"a\tb\x1b[31m", r#""$(printf '%b' 'a\0011b\0033[31m')""#),
            ("\u{202e}".as_bytes(), r#""$(printf '%b' '\0342\0200\0256')""#),
        ] {
            assert_eq!(word(bytes), expected);
        }
    }
}
