//! The authority of an HTTP/2 connection in the clear: what is found, when, and what is not.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use flowgate_wire::h2_authority::{AuthorityReader, AuthorityState};
use flowgate_wire::limits::HEAD_BYTES_MAX;
use flowgate_wire::sniff::HTTP2_PREFACE;
use proptest::prelude::*;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A literal field without indexing (RFC 7541 section 6.2.2), not Huffman-coded.
fn field(name: &str, value: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).unwrap();
    [&[0, length(name)], name.as_bytes(), &[length(value)], value.as_bytes()].concat()
}

fn connection(frames: &[Vec<u8>]) -> Vec<u8> {
    [HTTP2_PREFACE.to_vec(), frame(4, 0, 0, &[]), frames.concat()].concat()
}

fn read(bytes: &[u8]) -> AuthorityState {
    AuthorityReader::default().read(bytes)
}

fn found(host: &str) -> AuthorityState {
    AuthorityState::Authority(host.as_bytes().to_vec())
}

#[test]
fn the_first_request_is_looked_at() {
    let request = field(":authority", "bank.test");
    assert_eq!(read(&connection(&[frame(1, 4, 1, &request)])), found("bank.test"));
    // `:method GET`, `:path /`, and `:authority` with the static table's name.
    let indexed = [&[0x82, 0x84, 0x41, 9], &b"bank.test"[..]].concat();
    assert_eq!(read(&connection(&[frame(1, 5, 1, &indexed)])), found("bank.test"));
    let second = frame(1, 4, 3, &field(":authority", "other.test"));
    assert_eq!(read(&connection(&[frame(1, 4, 1, &request), second])), found("bank.test"));
    let with_host = [field(":method", "GET"), field("host", "host.test")].concat();
    assert_eq!(read(&connection(&[frame(1, 4, 1, &with_host)])), found("host.test"));
    let padded = [&[2][..], &[0; 5], &request, &[0; 2]].concat();
    assert_eq!(read(&connection(&[frame(1, 4 | 8 | 32, 1, &padded)])), found("bank.test"));
    let window_update = frame(8, 0, 0, &[0, 0, 1, 0]);
    assert_eq!(read(&connection(&[window_update, frame(1, 4, 1, &request)])), found("bank.test"));
    let (first, rest) = request.split_at(3);
    assert_eq!(read(&connection(&[frame(1, 0, 1, first), frame(9, 4, 1, rest)])), found("bank.test"));
}

#[test]
fn what_names_nobody_or_is_malformed_is_not_waited_for() {
    let request = field(":authority", "bank.test");
    for frames in [
        vec![frame(1, 4, 1, &field(":method", "GET"))],
        vec![frame(1, 4, 1, &field(":authority", ""))],
        vec![frame(1, 4, 1, b"\xff\xff\xff\xff\xff\xff\xff")],
        vec![frame(1, 4 | 8, 1, &[9, 0])],
        vec![frame(1, 4 | 8, 1, &[])],
        vec![frame(1, 4 | 32, 1, &[0; 4])],
        // Something between the parts of a block.
        vec![frame(1, 0, 1, &request), frame(4, 0, 0, &[])],
        vec![frame(1, 0, 1, &request), frame(1, 4, 3, &request)],
        // A frame longer than anybody has allowed.
        vec![vec![0, 0x40, 1, 0, 0, 0, 0, 0, 1]],
    ] {
        assert_eq!(read(&connection(&frames)), AuthorityState::Absent, "{frames:?}");
    }
    assert_eq!(read(b"GET / HTTP/1.1\r\n"), AuthorityState::Absent);
    // The longest frame is waited for.
    assert_eq!(read(&connection(&[vec![0, 0x40, 0, 0, 0, 0, 0, 0, 1]])), AuthorityState::NeedMore);
}

#[test]
fn the_search_ends() {
    let mut bytes = connection(&[]);
    while bytes.len() + 9 < HEAD_BYTES_MAX {
        bytes.extend(frame(6, 0, 0, &[]));
    }
    bytes.resize(HEAD_BYTES_MAX - 1, 0);
    assert_eq!(read(&bytes), AuthorityState::NeedMore);
    bytes.push(0);
    assert_eq!(read(&bytes), AuthorityState::Absent);
}

proptest! {
    #[test]
    fn pieces_make_no_difference(cuts: Vec<prop::sample::Index>, host in "[a-z.]{1,40}", junk: Vec<u8>) {
        let frames = [frame(6, 0, 0, &junk[..junk.len().min(99)]), frame(1, 4, 1, &field(":authority", &host))];
        let bytes = connection(&frames);
        let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        ends.sort_unstable();
        let mut reader = AuthorityReader::default();
        for end in ends {
            prop_assert_eq!(reader.read(&bytes[..end]), AuthorityState::NeedMore);
        }
        prop_assert_eq!(reader.read(&bytes), found(&host));
    }

    #[test]
    fn any_bytes_are_read_or_not(bytes: Vec<u8>) {
        let _ = read(&bytes);
        let _ = read(&[HTTP2_PREFACE, &bytes].concat());
    }
}
