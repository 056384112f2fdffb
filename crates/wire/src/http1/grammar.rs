//! Which bytes may stand in tokens, values and targets (RFC 9110 sections 5.5 and 5.6.2, RFC 9112 section 3.2).
//!
//! Every head is looked at with these, so values and targets are looked at eight bytes at a time.

/// Whether it is a token: at least one byte, none of them a delimiter (RFC 9110 section 5.6.2).
#[must_use]
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && token_len(bytes) == bytes.len()
}

/// How many bytes from the first on could be a token.
pub(crate) fn token_len(bytes: &[u8]) -> usize {
    let ends = |b: &u8| TOKEN_BYTES.get(usize::from(*b)) != Some(&true);
    bytes.iter().position(ends).unwrap_or(bytes.len())
}

/// Whether a value or reason phrase may hold these bytes: no control but the tab (RFC 9110 section 5.5).
pub(crate) fn is_value(bytes: &[u8]) -> bool {
    value_len(bytes) == bytes.len()
}

/// How many bytes from the first on may stand in a value.
pub(super) fn value_len(bytes: &[u8]) -> usize {
    let mut len = 0;
    loop {
        len += plain_len::<0x20>(bytes.get(len..).unwrap_or_default());
        match bytes.get(len) {
            Some(b'\t') => len += 1,
            _ => return len,
        }
    }
}

/// How many bytes from the first on may stand in a target: neither white space nor control bytes.
pub(super) fn target_len(bytes: &[u8]) -> usize {
    plain_len::<0x21>(bytes)
}

/// How many bytes from the first on are at least `LEAST` and not DEL. `LEAST` is below 0x80.
fn plain_len<const LEAST: u8>(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    let mut len = 0;
    while let Some(eight) = bytes.get(len..).and_then(<[u8]>::first_chunk) {
        let eight = u64::from_le_bytes(*eight);
        // The high bit of each byte that is less than `LEAST`, or is DEL (then it is zero behind the exclusive or). A borrow can only
        // reach bytes above the first such, and the first is what is asked for.
        let del = eight ^ (ONES * 0x7f);
        let odd =
            (eight.wrapping_sub(ONES * u64::from(LEAST)) & !eight | del.wrapping_sub(ONES) & !del) & HIGHS;
        if odd != 0 {
            return len + (odd.trailing_zeros() / 8) as usize;
        }
        len += 8;
    }
    let rest = bytes.get(len..).unwrap_or_default();
    len + rest.iter().position(|b| *b < LEAST || *b == 0x7f).unwrap_or(rest.len())
}

static TOKEN_BYTES: [bool; 256] =
    byte_set(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

/// Which bytes are among these.
pub(super) const fn byte_set(bytes: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut i = 0;
    while i < bytes.len() {
        #[expect(clippy::indexing_slicing, reason = "checked while compiling")]
        {
            table[bytes[i] as usize] = true;
        }
        i += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every byte at every place among eight, with every neighbour that could lend or borrow.
    #[test]
    fn each_byte_is_seen_wherever_it_stands() {
        for byte in 0..=255_u8 {
            for at in 0..20 {
                for around in [b'a', b' ', b'!', 0x7e, 0x80, 0xff] {
                    let mut text = [around; 20];
                    text[at] = byte;
                    let value = byte == b'\t' || (byte >= 0x20 && byte != 0x7f);
                    assert_eq!(is_value(&text), value, "{byte:#x} at {at} among {around:#x}");
                    assert_eq!(value_len(&text), if value { 20 } else { at });
                    let target = byte > 0x20 && byte != 0x7f;
                    let expected = if around == b' ' {
                        usize::from(at == 0 && target)
                    } else if target {
                        20
                    } else {
                        at
                    };
                    assert_eq!(target_len(&text), expected, "{byte:#x} at {at} among {around:#x}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn lengths_are_those_of_a_look_at_each_byte(text in prop::collection::vec(any::<u8>(), 0..40)) {
            let value = |b: &u8| *b == b'\t' || (*b >= 0x20 && *b != 0x7f);
            prop_assert_eq!(value_len(&text), text.iter().take_while(|b| value(b)).count());
            let target = |b: &u8| *b > 0x20 && *b != 0x7f;
            prop_assert_eq!(target_len(&text), text.iter().take_while(|b| target(b)).count());
        }
    }
}
