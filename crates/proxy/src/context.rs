//! What a connection needs while it lives: the proxy it belongs to, the settings it began with, who the client is.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, PoisonError, RwLock};

use flowgate_flow::{Address, ClientConnection, Fingerprints, Flow, MetadataValue, Replay, Transport};
use flowgate_policy::{Action, Facts, Process, Verdict};
use flowgate_tls::{ClientConfigs, Leaves};
use flowgate_wire::client_hello::ClientHello;
use flowgate_wire::fingerprint::{self, Carrier};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::addon::Addons;
use crate::egress::Egress;
use crate::events::{self, Events};
use crate::http::Farewells;
use crate::settings::Settings;
use flowgate_options::{EgressSpec, Level};

/// The metadata of a flow that says why its connection was handled as it was.
const REASON: &str = "flowgate.reason";

/// What all connections share.
pub struct Proxy {
    in_force: RwLock<InForce>,
    /// Who is told.
    pub(crate) events: Arc<dyn Events>,
    listening: RwLock<Vec<(Transport, SocketAddr)>>,
    /// It was told that some clients' programs cannot be found out.
    pub(crate) told_no_permission: AtomicBool,
    /// Cancelled when no new work is to be taken.
    pub(crate) stop: CancellationToken,
    /// How many panics were caught.
    pub(crate) panics: AtomicU64,
    /// How much the decoders of bodies that are read while they cross may take, all together.
    pub(crate) body_decoders_bytes: AtomicUsize,
    /// Every task that serves a connection.
    pub(crate) tasks: TaskTracker,
    /// Those among them that only wait for peers to go.
    pub(crate) farewells: Farewells,
}

/// What a connection that begins now is handled by.
#[derive(Clone)]
pub(crate) struct InForce {
    pub(crate) settings: Arc<Settings>,
    pub(crate) tls: Arc<Tls>,
}

/// TLS on both sides.
#[derive(Debug)]
pub struct Tls {
    /// Certificates for clients.
    pub leaves: Leaves,
    /// Configurations towards servers.
    pub client_configs: ClientConfigs,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("listening", &self.listening()).finish_non_exhaustive()
    }
}

impl Proxy {
    /// A proxy that does not listen yet.
    #[must_use]
    pub fn new(
        settings: Settings,
        leaves: Leaves,
        client_configs: ClientConfigs,
        events: Arc<dyn Events>,
    ) -> Arc<Self> {
        Arc::new(Self {
            in_force: RwLock::new(InForce {
                settings: Arc::new(settings),
                tls: Arc::new(Tls { leaves, client_configs }),
            }),
            events,
            listening: RwLock::default(),
            told_no_permission: AtomicBool::new(false),
            stop: CancellationToken::new(),
            panics: AtomicU64::new(0),
            body_decoders_bytes: AtomicUsize::new(0),
            tasks: TaskTracker::new(),
            farewells: Farewells::default(),
        })
    }

