//! A connection whose destination is known: look at the first bytes, ask policy, and do what it says.
//!
//! Asked once for what the client sends, and once more for what is inside if its TLS was ended here. It is policy that
//! decides; this file only brings it the facts, waits for those it needs, and acts.

use std::borrow::Cow;
use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use flowgate_flow::{Address, ServerConnection};
use flowgate_net::{BoxIo, NoTap, relay};
use flowgate_policy::{
    self as policy, Action, Decision, Exemption, Expect, Fact, Facts, FirstBytes, Needs, Verdict, decide,
};
use flowgate_wire::client_hello::{ClientHello, HelloReader, HelloState};
use flowgate_wire::fingerprint::{Carrier, ja4};
use flowgate_wire::h2_authority::{AuthorityReader, AuthorityState};
use flowgate_wire::sniff::{HostReader, HostState, Sniff, sniff};
use tokio::time::{Instant, sleep_until};

use crate::context::Context;
use crate::decrypt;
use crate::early::{self, as_it_stands};
use crate::egress::{Egress, Purpose};
use crate::http::{self, Origin, Route, Servers, Service};
use crate::limits::{CLIENT_HEADER_TIMEOUT, SERVER_FIRST_DELAY};
use crate::peek::{Peeked, Spoke, either};
use crate::raw;
use crate::server::{self, OpenServer, ServerError, ServerGuard};
use flowgate_options::{ConnectionStrategy, Level};

/// The server of a tunnel, as far as it got.
pub(crate) enum ServerState {
    /// Nobody needed it yet.
    NotYet,
    /// Connected; with TLS if the tunnel's was ended here.
    Open(Box<OpenServer>),
    /// It cannot be had.
    Failed(ServerError),
}

impl From<Option<OpenServer>> for ServerState {
    fn from(open: Option<OpenServer>) -> Self {
        open.map_or(Self::NotYet, |open| Self::Open(Box::new(open)))
    }
}

/// Where a tunnel goes, and what its mode knows of it before anybody has spoken.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: Address,
    /// What the mode says must follow.
    pub(crate) expect: Expect,
    pub(crate) server_tls: ServerTls,
    /// What requests have to name as their host; `None` leaves that to the client.
    pub(crate) host: Option<String>,
}

/// Whether TLS is spoken to the server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ServerTls {
    /// If the client does.
    AsClient,
    Never,
    /// Whatever the client does.
    Always(AskFor),
}

/// Whom a server is asked for in TLS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum AskFor {
    /// The name that the client asked for, if it did; else as below.
    ClientsName,
    /// The target's host.
    Address,
}

/// The TLS to speak to a server.
pub(crate) struct TlsPlan {
    /// Whom the server is asked for.
    pub(crate) name: String,
    /// The ALPN protocols offered to it.
    pub(crate) offers: Vec<Bytes>,
}

impl Target {
    /// A target of which nothing is known but its address.
    pub(crate) const fn anything(address: Address) -> Self {
        Self { address, expect: Expect::Anything, server_tls: ServerTls::AsClient, host: None }
    }

    /// The TLS to speak to the server, `None` for clear text. `decrypted` if the client's was ended here.
    pub(crate) fn tls_plan(&self, context: &Context, decrypted: Option<&Decrypted>) -> Option<TlsPlan> {
        let ask_for = match self.server_tls {
            ServerTls::Never => return None,
            ServerTls::AsClient if decrypted.is_none() => return None,
            ServerTls::AsClient => AskFor::ClientsName,
            ServerTls::Always(ask_for) => ask_for,
        };
        let sni = decrypted.and_then(|tls| tls.sni.as_ref()).filter(|_| ask_for == AskFor::ClientsName);
        let offers = match decrypted {
            Some(tls) => tls.offers.clone(),
            None if self.expect == Expect::Http => http::offers(context.settings.http2),
            None => Vec::new(),
        };
        Some(TlsPlan { name: sni.unwrap_or(&self.address.host).clone(), offers })
    }
}

