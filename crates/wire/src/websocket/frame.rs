//! The header of a frame (RFC 6455 section 5.2).

use std::fmt;

use bytes::BufMut;

use super::fault::Fault;

/// What a frame is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Opcode {
    /// More of the message in hand.
    Continuation,
    /// A text message begins.
    Text,
    /// A binary message begins.
    Binary,
    /// The sender will send no more.
    Close,
    /// A question whether the peer is alive.
    Ping,
    /// The answer to a ping, or an unasked sign of life.
    Pong,
}

/// What stands before a frame's payload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FrameHeader {
    /// The last frame of its message.
    pub fin: bool,
    /// The first reserved bit: the message is compressed (RFC 7692 section 6). No extension that we know uses the others.
    pub rsv1: bool,
    /// What it is.
    pub opcode: Opcode,
    /// The payload's length, in bytes.
    pub len: u64,
    /// With what the payload is masked.
    pub mask: Option<[u8; 4]>,
}

/// The longest header: two bytes, eight of length, four of mask.
pub(super) const HEADER_BYTES_MAX: usize = 14;
/// The longest payload of a control frame (section 5.5).
const CONTROL_BYTES_MAX: u8 = 125;

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RSV2_AND_3: u8 = 0x30;
const MASKED: u8 = 0x80;

impl FrameHeader {
    /// The header that `bytes` begin with, and its length; `None` if more bytes are needed, which is never so with 14.
    ///
    /// # Errors
    /// If no frame may begin like this, whoever sends it and whatever came before.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, Fault> {
        let &[first, second, ref rest @ ..] = bytes else { return Ok(None) };
        if first & RSV2_AND_3 != 0 {
            return Err(Fault::ReservedBits(first & (RSV1 | RSV2_AND_3)));
        }
        let opcode = Opcode::from_bits(first & 0x0f)?;
        let fin = first & FIN != 0;
        if opcode.is_control() && !fin {
            return Err(Fault::FragmentedControl(opcode));
        }
        let short_len = second & !MASKED;
        if opcode.is_control() && short_len > CONTROL_BYTES_MAX {
            return Err(Fault::LongControl(opcode));
        }
        let (len, rest) = match short_len {
            126 => match rest.split_first_chunk() {
                Some((len, rest)) => (minimal(u16::from_be_bytes(*len).into(), 126)?, rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk() {
                Some((len, rest)) => (minimal(u64::from_be_bytes(*len), 1 << 16)?, rest),
                None => return Ok(None),
            },
            len => (len.into(), rest),
        };
        if len >> 63 != 0 {
            return Err(Fault::LengthTooLarge(len));
        }
        let (mask, rest) = if second & MASKED == 0 {
            (None, rest)
        } else {
            match rest.split_first_chunk() {
                Some((key, rest)) => (Some(*key), rest),
                None => return Ok(None),
            }
        };
        let header = Self { fin, rsv1: first & RSV1 != 0, opcode, len, mask };
        Ok(Some((header, bytes.len() - rest.len())))
    }

    /// Appends the header as it stands on the wire. The payload is the caller's, masked with
    /// [`apply_mask`](super::apply_mask) if `mask` says so.
    pub fn encode(&self, out: &mut impl BufMut) {
        let fin = if self.fin { FIN } else { 0 };
        let rsv1 = if self.rsv1 { RSV1 } else { 0 };
        out.put_u8(fin | rsv1 | self.opcode.bits());
        let masked = if self.mask.is_some() { MASKED } else { 0 };
        match (u8::try_from(self.len), u16::try_from(self.len)) {
            (Ok(len @ 0..=125), _) => out.put_u8(masked | len),
            (_, Ok(len)) => {
                out.put_u8(masked | 126);
                out.put_u16(len);
            }
            _ => {
                out.put_u8(masked | 127);
                out.put_u64(self.len);
            }
        }
        if let Some(key) = self.mask {
            out.put_slice(&key);
        }
    }
}

impl Opcode {
    const fn from_bits(bits: u8) -> Result<Self, Fault> {
        Ok(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            unknown => return Err(Fault::UnknownOpcode(unknown)),
        })
    }

    /// The four bits on the wire.
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xa,
        }
    }

    /// Close, ping or pong: may stand between the fragments of a message.
    #[must_use]
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

impl fmt::Display for Opcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Continuation => "continuation",
            Self::Text => "text",
            Self::Binary => "binary",
            Self::Close => "close",
            Self::Ping => "ping",
            Self::Pong => "pong",
        })
    }
}

const fn minimal(len: u64, min: u64) -> Result<u64, Fault> {
    if len < min { Err(Fault::LengthNotMinimal(len)) } else { Ok(len) }
}
