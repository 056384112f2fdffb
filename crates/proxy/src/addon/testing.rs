//! A client, a server and the addons between them.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use flowgate_flow::{
    Address, ClientConnection, Flow, FlowKind, HttpFlow, RawMessage, ServerConnection, WebSocketMessage,
};
use flowgate_options::Level;
use flowgate_tls::{Authority, ClientConfigs, Leaves, LeavesOptions, ServerVerification};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use crate::addon::{Addon, BodyNeed, Hook, HookFuture, LiveFlow, Transform};
use crate::context::Context;
use crate::egress::{Egress, Purpose};
use crate::http::{Origin, Route, Servers, Service, serve_h1};
use crate::server::{OpenServer, ServerGuard};
use crate::{Events, Proxy, Settings, clock};

pub(crate) const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
pub(crate) const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Keeps what is told.
#[derive(Default)]
pub(crate) struct Flows(Mutex<Vec<Flow>>);

impl Flows {
    pub(crate) fn take(&self) -> Vec<Flow> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Events for Flows {
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
    fn flow(&self, flow: Flow) -> Result<(), Flow> {
        self.0.lock().unwrap().push(flow);
        Ok(())
    }
    fn flow_when_free<'a>(&'a self, _: Flow) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(std::future::ready(()))
    }
}

type Act = Box<dyn Fn(&mut LiveFlow) + Send + Sync>;
type Need = Box<dyn Fn() -> BodyNeed + Send + Sync>;

/// An addon that says when it is asked and does what it is told.
pub(crate) struct Probe {
    name: &'static str,
    pub(crate) log: Log,
    acts: Vec<(Hook, Act)>,
    needs: [Option<Need>; 2],
    waits: Option<(Hook, Arc<tokio::sync::Notify>, Arc<tokio::sync::Notify>)>,
    guards: bool,
}

/// What addons said, in order.
pub(crate) type Log = Arc<Mutex<Vec<String>>>;

pub(crate) fn probe(name: &'static str) -> Probe {
    Probe { name, log: Log::default(), acts: Vec::new(), needs: [None, None], waits: None, guards: false }
}

impl Probe {
    pub(crate) fn on(mut self, hook: Hook, act: impl Fn(&mut LiveFlow) + Send + Sync + 'static) -> Self {
        self.acts.push((hook, Box::new(act)));
        self
    }

    /// Decides who may use the proxy: nobody whose bytes are to be relayed.
    pub(crate) fn guards(mut self) -> Self {
        self.guards = true;
        self
    }

    pub(crate) fn logs(mut self, log: &Log) -> Self {
        self.log = Arc::clone(log);
        self
    }

    pub(crate) fn request_body(mut self, need: impl Fn() -> BodyNeed + Send + Sync + 'static) -> Self {
        self.needs[0] = Some(Box::new(need));
        self
    }

    pub(crate) fn response_body(mut self, need: impl Fn() -> BodyNeed + Send + Sync + 'static) -> Self {
        self.needs[1] = Some(Box::new(need));
        self
    }

    /// Says that it reached a hook, and waits there.
    pub(crate) fn waits(mut self, hook: Hook) -> (Self, Arc<tokio::sync::Notify>, Arc<tokio::sync::Notify>) {
        let (reached, go) = (Arc::<tokio::sync::Notify>::default(), Arc::<tokio::sync::Notify>::default());
        self.waits = Some((hook, Arc::clone(&reached), Arc::clone(&go)));
        (self, reached, go)
    }

    fn at<'a>(&'a self, hook: Hook, flow: &'a mut LiveFlow) -> HookFuture<'a> {
        self.log.lock().unwrap().push(format!("{} {hook:?}", self.name));
        HookFuture::new(async move {
            tokio::task::yield_now().await;
            if let Some((_, reached, go)) = self.waits.as_ref().filter(|(at, ..)| *at == hook) {
                reached.notify_one();
                go.notified().await;
            }
            self.acts.iter().filter(|(at, _)| *at == hook).for_each(|(_, act)| act(flow));
        })
    }
}

