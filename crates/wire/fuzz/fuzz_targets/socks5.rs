//! What a SOCKS5 message says never changes with bytes that follow.
#![no_main]

use flowgate_wire::socks5::{Parsed, parse_credentials, parse_greeting, parse_request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    check(parse_greeting, bytes);
    check(parse_request, bytes);
    check(parse_credentials, bytes);
});

fn check<T: PartialEq + std::fmt::Debug>(parse: fn(&[u8]) -> Parsed<T>, bytes: &[u8]) {
    let whole = parse(bytes);
    for received in 0..=bytes.len() {
        let earlier = parse(&bytes[..received]);
        assert!(earlier == Ok(None) || earlier == whole);
    }
}
