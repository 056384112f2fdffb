//! A proxy between pipes: a client on one, servers on others; and what it tells.

use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowgate_flow::{Address, BodyMessage, Flow, RawMessage, WebSocketMessage};
use flowgate_options::Level;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::context::Context;
use crate::context::tests::context_told;
use crate::egress::{Egress, Purpose};
use crate::events::Events;
use crate::http::in_memory::network::{Network, PIPE_BYTES};
use crate::http::{Origin, Route, Servers, Service, serve_h1, serve_h2};

/// What did not come by then does not come: nothing that is tested here waits for a clock for so long, and the clock only moves
/// when nothing else does.
const QUIET: Duration = Duration::from_secs(1);

/// What a side speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Version {
    H1,
    H2,
}

/// Keeps the flows that end.
#[derive(Debug, Default)]
pub(crate) struct Told {
    flows: Mutex<Vec<Flow>>,
    /// Messages inside bodies, with the flows as they stood.
    messages: Mutex<Vec<(Flow, BodyMessage)>>,
}

impl Told {
    /// Takes the flows that ended so far.
    pub(crate) fn take_flows(&self) -> Vec<Flow> {
        std::mem::take(&mut *self.flows.lock().unwrap())
    }

    /// Takes the messages inside bodies that crossed so far.
    pub(crate) fn take_messages(&self) -> Vec<(Flow, BodyMessage)> {
        std::mem::take(&mut *self.messages.lock().unwrap())
    }
}

impl Events for Told {
    fn logs(&self, _: Level) -> bool {
        false
    }

    fn log(&self, _: Level, _: Option<SocketAddr>, _: fmt::Arguments<'_>) {}

    fn keeps_bodies(&self) -> bool {
        true
    }

    fn raw_message(&self, _: &Flow, _: &RawMessage) {}

    fn websocket_started(&self, _: &Flow) {}

    fn websocket_message(&self, _: &Flow, _: &WebSocketMessage) {}

    fn wants_body_messages(&self) -> bool {
        true
    }

    fn body_message(&self, flow: &Flow, message: &BodyMessage) {
        self.messages.lock().unwrap().push((flow.clone(), message.clone()));
    }

    fn flow(&self, flow: Flow) -> Result<(), Flow> {
        self.flows.lock().unwrap().push(flow);
        Ok(())
    }

    fn flow_when_free<'a>(&'a self, flow: Flow) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        panic!("there was room: {flow:?}");
    }
}

/// A proxy that serves one client connection after another.
pub(crate) struct Proxy {
    pub(crate) context: Context,
    pub(crate) told: Arc<Told>,
}

/// One client connection.
pub(crate) struct Served {
    pub(crate) client: DuplexStream,
    /// The servers' ends of the connections that are opened for it.
    pub(crate) servers: UnboundedReceiver<DuplexStream>,
    pub(crate) serving: JoinHandle<()>,
}

impl Proxy {
    pub(crate) fn new() -> Self {
        let told = Arc::new(Told::default());
        let context = context_told(Egress::Direct, Arc::<Told>::clone(&told));
        Self { context, told }
    }

    /// A client connection, whose servers speak this version.
    pub(crate) fn serve(&self, client: Version, server: Version) -> Served {
        let (pipe, ours) = duplex(PIPE_BYTES);
        let address = Address { host: "server".to_owned(), port: 80 };
        let route = Route { address, tls_name: None, purpose: Purpose::Tunnel, egress: None };
        let mut servers = Servers::new(Vec::new());
        let (network, accepting) = Network::new();
        servers.connect_by(network);
        if server == Version::H2 {
            servers.speak_http2_in_the_clear(route.clone());
        }
        if client == Version::H2 {
            servers.leave_driving_to_client();
        }
        let origin = Origin::Fixed { route, host: None };
        let service = Service { context: self.context.clone(), servers: Arc::new(servers), origin };
        let serving = tokio::spawn(async move {
            match client {
                Version::H1 => {
                    serve_h1(&service, Box::new(ours)).await;
                }
                Version::H2 => serve_h2(service, Box::new(ours)).await,
            }
        });
        Served { client: pipe, servers: accepting, serving }
    }
}

/// A peer by hand.
pub(crate) struct Raw {
    read: ReadHalf<DuplexStream>,
    write: WriteHalf<DuplexStream>,
    /// The other side ended.
    pub(crate) ended: bool,
}

impl Raw {
    pub(crate) fn new(pipe: DuplexStream) -> Self {
        let (read, write) = split(pipe);
        Self { read, write, ended: false }
    }

    /// Sends bytes, and gives what comes until nothing more does.
    pub(crate) async fn say(&mut self, bytes: &[u8]) -> Vec<u8> {
        let Self { read, write, ended } = self;
        let mut heard = Vec::new();
        let reading = async {
            while !*ended {
                match timeout(QUIET, read.read_buf(&mut heard)).await {
                    Ok(Ok(1..)) => {}
                    Ok(_) => *ended = true,
                    Err(_) => return,
                }
            }
        };
        // The other side may be gone, or listen no more.
        let writing = timeout(QUIET, async { write.write_all(bytes).await.is_ok() });
        let _ = tokio::join!(writing, reading);
        heard
    }

    /// Sends bytes and reads nothing; an error if they are not taken.
    pub(crate) async fn say_now(&mut self, bytes: &[u8]) -> Result<(), ()> {
        match timeout(QUIET, self.write.write_all(bytes)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(()),
        }
    }

    /// Ends our direction.
    pub(crate) async fn close(&mut self) {
        let _ = self.write.shutdown().await;
    }
}
