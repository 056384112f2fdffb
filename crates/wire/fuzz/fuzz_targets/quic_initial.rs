//! Datagrams of a client, and payloads of Initial packets: nothing panics, and nothing is remembered beyond the bounds.
#![no_main]

use flowgate_wire::quic::{InitialKeys, InitialReader, InitialState, LongHeader, Version};
use libfuzzer_sys::fuzz_target;

/// Protects nothing, so that what is inside is reached.
struct NoKeys;

impl InitialKeys for NoKeys {
    fn of_client(_: Version, _: &[u8]) -> Option<Self> {
        Some(Self)
    }

    fn unmask(&self, _: &[u8], _: &mut u8, _: &mut [u8]) -> bool {
        true
    }

    fn open<'a>(&self, _: u64, _: &[u8], payload: &'a mut [u8]) -> Option<&'a [u8]> {
        let kept = payload.len().checked_sub(16)?;
        payload.get(..kept)
    }
}

/// An Initial packet around frames, with a packet number of one byte.
fn packet(frames: &[u8]) -> Vec<u8> {
    let length = (u32::try_from(frames.len() + 4 + 17).unwrap() | 0x8000_0000).to_be_bytes();
    [&[0xc0, 0, 0, 0, 1, 1, 7, 0, 0][..], &length, &[0], frames, &[0; 20]].concat()
}

fuzz_target!(|input: (Vec<Vec<u8>>, &[u8])| {
    let (payloads, datagram) = input;
    let _ = LongHeader::read(datagram);
    let _ = InitialReader::<NoKeys>::default().read(datagram);
    let mut reader = InitialReader::<NoKeys>::default();
    let mut hello = None;
    for payload in &payloads {
        let state = reader.read(&packet(payload));
        assert_ne!(state, InitialState::NotInitial);
        match state {
            InitialState::Broken(_) => return,
            // A hello once read stays the hello.
            InitialState::Hello(now) => assert_eq!(*hello.get_or_insert(now.clone()), now),
            _ => assert!(hello.is_none()),
        }
    }
});
