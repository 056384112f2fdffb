//! ClientHellos as they come: whole, cut up, odd and broken.
#![expect(clippy::panic, reason = "a helper fails its test by it")]

use flowgate_wire::client_hello::{
    ClientHello, HELLO_BYTES_MAX, HelloError, HelloReader, HelloState, RECORD_BYTES_MAX, parse,
};
use proptest::prelude::*;

/// A vector with a length of `N` bytes.
fn vector<const N: usize>(content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u64).to_be_bytes();
    [&length[8 - N..], content].concat()
}

fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vector::<2>(body)].concat()
}

/// A server_name extension with entries of a type.
fn server_name(name_type: u8, names: &[&[u8]]) -> Vec<u8> {
    let entries: Vec<u8> =
        names.iter().flat_map(|name| [&[name_type][..], &vector::<2>(name)].concat()).collect();
    extension(0, &vector::<2>(&entries))
}

fn sni(name: &str) -> Vec<u8> {
    server_name(0, &[name.as_bytes()])
}

fn alpn(names: &[&str]) -> Vec<u8> {
    extension(
        16,
        &vector::<2>(&names.iter().flat_map(|name| vector::<1>(name.as_bytes())).collect::<Vec<u8>>()),
    )
}

/// A handshake message with these extensions.
fn message(extensions: &[u8]) -> Vec<u8> {
    let body = [
        &[3, 3][..],
        &[b'R'; 32],
        &vector::<1>(&[b'S'; 32]),
        &vector::<2>(&[0x13, 0x01, 0x13, 0x02, 0xc0, 0x2b]),
        &[1, 0],
        &vector::<2>(extensions),
    ]
    .concat();
    [&[1][..], &vector::<3>(&body)].concat()
}

/// `message` in records of at most `cut` bytes.
fn records(message: &[u8], cut: usize) -> Vec<u8> {
    message.chunks(cut).flat_map(|part| [&[0x16, 3, 1][..], &vector::<2>(part)].concat()).collect()
}

fn hello(bytes: &[u8]) -> ClientHello {
    match parse(bytes) {
        HelloState::Hello(hello) => hello,
        other => panic!("no hello: {other:?}"),
    }
}

fn error(bytes: &[u8]) -> HelloError {
    match parse(bytes) {
        HelloState::NotHello(error) => error,
        other => panic!("no error: {other:?}"),
    }
}

#[test]
fn every_field_is_read() {
    let extensions = [
        extension(0x0a0a, &[]), // GREASE
        sni("Api.Bank.test."),
        alpn(&["h2", "http/1.1"]),
        extension(43, &vector::<1>(&[0x7a, 0x7a, 3, 4, 3, 3])),
        extension(10, &vector::<2>(&[0x2a, 0x2a, 0, 29, 0, 23])),
        extension(11, &vector::<1>(&[0, 1])),
        extension(13, &vector::<2>(&[4, 3, 8, 4])),
        extension(0xfe0d, b"\0anything"),
    ]
    .concat();
    let bytes = records(&message(&extensions), RECORD_BYTES_MAX);
    let hello = hello(&bytes);
    assert_eq!(hello.sni.as_deref(), Some("Api.Bank.test."));
    assert_eq!(hello.alpn, ["h2", "http/1.1"]);
    assert_eq!(hello.cipher_suites, [0x1301, 0x1302, 0xc02b]);
    assert_eq!(hello.legacy_version, 0x0303);
    assert_eq!(hello.versions, [0x7a7a, 0x0304, 0x0303]);
    assert_eq!(hello.extensions, [0x0a0a, 0, 16, 43, 10, 11, 13, 0xfe0d]);
    assert_eq!(hello.groups, [0x2a2a, 29, 23]);
    assert_eq!(hello.point_formats, [0, 1]);
    assert_eq!(hello.signature_algorithms, [0x0403, 0x0804]);
    assert!(hello.has_ech);
    assert_eq!(hello.len, bytes.len());
}

#[test]
fn a_hello_without_extensions_is_one() {
    let body = [&[3, 0][..], &[0; 32], &[0], &vector::<2>(&[0, 5]), &[1, 0]].concat();
    let hello = hello(&records(&[&[1][..], &vector::<3>(&body)].concat(), 99));
    assert_eq!((hello.sni, hello.versions), (None, vec![0x0300]));
}

