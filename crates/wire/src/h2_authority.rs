//! Whom the first request of an HTTP/2 connection in the clear is for (RFC 9113 section 8.3.1).
//!
//! Not a parser of HTTP/2: what is wrong with the frames is said by whoever serves them. Here it only means that there is no
//! name. Bytes are looked at once, however they are cut.

use crate::hpack::Decoder;
use crate::limits::HEAD_BYTES_MAX;
use crate::sniff::HTTP2_PREFACE;

/// Length, type, flags and stream of a frame (section 4.1).
const FRAME_HEADER_BYTES: usize = 9;
/// The longest frame before anybody has allowed longer ones (section 6.5.2).
const FRAME_BYTES_MAX: usize = 16 * 1024;
/// The size of the table before anybody has changed it (section 6.5.2).
const TABLE_BYTES: usize = 4096;

const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;

/// Whether a connection names a host.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AuthorityState {
    /// The first request is not there as a whole.
    NeedMore,
    /// It names nobody, is malformed, or does not come within [`HEAD_BYTES_MAX`].
    Absent,
    /// Its `:authority`, or else its Host field.
    Authority(Vec<u8>),
}

/// Looks for the authority of the first request of a connection that arrives in pieces.
#[derive(Clone, Debug, Default)]
pub struct AuthorityReader {
    /// Where the first frame starts that is not done with; 0 is the preface.
    at: usize,
    /// What came of a header block.
    block: Vec<u8>,
    /// A header block has begun and is not over.
    in_block: bool,
}

impl AuthorityReader {
    /// Goes on with `bytes`: everything received since the first byte of the preface, not only what is new.
    pub fn read(&mut self, bytes: &[u8]) -> AuthorityState {
        let window = bytes.get(..HEAD_BYTES_MAX).unwrap_or(bytes);
        if self.at == 0 {
            if !window.starts_with(HTTP2_PREFACE) {
                let begun = HTTP2_PREFACE.starts_with(window);
                return if begun { AuthorityState::NeedMore } else { AuthorityState::Absent };
            }
            self.at = HTTP2_PREFACE.len();
        }
        while let Some((frame, end)) = frame_at(window, self.at) {
            self.at = end;
            match frame {
                Some(frame) => match self.take(&frame) {
                    Some(AuthorityState::NeedMore) | None => {}
                    Some(found) => return found,
                },
                None => return AuthorityState::Absent,
            }
        }
        if bytes.len() >= HEAD_BYTES_MAX { AuthorityState::Absent } else { AuthorityState::NeedMore }
    }

    fn take(&mut self, frame: &Frame<'_>) -> Option<AuthorityState> {
        match frame.kind {
            HEADERS if !self.in_block => {
                let Some(part) = frame.fragment() else { return Some(AuthorityState::Absent) };
                self.block.extend_from_slice(part);
            }
            CONTINUATION if self.in_block => self.block.extend_from_slice(frame.payload),
            // Nothing may stand between the parts of a block (section 6.10).
            _ if self.in_block => return Some(AuthorityState::Absent),
            _ => return None,
        }
        self.in_block = frame.flags & END_HEADERS == 0;
        (!self.in_block).then(|| authority(&self.block))
    }
}

struct Frame<'a> {
    kind: u8,
    flags: u8,
    payload: &'a [u8],
}

impl Frame<'_> {
    /// The part of the header block in a HEADERS frame (section 6.2).
    fn fragment(&self) -> Option<&[u8]> {
        let mut payload = self.payload;
        if self.flags & PADDED != 0 {
            let (padding, rest) = payload.split_first()?;
            payload = rest.get(..rest.len().checked_sub(usize::from(*padding))?)?;
        }
        if self.flags & PRIORITY != 0 { payload.get(5..) } else { Some(payload) }
    }
}

/// The frame that begins at an offset and where it ends, if all of it is there; `None` in its place if it is too long.
fn frame_at(bytes: &[u8], at: usize) -> Option<(Option<Frame<'_>>, usize)> {
    let [high, middle, low, kind, flags, ..] = *bytes.get(at..at + FRAME_HEADER_BYTES)? else { return None };
    let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
    let start = at + FRAME_HEADER_BYTES;
    if length > FRAME_BYTES_MAX {
        return Some((None, start));
    }
    let payload = bytes.get(start..start + length)?;
    Some((Some(Frame { kind, flags, payload }), start + length))
}

fn authority(block: &[u8]) -> AuthorityState {
    let Ok(fields) = Decoder::new(TABLE_BYTES).decode(block, HEAD_BYTES_MAX) else {
        return AuthorityState::Absent;
    };
    let value = |name: &[u8]| fields.iter().find(|field| field.name == name).map(|field| field.value);
    match value(b":authority").or_else(|| value(b"host")) {
        Some(host) if !host.is_empty() => AuthorityState::Authority(host.to_vec()),
        _ => AuthorityState::Absent,
    }
}
