//! Content decoding (RFC 9110 section 8.4) for readers: views, filters, exports.
//!
//! Not for what is forwarded: the bytes on the wire stay as they are. Every layer stops at
//! [`Limits::decoded_bytes_max`], so that a bomb of 1,000 : 1, also one inside another, costs no more than that
//! per layer, in memory and hence in time.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, BufRead, Read};

use flate2::{Decompress, FlushDecompress, Status};

use crate::Limits;

/// A body without its content encodings, as far as it was decoded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Decoded<'a> {
    /// The content; borrowed if nothing had to be decoded.
    pub bytes: Cow<'a, [u8]>,
    /// Why this may not be all of it.
    pub note: Option<DecodeNote>,
}

/// Why decoding ended before the content did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum DecodeNote {
    /// There is more than [`Limits::decoded_bytes_max`].
    LimitReached {
        /// The limit in bytes.
        limit: usize,
    },
    /// The encoded bytes end too early.
    Truncated,
}

/// Why a body cannot be decoded.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Content-Encoding names an encoding that is not known.
    #[error("unknown content encoding {name:?}")]
    Unknown {
        /// What stood there.
        name: String,
    },
    /// The bytes are not what Content-Encoding says.
    #[error("not valid {encoding}")]
    Corrupt {
        /// What they were to be.
        encoding: Encoding,
    },
    /// Content-Encoding lists more encodings than [`Limits::encodings_max`].
    #[error("more than {limit} content encodings")]
    TooMany {
        /// The limit.
        limit: usize,
    },
}

/// A content encoding that can be decoded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Encoding {
    /// RFC 1952; zlib data under this name is read too.
    Gzip,
    /// RFC 1950, and the raw RFC 1951 that some servers send under this name.
    Deflate,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
}

/// Undoes what a Content-Encoding value lists (`gzip`, `br`, `gzip, br`; empty for none).
///
/// # Errors
/// If an encoding is unknown, the bytes are not in it, or there are too many.
pub fn decode<'a>(
    content_encoding: &[u8],
    encoded: &'a [u8],
    limits: &Limits,
) -> Result<Decoded<'a>, DecodeError> {
    let encodings = parse(content_encoding, limits)?;
    let mut decoded = Decoded { bytes: Cow::Borrowed(encoded), note: None };
    // The list is in the order in which they were applied.
    for encoding in encodings.into_iter().rev() {
        if decoded.bytes.is_empty() {
            break;
        }
        let mut out = Bounded { bytes: Vec::new(), limit: limits.decoded_bytes_max };
        let end = match encoding {
            Encoding::Gzip => gzip(&decoded.bytes, &mut out),
            Encoding::Deflate => deflate(&decoded.bytes, &mut out),
            Encoding::Brotli => brotli(&decoded.bytes, &mut out),
            Encoding::Zstd => zstd(&decoded.bytes, &mut out),
        };
        // The reason of the innermost layer that was cut explains those cut by it.
        let note = match end {
            End::Complete => decoded.note,
            End::Full => decoded.note.or(Some(DecodeNote::LimitReached { limit: out.limit })),
            End::Truncated => decoded.note.or(Some(DecodeNote::Truncated)),
            End::Corrupt => return Err(DecodeError::Corrupt { encoding }),
        };
        decoded = Decoded { bytes: Cow::Owned(out.bytes), note };
    }
    Ok(decoded)
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        })
    }
}

pub(crate) fn parse(content_encoding: &[u8], limits: &Limits) -> Result<Vec<Encoding>, DecodeError> {
    let mut encodings = Vec::new();
    for name in content_encoding.split(|byte| *byte == b',') {
        let encoding = match name.trim_ascii().to_ascii_lowercase().as_slice() {
            b"" | b"identity" | b"none" => continue,
            b"gzip" | b"x-gzip" => Encoding::Gzip,
            b"deflate" | b"deflateraw" => Encoding::Deflate,
            b"br" => Encoding::Brotli,
            b"zstd" => Encoding::Zstd,
            other => {
                return Err(DecodeError::Unknown { name: String::from_utf8_lossy(other).into_owned() });
            }
        };
        if encodings.len() == limits.encodings_max {
            return Err(DecodeError::TooMany { limit: limits.encodings_max });
        }
        encodings.push(encoding);
    }
    Ok(encodings)
}

/// How a layer ended.
enum End {
    Complete,
    Full,
    Truncated,
    Corrupt,
}

/// Decoded bytes that know how many they may be.
struct Bounded {
    bytes: Vec<u8>,
    limit: usize,
}

impl Bounded {
    /// Adds bytes; false if not all of them fit.
    fn push(&mut self, piece: &[u8]) -> bool {
        let room = self.limit - self.bytes.len();
        self.bytes.extend_from_slice(piece.get(..room).unwrap_or(piece));
        piece.len() <= room
    }

