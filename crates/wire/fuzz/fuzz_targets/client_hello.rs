//! A ClientHello read in pieces is the one that is read at once, whatever the bytes are, and its fingerprints have their form.
#![no_main]

use flowgate_wire::client_hello::{HelloReader, HelloState, parse};
use flowgate_wire::fingerprint::{Carrier, ja3, ja4};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (step, bytes) = input;
    let whole = parse(bytes);
    let mut reader = HelloReader::default();
    let mut last = HelloState::NeedMore;
    for received in (0..bytes.len()).step_by(usize::from(step) + 1).chain([bytes.len()]) {
        last = reader.read(&bytes[..received]);
        if last != HelloState::NeedMore {
            break;
        }
    }
    assert_eq!(last, whole);
    if let HelloState::Hello(hello) = whole {
        assert!(hello.len <= bytes.len());
        assert_eq!(ja3(&hello).len(), 32);
        assert_eq!(ja4(&hello, Carrier::Tcp).len(), 36);
        assert_eq!(parse(&bytes[..hello.len]), HelloState::Hello(hello));
    }
});
