//! Messages on hooks: of WebSockets, and pieces of raw connections.

use std::sync::Arc;

use bytes::Bytes;
use flowgate_flow::{Flow, MetadataValue};
use tokio::sync::mpsc;

use crate::limits::INJECTED_MESSAGES_MAX;

/// A message that an addon sends of its own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Injected {
    /// Whether it is a text message; raw connections know no difference.
    pub text: bool,
    /// What it says.
    pub content: Bytes,
}

/// Sends messages into a conversation that is in progress, from anywhere and at any time.
#[derive(Clone, Debug)]
pub struct Injector {
    to_server: mpsc::Sender<Injected>,
    to_client: mpsc::Sender<Injected>,
}

/// A conversation on `websocket_start` and `tcp_start`.
#[derive(Debug)]
pub struct LiveConversation {
    flow: Arc<Flow>,
    injector: Injector,
    is_exempt: bool,
    killed: bool,
    notes: Vec<(String, MetadataValue)>,
}

/// A message on `websocket_message` and `tcp_message`.
#[derive(Debug)]
pub struct LiveMessage {
    flow: Arc<Flow>,
    from_client: bool,
    text: bool,
    injected: bool,
    content: Bytes,
    changed: bool,
    dropped: bool,
}

impl Injector {
    /// What an injector sends is received by these: for the server, for the client.
    pub(crate) fn new() -> (Self, (mpsc::Receiver<Injected>, mpsc::Receiver<Injected>)) {
        let (to_server, for_server) = mpsc::channel(INJECTED_MESSAGES_MAX);
        let (to_client, for_client) = mpsc::channel(INJECTED_MESSAGES_MAX);
        (Self { to_server, to_client }, (for_server, for_client))
    }

    /// Sends a message to the server (or to the client), as if the other had sent it; says whether the conversation is still there.
    /// Waits while it takes no more.
    pub async fn inject(&self, to_server: bool, message: Injected) -> bool {
        let to = if to_server { &self.to_server } else { &self.to_client };
        to.send(message).await.is_ok()
    }

    /// The same without waiting; `false` also if there is no room.
    #[must_use]
    pub fn try_inject(&self, to_server: bool, message: Injected) -> bool {
        let to = if to_server { &self.to_server } else { &self.to_client };
        to.try_send(message).is_ok()
    }
}

impl LiveConversation {
    pub(crate) const fn new(flow: Arc<Flow>, injector: Injector, is_exempt: bool) -> Self {
        Self { flow, injector, is_exempt, killed: false, notes: Vec::new() }
    }

    /// The flow as it began.
    #[must_use]
    pub fn flow(&self) -> &Flow {
        &self.flow
    }

    /// What sends messages into it, if some addon asked for its messages; otherwise nothing that is sent arrives.
    #[must_use]
    pub fn injector(&self) -> Injector {
        self.injector.clone()
    }

    /// Whether it is passed through untouched, and shown only because that was asked for (mitmproxy: `show_ignored_hosts`).
    #[must_use]
    pub const fn is_exempt(&self) -> bool {
        self.is_exempt
    }

    /// Resets a raw connection before anything crosses. A WebSocket is killed at its request, or at the answer to it.
    pub const fn kill(&mut self) {
        self.killed = true;
    }

    /// Notes something on the flow of a raw connection.
    pub fn note(&mut self, name: impl Into<String>, value: MetadataValue) {
        self.notes.push((name.into(), value));
    }

    /// What was noted, and whether it was killed.
    pub(crate) fn into_outcome(self) -> (Vec<(String, MetadataValue)>, bool) {
        (self.notes, self.killed)
    }
}

impl LiveMessage {
    pub(crate) const fn new(
        flow: Arc<Flow>,
        from_client: bool,
        text: bool,
        injected: bool,
        content: Bytes,
    ) -> Self {
        Self { flow, from_client, text, injected, content, changed: false, dropped: false }
    }

    /// The flow as it began: without messages.
    #[must_use]
    pub fn flow(&self) -> &Flow {
        &self.flow
    }

    /// Who sent it; with injected ones, in whose name it is sent.
    #[must_use]
    pub const fn is_from_client(&self) -> bool {
        self.from_client
    }

    /// Whether it is a text message.
    #[must_use]
    pub const fn is_text(&self) -> bool {
        self.text
    }

    /// Whether an addon sent it.
    #[must_use]
    pub const fn is_injected(&self) -> bool {
        self.injected
    }

    /// What it says: uncompressed, its fragments put together.
    #[must_use]
    pub const fn content(&self) -> &Bytes {
        &self.content
    }

    /// Says something else.
    pub fn set_content(&mut self, content: Bytes) {
        self.changed |= self.content != content;
        self.content = content;
    }

    /// Does not send it on.
    pub const fn discard(&mut self) {
        self.dropped = true;
    }

    /// Whether it is not sent on.
    #[must_use]
    pub const fn is_discarded(&self) -> bool {
        self.dropped
    }

    pub(crate) const fn is_changed(&self) -> bool {
        self.changed
    }
}
