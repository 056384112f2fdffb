//! Servers that are bytes in memory: a connection to one is a pipe, whose other end goes to whoever plays them. So a whole
//! client connection can be driven with a paused clock.

use flowgate_flow::Address;
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::context::Context;
use crate::server::OpenServer;

/// How many bytes such a pipe holds: about what a socket does.
pub(crate) const PIPE_BYTES: usize = 64 * 1024;

/// Where all connections to servers lead.
pub(crate) struct Network(UnboundedSender<DuplexStream>);

impl Network {
    /// A network, and the servers' ends of the connections that are opened in it.
    pub(crate) fn new() -> (Self, UnboundedReceiver<DuplexStream>) {
        let (sender, receiver) = unbounded_channel();
        (Self(sender), receiver)
    }

    /// Opens a connection. If nobody plays the server any more, it is closed at once.
    pub(crate) fn connect(&self, context: &Context, address: &Address) -> OpenServer {
        let (ours, theirs) = duplex(PIPE_BYTES);
        let _ = self.0.send(theirs);
        OpenServer::in_memory(context, address, Box::new(ours))
    }
}
