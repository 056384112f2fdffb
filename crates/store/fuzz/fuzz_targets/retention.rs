//! Limits of retention: reading any text neither panics nor takes long, and what was read says the same when it is read again.
#![no_main]

use flowgate_filter::Case;
use flowgate_store::Retention;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Retention::parse(text, Case::Ignored) {
        Ok(retention) => assert!(Retention::parse(retention.text(), Case::Ignored).is_ok()),
        Err(error) => assert!(error.column <= text.chars().count() + 1),
    }
});