#[test]
fn which_server_name_counts() {
    for (what, extensions, name) in [
        ("a name", sni("a.test"), Some("a.test")),
        ("an underscore", sni("_x.a.test"), Some("_x.a.test")),
        ("letter case and a final dot are kept", sni("A.test."), Some("A.test.")),
        ("an address", sni("127.9.9.9"), Some("127.9.9.9")),
        ("an IPv6 address", sni("2001:db8::1"), Some("2001:db8::1")),
        ("none", alpn(&["h2"]), None),
        ("an empty name", sni(""), None),
        ("only a dot", sni("."), None),
        ("an empty label", sni("a..test"), None),
        ("a NUL", sni("a.test\0"), None),
        ("a space", sni("a test"), None),
        ("a label of 64", sni(&"x".repeat(64)), None),
        ("a name that is not ASCII", sni("bücher.test"), None),
        ("bytes that are not text", server_name(0, &[b"\xff.test"]), None),
        ("two names", server_name(0, &[b"a.test", b"b.test"]), None),
        ("another name type", server_name(1, &[b"a.test"]), None),
        ("an empty list", server_name(0, &[]), None),
        ("no list", extension(0, &[]), None),
        ("a list that runs over", extension(0, &[0, 9, 0, 0, 1, b'a']), None),
        ("bytes behind the list", extension(0, &[0, 4, 0, 0, 1, b'a', 0]), None),
        ("the first of two", [sni("a.test"), sni("b.test")].concat(), Some("a.test")),
        ("the first valid of two", [sni("a test"), sni("b.test")].concat(), Some("b.test")),
    ] {
        assert_eq!(hello(&records(&message(&extensions), 999)).sni.as_deref(), name, "{what}");
    }
}

#[test]
fn odd_bodies_of_other_extensions_do_not_matter() {
    let extensions = [extension(16, &[9]), extension(43, &[3, 3, 4, 3]), sni("a.test")].concat();
    let hello = hello(&records(&message(&extensions), 999));
    assert_eq!((hello.sni.as_deref(), hello.alpn.len(), hello.versions), (Some("a.test"), 0, vec![0x0303]));
}

#[test]
fn large_hellos_are_read_in_any_cut() {
    for bulk in [15_000, 40_000, 60_000] {
        let message = message(&[extension(21, &vec![0; bulk]), sni("a.test")].concat());
        for cut in [64, 4000, RECORD_BYTES_MAX] {
            assert_eq!(
                hello(&records(&message, cut)).sni.as_deref(),
                Some("a.test"),
                "{bulk} bytes by {cut}"
            );
        }
    }
}

#[test]
fn what_is_no_hello() {
    let message = message(&sni("a.test"));
    let whole = records(&message, RECORD_BYTES_MAX);
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = whole.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        changed
    };
    let mut version_0300 = with(1, &[3, 0]);
    assert_eq!(hello(&version_0300).sni.as_deref(), Some("a.test"), "record version 3.0 is TLS");
    version_0300.extend(b"left over");
    assert_eq!(hello(&version_0300).len, whole.len(), "what follows the hello is not part of it");

    let extensions_at = whole.len() - sni("a.test").len();
    for (what, bytes, wanted) in [
        ("record version 3.4", with(1, &[3, 4]), HelloError::RecordVersion { found: 0x0304, at: 0 }),
        ("application data", with(0, &[23]), HelloError::RecordType { found: 23, at: 0 }),
        ("a ServerHello", with(5, &[2]), HelloError::HandshakeType { found: 2 }),
        ("zeros", [&[0x16, 3, 1, 2, 0][..], &[0; 512]].concat(), HelloError::HandshakeType { found: 0 }),
        ("an empty record", [&[0x16, 3, 1, 0, 0][..], &whole].concat(), HelloError::EmptyRecord { at: 0 }),
        ("a record of 65535", with(3, &[255, 255]), HelloError::RecordTooLong { length: 65535, at: 0 }),
        ("a record one too long", with(3, &[0x40, 1]), HelloError::RecordTooLong { length: 16385, at: 0 }),
        (
            "another record between",
            [records(&message[..40], 40), with(0, &[23])].concat(),
            HelloError::RecordType { found: 23, at: 45 },
        ),
        (
            "an extension that runs over",
            with(extensions_at + 2, &[255, 255]),
            HelloError::Overrun { offset: 87 },
        ),
        ("extensions that end early", with(extensions_at - 2, &[0, 14]), HelloError::LeftOver { offset: 97 }),
        ("an empty message", vec![0x16, 3, 1, 0, 4, 1, 0, 0, 0], HelloError::Overrun { offset: 4 }),
        ("a message of 16 MiB", with(6, &[255, 255, 255]), HelloError::TooLong),
        ("an odd list of ciphers", with(5 + 4 + 2 + 32 + 33, &[0, 5]), HelloError::OddList { offset: 73 }),
    ] {
        assert_eq!(error(&bytes), wanted, "{what}");
    }
}

