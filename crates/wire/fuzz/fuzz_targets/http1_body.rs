//! Chunks read whole and byte by byte give the same body, or both are refused.
#![no_main]

use bytes::BytesMut;
use flowgate_wire::http1::{BodyDecoder, BodyEvent, Framing};
use libfuzzer_sys::fuzz_target;

fn decode(bytes: &[u8], step: usize) -> Option<(Vec<u8>, usize)> {
    let mut decoder = BodyDecoder::new(Framing::Chunked);
    let mut buf = BytesMut::new();
    let (mut body, mut fed) = (Vec::new(), 0);
    for piece in bytes.chunks(step) {
        buf.extend_from_slice(piece);
        fed += piece.len();
        loop {
            match decoder.decode(&mut buf, fed == bytes.len()) {
                Ok(BodyEvent::Data(data)) => body.extend_from_slice(&data),
                Ok(BodyEvent::End(_)) => return Some((body, fed - buf.len())),
                Ok(BodyEvent::NeedMore) => break,
                Err(_) => return None,
            }
        }
    }
    None
}

fuzz_target!(|bytes: &[u8]| assert_eq!(decode(bytes, bytes.len().max(1)), decode(bytes, 1)));
