//! Reading the head of a request or response: start line and header section (RFC 9112 sections 2 to 5).
//!
//! Not here: what the fields mean for the body (`framing`), and what a target names (`target`).

use bytes::{Buf, Bytes, BytesMut};
use flowgate_flow::{FieldSpan, Headers, HttpVersion};
use memchr::{memchr, memchr_iter};
use thiserror::Error;

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
    if let Some(at) = target.iter().position(|b| *b < 0x21 || *b == 0x7f) {
        return Err(HeadError::TargetByte { at: target_start + at });
    }
    let version = parse_version(version, HeadError::RequestLine)?;
    let (method, target) = (method.len(), target_start..target_start + target.len());
    let spans = parse_fields(lines, names)?;
    Ok(RequestHead {
        method: head.slice(start..start + method),
        target: head.slice(target),
        version,
        // The spans lie inside: they were cut from this block.
        headers: Headers::from_block(head, spans).unwrap_or_default(),
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
            head.slice(from..from + text.len())
        }
        _ => return Err(HeadError::StatusLine),
    };
    let spans = parse_fields(lines, names)?;
    Ok(ResponseHead {
        version,
        status,
        reason,
        headers: Headers::from_block(head, spans).unwrap_or_default(),
    })
}

/// Reads a trailer section, its final empty line included (RFC 9112 section 7.1.2).
pub(super) fn parse_trailers(section: Bytes) -> Result<Headers, HeadError> {
    let spans = parse_fields(Lines::new(&section), Names::Tokens)?;
    for span in &spans {
        let at = span.line_start as usize;
        if section.get(at..at + span.name_len as usize).is_some_and(is_head_only) {
            return Err(HeadError::NoTrailer { at });
        }
    }
    Ok(Headers::from_block(section, spans).unwrap_or_default())
}

/// Whether a field frames or addresses a message, and so must stand in its head (RFC 9110 section 6.5.1).
#[must_use]
pub fn is_head_only(name: &[u8]) -> bool {
    ["content-length", "host", "transfer-encoding"]
        .iter()
        .any(|field| name.eq_ignore_ascii_case(field.as_bytes()))
}

/// Whether it is a token: at least one byte, none of them a delimiter (RFC 9110 section 5.6.2).
#[must_use]
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|b| TOKEN_BYTES.get(usize::from(*b)) == Some(&true))
}

/// Whether a value or reason phrase may hold these bytes: no control but the tab (RFC 9110 section 5.5).
pub(crate) fn check_value(value: &[u8], from: usize) -> Result<(), HeadError> {
    match value.iter().position(|b| VALUE_BYTES.get(usize::from(*b)) != Some(&true)) {
        Some(at) => Err(HeadError::ControlByte { at: from + at }),
        None => Ok(()),
    }
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

fn parse_fields(lines: Lines<'_>, names: Names) -> Result<Vec<FieldSpan>, HeadError> {
    let mut spans = Vec::with_capacity(16);
    for (start, line) in lines {
        if spans.len() == HEAD_FIELDS_MAX {
            return Err(HeadError::TooManyFields);
        }
        spans.push(parse_field(start, line, names)?);
    }
    Ok(spans)
}

fn parse_field(start: usize, line: &[u8], names: Names) -> Result<FieldSpan, HeadError> {
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
    let value = value.trim_ascii_end();
    // Heads are at most HEAD_BYTES_MAX long, so every offset fits.
    let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Ok(FieldSpan {
        line_start: narrow(start),
        line_len: narrow(line.len()),
        name_len: narrow(name.len()),
        value_start: narrow(value_start),
        value_len: narrow(value.len()),
    })
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

static TOKEN_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let tokens = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut i = 0;
    while i < tokens.len() {
        #[expect(clippy::indexing_slicing, reason = "checked while compiling")]
        {
            table[tokens[i] as usize] = true;
        }
        i += 1;
    }
    table
};

static VALUE_BYTES: [bool; 256] = {
    let mut table = [true; 256];
    let mut i = 0;
    while i < 0x20 {
        #[expect(clippy::indexing_slicing, reason = "checked while compiling")]
        {
            table[i] = i == 0x09;
        }
        i += 1;
    }
    table[0x7f] = false;
    table
};
