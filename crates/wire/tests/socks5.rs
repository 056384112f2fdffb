//! SOCKS5 messages: a table of what clients send, and what must hold for any bytes.

use std::fmt::Debug;

use flowgate_wire::socks5::{
    Method, Parsed, Reply, Socks5Error, encode_credentials_answer, parse_credentials, parse_greeting,
    parse_request,
};
use proptest::prelude::*;

#[test]
fn greetings() {
    let (greeting, len) = parse_greeting(&[5, 2, 0, 2, 9]).unwrap().unwrap();
    assert_eq!(len, 4);
    assert!(greeting.offers(Method::NoAuthentication) && greeting.offers(Method::UserPassword));
    let (greeting, len) = parse_greeting(&[5, 0]).unwrap().unwrap();
    assert_eq!(len, 2);
    assert!(!greeting.offers(Method::NoAuthentication));
    for partial in [&[][..], &[5], &[5, 1], &[5, 2, 0]] {
        assert_eq!(parse_greeting(partial), Ok(None), "{partial:?}");
    }
    assert_eq!(parse_greeting(b"GET / HTTP/1.1"), Err(Socks5Error::Version { found: b'G' }));
    assert_eq!(parse_greeting(&[4]), Err(Socks5Error::Version { found: 4 }));
    assert_eq!(Method::NoAuthentication.encode(), [5, 0]);
    assert_eq!(Method::NoneAcceptable.encode(), [5, 0xff]);
}

#[test]
fn requests() {
    let check = |bytes: &[u8], expected: Result<&str, Socks5Error>| {
        let found = parse_request(bytes).map(|parsed| {
            let (address, len) = parsed.unwrap();
            assert_eq!(len, bytes.len());
            address.to_string()
        });
        assert_eq!(found, expected.map(str::to_owned), "{bytes:?}");
    };
    check(&[5, 1, 0, 1, 127, 0, 0, 1, 0, 80], Ok("127.0.0.1:80"));
    check(b"\x05\x01\x00\x03\x06a.test\x01\xbb", Ok("a.test:443"));
    check(b"\x05\x01\x00\x03\x05[::1]\x01\xbb", Ok("[::1]:443"));
    check(b"\x05\x01\xff\x03\x0cb\xc3\xbccher.test\x01\xbb", Ok("b\u{fc}cher.test:443"));
    let mut ipv6 = vec![5, 1, 0, 4];
    ipv6.extend([0; 15]);
    ipv6.extend([1, 0x1f, 0x90]);
    check(&ipv6, Ok("[::1]:8080"));
    check(&[4, 1], Err(Socks5Error::Version { found: 4 }));
    check(&[5, 2], Err(Socks5Error::Command { found: 2 }));
    check(&[5, 1, 0, 2], Err(Socks5Error::AddressType { found: 2 }));
    for name in [&b""[..], b"a b", b"a\0", b"\xff\xfe", b"a\r\nb", b"u@a", b"a/b", b"[]"] {
        let mut request = vec![5, 1, 0, 3, u8::try_from(name.len()).unwrap()];
        request.extend(name);
        request.extend([0, 80]);
        check(&request, Err(Socks5Error::Name));
    }
}

#[test]
fn refusals_have_replies() {
    assert_eq!(Socks5Error::Version { found: 4 }.reply(), None);
    assert_eq!(Socks5Error::Command { found: 3 }.reply(), Some(Reply::CommandNotSupported));
    assert_eq!(Socks5Error::AddressType { found: 9 }.reply(), Some(Reply::AddressTypeNotSupported));
    assert_eq!(Socks5Error::Name.reply(), Some(Reply::GeneralFailure));
    assert_eq!(Reply::Succeeded.encode("127.0.0.2:258".parse().unwrap()), [5, 0, 0, 1, 127, 0, 0, 2, 1, 2]);
    let reply = Reply::ConnectionRefused.encode("[::1]:1".parse().unwrap());
    assert_eq!((&reply[..4], reply.len()), (&[5, 5, 0, 4][..], 22));
}

#[test]
fn user_names_and_passwords() {
    let (credentials, len) = parse_credentials(b"\x01\x02me\x03abcX").unwrap().unwrap();
    assert_eq!((&credentials.user[..], &credentials.password[..], len), (&b"me"[..], &b"abc"[..], 8));
    assert_eq!(format!("{credentials:?}"), "Credentials { .. }", "secrets are not shown");
    assert_eq!(parse_credentials(&[5]), Err(Socks5Error::CredentialsVersion { found: 5 }));
    assert_eq!((encode_credentials_answer(true), encode_credentials_answer(false)), ([1, 0], [1, 1]));
}

/// What a parser says of a message it says of everything that begins with it, and nothing else before.
fn any_segmentation<T: Debug + PartialEq>(parse: fn(&[u8]) -> Parsed<T>, bytes: &[u8]) {
    let whole = parse(bytes);
    for received in 0..bytes.len() {
        let earlier = parse(&bytes[..received]);
        assert!(
            earlier == Ok(None) || earlier == whole,
            "{earlier:?} after {received} bytes, then {whole:?}"
        );
    }
}

fn messages() -> impl Strategy<Value = Vec<u8>> {
    let version = prop_oneof![Just(5_u8), Just(1), any::<u8>()];
    (version, 0_u8..3, any::<u8>(), 0_u8..6, prop::collection::vec(any::<u8>(), 0..300)).prop_map(
        |(version, command, reserved, kind, rest)| [&[version, command, reserved, kind][..], &rest].concat(),
    )
}

proptest! {
    #[test]
    fn any_bytes(bytes in messages()) {
        any_segmentation(parse_greeting, &bytes);
        any_segmentation(parse_request, &bytes);
        any_segmentation(parse_credentials, &bytes);
        // Bounded: more than the longest message always has an answer.
        let long = [&bytes[..], &[0; 520]].concat();
        prop_assert_ne!(parse_greeting(&long), Ok(None));
        prop_assert_ne!(parse_request(&long), Ok(None));
        prop_assert_ne!(parse_credentials(&long), Ok(None));
    }

    #[test]
    fn names_come_out_as_they_went_in(name in "[a-z0-9.-]{1,255}", port: u16) {
        let length = [u8::try_from(name.len()).unwrap()];
        let request = [&[5, 1, 0, 3][..], &length, name.as_bytes(), &port.to_be_bytes()].concat();
        let (address, len) = parse_request(&request).unwrap().unwrap();
        prop_assert_eq!((address.host, address.port, len), (name, port, request.len()));
    }
}
