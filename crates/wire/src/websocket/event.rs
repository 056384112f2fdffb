//! What a decoder tells.

use bytes::Bytes;

use super::fault::Fault;
use super::frame::Opcode;

/// Something whole that one side said.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// A message: its last frame was read.
    Message(Message),
    /// A ping with its payload.
    Ping(Bytes),
    /// A pong with its payload.
    Pong(Bytes),
    /// The last thing this side may say.
    Close(CloseFrame),
}

/// A message with its fragments put together.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// What its sender says it is. Text is not checked to be UTF-8: what crossed is shown, whatever it is.
    pub kind: MessageKind,
    /// The content, unmasked and inflated.
    pub content: Bytes,
    /// There was more than the decoder was to keep; `content` is the beginning.
    pub truncated: bool,
}

/// The two kinds of message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MessageKind {
    /// Said to be UTF-8.
    Text,
    /// Bytes.
    Binary,
}

/// What a close frame says (RFC 6455 section 5.5.1).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CloseFrame {
    /// The code, if there is one; as sent, also where it may not be.
    pub code: Option<u16>,
    /// The reason; bytes that are not UTF-8 stand as U+FFFD.
    pub reason: String,
}

impl MessageKind {
    /// The opcode of a message's first frame.
    #[must_use]
    pub const fn opcode(self) -> Opcode {
        match self {
            Self::Text => Opcode::Text,
            Self::Binary => Opcode::Binary,
        }
    }
}

impl CloseFrame {
    /// Reads the payload of a close frame: what it says as far as it says something, and what is wrong with it.
    pub(super) fn read(payload: &[u8]) -> (Option<Self>, Option<Fault>) {
        let Some((code, reason)) = payload.split_first_chunk() else {
            return match payload {
                [] => (Some(Self { code: None, reason: String::new() }), None),
                _ => (None, Some(Fault::CloseTooShort)),
            };
        };
        let code = u16::from_be_bytes(*code);
        let fault = match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => {
                std::str::from_utf8(reason).err().map(|_| Fault::CloseReason)
            }
            _ => Some(Fault::CloseCode(code)),
        };
        (Some(Self { code: Some(code), reason: String::from_utf8_lossy(reason).into_owned() }), fault)
    }
}
