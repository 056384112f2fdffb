//! How long a body says it is, and whether it is (RFC 9113 section 8.1.1).

use super::MessageError;
use crate::http1::{Framing, parse_length};

/// Reads the one `Content-Length` among fields with their places.
pub(super) fn content_length<'a>(
    fields: impl Iterator<Item = (usize, &'a [u8], &'a [u8])>,
) -> Result<Option<(usize, u64)>, MessageError> {
    let mut length = None;
    for (index, name, value) in fields {
        if name.len() != 14 || !name.eq_ignore_ascii_case(b"content-length") {
            continue;
        }
        if length.is_some() || value.contains(&b',') {
            return Err(MessageError::RepeatedLength { index });
        }
        length = Some((index, parse_length(value).map_err(|_| MessageError::Length { index })?));
    }
    Ok(length)
}

/// How a request's body is delimited, from what its head says.
pub(super) fn request_framing(
    length: Option<(usize, u64)>,
    is_connect: bool,
    ends: bool,
) -> Result<Framing, MessageError> {
    match (length, ends) {
        (Some((index, 1..)), _) if is_connect => Err(MessageError::MisplacedLength { index }),
        (None | Some((_, 0)), true) => Ok(Framing::None),
        (Some(_), true) => Err(MessageError::LengthDiffers),
        (Some(_), false) if is_connect => Ok(Framing::Chunked),
        (Some((_, length)), false) => Ok(Framing::Length(length)),
        (None, false) => Ok(Framing::Chunked),
    }
}

/// How a response's body is delimited, from what its head says; `method` is the request's.
pub(super) fn response_framing(
    status: u16,
    length: Option<(usize, u64)>,
    method: &[u8],
    ends: bool,
) -> Result<Framing, MessageError> {
    if status < 200 {
        return match length {
            Some((index, 1..)) => Err(MessageError::MisplacedLength { index }),
            _ if ends => Err(MessageError::InterimEnds),
            _ => Ok(Framing::None),
        };
    }
    if method == b"HEAD" || matches!(status, 204 | 304) {
        return Ok(Framing::None);
    }
    if method == b"CONNECT" && status < 300 {
        // RFC 9110 section 8.6: a length says nothing here.
        return Ok(if ends { Framing::None } else { Framing::UntilClose });
    }
    match length {
        Some((_, 1..)) if ends => Err(MessageError::LengthDiffers),
        _ if ends => Ok(Framing::None),
        Some((_, length)) => Ok(Framing::Length(length)),
        None => Ok(Framing::UntilClose),
    }
}

/// Counts the bytes of DATA against what the head announced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BodyLength {
    /// `None` if any length is right.
    left: Option<u64>,
}

impl BodyLength {
    /// For a body so delimited.
    #[must_use]
    pub const fn new(framing: Framing) -> Self {
        match framing {
            Framing::None => Self { left: Some(0) },
            Framing::Length(length) => Self { left: Some(length) },
            Framing::Chunked | Framing::UntilClose => Self { left: None },
        }
    }

    /// So many bytes of DATA came, padding not counted.
    ///
    /// # Errors
    /// If they are more than announced.
    pub const fn data(&mut self, len: u64) -> Result<(), MessageError> {
        if let Some(left) = self.left {
            match left.checked_sub(len) {
                Some(left) => self.left = Some(left),
                None => return Err(MessageError::LengthDiffers),
            }
        }
        Ok(())
    }

    /// The body ended, with trailers or without.
    ///
    /// # Errors
    /// If there was less than announced.
    pub const fn end(&self) -> Result<(), MessageError> {
        match self.left {
            None | Some(0) => Ok(()),
            Some(_) => Err(MessageError::LengthDiffers),
        }
    }
}
