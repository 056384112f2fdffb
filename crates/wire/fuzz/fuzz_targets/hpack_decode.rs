//! Any blocks, one after the other, are read or refused, and a list never exceeds what it may hold.
#![no_main]

use flowgate_wire::hpack::Decoder;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, u16, Vec<Vec<u8>>)| {
    let (table_max, list_max, blocks) = input;
    let mut decoder = Decoder::new(table_max.into());
    for block in blocks {
        let Ok(list) = decoder.decode(&block, list_max.into()) else { return };
        let size: usize = list.iter().map(|field| field.name.len() + field.value.len() + 32).sum();
        assert!(size <= usize::from(list_max));
        assert_eq!(list.headers(0).len(), list.iter().len());
    }
});