/// The TLS of the client, ended here.
#[derive(Clone)]
pub(crate) struct Decrypted {
    /// Whom the client asked for.
    pub(crate) sni: Option<String>,
    /// The ALPN protocols it offered, of those that we would speak.
    pub(crate) offers: Vec<Bytes>,
    /// What was agreed with the client.
    pub(crate) alpn: Bytes,
}

/// Serves a tunnel to its end. `decrypted` if its TLS was ended here.
pub(crate) async fn run(
    context: &Context,
    target: Target,
    client: BoxIo,
    server: ServerState,
    decrypted: Option<Decrypted>,
) {
    // Boxed, and gone by the time that requests are served: it is large, and there is one for every client.
    let mut tunnel = Box::new(Tunnel::new(context, target, client, server, decrypted));
    let Some(Decided { action, blocked }) = tunnel.decision().await else { return };
    let context = &*tunnel.context;
    if matches!(action, Action::PassThrough | Action::RecordRaw { .. })
        && let Err(why) = context.settings.addons.judge_relay(&context.client)
    {
        return context.log(Level::Warn, format_args!("{}: closed, {why}", tunnel.target.address));
    }
    tunnel.leave_by_verdict();
    let ends_tls = matches!(action, Action::Decrypt | Action::RecordRaw { decrypt: true });
    if ends_tls && tunnel.context.settings.connection_strategy == ConnectionStrategy::Eager {
        // Where that had to wait for the way out: the leaf is to have the server's names.
        tunnel.connect().await;
    }
    // What is passed through pays for no more than itself: the others are boxed, as most of them are large.
    match action {
        Action::PassThrough if tunnel.context.settings.show_ignored_hosts => {
            Box::pin(tunnel.pass_through_shown()).await;
        }
        Action::PassThrough => {
            tunnel.connect().await;
            let context = Cow::clone(&tunnel.context);
            let Some((client, server, _, _guard)) = tunnel.both_sides() else { return };
            let end = relay(client, server, &mut NoTap).await;
            let (up, down) = (end.relayed.up, end.relayed.down);
            context.log(Level::Debug, format_args!("passed through {up} bytes up, {down} bytes down"));
        }
        Action::RecordRaw { decrypt: false } if tunnel.may_be_raw() => Box::pin(tunnel.record_raw()).await,
        Action::Http | Action::RecordRaw { decrypt: false } => Box::pin(tunnel.http()).await,
        Action::Decrypt => Box::pin(tunnel.decrypt(false)).await,
        Action::RecordRaw { decrypt: true } => Box::pin(tunnel.decrypt(true)).await,
        Action::Refuse if blocked => Box::pin(tunnel.block()).await,
        Action::Refuse => tunnel.tell_broken_hello(),
    }
}

struct Tunnel<'a> {
    /// The connection; once policy has spoken, as it is handled from then on.
    context: Cow<'a, Context>,
    target: Target,
    client: Peeked,
    server: Server,
    /// The way out, once it is known.
    egress: Option<Arc<Egress>>,
    decrypted: Option<Decrypted>,
    learned: Learned,
}

/// What policy said.
struct Decided {
    action: Action,
    /// Refused by a rule.
    blocked: bool,
}

impl Decided {
    fn by(verdict: &Verdict<'_>) -> Self {
        let by_rule = matches!(verdict.reason.why.exemption, Exemption::Rule(_));
        Self { action: verdict.action, blocked: by_rule && verdict.action == Action::Refuse }
    }
}

/// Whether to go by what is known.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Hurry {
    No,
    Yes,
}

enum Server {
    NotYet,
    Open { peeked: Peeked, facts: Box<ServerConnection>, guard: ServerGuard },
    Failed(ServerError),
}

/// What the first bytes told.
#[derive(Default)]
struct Learned {
    first: FirstBytes,
    sni: Fact<String>,
    host: Fact<String>,
    hello: Option<ClientHello>,
    /// HTTP/2 is not spoken (option `http2`): its preface is a request of HTTP/1, and not one that is taken.
    only_http1: bool,
    /// Some rule wants the fingerprint of the hello.
    wants_ja4: bool,
    ja4: String,
    hello_reader: HelloReader,
    host_reader: HostReader,
    authority_reader: AuthorityReader,
}

