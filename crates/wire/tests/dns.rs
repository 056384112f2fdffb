//! DNS messages: a table of what comes and how it reads, and what must hold for any bytes and for any message.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use bytes::Bytes;
use flowgate_flow::{DnsMessage, DnsQuestion, DnsRecord};
use flowgate_wire::dns::{DnsEncodeError, DnsError, decode, encode, name_in};
use flowgate_wire::limits::DNS_NAME_BYTES_MAX;
use proptest::prelude::*;

const HEAD: [u8; 12] = [0x12, 0x34, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0];

/// The name of the only question of a message that has these bytes behind its head.
fn asked(name: &[u8]) -> Result<String, DnsError> {
    let message = [&HEAD[..], name, &[0, 1, 0, 1]].concat();
    decode(&message).map(|mut message| message.questions.remove(0).name)
}

#[test]
fn an_answer_reads_as_it_was_meant() {
    let mut bytes = vec![0x12, 0x34, 0x85, 0xa3, 0, 1, 0, 2, 0, 0, 0, 1];
    bytes.extend(b"\x03www\x01a\x04test\0\0\x01\0\x01");
    // www.a.test CNAME b.a.test, which leads on to the name at 16 by a pointer inside the record.
    bytes.extend(b"\xc0\x0c\0\x05\0\x01\0\0\x01\x2c\0\x04\x01b\xc0\x10");
    bytes.extend(b"\x01b\xc0\x10\0\x01\0\x01\0\0\0\x3c\0\x04\x7f\0\0\x01");
    bytes.extend(b"\0\0\x29\x04\xd0\0\0\0\0\0\0");
    let message = decode(&bytes).unwrap();
    let record = |name: &str, kind, class, ttl, data: &'static [u8]| DnsRecord {
        name: name.into(),
        kind,
        class,
        ttl,
        data: Bytes::from_static(data),
    };
    let expected = DnsMessage {
        id: 0x1234,
        query: false,
        op_code: 0,
        authoritative_answer: true,
        truncation: false,
        recursion_desired: true,
        recursion_available: true,
        reserved: 2,
        response_code: 3,
        questions: vec![DnsQuestion { name: "www.a.test".into(), kind: 1, class: 1 }],
        answers: vec![
            record("www.a.test", 5, 1, 300, b"\x01b\x01a\x04test\0"),
            record("b.a.test", 1, 1, 60, &[127, 0, 0, 1]),
        ],
        authorities: vec![],
        additionals: vec![record("", 41, 1232, 0, b"")],
        timestamp: None,
    };
    assert_eq!(message, expected);
    assert_eq!(decode(&encode(&message).unwrap()), Ok(expected));
    for len in 0..bytes.len() {
        assert_eq!(decode(&bytes[..len]), Err(DnsError::Incomplete { at: len }), "{len}");
    }
    bytes.push(0);
    assert_eq!(decode(&bytes), Err(DnsError::Trailing { at: bytes.len() - 1 }));
}

#[test]
fn names_and_what_is_wrong_with_them() {
    let long: Vec<u8> = [[&[63][..], &[b'a'; 63]].concat(), [&[62][..], &[b'b'; 62]].concat()].concat();
    let longest = [&long[..], &long[..], &[0]].concat();
    assert_eq!(longest.len(), DNS_NAME_BYTES_MAX);
    assert_eq!(asked(&longest).unwrap().len(), 253);
    let too_long = [&longest[..254], b"\x01c\0"].concat();
    for (name, expected) in [
        (&b"\0"[..], Ok("")),
        (b"\x01A\x02b-\0", Ok("A.b-")),
        (b"\x03a.b\x02\\c\0", Ok(r"a\.b.\\c")),
        (b"\x04\0 \x7f\xff\0", Ok(r"\000\032\127\255")),
        (&too_long, Err(DnsError::Name { at: 12 + 254 })),
        (b"\x40a\0", Err(DnsError::Name { at: 12 })),
        (b"\x80a\0", Err(DnsError::Name { at: 12 })),
        // To itself, forward, and to its own beginning.
        (b"\xc0\x0c", Err(DnsError::Name { at: 12 })),
        (b"\xc0\x0e\0", Err(DnsError::Name { at: 12 })),
        (b"\x01a\xc0\x0c", Err(DnsError::Name { at: 14 })),
        // Into the head, which reads as labels that are none.
        (b"\xc0\x02", Err(DnsError::Name { at: 2 })),
    ] {
        assert_eq!(asked(name), expected.map(str::to_owned), "{name:?}");
    }
}

