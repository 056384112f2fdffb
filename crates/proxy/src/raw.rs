//! Bytes that are not HTTP, or not any more: relayed as they come and recorded as a TCP flow. Recording is the same for UDP.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use bytes::Bytes;
use flowgate_flow::{
    Flow, FlowError, FlowKind, MetadataValue, Phase, RawFlow, RawMessage, ServerConnection, Side, Timestamp,
};
use flowgate_net::{BoxIo, RelayEnd, Tap, relay};
use futures_util::FutureExt;

use crate::clock;
use crate::context::Context;
use crate::idle::IdleTimer;
use crate::limits::{RAW_RECORD_BYTES_MAX, RELAY_STOP_TIMEOUT};
use crate::messages;

/// The metadata of a raw flow that says how many bytes crossed from the client to the server, and back.
const BYTES_UP: &str = "flowgate.bytes.up";
const BYTES_DOWN: &str = "flowgate.bytes.down";

/// Whether what crosses may be changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Pieces {
    /// By addons that asked for it.
    Offered,
    /// By nobody: it is exempt, and only shown.
    Untouched,
}

/// Relays to the end and reports a TCP flow.
pub(crate) async fn relay_recorded(
    context: &Context,
    client: BoxIo,
    server: BoxIo,
    facts: Arc<ServerConnection>,
    pieces: Pieces,
) {
    if !context.settings.addons.is_empty() && !context.hidden {
        // Boxed: without addons there is no room for it.
        return Box::pin(messages::relay_tcp(context, client, server, facts, pieces)).await;
    }
    let kind = FlowKind::Tcp(RawFlow::default());
    let flow = Flow::new(clock::new_id(), Arc::clone(&context.client), facts, kind, clock::now());
    let mut tap = Recording::new(context, flow);
    let activity = Arc::clone(&tap.activity);
    let end = run(context, relay(client, server, &mut tap), &activity).await;
    let flow = tap.finish(end_error(end, clock::now()));
    context.report(flow).await;
}

/// How a relay that is recorded came to its end.
pub(crate) enum Ended {
    /// By itself.
    Relay(RelayEnd),
    /// Nothing crossed for as long as the settings allow.
    Idle,
    /// An addon ended it.
    Killed,
    /// We are about to end, and it did not end before.
    Stopped,
    /// We failed ourselves (a panic, of what looks on most likely). It was counted and told.
    Panicked,
}

/// Runs a relay to its end. Its tap counts `activity` up with each piece; after a panic it is only to be looked at.
pub(crate) async fn run(
    context: &Context,
    relay: impl Future<Output = RelayEnd>,
    activity: &AtomicU64,
) -> Ended {
    match AssertUnwindSafe(until_idle(context, relay, activity)).catch_unwind().await {
        Ok(end) => end,
        Err(panic) => {
            context.proxy.count_panic(context.peer, &*panic);
            Ended::Panicked
        }
    }
}

/// Runs it until it ends, nothing crosses for as long as the settings allow, or we end ourselves: what stays open for hours shall be
/// recorded all the same.
async fn until_idle(context: &Context, relay: impl Future<Output = RelayEnd>, activity: &AtomicU64) -> Ended {
    let mut relay = std::pin::pin!(relay);
    let mut idle = IdleTimer::new(context.settings.idle_timeout);
    let mut stopped = std::pin::pin!(async {
        context.proxy.stop.cancelled().await;
        tokio::time::sleep(RELAY_STOP_TIMEOUT).await;
    });
    let mut seen = 0;
    poll_fn(|cx| {
        if let Poll::Ready(end) = relay.as_mut().poll(cx) {
            return Poll::Ready(Ended::Relay(end));
        }
        let now = activity.load(Ordering::Relaxed);
        if now != seen {
            seen = now;
            idle.touch();
        }
        if stopped.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ended::Stopped);
        }
        idle.poll_idle(cx).map(|()| Ended::Idle)
    })
    .await
}

/// What a flow tells of a relay that did not end with both sides closing.
pub(crate) fn end_error(end: Ended, timestamp: Timestamp) -> Option<FlowError> {
    let (message, side) = match end {
        Ended::Idle => ("closed for inactivity".to_owned(), Side::Proxy),
        Ended::Killed => ("Connection killed.".to_owned(), Side::Proxy),
        Ended::Stopped => ("flowgate was stopped".to_owned(), Side::Proxy),
        Ended::Panicked => {
            ("flowgate itself failed on this connection (please report it)".to_owned(), Side::Proxy)
        }
        Ended::Relay(RelayEnd { failure: None, .. }) => return None,
        Ended::Relay(RelayEnd { failure: Some((true, err)), .. }) => (format!("client: {err}"), Side::Client),
        Ended::Relay(RelayEnd { failure: Some((false, err)), .. }) => {
            (format!("server: {err}"), Side::Server)
        }
    };
    Some(FlowError { message, timestamp, side: Some(side), phase: Some(Phase::Body) })
}

