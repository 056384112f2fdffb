//! Server-sent events are the same however the body is cut: whole, byte by byte, and in two at every place of a short one.
#![no_main]

use bytes::Bytes;
use flowgate_wire::body_messages::{BodyMessages, Message};
use libfuzzer_sys::fuzz_target;

fn read(pieces: &[&[u8]]) -> Vec<Message> {
    let (mut messages, mut found) = (BodyMessages::event_stream(), Vec::new());
    for piece in pieces {
        messages.push(&Bytes::copy_from_slice(piece), |message| found.push(message));
    }
    found
}

fuzz_target!(|bytes: &[u8]| {
    let whole = read(&[bytes]);
    assert_eq!(whole, read(&bytes.chunks(1).collect::<Vec<_>>()));
    if bytes.len() < 64 {
        for at in 0..bytes.len() {
            let (front, back) = bytes.split_at(at);
            assert_eq!(whole, read(&[front, back]));
        }
    }
});
