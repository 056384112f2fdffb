//! `%20` and the like (RFC 3986 section 2.1).

/// The bytes that a text stands for. What is no escape stays.
pub(crate) fn decode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, behind)) = rest.split_first() {
        let digit = |at: usize| behind.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        let escaped = if *byte == b'%' { digit(0).zip(digit(1)) } else { None };
        match escaped.and_then(|(high, low)| u8::try_from(high * 16 + low).ok()) {
            Some(decoded) => {
                out.push(decoded);
                rest = behind.get(2..).unwrap_or_default();
            }
            None => {
                out.push(*byte);
                rest = behind;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn escapes() {
        for (text, bytes) in
            [("a%20b", &b"a b"[..]), ("%ff%FF", b"\xff\xff"), ("%", b"%"), ("%2", b"%2"), ("%zz%41", b"%zzA")]
        {
            assert_eq!(super::decode(text.as_bytes()), bytes, "{text}");
        }
    }
}
