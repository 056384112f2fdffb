//! Reading: the frame of the next item from a stream, then its values from the frame's payload.
//!
//! Two steps, because the frame alone says where the next item begins: an item that is wrong inside can be reported and
//! passed over. Memory grows with the bytes that came, never with the length that was announced.

use std::borrow::Cow;
use std::io::{self, BufRead, Read as _, Seek};

use super::{LENGTH_DIGITS_MAX, Limits, Problem, SyntaxError, Value};

/// One item of a file, not looked into yet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Frame {
    /// The payload.
    pub payload: Vec<u8>,
    /// Where the payload begins in the file.
    pub payload_offset: u64,
    /// The type that stands after it.
    pub kind: u8,
}

/// Why there is no frame.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The input failed.
    #[error("cannot read at byte {offset}")]
    Io {
        /// What had been read.
        offset: u64,
        /// What the input says.
        #[source]
        error: io::Error,
    },
    /// The input is not what it should be.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
}

/// Reads the frame of the next item; `None` if the input ends before it. `offset` is moved on over all that was read.
///
/// # Errors
/// When the input fails, or no frame of bounded size stands there. Where the next item begins is then unknown.
pub fn read_frame(
    input: &mut impl BufRead,
    offset: &mut u64,
    limits: &Limits,
) -> Result<Option<Frame>, FrameError> {
    let start = *offset;
    let Some(length) = read_length(input, offset)? else { return Ok(None) };
    if length > limits.item_bytes_max {
        let problem = Problem::ItemBytes { length, limit: limits.item_bytes_max };
        return Err(SyntaxError { offset: start, problem }.into());
    }

    let payload_offset = *offset;
    let mut payload = Vec::with_capacity(usize::try_from(length).unwrap_or(usize::MAX).min(FIRST_CAPACITY));
    let outcome = input.take(length).read_to_end(&mut payload);
    *offset += payload.len() as u64;
    outcome.map_err(|error| FrameError::Io { offset: *offset, error })?;
    if (payload.len() as u64) < length {
        return Err(SyntaxError { offset: *offset, problem: Problem::Truncated }.into());
    }

    let Some(kind) = read_byte(input, offset)? else {
        return Err(SyntaxError { offset: *offset, problem: Problem::Truncated }.into());
    };
    if !KINDS.contains(&kind) {
        return Err(SyntaxError { offset: *offset - 1, problem: Problem::Type { found: kind } }.into());
    }
    Ok(Some(Frame { payload, payload_offset, kind }))
}

/// Where the last whole item of a file ends. Payloads are passed over, not read; what comes behind is the beginning of one more
/// item, or nothing.
///
/// # Errors
/// When the input fails, or no frame stands where one should begin.
pub fn whole_items(input: &mut (impl BufRead + Seek)) -> Result<u64, FrameError> {
    let (mut end, mut offset) = (0, 0);
    loop {
        let length = match read_length(input, &mut offset) {
            Ok(Some(length)) => length,
            Ok(None) | Err(FrameError::Syntax(SyntaxError { problem: Problem::Truncated, .. })) => {
                return Ok(end);
            }
            Err(error) => return Err(error),
        };
        // A length has at most 12 digits.
        input
            .seek_relative(i64::try_from(length).unwrap_or(i64::MAX))
            .map_err(|error| FrameError::Io { offset, error })?;
        offset += length;
        match read_byte(input, &mut offset)? {
            None => return Ok(end),
            Some(kind) if KINDS.contains(&kind) => end = offset,
            Some(found) => {
                return Err(SyntaxError { offset: offset - 1, problem: Problem::Type { found } }.into());
            }
        }
    }
}

/// Reads the value that a frame holds. `payload_offset` is where the payload stands in the file, for messages.
///
/// # Errors
/// Where and why the payload is not a value of this type, or exceeds `limits`.
pub fn parse<'a>(
    payload: &'a [u8],
    kind: u8,
    payload_offset: u64,
    limits: &Limits,
) -> Result<Value<'a>, SyntaxError> {
    Parser { limits, values: 0 }.value(Part { bytes: payload, offset: payload_offset }, kind, 0)
}

