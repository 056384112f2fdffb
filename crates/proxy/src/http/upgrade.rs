//! What follows when both sides of an exchange have switched to another protocol: bytes both ways, as a WebSocket or raw.

use std::sync::Arc;

use flowgate_flow::{Flow, ServerConnection};
use flowgate_net::{BoxIo, Rewound};

use super::h2_server::H2ServerStream;
use super::h2_tunnel::Cut;
use super::servers::H1Link;
use super::service::Service;
use crate::raw;
use crate::server::ServerGuard;
use crate::websocket;

/// The switch to another protocol, agreed by both sides.
pub(crate) struct Upgrade {
    pub(super) server: Switched,
    pub(super) flow: Flow,
}

/// A server's side behind a switch.
pub(crate) enum Switched {
    /// A connection.
    H1(Box<H1Link>),
    /// A stream.
    H2(Box<H2ServerStream>, Arc<ServerConnection>),
}

impl Switched {
    pub(super) fn facts(&self) -> Arc<ServerConnection> {
        match self {
            Self::H1(link) => Arc::clone(&link.facts),
            Self::H2(_, facts) => Arc::clone(facts),
        }
    }

    /// The bytes, and what says that the connection is gone.
    fn into_io(self, cut: &Cut) -> Option<(BoxIo, Option<ServerGuard>)> {
        match self {
            Self::H1(link) => {
                let (io, read, guard) = link.into_parts();
                Some((Box::new(Rewound::new(read, io)), Some(guard)))
            }
            Self::H2(stream, _) => Some((Box::new(stream.into_tunnel(cut.clone())?), None)),
        }
    }
}

impl Service {
    /// After the switch (RFC 9110 section 7.8, RFC 8441 section 5): what follows is another protocol's. `cut` is that of the
    /// client's side.
    pub(super) async fn switch_protocols(&self, client: BoxIo, cut: Cut, upgrade: Upgrade) {
        let Upgrade { server, flow } = upgrade;
        let Some((server, _guard)) = server.into_io(&cut) else { return self.context.report(flow).await };
        // What a rule hides is relayed as bytes, which tell nothing of it.
        let read = self.context.settings.websocket && !self.context.hidden;
        if read && websocket::is_agreed(&flow) {
            // Boxed: few connections need the room that its decoders take.
            Box::pin(websocket::relay_recorded(&self.context, flow, client, server)).await;
        } else {
            let facts = Arc::clone(&flow.server);
            self.context.report(flow).await;
            raw::relay_recorded(&self.context, client, server, facts, raw::Pieces::Offered).await;
        }
    }
}
