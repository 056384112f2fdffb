//! Messages inside bodies: what is found in which bytes, wherever they are cut.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use bytes::Bytes;
use flowgate_flow::{BodyMessageKind, Headers};
use flowgate_wire::body_messages::{BodyMessages, Message};
use flowgate_wire::limits::BODY_MESSAGE_BYTES_MAX;
use proptest::prelude::*;

fn read(mut messages: BodyMessages, pieces: &[&[u8]]) -> Vec<Message> {
    let mut found = Vec::new();
    for piece in pieces {
        messages.push(&Bytes::copy_from_slice(piece), |message| found.push(message));
    }
    found
}

/// What is found, in a line each; the same in two pieces wherever they are cut, and byte by byte.
fn lines(new: fn() -> BodyMessages, bytes: &[u8]) -> Vec<String> {
    let whole = read(new(), &[bytes]);
    for at in 0..=bytes.len() {
        let (front, back) = bytes.split_at(at);
        assert_eq!(read(new(), &[front, back]), whole, "cut at {at} of {}", bytes.escape_ascii());
    }
    assert_eq!(read(new(), &bytes.chunks(1).collect::<Vec<_>>()), whole, "{}", bytes.escape_ascii());
    whole.iter().map(line).collect()
}

fn line(message: &Message) -> String {
    let content = String::from_utf8_lossy(&message.content).into_owned();
    let what = match &message.kind {
        BodyMessageKind::Grpc { compressed, trailers, len } => {
            let compressed = if *compressed { " compressed" } else { "" };
            let trailers = if *trailers { " trailers" } else { "" };
            format!("{len}{compressed}{trailers}")
        }
        BodyMessageKind::Event { name, id, retry } => {
            let part = |mark: &str, text: &Option<String>| {
                text.as_ref().map(|text| format!("{mark}{text}")).unwrap_or_default()
            };
            let retry = retry.map(|retry| format!(" retry {retry}")).unwrap_or_default();
            format!("{}{}{retry}", part("", name), part("#", id))
        }
        other => panic!("{other:?}"),
    };
    let cut = if message.truncated { "…" } else { "" };
    format!("{what}[{content}{cut}]")
}

#[test]
fn which_bodies_have_messages() {
    for (fields, has) in [
        (&[("Content-Type", "application/grpc")][..], true),
        (&[("content-type", "Application/GRPC+proto")], true),
        (&[("content-type", "application/grpc; charset=x")], true),
        (&[("content-type", "application/grpc-web+proto")], true),
        (&[("content-type", "application/grpc-web-text")], false),
        (&[("content-type", "application/grpcx")], false),
        (&[("content-type", "text/event-stream")], true),
        (&[("content-type", "Text/Event-Stream;charset=utf-8")], true),
        (&[("content-type", "text/event-streams")], false),
        (&[("content-type", "text/html")], false),
        (&[("content-type", "application/json; a=application/grpc")], false),
        (&[], false),
        // Its messages are not there before it is decoded.
        (&[("content-type", "text/event-stream"), ("content-encoding", "gzip")], true),
        // This is of each message, not of the body.
        (&[("content-type", "application/grpc"), ("grpc-encoding", "gzip")], true),
    ] {
        let headers: Headers = fields.iter().copied().collect();
        assert_eq!(BodyMessages::of(&headers).is_some(), has, "{fields:?}");
    }
}

#[test]
fn messages_of_grpc() {
    for (bytes, expected) in [
        (&b""[..], &[][..]),
        (b"\0\0\0\0\0", &["0[]"]),
        (b"\0\0\0\0\x03abc", &["3[abc]"]),
        (b"\x01\0\0\0\x03abc\0\0\0\0\0\0\0\0\0\x01d", &["3 compressed[abc]", "0[]", "1[d]"]),
        (b"\0\0\0\0\x01a\x80\0\0\0\x0fgrpc-status:0\r\n", &["1[a]", "15 trailers[grpc-status:0\r\n]"]),
        // Not whole: not told.
        (b"\0\0\0\0\x03ab", &[]),
        (b"\0\0\0", &[]),
        // No flags of gRPC: whatever it is, nothing behind it can be found.
        (b"\0\0\0\0\x01a\x02\0\0\0\x01b\0\0\0\0\x01c", &["1[a]"]),
        (b"<html></html>\0\0\0\0\x01a", &[]),
    ] {
        assert_eq!(lines(BodyMessages::grpc, bytes), expected, "{}", bytes.escape_ascii());
    }
}

