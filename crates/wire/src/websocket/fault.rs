//! What can be wrong with a stream of frames.

use thiserror::Error;

use super::frame::Opcode;
use crate::limits::WEBSOCKET_INFLATED_BYTES_MAX;

/// Why one direction of a WebSocket cannot be read any further.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("{fault}, in the frame at byte {at}")]
pub struct DecodeError {
    /// What is wrong.
    pub fault: Fault,
    /// Where the frame begins, in bytes from the first one behind the handshake.
    pub at: u64,
}

/// What is wrong with a frame or with its place among others. Sections are those of RFC 6455.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// Bits of the first byte that no agreed extension uses, or not in this place (section 5.2).
    #[error("reserved bits {0:#04x} without an extension that uses them")]
    ReservedBits(u8),
    /// An opcode that means nothing (section 5.2).
    #[error("unknown opcode {0:#x}")]
    UnknownOpcode(u8),
    /// A control frame that is not whole (section 5.5).
    #[error("fragmented {0} frame")]
    FragmentedControl(Opcode),
    /// A control frame of more than 125 bytes (section 5.5).
    #[error("{0} frame longer than 125 bytes")]
    LongControl(Opcode),
    /// A length written with more bytes than it needs (section 5.2).
    #[error("length {0} not written in the shortest way")]
    LengthNotMinimal(u64),
    /// A length of 2^63 or more (section 5.2).
    #[error("length {0} beyond 63 bits")]
    LengthTooLarge(u64),
    /// The client must mask (section 5.1); the usual cause is a peer that is no WebSocket client.
    #[error("client sent a frame without a mask")]
    Unmasked,
    /// The server must not mask (section 5.1).
    #[error("server sent a frame with a mask")]
    Masked,
    /// A message begins before the one in hand has ended (section 5.4).
    #[error("a message begins inside another")]
    Interrupted,
    /// A continuation without a message (section 5.4).
    #[error("continuation frame without a message to continue")]
    NothingToContinue,
    /// A close frame of one byte: neither empty nor long enough for a code (section 5.5.1).
    #[error("close frame with half a code")]
    CloseTooShort,
    /// A code that may not be sent (section 7.4).
    #[error("close code {0}, which may not be sent")]
    CloseCode(u16),
    /// A reason that is not UTF-8 (section 5.5.1).
    #[error("close reason that is not UTF-8")]
    CloseReason,
    /// Something follows the close frame (section 5.5.1).
    #[error("frame behind the close frame")]
    AfterClose,
    /// Compressed data that cannot be decompressed (RFC 7692 section 7.2.2).
    #[error("compressed message is damaged")]
    Inflate,
    /// A message that inflates to more than [`WEBSOCKET_INFLATED_BYTES_MAX`]. Messages behind it may refer to
    /// it, so it cannot be left out.
    #[error("message inflates to more than {WEBSOCKET_INFLATED_BYTES_MAX} bytes")]
    InflatedTooLong,
}