    /// The settings that a connection beginning now has.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        self.in_force().settings
    }

    pub(crate) fn in_force(&self) -> InForce {
        // A poisoned lock holds a whole value all the same: it is only ever replaced.
        self.in_force.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the settings, and TLS if there is another, for connections that begin from now on.
    pub fn change(&self, settings: Settings, tls: Option<Tls>) {
        let settings = Arc::new(settings);
        let mut in_force = self.in_force.write().unwrap_or_else(PoisonError::into_inner);
        let tls = tls.map_or_else(|| Arc::clone(&in_force.tls), Arc::new);
        *in_force = InForce { settings, tls };
    }

    /// Puts other certificates in the place of the old ones. The settings stay.
    pub fn change_tls(&self, tls: Tls) {
        let mut in_force = self.in_force.write().unwrap_or_else(PoisonError::into_inner);
        in_force.tls = Arc::new(tls);
    }

    /// Where we listen.
    #[must_use]
    pub fn listening(&self) -> Vec<(Transport, SocketAddr)> {
        self.listening.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the system's trusted CAs, if they are going to be needed and were not read yet. Takes some milliseconds.
    pub fn load_roots(&self) {
        self.in_force().tls.client_configs.load_roots();
    }

    pub(crate) fn now_listening(&self, transport: Transport, addr: SocketAddr) {
        self.listening.write().unwrap_or_else(PoisonError::into_inner).push((transport, addr));
    }

    /// Whether a connection between these two addresses of this machine ends at one of our own listeners: a request that is
    /// sent there would come back for ever.
    pub(crate) fn is_own_listener(&self, transport: Transport, local: SocketAddr, peer: SocketAddr) -> bool {
        let same_machine = peer.ip() == local.ip() || peer.ip().to_canonical().is_loopback();
        let listening = self.listening.read().unwrap_or_else(PoisonError::into_inner);
        listening.iter().any(|(of, own)| {
            *of == transport
                && own.port() == peer.port()
                && (own.ip() == peer.ip() || (own.ip().is_unspecified() && same_machine))
        })
    }
}

/// One client connection, whatever stands on it.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) proxy: Arc<Proxy>,
    pub(crate) settings: Arc<Settings>,
    /// TLS as it was when the connection began.
    pub(crate) tls: Arc<Tls>,
    /// The client as flows name it.
    pub(crate) client: Arc<ClientConnection>,
    /// How servers are reached.
    pub(crate) egress: Arc<Egress>,
    /// How they are reached if no rule says otherwise.
    pub(crate) mode_egress: Arc<Egress>,
    /// The client's address.
    pub(crate) peer: SocketAddr,
    /// The client's program, or in words why it is not known; `None` if no rule asks.
    pub(crate) process: Option<Arc<Result<String, String>>>,
    /// Neither shown nor stored: a rule says so.
    pub(crate) hidden: bool,
    /// Why it is handled as it is, for its flows.
    pub(crate) reason: Option<Arc<str>>,
    /// Set if it is no client's but a replay's: what its flows say of that.
    pub(crate) replay_of: Option<Arc<(String, MetadataValue)>>,
    /// Cancelled when no new work is to be taken; a child of the proxy's, so that asking takes no shared lock.
    pub(crate) stop: CancellationToken,
}

impl Context {
    /// Whether a line of this importance about the connection is read by anybody.
    pub(crate) fn logs(&self, level: Level) -> bool {
        (!self.hidden || level <= Level::Warn) && self.proxy.events.logs(level)
    }

    pub(crate) fn log(&self, level: Level, message: fmt::Arguments<'_>) {
        if !self.logs(level) {
            return;
        }
        if self.replay_of.is_some() {
            // As mitmproxy: nobody is there.
            return self.proxy.events.log(level, None, format_args!("[replay] {message}"));
        }
        self.proxy.events.log(level, Some(self.peer), message);
    }

    /// Hands over a flow of this connection, at once if there is room; what is given waits until there is.
    pub(crate) fn report<'a>(&'a self, mut flow: Flow) -> impl Future<Output = ()> + Send + use<'a> {
        let waiting = (!self.hidden).then(|| {
            if let Some(of) = &self.replay_of {
                flow.replay = flow.replay.or(Some(Replay::Request));
                flow.metadata.push((**of).clone());
            }
            if let Some(reason) = &self.reason {
                flow.metadata.push((REASON.into(), MetadataValue::Text(reason.to_string())));
            }
            events::report(&*self.proxy.events, flow)
        });
        async move {
            if let Some(waiting) = waiting {
                waiting.await;
            }
        }
    }

    /// Who is offered its flows.
    pub(crate) fn addons(&self) -> Addons {
        if self.hidden { self.settings.addons.of_hidden() } else { self.settings.addons.clone() }
    }

    /// Whether bodies and raw messages are kept with flows.
    pub(crate) fn keeps_bodies(&self) -> bool {
        !self.hidden && self.proxy.events.keeps_bodies()
    }

    /// Up to which size a body is kept in its flow.
    pub(crate) fn kept_body_bytes_max(&self) -> u64 {
        if self.keeps_bodies() { self.settings.kept_body_bytes_max } else { 0 }
    }

    /// The same connection after its ClientHello was seen and left alone: flows tell whom it asks for.
    pub(crate) fn with_hello(&self, hello: &ClientHello, carrier: Carrier) -> Self {
        let mut client = ClientConnection::clone(&self.client);
        client.connection.sni = hello.sni.clone();
        client.connection.alpn_offers = hello.alpn.clone();
        client.fingerprints = Some(fingerprints(hello, carrier));
        self.with_client(client)
    }

    /// The same connection after policy was asked, `None` if that changes nothing: the verdict is said in the event log, and kept
    /// for the flows.
    pub(crate) fn decided(&self, verdict: &Verdict<'_>) -> Option<Self> {
        if self.proxy.events.logs(Level::Debug) {
            self.log(Level::Debug, format_args!("{}", verdict.reason));
        }
        let is_reported = verdict.action != Action::PassThrough || self.settings.show_ignored_hosts;
        // What was decided outside of the TLS stays the reason for what is inside.
        let gives_reason = is_reported && self.reason.is_none();
        let hides = verdict.hidden && !self.hidden;
        (gives_reason || hides).then(|| {
            let mut context = self.clone();
            if gives_reason {
                context.reason = Some(verdict.reason.to_string().into());
            }
            context.hidden |= verdict.hidden;
            context
        })
    }

    /// The same connection, neither shown nor stored from now on.
    pub(crate) fn hide(&self) -> Self {
        Self { hidden: true, ..self.clone() }
    }

    /// What is known of it from the beginning.
    pub(crate) fn facts<'a>(&'a self, destination: &'a Address) -> Facts<'a> {
        Facts {
            mode: mode_of(self),
            client: Some(self.peer.ip()),
            process: match self.process.as_deref() {
                None => Process::default(),
                Some(Ok(path)) => Process::Is(path),
                Some(Err(why)) => Process::Unknown(why),
            },
            destination: Some(destination),
            ..Facts::default()
        }
    }

    /// The way out that a rule names, or the mode's.
    pub(crate) fn egress_by(&self, via: Option<&EgressSpec>) -> Arc<Egress> {
        let Some(spec) = via else { return Arc::clone(&self.mode_egress) };
        let egress = Egress::of_rule(spec);
        if egress == *self.egress { Arc::clone(&self.egress) } else { Arc::new(egress) }
    }

    /// The same connection with another way out.
    pub(crate) fn with_egress(&self, egress: Arc<Egress>) -> Self {
        Self { egress, ..self.clone() }
    }

    /// The same connection after something became known of the client.
    pub(crate) fn with_client(&self, client: ClientConnection) -> Self {
        Self { client: Arc::new(client), ..self.clone() }
    }
}

