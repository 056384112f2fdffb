//! The chunked transfer coding (RFC 9112 section 7.1): taking bodies out of chunks and putting them into new ones.
//!
//! Chunk extensions are dropped (section 7.1.1 lets a recipient), chunk borders are not kept. Line ends must be CR LF here:
//! a bare LF in a chunk line is where readers differ.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use flowgate_flow::Headers;
use memchr::memchr;
use thiserror::Error;

use super::encode::{EncodeError, check_fields, put_fields};
use super::framing::BodyEvent;
use super::grammar::is_value;
use super::head::{HeadError, HeadScanner, Names, Scan, is_head_only, parse_trailers};
use crate::limits::{CHUNK_LINE_BYTES_MAX, TRAILER_BYTES_MAX};

/// Why chunks were refused.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum ChunkError {
    /// The size is not 1 to 15 hexadecimal digits, or white space stands around it.
    #[error("malformed chunk size")]
    Size,
    /// The chunk line is longer than [`CHUNK_LINE_BYTES_MAX`].
    #[error("chunk line longer than {CHUNK_LINE_BYTES_MAX} bytes")]
    LineTooLong,
    /// A chunk line does not end in CR LF, or holds a control byte.
    #[error("malformed chunk line")]
    Line,
    /// No CR LF behind a chunk's data.
    #[error("chunk data is not followed by a line end")]
    DataEnd,
    /// The trailer section is longer than [`TRAILER_BYTES_MAX`].
    #[error("trailer section longer than {TRAILER_BYTES_MAX} bytes")]
    TrailersTooLong,
    /// The trailer section is malformed.
    #[error("trailers: {0}")]
    Trailers(#[from] HeadError),
}

/// Takes a body out of chunks.
#[derive(Debug, Default)]
pub struct ChunkedDecoder {
    state: State,
    scanned: usize,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Line,
    Data(u64),
    DataEnd,
    Trailers,
    Done,
}

impl ChunkedDecoder {
    /// Takes what is there out of `buf`.
    ///
    /// # Errors
    /// If the chunks are malformed; then `buf` begins with what is.
    pub fn decode(&mut self, buf: &mut BytesMut) -> Result<BodyEvent, ChunkError> {
        loop {
            match self.state {
                State::Line => match self.take_line(buf)? {
                    None => return Ok(BodyEvent::NeedMore),
                    Some(0) => self.state = State::Trailers,
                    Some(size) => self.state = State::Data(size),
                },
                State::Data(0) => self.state = State::DataEnd,
                State::Data(_) if buf.is_empty() => return Ok(BodyEvent::NeedMore),
                State::Data(left) => {
                    let n = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
                    self.state = State::Data(left - n as u64);
                    return Ok(BodyEvent::Data(buf.split_to(n).freeze()));
                }
                State::DataEnd => match (buf.first(), buf.get(1)) {
                    (Some(b'\r'), Some(b'\n')) => {
                        buf.advance(2);
                        self.state = State::Line;
                    }
                    (None, _) | (Some(b'\r'), None) => return Ok(BodyEvent::NeedMore),
                    _ => return Err(ChunkError::DataEnd),
                },
                State::Trailers => return self.take_trailers(buf),
                State::Done => return Ok(BodyEvent::End(None)),
            }
        }
    }

    /// A chunk line's size, when the line is there.
    fn take_line(&mut self, buf: &mut BytesMut) -> Result<Option<u64>, ChunkError> {
        let fresh = buf.get(self.scanned..).unwrap_or_default();
        let Some(lf) = memchr(b'\n', fresh) else {
            self.scanned = buf.len();
            return if buf.len() > CHUNK_LINE_BYTES_MAX { Err(ChunkError::LineTooLong) } else { Ok(None) };
        };
        let line_end = self.scanned + lf;
        if line_end > CHUNK_LINE_BYTES_MAX {
            return Err(ChunkError::LineTooLong);
        }
        self.scanned = 0;
        let line =
            buf.get(..=line_end).and_then(|line| line.strip_suffix(b"\r\n")).ok_or(ChunkError::Line)?;
        let size = parse_size(line)?;
        buf.advance(line_end + 1);
        Ok(Some(size))
    }

