//! What the encoder writes the decoder reads, whatever the fields are and however the table's limit moves.
#![no_main]

use flowgate_wire::hpack::{Decoder, Encoder, FieldRef};
use libfuzzer_sys::fuzz_target;

type Fields = Vec<(Vec<u8>, Vec<u8>, bool)>;

fuzz_target!(|blocks: Vec<(Option<u16>, Fields)>| {
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new(4096));
    for (table_max, fields) in blocks {
        if let Some(table_max) = table_max {
            encoder.set_table_bytes_max(table_max.into());
            decoder.set_table_bytes_max(table_max.into());
        }
        let fields =
            fields.iter().map(|(name, value, sensitive)| FieldRef { name, value, sensitive: *sensitive });
        let mut block = Vec::new();
        encoder.encode(fields.clone(), &mut block);
        let list = decoder.decode(&block, usize::MAX).expect("our own block is good");
        assert!(list.iter().map(|f| (f.name, f.value)).eq(fields.map(|f| (f.name, f.value))));
    }
});
