//! Content decoding: whatever comes is decoded within the limit, or refused.
#![no_main]

use flowgate_contentview::{Limits, decode};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((&first, body)) = data.split_first() else { return };
    let encodings: [&[u8]; 6] = [b"gzip", b"deflate", b"br", b"zstd", b"gzip, br", b"zstd, deflate, gzip"];
    let encoding = encodings[usize::from(first) % encodings.len()];
    let limits = Limits { decoded_bytes_max: 1 << 16, ..Limits::default() };
    if let Ok(decoded) = decode(encoding, body, &limits) {
        assert!(decoded.bytes.len() <= 1 << 16);
    }
});