/// Records what crosses, up to a limit, in a TCP or UDP flow.
pub(crate) struct Recording<'a> {
    context: &'a Context,
    /// The flow as live readers see it: without its messages.
    flow: Flow,
    keep: bool,
    kept: usize,
    up: u64,
    down: u64,
    truncated: bool,
    messages: Vec<RawMessage>,
    activity: Arc<AtomicU64>,
}

impl<'a> Recording<'a> {
    pub(crate) fn new(context: &'a Context, flow: Flow) -> Self {
        let keep = context.keeps_bodies();
        let (messages, activity) = (Vec::new(), Arc::default());
        Self { context, flow, keep, kept: 0, up: 0, down: 0, truncated: false, messages, activity }
    }

    /// What is known of the flow before it is finished.
    pub(crate) fn note(&mut self, notes: Vec<(String, MetadataValue)>) {
        self.flow.metadata.extend(notes);
    }

    /// Counted up with each piece.
    pub(crate) fn activity(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.activity)
    }
}

impl Recording<'_> {
    /// Takes in what one side sent.
    pub(crate) fn record(&mut self, from_client: bool, data: &[u8]) {
        *if from_client { &mut self.up } else { &mut self.down } += data.len() as u64;
        if self.context.hidden {
            return;
        }
        let message =
            RawMessage { from_client, content: Bytes::copy_from_slice(data), timestamp: clock::now() };
        self.context.proxy.events.raw_message(&self.flow, &message);
        if self.keep && !self.truncated {
            // Datagrams may be empty, and their number has to end somewhere as well.
            self.kept += data.len() + size_of::<RawMessage>();
            self.truncated = self.kept > RAW_RECORD_BYTES_MAX;
            self.messages.push(message);
        }
    }

    /// The flow with all that was recorded.
    pub(crate) fn finish(self, error: Option<FlowError>) -> Flow {
        let Self { mut flow, messages, truncated, up, down, .. } = self;
        // All that crossed, whatever of it was kept.
        for (key, bytes) in [(BYTES_UP, up), (BYTES_DOWN, down)] {
            flow.metadata.push((key.into(), MetadataValue::Int(i64::try_from(bytes).unwrap_or(i64::MAX))));
        }
        if let FlowKind::Tcp(raw) | FlowKind::Udp(raw) = &mut flow.kind {
            raw.messages = messages;
        }
        // Both connections end with it.
        let ended = Some(clock::now());
        Arc::make_mut(&mut flow.client).connection.timestamp_end = ended;
        Arc::make_mut(&mut flow.server).connection.timestamp_end = ended;
        flow.error = error;
        if truncated {
            flow.metadata.push(("flowgate.truncated".into(), MetadataValue::Bool(true)));
        }
        flow
    }
}

impl Tap for Recording<'_> {
    fn chunk(&mut self, from_client: bool, data: &[u8]) {
        self.activity.fetch_add(1, Ordering::Relaxed);
        self.record(from_client, data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::tests::context;
    use crate::egress::Egress;
    use crate::settings::Settings;
    use flowgate_options::mode_spec::Mode;

    /// Whether a record says that it is not whole, after a message that leaves so much room, and one of a byte.
    fn is_truncated(room: usize) -> bool {
        let context = context(Egress::of_mode(&Mode::Regular, &Settings::default()));
        let server = Arc::new(ServerConnection::new(clock::new_id(), None));
        let kind = FlowKind::Tcp(RawFlow::default());
        let flow = Flow::new(clock::new_id(), Arc::clone(&context.client), server, kind, clock::now());
        let mut recording = Recording { keep: true, ..Recording::new(&context, flow) };
        recording.record(true, &vec![0; RAW_RECORD_BYTES_MAX - size_of::<RawMessage>() - room]);
        recording.record(false, b"x");
        let flow = recording.finish(None);
        flow.metadata.iter().any(|(name, _)| name == "flowgate.truncated")
    }

    #[test]
    fn a_record_ends_at_its_limit() {
        assert!(!is_truncated(size_of::<RawMessage>() + 1));
        assert!(is_truncated(size_of::<RawMessage>()));
    }
}
