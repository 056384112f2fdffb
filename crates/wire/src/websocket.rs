//! WebSocket frames and messages (RFC 6455), compressed ones too (RFC 7692): one direction's bytes in, messages out.
//!
//! Not here: the handshake but for its proof, since it is HTTP, and any answer. A decoder only reads; what it finds wrong ends its reading and
//! says nothing about whether the bytes may cross.
//!
//! Invariant: what a decoder holds is bounded by its `content_bytes_max`, one control frame and one inflate window.

mod decoder;
mod event;
mod extensions;
mod fault;
mod frame;
mod handshake;
mod inflate;
mod mask;
mod prefix;

pub use decoder::{FrameDecoder, Sender};
pub use event::{CloseFrame, Event, Message, MessageKind};
pub use extensions::{Deflate, DeflateSide, ExtensionError, Extensions, parse_extensions};
pub use fault::{DecodeError, Fault};
pub use frame::{FrameHeader, Opcode};
pub use handshake::{handshake_accept, handshake_key};
pub use mask::apply_mask;
