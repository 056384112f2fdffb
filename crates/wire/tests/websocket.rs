//! WebSocket frames: the examples of the RFCs, each fault, a recorded conversation, and any bytes in any pieces.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

use std::fmt::Write as _;

use bytes::BufMut;
use flate2::{Compress, Compression, FlushCompress};
use flowgate_wire::limits::{WEBSOCKET_INFLATED_BYTES_MAX, WEBSOCKET_MESSAGE_BYTES_MAX};
use flowgate_wire::websocket::{
    DecodeError, Deflate, DeflateSide, Event, Extensions, Fault, FrameDecoder, FrameHeader, MessageKind,
    Opcode, Sender, apply_mask, parse_extensions,
};
use proptest::prelude::*;

const TAKEOVER: Deflate = Deflate {
    client: DeflateSide { context_takeover: true, window_bits: 15 },
    server: DeflateSide { context_takeover: true, window_bits: 15 },
};
const NO_TAKEOVER: Deflate = Deflate {
    client: DeflateSide { context_takeover: false, window_bits: 15 },
    server: DeflateSide { context_takeover: false, window_bits: 15 },
};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// All events of a stream that comes in pieces, and how it ended.
fn decode<'a>(
    mut decoder: FrameDecoder,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Event>, Result<(), DecodeError>) {
    let mut events = Vec::new();
    let mut end = Ok(());
    for piece in pieces {
        end = decoder.push(piece, |event| events.push(event));
    }
    (events, end)
}

/// One line for what a stream says.
fn told(sender: Sender, deflate: Option<&Deflate>, stream: &[u8]) -> String {
    let decoder = || FrameDecoder::new(sender, deflate, WEBSOCKET_MESSAGE_BYTES_MAX);
    let (events, end) = decode(decoder(), [stream]);
    assert_eq!(decode(decoder(), stream.chunks(1)), (events.clone(), end), "in single bytes");
    let mut line = String::new();
    for event in events {
        match event {
            Event::Message(message) => {
                let kind = if message.kind == MessageKind::Text { "text" } else { "binary" };
                let cut = if message.truncated { "..." } else { "" };
                write!(line, "{kind} {:?}{cut}; ", String::from_utf8_lossy(&message.content)).unwrap();
            }
            Event::Ping(payload) => write!(line, "ping {payload:?}; ").unwrap(),
            Event::Pong(payload) => write!(line, "pong {payload:?}; ").unwrap(),
            Event::Close(close) => write!(line, "close {:?} {:?}; ", close.code, close.reason).unwrap(),
        }
    }
    if let Err(error) = end {
        write!(line, "! {error}").unwrap();
    }
    line.trim_end_matches("; ").to_owned()
}

#[track_caller]
fn check(sender: Sender, deflate: Option<&Deflate>, stream: &str, want: &str) {
    assert_eq!(told(sender, deflate, &hex(stream)), want);
}

