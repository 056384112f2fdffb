//! Rust source with its comments and literals blanked out, so that words are found in code only.
//!
//! Every byte keeps its place: what is blanked becomes spaces, line ends stay. It is no parser; it knows just enough to
//! tell a comment from a string, and a lifetime from a character.

/// What is blanked.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Blank {
    Code,
    Comment,
    Literal,
}

/// The code alone, byte for byte in its place.
pub(super) fn code_of(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let (what, length) = token(bytes.get(at..).unwrap_or_default(), code.last().copied());
        for byte in bytes.iter().skip(at).take(length) {
            code.push(if what == Blank::Code || *byte == b'\n' { *byte } else { b' ' });
        }
        at += length.max(1);
    }
    // Whole literals and comments are blanked, so what is left was never cut inside a character.
    String::from_utf8(code).unwrap_or_default()
}

/// What `rest` begins with, and how long that is.
fn token(rest: &[u8], before: Option<u8>) -> (Blank, usize) {
    if rest.starts_with(b"//") {
        return (Blank::Comment, rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()));
    }
    if rest.starts_with(b"/*") {
        return (Blank::Comment, block_comment(rest));
    }
    let in_word = before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let prefix = if in_word { 0 } else { literal_prefix(rest) };
    let (kind, body) = rest.split_at(prefix);
    match body.first() {
        Some(b'"') if kind.contains(&b'r') => (Blank::Literal, prefix + raw_string(body, 0)),
        Some(b'#') if kind.contains(&b'r') => {
            let hashes = body.iter().take_while(|byte| **byte == b'#').count();
            match body.get(hashes) {
                Some(b'"') => (Blank::Literal, prefix + raw_string(body, hashes)),
                // A raw identifier such as `r#type`.
                _ => (Blank::Code, prefix + hashes),
            }
        }
        Some(b'"') => (Blank::Literal, prefix + quoted(body, b'"')),
        Some(b'\'') => match character(body) {
            Some(length) => (Blank::Literal, prefix + length),
            None => (Blank::Code, prefix + 1),
        },
        _ => (Blank::Code, 1),
    }
}

/// The length of `b`, `c`, `r`, `br` or `cr` where a literal follows it, otherwise 0.
fn literal_prefix(rest: &[u8]) -> usize {
    let length = rest.iter().take(2).take_while(|byte| matches!(byte, b'b' | b'c' | b'r')).count();
    let raw = rest.iter().take(length).any(|byte| *byte == b'r');
    match rest.get(length) {
        Some(b'"' | b'\'') => length,
        Some(b'#') if raw => length,
        _ => 0,
    }
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        let here = rest.get(at..).unwrap_or_default();
        if here.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    at.min(rest.len())
}

/// The length of a raw string that begins with `hashes` hashes and a quote.
fn raw_string(body: &[u8], hashes: usize) -> usize {
    let mut end = vec![b'"'];
    end.resize(1 + hashes, b'#');
    let content = body.get(hashes + 1..).unwrap_or_default();
    let found = content.windows(end.len()).position(|window| window == end);
    found.map_or(body.len(), |at| hashes + 1 + at + end.len())
}

/// The length of a literal in quotes, with escapes.
fn quoted(body: &[u8], quote: u8) -> usize {
    let mut escaped = false;
    for (at, byte) in body.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            byte if *byte == quote => return at + 1,
            _ => {}
        }
    }
    body.len()
}

/// The length of a character literal; `None` for a lifetime or a loop label.
fn character(body: &[u8]) -> Option<usize> {
    if body.get(1) == Some(&b'\\') {
        return Some(quoted(body, b'\''));
    }
    // One character of up to four bytes, then the quote.
    let first = body.get(1).filter(|byte| **byte != b'\'')?;
    let length = match first {
        0..=0x7F => 1,
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        _ => 4,
    };
    (body.get(1 + length) == Some(&b'\'')).then_some(length + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_in_place() {
        for (text, expected) in [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c\n */ d */ e", "a         \n         e"),
            (r#"f("x \" y", z)"#, "f(        , z)"),
            ("g(r#\"a \" b\"#, r\"\\\", 1)", "g(          ,     , 1)"),
            ("h(b'x', 'ä', '\\'', '\\u{1F600}')", "h(    ,     ,     ,            )"),
            ("fn i<'a>(x: &'a str) { 'o: loop {} }", "fn i<'a>(x: &'a str) { 'o: loop {} }"),
            ("r#type = 1; bar\"x\"; cr#\"y\"#", "r#type = 1; bar   ;         "),
            ("/// doc of tokio::x\nfn k() {}", "                   \nfn k() {}"),
        ] {
            let code = code_of(text);
            let expected = expected.replace(' ', "");
            assert_eq!(code.replace(' ', ""), expected, "{text}");
            assert_eq!(code.len(), text.len(), "{text}");
        }
    }

    #[test]
    fn what_is_cut_short_is_no_harm() {
        for text in ["\"", "'", "/*", "r#\"", "b'", "'\\", "//", "r##", "'ä", "/* */ */"] {
            for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
                let cut = text.get(..end).unwrap();
                assert_eq!(code_of(cut).len(), cut.len(), "{cut}");
            }
        }
    }
}
