//! Integers with a prefix (RFC 7541 section 5.1), 32 bits at most.

use super::Error;

/// The most continuation bytes of an integer: 32 bits need five.
const CONTINUATION_BYTES_MAX: u32 = 5;

/// Reads an integer whose first byte was `first` with a prefix of `prefix_bits` (1 to 8); the rest from `input`.
pub(super) fn read(first: u8, prefix_bits: u32, input: &mut &[u8]) -> Result<usize, Error> {
    let mask = 0xff_u8 >> (8 - prefix_bits);
    let mut value = u64::from(first & mask);
    if first & mask == mask {
        let mut shift = 0;
        loop {
            let (byte, rest) = input.split_first().ok_or(Error::Truncated)?;
            *input = rest;
            value += u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
            shift += 7;
            if shift == 7 * CONTINUATION_BYTES_MAX {
                return Err(Error::Integer);
            }
        }
    }
    u32::try_from(value).map(|value| value as usize).map_err(|_| Error::Integer)
}

/// Writes `value` behind the bits `pattern`.
pub(super) fn write(pattern: u8, prefix_bits: u32, value: usize, out: &mut Vec<u8>) {
    let mask = 0xff_u8 >> (8 - prefix_bits);
    if value < usize::from(mask) {
        out.push(pattern | value as u8);
        return;
    }
    out.push(pattern | mask);
    let mut rest = value - usize::from(mask);
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}
