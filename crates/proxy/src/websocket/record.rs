//! What is kept of a WebSocket, and told of it while it lives. Bounded by [`WEBSOCKET_RECORD_BYTES_MAX`].

use bytes::Bytes;
use flowgate_flow::{Flow, FlowError, FlowKind, MetadataValue, Timestamp, WebSocketData, WebSocketMessage};
use flowgate_wire::websocket::{CloseFrame, Event, Message};

use crate::clock;
use crate::events::Events;
use crate::limits::WEBSOCKET_RECORD_BYTES_MAX;

/// The close code of a close frame that has none (RFC 6455 section 7.4.1).
const NO_CODE: u16 = 1005;
/// The close code of a connection that was cut without a close frame.
const CUT: u16 = 1006;

/// A WebSocket's flow in the making.
pub(crate) struct Record<'a> {
    events: &'a dyn Events,
    /// The flow as live readers see it: without its messages.
    flow: Flow,
    data: WebSocketData,
    keep: bool,
    /// What the messages take so far, in bytes.
    kept: usize,
    /// The record is full.
    full: bool,
    /// Something crossed that is not in the record.
    truncated: bool,
    faults: Vec<String>,
    /// Which side stopped sending before the other.
    ended_first: Option<bool>,
}

impl<'a> Record<'a> {
    /// Begins, and tells it.
    pub(super) fn new(events: &'a dyn Events, mut flow: Flow) -> Self {
        if let FlowKind::Http(http) = &mut flow.kind {
            http.websocket = Some(WebSocketData::default());
        }
        events.websocket_started(&flow);
        let (data, keep) = (WebSocketData::default(), events.keeps_bodies());
        let faults = Vec::new();
        Self { events, flow, data, keep, kept: 0, full: false, truncated: false, faults, ended_first: None }
    }

    /// The flow as live readers see it: without its messages.
    pub(super) const fn flow(&self) -> &Flow {
        &self.flow
    }

    /// The values of the response's fields of this name.
    pub(super) fn response_values<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'b [u8]> {
        let response = match &self.flow.kind {
            FlowKind::Http(http) => http.response.as_ref(),
            _ => None,
        };
        response.into_iter().flat_map(move |response| response.headers.get_all(name))
    }

    /// Why something is missing from the record, or is not as it was meant.
    pub(crate) fn fault(&mut self, text: String) {
        self.faults.push(text);
    }

    pub(crate) fn event(&mut self, from_client: bool, event: Event) {
        match event {
            Event::Message(message) => self.message(from_client, message, false, false),
            Event::Close(close) => self.close(from_client, close),
            // Signs of life, not messages (mitmproxy keeps none either).
            Event::Ping(_) | Event::Pong(_) => {}
        }
    }

    /// A side will send no more.
    pub(crate) fn ended(&mut self, from_client: bool) {
        self.ended_first.get_or_insert(from_client);
    }

    pub(crate) fn message(&mut self, from_client: bool, message: Message, dropped: bool, injected: bool) {
        let Message { kind, content, truncated } = message;
        let message = WebSocketMessage {
            opcode: kind.opcode().bits(),
            from_client,
            content,
            timestamp: clock::now(),
            dropped,
            injected,
        };
        let message = if self.keep { message } else { WebSocketMessage { content: Bytes::new(), ..message } };
        self.events.websocket_message(&self.flow, &message);
        if !self.keep || self.full {
            return;
        }
        // Empty messages take room too.
        self.kept += message.content.len() + size_of::<WebSocketMessage>();
        self.full = self.kept > WEBSOCKET_RECORD_BYTES_MAX;
        self.truncated |= truncated || self.full;
        if !self.full {
            self.data.messages.push(message);
        }
    }

    fn close(&mut self, from_client: bool, close: CloseFrame) {
        // The second close frame answers the first.
        if self.data.closed_by_client.is_none() {
            self.data.closed_by_client = Some(from_client);
            self.data.close_code = Some(close.code.unwrap_or(NO_CODE));
            self.data.close_reason = Some(close.reason).filter(|reason| !reason.is_empty());
        }
    }

    /// The whole flow. `failed_side` is the client (`true`) or the server if the connection to it failed; `read_both` says
    /// that no close frame can have been missed.
    pub(super) fn finish(
        mut self,
        error: Option<FlowError>,
        failed_side: Option<bool>,
        read_both: bool,
        timestamp: Timestamp,
    ) -> Flow {
        if self.data.closed_by_client.is_none() {
            self.flow.error = error;
            self.data.closed_by_client = self.ended_first.or(failed_side);
            self.data.close_code = read_both.then_some(CUT);
        }
        // Otherwise it was closed as it should be: how the connections went down afterwards does not matter.
        self.data.timestamp_end = Some(timestamp);
        if self.truncated {
            self.flow.metadata.push(("flowgate.truncated".into(), MetadataValue::Bool(true)));
        }
        if !self.faults.is_empty() {
            let faults = MetadataValue::Text(self.faults.join("; "));
            self.flow.metadata.push((Flow::WEBSOCKET_FAULT.into(), faults));
        }
        if let FlowKind::Http(http) = &mut self.flow.kind {
            http.websocket = Some(self.data);
        }
        self.flow
    }
}
