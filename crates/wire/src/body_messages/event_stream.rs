//! Server-sent events (WHATWG HTML section 9.2.6): lines ended by CR, LF or both, fields on them, an empty line behind each event.

use bytes::Bytes;
use flowgate_flow::BodyMessageKind;
use memchr::memchr2;

use super::Message;

/// What may stand before the first line: a byte order mark.
const BOM: &[u8] = b"\xef\xbb\xbf";

#[derive(Debug)]
pub(super) struct EventStream {
    content_bytes_max: usize,
    /// The line in hand, up to as many bytes as the content may have beside its field's name.
    line: Vec<u8>,
    line_cut: bool,
    /// The line before ended with CR, to which a LF would belong.
    after_cr: bool,
    at_start: bool,
    /// What the event in hand has so far.
    data: Vec<u8>,
    has_data: bool,
    truncated: bool,
    name: Vec<u8>,
    retry: Option<u64>,
    /// Stays for the events that follow.
    id: Vec<u8>,
}

impl EventStream {
    pub(super) const fn new(content_bytes_max: usize) -> Self {
        Self {
            content_bytes_max,
            line: Vec::new(),
            line_cut: false,
            after_cr: false,
            at_start: true,
            data: Vec::new(),
            has_data: false,
            truncated: false,
            name: Vec::new(),
            retry: None,
            id: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, piece: &[u8], mut on_event: impl FnMut(Message)) {
        let mut rest = piece;
        while let Some(first) = rest.first() {
            if std::mem::take(&mut self.after_cr) && *first == b'\n' {
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            let Some(end) = memchr2(b'\r', b'\n', rest) else { return self.append(rest) };
            let (line, behind) = rest.split_at(end);
            self.append(line);
            self.after_cr = behind.first() == Some(&b'\r');
            rest = behind.get(1..).unwrap_or_default();
            self.end_line(&mut on_event);
        }
    }

    fn append(&mut self, piece: &[u8]) {
        // Room for a whole content behind `data: `.
        let room = (self.content_bytes_max + 6 + BOM.len()).saturating_sub(self.line.len());
        self.line_cut |= piece.len() > room;
        self.line.extend_from_slice(piece.get(..room).unwrap_or(piece));
    }

    fn end_line(&mut self, on_event: &mut impl FnMut(Message)) {
        let buffer = std::mem::take(&mut self.line);
        let mut line = &buffer[..];
        if std::mem::take(&mut self.at_start) {
            line = line.strip_prefix(BOM).unwrap_or(line);
        }
        let cut = std::mem::take(&mut self.line_cut);
        if line.is_empty() {
            self.end_event(on_event);
        } else {
            let (name, value) = match line.iter().position(|byte| *byte == b':') {
                Some(colon) => {
                    let (name, value) = line.split_at(colon);
                    let value = value.get(1..).unwrap_or_default();
                    (name, value.strip_prefix(b" ").unwrap_or(value))
                }
                None => (line, &b""[..]),
            };
            self.field(name, value, cut);
        }
        // Its room is kept for the next line.
        self.line = buffer;
        self.line.clear();
    }

    fn field(&mut self, name: &[u8], value: &[u8], cut: bool) {
        match name {
            b"data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.push_data(b"\n");
                }
                self.push_data(value);
                self.truncated |= cut;
            }
            b"event" => self.name = value.to_vec(),
            b"id" if !value.contains(&0) => self.id = value.to_vec(),
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                let digits = std::str::from_utf8(value).unwrap_or_default();
                self.retry = Some(digits.parse().unwrap_or(u64::MAX));
            }
            // Comments have an empty name, and what is unknown is passed over.
            _ => {}
        }
    }

    fn push_data(&mut self, piece: &[u8]) {
        let room = self.content_bytes_max - self.data.len();
        self.truncated |= piece.len() > room;
        self.data.extend_from_slice(piece.get(..room).unwrap_or(piece));
    }

    fn end_event(&mut self, on_event: &mut impl FnMut(Message)) {
        let (name, data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
        let (retry, truncated) = (self.retry.take(), std::mem::take(&mut self.truncated));
        // Without data it is none.
        if !std::mem::take(&mut self.has_data) {
            return;
        }
        let text =
            |bytes: &[u8]| Some(String::from_utf8_lossy(bytes).into_owned()).filter(|text| !text.is_empty());
        let content = match std::str::from_utf8(&data) {
            Ok(_) => Bytes::from(data),
            Err(_) => String::from_utf8_lossy(&data).into_owned().into(),
        };
        let kind = BodyMessageKind::Event { name: text(&name), id: text(&self.id), retry };
        on_event(Message { kind, content, truncated });
    }
}
