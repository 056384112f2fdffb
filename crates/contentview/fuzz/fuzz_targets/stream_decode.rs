//! Content decoding while a body comes: whatever comes, no more is made of it than may be, and how it was cut changes nothing.
#![no_main]

use flowgate_contentview::StreamDecoder;

/// What is made of a body that comes in pieces of this length; `None` if it ends early.
fn decoded(encoding: &[u8], body: &[u8], piece: usize) -> Option<Vec<u8>> {
    let mut decoder = StreamDecoder::new(encoding).expect("one encoding, and a known one");
    let mut content = Vec::new();
    let mut came = 0;
    for piece in body.chunks(piece) {
        came += piece.len();
        content.extend(decoder.push(piece).ok()?);
        assert!(content.len() <= (1 << 20) + 64 * came, "{} bytes of {came}", content.len());
    }
    Some(content)
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let [first, second, body @ ..] = data else { return };
    let encodings: [&[u8]; 5] = [b"gzip", b"x-gzip", b"deflate", b"br", b"zstd"];
    let encoding = encodings[usize::from(*first) % encodings.len()];
    let whole = decoded(encoding, body, body.len().max(1));
    let cut = decoded(encoding, body, usize::from(*second) + 1);
    if let (Some(whole), Some(cut)) = (whole, cut) {
        assert!(whole == cut, "{} and {} bytes", whole.len(), cut.len());
    }
});
