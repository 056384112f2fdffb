//! HPACK: the examples of RFC 7541 appendix C, what must be refused, and round trips.

use flowgate_wire::hpack::{Decoder, Encoder, Error, FieldRef};
use flowgate_wire::limits::{
    HPACK_ENCODER_TABLE_BYTES_MAX, HPACK_EXCESS_FACTOR_MAX, HPACK_GUESSABLE_COOKIE_BYTES_MAX,
    HPACK_SIZE_UPDATES_MAX,
};
use proptest::prelude::*;

const LIST_BYTES_MAX: usize = 64 * 1024;
/// What an entry of a table counts besides its text (RFC 7541 section 4.1).
const ENTRY_BYTES: usize = 32;

fn hex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| if byte.is_ascii_digit() { byte - b'0' } else { byte - b'a' + 10 };
    text.as_bytes().chunks(2).map(|two| digit(two[0]) << 4 | digit(two[1])).collect()
}

fn lines(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<String>, Error> {
    let list = decoder.decode(block, LIST_BYTES_MAX)?;
    let line = |f: FieldRef<'_>| format!("{}: {}", f.name.escape_ascii(), f.value.escape_ascii());
    Ok(list.iter().map(line).collect())
}

#[test]
fn reads_the_requests_of_appendix_c() {
    let first = [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"];
    let second = [
        ":method: GET",
        ":scheme: http",
        ":path: /",
        ":authority: www.example.com",
        "cache-control: no-cache",
    ];
    let third = [
        ":method: GET",
        ":scheme: https",
        ":path: /index.html",
        ":authority: www.example.com",
        "custom-key: custom-value",
    ];
    let plain = "828684410f7777772e6578616d706c652e636f6d";
    assert_eq!(lines(&mut Decoder::new(4096), &hex(plain)).unwrap(), first);
    let mut decoder = Decoder::new(4096);
    assert_eq!(lines(&mut decoder, &hex("828684418cf1e3c2e5f23a6ba0ab90f4ff")).unwrap(), first);
    assert_eq!(lines(&mut decoder, &hex("828684be5886a8eb10649cbf")).unwrap(), second);
    let block = hex("828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf");
    assert_eq!(lines(&mut decoder, &block).unwrap(), third);
}

#[test]
fn reads_the_responses_of_appendix_c_with_eviction() {
    let mut decoder = Decoder::new(256);
    let first = hex(
        "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
    );
    let tail = [
        "cache-control: private",
        "date: Mon, 21 Oct 2013 20:13:21 GMT",
        "location: https://www.example.com",
    ];
    let got = lines(&mut decoder, &first).unwrap();
    assert_eq!((got[0].as_str(), &got[1..]), (":status: 302", &tail.map(String::from)[..]));
    let got = lines(&mut decoder, &hex("4883640effc1c0bf")).unwrap();
    assert_eq!((got[0].as_str(), &got[1..]), (":status: 307", &tail.map(String::from)[..]));
    let third = hex(
        "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
    );
    let want = [
        ":status: 200",
        "cache-control: private",
        "date: Mon, 21 Oct 2013 20:13:22 GMT",
        "location: https://www.example.com",
        "content-encoding: gzip",
        "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
    ];
    assert_eq!(lines(&mut decoder, &third).unwrap(), want);
}

#[test]
fn refuses_what_the_rfc_forbids() {
    for (block, error) in [
        ("80", Error::Index),
        ("be", Error::Index),
        ("ff8080808010", Error::Integer),
        ("ffffffffff7f", Error::Integer),
        ("ff", Error::Truncated),
        ("40", Error::Truncated),
        ("4003616263", Error::Truncated),
        ("40056162", Error::Truncated),
        ("823f00", Error::TableSize),
        ("3fe21f", Error::TableSize),
        ("202020", Error::TableSize),
        // EOS; eight ones of padding; padding of zeros.
        ("0084ffffffff00", Error::Huffman),
        ("00821fff00", Error::Huffman),
        ("00811800", Error::Huffman),
    ] {
        assert_eq!(lines(&mut Decoder::new(4096), &hex(block)), Err(error), "{block}");
    }
}

#[test]
fn wants_an_update_after_the_limit_was_lowered() {
    let mut decoder = Decoder::new(4096);
    decoder.set_table_bytes_max(100);
    assert_eq!(lines(&mut decoder, &[0x82]), Err(Error::TableSizeMissing));
    assert_eq!(lines(&mut decoder, &hex("3f4582")).unwrap(), [":method: GET"]);
    assert_eq!(lines(&mut decoder, &hex("3f4682")), Err(Error::TableSize));
}

#[test]
fn wants_the_update_although_the_limit_was_raised_again() {
    let lowered = || {
        let mut decoder = Decoder::new(4096);
        decoder.set_table_bytes_max(100);
        decoder.set_table_bytes_max(4096);
        decoder
    };
    assert_eq!(lines(&mut lowered(), &[0x82]), Err(Error::TableSizeMissing));
    // An update to 4096, where one to 100 at most had to come first.
    assert_eq!(lines(&mut lowered(), &hex("3fe11f82")), Err(Error::TableSizeMissing));
    assert_eq!(lines(&mut lowered(), &hex("3f453fe11f82")).unwrap(), [":method: GET"]);
    let mut decoder = lowered();
    assert_eq!(lines(&mut decoder, &hex("2082")).unwrap(), [":method: GET"]);
    assert_eq!(lines(&mut decoder, &[0x82]).unwrap(), [":method: GET"]);
}

#[test]
fn has_at_most_two_updates_in_a_block() {
    assert_eq!(HPACK_SIZE_UPDATES_MAX, 2);
    assert_eq!(lines(&mut Decoder::new(4096), &hex("20203fe11f")), Err(Error::TableSize));
    assert_eq!(lines(&mut Decoder::new(4096), &hex("203fe11f82")).unwrap(), [":method: GET"]);
}

#[test]
fn unpacks_to_at_most_so_many_times_the_list() {
    // `:method: GET` counts 42 bytes.
    let decode = |fields| Decoder::new(4096).decode(&vec![0x82; fields], 42).map(|list| list.iter().len());
    assert_eq!(decode(HPACK_EXCESS_FACTOR_MAX), Ok(1));
    assert_eq!(decode(HPACK_EXCESS_FACTOR_MAX + 1), Err(Error::Excess));
}

#[test]
fn reads_with_tables_larger_than_the_first() {
    let mut decoder = Decoder::new(4096);
    decoder.set_table_bytes_max(65_536);
    // The peer may take less than it was offered: nothing is due.
    assert_eq!(lines(&mut decoder, &[0x82]).unwrap(), [":method: GET"]);
    // An update to 65536, then a hundred fields of 1000 bytes; 63 of them fit.
    let mut block = hex("3fe1ff03");
    for number in 0..100_u8 {
        block.extend([0x40, 2, b'0' + number / 10, b'0' + number % 10]);
        block.extend(hex("7fe706"));
        block.extend([b'x'; 998]);
    }
    decoder.decode(&block, 1 << 20).unwrap();
    let fields = |decoder: &mut Decoder, index: &str| {
        lines(decoder, &hex(index)).map(|lines| lines[0][..4].to_owned())
    };
    assert_eq!(fields(&mut decoder, "be").unwrap(), "99: ");
    assert_eq!(fields(&mut decoder, "fc").unwrap(), "37: ");
    assert_eq!(fields(&mut decoder, "fd"), Err(Error::Index));
    let mut decoder = Decoder::new(65_536);
    assert_eq!(lines(&mut decoder, &hex("3fe2ff0382")), Err(Error::TableSize));
}

#[test]
fn writes_with_no_more_than_its_own_table() {
    // 32 bytes are an entry's, 2 of the value its length.
    let largest = |size: usize| vec![b'v'; size - ENTRY_BYTES - 1];
    let encode = |encoder: &mut Encoder, value: &[u8]| {
        let mut block = Vec::new();
        encoder.encode([FieldRef { name: b"n", value, sensitive: false }].into_iter(), &mut block);
        block.len()
    };
    let mut encoder = Encoder::new();
    encoder.set_table_bytes_max(1 << 20);
    // Fields beyond three quarters of the table are not kept: they would drive out all others.
    let kept_max = HPACK_ENCODER_TABLE_BYTES_MAX / 4 * 3;
    for (size, kept) in [(kept_max, true), (kept_max + 1, false)] {
        encode(&mut encoder, &largest(size));
        assert_eq!(encode(&mut encoder, &largest(size)) == 1, kept, "{size}");
    }
    // Four entries of a quarter fit, and a fifth drives out the first.
    let quarter = |number: u8| [&[number][..], &largest(HPACK_ENCODER_TABLE_BYTES_MAX / 4)[1..]].concat();
    for number in b'a'..=b'd' {
        encode(&mut encoder, &quarter(number));
    }
    assert!((b'a'..=b'd').all(|number| encode(&mut encoder, &quarter(number)) == 1));
    encode(&mut encoder, &quarter(b'e'));
    assert!((b'b'..=b'e').all(|number| encode(&mut encoder, &quarter(number)) == 1));
    assert!(encode(&mut encoder, &quarter(b'a')) > 1);
}

#[test]
fn keeps_short_cookies_out_of_tables() {
    let encode_twice = |len: usize| {
        let (mut encoder, value) = (Encoder::new(), vec![b'c'; len]);
        let mut block = Vec::new();
        for _ in 0..2 {
            block.clear();
            encoder.encode(
                [FieldRef { name: b"cookie", value: &value, sensitive: false }].into_iter(),
                &mut block,
            );
        }
        block
    };
    assert_eq!(encode_twice(HPACK_GUESSABLE_COOKIE_BYTES_MAX)[0] & 0xf0, 0x10);
    assert_eq!(encode_twice(HPACK_GUESSABLE_COOKIE_BYTES_MAX + 1), [0xbe]);
}

#[test]
fn finds_every_field_of_the_static_table() {
    let mut decoder = Decoder::new(4096);
    for index in 1..=61_u8 {
        let list = decoder.decode(&[0x80 | index], 1 << 16).unwrap();
        let field = list.iter().next().unwrap();
        let mut block = Vec::new();
        Encoder::new().encode([field].into_iter(), &mut block);
        let secret = [&b"authorization"[..], b"proxy-authorization", b"cookie"].contains(&field.name);
        assert_eq!(if secret { block[0] & 0xf0 } else { block[0] }, if secret { 0x10 } else { 0x80 | index });
        // The name alone.
        block.clear();
        Encoder::new()
            .encode([FieldRef { value: b"something else that is long", ..field }].into_iter(), &mut block);
        let list = decoder.decode(&block, 1 << 16).unwrap();
        assert_eq!(list.iter().next().unwrap().name, field.name);
        assert!(![0x00, 0x10, 0x40].contains(&block[0]), "the name of index {index} was written out");
    }
}

#[test]
fn leaves_out_what_is_beyond_the_list_and_keeps_the_table() {
    let mut decoder = Decoder::new(4096);
    // `:method: GET` counts 42 bytes.
    let list = decoder.decode(&hex("82400161016282"), 42).unwrap();
    assert!(list.too_large);
    assert_eq!(list.iter().len(), 1);
    assert!(!decoder.decode(&[0x82], 42).unwrap().too_large);
    assert!(decoder.decode(&[0x82], 41).unwrap().too_large);
    assert_eq!(lines(&mut decoder, &[0xbe]).unwrap(), ["a: b"]);
    assert_eq!(decoder.decode(&[0x82; 1024], 42).unwrap_err(), Error::Excess);
}

#[test]
fn never_indexes_secrets_and_keeps_the_mark() {
    let mut block = Vec::new();
    let fields = [
        ("authorization", "Basic eA==", false),
        ("cookie", "a=b", false),
        ("x", "y", true),
        ("x", "y", false),
    ];
    let refs =
        fields.map(|(n, v, sensitive)| FieldRef { name: n.as_bytes(), value: v.as_bytes(), sensitive });
    Encoder::new().encode(refs.into_iter(), &mut block);
    let list = Decoder::new(4096).decode(&block, LIST_BYTES_MAX).unwrap();
    assert_eq!(list.iter().map(|f| f.sensitive).collect::<Vec<_>>(), [true, true, true, false]);
    assert_eq!(list.headers(2).iter().map(|f| f.line).collect::<Vec<_>>(), [b"x: y", b"x: y"]);
}

proptest! {
    #[test]
    fn what_was_written_is_read(blocks in prop::collection::vec(
        (prop::option::of(0_usize..6000), prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 0..40), prop::collection::vec(any::<u8>(), 0..200), any::<bool>()), 0..12)),
        0..12,
    )) {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new(4096));
        for (size, fields) in blocks {
            if let Some(size) = size {
                encoder.set_table_bytes_max(size);
                decoder.set_table_bytes_max(size);
            }
            let refs = fields.iter().map(|(n, v, sensitive)| FieldRef { name: n, value: v, sensitive: *sensitive });
            let mut block = Vec::new();
            encoder.encode(refs.clone(), &mut block);
            let list = decoder.decode(&block, usize::MAX).unwrap();
            prop_assert!(list.iter().map(|f| (f.name, f.value, f.sensitive)).eq(refs.map(|f| (f.name, f.value, f.sensitive))));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(block in prop::collection::vec(any::<u8>(), 0..300), list_max in 0_usize..2000) {
        if let Ok(list) = Decoder::new(4096).decode(&block, list_max) {
            let size: usize = list.iter().map(|f| f.name.len() + f.value.len() + 32).sum();
            prop_assert!(size <= list_max);
        }
    }

    /// Names and values that come again and again: the index finds what a scan would find, whatever was evicted meanwhile.
    #[test]
    fn what_a_table_has_is_found(fields in prop::collection::vec((0_u8..12, 0_u8..12, 0_usize..5), 0..400)) {
        let mut encoder = Encoder::new();
        // A table of the RFC by hand, newest first.
        let mut table: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        for (name, value, len) in fields {
            let field = (format!("n{name}").into_bytes(), format!("{value}{}", "x".repeat(len * 100)).into_bytes());
            let mut block = Vec::new();
            encoder.encode([FieldRef { name: &field.0, value: &field.1, sensitive: false }].into_iter(), &mut block);
            match table.iter().position(|other| *other == field) {
                Some(at) => {
                    let mut index = block[0] & 0x7f;
                    prop_assert!(block[0] & 0x80 != 0, "a field in the table was written out");
                    if index == 0x7f {
                        index = 0x7f + block[1];
                    }
                    prop_assert_eq!(usize::from(index), 62 + at);
                }
                None => {
                    prop_assert_eq!(block[0] & 0xc0, 0x40);
                    let named = table.iter().any(|other| other.0 == field.0);
                    prop_assert_eq!(block[0] != 0x40, named);
                    table.insert(0, field);
                    while table.iter().map(|(n, v)| n.len() + v.len() + ENTRY_BYTES).sum::<usize>() > HPACK_ENCODER_TABLE_BYTES_MAX {
                        table.pop();
                    }
                }
            }
        }
    }
}
