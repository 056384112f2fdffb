//! What several tests of this crate need.

use flowgate_flow::{
    ClientConnection, Connection, Flow, FlowId, FlowKind, RawFlow, ServerConnection, Timestamp,
};

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
