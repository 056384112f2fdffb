//! Any file of checks is read, or refused in one line that points into it; the schemas that it names say anything.
#![no_main]

use flowgate_check::Checks;
use flowgate_filter::Case;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let schema = |name: &str| Ok(name.to_owned());
    if let Err(error) = Checks::parse(text, "a", Case::Ignored, &schema) {
        assert!(error.line <= text.matches('\n').count() + 1 && error.column >= 1);
        assert!(!error.to_string().contains('\n'));
    }
});
