//! A client's bytes, then each server's, with 0xff between them: through the proxy's HTTP/1 in memory, nobody reads a message that
//! nobody sent.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.split(|b| *b == 0xff);
    let sent = parts.next().unwrap_or_default();
    let answers: Vec<&[u8]> = parts.take(8).collect();
    flowgate_proxy::check_connection(sent, &answers);
});