#[test]
fn events_as_the_standard_has_them() {
    for (bytes, expected) in [
        // The examples of section 9.2.6.
        (&b"data: YHOO\ndata: +2\ndata: 10\n\n"[..], &["[YHOO\n+2\n10]"][..]),
        (
            b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
            &["#1[first event]", "[second event]", "[ third event]"],
        ),
        (b"data\n\ndata\ndata\n\ndata:", &["[]", "[\n]"]),
        (b"data:test\n\ndata: test\n\n", &["[test]", "[test]"]),
        // Ends of lines, in every mixture.
        (b"data: a\r\rdata: b\r\n\r\ndata: c\n\ndata: d\r\n\n", &["[a]", "[b]", "[c]", "[d]"]),
        (b"data: a\n\r\ndata: b\r\r\n", &["[a]", "[b]"]),
        // The byte order mark, once and only at the start.
        (b"\xef\xbb\xbfdata: a\n\n", &["[a]"]),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n\xef\xbb\xbfdata: c\n\n", &["[b]"]),
        (b"\xef\xbbdata: a\n\n", &[]),
        // Fields.
        (b"event: add\ndata: 1\n\ndata: 2\n\n", &["add[1]", "[2]"]),
        (b"event: a\nevent: b\ndata: 1\n\n", &["b[1]"]),
        (b"event:\ndata: 1\n\n", &["[1]"]),
        (b"id: 7\ndata: 1\n\ndata: 2\n\nid\ndata: 3\n\n", &["#7[1]", "#7[2]", "[3]"]),
        (b"id: 7\n\ndata: 1\n\n", &["#7[1]"]),
        (b"id: 7\ndata: 1\n\nid: 8\0\ndata: 2\n\n", &["#7[1]", "#7[2]"]),
        (b"retry: 1500\ndata: 1\n\ndata: 2\n\n", &[" retry 1500[1]", "[2]"]),
        (b"retry: -1\nretry: 1x\nretry:\ndata: 1\n\n", &["[1]"]),
        (b"retry: 99999999999999999999999\ndata: 1\n\n", &[" retry 18446744073709551615[1]"]),
        (b"retry: 1\n\ndata: 1\n\n", &["[1]"]),
        (b"Data: 1\n data: 2\ndata : 3\nunknown: 4\n:data: 5\n\n", &[]),
        (b"data: a: b:c\n\n", &["[a: b:c]"]),
        // An event without data is none, and takes its type with it.
        (b"event: lost\n\ndata: 1\n\n", &["[1]"]),
        // What is not ended is not told.
        (b"data: 1\n", &[]),
        (b"data: 1\n\ndata: 2", &["[1]"]),
        // Not UTF-8.
        (b"data: \xff\xe2\x82\ndata: \xac\nevent: \xff\n\n", &["\u{fffd}[\u{fffd}\u{fffd}\n\u{fffd}]"]),
    ] {
        assert_eq!(lines(BodyMessages::event_stream, bytes), expected, "{}", bytes.escape_ascii());
    }
}

/// What is kept of a content that is this long.
fn kept(new: fn() -> BodyMessages, body: impl Fn(usize) -> Vec<u8>, len: usize) -> (usize, bool) {
    let bytes = body(len);
    let whole = read(new(), &[&bytes]);
    let pieces = read(new(), &bytes.chunks(1000).collect::<Vec<_>>());
    assert_eq!(whole, pieces);
    // Another one behind it is told whole.
    let [long, short] = &whole[..] else { panic!("{} messages", whole.len()) };
    assert_eq!((&short.content[..], short.truncated), (&b"x"[..], false));
    (long.content.len(), long.truncated)
}

