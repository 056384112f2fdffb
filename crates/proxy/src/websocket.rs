//! WebSockets: relayed byte for byte as they come, while a decoder for each direction looks on and records what is said.
//!
//! Nothing is held or changed here, and nothing a decoder finds wrong stops a byte: only the two ends can know what they
//! agreed on, they must fail the connection over a malformed frame themselves (RFC 6455 section 7.1.7), and it could be us
//! who is mistaken. What ends is the recording of that direction, and the flow says why.

mod record;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flowgate_flow::{Flow, FlowKind, Headers, HttpFlow};
use flowgate_net::{BoxIo, RelayEnd, Tap, relay};
use flowgate_wire::limits::WEBSOCKET_MESSAGE_BYTES_MAX;
use flowgate_wire::websocket::{Extensions, FrameDecoder, Sender, parse_extensions};

use crate::clock;
use crate::context::Context;
use crate::events::Events;
use crate::raw::{self, Ended};
use record::Record;

/// Whether an exchange turned its connections into a WebSocket: both sides say so (RFC 6455 section 4), in the
/// version whose frames we know.
pub(crate) fn is_agreed(flow: &Flow) -> bool {
    let FlowKind::Http(http) = &flow.kind else { return false };
    let HttpFlow { request, response: Some(response), .. } = &**http else { return false };
    response.status == 101
        && names_websocket(&request.headers)
        && names_websocket(&response.headers)
        && request.headers.get("sec-websocket-version") == Some(b"13")
}

fn names_websocket(headers: &Headers) -> bool {
    let mut protocols = headers.get_all("upgrade").flat_map(|value| value.split(|b| *b == b','));
    protocols.any(|protocol| protocol.trim_ascii().eq_ignore_ascii_case(b"websocket"))
}

/// Relays a WebSocket to its end and reports its flow.
pub(crate) async fn relay_recorded(context: &Context, flow: Flow, client: BoxIo, server: BoxIo) {
    let mut recording = Recording::new(&*context.proxy.events, flow);
    let activity = Arc::clone(&recording.activity);
    let end = raw::run(context, relay(client, server, &mut recording), &activity).await;
    context.report(recording.finish(end)).await;
}

/// Looks on.
struct Recording<'a> {
    /// What reads each side, until it finds something that it cannot read.
    client: Option<FrameDecoder>,
    server: Option<FrameDecoder>,
    record: Record<'a>,
    activity: Arc<AtomicU64>,
}

impl<'a> Recording<'a> {
    fn new(events: &'a dyn Events, flow: Flow) -> Self {
        let mut record = Record::new(events, flow);
        let agreed = parse_extensions(record.response_values("sec-websocket-extensions"));
        let Extensions { deflate, unknown } = agreed.unwrap_or_else(|err| {
            record.fault(err.to_string());
            Extensions::default()
        });
        for name in unknown {
            record.fault(format!("extension {name} is not known: what it does to messages is not undone"));
        }
        let content_bytes_max = if events.keeps_bodies() { WEBSOCKET_MESSAGE_BYTES_MAX } else { 0 };
        let decoder = |sender| Some(FrameDecoder::new(sender, deflate.as_ref(), content_bytes_max));
        let (client, server) = (decoder(Sender::Client), decoder(Sender::Server));
        Self { client, server, record, activity: Arc::default() }
    }

    /// The flow with all that was recorded.
    fn finish(self, end: Ended) -> Flow {
        let read_both = self.client.is_some() && self.server.is_some();
        let now = clock::now();
        let failed_side = match &end {
            Ended::Relay(RelayEnd { failure: Some((client, _)), .. }) => Some(*client),
            _ => None,
        };
        self.record.finish(raw::end_error(end, now), failed_side, read_both, now)
    }
}

impl Tap for Recording<'_> {
    fn chunk(&mut self, from_client: bool, data: &[u8]) {
        self.activity.fetch_add(1, Ordering::Relaxed);
        let (reader, side) =
            if from_client { (&mut self.client, "client") } else { (&mut self.server, "server") };
        let Some(decoder) = reader else { return };
        if let Err(err) = decoder.push(data, |event| self.record.event(from_client, event)) {
            *reader = None;
            self.record.fault(format!("{side}: {err}"));
        }
    }

    fn ended(&mut self, from_client: bool) {
        self.record.ended(from_client);
    }
}
