//! Any bytes as a flow file: nothing panics, and what was read is read again from what is written of it.
//!
//! `cargo fuzz run read` in `crates/formats`. The corpus has flows of every version of `tests/data`, one a file.
#![no_main]

use flowgate_formats::tnetstring::{Limits, WriteError};
use flowgate_formats::{FlowReader, FlowWriter};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { item_bytes_max: 1 << 20, nesting_max: 32, values_max: 1 << 16 };
    for flow in FlowReader::with_limits(bytes, limits).flatten() {
        let mut writer = FlowWriter::new();
        let (mut once, mut twice) = (Vec::new(), Vec::new());
        match writer.write_flow(&mut once, &flow) {
            Ok(()) => {}
            Err(WriteError::Nesting { .. }) => continue,
            Err(error) => panic!("{error}"),
        }
        let mut reader = FlowReader::new(&once[..]);
        let back = reader.next().expect("a flow was written").expect("it can be read");
        assert!(reader.next().is_none());
        writer.write_flow(&mut twice, &back).expect("it can be written again");
        assert!(once == twice);
    }
});
