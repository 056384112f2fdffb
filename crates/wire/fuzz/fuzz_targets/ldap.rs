//! Whatever a directory says: no panic, and no message longer than what came.
#![no_main]

use flowgate_wire::ldap::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut rest = data;
    while let Ok(Some((_, taken))) = parse(rest) {
        assert!(taken > 0);
        rest = rest.get(taken..).expect("no more is taken than came");
    }
});
