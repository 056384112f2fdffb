//! What several tests of this crate need.

use std::net::SocketAddr;
use std::pin::Pin;

use flowgate_flow::{
    ClientConnection, Connection, Flow, FlowId, FlowKind, RawFlow, RawMessage, ServerConnection, Timestamp,
    WebSocketMessage,
};
use flowgate_options::Level;
use flowgate_proxy::Events;

/// A flow of which nothing matters but that it is one.
pub(crate) fn flow() -> Flow {
    let connection = Connection::new(FlowId::from_random(1));
    let client = ClientConnection {
        connection: connection.clone(),
        leaf: None,
        fingerprints: None,
        mode: String::new(),
    };
    let server = ServerConnection { connection, address: None, timestamp_tcp_setup: None, via: None };
    let kind = FlowKind::Tcp(RawFlow::default());
    Flow::new(FlowId::from_random(2), client.into(), server.into(), kind, Timestamp(0.0))
}

/// Who is told nothing of interest here.
pub(crate) struct Nobody;

impl Events for Nobody {
    fn logs(&self, _: Level) -> bool {
        false
    }

    fn log(&self, _: Level, _: Option<SocketAddr>, _: std::fmt::Arguments<'_>) {}

    fn keeps_bodies(&self) -> bool {
        false
    }

    fn raw_message(&self, _: &Flow, _: &RawMessage) {}

    fn websocket_started(&self, _: &Flow) {}

    fn websocket_message(&self, _: &Flow, _: &WebSocketMessage) {}

    fn flow(&self, _: Flow) -> Result<(), Flow> {
        Ok(())
    }

    fn flow_when_free<'a>(&'a self, _: Flow) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(std::future::ready(()))
    }
}
