//! Frames by hand, and connections that are fed with them.

use bytes::{Bytes, BytesMut};
use flowgate_wire::hpack::{Encoder, FieldList, FieldRef};
use flowgate_wire::http2::{
    Code, Config, Connection, Error, Event, OpenError, PREFACE, Role, Sink, StreamId,
};

pub(crate) const STREAMS_MAX: u32 = 4;

/// Collects what is sent.
#[derive(Default)]
pub(crate) struct Sent {
    pub(crate) bytes: BytesMut,
    pub(crate) max: Option<usize>,
}

impl Sink for Sent {
    fn tail(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    fn push(&mut self, data: Bytes) {
        self.bytes.extend_from_slice(&data);
    }

    fn is_full(&self) -> bool {
        self.max.is_some_and(|max| self.bytes.len() >= max)
    }
}

pub(crate) const fn config(role: Role) -> Config {
    Config {
        role,
        streams_max: STREAMS_MAX,
        stream_window: 100_000,
        connection_window: 200_000,
        header_list_bytes_max: 4096,
        connect_protocol: true,
    }
}

/// A frame as it was received.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// A frame in a few words.
    pub(crate) fn told(&self) -> String {
        let number =
            |at: usize| self.payload.get(at..at + 4).map_or(0, |b| u32::from_be_bytes(b.try_into().unwrap()));
        match self.kind {
            0 => format!("DATA {} {}{}", self.stream, self.payload.len(), end(self.flags)),
            1 => format!("HEADERS {}{}", self.stream, end(self.flags)),
            3 => format!("RST {} {}", self.stream, Code(number(0))),
            4 if self.flags == 1 => "SETTINGS ACK".to_owned(),
            4 => "SETTINGS".to_owned(),
            6 if self.flags == 1 => "PONG".to_owned(),
            6 => "PING".to_owned(),
            7 => format!("GOAWAY {} {}", number(0), Code(number(4))),
            8 => format!("WINDOW {} {}", self.stream, number(0)),
            9 => format!("CONTINUATION {}", self.stream),
            other => format!("frame {other}"),
        }
    }
}

const fn end(flags: u8) -> &'static str {
    if flags & 1 == 1 { " end" } else { "" }
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

pub(crate) fn settings(entries: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> = entries
        .iter()
        .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
        .collect();
    frame(4, 0, 0, &payload)
}

pub(crate) fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(8, 0, stream, &increment.to_be_bytes())
}

pub(crate) fn rst(stream: u32, code: u32) -> Vec<u8> {
    frame(3, 0, stream, &code.to_be_bytes())
}

fn fields<'a>(list: &'a [(&'a str, &'a str)]) -> impl Iterator<Item = FieldRef<'a>> {
    list.iter().map(|(name, value)| FieldRef {
        name: name.as_bytes(),
        value: value.as_bytes(),
        sensitive: false,
    })
}

/// Writes a head of these fields.
pub(crate) fn head(
    list: &[(&str, &str)],
) -> impl FnOnce(&mut Encoder, &mut Vec<u8>) -> Result<(), OpenError> {
    move |encoder, out| {
        encoder.encode(fields(list), out);
        Ok(())
    }
}

pub(crate) fn lines(list: &FieldList) -> Vec<String> {
    list.iter().map(|f| format!("{}: {}", f.name.escape_ascii(), f.value.escape_ascii())).collect()
}

pub(crate) const GET: &[(&str, &str)] =
    &[(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", "/")];

/// A header block that uses no table.
pub(crate) fn block(list: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new();
    encoder.set_table_bytes_max(0);
    // Consumes the size update, so that the block stands for itself.
    encoder.encode(std::iter::empty(), &mut Vec::new());
    encoder.encode(fields(list), &mut out);
    out
}

/// A request's HEADERS.
pub(crate) fn get(stream: u32, ends: bool) -> Vec<u8> {
    frame(1, 4 | u8::from(ends), stream, &block(GET))
}

/// One end, and its peer by hand.
pub(crate) struct End {
    pub(crate) connection: Connection<()>,
    input: BytesMut,
}

impl End {
    /// An end behind the exchange of SETTINGS.
    pub(crate) fn new(role: Role) -> Self {
        Self::with(role, &[])
    }

    pub(crate) fn with(role: Role, entries: &[(u16, u32)]) -> Self {
        let mut end = Self::fresh(role);
        let hello = if role == Role::Server { &PREFACE[..] } else { &[] };
        end.give(&[hello, &settings(entries), &frame(4, 1, 0, &[])].concat()).unwrap();
        end.frames();
        while end.connection.next_event().is_some() {}
        end
    }

    pub(crate) fn fresh(role: Role) -> Self {
        Self { connection: Connection::new(config(role)), input: BytesMut::new() }
    }

    pub(crate) fn give(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.input.extend_from_slice(bytes);
        self.connection.receive(&mut self.input)
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.connection.next_event()).collect()
    }

    /// The first stream that was opened.
    pub(crate) fn opened(&mut self) -> StreamId {
        let opened = self.events().into_iter().find_map(|event| match event {
            Event::Opened(id) => Some(id),
            _ => None,
        });
        opened.expect("a stream was opened")
    }

    /// What is sent now, whole.
    pub(crate) fn frames(&mut self) -> Vec<Frame> {
        let mut sent = Sent::default();
        self.connection.transmit(&mut sent);
        parse(&sent.bytes)
    }

    /// The same in words.
    pub(crate) fn told(&mut self) -> Vec<String> {
        self.frames().iter().map(Frame::told).collect()
    }
}

pub(crate) fn parse(bytes: &[u8]) -> Vec<Frame> {
    let mut rest = bytes.strip_prefix(&PREFACE[..]).unwrap_or(bytes);
    let mut frames = Vec::new();
    while let Some((header, behind)) = rest.split_first_chunk::<9>() {
        let len = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
        let stream = u32::from_be_bytes([header[5], header[6], header[7], header[8]]);
        frames.push(Frame { kind: header[3], flags: header[4], stream, payload: behind[..len].to_vec() });
        rest = &behind[len..];
    }
    assert!(rest.is_empty());
    frames
}