impl Addon for Probe {
    fn name(&self) -> &str {
        self.name
    }
    fn is_guard(&self) -> bool {
        self.guards
    }
    fn judge_relay(&self, _: &ClientConnection) -> Result<(), String> {
        Err(self.name.to_owned())
    }
    fn http_connect<'a>(&'a self, flow: &'a mut LiveFlow) -> HookFuture<'a> {
        self.at(Hook::HttpConnect, flow)
    }
    fn requestheaders<'a>(&'a self, flow: &'a mut LiveFlow) -> HookFuture<'a> {
        self.at(Hook::RequestHeaders, flow)
    }
    fn request<'a>(&'a self, flow: &'a mut LiveFlow) -> HookFuture<'a> {
        self.at(Hook::Request, flow)
    }
    fn responseheaders<'a>(&'a self, flow: &'a mut LiveFlow) -> HookFuture<'a> {
        self.at(Hook::ResponseHeaders, flow)
    }
    fn response<'a>(&'a self, flow: &'a mut LiveFlow) -> HookFuture<'a> {
        self.at(Hook::Response, flow)
    }
    fn error<'a>(&'a self, flow: &'a mut LiveFlow) -> HookFuture<'a> {
        self.at(Hook::Error, flow)
    }
    fn request_body(&self, _: &LiveFlow) -> BodyNeed {
        self.needs[0].as_ref().map_or(BodyNeed::Nothing, |need| need())
    }
    fn response_body(&self, _: &LiveFlow) -> BodyNeed {
        self.needs[1].as_ref().map_or(BodyNeed::Nothing, |need| need())
    }
}

/// Writes each chunk twice, and a full stop behind the last.
pub(crate) struct Doubles;

impl Transform for Doubles {
    fn chunk(&mut self, data: Bytes, out: &mut Vec<Bytes>) {
        out.extend([data.clone(), data]);
    }
    fn finish(&mut self, out: &mut Vec<Bytes>) {
        out.push(Bytes::from_static(b"."));
    }
}

pub(crate) fn doubles() -> BodyNeed {
    BodyNeed::Transform(Box::new(Doubles))
}

/// A proxy with these addons.
pub(crate) fn proxy(addons: Vec<Probe>, settings: Settings) -> (Arc<Proxy>, Arc<Flows>) {
    let addons = addons.into_iter().map(|addon| Arc::new(addon) as Arc<dyn Addon>).collect();
    proxy_of(addons, settings)
}

/// The same with any addons.
pub(crate) fn proxy_of(addons: Vec<Arc<dyn Addon>>, settings: Settings) -> (Arc<Proxy>, Arc<Flows>) {
    let folder = tempfile::tempdir().unwrap();
    let authority = Arc::new(Authority::load_or_create(folder.path()).unwrap());
    let leaves = Leaves::new(authority, LeavesOptions::default()).unwrap();
    let configs = ClientConfigs::new(ServerVerification::default()).unwrap();
    let flows = Arc::new(Flows::default());
    let events: Arc<dyn Events> = Arc::<Flows>::clone(&flows);
    let settings = Settings { addons: addons.into(), ..settings };
    (Proxy::new(settings, leaves, configs, events), flows)
}

pub(crate) fn context(proxy: Arc<Proxy>, hidden: bool) -> Context {
    Context {
        hidden,
        replay_of: None,
        reason: None,
        process: None,
        egress: Arc::new(Egress::Direct),
        mode_egress: Arc::new(Egress::Direct),
        settings: proxy.settings(),
        tls: proxy.in_force().tls,
        client: Arc::new(ClientConnection::new(clock::new_id(), "reverse".into())),
        peer: ([127, 0, 0, 1], 1).into(),
        stop: proxy.stop.child_token(),
        proxy,
    }
}

