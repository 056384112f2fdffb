//! LDAP: what we write, byte by byte, and what is made of what servers say, however it is cut.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use flowgate_wire::ldap::{LdapError, Message, Says, Search, bind, parse, search, unbind};
use flowgate_wire::limits::LDAP_MESSAGE_BYTES_MAX;
use proptest::prelude::*;

#[test]
fn questions_byte_by_byte() {
    assert_eq!(bind(1, "cn=a", b"pw"), b"\x30\x12\x02\x01\x01\x60\x0d\x02\x01\x03\x04\x04cn=a\x80\x02pw");
    assert_eq!(unbind(3), b"\x30\x05\x02\x01\x03\x42\x00");
    let what = Search { base: "dc=a", key: "uid", value: b"*)(x", entries_max: 2, seconds_max: 5 };
    let expected = b"\x30\x2e\x02\x01\x02\x63\x29\x04\x04dc=a\x0a\x01\x02\x0a\x01\x03\x02\x01\x02\x02\x01\x05\x01\x01\xff\
        \xa3\x0b\x04\x03uid\x04\x04*)(x\x30\x05\x04\x031.1";
    assert_eq!(search(2, &what), expected);
    // A length of more than 127 takes more bytes.
    let long = bind(1, &"n".repeat(200), b"");
    assert_eq!(&long[..12], b"\x30\x81\xd6\x02\x01\x01\x60\x81\xd0\x02\x01\x03");
}

#[test]
fn answers() {
    let says = |bytes: &[u8]| {
        parse(bytes).map(|parsed| {
            parsed.map(|(message, taken)| {
                assert_eq!(taken, bytes.len());
                (message.id, message.says)
            })
        })
    };
    let rows: &[(&[u8], _)] = &[
        (b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00", Ok(Some((1, Says::Bound(0))))),
        (b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x31\x04\x00\x04\x00", Ok(Some((1, Says::Bound(49))))),
        (b"\x30\x0d\x02\x01\x02\x64\x08\x04\x04dc=a\x30\x00", Ok(Some((2, Says::Entry("dc=a".into()))))),
        // As some servers write: lengths in four bytes.
        (
            b"\x30\x84\x00\x00\x00\x10\x02\x01\x02\x65\x84\x00\x00\x00\x07\x0a\x01\x04\x04\x00\x04\x00",
            Ok(Some((2, Says::Done(4)))),
        ),
        (b"\x30\x07\x02\x01\x02\x73\x02\x04\x00", Ok(Some((2, Says::Other)))),
        (b"", Ok(None)),
        (b"\x30", Ok(None)),
        (b"\x30\x84\x00", Ok(None)),
        (b"\x31\x00", Err(LdapError::Malformed { at: 0 })),
        (b"\x30\x80", Err(LdapError::Malformed { at: 1 })),
        (b"\x30\x85\x00\x00\x00\x00\x01", Err(LdapError::Malformed { at: 1 })),
        (b"\x30\x00", Err(LdapError::Malformed { at: 2 })),
        (b"\x30\x05\x02\x01\x80\x65\x00", Err(LdapError::Malformed { at: 4 })),
        (b"\x30\x05\x02\x01\x01\x65\x00", Err(LdapError::Malformed { at: 7 })),
        (b"\x30\x05\x02\x01\x01\x65\x05", Err(LdapError::Malformed { at: 7 })),
        (b"\x30\x09\x02\x01\x01\x64\x04\x04\x02\xff\xff", Err(LdapError::Malformed { at: 9 })),
    ];
    for (bytes, expected) in rows {
        assert_eq!(says(bytes), *expected, "{bytes:02x?}");
    }
}

#[test]
fn a_message_is_so_long_and_no_longer() {
    let of = |length: usize| {
        let length = u32::try_from(length).unwrap().to_be_bytes();
        parse(&[&[0x30, 0x84], &length[..]].concat())
    };
    assert_eq!(of(LDAP_MESSAGE_BYTES_MAX), Ok(None));
    assert_eq!(of(LDAP_MESSAGE_BYTES_MAX + 1), Err(LdapError::TooLong));
}

proptest! {
    #[test]
    fn no_bytes_panic_and_no_message_is_longer_than_what_came(bytes: Vec<u8>) {
        if let Ok(Some((_, taken))) = parse(&bytes) {
            prop_assert!(taken <= bytes.len());
        }
    }

    #[test]
    fn a_name_is_a_name_however_it_is_cut(name in ".{0,300}", id in 0_u8..128, cut in 0_usize..400) {
        let name_bytes = name.as_bytes();
        let length = |count: usize| [vec![0x84], u32::try_from(count).unwrap().to_be_bytes().to_vec()].concat();
        let inner = [vec![4], length(name_bytes.len()), name_bytes.to_vec()].concat();
        let operation = [vec![0x64], length(inner.len()), inner].concat();
        let content = [vec![2, 1, id], operation].concat();
        let whole = [vec![0x30], length(content.len()), content].concat();
        let message = Message { id: id.into(), says: Says::Entry(name) };
        prop_assert_eq!(parse(&whole), Ok(Some((message, whole.len()))));
        if cut < whole.len() {
            prop_assert_eq!(parse(&whole[..cut]), Ok(None));
        }
    }
}
