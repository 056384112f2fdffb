//! What one side of an HTTP/2 connection was told, out of the bytes it received. Read without the engine that is tested, but for
//! HPACK, which has tests of its own.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a check fails by panicking")]

use std::collections::BTreeMap;
use std::fmt::Write;

use flowgate_wire::hpack::Decoder;
use flowgate_wire::http2::{Code, PREFACE};

/// A frame as it was received.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// Names and values.
pub(crate) type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// What came on one stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    /// Each header block in its order, trailers included.
    pub(crate) blocks: Vec<Fields>,
    /// How many bytes of body had come before each block.
    pub(crate) body: Vec<u8>,
    pub(crate) ended: bool,
    pub(crate) reset: Option<Code>,
    /// Increments of its window.
    pub(crate) window: u64,
}

/// What came so far.
pub(crate) struct Listener {
    decoder: Decoder,
    input: Vec<u8>,
    /// A header block under way.
    fragment: Option<(u32, bool, Vec<u8>)>,
    pub(crate) streams: BTreeMap<u32, Heard>,
    pub(crate) settings: Vec<Vec<(u16, u32)>>,
    pub(crate) settings_acks: usize,
    pub(crate) pongs: Vec<Vec<u8>>,
    pub(crate) pings: Vec<Vec<u8>>,
    pub(crate) go_aways: Vec<(u32, Code)>,
    pub(crate) window: u64,
    /// The connection's end was seen.
    pub(crate) ended: bool,
}

impl Listener {
    pub(crate) fn new() -> Self {
        Self {
            decoder: Decoder::new(4096),
            input: Vec::new(),
            fragment: None,
            streams: BTreeMap::new(),
            settings: Vec::new(),
            settings_acks: 0,
            pongs: Vec::new(),
            pings: Vec::new(),
            go_aways: Vec::new(),
            window: 0,
            ended: false,
        }
    }

    /// Takes bytes; gives the frames that are whole with them.
    pub(crate) fn hear(&mut self, bytes: &[u8]) -> Vec<Frame> {
        self.input.extend_from_slice(bytes);
        if self.input.starts_with(PREFACE) {
            self.input.drain(..PREFACE.len());
        }
        let mut frames = Vec::new();
        while let Some(header) = self.input.first_chunk::<9>() {
            let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = *header;
            let end = 9 + u32::from_be_bytes([0, l0, l1, l2]) as usize;
            if self.input.len() < end {
                break;
            }
            let stream = u32::from_be_bytes([s0, s1, s2, s3]);
            assert!(stream < 0x8000_0000, "the reserved bit is set");
            let payload = self.input.drain(..end).skip(9).collect();
            let frame = Frame { kind, flags, stream, payload };
            self.take(&frame);
            frames.push(frame);
        }
        frames
    }

    fn take(&mut self, frame: &Frame) {
        assert!(frame.payload.len() <= 16_384, "a frame longer than anybody allowed");
        assert!(self.fragment.is_none() || frame.kind == 9, "a frame inside a header block");
        let failed = self.go_aways.last().is_some_and(|(_, code)| *code != Code::NO_ERROR);
        assert!(!failed, "something behind the last GOAWAY");
        let number = |at: usize| u32::from_be_bytes(frame.payload[at..at + 4].try_into().unwrap());
        let ends = frame.flags & 1 != 0;
        match frame.kind {
            0 => {
                let stream = self.streams.get_mut(&frame.stream).expect("DATA behind a head");
                assert!(!stream.ended && stream.reset.is_none(), "DATA behind the end of {}", frame.stream);
                assert_eq!(frame.flags & !1, 0);
                stream.body.extend_from_slice(&frame.payload);
                stream.ended |= ends;
            }
            1 => {
                assert_eq!(frame.flags & !5, 0);
                self.fragment = Some((frame.stream, ends, frame.payload.clone()));
                self.end_block(frame.flags);
            }
            9 => {
                let (stream, _, block) = self.fragment.as_mut().expect("a block to continue");
                assert_eq!(*stream, frame.stream);
                block.extend_from_slice(&frame.payload);
                self.end_block(frame.flags);
            }
            3 => {
                let stream = self.streams.entry(frame.stream).or_default();
                assert!(stream.reset.is_none(), "stream {} is reset twice", frame.stream);
                stream.reset = Some(Code(number(0)));
            }
            4 if ends => self.settings_acks += 1,
            4 => self.settings.push(
                frame
                    .payload
                    .as_chunks::<6>()
                    .0
                    .iter()
                    .map(|[i0, i1, v @ ..]| (u16::from_be_bytes([*i0, *i1]), u32::from_be_bytes(*v)))
                    .collect(),
            ),
            6 if ends => self.pongs.push(frame.payload.clone()),
            6 => self.pings.push(frame.payload.clone()),
            7 => self.go_aways.push((number(0), Code(number(4)))),
            8 if frame.stream == 0 => self.window += u64::from(number(0)),
            8 => self.streams.entry(frame.stream).or_default().window += u64::from(number(0)),
            other => panic!("a frame of type {other}"),
        }
    }

    fn end_block(&mut self, flags: u8) {
        if flags & 4 == 0 {
            return;
        }
        let (id, ends, block) = self.fragment.take().unwrap();
        let list = self.decoder.decode(&block, 1 << 20).expect("a header block");
        let stream = self.streams.entry(id).or_default();
        assert!(!stream.ended && stream.reset.is_none(), "HEADERS behind the end of {id}");
        stream.blocks.push(list.iter().map(|field| (field.name.to_vec(), field.value.to_vec())).collect());
        stream.ended |= ends;
    }

    /// What was told a client, in a few words, but for streams from `behind` on.
    pub(crate) fn summary(&self, behind: u32) -> String {
        let mut out = String::new();
        for (id, heard) in self.streams.range(..behind) {
            let statuses: Vec<&str> = heard
                .blocks
                .iter()
                .map(|block| std::str::from_utf8(value(block, ":status").unwrap_or(b"trailers")).unwrap())
                .collect();
            let words = match (statuses.as_slice(), heard.reset) {
                ([], None) => continue,
                ([], Some(code)) => format!("{id}!{}", word(code)),
                (_, reset) => {
                    let open = if heard.ended { String::new() } else { format!("+{}", heard.body.len()) };
                    let reset = reset.map(|code| format!("!{}", word(code))).unwrap_or_default();
                    format!("{id}={}{open}{reset}", statuses.join(","))
                }
            };
            write!(out, "{words} ").unwrap();
        }
        // One acknowledges what every script begins with.
        if self.settings_acks > 1 {
            write!(out, "acks{} ", self.settings_acks - 1).unwrap();
        }
        for pong in &self.pongs {
            write!(out, "pong:{} ", pong.escape_ascii()).unwrap();
        }
        for (_, code) in &self.go_aways {
            write!(out, "goaway:{code} ").unwrap();
        }
        if self.ended {
            out.push_str("closed ");
        }
        if out.is_empty() { "-".to_owned() } else { out.trim_end().to_owned() }
    }
}

/// A code without spaces.
fn word(code: Code) -> String {
    code.to_string().replace(' ', "_")
}

/// The value of the first field with this name.
pub(crate) fn value<'a>(fields: &'a Fields, name: &str) -> Option<&'a [u8]> {
    fields.iter().find(|(n, _)| n == name.as_bytes()).map(|(_, value)| value.as_slice())
}
