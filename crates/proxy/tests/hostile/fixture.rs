//! A proxy in this process in front of one server, and a listener that keeps what it tells.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowgate_flow::{Flow, RawMessage, WebSocketMessage};
use flowgate_options::mode_spec::ModeSpec;
use flowgate_options::{ConnectionStrategy, Level};
use flowgate_proxy::{Events, Instance, Proxy, Settings};
use flowgate_tls::{Authority, ClientConfigs, Leaves, LeavesOptions, ServerVerification};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// What takes longer hangs. Generous: the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Keeps what a proxy tells.
#[derive(Default)]
pub(crate) struct Told {
    flows: Mutex<Vec<Flow>>,
    flow_told: Notify,
    /// How many connections to the server were opened.
    pub(crate) server_connects: AtomicUsize,
    /// A log line, or the kind of a message, that holds this text makes the receiver panic, once.
    pub(crate) panics_at: Mutex<Option<String>>,
    lines: Mutex<Vec<String>>,
}

impl Told {
    /// Takes the flows that ended so far.
    pub(crate) fn take_flows(&self) -> Vec<Flow> {
        std::mem::take(&mut *self.flows.lock().unwrap())
    }

    /// The next flow that ends: a client may see the end of its connection before the flow is told.
    pub(crate) async fn next_flow(&self) -> Flow {
        let waiting = async {
            loop {
                let told = self.flow_told.notified();
                if let Some(flow) = self.flows.lock().unwrap().pop() {
                    return flow;
                }
                told.await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap()
    }

    /// Whether this was logged.
    pub(crate) fn logged(&self, text: &str) -> bool {
        self.lines.lock().unwrap().iter().any(|line| line.contains(text))
    }
}

impl Events for Told {
    fn logs(&self, level: Level) -> bool {
        level <= Level::Info
    }

    fn log(&self, _: Level, _: Option<SocketAddr>, message: fmt::Arguments<'_>) {
        let message = message.to_string();
        if message.starts_with("server connect ") {
            self.server_connects.fetch_add(1, Ordering::SeqCst);
        }
        let panics = self.panics_at.lock().unwrap().take_if(|text| message.contains(text.as_str())).is_some();
        self.lines.lock().unwrap().push(message);
        assert!(!panics, "injected");
    }

    fn keeps_bodies(&self) -> bool {
        true
    }

    fn raw_message(&self, _: &Flow, _: &RawMessage) {
        self.log(Level::Info, None, format_args!("raw message"));
    }

    fn websocket_started(&self, _: &Flow) {}

    fn websocket_message(&self, _: &Flow, _: &WebSocketMessage) {
        self.log(Level::Info, None, format_args!("websocket message"));
    }

    fn flow(&self, flow: Flow) -> Result<(), Flow> {
        self.flows.lock().unwrap().push(flow);
        self.flow_told.notify_one();
        Ok(())
    }

    fn flow_when_free<'a>(&'a self, flow: Flow) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        panic!("there was room: {flow:?}");
    }
}

/// A proxy that sends everything to one server.
pub(crate) struct Fixture {
    pub(crate) proxy: Arc<Proxy>,
    pub(crate) told: Arc<Told>,
    address: SocketAddr,
    _confdir: tempfile::TempDir,
}

/// What a proxy is to be like.
pub(crate) struct Build {
    pub(crate) mode: String,
    /// Trusted beside the system's.
    pub(crate) trusted_ca: Option<PathBuf>,
    /// When servers are connected to.
    pub(crate) strategy: ConnectionStrategy,
}

impl Build {
    /// In front of a server at `scheme://host:port`.
    pub(crate) fn reverse(server: &str) -> Self {
        Self { mode: format!("reverse:{server}"), trusted_ca: None, strategy: ConnectionStrategy::Lazy }
    }
}

impl Fixture {
    /// In front of a server at this address.
    pub(crate) async fn new(server: SocketAddr) -> Self {
        Self::build(Build::reverse(&format!("http://{server}"))).await
    }

    pub(crate) async fn build(build: Build) -> Self {
        let confdir = tempfile::tempdir().unwrap();
        let authority = Arc::new(Authority::load_or_create(confdir.path()).unwrap());
        let verification =
            ServerVerification { extra_ca_file: build.trusted_ca, ..ServerVerification::default() };
        let leaves = Leaves::new(authority, LeavesOptions::default()).unwrap();
        let client_configs = ClientConfigs::new(verification).unwrap();
        let told = Arc::new(Told::default());
        let settings = Settings {
            // Whatever comes is read as HTTP, and the Host field is the client's.
            rawtcp: false,
            keep_host_header: true,
            connection_strategy: build.strategy,
            ..Settings::default()
        };
        let proxy = Proxy::new(settings, leaves, client_configs, Arc::<Told>::clone(&told));
        let mode = build.mode.parse::<ModeSpec>().unwrap();
        let instance = Instance::bind(&proxy, &mode, "127.0.0.1", 0).await.unwrap();
        let address = instance.addresses()[0];
        instance.start();
        Self { proxy, told, address, _confdir: confdir }
    }

    /// A client of it.
    pub(crate) async fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(self.address).await.unwrap();
        client.set_nodelay(true).unwrap();
        client
    }
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    Orderly,
    Reset,
    Hang,
}

/// Reads until the stream ends, or until `enough` says so.
pub(crate) async fn read_to_end(stream: &mut TcpStream, enough: impl Fn(&[u8]) -> bool) -> (Vec<u8>, End) {
    let mut all = Vec::new();
    let reading = async {
        loop {
            match stream.read_buf(&mut all).await {
                Ok(0) => return End::Orderly,
                Ok(_) if enough(&all) => return End::Orderly,
                Ok(_) => {}
                Err(_) => return End::Reset,
            }
        }
    };
    let end = tokio::time::timeout(PATIENCE, reading).await.unwrap_or(End::Hang);
    (all, end)
}

/// The status codes of the answers in a stream, in order.
pub(crate) fn statuses(stream: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(stream);
    let starts = text.split("HTTP/1.1 ").skip(1);
    starts.filter_map(|rest| rest.get(..3).and_then(|code| code.parse().ok())).collect()
}
