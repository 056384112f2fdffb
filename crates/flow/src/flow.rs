//! One thing a user sees as a row.

use std::sync::Arc;

use crate::{ClientConnection, DnsFlow, FlowError, FlowId, HttpFlow, RawFlow, ServerConnection, Timestamp};

/// A flow: an HTTP exchange, a TCP or UDP conversation, a DNS query.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Unique; kept in files.
    pub id: FlowId,
    /// The client's connection as it was when the flow was handed over.
    pub client: Arc<ClientConnection>,
    /// The server's connection likewise; its address is `None` if it never came to one.
    pub server: Arc<ServerConnection>,
    /// What crossed.
    pub kind: FlowKind,
    /// Why it failed.
    pub error: Option<FlowError>,
    /// Held at a hook until a user resumes it.
    pub intercepted: bool,
    /// Which half was replayed.
    pub replay: Option<Replay>,
    /// The mark a user set (`:red_circle:`, or any text); empty for none.
    pub marked: String,
    /// A user's comment.
    pub comment: String,
    /// What addons and we ourselves noted, in order.
    pub metadata: Vec<(String, MetadataValue)>,
    /// When it came to be.
    pub created: Timestamp,
    /// The state before the first edit, to which a user can revert.
    pub backup: Option<Box<Self>>,
}

/// What kind of flow it is, and what that kind holds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum FlowKind {
    /// An HTTP exchange, with its WebSocket if it became one.
    Http(Box<HttpFlow>),
    /// A TCP conversation.
    Tcp(RawFlow),
    /// A UDP conversation.
    Udp(RawFlow),
    /// A DNS query.
    Dns(Box<DnsFlow>),
}

impl FlowKind {
    /// How many bytes the messages of a WebSocket or of a raw conversation have together.
    #[must_use]
    pub fn messages_bytes(&self) -> usize {
        match self {
            Self::Http(http) => {
                let messages = http.websocket.iter().flat_map(|websocket| &websocket.messages);
                messages.map(|message| message.content.len()).sum()
            }
            Self::Tcp(raw) | Self::Udp(raw) => raw.messages.iter().map(|message| message.content.len()).sum(),
            Self::Dns(_) => 0,
        }
    }
}

/// Which half of a flow was replayed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Replay {
    /// The request was sent again (client replay).
    Request,
    /// The response came from a recording (server replay).
    Response,
}

/// A value in a flow's metadata: what JSON and mitmproxy's files can hold.
#[derive(Clone, Debug, PartialEq)]
pub enum MetadataValue {
    /// Nothing.
    None,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(bytes::Bytes),
    /// Several values.
    List(Vec<Self>),
    /// Named values, in order.
    Map(Vec<(String, Self)>),
}

impl Flow {
    /// The metadata that holds the raw bytes of what was refused or was no message, cut at a limit: the client's if the error's
    /// side is the client, otherwise the server's.
    pub const REFUSED: &str = "flowgate.refused";

    /// The raw bytes of what was refused, if something was (see [`Flow::REFUSED`]).
    #[must_use]
    pub fn refused(&self) -> Option<&bytes::Bytes> {
        self.metadata.iter().find_map(|(name, value)| match value {
            MetadataValue::Bytes(bytes) if name == Self::REFUSED => Some(bytes),
            _ => None,
        })
    }

    /// The metadata that says which of a WebSocket's bytes could not be read as messages, and why.
    pub const WEBSOCKET_FAULT: &str = "flowgate.websocket_error";

    /// What could not be read of a WebSocket, if something could not (see [`Flow::WEBSOCKET_FAULT`]). It crossed all the same.
    #[must_use]
    pub fn websocket_fault(&self) -> Option<&str> {
        self.metadata.iter().find_map(|(name, value)| match value {
            MetadataValue::Text(text) if name == Self::WEBSOCKET_FAULT => Some(text.as_str()),
            _ => None,
        })
    }

    /// A flow with nothing but its id, connections and kind.
    #[must_use]
    pub const fn new(
        id: FlowId,
        client: Arc<ClientConnection>,
        server: Arc<ServerConnection>,
        kind: FlowKind,
        created: Timestamp,
    ) -> Self {
        Self {
            id,
            client,
            server,
            kind,
            error: None,
            intercepted: false,
            replay: None,
            marked: String::new(),
            comment: String::new(),
            metadata: Vec::new(),
            created,
            backup: None,
        }
    }
}
