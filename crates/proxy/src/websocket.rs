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
use flowgate_wire::http2::semantics::is_websocket_connect;
use flowgate_wire::limits::WEBSOCKET_MESSAGE_BYTES_MAX;
use flowgate_wire::websocket::{Extensions, FrameDecoder, Sender, parse_extensions};

use crate::addon::{Injector, LiveConversation, Moment};
use crate::clock;
use crate::context::Context;
use crate::events::Events;
use crate::messages::{self, Reader};
use crate::raw::{self, Ended};
pub(crate) use record::Record;

/// Whether an exchange that switched turned its connections (or streams) into a WebSocket: both sides say so, each in its version
/// (RFC 6455 section 4, RFC 8441 section 5), in the version whose frames we know.
pub(crate) fn is_agreed(flow: &Flow) -> bool {
    let FlowKind::Http(http) = &flow.kind else { return false };
    let HttpFlow { request, response: Some(response), .. } = &**http else { return false };
    let asked = is_websocket_connect(request) || names_websocket(&request.headers);
    let agreed = match response.status {
        101 => names_websocket(&response.headers),
        status => !response.version.is_http1() && (200..300).contains(&status),
    };
    asked && agreed && request.headers.get("sec-websocket-version") == Some(b"13")
}

fn names_websocket(headers: &Headers) -> bool {
    let mut protocols = headers.get_all("upgrade").flat_map(|value| value.split(|b| *b == b','));
    protocols.any(|protocol| protocol.trim_ascii().eq_ignore_ascii_case(b"websocket"))
}

/// Relays a WebSocket to its end and reports its flow.
pub(crate) async fn relay_recorded(context: &Context, flow: Flow, client: BoxIo, server: BoxIo) {
    let addons = &context.settings.addons;
    let mut recording = Recording::new(&*context.proxy.events, flow, !addons.is_empty());
    let activity = Arc::clone(&recording.activity);
    let end = if addons.is_empty() {
        raw::run(context, relay(client, server, &mut recording), &activity).await
    } else {
        // Boxed: without addons there is no room for it.
        Box::pin(relay_offered(context, &mut recording, client, server)).await
    };
    let flow = recording.finish(end);
    if !addons.is_empty() {
        addons.conversation_over(Moment::WebSocketEnd, &flow).await;
    }
    context.report(flow).await;
}

/// Relays a WebSocket that addons are offered, message by message if one of them needs its messages.
async fn relay_offered(
    context: &Context,
    recording: &mut Recording<'_>,
    client: BoxIo,
    server: BoxIo,
) -> Ended {
    let addons = &context.settings.addons;
    let (injector, injections) = Injector::new();
    let flow = Arc::new(recording.record.flow().clone());
    let mut live = LiveConversation::new(Arc::clone(&flow), injector, false);
    addons.conversation(Moment::WebSocketStart, &mut live).await;
    drop(live);
    let activity = Arc::clone(&recording.activity);
    let takeover = recording.takeover;
    if addons.want_messages(&flow)
        && let (Some(of_client), Some(of_server)) = (recording.client.take(), recording.server.take())
    {
        let readers = (
            Reader { decoder: of_client, context_takeover: takeover.0 },
            Reader { decoder: of_server, context_takeover: takeover.1 },
        );
        recording.offered = true;
        let sides = (client, server);
        let relaying = messages::relay_websocket(
            context,
            &flow,
            &mut recording.record,
            sides,
            readers,
            injections,
            &activity,
        );
        return raw::run(context, Box::pin(relaying), &activity).await;
    }
    raw::run(context, relay(client, server, recording), &activity).await
}

/// Looks on.
struct Recording<'a> {
    /// What reads each side, until it finds something that it cannot read.
    client: Option<FrameDecoder>,
    server: Option<FrameDecoder>,
    record: Record<'a>,
    activity: Arc<AtomicU64>,
    /// Whether the client's (the server's) messages may refer to those before them.
    takeover: (bool, bool),
    /// Its messages were offered one by one.
    offered: bool,
}

impl<'a> Recording<'a> {
    /// `contents` if somebody wants what is said, be it kept or not.
    fn new(events: &'a dyn Events, flow: Flow, contents: bool) -> Self {
        let mut record = Record::new(events, flow);
        let agreed = parse_extensions(record.response_values("sec-websocket-extensions"));
        let Extensions { deflate, unknown } = agreed.unwrap_or_else(|err| {
            record.fault(err.to_string());
            Extensions::default()
        });
        for name in unknown {
            record.fault(format!("extension {name} is not known: what it does to messages is not undone"));
        }
        let content_bytes_max =
            if contents || events.keeps_bodies() { WEBSOCKET_MESSAGE_BYTES_MAX } else { 0 };
        let decoder = |sender| Some(FrameDecoder::new(sender, deflate.as_ref(), content_bytes_max));
        let (client, server) = (decoder(Sender::Client), decoder(Sender::Server));
        let takeover = deflate.as_ref().map_or((false, false), |deflate| {
            (deflate.client.context_takeover, deflate.server.context_takeover)
        });
        Self { client, server, record, activity: Arc::default(), takeover, offered: false }
    }

    /// The flow with all that was recorded.
    fn finish(self, end: Ended) -> Flow {
        let read_both = self.offered || (self.client.is_some() && self.server.is_some());
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