impl<'a> Tunnel<'a> {
    fn new(
        context: &'a Context,
        target: Target,
        client: BoxIo,
        server: ServerState,
        decrypted: Option<Decrypted>,
    ) -> Self {
        let settings = &context.settings;
        let (only_http1, wants_ja4) = (!settings.http2, settings.rules.ask_ja4());
        let mut learned = Learned { only_http1, wants_ja4, ..Learned::default() };
        if let Some(first) = decrypted.as_ref().and_then(|tls| FirstBytes::of_alpn(&tls.alpn)) {
            learned.first = first;
            learned.host = Fact::Absent;
        }
        let server = match server {
            ServerState::NotYet => Server::NotYet,
            ServerState::Open(open) => Server::open(*open),
            ServerState::Failed(error) => Server::Failed(error),
        };
        let chosen = decrypted.is_some()
            || !context.settings.rules.choose_egress()
            || !matches!(server, Server::NotYet);
        let egress = chosen.then(|| Arc::clone(&context.egress));
        let context = Cow::Borrowed(context);
        Self { context, target, client: Peeked::new(client), server, egress, decrypted, learned }
    }

    /// Whether bytes that are not HTTP may cross.
    fn may_be_raw(&self) -> bool {
        self.context.settings.rawtcp || self.target.expect == Expect::Raw
    }

    /// Brings policy facts until it knows; `None` if the connection ended before.
    async fn decision(&mut self) -> Option<Decided> {
        let began = Instant::now();
        let mut client_spoke_at = None;
        loop {
            if self.target.expect == Expect::Raw && matches!(self.server, Server::Failed(_)) {
                // Nobody could be told, and a client that waits for the server's first word would wait in vain.
                self.cut();
                return None;
            }
            if self.decrypted.is_some() && self.client.ended() && self.client.bytes().is_empty() {
                // It wanted nothing but a look at our certificate, which is told elsewhere. There was no conversation to show.
                return None;
            }
            self.learned.learn(&self.client);
            let facts = self.facts();
            let needs = match decide(&self.context.settings.rules, &facts) {
                Decision::Verdict(verdict) => {
                    let decided = Decided::by(&verdict);
                    if let Some(context) = self.context_by(&verdict) {
                        self.context = Cow::Owned(context);
                    }
                    return Some(decided);
                }
                Decision::Undecided { needs } => needs,
            };
            let not_connected = matches!(self.server, Server::NotYet);
            let only_peer = needs == Needs { peer: true, ..Needs::default() };
            if not_connected && only_peer && self.choose_egress(Hurry::No) {
                // Behind an upstream proxy there will be no address, and nothing to wait for.
                if !self.is_behind_proxy() {
                    self.connect().await;
                }
                continue;
            }
            if client_spoke_at.is_none() && !self.client.bytes().is_empty() {
                client_spoke_at = Some(Instant::now());
            }
            // Somebody must speak: a server that speaks first has to be connected to for that.
            let connect_at = client_spoke_at.unwrap_or(began) + SERVER_FIRST_DELAY;
            // A client that waits for a server that cannot be had would wait in vain.
            let patience = match self.server {
                Server::Failed(_) => CLIENT_HEADER_TIMEOUT,
                _ => self.context.settings.idle_timeout,
            };
            let give_up_at =
                client_spoke_at.map_or(began + patience, |spoke_at| spoke_at + CLIENT_HEADER_TIMEOUT);
            let server = match &mut self.server {
                Server::Open { peeked, .. } => Some(peeked),
                _ => None,
            };
            tokio::select! {
                biased;
                spoke = either(&mut self.client, server) => match spoke {
                    Ok(Spoke::Client) => {}
                    Ok(Spoke::Server) => self.learned.server_spoke(),
                    Err(_) => {
                        self.cut();
                        return None;
                    }
                },
                () = self.context.stop.cancelled() => return None,
                () = sleep_until(connect_at), if not_connected => {
                    self.choose_egress(Hurry::Yes);
                    self.connect().await;
                }
                () = sleep_until(give_up_at) => {
                    client_spoke_at?;
                    self.learned.give_up();
                }
            }
        }
    }

