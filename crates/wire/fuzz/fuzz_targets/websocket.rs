//! Any bytes as a WebSocket stream: what is told of it does not depend on where it is cut, and no more is kept than allowed.
#![no_main]

use flowgate_wire::websocket::{Deflate, DeflateSide, Event, FrameDecoder, Sender, parse_extensions};
use libfuzzer_sys::fuzz_target;

const CONTENT_BYTES_MAX: usize = 5000;

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (how, cut, stream) = input;
    // The head of an upgrade is as much the peer's as the frames are.
    let _ = parse_extensions([stream].into_iter());
    let sender = if how & 1 == 0 { Sender::Client } else { Sender::Server };
    let side = |window_bits| DeflateSide { context_takeover: how & 4 == 0, window_bits };
    let deflate = (how & 2 == 0).then(|| Deflate { client: side(9 + (how >> 4) % 7), server: side(15) });
    let decode = |piece_len: usize| {
        let mut decoder = FrameDecoder::new(sender, deflate.as_ref(), CONTENT_BYTES_MAX);
        let mut events = Vec::new();
        let mut end = Ok(());
        for piece in stream.chunks(piece_len) {
            end = decoder.push(piece, |event| events.push(event));
        }
        (events, end)
    };
    let (events, end) = decode(usize::MAX);
    for event in &events {
        if let Event::Message(message) = event {
            assert!(message.content.len() <= CONTENT_BYTES_MAX);
        }
    }
    assert_eq!(decode(usize::from(cut) + 1), (events, end));
});
