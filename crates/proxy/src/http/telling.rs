//! Tells of the messages inside the bodies of an exchange as they cross: those of gRPC, and server-sent events.
//!
//! There is none where nobody listens, and bodies of other types are not looked at. Nothing is held back for it.

use std::sync::Arc;

use bytes::Bytes;
use flowgate_flow::{
    Body, BodyMessage, ClientConnection, Flow, FlowId, FlowKind, HttpFlow, Request, Response,
    ServerConnection,
};
use flowgate_wire::body_messages::{BodyMessages, Message};

use super::exchange::Exchange;
use crate::clock;
use crate::context::{Context, Proxy};

/// What is told of one exchange.
pub(super) struct Telling {
    proxy: Arc<Proxy>,
    client: Arc<ClientConnection>,
    server: Arc<ServerConnection>,
    /// The flow as live readers see it, once there is something to tell: with its heads, without its bodies.
    flow: Option<Flow>,
    id: FlowId,
    up: Option<BodyMessages>,
    down: Option<BodyMessages>,
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
        let (server, up) = (Arc::clone(server), BodyMessages::of(&self.request.headers));
        self.telling = Some(Box::new(Telling { proxy, client, server, flow: None, id, up, down: None }));
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
        self.down = BodyMessages::of(&response.headers);
    }

    /// A piece of a body crosses.
    pub(super) fn data(
        &mut self,
        from_client: bool,
        data: &Bytes,
        request: &Request,
        response: Option<&Response>,
    ) {
        let messages = if from_client { &mut self.up } else { &mut self.down };
        let Some(messages) = messages else { return };
        messages.push(data, |Message { kind, content, truncated }| {
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