    /// The connection as the verdict wants it; `None` if that changes nothing. The verdict is said in the event log and kept for
    /// the flows.
    fn context_by(&self, verdict: &Verdict<'_>) -> Option<Context> {
        let decided = self.context.decided(verdict);
        if self.decrypted.is_some() || !self.context.settings.rules.choose_egress() {
            return decided;
        }
        let egress = self.context.egress_by(verdict.via);
        Some(Context { egress, ..decided.unwrap_or_else(|| Context::clone(&self.context)) })
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            peer: match &self.server {
                // An upstream proxy resolves the name itself and does not tell.
                Server::NotYet if self.is_behind_proxy() => Fact::Absent,
                Server::NotYet => Fact::Unknown,
                Server::Failed(_) => Fact::Absent,
                Server::Open { facts, .. } => facts.connection.peername.map_or(Fact::Absent, Fact::Is),
            },
            first: self.learned.first,
            sni: borrowed(&self.learned.sni),
            host: borrowed(&self.learned.host),
            alpn: self.learned.hello.as_ref().map_or(&[], |hello| &hello.alpn),
            ja4: &self.learned.ja4,
            ech: self.learned.hello.as_ref().is_some_and(|hello| hello.has_ech),
            decrypted: self.decrypted.is_some(),
            expect: self.target.expect,
            ..self.context.facts(&self.target.address)
        }
    }

    /// Whether the way out is known to lead through an upstream proxy.
    fn is_behind_proxy(&self) -> bool {
        self.egress.as_ref().is_some_and(|egress| egress.upstream_proxy().is_some())
    }

    /// Asks the rules for the way out, unless it is known. In a hurry what is known has to do; if the verdict says otherwise
    /// then, the connection is given up unused ([`Self::leave_by_verdict`]).
    fn choose_egress(&mut self, hurry: Hurry) -> bool {
        if self.egress.is_none() {
            let facts = self.facts();
            let facts = if hurry == Hurry::Yes { as_it_stands(facts) } else { facts };
            self.egress = match policy::egress(&self.context.settings.rules, &facts) {
                policy::Egress::Undecided { .. } => None,
                policy::Egress::OfMode => Some(self.context.egress_by(None)),
                policy::Egress::Named(spec) => Some(self.context.egress_by(Some(spec))),
            };
        }
        self.egress.is_some()
    }

    /// The verdict's way out. A connection that was opened by another one has not carried a byte.
    fn leave_by_verdict(&mut self) {
        let egress = Arc::clone(&self.context.egress);
        if self.egress.as_ref().is_some_and(|before| *before != egress) {
            self.server = Server::NotYet;
        }
        self.egress = Some(egress);
    }

    async fn connect(&mut self) {
        if matches!(self.server, Server::NotYet) {
            if self.context.settings.addons.own(&self.target.address.host) {
                self.server = Server::Failed(server::not_a_server(&self.target.address));
                return;
            }
            let egress = self.egress.as_ref().filter(|egress| !Arc::ptr_eq(egress, &self.context.egress));
            let routed = egress.map(|egress| self.context.with_egress(Arc::clone(egress)));
            let context = routed.as_ref().unwrap_or(&self.context);
            // Boxed: most tunnels have their server by now.
            let opened = Box::pin(open(context, &self.target, self.decrypted.as_ref())).await;
            self.server = opened.map_or_else(Server::Failed, Server::open);
        }
    }

    /// Both streams as if nothing had been read, after [`Self::connect`]. `None` if there is no server.
    fn both_sides(self: Box<Self>) -> Option<(BoxIo, BoxIo, Box<ServerConnection>, ServerGuard)> {
        match self.server {
            Server::Open { peeked, facts, guard } => {
                Some((self.client.rewind(), peeked.rewind(), facts, guard))
            }
            // Why was logged when it failed.
            Server::NotYet | Server::Failed(_) => {
                self.cut();
                None
            }
        }
    }

    /// Ends both sides as cut (R18): without us the client would have been told by a reset, too, be it that nobody listens or
    /// that the server was gone before it was seen to be connected.
    fn cut(&self) {
        self.client.reset_at_end();
        if let Server::Open { peeked, .. } = &self.server {
            peeked.reset_at_end();
        }
    }

    async fn pass_through_shown(mut self: Box<Self>) {
        self.connect().await;
        let context = match &self.learned.hello {
            Some(hello) => Cow::Owned(self.context.with_hello(hello, Carrier::Tcp)),
            None => Cow::clone(&self.context),
        };
        let Some((client, server, facts, _guard)) = self.both_sides() else { return };
        raw::relay_recorded(&context, client, server, Arc::from(facts), raw::Pieces::Untouched).await;
    }

    async fn record_raw(mut self: Box<Self>) {
        self.connect().await;
        let context = Cow::clone(&self.context);
        let context = &*context;
        // What was decrypted here has its TLS to the server already, and what only began as a hello crosses as it is.
        let needs_tls = self.decrypted.is_none() && self.learned.first != FirstBytes::BrokenTls;
        let plan = self.target.tls_plan(context, None).filter(|_| needs_tls);
        let Some((client, io, facts, guard)) = self.both_sides() else { return };
        let mut open = OpenServer { io, facts, guard };
        if let Some(plan) = plan {
            match server::open_tls(context, open, &plan.name, &plan.offers).await {
                Ok(with_tls) => open = with_tls,
                // Why was logged when it failed.
                Err(_) => return client.reset_at_end(),
            }
        }
        let _guard = open.guard;
        raw::relay_recorded(context, client, open.io, Arc::from(open.facts), raw::Pieces::Offered).await;
    }

    /// Says why, where HTTP is spoken in the clear, and closes.
    async fn block(self: Box<Self>) {
        let why = self.context.reason.clone().unwrap_or_default();
        self.context.log(Level::Info, format_args!("{}: {why}", self.target.address));
        if self.learned.first != FirstBytes::Http1 || self.decrypted.is_some() {
            return;
        }
        let origin = Origin::Blocked(
            Route { address: self.target.address, tls_name: None, purpose: Purpose::Tunnel, egress: None },
            why,
        );
        let servers = Arc::new(Servers::new(Vec::new()));
        let service = Service { context: Context::clone(&self.context), servers, origin };
        let _ = http::serve_h1(&service, self.client.rewind()).await;
    }

    async fn http(self: Box<Self>) {
        let http2 = self.learned.first == FirstBytes::Http2;
        let (service, client) = Box::pin(self.service(http2)).await;
        if http2 {
            http::serve_h2(service, client).await;
        } else {
            // A fixed origin refuses CONNECT, so nothing but the end comes back.
            let _ = http::serve_h1(&service, client).await;
        }
    }

    /// What requests need that go to this tunnel's server, and the client that they come from.
    async fn service(self: Box<Self>, http2: bool) -> (Service, BoxIo) {
        let clear = self.decrypted.is_none();
        let plan = self.target.tls_plan(&self.context, self.decrypted.as_ref());
        let (tls_name, offers) = plan.map(|plan| (plan.name, plan.offers)).unzip();
        let offers = offers.unwrap_or_default();
        let route = Route { address: self.target.address, tls_name, purpose: Purpose::Tunnel, egress: None };
        let mut servers = Servers::new(offers.clone());
        if http2 {
            servers.leave_driving_to_client();
        }
        if http2 && clear && route.tls_name.is_none() {
            servers.speak_http2_in_the_clear(route.clone());
        }
        match self.server {
            Server::NotYet => {}
            Server::Failed(error) => servers.fail(route.clone(), error),
            Server::Open { peeked, facts, guard } => {
                let open = OpenServer { io: peeked.rewind(), facts, guard };
                let ready = match &route.tls_name {
                    Some(name) if clear => server::open_tls(&self.context, open, name, &offers).await,
                    _ => Ok(open),
                };
                let added = match ready {
                    Ok(open) => servers.add(&self.context, route.clone(), open).await,
                    Err(error) => Err(error),
                };
                if let Err(error) = added {
                    servers.fail(route.clone(), error);
                }
            }
        }
        let servers = Arc::new(servers);
        let service = Service {
            context: Context::clone(&self.context),
            servers,
            origin: Origin::Fixed { route, host: self.target.host },
        };
        (service, self.client.rewind())
    }

    async fn decrypt(mut self: Box<Self>, raw: bool) {
        let Some(hello) = self.hello().await else { return };
        let server = match self.server {
            Server::NotYet => ServerState::NotYet,
            Server::Failed(error) => ServerState::Failed(error),
            Server::Open { peeked, facts, guard } => {
                ServerState::Open(Box::new(OpenServer { io: peeked.rewind(), facts, guard }))
            }
        };
        let client = self.client.rewind();
        // Boxed: what is inside is a tunnel again.
        Box::pin(decrypt::run(&self.context, self.target, client, &hello, server, raw)).await;
    }

    /// The client's whole hello. It may come in pieces, and a verdict that needs no name of it does not wait for them. `None` if it does
    /// not come; why is logged.
    async fn hello(&mut self) -> Option<ClientHello> {
        let give_up_at = Instant::now() + CLIENT_HEADER_TIMEOUT;
        loop {
            if let Some(hello) = self.learned.hello.take() {
                return Some(hello);
            }
            if self.learned.first != FirstBytes::Tls {
                self.tell_broken_hello();
                return None;
            }
            let read = tokio::select! {
                biased;
                read = poll_fn(|cx| self.client.poll_more(cx)) => read,
                () = self.context.stop.cancelled() => return None,
                () = sleep_until(give_up_at) => {
                    let address = &self.target.address;
                    self.context.log(
                        Level::Warn,
                        format_args!("the client did not send its ClientHello for {address} in time; closed"),
                    );
                    return None;
                }
            };
            if read.is_err() {
                self.cut();
                return None;
            }
            self.learned.learn(&self.client);
        }
    }

    fn tell_broken_hello(&self) {
        let address = &self.target.address;
        self.context.log(Level::Warn, format_args!("Cannot parse ClientHello for {address}; closed"));
    }
}