#[test]
fn the_examples_of_rfc_6455() {
    check(Sender::Server, None, "81 05 48656c6c6f", r#"text "Hello""#);
    check(Sender::Client, None, "81 85 37fa213d 7f9f4d5158", r#"text "Hello""#);
    check(Sender::Server, None, "01 03 48656c  80 02 6c6f", r#"text "Hello""#);
    check(Sender::Server, None, "89 05 48656c6c6f", r#"ping b"Hello""#);
    check(Sender::Client, None, "8a 85 37fa213d 7f9f4d5158", r#"pong b"Hello""#);
    for (head, len) in [("82 7e 0100", 256), ("82 7f 0000000000010000", 65_536)] {
        let mut stream = hex(head);
        stream.resize(stream.len() + len, b'x');
        assert_eq!(told(Sender::Server, None, &stream), format!("binary {:?}", "x".repeat(len)));
    }
}

#[test]
fn the_examples_of_rfc_7692() {
    for (stream, want) in [
        ("c1 07 f248cdc9c90700", r#"text "Hello""#),
        ("41 03 f248cd  80 04 c9c90700", r#"text "Hello""#),
        ("c1 07 f248cdc9c90700  c1 05 f200110000", r#"text "Hello"; text "Hello""#),
        ("c1 0b 000500faff48656c6c6f00", r#"text "Hello""#),
        ("c1 08 f348cdc9c9070000", r#"text "Hello""#),
        ("c1 0d f2480500 0000ffff cac9c90700", r#"text "Hello""#),
    ] {
        check(Sender::Server, Some(&TAKEOVER), stream, want);
    }
    // Each message for itself.
    check(
        Sender::Server,
        Some(&NO_TAKEOVER),
        "c1 07 f248cdc9c90700  c1 07 f248cdc9c90700",
        r#"text "Hello"; text "Hello""#,
    );
    // Agreed, and not used for this message.
    check(Sender::Server, Some(&TAKEOVER), "81 05 48656c6c6f", r#"text "Hello""#);
}

#[test]
fn what_senders_do_at_the_edges() {
    for (stream, want) in [
        // Empty, as it should be, and without even that byte.
        ("c1 01 00", r#"text """#),
        ("c1 00  c1 07 f248cdc9c90700", r#"text ""; text "Hello""#),
        // A final block that nothing follows, with another message behind it.
        ("c1 07 f348cdc9c90700  c1 07 f248cdc9c90700", r#"text "Hello"; text "Hello""#),
        // The compressor's blocks end anywhere.
        ("41 00  00 01 f2  00 00  80 06 48cdc9c90700", r#"text "Hello""#),
        // A ping, and even the close, between fragments.
        ("41 03 f248cd  89 00  80 04 c9c90700", r#"ping b""; text "Hello""#),
        ("01 01 61  88 00", r#"close None """#),
        ("88 02 03e8", r#"close Some(1000) """#),
        ("88 07 0fa0 c3bc627965", r#"close Some(4000) "übye""#),
        ("01 00  80 00", r#"text """#),
        // What is unfinished is not told.
        ("81 05 48656c6c", ""),
        ("82 7e 01", ""),
    ] {
        check(Sender::Server, Some(&TAKEOVER), stream, want);
    }
}

#[test]
fn each_fault_by_its_name() {
    for (stream, want) in [
        ("91 00", "! reserved bits 0x10 without an extension that uses them, in the frame at byte 0"),
        ("a1 00", "! reserved bits 0x20 without an extension that uses them, in the frame at byte 0"),
        ("c1 00", "! reserved bits 0x40 without an extension that uses them, in the frame at byte 0"),
        ("83 00", "! unknown opcode 0x3, in the frame at byte 0"),
        ("8b 00", "! unknown opcode 0xb, in the frame at byte 0"),
        ("09 00", "! fragmented ping frame, in the frame at byte 0"),
        ("89 7e", "! ping frame longer than 125 bytes, in the frame at byte 0"),
        ("88 7f", "! close frame longer than 125 bytes, in the frame at byte 0"),
        ("82 7e 007d", "! length 125 not written in the shortest way, in the frame at byte 0"),
        ("82 7f 000000000000ffff", "! length 65535 not written in the shortest way, in the frame at byte 0"),
        ("82 7f 8000000000000000", "! length 9223372036854775808 beyond 63 bits, in the frame at byte 0"),
        ("81 80 00000000", "! server sent a frame with a mask, in the frame at byte 0"),
        ("01 00 81 00", "! a message begins inside another, in the frame at byte 2"),
        (
            "81 00 80 00",
            r#"text ""; ! continuation frame without a message to continue, in the frame at byte 2"#,
        ),
        ("88 01 03", "! close frame with half a code, in the frame at byte 0"),
        (
            "88 02 03ed",
            r#"close Some(1005) ""; ! close code 1005, which may not be sent, in the frame at byte 0"#,
        ),
        (
            "88 02 03f8",
            r#"close Some(1016) ""; ! close code 1016, which may not be sent, in the frame at byte 0"#,
        ),
        (
            "88 04 03e8 ff61",
            "close Some(1000) \"\u{fffd}a\"; ! close reason that is not UTF-8, in the frame at byte 0",
        ),
        ("88 00 81", r#"close None ""; ! frame behind the close frame, in the frame at byte 2"#),
    ] {
        check(Sender::Server, None, stream, want);
    }
    check(Sender::Client, None, "81 00", "! client sent a frame without a mask, in the frame at byte 0");
    for (stream, want) in [
        ("c9 00", "! reserved bits 0x40 without an extension that uses them, in the frame at byte 0"),
        ("41 00 c0 00", "! reserved bits 0x40 without an extension that uses them, in the frame at byte 2"),
        ("81 01 61 c1 01 ff", "text \"a\"; ! compressed message is damaged, in the frame at byte 3"),
    ] {
        check(Sender::Server, Some(&TAKEOVER), stream, want);
    }
}

#[test]
fn a_fault_is_final() {
    let mut decoder = FrameDecoder::new(Sender::Server, None, 100);
    let error = decoder.push(&hex("83 00"), |_| unreachable!()).unwrap_err();
    assert_eq!(error, DecodeError { fault: Fault::UnknownOpcode(3), at: 0 });
    assert_eq!(decoder.push(&hex("81 00"), |_| unreachable!()), Err(error));
}

#[test]
fn long_contents_are_cut_and_say_so() {
    let mut server = Peer::new(Some(&TAKEOVER));
    for compressed in [false, true] {
        server.message(Opcode::Text, &[b"0123456789abcdef"], compressed);
        server.message(Opcode::Text, &[b"0123", b"4567"], compressed);
    }
    let contents = |content_bytes_max| {
        let decoder = FrameDecoder::new(Sender::Server, Some(&TAKEOVER), content_bytes_max);
        let (events, end) = decode(decoder, server.stream.chunks(3));
        assert_eq!(end, Ok(()));
        let content = |event| match event {
            Event::Message(message) => {
                (String::from_utf8(message.content.to_vec()).unwrap(), message.truncated)
            }
            other => panic!("{other:?}"),
        };
        events.into_iter().map(content).collect::<Vec<_>>()
    };
    let wanted = |long: &str, short: &str| {
        let pair = [(long.to_owned(), long.len() < 16), (short.to_owned(), short.len() < 8)];
        [pair.clone(), pair].concat()
    };
    assert_eq!(contents(16), wanted("0123456789abcdef", "01234567"));
    assert_eq!(contents(8), wanted("01234567", "01234567"));
    assert_eq!(contents(7), wanted("0123456", "0123456"));
    assert_eq!(contents(0), wanted("", ""));
}

#[test]
fn a_bomb_ends_the_reading() {
    let mut server = Peer::new(Some(&TAKEOVER));
    let fuse = usize::try_from(WEBSOCKET_INFLATED_BYTES_MAX).unwrap() + 1;
    server.message(Opcode::Binary, &[&vec![0; fuse]], true);
    let decoder = FrameDecoder::new(Sender::Server, Some(&TAKEOVER), 1000);
    let (events, end) = decode(decoder, [&server.stream[..]]);
    assert_eq!((events, end), (vec![], Err(DecodeError { fault: Fault::InflatedTooLong, at: 0 })));
}

/// A conversation between a client and a server of the Python package `websockets` 17.4, as it crossed.
#[test]
fn a_conversation_of_another_implementation() {
    let long = "grüße ".repeat(50);
    let bytes = [0u8, 255].repeat(200);
    let all: Vec<u8> = (0..=255).collect();
    let fragments = "fragment one, fragment one, end";
    let text = |content: &str| (MessageKind::Text, content.as_bytes().to_vec());
    let sent = [
        text("hello"),
        text("hello"),
        text(""),
        text("bin please"),
        text(&long),
        (MessageKind::Binary, bytes),
        text(fragments),
    ];
    let mut echoed = sent.to_vec();
    echoed.insert(4, (MessageKind::Binary, all));
    for (client, server, header) in [
        (
            include_str!("data/websocket/takeover-client.hex"),
            include_str!("data/websocket/takeover-server.hex"),
            "permessage-deflate",
        ),
        (
            include_str!("data/websocket/no-takeover-client.hex"),
            include_str!("data/websocket/no-takeover-server.hex"),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
             server_max_window_bits=10; client_max_window_bits=9",
        ),
    ] {
        let deflate = parse_extensions([header.as_bytes()].into_iter()).unwrap().deflate.unwrap();
        for (sender, stream, want, control) in [
            (Sender::Client, client, &sent[..], "Ping(b\"are you there\")"),
            (Sender::Server, server, &echoed[..], "Pong(b\"are you there\")"),
        ] {
            let stream = hex(stream);
            let decoder = FrameDecoder::new(sender, Some(&deflate), WEBSOCKET_MESSAGE_BYTES_MAX);
            let (events, end) = decode(decoder, stream.chunks(7));
            assert_eq!(end, Ok(()));
            let (mut messages, mut others) = (Vec::new(), Vec::new());
            for event in events {
                match event {
                    Event::Message(message) => messages.push((message.kind, message.content.to_vec())),
                    other => others.push(format!("{other:?}")),
                }
            }
            assert_eq!(messages, want);
            assert_eq!(others, [control, "Close(CloseFrame { code: Some(1000), reason: \"bye\" })"]);
        }
    }
}

#[test]
fn extensions_as_agreed() {
    let side = |context_takeover, window_bits| DeflateSide { context_takeover, window_bits };
    let parsed = |header: &str| match parse_extensions(header.split('\n').map(str::as_bytes)) {
        Ok(Extensions { deflate: None, unknown }) if unknown.is_empty() => "none".to_owned(),
        Ok(Extensions { deflate, unknown }) => {
            let side = |side: DeflateSide| {
                format!("{}{}", side.window_bits, if side.context_takeover { "+" } else { "" })
            };
            let deflate = deflate.map(|d| format!("client {} server {}", side(d.client), side(d.server)));
            [deflate.into_iter().collect(), unknown].concat().join(", ")
        }
        Err(err) => format!("! {err}"),
    };
    for (header, want) in [
        ("", "none"),
        (" , ", "none"),
        ("permessage-deflate", "client 15+ server 15+"),
        ("Permessage-Deflate ; Client_No_Context_Takeover", "client 15 server 15+"),
        ("permessage-deflate;server_no_context_takeover;server_max_window_bits=8", "client 15+ server 8"),
        (
            "permessage-deflate; client_max_window_bits=\"15\"; server_max_window_bits = 9",
            "client 15+ server 9+",
        ),
        ("x-foo; a=1, permessage-deflate", "client 15+ server 15+, x-foo"),
        ("x-foo\npermessage-deflate", "client 15+ server 15+, x-foo"),
        ("permessage-deflate, permessage-deflate", "! permessage-deflate agreed twice"),
        ("permessage-deflate;", "! malformed Sec-WebSocket-Extensions"),
        ("permessage-deflate; a b", "! malformed Sec-WebSocket-Extensions"),
        ("permessage-deflate; client_max_window_bits=\"1", "! malformed Sec-WebSocket-Extensions"),
    ] {
        assert_eq!(parsed(header), want, "{header}");
    }
    for parameter in [
        "mystery",
        "client_max_window_bits",
        "client_max_window_bits=7",
        "client_max_window_bits=16",
        "client_max_window_bits=08",
        "client_no_context_takeover=1",
        "server_no_context_takeover; server_no_context_takeover",
        "server_max_window_bits=9; server_max_window_bits=9",
    ] {
        let name = parameter.split(['=', ';']).next().unwrap();
        let want =
            format!("! permessage-deflate with a parameter {name} that is unknown, repeated or malformed");
        assert_eq!(parsed(&format!("permessage-deflate; {parameter}")), want);
    }
    assert_eq!(
        parse_extensions([&b"permessage-deflate"[..]].into_iter()).unwrap().deflate,
        Some(Deflate { client: side(true, 15), server: side(true, 15) }),
    );
}

/// Someone who sends.
struct Peer {
    stream: Vec<u8>,
    mask: Option<[u8; 4]>,
    context_takeover: bool,
    compress: Compress,
}

impl Peer {
    fn new(deflate: Option<&Deflate>) -> Self {
        let context_takeover = deflate.is_some_and(|deflate| deflate.server.context_takeover);
        let compress = Compress::new(Compression::default(), false);
        Self { stream: Vec::new(), mask: None, context_takeover, compress }
    }

    fn frame(&mut self, fin: bool, rsv1: bool, opcode: Opcode, payload: &[u8]) {
        let header = FrameHeader { fin, rsv1, opcode, len: payload.len() as u64, mask: self.mask };
        header.encode(&mut self.stream);
        let start = self.stream.len();
        self.stream.put_slice(payload);
        if let Some(key) = self.mask {
            apply_mask(&mut self.stream[start..], key, 0);
        }
    }

    /// A message in these fragments; compressed ones are cut in as many places.
    fn message(&mut self, opcode: Opcode, fragments: &[&[u8]], compressed: bool) {
        let packed;
        let mut fragments = fragments.to_vec();
        if compressed {
            packed = self.deflate(&fragments.concat());
            fragments = packed.chunks(packed.len().div_ceil(fragments.len())).collect();
        }
        for (i, fragment) in fragments.iter().enumerate() {
            let opcode = if i == 0 { opcode } else { Opcode::Continuation };
            self.frame(i + 1 == fragments.len(), compressed && i == 0, opcode, fragment);
        }
    }

    fn deflate(&mut self, content: &[u8]) -> Vec<u8> {
        if !self.context_takeover {
            self.compress.reset();
        }
        let (mut packed, mut buf) = (Vec::new(), [0; 1000]);
        let start = self.compress.total_in();
        loop {
            let rest = &content[usize::try_from(self.compress.total_in() - start).unwrap()..];
            let before = self.compress.total_out();
            self.compress.compress(rest, &mut buf, FlushCompress::Sync).unwrap();
            let n = usize::try_from(self.compress.total_out() - before).unwrap();
            packed.extend_from_slice(&buf[..n]);
            if n < buf.len() {
                break;
            }
        }
        packed.truncate(packed.strip_suffix(&[0, 0, 0xff, 0xff]).expect("a flush ends so").len());
        packed
    }
}

/// Cuts a stream at these places, wherever they fall.
fn pieces<'a>(stream: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
    cuts.extend([0, stream.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]).collect()
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        (any::<u8>(), 0usize..70_000).prop_map(|(byte, n)| vec![byte; n]),
    ]
}

proptest! {
    #[test]
    fn what_is_sent_is_told_however_it_is_cut(
        messages in prop::collection::vec(
            (any::<bool>(), any::<bool>(), prop::collection::vec(content(), 1..4), any::<Option<[u8; 9]>>()), 0..6),
        mask in any::<Option<[u8; 4]>>(),
        context_takeover in any::<bool>(),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let deflate = if context_takeover { TAKEOVER } else { NO_TAKEOVER };
        let mut peer = Peer { mask, ..Peer::new(Some(&deflate)) };
        let mut want = Vec::new();
        for (text, compressed, fragments, ping) in &messages {
            let (opcode, kind) =
                if *text { (Opcode::Text, MessageKind::Text) } else { (Opcode::Binary, MessageKind::Binary) };
            let fragments: Vec<&[u8]> = fragments.iter().map(Vec::as_slice).collect();
            peer.message(opcode, &fragments, *compressed);
            want.push((Some(kind), fragments.concat()));
            if let Some(ping) = ping {
                peer.frame(true, false, Opcode::Ping, ping);
                want.push((None, ping.to_vec()));
            }
        }
        let sender = if mask.is_some() { Sender::Client } else { Sender::Server };
        let decoder = FrameDecoder::new(sender, Some(&deflate), WEBSOCKET_MESSAGE_BYTES_MAX);
        let (events, end) = decode(decoder, pieces(&peer.stream, &cuts));
        prop_assert_eq!(end, Ok(()));
        let got: Vec<_> = events.into_iter().map(|event| match event {
            Event::Message(message) => (Some(message.kind), message.content.to_vec()),
            Event::Ping(payload) => (None, payload.to_vec()),
            other => panic!("{other:?}"),
        }).collect();
        prop_assert_eq!(got, want);
    }

    #[test]
    fn any_bytes_say_the_same_however_they_are_cut(
        // The first bytes of frames are made likely, so that some are reached.
        stream in prop::collection::vec(
            prop_oneof![
                prop::sample::select(vec![0x01u8, 0x80, 0x81, 0x82, 0x88, 0x89, 0xc1, 0x41, 0xf2, 0x00, 0x02, 0x7e]),
                any::<u8>(),
            ], 0..200),
        client in any::<bool>(),
        deflate in prop::sample::select(vec![None, Some(TAKEOVER), Some(NO_TAKEOVER)]),
        content_bytes_max in prop::sample::select(vec![0, 5, WEBSOCKET_MESSAGE_BYTES_MAX]),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let sender = if client { Sender::Client } else { Sender::Server };
        let decoder = || FrameDecoder::new(sender, deflate.as_ref(), content_bytes_max);
        let whole = decode(decoder(), [&stream[..]]);
        prop_assert_eq!(&decode(decoder(), pieces(&stream, &cuts)), &whole);
        prop_assert_eq!(&decode(decoder(), stream.chunks(1)), &whole);
    }

    #[test]
    fn headers_come_back(
        fin in any::<bool>(),
        rsv1 in any::<bool>(),
        opcode in prop::sample::select(vec![
            Opcode::Continuation, Opcode::Text, Opcode::Binary, Opcode::Close, Opcode::Ping, Opcode::Pong]),
        bits in 0u32..64,
        noise in any::<u64>(),
        mask in any::<Option<[u8; 4]>>(),
    ) {
        let len = noise >> 1 >> bits;
        let (fin, len) = if opcode.is_control() { (true, len.min(125)) } else { (fin, len) };
        let header = FrameHeader { fin, rsv1, opcode, len, mask };
        let mut bytes = Vec::new();
        header.encode(&mut bytes);
        prop_assert_eq!(FrameHeader::parse(&bytes), Ok(Some((header, bytes.len()))));
        for n in 0..bytes.len() {
            prop_assert_eq!(FrameHeader::parse(&bytes[..n]), Ok(None));
        }
    }

    #[test]
    fn masks_undo_themselves_in_any_pieces(
        data in prop::collection::vec(any::<u8>(), 0..100),
        key in any::<[u8; 4]>(),
        cut in any::<usize>(),
    ) {
        let mut masked = data.clone();
        apply_mask(&mut masked, key, 0);
        for (i, (masked, plain)) in masked.iter().zip(&data).enumerate() {
            prop_assert_eq!(*masked, plain ^ key[i % 4]);
        }
        let cut = cut % (data.len() + 1);
        apply_mask(&mut masked[..cut], key, 0);
        apply_mask(&mut masked[cut..], key, cut as u64);
        prop_assert_eq!(masked, data);
    }
}