    fn take_trailers(&mut self, buf: &mut BytesMut) -> Result<BodyEvent, ChunkError> {
        match (buf.first(), buf.get(1)) {
            (Some(b'\r'), Some(b'\n')) => {
                buf.advance(2);
                self.state = State::Done;
                return Ok(BodyEvent::End(None));
            }
            (None, _) | (Some(b'\r'), None) => return Ok(BodyEvent::NeedMore),
            (Some(b'\r' | b'\n'), _) => return Err(ChunkError::Line),
            _ => {}
        }
        // Scanned from its start each time: it is short, and hardly ever comes in pieces.
        match HeadScanner::default().scan(buf) {
            Ok(Scan::Head(end)) if end <= TRAILER_BYTES_MAX => {
                // Copied, so that what is refused stays, and kept trailers do not keep the whole buffer alive.
                let trailers = parse_trailers(Bytes::copy_from_slice(buf.get(..end).unwrap_or_default()))?;
                buf.advance(end);
                self.state = State::Done;
                Ok(BodyEvent::End(Some(trailers)))
            }
            Ok(Scan::NeedMore) if buf.len() <= TRAILER_BYTES_MAX => Ok(BodyEvent::NeedMore),
            Ok(_) | Err(_) => Err(ChunkError::TrailersTooLong),
        }
    }
}

fn parse_size(line: &[u8]) -> Result<u64, ChunkError> {
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    if digits == 0 || digits > 15 {
        return Err(ChunkError::Size);
    }
    let (size, extension) = line.split_at_checked(digits).ok_or(ChunkError::Size)?;
    // RFC 9112 section 7.1.1: "bad white space" may stand before the `;` of an extension, nothing else may.
    match extension.trim_ascii_start().first() {
        None if extension.is_empty() => {}
        Some(b';') if is_value(extension) => {}
        Some(b';') => return Err(ChunkError::Line),
        _ => return Err(ChunkError::Size),
    }
    let text = std::str::from_utf8(size).map_err(|_| ChunkError::Size)?;
    u64::from_str_radix(text, 16).map_err(|_| ChunkError::Size)
}

/// Appends a chunk's line for `len` bytes of data, which the caller appends next, followed by CR LF.
/// With `data` small enough to be copied this is [`push_chunk`].
fn push_chunk_line(len: usize, out: &mut BytesMut) {
    let mut digits = [0u8; 16];
    let mut rest = len;
    let mut used = 0;
    for slot in digits.iter_mut().rev() {
        *slot = b"0123456789abcdef".get(rest & 0xf).copied().unwrap_or(b'0');
        rest >>= 4;
        used += 1;
        if rest == 0 {
            break;
        }
    }
    out.put_slice(digits.get(16 - used..).unwrap_or_default());
    out.put_slice(b"\r\n");
}

/// Appends `data` as one chunk; nothing if it is empty (an empty chunk would end the body).
pub fn push_chunk(data: &Bytes, out: &mut BytesMut) {
    if !data.is_empty() {
        push_chunk_line(data.len(), out);
        out.put_slice(data);
        out.put_slice(b"\r\n");
    }
}

/// Appends the last chunk and the trailer section.
///
/// # Errors
/// If a trailer field may not be written; then nothing was appended.
pub fn push_last_chunk(trailers: Option<&Headers>, out: &mut BytesMut) -> Result<(), EncodeError> {
    if let Some(trailers) = trailers {
        check_fields(trailers, Names::Tokens)?;
        if let Some(index) = trailers.iter().position(|field| is_head_only(field.name)) {
            return Err(EncodeError::NoTrailer { index });
        }
    }
    out.put_slice(b"0\r\n");
    match trailers {
        Some(trailers) => put_fields(trailers, out),
        None => out.put_slice(b"\r\n"),
    }
    Ok(())
}