/// Connects to the server before the client has said anything, unless that is to be lazy or cannot be known yet.
pub(crate) async fn open_early<'a>(context: &'a Context, target: &Target) -> (Cow<'a, Context>, ServerState) {
    let (context, server) = early::open(context, &target.address).await;
    (context, server.map_or_else(ServerState::Failed, ServerState::from))
}

/// Opens the server of a tunnel. Its TLS has to wait until the client's was ended here, or policy has spoken.
pub(crate) async fn open(
    context: &Context,
    target: &Target,
    decrypted: Option<&Decrypted>,
) -> Result<OpenServer, ServerError> {
    let open = server::open(context, &target.address, Purpose::Tunnel).await?;
    match decrypted.and_then(|tls| target.tls_plan(context, Some(tls))) {
        Some(plan) => Box::pin(server::open_tls(context, open, &plan.name, &plan.offers)).await,
        None => Ok(open),
    }
}

/// Reads a ClientHello to the proxy itself; why there is none is logged.
pub(crate) async fn peek_hello(context: &Context, client: BoxIo) -> Option<(BoxIo, ClientHello)> {
    let mut client = Peeked::new(client);
    let mut reader = HelloReader::default();
    let give_up_at = Instant::now() + CLIENT_HEADER_TIMEOUT;
    loop {
        match reader.read(client.bytes()) {
            HelloState::Hello(hello) => return Some((client.rewind(), hello)),
            HelloState::NeedMore if !client.ended() && !client.is_full() => {}
            HelloState::NeedMore => return None,
            HelloState::NotHello(err) => {
                context.log(Level::Warn, format_args!("Cannot parse ClientHello: {err}"));
                return None;
            }
        }
        let read = tokio::time::timeout_at(give_up_at, poll_fn(|cx| client.poll_more(cx))).await;
        if !matches!(read, Ok(Ok(()))) {
            return None;
        }
    }
}

