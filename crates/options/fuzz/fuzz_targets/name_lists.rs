//! Any bytes are read as a list, and what is given out are names.
#![no_main]

use flowgate_options::parse_list;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let report = parse_list(bytes, |listed| {
        assert!(!listed.name.is_empty() && !listed.name.contains(['|', '^', ' ', '#', '*', '/', '\n']));
    });
    assert!(report.first_bad.len() <= report.bad_lines);
});