#[test]
fn what_is_told_of_a_message_has_a_limit() {
    let max = BODY_MESSAGE_BYTES_MAX;
    let grpc = |len: usize| {
        let prefix = u32::try_from(len).unwrap().to_be_bytes();
        [&[0][..], &prefix, &vec![b'a'; len], b"\0\0\0\0\x01x"].concat()
    };
    let line = |len: usize| [&b"data: "[..], &vec![b'a'; len], b"\n\ndata: x\n\n"].concat();
    let lines = |len: usize| {
        let half = len / 2;
        [&b"data: "[..], &vec![b'a'; half], b"\ndata: ", &vec![b'a'; len - half - 1], b"\n\ndata:x\n\n"]
            .concat()
    };
    let marked = |len: usize| [b"\xef\xbb\xbf", &line(len)[..]].concat();
    for (new, body) in [
        (BodyMessages::grpc as fn() -> BodyMessages, &grpc as &dyn Fn(usize) -> Vec<u8>),
        (BodyMessages::event_stream, &line),
        (BodyMessages::event_stream, &lines),
        (BodyMessages::event_stream, &marked),
    ] {
        assert_eq!(kept(new, body, max), (max, false));
        assert_eq!(kept(new, body, max + 1), (max, true));
        assert_eq!(kept(new, body, max * 3), (max, true));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn events_are_the_same_wherever_they_are_cut(
        parts in prop::collection::vec(
            prop_oneof![
                Just("data: "), Just("data:"), Just("event: "), Just("id: "), Just("retry: 12"), Just("\n"), Just("\r"),
                Just("\r\n"), Just(":"), Just("x"), Just("é"), Just("\u{feff}"), Just("\0"),
            ],
            0..40,
        ),
        cuts in prop::collection::vec(0_usize..200, 0..6),
    ) {
        let bytes = parts.concat().into_bytes();
        let whole = read(BodyMessages::event_stream(), &[&bytes]);
        prop_assert_eq!(&read(BodyMessages::event_stream(), &cut(&bytes, cuts)), &whole);
    }

    #[test]
    fn messages_of_grpc_are_those_that_were_written(
        messages in prop::collection::vec((prop::sample::select(vec![0_u8, 1, 0x80]), prop::collection::vec(any::<u8>(), 0..40)), 0..8),
        cuts in prop::collection::vec(0_usize..400, 0..6),
    ) {
        let mut bytes = Vec::new();
        for (flags, content) in &messages {
            bytes.push(*flags);
            bytes.extend(u32::try_from(content.len()).unwrap().to_be_bytes());
            bytes.extend(content);
        }
        let found = read(BodyMessages::grpc(), &cut(&bytes, cuts));
        let expected: Vec<_> = messages
            .into_iter()
            .map(|(flags, content)| Message {
                kind: BodyMessageKind::Grpc {
                    compressed: flags == 1,
                    trailers: flags == 0x80,
                    len: u32::try_from(content.len()).unwrap(),
                },
                content: content.into(),
                truncated: false,
            })
            .collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), cuts in prop::collection::vec(0_usize..300, 0..6)) {
        for new in [BodyMessages::grpc, BodyMessages::event_stream] {
            let whole = read(new(), &[&bytes]);
            prop_assert_eq!(&read(new(), &cut(&bytes, cuts.clone())), &whole);
        }
    }
}

/// The pieces between these places.
fn cut(bytes: &[u8], mut places: Vec<usize>) -> Vec<&[u8]> {
    places.iter_mut().for_each(|place| *place = (*place).min(bytes.len()));
    places.sort_unstable();
    let mut pieces = Vec::new();
    let mut from = 0;
    for place in places.into_iter().chain([bytes.len()]) {
        pieces.push(&bytes[from..place]);
        from = place;
    }
    pieces
}
