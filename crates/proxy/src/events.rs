//! What the proxy tells: log lines, and flows. The seam behind which front ends and, later, the store and addons stand.
//!
//! Nothing here is waited for on the hot path unless a receiver is full: then the flow's own connection waits, and no other.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;

use flowgate_flow::{BodyMessage, Flow, RawMessage, WebSocketMessage};
use flowgate_options::Level;

/// Who receives what the proxy tells.
pub trait Events: Send + Sync {
    /// Whether a line of this level would be shown; asked before a line is put together.
    fn logs(&self, level: Level) -> bool;

    /// A line for the event log. `peer` is the client it concerns.
    fn log(&self, level: Level, peer: Option<SocketAddr>, message: fmt::Arguments<'_>);

    /// Whether bodies and raw messages are to be kept with flows; otherwise they are only counted.
    fn keeps_bodies(&self) -> bool;

    /// A piece of a TCP flow that is in progress; the flow itself comes when it ends.
    fn raw_message(&self, flow: &Flow, message: &RawMessage);

    /// A flow became a WebSocket: its 101 was passed on. The flow itself comes when the WebSocket ends.
    fn websocket_started(&self, flow: &Flow);

    /// A message of a WebSocket that is in progress; without content if [`Events::keeps_bodies`] says no. The flow is as it
    /// was when the WebSocket started: it has this message and all others when it ends.
    fn websocket_message(&self, flow: &Flow, message: &WebSocketMessage);

    /// Whether [`body_message`](Self::body_message) is to be called at all; asked for each request.
    fn wants_body_messages(&self) -> bool {
        false
    }

    /// A message inside the body of an exchange that is in progress (gRPC, a server-sent event), just before it goes on. The flow has
    /// its id, and its heads as far as they are known, but no bodies; it comes itself when it ends.
    fn body_message(&self, _flow: &Flow, _message: &BodyMessage) {}

    /// Takes a flow that has ended, or gives it back if there is no room at the moment.
    ///
    /// # Errors
    /// The flow itself; then [`Events::flow_when_free`] takes it.
    #[expect(clippy::result_large_err, reason = "the flow is moved either way")]
    fn flow(&self, flow: Flow) -> Result<(), Flow>;

    /// Takes a flow as soon as there is room.
    fn flow_when_free<'a>(&'a self, flow: Flow) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
}

/// Hands over a flow, at once if there is room; what is given waits until there is. No flow stands in that future, so nobody's task
/// is larger for it.
pub(crate) fn report<'a>(events: &'a dyn Events, flow: Flow) -> impl Future<Output = ()> + Send + use<'a> {
    let waiting = events.flow(flow).err().map(|flow| events.flow_when_free(flow));
    async move {
        if let Some(waiting) = waiting {
            waiting.await;
        }
    }
}
