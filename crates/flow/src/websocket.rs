//! The WebSocket conversation of an HTTP flow (RFC 6455).

use bytes::Bytes;

use crate::Timestamp;

/// What was said after an HTTP flow became a WebSocket.
#[derive(Clone, Debug, Default)]
pub struct WebSocketData {
    /// Whole messages, fragments put together, in the order seen.
    pub messages: Vec<WebSocketMessage>,
    /// Who closed it; `None` while it is open.
    pub closed_by_client: Option<bool>,
    /// The close code (RFC 6455 section 7.4); 1005 if none was sent, 1006 if the connection was cut.
    pub close_code: Option<u16>,
    /// The reason that stood in the close frame.
    pub close_reason: Option<String>,
    /// When it ended.
    pub timestamp_end: Option<Timestamp>,
}

/// One WebSocket message.
#[derive(Clone, Debug, PartialEq)]
pub struct WebSocketMessage {
    /// The opcode: 1 text, 2 binary.
    pub opcode: u8,
    /// Sent by the client, not by the server.
    pub from_client: bool,
    /// The payload, unmasked and decompressed.
    pub content: Bytes,
    /// When its last frame was read.
    pub timestamp: Timestamp,
    /// A user or addon kept it from the other side.
    pub dropped: bool,
    /// A user or addon made it.
    pub injected: bool,
}
