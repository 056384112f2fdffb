//! What first bytes are never changes with bytes that follow, and neither does whom a head names.
#![no_main]

use flowgate_wire::sniff::{HostReader, HostState, Sniff, host_header, sniff};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (kind, host) = (sniff(bytes), host_header(bytes));
    let mut reader = HostReader::default();
    for received in 0..=bytes.len() {
        let earlier = sniff(&bytes[..received]);
        assert!(earlier == Sniff::NeedMore || earlier == kind);
        let earlier = reader.read(&bytes[..received]);
        assert!(earlier == HostState::NeedMore || earlier == host);
    }
});
