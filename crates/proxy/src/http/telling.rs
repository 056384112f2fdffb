//! Tells of the messages inside the bodies of an exchange as they cross: those of gRPC, and server-sent events.
//!
//! There is none where nobody listens, and bodies of other types are not looked at. Nothing is held back for it. Where a body has a
//! content encoding it is undone for those who are told; what crosses stays as it is.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use flowgate_contentview::StreamDecoder;
use flowgate_flow::{
    Body, BodyMessage, ClientConnection, Flow, FlowId, FlowKind, Headers, HttpFlow, Request, Response,
    ServerConnection,
};
use flowgate_wire::body_messages::{BodyMessages, Message};

use super::exchange::Exchange;
use crate::clock;
use crate::context::{Context, Proxy};
use crate::limits::BODY_DECODERS_BYTES_MAX;

/// What is told of one exchange.
pub(super) struct Telling {
    proxy: Arc<Proxy>,
    client: Arc<ClientConnection>,
    server: Arc<ServerConnection>,
    /// The flow as live readers see it, once there is something to tell: with its heads, without its bodies.
    flow: Option<Flow>,
    id: FlowId,
    up: Option<Reader>,
    down: Option<Reader>,
}

/// Reads one body.
struct Reader {
    messages: BodyMessages,
    /// What undoes its content encoding.
    decoder: Option<Decoder>,
}

/// A decoder, with the room that it takes of what all decoders may.
struct Decoder {
    decoder: StreamDecoder,
    proxy: Arc<Proxy>,
}

impl Exchange {
    /// Has those who listen told of messages; `server` is whom the request goes to.
    pub(super) fn tell(&mut self, context: &Context, server: &Arc<ServerConnection>) {
        if context.hidden || !context.proxy.events.wants_body_messages() {
            return;
        }
        let id = match (&self.telling, &self.hooked) {
            (Some(telling), _) => telling.id.clone(),
            (None, Some(hooked)) => hooked.id().clone(),
            (None, None) => clock::new_id(),
        };
        let (proxy, client) = (Arc::clone(&context.proxy), Arc::clone(&context.client));
        let (server, up) = (Arc::clone(server), Reader::of(&self.request.headers, &context.proxy));
        self.telling = Some(Box::new(Telling { proxy, client, server, flow: None, id, up, down: None }));
    }
}

impl Reader {
    /// Of the body that follows these fields; `None` if it is not read.
    fn of(headers: &Headers, proxy: &Arc<Proxy>) -> Option<Self> {
        let messages = BodyMessages::of(headers)?;
        let encodings: Vec<_> = headers.get_all("content-encoding").collect();
        let encodings = encodings.join(&b","[..]);
        let is_plain = encodings
            .split(|byte| *byte == b',')
            .all(|name| name.trim_ascii().is_empty() || name.trim_ascii().eq_ignore_ascii_case(b"identity"));
        let decoder = if is_plain { None } else { Some(Decoder::new(&encodings, proxy)?) };
        Some(Self { messages, decoder })
    }
}

impl Decoder {
    fn new(encodings: &[u8], proxy: &Arc<Proxy>) -> Option<Self> {
        let decoder = StreamDecoder::new(encodings)?;
        let needed = decoder.memory_bytes_max();
        let taken = proxy.body_decoders_bytes.fetch_add(needed, Ordering::Relaxed);
        // From here on it gives back what it took.
        let decoder = Self { decoder, proxy: Arc::clone(proxy) };
        (taken + needed <= BODY_DECODERS_BYTES_MAX).then_some(decoder)
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        self.proxy.body_decoders_bytes.fetch_sub(self.decoder.memory_bytes_max(), Ordering::Relaxed);
    }
}

impl Telling {
    /// The flow's.
    pub(super) const fn id(&self) -> &FlowId {
        &self.id
    }

    /// The response's head goes to the client.
    pub(super) fn response(&mut self, response: &Response) {
        self.flow = None;
        self.down = Reader::of(&response.headers, &self.proxy);
    }

    /// A piece of a body crosses.
    pub(super) fn data(
        &mut self,
        from_client: bool,
        data: &Bytes,
        request: &Request,
        response: Option<&Response>,
    ) {
        let reader = if from_client { &mut self.up } else { &mut self.down };
        let Some(Reader { messages, decoder }) = reader else { return };
        let content = match decoder {
            None => data.clone(),
            Some(Decoder { decoder, .. }) => match decoder.push(data) {
                Ok(content) => content.into(),
                // What cannot be decoded has no messages for us, and nothing to do with what crosses.
                Err(_) => return *reader = None,
            },
        };
        messages.push(&content, |Message { kind, content, truncated }| {
            let message = BodyMessage { from_client, timestamp: clock::now(), kind, content, truncated };
            let flow = self.flow.get_or_insert_with(|| {
                let http = HttpFlow {
                    request: Request { body: Body::Missing, ..request.clone() },
                    response: response.map(|response| Response { body: Body::Missing, ..response.clone() }),
                    websocket: None,
                };
                let (client, server) = (Arc::clone(&self.client), Arc::clone(&self.server));
                let kind = FlowKind::Http(Box::new(http));
                Flow::new(self.id.clone(), client, server, kind, request.timestamp_start)
            });
            self.proxy.events.body_message(flow, &message);
        });
    }
}
