//! Reading the head of a request or response: start line and header section (RFC 9112 sections 2 to 5).
//!
//! Not here: what the fields mean for the body (`framing`), and what a target names (`target`).

use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};
use flowgate_flow::{FieldSpan, Headers, HttpVersion};
use memchr::{memchr, memchr_iter};
use thiserror::Error;

use super::grammar::{is_token, target_len, token_len, value_len};
use crate::limits::{BLANK_LINES_MAX, HEAD_BYTES_MAX, HEAD_FIELDS_MAX, TARGET_BYTES_MAX};

/// A request's head as it was received.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// The method, case kept.
    pub method: Bytes,
    /// The target in whatever form it came (see [`parse_target`](super::parse_target)).
    pub target: Bytes,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: HttpVersion,
    /// The fields.
    pub headers: Headers,
}

/// A response's head as it was received.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// HTTP/1.0 or HTTP/1.1.
    pub version: HttpVersion,
    /// The status code, 100 to 999.
    pub status: u16,
    /// The reason phrase, often empty. The space before it counts as sent even if it was not (some servers forget it).
    pub reason: Bytes,
    /// The fields.
    pub headers: Headers,
}

/// Why a head was refused. Offsets count from the head's first byte.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum HeadError {
    /// More than [`HEAD_BYTES_MAX`].
    #[error("head longer than {HEAD_BYTES_MAX} bytes")]
    TooLong,
    /// More than [`HEAD_FIELDS_MAX`].
    #[error("more than {HEAD_FIELDS_MAX} header fields")]
    TooManyFields,
    /// More than [`TARGET_BYTES_MAX`].
    #[error("request target longer than {TARGET_BYTES_MAX} bytes")]
    TargetTooLong,
    /// Not `method SP target SP version`.
    #[error("malformed request line")]
    RequestLine,
    /// The method is not a token (RFC 9110 section 9.1).
    #[error("malformed method")]
    Method,
    /// A byte that cannot be in a target.
    #[error("forbidden byte in the request target at byte {at}")]
    TargetByte {
        /// Where.
        at: usize,
    },
    /// Neither `HTTP/1.0` nor `HTTP/1.1`. In a request it is a version of HTTP nevertheless (RFC 9112 section 2.3).
    #[error("HTTP version is not 1.0 or 1.1")]
    Version,
    /// Not `version SP 3DIGIT [SP reason]`.
    #[error("malformed status line")]
    StatusLine,
    /// A line that continues the one before (RFC 9112 section 5.2).
    #[error("folded header line at byte {at}")]
    Folded {
        /// Where the line begins.
        at: usize,
    },
    /// A header line without a colon.
    #[error("header line without a colon at byte {at}")]
    NoColon {
        /// Where the line begins.
        at: usize,
    },
    /// A name that is not a token, or white space before the colon (RFC 9112 section 5.1).
    #[error("malformed header name at byte {at}")]
    Name {
        /// Where the line begins.
        at: usize,
    },
    /// A control byte (a bare CR, NUL, ...) in a value or a reason phrase (RFC 9110 section 5.5).
    #[error("control byte at byte {at}")]
    ControlByte {
        /// Where.
        at: usize,
    },
    /// A field that frames or addresses a message, in its trailers: who merges those with the head reads another message (RFC 9110
    /// section 6.5.1).
    #[error("field at byte {at} must not be in trailers")]
    NoTrailer {
        /// Where the line begins.
        at: usize,
    },
}

/// What [`HeadScanner::scan`] found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scan {
    /// The end of the head is not there yet.
    NeedMore,
    /// The head is the first so many bytes, its final empty line included.
    Head(usize),
}

/// Which header names are taken and written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Names {
    /// Tokens only (RFC 9110 section 5.1).
    #[default]
    Tokens,
    /// Also the visible ASCII characters that no token may have, such as `(`, `/` or `[`, but the colon: no reader takes those
    /// for a part of the line's structure. Spaces, control bytes and bytes from 0x80 on stay refused: to some readers they are
    /// white space, which they would take away, and read another name.
    Visible,
}

