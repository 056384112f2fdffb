//! Masking (RFC 6455 section 5.3): XOR with four bytes over and over, so that it undoes itself.

/// Masks or unmasks `data`, which begins `offset` bytes into its frame's payload.
pub fn apply_mask(data: &mut [u8], mut key: [u8; 4], offset: u64) {
    // Which byte of the key comes first; the remainder fits any integer.
    key.rotate_left((offset % 4) as usize);
    let [a, b, c, d] = key;
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = data.as_chunks_mut::<8>();
    for bytes in words {
        *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}