#[test]
fn record_headers_count_towards_the_limit() {
    let message = message(&extension(21, &vec![0; 60_000]));
    let dripped = records(&message, 1);
    assert!(dripped.len() > HELLO_BYTES_MAX);
    assert_eq!(parse(&dripped[..HELLO_BYTES_MAX - 1]), HelloState::NeedMore);
    assert_eq!(error(&dripped[..HELLO_BYTES_MAX]), HelloError::TooLong);
    assert_eq!(error(&dripped), HelloError::TooLong);
}

#[test]
fn no_proper_prefix_of_a_hello_is_one() {
    let message = message(&[sni("a.test"), alpn(&["h2"])].concat());
    for cut in [1, 7, 64, RECORD_BYTES_MAX] {
        let bytes = records(&message, cut);
        for length in 0..bytes.len() {
            assert_eq!(parse(&bytes[..length]), HelloState::NeedMore, "{length} bytes by {cut}");
        }
        assert_eq!(hello(&bytes).len, bytes.len());
    }
}

/// Names, and what only looks like one.
fn some_name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-zA-Z0-9_-]{1,20}(\\.[a-z0-9]{1,9}){0,4}\\.?", "[ -~]{0,20}"]
}

prop_compose! {
    /// The extensions of a hello, in any order.
    fn some_extensions()(
        names in prop::collection::vec(some_name(), 0..3),
        protocols in prop::collection::vec("[a-z0-9/.]{1,12}", 0..4),
        others in prop::collection::vec((any::<u16>(), prop::collection::vec(any::<u8>(), 0..200)), 0..6),
    )(
        list in Just({
            let mut list: Vec<Vec<u8>> = names.iter().map(|name| sni(name)).collect();
            list.push(alpn(&protocols.iter().map(String::as_str).collect::<Vec<_>>()));
            list.extend(others.iter().map(|(kind, body)| extension(*kind, body)));
            list
        }).prop_shuffle()
    ) -> Vec<u8> {
        list.concat()
    }
}

prop_compose! {
    /// A message cut into records of any lengths.
    fn recut()(
        extensions in some_extensions(),
        cuts in prop::collection::vec(1_usize..300, 1..20),
    ) -> (Vec<u8>, Vec<u8>) {
        let message = message(&extensions);
        let mut rest = &message[..];
        let mut bytes = Vec::new();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (part, left) = rest.split_at((*cut).min(rest.len()));
            bytes.extend(records(part, part.len()));
            rest = left;
        }
        (message, bytes)
    }
}

/// Feeds a reader in steps, as a socket would, and gives its last answer.
fn read_in_steps(bytes: &[u8], steps: &[usize]) -> HelloState {
    let mut reader = HelloReader::default();
    let mut received = 0;
    for step in steps.iter().cycle() {
        received = (received + step).min(bytes.len());
        let state = reader.read(&bytes[..received]);
        if state != HelloState::NeedMore || received == bytes.len() {
            return state;
        }
    }
    unreachable!("there are steps")
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
        let _ = parse(&bytes);
        let _ = parse(&[&[0x16, 3, 1][..], &vector::<2>(&bytes)].concat());
        let _ = parse(&records(&[&[1][..], &vector::<3>(&bytes)].concat(), 50));
    }

    #[test]
    fn cuts_do_not_matter((message, bytes) in recut(), steps in prop::collection::vec(1_usize..50, 1..9)) {
        let whole = hello(&records(&message, RECORD_BYTES_MAX));
        let state = read_in_steps(&bytes, &steps);
        prop_assert_eq!(state, HelloState::Hello(ClientHello { len: bytes.len(), ..whole }));
    }

    #[test]
    fn an_answer_stands(
        (_, mut bytes) in recut(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        steps in prop::collection::vec(1_usize..50, 1..9),
    ) {
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let whole = parse(&bytes);
        prop_assert_eq!(&read_in_steps(&bytes, &steps), &whole);
        bytes.extend(b"and more");
        if whole != HelloState::NeedMore {
            prop_assert_eq!(parse(&bytes), whole);
        }
    }
}
