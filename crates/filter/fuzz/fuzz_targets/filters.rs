//! Any filter is read or refused in one line that points into it.
#![no_main]

use flowgate_filter::{Case, Filter};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Filter::parse(text, Case::Ignored) {
        Ok(filter) => assert_eq!(filter.text(), text),
        Err(error) => {
            assert!(error.offset <= text.len() && error.column <= text.chars().count() + 1);
            assert!(!error.to_string().contains(char::is_control));
        }
    }
});
