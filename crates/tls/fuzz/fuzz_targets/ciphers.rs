//! Any text is read as a list of cipher suites: it is refused, or comes to suites that are there.
#![no_main]

use flowgate_tls::fuzz_ciphers;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    fuzz_ciphers(text);
});
