//! A client's frames and its servers' bytes through the proxy's HTTP/2 in memory: everybody reads what is well made.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    flowgate_proxy::check_http2_connection(bytes);
});
