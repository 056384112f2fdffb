//! Writing: values are put into a buffer from its end to its front, because every length stands before its payload.
//!
//! So each length is known when its turn comes, in one pass and without a buffer per level. What is called first ends up
//! last: a map's value is written before its key, and maps come out in the reverse order of the calls, as mitmproxy's do.
//! Large contents are not copied into the buffer; their place and length are noted, and the bytes go from where they lie
//! to the output.

use std::fmt::{Display, Write as _};
use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use flowgate_flow::Body;

use super::content::{Content, WriteError};
use super::{LENGTH_DIGITS_MAX, Value};

/// Builds one item at a time, from its end to its front; keep it to keep its buffer.
///
/// Memory: what is not content, and contents up to 4 KiB each. Larger contents cost a note of some 70 bytes.
#[derive(Debug, Default)]
pub struct Encoder {
    /// Used from `start` on.
    buf: Vec<u8>,
    start: usize,
    /// Contents that are not in the buffer, the last of the item first.
    outside: Vec<Outside>,
    outside_bytes: u64,
    formatted: String,
    chunk: Vec<u8>,
}

#[derive(Debug)]
struct Outside {
    /// How much of the buffer comes after it.
    buf_after: usize,
    content: Content,
}

impl Encoder {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many bytes the item has so far.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.outside_bytes.saturating_add((self.buf.len() - self.start) as u64)
    }

    /// Whether there is nothing yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What was put since the item had this length; `None` if not all of it is in the buffer.
    pub(crate) fn put_since(&self, len: u64) -> Option<&[u8]> {
        let bytes = usize::try_from(self.len().checked_sub(len)?).ok()?;
        let all_is_here =
            self.outside.last().is_none_or(|last| self.buf.len() - self.start - last.buf_after >= bytes);
        self.buf.get(self.start..self.start.checked_add(bytes)?).filter(|_| all_is_here)
    }

    /// Puts before what is there what [`Encoder::put_since`] gave.
    pub(crate) fn put_again(&mut self, bytes: &[u8]) -> &mut Self {
        self.put(bytes)
    }

    /// Puts `~` before what is there.
    pub fn none(&mut self) -> &mut Self {
        self.put(b"0:~")
    }

    /// Puts a boolean before what is there.
    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.put(if value { b"4:true!" } else { b"5:false!" })
    }

    /// Puts a whole number before what is there.
    pub fn int(&mut self, value: i64) -> &mut Self {
        self.put(b"#");
        let end = self.len();
        self.put_digits(value.unsigned_abs());
        if value < 0 {
            self.put(b"-");
        }
        self.put_length(self.len() - end)
    }

    /// Puts a float before what is there, in the fewest digits that give the same float again.
    pub fn float(&mut self, value: f64) -> &mut Self {
        if value.is_finite() {
            self.item(ryu::Buffer::new().format_finite(value).as_bytes(), b'^')
        } else {
            let text = if value.is_nan() {
                "nan"
            } else if value > 0.0 {
                "inf"
            } else {
                "-inf"
            };
            self.item(text.as_bytes(), b'^')
        }
    }

    /// Puts bytes before what is there; they are copied.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.item(value, b',')
    }

    /// Puts text before what is there.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.item(value.as_bytes(), b';')
    }

    /// Puts what `value` displays as, as text, before what is there.
    pub fn display(&mut self, value: impl Display) -> &mut Self {
        let mut text = std::mem::take(&mut self.formatted);
        text.clear();
        // A `String` takes everything; an error could only be `value`'s own, and then a part stands there.
        let _ = write!(text, "{value}");
        self.text(&text);
        self.formatted = text;
        self
    }

    /// Puts bytes before what is there that `fill` writes into place. They are zero before.
    pub fn filled(&mut self, length: usize, fill: impl FnOnce(&mut [u8])) -> &mut Self {
        self.put(b",");
        fill(self.room(length));
        self.put_length(length as u64)
    }

    /// Puts bytes before what is there; if they are many, they are not copied.
    pub fn content(&mut self, content: &Bytes) -> &mut Self {
        if content.len() <= CONTENT_COPIED_BYTES_MAX {
            return self.bytes(content);
        }
        self.put(b",");
        self.put_outside(Content::Bytes(content.clone()), content.len() as u64)
    }

    /// Puts a body before what is there: `~` if it was not kept. Stored bodies are read while the item is written out.
    pub fn body(&mut self, body: &Body) -> &mut Self {
        match body {
            Body::Missing | Body::Counted(_) => self.none(),
            Body::Bytes(bytes) => self.content(bytes),
            Body::Stored(stored) => {
                let length = stored.len();
                self.put(b",");
                self.put_outside(Content::Stored { body: Arc::clone(stored), length }, length)
            }
        }
    }

    /// Puts a list before what is there. `each` puts one value for each item.
    pub fn list<T>(
        &mut self,
        items: impl DoubleEndedIterator<Item = T>,
        mut each: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        self.container(b']', |encoder| items.rev().for_each(|item| each(encoder, item)))
    }

    /// Puts a list before what is there. `items` puts its values, the last first.
    pub fn backwards_list(&mut self, items: impl FnOnce(&mut Self)) -> &mut Self {
        self.container(b']', items)
    }

    /// Puts what `put` makes of the value, or `~`, before what is there.
    pub fn optional<T>(
        &mut self,
        value: Option<T>,
        put: impl FnOnce(&mut Self, T) -> &mut Self,
    ) -> &mut Self {
        match value {
            None => self.none(),
            Some(value) => put(self, value),
        }
    }

    /// Puts a map before what is there. `entries` puts values and names them with [`named`](Self::named).
    pub fn map(&mut self, entries: impl FnOnce(&mut Self)) -> &mut Self {
        self.container(b'}', entries)
    }

    /// Makes what was put just now the value of this key.
    pub fn named(&mut self, key: &str) -> &mut Self {
        self.text(key)
    }

    /// Puts any value before what is there.
    pub fn value(&mut self, value: &Value<'_>) -> &mut Self {
        match value {
            Value::Bytes(bytes) => self.bytes(bytes),
            Value::Text(text) => self.text(text),
            Value::Int(number) => self.int(*number),
            Value::Float(number) => self.float(*number),
            Value::Bool(value) => self.bool(*value),
            Value::None => self.none(),
            Value::List(items) => self.list(items.iter(), |encoder, item| {
                encoder.value(item);
            }),
            Value::Map(entries) => self.map(|encoder| {
                for (key, value) in entries.iter().rev() {
                    encoder.value(value).value(key);
                }
            }),
        }
    }

    /// Writes the item out and begins anew.
    ///
    /// The output should be buffered or a file: a flow with small contents is one write.
    ///
    /// # Errors
    /// See [`WriteError`]; whatever happens, the next item can be built.
    pub fn write_to(&mut self, out: &mut impl Write) -> Result<(), WriteError> {
        let outcome = self.write_parts(out);
        self.clear();
        outcome
    }

    /// Forgets the item.
    pub fn clear(&mut self) {
        self.outside.clear();
        self.outside_bytes = 0;
        if self.buf.len() > BUF_KEPT_BYTES_MAX {
            self.buf = Vec::new();
        }
        self.start = self.buf.len();
    }

    fn write_parts(&mut self, out: &mut impl Write) -> Result<(), WriteError> {
        let longest = 10_u64.pow(LENGTH_DIGITS_MAX as u32);
        if self.len() >= longest {
            return Err(WriteError::TooLong { length: self.len() });
        }
        let mut from = self.start;
        for Outside { buf_after, content } in self.outside.iter().rev() {
            let until = self.buf.len() - buf_after;
            out.write_all(self.buf.get(from..until).unwrap_or_default()).map_err(WriteError::Output)?;
            from = until;
            content.write_to(out, &mut self.chunk)?;
        }
        out.write_all(self.buf.get(from..).unwrap_or_default()).map_err(WriteError::Output)
    }

    /// The hot path: one step for the whole item.
    fn item(&mut self, payload: &[u8], kind: u8) -> &mut Self {
        let mut digits = [0; DIGITS_MAX];
        let length = decimal(payload.len() as u64, &mut digits);
        let room = self.room(length.len() + 1 + payload.len() + 1);
        if let Some((length_room, [colon, payload_room @ .., kind_room])) =
            room.split_at_mut_checked(length.len())
        {
            length_room.copy_from_slice(length);
            *colon = b':';
            payload_room.copy_from_slice(payload);
            *kind_room = kind;
        }
        self
    }

    fn container(&mut self, kind: u8, content: impl FnOnce(&mut Self)) -> &mut Self {
        self.put(&[kind]);
        let end = self.len();
        content(self);
        self.put_length(self.len() - end)
    }

    fn put_outside(&mut self, content: Content, length: u64) -> &mut Self {
        self.outside.push(Outside { buf_after: self.buf.len() - self.start, content });
        self.outside_bytes = self.outside_bytes.saturating_add(length);
        self.put_length(length)
    }

    fn put_length(&mut self, length: u64) -> &mut Self {
        self.put(b":").put_digits(length)
    }

    fn put_digits(&mut self, number: u64) -> &mut Self {
        self.put(decimal(number, &mut [0; DIGITS_MAX]))
    }

    fn put(&mut self, bytes: &[u8]) -> &mut Self {
        self.room(bytes.len()).copy_from_slice(bytes);
        self
    }

    /// The `length` bytes before what is there, which then belong to it.
    fn room(&mut self, length: usize) -> &mut [u8] {
        if self.start < length {
            self.grow(length);
        }
        let end = self.start;
        self.start -= length;
        self.buf.get_mut(self.start..end).unwrap_or_default()
    }

    #[cold]
    fn grow(&mut self, length: usize) {
        let used = self.buf.len() - self.start;
        let size = (used + length).next_power_of_two().max(BUF_FIRST_BYTES);
        let mut buf = vec![0; size - used];
        buf.extend_from_slice(self.buf.get(self.start..).unwrap_or_default());
        self.start = size - used;
        self.buf = buf;
    }
}

/// Contents up to here are copied into the buffer: cheaper than a write of their own.
const CONTENT_COPIED_BYTES_MAX: usize = 4096;
/// The buffer's first size; holds most flows.
const BUF_FIRST_BYTES: usize = 16 * 1024;
/// A larger buffer is given back after its item.
const BUF_KEPT_BYTES_MAX: usize = 1024 * 1024;
/// Of a 64-bit number.
const DIGITS_MAX: usize = 20;

/// The number in digits, at the end of `digits`.
fn decimal(mut number: u64, digits: &mut [u8; DIGITS_MAX]) -> &[u8] {
    let mut first = DIGITS_MAX;
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + (number % 10) as u8;
        first = at;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    digits.get(first..).unwrap_or_default()
}
