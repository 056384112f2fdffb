//! Bodies as text and back: HAR is JSON and has no bytes but base64.
//!
//! One rule for both ways (mitmproxy's for a text that is put into a message): the charset that the content type or the
//! document names, else Latin-1, else UTF-8. A body is written as text only if that rule gives the same bytes again.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8};

/// The bytes that a text stands for in a message of this content type.
pub(super) fn encode(text: String, content_type: &[u8]) -> Vec<u8> {
    match charset(content_type, text.as_bytes()) {
        Charset::Named(encoding) if encoding != UTF_8 => {
            let (bytes, _, unmappable) = encoding.encode(&text);
            if unmappable { text.into_bytes() } else { bytes.into_owned() }
        }
        Charset::Named(_) => text.into_bytes(),
        Charset::Latin1 => {
            let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
            bytes.unwrap_or_else(|| text.into_bytes())
        }
    }
}

/// The text that [`encode`] makes these bytes of, if there is one that is worth reading.
pub(super) fn decode<'a>(bytes: &'a [u8], content_type: &[u8]) -> Option<Cow<'a, str>> {
    if is_mostly_binary(bytes) {
        return None;
    }
    let utf8 = std::str::from_utf8(bytes).ok().map(Cow::Borrowed);
    let comes_back =
        |text: &Cow<'_, str>| bytes.is_ascii() || encode(text.to_string(), content_type) == bytes;
    if let Some(text) = utf8.filter(comes_back) {
        return Some(text);
    }
    let text = match charset(content_type, bytes) {
        Charset::Named(encoding) => encoding.decode_without_bom_handling(bytes).0,
        Charset::Latin1 => Cow::Owned(bytes.iter().copied().map(char::from).collect()),
    };
    Some(text).filter(comes_back)
}

enum Charset {
    Named(&'static Encoding),
    Latin1,
}

fn charset(content_type: &[u8], body: &[u8]) -> Charset {
    let content_type = String::from_utf8_lossy(content_type).to_ascii_lowercase();
    let named = |label: &str| match Encoding::for_label(label.trim_matches(['"', '\'', ' ']).as_bytes()) {
        // Python means Latin-1 by that name, the Web means Windows-1252.
        Some(encoding) if encoding == encoding_rs::WINDOWS_1252 => Charset::Latin1,
        Some(encoding) => Charset::Named(encoding),
        None => Charset::Latin1,
    };
    let mut parameters = content_type.split(';').skip(1);
    if let Some(label) = parameters.find_map(|parameter| parameter.trim().strip_prefix("charset=")) {
        return named(label);
    }
    if ["json", "javascript", "ecmascript", "css"].iter().any(|kind| content_type.contains(kind)) {
        return Charset::Named(UTF_8);
    }
    let beginning = || String::from_utf8_lossy(body.get(..PEEKED_BYTES.min(body.len())).unwrap_or_default());
    let after = |key: &str| {
        let text = beginning().to_ascii_lowercase();
        let (_, rest) = text.split_once(key)?;
        let rest = rest.trim_start_matches(['"', '\'', ' ']);
        rest.split(['"', '\'', ' ', '>', '?', ';', '/']).next().map(str::to_owned)
    };
    if content_type.contains("html") {
        return after("charset=").map_or(Charset::Latin1, |label| named(&label));
    }
    if content_type.contains("xml") {
        return after("encoding=").map_or(Charset::Named(UTF_8), |label| named(&label));
    }
    Charset::Latin1
}

/// Where a document may name its charset.
const PEEKED_BYTES: usize = 1024;

/// Whether more than three in ten of the first bytes are no text.
fn is_mostly_binary(bytes: &[u8]) -> bool {
    let beginning = bytes.get(..100.min(bytes.len())).unwrap_or_default();
    let odd =
        beginning.iter().filter(|byte| !(32..127).contains(*byte) && !byte.is_ascii_whitespace()).count();
    odd * 10 > beginning.len() * 3 && (std::str::from_utf8(bytes).is_err() || beginning.contains(&0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        for (text, content_type, bytes) in [
            ("é", "text/plain", &b"\xe9"[..]),
            ("é", "text/plain; charset=utf-8", "é".as_bytes()),
            ("é", "application/json", "é".as_bytes()),
            ("€", "text/plain", "€".as_bytes()),
            ("€", "text/plain; charset=latin-1", "€".as_bytes()),
            ("中", "text/html; charset=\"GBK\"", b"\xd6\xd0"),
            ("<meta charset=\"utf-8\">é", "text/html", "<meta charset=\"utf-8\">é".as_bytes()),
            ("<?xml encoding='utf-8'?>é", "text/xml", "<?xml encoding='utf-8'?>é".as_bytes()),
        ] {
            // A few odd letters do not make a text binary.
            let text = format!("<p>Some text </p>{text}");
            let bytes = [b"<p>Some text </p>", bytes].concat();
            assert_eq!(encode(text.clone(), content_type.as_bytes()), bytes, "{text} as {content_type}");
            assert_eq!(decode(&bytes, content_type.as_bytes()).as_deref(), Some(&*text), "{content_type}");
        }
        assert_eq!(decode(b"\x00\x01\x02\xff", b"text/plain"), None);
        // Would come back as one byte.
        assert_eq!(decode("é".as_bytes(), b"text/plain").as_deref(), Some("Ã©"));
    }

    proptest::proptest! {
        #[test]
        fn a_text_comes_back(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..50), kind in "(text/(html|plain|xml)|application/json)(; charset=(utf-8|latin-1|gbk|utf-16|x))?") {
            if let Some(text) = decode(&bytes, kind.as_bytes()) {
                proptest::prop_assert_eq!(encode(text.into_owned(), kind.as_bytes()), bytes);
            }
        }
    }
}
