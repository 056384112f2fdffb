//! Any text is read as rules or refused in one line.
#![no_main]

use flowgate_options::parse_rules;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(error) = parse_rules(text, "f") {
        assert!(!error.to_string().contains('\n'));
    }
});