impl Server {
    fn open(open: OpenServer) -> Self {
        Self::Open { peeked: Peeked::new(open.io), facts: open.facts, guard: open.guard }
    }
}

impl Learned {
    /// Looks at what the client has sent.
    fn learn(&mut self, client: &Peeked) {
        let bytes = client.bytes();
        let no_more = client.ended() || client.is_full();
        if matches!(self.first, FirstBytes::Nothing | FirstBytes::Partial) {
            self.first = match sniff(bytes) {
                Sniff::NeedMore if no_more => FirstBytes::Other,
                Sniff::NeedMore if bytes.is_empty() => FirstBytes::Nothing,
                Sniff::NeedMore => FirstBytes::Partial,
                Sniff::Tls => FirstBytes::Tls,
                Sniff::Http1 => FirstBytes::Http1,
                Sniff::Http2Preface if self.only_http1 => FirstBytes::Http1,
                Sniff::Http2Preface => FirstBytes::Http2,
                Sniff::Other => FirstBytes::Other,
            };
        }
        match self.first {
            FirstBytes::Tls if self.sni == Fact::Unknown => match self.hello_reader.read(bytes) {
                HelloState::NeedMore if !no_more => {}
                HelloState::Hello(hello) => {
                    self.sni = hello.sni.clone().map_or(Fact::Absent, Fact::Is);
                    if self.wants_ja4 {
                        self.ja4 = ja4(&hello, Carrier::Tcp);
                    }
                    self.hello = Some(hello);
                }
                // Malformed, or the client left in the middle: nobody is there to be relayed.
                HelloState::NeedMore | HelloState::NotHello(_) => {
                    self.first = FirstBytes::BrokenTls;
                    self.sni = Fact::Absent;
                }
            },
            FirstBytes::Http1 if self.host == Fact::Unknown => {
                self.host = match self.host_reader.read(bytes) {
                    HostState::NeedMore if !no_more => Fact::Unknown,
                    HostState::NeedMore | HostState::Absent => Fact::Absent,
                    HostState::Host(host) => Fact::Is(String::from_utf8_lossy(host).into_owned()),
                };
            }
            FirstBytes::Http2 if self.host == Fact::Unknown => {
                self.host = match self.authority_reader.read(bytes) {
                    AuthorityState::NeedMore if !no_more => Fact::Unknown,
                    AuthorityState::NeedMore | AuthorityState::Absent => Fact::Absent,
                    AuthorityState::Authority(host) => Fact::Is(String::from_utf8_lossy(&host).into_owned()),
                };
            }
            _ => {}
        }
    }

    /// The server has spoken, or ended: a client that has not said what it is by now waits for that.
    fn server_spoke(&mut self) {
        match self.first {
            FirstBytes::Nothing | FirstBytes::Partial => self.first = FirstBytes::ServerFirst,
            FirstBytes::Tls if self.sni == Fact::Unknown => self.first = FirstBytes::ServerFirst,
            FirstBytes::Http1 | FirstBytes::Http2 if self.host == Fact::Unknown => self.host = Fact::Absent,
            _ => {}
        }
    }

    /// What was begun will not be finished.
    fn give_up(&mut self) {
        if self.first != FirstBytes::Http2 {
            self.first = FirstBytes::Other;
        }
        self.sni = Fact::Absent;
        self.host = Fact::Absent;
    }
}

/// The same fact, lent.
pub(crate) fn borrowed(fact: &Fact<String>) -> Fact<&str> {
    match fact {
        Fact::Unknown => Fact::Unknown,
        Fact::Absent => Fact::Absent,
        Fact::Is(text) => Fact::Is(text),
    }
}