impl Names {
    /// Whether this is a name.
    pub(super) fn take(self, name: &[u8]) -> bool {
        is_token(name)
            || self == Self::Visible
                && !name.is_empty()
                && name.iter().all(|b| b.is_ascii_graphic() && *b != b':')
    }
}

/// Finds the end of a head in a buffer that grows. Looks at each byte once, however the bytes arrive.
#[derive(Debug, Default)]
pub struct HeadScanner {
    scanned: usize,
    blank_lines: usize,
}

impl HeadScanner {
    /// Drops empty lines before the head from `buf` (RFC 9112 section 2.2), then looks for its end.
    ///
    /// After [`Scan::Head`] the scanner is ready for the next head.
    ///
    /// # Errors
    /// [`HeadError::TooLong`], and [`HeadError::RequestLine`] after too many empty lines.
    pub fn scan(&mut self, buf: &mut BytesMut) -> Result<Scan, HeadError> {
        if self.scanned == 0 {
            self.skip_blank_lines(buf)?;
        }
        let fresh = buf.get(self.scanned..).unwrap_or_default();
        for lf in memchr_iter(b'\n', fresh) {
            let next = self.scanned + lf + 1;
            let end = match (buf.get(next), buf.get(next + 1)) {
                (Some(b'\n'), _) => next + 1,
                (Some(b'\r'), Some(b'\n')) => next + 2,
                _ => continue,
            };
            if end > HEAD_BYTES_MAX {
                return Err(HeadError::TooLong);
            }
            *self = Self::default();
            return Ok(Scan::Head(end));
        }
        if buf.len() > HEAD_BYTES_MAX {
            return Err(HeadError::TooLong);
        }
        // The last LF may be followed by what has not come yet: CR LF, so two bytes are looked at again.
        self.scanned = buf.len().saturating_sub(2);
        Ok(Scan::NeedMore)
    }

    fn skip_blank_lines(&mut self, buf: &mut BytesMut) -> Result<(), HeadError> {
        loop {
            let line = match (buf.first(), buf.get(1)) {
                (Some(b'\n'), _) => 1,
                (Some(b'\r'), Some(b'\n')) => 2,
                _ => return Ok(()),
            };
            self.blank_lines += 1;
            if self.blank_lines > BLANK_LINES_MAX {
                return Err(HeadError::RequestLine);
            }
            buf.advance(line);
        }
    }
}

/// Reads a request's head; `head` is what [`HeadScanner`] found, final empty line included.
///
/// # Errors
/// Whatever makes it no head, or an ambiguous one.
pub fn parse_request(head: Bytes) -> Result<RequestHead, HeadError> {
    parse_request_with(head, Names::Tokens)
}

/// The same, with these header names.
///
/// # Errors
/// Whatever makes it no head, or an ambiguous one.
pub fn parse_request_with(head: Bytes, names: Names) -> Result<RequestHead, HeadError> {
    let mut lines = Lines::new(&head);
    let (start, line) = lines.next().ok_or(HeadError::RequestLine)?;
    let method_end = memchr(b' ', line).ok_or(HeadError::RequestLine)?;
    let (method, rest) = line.split_at_checked(method_end).ok_or(HeadError::RequestLine)?;
    let rest = rest.get(1..).unwrap_or_default();
    let target_end = memchr(b' ', rest).ok_or(HeadError::RequestLine)?;
    let (target, rest) = rest.split_at_checked(target_end).ok_or(HeadError::RequestLine)?;
    let version = rest.get(1..).unwrap_or_default();
    if !is_token(method) {
        return Err(HeadError::Method);
    }
    if target.is_empty() {
        return Err(HeadError::RequestLine);
    }
    if target.len() > TARGET_BYTES_MAX {
        return Err(HeadError::TargetTooLong);
    }
    let target_start = start + method.len() + 1;
    match target_len(target) {
        len if len == target.len() => {}
        at => return Err(HeadError::TargetByte { at: target_start + at }),
    }
    let version = parse_version(version, HeadError::RequestLine)?;
    let (method, target) = (start..start + method.len(), target_start..target_start + target.len());
    let spans = parse_fields(&head, lines.at, names)?;
    Ok(RequestHead {
        method: word(&head, method),
        target: head.slice(target),
        version,
        headers: judged(head, spans, names),
    })
}

