//! The authority of an HTTP/2 connection is the same however its bytes come.
#![no_main]

use flowgate_wire::h2_authority::{AuthorityReader, AuthorityState};
use flowgate_wire::sniff::HTTP2_PREFACE;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|frames: &[u8]| {
    let bytes = [HTTP2_PREFACE, frames].concat();
    let whole = AuthorityReader::default().read(&bytes);
    let mut reader = AuthorityReader::default();
    for received in 0..=bytes.len() {
        let earlier = reader.read(&bytes[..received]);
        if earlier != AuthorityState::NeedMore {
            assert_eq!(earlier, whole);
            return;
        }
    }
    assert_eq!(whole, AuthorityState::NeedMore);
});
