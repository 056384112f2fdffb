//! Hellos in Initial packets, with a protection that is none: order, pieces, neighbours and mistakes. Real keys and the
//! packets of the RFCs are tested where the keys are, in `flowgate-tls`.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a helper fails its test by them")]

use flowgate_wire::client_hello::HelloError;
use flowgate_wire::quic::{
    InitialError, InitialKeys, InitialReader, InitialState, LongHeader, PacketKind, Version,
};
use proptest::prelude::*;

const TAG: [u8; 16] = [0xee; 16];

/// Masks nothing, and takes a packet for its own if it ends in [`TAG`].
#[derive(Clone, Debug)]
struct NoKeys;

impl InitialKeys for NoKeys {
    fn of_client(_: Version, _: &[u8]) -> Option<Self> {
        Some(Self)
    }

    fn unmask(&self, sample: &[u8], _: &mut u8, _: &mut [u8]) -> bool {
        sample.len() == 16
    }

    fn open<'a>(&self, _: u64, _: &[u8], payload: &'a mut [u8]) -> Option<&'a [u8]> {
        payload.strip_suffix(&TAG)
    }
}

type Reader = InitialReader<NoKeys>;

fn vector<const N: usize>(content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u64).to_be_bytes();
    [&length[8 - N..], content].concat()
}

/// A ClientHello that asks for `name`.
fn hello(name: &str) -> Vec<u8> {
    let entry = [&[0][..], &vector::<2>(name.as_bytes())].concat();
    let server_name = [&[0, 0][..], &vector::<2>(&vector::<2>(&entry))].concat();
    let alpn = [&[0, 16][..], &vector::<2>(&vector::<2>(&vector::<1>(b"h3")))].concat();
    let extensions = vector::<2>(&[server_name, alpn].concat());
    let body = [&[3, 3][..], &[7; 32], &[0], &vector::<2>(&[0x13, 1]), &[1, 0], &extensions].concat();
    [&[1][..], &vector::<3>(&body)].concat()
}

/// Two bytes always.
fn varint(value: usize) -> [u8; 2] {
    (u16::try_from(value).unwrap() | 0x4000).to_be_bytes()
}

fn crypto(offset: usize, data: &[u8]) -> Vec<u8> {
    [&[6][..], &varint(offset), &varint(data.len()), data].concat()
}

/// A packet of version 1 with these frames; `first` has the kind in it and a packet number of one byte.
fn packet(first: u8, destination: &[u8], frames: &[u8]) -> Vec<u8> {
    // Long enough for a sample.
    let frames = [frames, &[0; 4]].concat();
    let token = if first & 0x30 == 0 { &[2, 9, 9][..] } else { &[] };
    let length = varint(1 + frames.len() + TAG.len());
    let header = [&[first, 0, 0, 0, 1][..], &vector::<1>(destination), &vector::<1>(b"scid"), token].concat();
    [&header[..], &length, &[5], &frames, &TAG].concat()
}

fn initial(frames: &[u8]) -> Vec<u8> {
    packet(0xc0, b"12345678", frames)
}

fn name(state: InitialState) -> Option<String> {
    match state {
        InitialState::Hello(hello) => {
            assert_eq!(hello.alpn, ["h3"]);
            hello.sni
        }
        other => panic!("no hello: {other:?}"),
    }
}

#[test]
fn a_hello_in_one_datagram() {
    let mut reader = Reader::default();
    assert_eq!(reader.version(), None);
    assert_eq!(name(reader.read(&initial(&crypto(0, &hello("a.test"))))).as_deref(), Some("a.test"));
    assert_eq!(reader.version(), Some(Version::V1));
}

#[test]
fn a_hello_among_other_frames_and_packets() {
    let hello = hello("a.test");
    let ack = [&[3][..], &[9, 0, 2, 1, 0, 1, 0, 1], &[0, 0, 0]].concat();
    let close = [&[0x1c, 0x0a, 6, 3][..], b"why"].concat();
    let (front, back) = hello.split_at(20);
    let first = initial(&[&[1][..], &ack, &crypto(20, back), &close].concat());
    // Between them 0-RTT, which is not looked into, and behind them what is no packet.
    let datagram =
        [&first[..], &packet(0xd0, b"12345678", b"\x77?"), &initial(&crypto(0, front)), b"rubbish"].concat();
    assert_eq!(name(Reader::default().read(&datagram)).as_deref(), Some("a.test"));
}