/// Reads a response's head; `head` is what [`HeadScanner`] found, final empty line included.
///
/// # Errors
/// Whatever makes it no head, or an ambiguous one.
pub fn parse_response(head: Bytes) -> Result<ResponseHead, HeadError> {
    parse_response_with(head, Names::Tokens)
}

/// The same, with these header names.
///
/// # Errors
/// Whatever makes it no head, or an ambiguous one.
pub fn parse_response_with(head: Bytes, names: Names) -> Result<ResponseHead, HeadError> {
    let mut lines = Lines::new(&head);
    let (start, line) = lines.next().ok_or(HeadError::StatusLine)?;
    let (version, rest) = line.split_at_checked(8).ok_or(HeadError::StatusLine)?;
    let version = parse_version(version, HeadError::Version)?;
    let (status, reason) = match rest {
        [b' ', a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', reason @ ..] => {
            let digit = |d: u8| u16::from(d - b'0');
            (digit(*a) * 100 + digit(*b) * 10 + digit(*c), reason)
        }
        _ => return Err(HeadError::StatusLine),
    };
    let reason = match reason {
        [] => Bytes::new(),
        [b' ', text @ ..] => {
            let from = start + line.len() - text.len();
            check_value(text, from)?;
            word(&head, from..from + text.len())
        }
        _ => return Err(HeadError::StatusLine),
    };
    let spans = parse_fields(&head, lines.at, names)?;
    Ok(ResponseHead { version, status, reason, headers: judged(head, spans, names) })
}

/// A part of a head, which has no share in it if it is what most heads have there.
fn word(head: &Bytes, part: Range<usize>) -> Bytes {
    let usual: &'static [u8] = match head.get(part.clone()).unwrap_or_default() {
        b"GET" => b"GET",
        b"POST" => b"POST",
        b"OK" => b"OK",
        _ => return head.slice(part),
    };
    Bytes::from_static(usual)
}

/// Reads a trailer section, its final empty line included (RFC 9112 section 7.1.2).
pub(super) fn parse_trailers(section: Bytes) -> Result<Headers, HeadError> {
    let spans = parse_fields(&section, 0, Names::Tokens)?;
    for span in &spans {
        let at = span.line_start as usize;
        if section.get(at..at + span.name_len as usize).is_some_and(is_head_only) {
            return Err(HeadError::NoTrailer { at });
        }
    }
    Ok(judged(section, spans, Names::Tokens))
}

/// Whether a field frames or addresses a message, and so must stand in its head (RFC 9110 section 6.5.1).
#[must_use]
pub fn is_head_only(name: &[u8]) -> bool {
    ["content-length", "host", "transfer-encoding"]
        .iter()
        .any(|field| name.eq_ignore_ascii_case(field.as_bytes()))
}

/// The lines of a head without their ends (CR LF, or LF alone), up to the empty one; with their offsets.
struct Lines<'a> {
    head: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    const fn new(head: &'a [u8]) -> Self {
        Self { head, at: 0 }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = (usize, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.head.get(self.at..)?;
        let end = memchr(b'\n', rest)?;
        let line = rest.get(..end)?;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let start = self.at;
        self.at += end + 1;
        (!line.is_empty()).then_some((start, line))
    }
}

/// Reads the fields that begin at `at`, up to the empty line.
fn parse_fields(block: &[u8], mut at: usize, names: Names) -> Result<Vec<FieldSpan>, HeadError> {
    let mut spans = Vec::with_capacity(16);
    loop {
        let field = match plain_field(block, at) {
            Some(field) => Some(field),
            None => any_field(block, at, names)?,
        };
        let Some((span, next)) = field else { return Ok(spans) };
        if spans.len() == HEAD_FIELDS_MAX {
            return Err(HeadError::TooManyFields);
        }
        spans.push(span);
        at = next;
    }
}

