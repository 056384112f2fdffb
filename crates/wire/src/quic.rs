//! QUIC before anything is agreed: headers of packets, and the ClientHello in a client's Initial packets (RFC 9000, RFC 9001,
//! version 2: RFC 9369).
//!
//! Not a QUIC implementation: no connection is kept and nothing is answered. Initial packets are protected with keys that
//! anybody can derive from the packet, so this hides nothing; the cryptography comes in through [`InitialKeys`], because this
//! crate has none. Invariant: the order in which datagrams and frames come does not change which hello is read.

mod crypto_stream;
mod initial;
mod packet;

pub use initial::{InitialError, InitialKeys, InitialReader, InitialState};
pub use packet::{ConnectionId, LongHeader, PacketKind, Version};
