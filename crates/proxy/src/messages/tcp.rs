//! Pieces of a raw connection on `tcp_message`.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use flowgate_flow::{Flow, FlowKind, RawFlow, ServerConnection};
use flowgate_net::BoxIo;

use super::{Way, run};
use crate::addon::{Injected, Injector, LiveConversation, LiveMessage, Moment};
use crate::clock;
use crate::context::Context;
use crate::raw::{self, Ended, Recording};

/// Relays a raw connection whose flow addons are offered.
pub(crate) async fn relay(
    context: &Context,
    client: BoxIo,
    server: BoxIo,
    facts: Arc<ServerConnection>,
    pieces: raw::Pieces,
) {
    let kind = FlowKind::Tcp(RawFlow::default());
    let flow = Flow::new(clock::new_id(), Arc::clone(&context.client), facts, kind, clock::now());
    let addons = &context.settings.addons;
    let (injector, injections) = Injector::new();
    let started = Arc::new(flow.clone());
    let is_exempt = pieces == raw::Pieces::Untouched;
    let mut live = LiveConversation::new(Arc::clone(&started), injector, is_exempt);
    addons.conversation(Moment::TcpStart, &mut live).await;
    let (notes, killed) = live.into_outcome();
    let mut recording = Recording::new(context, flow);
    recording.note(notes);
    let activity = recording.activity();
    let end = if killed {
        client.reset_at_end();
        server.reset_at_end();
        Ended::Killed
    } else if !is_exempt && addons.want_messages(&started) {
        let shared = Mutex::new(&mut recording);
        let way = |from_client| Pieces { context, flow: &started, recording: &shared, from_client };
        let relaying = run(client, server, (way(true), way(false)), injections, &activity);
        raw::run(context, relaying, &activity).await
    } else {
        raw::run(context, flowgate_net::relay(client, server, &mut recording), &activity).await
    };
    let flow = recording.finish(raw::end_error(end, clock::now()));
    let moment = if flow.error.is_some() { Moment::TcpError } else { Moment::TcpEnd };
    addons.conversation_over(moment, &flow).await;
    context.report(flow).await;
}

struct Pieces<'a, 'b> {
    context: &'a Context,
    flow: &'a Arc<Flow>,
    recording: &'a Mutex<&'a mut Recording<'b>>,
    from_client: bool,
}

impl Pieces<'_, '_> {
    async fn offer(&self, content: Bytes, injected: bool, out: &mut BytesMut) {
        let mut live = LiveMessage::new(Arc::clone(self.flow), self.from_client, false, injected, content);
        self.context.settings.addons.message(Moment::TcpMessage, &mut live).await;
        if !live.is_discarded() {
            out.extend_from_slice(live.content());
            let mut recording = self.recording.lock().unwrap_or_else(PoisonError::into_inner);
            recording.record(self.from_client, live.content());
        }
    }
}

impl Way for Pieces<'_, '_> {
    async fn received(&mut self, data: &[u8], out: &mut BytesMut) {
        self.offer(Bytes::copy_from_slice(data), false, out).await;
    }

    async fn injected(&mut self, message: Injected, out: &mut BytesMut) {
        self.offer(message.content, true, out).await;
    }

    fn ended(&mut self, _out: &mut BytesMut) {}
}
