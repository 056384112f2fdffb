//! PEM text (RFC 7468), the writing half; rustls-pki-types reads it.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const LINE_CHARS: usize = 64;

/// One section, with lines of 64 characters.
pub(crate) fn encode(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in der.chunks(LINE_CHARS / 4 * 3) {
        line.chunks(3).for_each(|group| text.extend(quartet(group)));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// Up to three bytes as four characters of base64 (RFC 4648 §4).
fn quartet(group: &[u8]) -> [char; 4] {
    let byte = |at| group.get(at).copied().map_or(0, u32::from);
    let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
    std::array::from_fn(|at| match at <= group.len() {
        true => ALPHABET.get((bits >> (18 - 6 * at) & 63) as usize).map_or('=', |c| char::from(*c)),
        false => '=',
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject;

    use super::*;

    #[test]
    fn looks_as_usual() {
        let text = encode("X", &[b'a'; 49]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "-----BEGIN X-----");
        assert_eq!((lines[1].len(), lines[2]), (64, "YQ=="));
        assert_eq!(lines[3], "-----END X-----");
    }

    proptest! {
        #[test]
        fn is_read_back(der in proptest::collection::vec(any::<u8>(), 1..300)) {
            let text = encode("CERTIFICATE", &der);
            let read = CertificateDer::from_pem_slice(text.as_bytes()).unwrap();
            prop_assert_eq!(&read[..], &der[..]);
        }
    }
}