/// An item that was not looked into.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Raw<'a> {
    pub(crate) payload: &'a [u8],
    /// The type that stands after it.
    pub(crate) kind: u8,
}

impl<'a> Raw<'a> {
    /// Takes the item at the front of `rest`; `None` if none stands there.
    pub(crate) fn take(rest: &mut &'a [u8]) -> Option<Self> {
        let (length, after) = length(Part { bytes: rest, offset: 0 }).ok()?;
        let (payload, after) = after.bytes.split_at_checked(usize::try_from(length).ok()?)?;
        let (kind, after) = after.split_first()?;
        *rest = after;
        Some(Self { payload, kind: *kind })
    }

    /// Its value.
    pub(crate) fn value(self) -> Option<Value<'a>> {
        parse(self.payload, self.kind, 0, &Limits::default()).ok()
    }
}

/// What is reserved for a payload before its bytes are there.
const FIRST_CAPACITY: usize = 64 * 1024;

const KINDS: &[u8] = b",;#^!~]}";

/// Digits and a colon; `None` at the end of the input.
fn read_length(input: &mut impl BufRead, offset: &mut u64) -> Result<Option<u64>, FrameError> {
    let start = *offset;
    let mut length = 0;
    let mut digits = 0;
    loop {
        let problem = match read_byte(input, offset)? {
            None if digits == 0 => return Ok(None),
            None => Problem::Truncated,
            Some(b':') if digits > 0 => return Ok(Some(length)),
            Some(digit @ b'0'..=b'9') if digits < LENGTH_DIGITS_MAX => {
                length = length * 10 + u64::from(digit - b'0');
                digits += 1;
                continue;
            }
            Some(b'0'..=b'9') => Problem::LengthDigits,
            Some(_) => Problem::Length,
        };
        let offset = if problem == Problem::Truncated { *offset } else { start };
        return Err(SyntaxError { offset, problem }.into());
    }
}

fn read_byte(input: &mut impl BufRead, offset: &mut u64) -> Result<Option<u8>, FrameError> {
    loop {
        match input.fill_buf() {
            Ok(available) => {
                let Some(byte) = available.first().copied() else { return Ok(None) };
                input.consume(1);
                *offset += 1;
                return Ok(Some(byte));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(FrameError::Io { offset: *offset, error }),
        }
    }
}

/// A part of the payload, and where it stands in the file.
#[derive(Clone, Copy)]
struct Part<'a> {
    bytes: &'a [u8],
    offset: u64,
}

struct Parser<'l> {
    limits: &'l Limits,
    values: usize,
}

impl<'a> Part<'a> {
    const fn wrong(self, problem: Problem) -> SyntaxError {
        SyntaxError { offset: self.offset, problem }
    }

    /// Cuts off the first `n` bytes.
    fn split(self, n: usize) -> Option<(Self, Self)> {
        let (front, back) = self.bytes.split_at_checked(n)?;
        Some((
            Self { bytes: front, offset: self.offset },
            Self { bytes: back, offset: self.offset + n as u64 },
        ))
    }
}

