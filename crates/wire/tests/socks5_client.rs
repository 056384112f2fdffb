//! The SOCKS5 client against scripted proxies: what it sends, what it makes of the answers, in any segmentation.

use flowgate_flow::Address;
use flowgate_wire::socks5_client::{Progress, REPLY_BYTES_MAX, Socks5Client, Socks5Error, UserPassword};
use proptest::prelude::*;

const ALICE: Option<UserPassword<'_>> = Some(UserPassword { user: "al", password: "pw" });
const GRANTED: &[u8] = b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00";

fn address(host: &str, port: u16) -> Address {
    Address { host: host.into(), port }
}

/// Runs a handshake with a proxy that sends `answers`, `segment` bytes at a time; gives all that was sent, and what was
/// left over behind the handshake (`None` if it did not come to its end).
fn converse(
    to: &Address,
    credentials: Option<UserPassword<'_>>,
    answers: &[u8],
    segment: usize,
) -> Result<(Vec<u8>, Option<Vec<u8>>), Socks5Error> {
    let (mut client, mut sent) = Socks5Client::begin(to, credentials)?;
    let (mut buffer, mut coming) = (Vec::new(), answers.chunks(segment.max(1)));
    loop {
        match client.receive(&buffer)? {
            Progress::NeedMore => {
                assert!(buffer.len() < REPLY_BYTES_MAX, "waits for more than a message can be long");
                match coming.next() {
                    Some(more) => buffer.extend_from_slice(more),
                    None => return Ok((sent, None)),
                }
            }
            Progress::Send { consumed, message } => {
                buffer.drain(..consumed);
                sent.extend(message);
            }
            Progress::Established { consumed } => {
                buffer.drain(..consumed);
                coming.for_each(|more| buffer.extend_from_slice(more));
                return Ok((sent, Some(buffer)));
            }
        }
    }
}

#[test]
fn what_is_sent() {
    let sent = |host: &str, credentials, answers: &[u8]| {
        converse(&address(host, 443), credentials, answers, 99).unwrap().0
    };
    let open = &[b"\x05\x00", GRANTED].concat()[..];
    assert_eq!(sent("a.test", None, open), b"\x05\x01\x00\x05\x01\x00\x03\x06a.test\x01\xbb");
    assert_eq!(sent("1.2.3.4", None, open), b"\x05\x01\x00\x05\x01\x00\x01\x01\x02\x03\x04\x01\xbb");
    let v6 = sent("::1", None, open);
    assert_eq!(v6[3..7], *b"\x05\x01\x00\x04");
    assert_eq!(v6.len(), 3 + 4 + 16 + 2);
    // Credentials that nobody asks for stay here.
    assert_eq!(sent("a.test", ALICE, open), b"\x05\x02\x00\x02\x05\x01\x00\x03\x06a.test\x01\xbb");
    let asked = &[b"\x05\x02\x01\x00", GRANTED].concat()[..];
    assert_eq!(
        sent("a.test", ALICE, asked),
        b"\x05\x02\x00\x02\x01\x02al\x02pw\x05\x01\x00\x03\x06a.test\x01\xbb"
    );
}

#[test]
fn what_follows_is_left_over() {
    for reply in [
        GRANTED.to_vec(),
        [&b"\x05\x00\x00\x04"[..], &[7; 18]].concat(),
        [&b"\x05\x00\x00\x03\xff"[..], &[7; 257]].concat(),
    ] {
        let answers = [b"\x05\x00", &reply[..], b"SSH-2.0"].concat();
        for segment in [1, 2, 3, 7, 1000] {
            let (_, rest) = converse(&address("a", 1), None, &answers, segment).unwrap();
            assert_eq!(rest.as_deref(), Some(&b"SSH-2.0"[..]), "{segment}");
        }
    }
}

#[test]
fn refusals() {
    let table: &[(&[u8], Option<UserPassword<'_>>, Socks5Error)] = &[
        (b"HTTP/1.1 400", None, Socks5Error::Version { found: b'H' }),
        (b"\x05\xff", None, Socks5Error::AuthRequired),
        (b"\x05\xff", ALICE, Socks5Error::AuthRefused),
        (b"\x05\x02", None, Socks5Error::Method { found: 2 }),
        (b"\x05\x01", ALICE, Socks5Error::Method { found: 1 }),
        (b"\x05\x02\x01\x01", ALICE, Socks5Error::AuthRefused),
        (b"\x05\x02\x07\x00", ALICE, Socks5Error::AuthVersion { found: 7 }),
        (b"\x05\x00\x05\x05", None, Socks5Error::Refused { code: 5 }),
        (b"\x05\x00\x04\x00", None, Socks5Error::Version { found: 4 }),
        (b"\x05\x00\x05\x00\x00\x09", None, Socks5Error::AddressType { found: 9 }),
    ];
    for (answers, credentials, expected) in table {
        assert_eq!(
            &converse(&address("a", 1), *credentials, answers, 1).unwrap_err(),
            expected,
            "{answers:?}"
        );
    }
    let long = "a".repeat(256);
    assert_eq!(converse(&address(&long, 1), None, b"", 1), Err(Socks5Error::Name { len: 256 }));
    assert_eq!(converse(&address("", 1), None, b"", 1), Err(Socks5Error::Name { len: 0 }));
    let too_long = Some(UserPassword { user: "u", password: &long });
    assert_eq!(converse(&address("a", 1), too_long, b"", 1), Err(Socks5Error::Credentials));
}

#[test]
fn secrets_are_not_shown() {
    let (client, _) = Socks5Client::begin(&address("a", 1), ALICE).unwrap();
    assert!(!format!("{client:?} {ALICE:?}").contains("pw"));
}

proptest! {
    #[test]
    fn any_segmentation_gives_the_same(
        start in prop::sample::select(vec![&b"\x05\x00"[..], b"\x05\x02\x01\x00", b"\x05\x02\x01\x01", b""]),
        rest in prop::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(3), Just(5), any::<u8>()], 0..400),
        segment in 1_usize..40,
    ) {
        let answers = [start, &rest[..]].concat();
        let whole = converse(&address("host.test", 80), ALICE, &answers, usize::MAX);
        prop_assert_eq!(converse(&address("host.test", 80), ALICE, &answers, segment), whole);
    }

    #[test]
    fn never_panics(host in "\\PC{0,300}", user in "\\PC{0,300}", password in "\\PC{0,300}", answers: Vec<u8>) {
        let credentials = Some(UserPassword { user: &user, password: &password });
        let _ = converse(&address(&host, 80), credentials, &answers, 3);
    }
}
