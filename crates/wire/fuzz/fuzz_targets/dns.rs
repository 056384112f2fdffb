//! Any bytes as a DNS message: no panic, and what reads comes back from what is written.
#![no_main]

use flowgate_flow::DnsMessage;
use flowgate_wire::dns::{decode, encode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(message) = decode(data) else { return };
    // Names grow when they are written out, so a record may become too long for its length.
    let Ok(written) = encode(&message) else { return };
    let again = decode(&written).expect("what was written reads");
    assert_eq!(without_data(again), without_data(message));
});

/// Data that is not what its type says is kept as it came: a pointer in it may lead to a name once it stands elsewhere.
fn without_data(mut message: DnsMessage) -> DnsMessage {
    for section in [&mut message.answers, &mut message.authorities, &mut message.additionals] {
        section.iter_mut().for_each(|record| record.data.clear());
    }
    message
}
