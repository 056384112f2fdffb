//! How a body is delimited (RFC 9112 section 6.3), and taking it out of its delimiters.
//!
//! Stricter than the RFC lets a recipient be: where it allows to repair (`Content-Length` beside `Transfer-Encoding`, equal
//! repeated lengths), we refuse, because another reader on the way may have read it otherwise.

use bytes::{Bytes, BytesMut};
use flowgate_flow::{Headers, HttpVersion};
use thiserror::Error;

use super::chunked::{ChunkError, ChunkedDecoder};

/// How a body is delimited.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Framing {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks (RFC 9112 section 7.1).
    Chunked,
    /// Until the connection ends; responses only.
    UntilClose,
}

/// Why a message's body cannot be delimited for certain, or broke off.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum BodyError {
    /// Two lengths, two readers, two messages (RFC 9112 section 6.1).
    #[error("both Content-Length and Transfer-Encoding")]
    LengthAndEncoding,
    /// More than one `Content-Length`, in one field or several.
    #[error("more than one Content-Length")]
    RepeatedLength,
    /// Not a plain decimal number below 2^63.
    #[error("malformed Content-Length")]
    Length,
    /// More than one `Transfer-Encoding` field.
    #[error("more than one Transfer-Encoding")]
    RepeatedEncoding,
    /// A transfer coding other than `chunked` alone.
    #[error("unknown transfer coding")]
    UnknownEncoding,
    /// `Transfer-Encoding` where none may be: HTTP/1.0, and responses that have no body.
    #[error("Transfer-Encoding where none may be")]
    MisplacedEncoding,
    /// A `Content-Length` other than 0 on an interim response (RFC 9110 section 8.6).
    #[error("Content-Length on an interim response")]
    MisplacedLength,
    /// The chunks are malformed.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    /// The connection ended inside the body.
    #[error("connection closed inside the body")]
    Cut,
}

/// How a request's body is delimited.
///
/// # Errors
/// If two readers could see it differently.
pub fn request_framing(version: &HttpVersion, headers: &Headers) -> Result<Framing, BodyError> {
    match announced(version, headers)? {
        Some(framing) => Ok(framing),
        None => Ok(Framing::None),
    }
}

/// How a final response's body is delimited; `method` is the request's.
///
/// # Errors
/// If two readers could see it differently.
pub fn response_framing(
    version: &HttpVersion,
    status: u16,
    headers: &Headers,
    method: &[u8],
) -> Result<Framing, BodyError> {
    let announced = announced(version, headers)?;
    let bodiless = status < 200 || status == 204;
    if bodiless && announced == Some(Framing::Chunked) {
        return Err(BodyError::MisplacedEncoding);
    }
    if status < 200 && matches!(announced, Some(Framing::Length(1..))) {
        return Err(BodyError::MisplacedLength);
    }
    if bodiless || status == 304 || method == b"HEAD" {
        return Ok(Framing::None);
    }
    Ok(announced.unwrap_or(Framing::UntilClose))
}

fn announced(version: &HttpVersion, headers: &Headers) -> Result<Option<Framing>, BodyError> {
    let (mut lengths, mut encodings) =
        (headers.get_all("content-length"), headers.get_all("transfer-encoding"));
    let (length, encoding) = (lengths.next(), encodings.next());
    if lengths.next().is_some() || length.is_some_and(|value| value.contains(&b',')) {
        return Err(BodyError::RepeatedLength);
    }
    if encodings.next().is_some() {
        return Err(BodyError::RepeatedEncoding);
    }
    match (length, encoding) {
        (Some(_), Some(_)) => Err(BodyError::LengthAndEncoding),
        (None, None) => Ok(None),
        (Some(value), None) => Ok(Some(Framing::Length(parse_length(value)?))),
        (None, Some(_)) if *version != HttpVersion::Http11 => Err(BodyError::MisplacedEncoding),
        (None, Some(value)) if value.eq_ignore_ascii_case(b"chunked") => Ok(Some(Framing::Chunked)),
        (None, Some(_)) => Err(BodyError::UnknownEncoding),
    }
}

/// Reads a plain decimal number below 2^63.
pub(crate) fn parse_length(value: &[u8]) -> Result<u64, BodyError> {
    if value.is_empty() || (value.len() > 1 && value.starts_with(b"0")) {
        return Err(BodyError::Length);
    }
    let mut number = 0_u64;
    for byte in value {
        let digit = Some(byte.wrapping_sub(b'0')).filter(|digit| *digit < 10).ok_or(BodyError::Length)?;
        number = number.checked_mul(10).and_then(|n| n.checked_add(digit.into())).ok_or(BodyError::Length)?;
    }
    if number < 1 << 63 { Ok(number) } else { Err(BodyError::Length) }
}

/// What a [`BodyDecoder`] took out of a buffer.
#[derive(Clone, Debug, PartialEq)]
pub enum BodyEvent {
    /// Bytes of the body; never empty.
    Data(Bytes),
    /// The body is over; a chunked one may have had trailers.
    End(Option<Headers>),
    /// Nothing yet.
    NeedMore,
}

/// Takes a body out of its delimiters.
#[derive(Debug)]
pub enum BodyDecoder {
    /// So many bytes are still to come.
    Length(u64),
    /// Chunks are still to come.
    Chunked(ChunkedDecoder),
    /// All until the end.
    UntilClose,
}

impl BodyDecoder {
    /// A decoder for a body so delimited.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        match framing {
            Framing::None => Self::Length(0),
            Framing::Length(n) => Self::Length(n),
            Framing::Chunked => Self::Chunked(ChunkedDecoder::default()),
            Framing::UntilClose => Self::UntilClose,
        }
    }

    /// Takes what is there out of `buf`; `eof` says that nothing will follow.
    ///
    /// # Errors
    /// Malformed chunks, or an end inside the body.
    pub fn decode(&mut self, buf: &mut BytesMut, eof: bool) -> Result<BodyEvent, BodyError> {
        match self {
            Self::Length(0) => Ok(BodyEvent::End(None)),
            Self::UntilClose if eof && buf.is_empty() => Ok(BodyEvent::End(None)),
            Self::Length(_) if eof && buf.is_empty() => Err(BodyError::Cut),
            Self::Length(_) | Self::UntilClose if buf.is_empty() => Ok(BodyEvent::NeedMore),
            Self::UntilClose => Ok(BodyEvent::Data(buf.split().freeze())),
            Self::Length(left) => {
                let n = usize::try_from(*left).unwrap_or(usize::MAX).min(buf.len());
                *left -= n as u64;
                Ok(BodyEvent::Data(buf.split_to(n).freeze()))
            }
            Self::Chunked(chunks) => match chunks.decode(buf)? {
                BodyEvent::NeedMore if eof => Err(BodyError::Cut),
                event => Ok(event),
            },
        }
    }
}