#[test]
fn what_is_for_another_connection_is_passed_over() {
    let hello = hello("a.test");
    let mut reader = Reader::default();
    assert_eq!(reader.read(&initial(&crypto(0, &hello[..9]))), InitialState::NeedMore);
    let other = packet(0xc0, b"other", &crypto(9, b"????"));
    assert_eq!(reader.read(&other), InitialState::NeedMore);
    assert_eq!(reader.read(b"\x40short header"), InitialState::NeedMore);
    assert_eq!(name(reader.read(&initial(&crypto(9, &hello[9..])))).as_deref(), Some("a.test"));
}

#[test]
fn what_begins_no_connection() {
    let hello = crypto(0, &hello("a.test"));
    let mut not_ours = initial(&hello);
    *not_ours.last_mut().unwrap() = 0;
    let mut other_version = initial(&hello);
    other_version[4] = 9;
    let short = &initial(&hello)[..40];
    for datagram in [
        &b""[..],
        b"ping",
        &not_ours,
        &other_version,
        short,
        &packet(0xd0, b"12345678", &hello),
        &packet(0xe0, b"12345678", &hello),
        &packet(0xf0, b"12345678", &hello),
        // Connection IDs have at most 20 bytes in this version.
        &packet(0xc0, &[1; 21], &hello),
    ] {
        assert_eq!(Reader::default().read(datagram), InitialState::NotInitial, "{datagram:02x?}");
    }
}

#[test]
fn mistakes_are_told_with_their_place() {
    let hello = hello("a.test");
    let check = |frames: &[u8], error: InitialError| {
        assert_eq!(Reader::default().read(&initial(frames)), InitialState::Broken(error), "{frames:02x?}");
    };
    // A STREAM frame, and frames that are cut short.
    check(&[1, 8, 0], InitialError::Frame { kind: 8, at: 1 });
    check(&[1, 6, 0, 0x7f], InitialError::Frame { kind: 6, at: 1 });
    check(&[2, 0, 0, 0x3f], InitialError::Frame { kind: 2, at: 0 });
    check(&[0x1c, 0, 0, 0x3f], InitialError::Frame { kind: 0x1c, at: 0 });
    check(&[2, 0, 0, 0xff], InitialError::Frame { kind: 2, at: 0 });
    check(&[crypto(0, &hello[..10]), crypto(5, &[0xff; 9])].concat(), InitialError::Conflict { at: 5 });
    check(&crypto(0, &[2, 0, 0, 0]), InitialError::Hello(HelloError::HandshakeType { found: 2 }));
    check(&crypto(0, &[1, 0, 0, 1, 3]), InitialError::Hello(HelloError::Overrun { offset: 4 }));
    check(&[0x06, 0x80, 0x01, 0, 0, 1, 9], InitialError::TooLong);
}

#[test]
fn headers_tell_the_ids() {
    let header = LongHeader::read(&packet(0xe3, b"12345678", b"")).unwrap();
    assert_eq!(header.kind, PacketKind::Handshake);
    assert_eq!((header.destination.as_bytes(), header.source.as_bytes()), (&b"12345678"[..], &b"scid"[..]));
}

proptest! {
    /// However a hello is cut, ordered and repeated, the same is read, at the datagram that completes it and not earlier.
    #[test]
    fn order_and_pieces_do_not_matter(
        label in "[a-z]{1,60}",
        cuts in proptest::collection::btree_set(1usize..90, 0..8),
        seed in any::<u64>(),
        repeated in 0usize..4,
        in_a_datagram in 1usize..4,
    ) {
        let message = hello(&format!("{label}.test"));
        let mut ends: Vec<_> = cuts.into_iter().filter(|cut| *cut < message.len()).collect();
        ends.push(message.len());
        let mut start = 0;
        let mut pieces: Vec<_> = ends.into_iter().map(|end| std::mem::replace(&mut start, end)..end).collect();
        pieces.extend(pieces.clone().into_iter().take(repeated));
        let mut random = seed;
        pieces.sort_by_key(|_| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            random >> 33
        });
        let mut reader = Reader::default();
        let mut missing: std::collections::BTreeSet<_> = (0..message.len()).collect();
        for group in pieces.chunks(in_a_datagram) {
            let frames: Vec<u8> =
                group.iter().flat_map(|piece| crypto(piece.start, &message[piece.clone()])).collect();
            missing.retain(|at| !group.iter().any(|piece| piece.contains(at)));
            let state = reader.read(&initial(&frames));
            if missing.is_empty() {
                prop_assert_eq!(name(state), Some(format!("{label}.test")));
            } else {
                prop_assert_eq!(state, InitialState::NeedMore);
            }
        }
    }

    #[test]
    fn never_panics(datagrams in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..5)) {
        let mut reader = Reader::default();
        for datagram in &datagrams {
            let _ = reader.read(datagram);
            let _ = reader.read(&initial(datagram));
        }
    }
}
