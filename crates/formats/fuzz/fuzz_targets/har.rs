//! Any bytes as HAR: nothing panics, what was read is read again from what is written of it, and no export of it has what a terminal
//! would take for an order.
//!
//! `cargo fuzz run har` in `crates/formats`.
#![no_main]

use flowgate_filter::NoDecoding;
use flowgate_formats::export::{ExportFormat, ExportOptions, export};
use flowgate_formats::har::{HarLimits, HarWriter, read_har};
use flowgate_formats::pcapng::PcapngWriter;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let limits = HarLimits { entry_bytes_max: 1 << 20, entries_max: 64 };
    let (mut flows, mut har) = (0_u64, HarWriter::BEGINNING.as_bytes().to_vec());
    let (mut writer, mut packets) = (HarWriter::new(), PcapngWriter::new());
    // What could be read before an error counts as well.
    let _ = read_har(bytes, &limits, |flow| {
        flows += 1;
        writer.write_flow(&mut har, &flow, &NoDecoding).expect("every flow of HAR has a place in HAR");
        packets.write_flow(&mut Vec::new(), &flow).expect("memory takes it");
        for (_, format) in ExportFormat::ALL {
            let exported = export(&flow, format, ExportOptions::default(), &NoDecoding);
            if let (ExportFormat::Curl | ExportFormat::Httpie, Ok(command)) = (format, exported) {
                let command = String::from_utf8(command).expect("a command is text");
                assert!(!command.contains(|c: char| c.is_control() && c != '\n'), "{command:?}");
            }
        }
    });
    har.extend(HarWriter::END.as_bytes());
    let again = read_har(&har[..], &HarLimits::default(), drop).expect("what was written can be read");
    assert_eq!(again.flows, flows);
});
