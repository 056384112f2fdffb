//! A walk over any bytes ends, and finds only records that lie within them.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let size = data.len() as u64;
    let _ = flowgate_store::scan_segment(&mut Cursor::new(data), 0, |at| {
        assert!(at.offset + 56 <= size);
    });
});
