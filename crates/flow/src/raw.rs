//! TCP and UDP flows: conversations recorded as they crossed, chunk by chunk.

use bytes::Bytes;

use crate::Timestamp;

/// What a TCP or UDP flow holds besides its connections.
#[derive(Clone, Debug, Default)]
pub struct RawFlow {
    /// The chunks in the order in which they were seen.
    pub messages: Vec<RawMessage>,
}

/// One chunk of a raw flow: what one read gave, or one datagram.
#[derive(Clone, Debug, PartialEq)]
pub struct RawMessage {
    /// Sent by the client, not by the server.
    pub from_client: bool,
    /// The bytes.
    pub content: Bytes,
    /// When they were read.
    pub timestamp: Timestamp,
}