/// Reads the field at `start` in one pass, if its name is a token and its line legal; the field, and where the next line begins.
fn plain_field(block: &[u8], start: usize) -> Option<(FieldSpan, usize)> {
    let line = block.get(start..)?;
    let name_len = Some(token_len(line)).filter(|len| *len > 0)?;
    let after = line.get(name_len..)?.strip_prefix(b":")?;
    let mut after_len = value_len(after);
    let end = match after.get(after_len..)? {
        [b'\n', ..] => 1,
        [b'\r', b'\n', ..] => 2,
        _ => return None,
    };
    let line_len = name_len + 1 + after_len;
    let is_space = |b: Option<&u8>| matches!(b, Some(b' ' | b'\t'));
    let mut value_start = 0;
    while value_start < after_len && is_space(after.get(value_start)) {
        value_start += 1;
    }
    while value_start < after_len && is_space(after.get(after_len - 1)) {
        after_len -= 1;
    }
    let span = field_span(start, line_len, name_len, name_len + 1 + value_start, after_len - value_start);
    Some((span, start + line_len + end))
}

/// Reads the field at `start`, whatever it is; `None` at the empty line.
fn any_field(block: &[u8], start: usize, names: Names) -> Result<Option<(FieldSpan, usize)>, HeadError> {
    let mut lines = Lines { head: block, at: start };
    let Some((start, line)) = lines.next() else { return Ok(None) };
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(HeadError::Folded { at: start });
    }
    let colon = memchr(b':', line).ok_or(HeadError::NoColon { at: start })?;
    let (name, after) = line.split_at_checked(colon).ok_or(HeadError::NoColon { at: start })?;
    if !names.take(name) {
        return Err(HeadError::Name { at: start });
    }
    let after = after.get(1..).unwrap_or_default();
    check_value(after, start + colon + 1)?;
    let value = after.trim_ascii_start();
    let value_start = line.len() - value.len();
    let span = field_span(start, line.len(), name.len(), value_start, value.trim_ascii_end().len());
    Ok(Some((span, lines.at)))
}

/// Whether a value or reason phrase that begins at `from` may hold these bytes.
fn check_value(value: &[u8], from: usize) -> Result<(), HeadError> {
    match value_len(value) {
        len if len == value.len() => Ok(()),
        at => Err(HeadError::ControlByte { at: from + at }),
    }
}

fn field_span(
    line_start: usize,
    line_len: usize,
    name_len: usize,
    value_start: usize,
    value_len: usize,
) -> FieldSpan {
    // Heads are at most HEAD_BYTES_MAX long, so every offset fits.
    let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    FieldSpan {
        line_start: narrow(line_start),
        line_len: narrow(line_len),
        name_len: narrow(name_len),
        value_start: narrow(value_start),
        value_len: narrow(value_len),
    }
}

/// The fields, as what they were judged to be.
fn judged(block: Bytes, spans: Vec<FieldSpan>, names: Names) -> Headers {
    // The spans lie inside: they were cut from this block.
    let headers = match names {
        Names::Tokens => Headers::from_parsed(block, spans),
        Names::Visible => Headers::from_block(block, spans),
    };
    headers.unwrap_or_default()
}

/// Reads a version; `malformed` says what it is if that is none at all.
const fn parse_version(text: &[u8], malformed: HeadError) -> Result<HttpVersion, HeadError> {
    match text {
        b"HTTP/1.1" => Ok(HttpVersion::Http11),
        b"HTTP/1.0" => Ok(HttpVersion::Http10),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => Err(HeadError::Version),
        _ => Err(malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        /// What is read in one pass is what is read with time: it only never takes what that refuses.
        #[test]
        fn both_ways_to_read_a_field_agree(
            line in "[a:( \t]{0,3}[A-Za-z:-]{0,12}[ :]{0,2}[a-z: \t]{0,9}[\x00-\x7f]{0,3}[ -~]{0,20}\r?",
            more in "(\n|\r\n|\r)[a:\r\n]{0,3}",
        ) {
            let block = [line.as_bytes(), more.as_bytes()].concat();
            for start in 0..block.len().min(4) {
                if let Some(plain) = plain_field(&block, start) {
                    for names in [Names::Tokens, Names::Visible] {
                        prop_assert_eq!(any_field(&block, start, names), Ok(Some(plain)));
                    }
                } else if let Ok(Some((span, next))) = any_field(&block, start, Names::Tokens) {
                    prop_assert!(false, "{span:?} {next} of {block:?}");
                }
            }
        }
    }
}