pub(crate) fn route() -> Route {
    let address = Address { host: "a.test".into(), port: 80 };
    Route { address, tls_name: None, purpose: Purpose::Tunnel, egress: None }
}

pub(crate) fn open(context: &Context, io: DuplexStream) -> OpenServer {
    let facts = Box::new(ServerConnection::new(clock::new_id(), Some(route().address)));
    OpenServer { io: Box::new(io), facts, guard: ServerGuard::start(context, String::new) }
}

/// Both peers' ends of a connection that is being served.
pub(crate) struct Between {
    pub(crate) client: DuplexStream,
    pub(crate) server: DuplexStream,
    pub(crate) flows: Arc<Flows>,
    pub(crate) serving: tokio::task::JoinHandle<()>,
}

pub(crate) async fn between(addons: Vec<Probe>) -> Between {
    between_with(addons, Settings::default(), false).await
}

pub(crate) async fn between_with(addons: Vec<Probe>, settings: Settings, hidden: bool) -> Between {
    let (client, client_end) = duplex(64 * 1024);
    let (server, server_end) = duplex(64 * 1024);
    let (proxy, flows) = proxy(addons, settings);
    let context = context(proxy, hidden);
    let servers = Servers::new(Vec::new());
    servers.add(&context, route(), open(&context, server_end)).await.unwrap();
    let origin = Origin::Fixed { route: route(), host: None };
    let service = Service { context, servers: Arc::new(servers), origin };
    let serving = tokio::spawn(async move {
        serve_h1(&service, Box::new(client_end)).await;
    });
    Between { client, server, flows, serving }
}

/// What came of one request to a server that answers everything alike.
pub(crate) struct Came {
    /// What the client got.
    pub(crate) answer: String,
    /// What the server got.
    pub(crate) seen: String,
    /// The same as bytes: the client's, the server's.
    pub(crate) raw: (Vec<u8>, Vec<u8>),
    pub(crate) flow: Flow,
}

impl Came {
    pub(crate) fn http(&self) -> &HttpFlow {
        let FlowKind::Http(http) = &self.flow.kind else { panic!("an HTTP flow") };
        http
    }

    pub(crate) fn error(&self) -> &str {
        self.flow.error.as_ref().map_or("", |error| &error.message)
    }
}

/// Sends `request` and then nothing more; the server answers once with `response` and ends when the proxy does.
pub(crate) async fn run(addons: Vec<Probe>, request: &str, response: &str) -> Came {
    run_with(addons, Settings::default(), request, response).await
}

pub(crate) async fn run_with(addons: Vec<Probe>, settings: Settings, request: &str, response: &str) -> Came {
    let Between { mut client, server, flows, serving } = between_with(addons, settings, false).await;
    let serves = tokio::spawn(answers(server, response.to_owned()));
    client.write_all(request.as_bytes()).await.unwrap();
    client.shutdown().await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    serving.await.unwrap();
    let seen = serves.await.unwrap();
    let mut flows = flows.take();
    assert_eq!(flows.len(), 1);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Came { answer: text(&answer), seen: text(&seen), raw: (answer, seen), flow: flows.remove(0) }
}

/// A server that answers once, when it has a head; what it got until the proxy ended.
pub(crate) async fn answers(mut server: DuplexStream, response: String) -> Vec<u8> {
    let mut seen = Vec::new();
    let mut buf = [0; 4096];
    let mut answered = false;
    // Whoever resets us has said all there is.
    while let Ok(n @ 1..) = server.read(&mut buf).await {
        seen.extend_from_slice(&buf[..n]);
        if !answered && seen.windows(4).any(|end| end == b"\r\n\r\n") {
            answered = true;
            let _ = server.write_all(response.as_bytes()).await;
        }
    }
    seen
}

/// The log as one line.
pub(crate) fn said(log: &Log) -> String {
    log.lock().unwrap().join(", ")
}