#[test]
fn a_name_that_leads_back_for_ever_ends() {
    // Questions whose names are pointers, each to the one before.
    let mut bytes = HEAD.to_vec();
    bytes[4..6].copy_from_slice(&200_u16.to_be_bytes());
    bytes.extend(b"\0\0\x01\0\x01");
    let mut target = 12_u16;
    for _ in 1..200 {
        let here = bytes.len() as u16;
        bytes.extend((0xc000 | target).to_be_bytes());
        bytes.extend(b"\0\x01\0\x01");
        target = here;
    }
    assert!(matches!(decode(&bytes), Err(DnsError::Name { .. })));
}

#[test]
fn data_that_is_not_what_its_type_says_is_kept() {
    for (kind, data, expected) in [
        (15_u16, &b"\0\x0a\xc0\x0c"[..], &b"\0\x0a\x01q\0"[..]),
        (6, b"\xc0\x0c\xc0\x0c12345678901234567890", b"\x01q\0\x01q\x0012345678901234567890"),
        (33, b"\0\x01\0\x02\0\x03\xc0\x0c", b"\0\x01\0\x02\0\x03\x01q\0"),
        (35, b"\0\x01\0\x02\x01s\0\x02!!\xc0\x0c", b"\0\x01\0\x02\x01s\0\x02!!\x01q\0"),
        // Beyond its end, to nowhere, and a type without names.
        (5, b"\x05abc", b"\x05abc"),
        (5, b"\xff\xff", b"\xff\xff"),
        (16, b"\xc0\x0c", b"\xc0\x0c"),
    ] {
        let mut bytes = HEAD.to_vec();
        bytes[7] = 1;
        bytes.extend(b"\x01q\0\0\x01\0\x01\0");
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 1, 0, 0, 0, 0, 0, data.len() as u8]);
        bytes.extend(data);
        assert_eq!(decode(&bytes).unwrap().answers[0].data, expected, "{kind}");
    }
}

fn question(name: &str) -> DnsMessage {
    let question = DnsQuestion { name: name.into(), kind: 28, class: 1 };
    DnsMessage { questions: vec![question], ..decode(&[0; 12]).unwrap() }
}

#[test]
fn what_has_no_room_is_refused() {
    for (name, expected) in [
        ("a.test", Some("\u{1}a\u{4}test\0")),
        ("a.test.", Some("\u{1}a\u{4}test\0")),
        ("", Some("\0")),
        (r"a\.b", Some("\u{3}a.b\0")),
        ("BÜCHER.test", Some("\u{d}xn--bcher-kva\u{4}test\0")),
        ("a..test", None),
        (".", None),
        (r"a\", None),
        (r"a\25", None),
        (r"a\256", None),
        (&"a".repeat(64), None),
        (&"ü".repeat(64), None),
        (&["a"; 128].join("."), None),
    ] {
        let written = encode(&question(name));
        match expected {
            Some(expected) => {
                let written = written.unwrap();
                assert_eq!(&written[12..written.len() - 4], expected.as_bytes(), "{name}");
            }
            None => assert_eq!(written, Err(DnsEncodeError::Name { name: name.into() })),
        }
    }
    let mut message = question("a");
    message.response_code = 16;
    assert_eq!(
        encode(&message).unwrap_err().to_string(),
        "the response code of a DNS message is too large: 16"
    );
    message.response_code = 0;
    let data = Bytes::from(vec![0; 65_536]);
    message.answers.push(DnsRecord { name: "a".into(), kind: 16, class: 1, ttl: 0, data });
    assert_eq!(
        encode(&message).unwrap_err().to_string(),
        "the length of a record of a DNS message is too large: 65536"
    );
}

#[test]
fn a_name_alone() {
    assert_eq!(name_in(b"\x01a\0").as_deref(), Some("a"));
    for bad in [&b""[..], b"\x01a", b"\x01a\0\0", b"\xc0\0"] {
        assert_eq!(name_in(bad), None, "{bad:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_that_read_come_back(bytes in proptest::collection::vec(any::<u8>(), 0..80), counts in any::<[bool; 4]>()) {
        let mut message = vec![0; 4];
        message.extend(counts.into_iter().flat_map(|one| [0, u8::from(one)]));
        message.extend(bytes);
        if let Ok(mut read) = decode(&message) {
            let mut again = decode(&encode(&read).unwrap()).unwrap();
            // Data that is not what its type says is kept as it came: a pointer in it may lead to a name once it stands elsewhere.
            for message in [&mut read, &mut again] {
                let records = message.answers.iter_mut().chain(&mut message.authorities);
                records.chain(&mut message.additionals).for_each(|record| record.data.clear());
            }
            prop_assert_eq!(again, read);
        }
    }

    #[test]
    fn any_name_comes_back(labels in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..20), 0..6)) {
        let mut bytes: Vec<u8> = labels.iter().flat_map(|label| [&[label.len() as u8][..], label].concat()).collect();
        bytes.push(0);
        let message = question(&asked(&bytes).unwrap());
        prop_assert_eq!(&encode(&message).unwrap()[12..12 + bytes.len()], &bytes);
    }
}