/// The mode by which a client came, as rules name it.
pub(crate) fn mode_of(context: &Context) -> &str {
    let mode = &*context.client.mode;
    mode.split_once([':', '@']).map_or(mode, |(mode, _)| mode)
}

/// What a ClientHello tells of the client's kind.
pub(crate) fn fingerprints(hello: &ClientHello, carrier: Carrier) -> Fingerprints {
    Fingerprints { ja3: fingerprint::ja3(hello), ja4: fingerprint::ja4(hello, carrier) }
}

#[cfg(any(test, fuzzing))]
#[expect(clippy::unwrap_used, reason = "nothing is served with it")]
pub(crate) mod tests {
    use super::*;
    use std::pin::Pin;

    use flowgate_flow::{FlowId, RawMessage};
    use flowgate_tls::{Authority, LeavesOptions, ServerVerification};

    struct Nobody;

    impl Events for Nobody {
        fn websocket_started(&self, _flow: &Flow) {}

        fn websocket_message(&self, _flow: &Flow, _message: &flowgate_flow::WebSocketMessage) {}

        fn logs(&self, _: Level) -> bool {
            false
        }

        fn log(&self, _: Level, _: Option<SocketAddr>, _: fmt::Arguments<'_>) {}

        fn keeps_bodies(&self) -> bool {
            false
        }

        fn raw_message(&self, _: &Flow, _: &RawMessage) {}

        fn flow(&self, _: Flow) -> Result<(), Flow> {
            Ok(())
        }

        fn flow_when_free<'a>(&'a self, _: Flow) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
            Box::pin(std::future::ready(()))
        }
    }

    /// A connection of a proxy with default settings that tells nobody anything.
    pub(crate) fn context(egress: Egress) -> Context {
        context_told(egress, Arc::new(Nobody))
    }

    /// The same, which tells somebody.
    pub(crate) fn context_told(egress: Egress, events: Arc<dyn Events>) -> Context {
        let folder = tempfile::tempdir().unwrap();
        let authority = Arc::new(Authority::load_or_create(folder.path()).unwrap());
        let leaves = Leaves::new(authority, LeavesOptions::default()).unwrap();
        let client_configs = ClientConfigs::new(ServerVerification::default()).unwrap();
        let proxy = Proxy::new(Settings::default(), leaves, client_configs, events);
        Context {
            process: None,
            hidden: false,
            replay_of: None,
            reason: None,
            settings: proxy.settings(),
            tls: proxy.in_force().tls,
            client: Arc::new(ClientConnection::new(FlowId::from_random(1), "regular".into())),
            mode_egress: Arc::new(egress.clone()),
            egress: Arc::new(egress),
            peer: SocketAddr::from(([127, 0, 0, 1], 1)),
            stop: proxy.stop.child_token(),
            proxy,
        }
    }
}