    /// Adds all that a decoder gives; its input must be a [`Input`], which knows whether the decoder wanted more.
    fn drain(&mut self, decoder: &mut impl Read) -> io::Result<bool> {
        let mut buf = vec![0; CHUNK_BYTES];
        loop {
            let n = decoder.read(&mut buf)?;
            if n == 0 {
                return Ok(true);
            }
            if !self.push(buf.get(..n).unwrap_or_default()) {
                return Ok(false);
            }
        }
    }
}

fn gzip(encoded: &[u8], out: &mut Bounded) -> End {
    if has_zlib_head(encoded) {
        return inflate(encoded, true, out);
    }
    let mut input = Input { rest: encoded, wanted_more: false };
    loop {
        match out.drain(&mut flate2::bufread::GzDecoder::new(&mut input)) {
            Ok(true) => {}
            Ok(false) => return End::Full,
            Err(_) if input.wanted_more => return End::Truncated,
            Err(_) => return End::Corrupt,
        }
        // Several members make one content (RFC 1952 section 2.2); what else follows is padding.
        if !input.rest.starts_with(GZIP_MAGIC) {
            return End::Complete;
        }
    }
}

fn deflate(encoded: &[u8], out: &mut Bounded) -> End {
    if has_zlib_head(encoded) {
        let end = inflate(encoded, true, out);
        if !matches!(end, End::Corrupt) {
            return end;
        }
        out.bytes.clear();
    }
    inflate(encoded, false, out)
}

fn inflate(encoded: &[u8], zlib: bool, out: &mut Bounded) -> End {
    let mut decoder = Decompress::new(zlib);
    let mut buf = vec![0; CHUNK_BYTES];
    let mut rest = encoded;
    loop {
        let (in_before, out_before) = (decoder.total_in(), decoder.total_out());
        let Ok(status) = decoder.decompress(rest, &mut buf, FlushDecompress::None) else {
            return End::Corrupt;
        };
        let used = offset(decoder.total_in() - in_before);
        let made = offset(decoder.total_out() - out_before);
        rest = rest.get(used..).unwrap_or_default();
        if !out.push(buf.get(..made).unwrap_or_default()) {
            return End::Full;
        }
        match status {
            Status::StreamEnd => return End::Complete,
            Status::Ok | Status::BufError if used == 0 && made == 0 => return End::Truncated,
            Status::Ok | Status::BufError => {}
        }
    }
}

fn brotli(encoded: &[u8], out: &mut Bounded) -> End {
    let mut input = Input { rest: encoded, wanted_more: false };
    let outcome = out.drain(&mut brotli_decompressor::Decompressor::new(&mut input, CHUNK_BYTES));
    end_of(outcome, &input)
}

fn zstd(encoded: &[u8], out: &mut Bounded) -> End {
    let mut input = Input { rest: encoded, wanted_more: false };
    while !input.rest.is_empty() {
        if let Some(len) = skippable_frame(input.rest) {
            input.rest = input.rest.get(len..).unwrap_or_default();
            continue;
        }
        let outcome = match ruzstd::decoding::StreamingDecoder::new(&mut input) {
            Ok(mut decoder) => out.drain(&mut decoder),
            Err(error) => Err(io::Error::other(error)),
        };
        match end_of(outcome, &input) {
            End::Complete => {}
            other => return other,
        }
    }
    End::Complete
}

/// How long the skippable frame is (RFC 8878 section 3.1.2) that stands here, if one does.
pub(crate) fn skippable_frame(bytes: &[u8]) -> Option<usize> {
    let (magic, rest) = bytes.split_first_chunk()?;
    let len = u32::from_le_bytes(*rest.first_chunk()?);
    let is_skippable = u32::from_le_bytes(*magic) & 0xffff_fff0 == 0x184d_2a50;
    is_skippable.then(|| offset(len.into()).saturating_add(8))
}

fn end_of(outcome: io::Result<bool>, input: &Input<'_>) -> End {
    match outcome {
        Ok(true) => End::Complete,
        Ok(false) => End::Full,
        Err(_) if input.wanted_more => End::Truncated,
        Err(_) => End::Corrupt,
    }
}

/// Encoded bytes that know whether a decoder asked for more than there are.
struct Input<'a> {
    rest: &'a [u8],
    wanted_more: bool,
}

impl Read for Input<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.wanted_more |= self.rest.is_empty() && !buf.is_empty();
        self.rest.read(buf)
    }
}

impl BufRead for Input<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.wanted_more |= self.rest.is_empty();
        Ok(self.rest)
    }

    fn consume(&mut self, amount: usize) {
        self.rest.consume(amount);
    }
}

/// RFC 1950 section 2.2: method 8, and a check over the first two bytes.
pub(crate) fn has_zlib_head(encoded: &[u8]) -> bool {
    match encoded {
        [method, flags, ..] => method & 0x0f == 8 && u16::from_be_bytes([*method, *flags]).is_multiple_of(31),
        _ => false,
    }
}

fn offset(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

const GZIP_MAGIC: &[u8] = b"\x1f\x8b";
const CHUNK_BYTES: usize = 32 * 1024;