impl Parser<'_> {
    fn value<'a>(&mut self, payload: Part<'a>, kind: u8, depth: usize) -> Result<Value<'a>, SyntaxError> {
        self.values += 1;
        if self.values > self.limits.values_max {
            return Err(payload.wrong(Problem::Values { limit: self.limits.values_max }));
        }
        match kind {
            b',' => Ok(Value::Bytes(Cow::Borrowed(payload.bytes))),
            b';' => match str::from_utf8(payload.bytes) {
                Ok(text) => Ok(Value::Text(Cow::Borrowed(text))),
                Err(_) => Err(payload.wrong(Problem::Text)),
            },
            b'#' => int(payload).map(Value::Int),
            b'^' => float(payload).map(Value::Float),
            b'!' => match payload.bytes {
                b"true" => Ok(Value::Bool(true)),
                b"false" => Ok(Value::Bool(false)),
                _ => Err(payload.wrong(Problem::Bool)),
            },
            b'~' if payload.bytes.is_empty() => Ok(Value::None),
            b'~' => Err(payload.wrong(Problem::None)),
            b']' => self.list(payload, depth + 1),
            b'}' => self.map(payload, depth + 1),
            found => Err(Part { offset: payload.offset + payload.bytes.len() as u64, ..payload }
                .wrong(Problem::Type { found })),
        }
    }

    fn list<'a>(&mut self, mut rest: Part<'a>, depth: usize) -> Result<Value<'a>, SyntaxError> {
        self.check_depth(rest, depth)?;
        let mut items = Vec::new();
        while !rest.bytes.is_empty() {
            items.push(self.item(&mut rest, depth)?);
        }
        Ok(Value::List(items))
    }

    fn map<'a>(&mut self, mut rest: Part<'a>, depth: usize) -> Result<Value<'a>, SyntaxError> {
        self.check_depth(rest, depth)?;
        let mut entries = Vec::new();
        while !rest.bytes.is_empty() {
            let key = self.item(&mut rest, depth)?;
            if rest.bytes.is_empty() {
                return Err(rest.wrong(Problem::KeyWithoutValue));
            }
            entries.push((key, self.item(&mut rest, depth)?));
        }
        Ok(Value::Map(entries))
    }

    /// Takes the item at the front of `rest`.
    fn item<'a>(&mut self, rest: &mut Part<'a>, depth: usize) -> Result<Value<'a>, SyntaxError> {
        let (length, after) = length(*rest)?;
        let beyond = || {
            let left = (after.bytes.len() as u64).saturating_sub(1);
            rest.wrong(Problem::BeyondContainer { length, left })
        };
        let (payload, after) =
            usize::try_from(length).ok().and_then(|n| after.split(n)).ok_or_else(beyond)?;
        let (kind, after) = after.split(1).ok_or_else(beyond)?;
        *rest = after;
        self.value(payload, kind.bytes.first().copied().unwrap_or_default(), depth)
    }

    const fn check_depth(&self, at: Part<'_>, depth: usize) -> Result<(), SyntaxError> {
        let limit = self.limits.nesting_max;
        if depth > limit { Err(at.wrong(Problem::Nesting { limit })) } else { Ok(()) }
    }
}

/// Digits and a colon at the front of `rest`, and what follows.
fn length(rest: Part<'_>) -> Result<(u64, Part<'_>), SyntaxError> {
    let mut length = 0;
    for (at, byte) in rest.bytes.iter().enumerate() {
        match byte {
            b':' if at > 0 => {
                let (_, after) = rest.split(at + 1).ok_or_else(|| rest.wrong(Problem::Length))?;
                return Ok((length, after));
            }
            b'0'..=b'9' if at < LENGTH_DIGITS_MAX => length = length * 10 + u64::from(byte - b'0'),
            b'0'..=b'9' => return Err(rest.wrong(Problem::LengthDigits)),
            _ => break,
        }
    }
    Err(rest.wrong(Problem::Length))
}

fn int(payload: Part<'_>) -> Result<i64, SyntaxError> {
    let digits = payload.bytes.strip_prefix(b"-").unwrap_or(payload.bytes);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(payload.wrong(Problem::Int));
    }
    let number = str::from_utf8(payload.bytes).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| payload.wrong(Problem::IntRange))
}

/// What Python's `repr` writes for a float, `nan` and `inf` included.
fn float(payload: Part<'_>) -> Result<f64, SyntaxError> {
    let number = str::from_utf8(payload.bytes).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| payload.wrong(Problem::Float))
}
