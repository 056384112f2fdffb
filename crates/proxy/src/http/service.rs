//! From a request to a flow: find the server, run the exchange, answer in our own name where there is no answer, report.

use bytes::Bytes;
use flowgate_flow::{
    Address, Flow, FlowError, FlowKind, Headers, HttpFlow, MetadataValue, Phase, Replay, Request,
    ServerConnection, Side,
};
use flowgate_options::Level;
use flowgate_policy::{Action, Decision, Entry, Fact, Facts, FirstBytes, decide};
use flowgate_wire::http1::Framing;
use flowgate_wire::http2::Code;
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use super::error_page::error_page;
use super::exchange::Exchange;
use super::failure::{Cause, Failure, may_try_again};
use super::forward::{asks_to_upgrade, remove_connection_fields};
use super::h2_server::H2ServerStream;
use super::hooked::{Destination, Hooked};
use super::replay_client::ReplayClient;
use super::servers::{Link, Route, Servers, Wanted};
use super::side::{ClientSide, ServerSide, SideError};
use super::upgrade::{Switched, Upgrade};
use crate::addon::no_request;
use crate::clock;
use crate::context::Context;
use crate::egress::{Egress, Purpose, basic};
use crate::idle::IdleTimer;
use crate::limits::H2_TRIES_MAX;
use crate::server::ServerError;

/// The requests of one client connection, whatever version it speaks.
pub(crate) struct Service {
    pub(crate) context: Context,
    pub(crate) servers: Arc<Servers>,
    pub(crate) origin: Origin,
}

/// How it is known where a request goes.
pub(crate) enum Origin {
    /// The client knows that it talks to a proxy: each request says it.
    Explicit {
        /// TLS was spoken to us, so that a target without a scheme means https.
        over_tls: bool,
    },
    /// All go to one place.
    Fixed {
        route: Route,
        /// What each request has to name as its host, if that is not the client's choice.
        host: Option<String>,
    },
    /// None goes anywhere: a rule forbids it, for this reason.
    Blocked(Route, Arc<str>),
}

/// The ALPN protocols that a server is offered when no client says what it wants.
pub(crate) fn offers(http2: bool) -> Vec<Bytes> {
    let mut offers = vec![Bytes::from_static(b"http/1.1")];
    if http2 {
        offers.insert(0, Bytes::from_static(b"h2"));
    }
    offers
}

/// What rules say of a request.
pub(crate) enum Allowed {
    /// It is carried through.
    Yes,
    /// It is carried through, neither shown nor stored.
    Hidden,
    /// It is refused, for this reason.
    No(Arc<str>),
}

/// What comes after a request.
pub(crate) enum Next {
    /// Another request may follow.
    Continue,
    /// The connection (or stream) is done for.
    Close,
    /// Another protocol follows on both connections.
    Upgrade(Box<Upgrade>),
}

/// How an exchange went.
pub(super) enum Carried {
    /// To its end.
    Through(Arc<ServerConnection>),
    /// To its switch: another protocol follows.
    Upgraded(Switched),
    Failed(Arc<ServerConnection>, Failure),
    /// There was nobody to have it with.
    NoServer(ServerError),
}

impl Service {
    /// Asks the rules about a request, and for its way out. Those of a connection with one destination were asked about
    /// that.
    pub(crate) fn allowed(&self, route: &mut Route) -> Allowed {
        match &self.origin {
            Origin::Fixed { .. } => Allowed::Yes,
            Origin::Blocked(_, why) => Allowed::No(Arc::clone(why)),
            Origin::Explicit { .. } => {
                let (allowed, egress) =
                    explicit_allowed(&self.context, &route.address, Entry::ExplicitRequest);
                route.egress = egress;
                allowed
            }
        }
    }

    /// The same service, of which nothing is shown or stored.
    pub(crate) fn hide(&self, over_tls: bool) -> Self {
        let (context, servers) = (self.context.hide(), Arc::clone(&self.servers));
        Self { context, servers, origin: Origin::Explicit { over_tls } }
    }

    /// Puts our own credentials in the place of the client's, if the server of mode `reverse:` is to have some (mitmproxy:
    /// `upstream_auth`). Also where nothing is shown: whether a server answers must not depend on that.
    pub(super) fn say_who_we_are(&self, headers: &mut Headers) {
        if let Some(credentials) = &self.context.settings.upstream_auth
            && self.context.client.mode.starts_with("reverse:")
        {
            headers.set("Authorization", basic(credentials));
        }
    }

    /// Sets up the exchange of a request.
    pub(super) fn exchange(&self, mut request: Request, framing: Framing) -> Exchange {
        let is_own = || self.context.settings.addons.own_request(&request, &self.context.client);
        let hooks = self.has_hooks() || is_own();
        if !hooks {
            // Addons see what the client told its proxy, so with them it goes later.
            remove_connection_fields(&mut request.headers);
            self.say_who_we_are(&mut request.headers);
        }
        let kept_bytes_max = self.context.kept_body_bytes_max();
        let mut exchange = Exchange::new(request, framing, kept_bytes_max);
        exchange.body_bytes_max = self.context.settings.body_bytes_max;
        exchange.slow_client_timeout = self.context.settings.slow_client_timeout;
        if hooks {
            let large = self.context.settings.kept_body_bytes_max;
            let replay = self.context.replay_of.is_some().then_some(Replay::Request);
            let hooked = Hooked::new(&exchange.request, framing, kept_bytes_max, large, replay);
            exchange.hooked = Some(Box::new(hooked));
        }
        exchange
    }

    /// Carries one request through. Nothing is left of the exchange, which stays where it is only because it is large.
    pub(super) async fn serve(
        &self,
        client: &mut impl ClientSide,
        exchange: &mut Exchange,
        route: &Route,
        idle: &mut IdleTimer,
    ) -> Next {
        // A panic leaves the exchange as it stood: it is only looked at from then on. What is rare is boxed, here and below, so that
        // idle clients have no room for it.
        let carried = if exchange.hooked.is_some() {
            Box::pin(AssertUnwindSafe(self.carry_hooked(client, exchange, route, idle)).catch_unwind()).await
        } else {
            AssertUnwindSafe(self.carry(client, exchange, route, idle)).catch_unwind().await
        };
        match carried {
            Ok(Carried::Through(facts)) => {
                let next = if exchange.left_body_unread() { Next::Close } else { Next::Continue };
                self.context.report(Self::flow(&self.context, exchange, facts, None)).await;
                next
            }
            Ok(Carried::Upgraded(server)) => {
                let flow = Self::flow(&self.context, exchange, server.facts(), None);
                Next::Upgrade(Box::new(Upgrade { server, flow }))
            }
            Ok(Carried::Failed(facts, failure)) => {
                Box::pin(self.failed(client, exchange, facts, failure)).await;
                Next::Close
            }
            Ok(Carried::NoServer(error)) => Box::pin(self.no_server(client, exchange, error)).await,
            Err(panic) => {
                self.context.proxy.count_panic(self.context.peer, &*panic);
                drop(panic);
                Box::pin(self.panicked(client, exchange)).await;
                Next::Close
            }
        }
    }

    /// Finds a server and runs the exchange with it.
    pub(super) async fn carry(
        &self,
        client: &mut impl ClientSide,
        exchange: &mut Exchange,
        route: &Route,
        idle: &mut IdleTimer,
    ) -> Carried {
        if let Err(failure) = exchange.check_announced_size() {
            let address = Address { host: exchange.request.host.clone(), port: exchange.request.port };
            return Carried::Failed(Arc::new(ServerConnection::new(clock::new_id(), Some(address))), failure);
        }
        // Asked of the request as it is sent: an addon may have changed it.
        let mut wanted = Wanted::by(&exchange.request);
        let mut fresh = false;
        let mut tries = 1;
        loop {
            let link = match self.servers.get(&self.context, route, wanted, fresh).await {
                Ok(link) => link,
                Err(error) => return Carried::NoServer(error),
            };
            let limit = self.context.settings.idle_timeout;
            let (result, facts) = match link {
                Link::H2 { link, facts, reused } => {
                    exchange.tell(&self.context, &facts);
                    let mut server = H2ServerStream::new(link.clone());
                    let result = if exchange.meets(&facts) {
                        Box::pin(self.drive(client, &mut server, exchange, idle)).await
                    } else {
                        exchange.run(client, &mut server, idle, limit).await
                    };
                    if let Err(failure) = &result {
                        server.abort(failure.code_for_server());
                        if failure.requires_http1() {
                            let reset = failure.carried_reset().is_some();
                            if !reset {
                                self.servers.speak_http1_in_the_clear();
                            }
                            // A client that knows streams is told of a reset, and decides itself.
                            let told = reset && client.takes_resets();
                            if wanted == Wanted::Exchange && exchange.is_untouched() && !told {
                                wanted = Wanted::Upgrade;
                                continue;
                            }
                        }
                        let again = failure.was_unprocessed() && exchange.is_untouched();
                        let lost = reused && may_try_again(exchange, failure);
                        if tries < H2_TRIES_MAX && (again || lost) {
                            tries += 1;
                            continue;
                        }
                    } else if exchange.has_switched() {
                        return Carried::Upgraded(Switched::H2(Box::new(server), link.facts(&facts)));
                    }
                    (result, link.facts(&facts))
                }
                Link::H1(mut link) => {
                    let facts = Arc::clone(&link.facts);
                    exchange.tell(&self.context, &facts);
                    let result = if exchange.meets(&facts) {
                        Box::pin(self.drive(client, &mut link.server, exchange, idle)).await
                    } else {
                        exchange.run(client, &mut link.server, idle, limit).await
                    };
                    if let Err(failure) = &result
                        && link.reused
                        && may_try_again(exchange, failure)
                    {
                        // The server closed an idle connection while our request was on its way (RFC 9110 section 9.2.2).
                        fresh = true;
                        continue;
                    }
                    if result.is_ok() {
                        if exchange.has_switched() {
                            return Carried::Upgraded(Switched::H1(link));
                        }
                        self.servers.give_back(link);
                    }
                    (result, facts)
                }
            };
            return match result {
                Ok(()) => Carried::Through(facts),
                Err(failure) if matches!(failure.cause, Cause::Answered) => {
                    Box::pin(self.carry_own(client, exchange, idle)).await
                }
                Err(failure) => Carried::Failed(facts, failure),
            };
        }
    }

    /// We failed ourselves inside an exchange: the flow says so, the client sees it, and nobody else notices.
    async fn panicked(&self, client: &mut impl ClientSide, exchange: &mut Exchange) {
        exchange.keep_bodies();
        let address = Address { host: exchange.request.host.clone(), port: exchange.request.port };
        let facts = Arc::new(ServerConnection::new(clock::new_id(), Some(address)));
        let error = FlowError {
            message: "flowgate itself failed on this request (please report it).".to_owned(),
            timestamp: clock::now(),
            side: Some(Side::Proxy),
            phase: Some(if exchange.has_answered() { Phase::Body } else { Phase::Head }),
        };
        if exchange.has_answered() {
            client.abort(Code::INTERNAL_ERROR);
            self.report_failed(exchange, facts, error).await;
        } else {
            self.answer(client, exchange, facts, error, 502).await;
        }
    }

    /// Answers a request that has no server.
    async fn no_server(
        &self,
        client: &mut impl ClientSide,
        exchange: &mut Exchange,
        error: ServerError,
    ) -> Next {
        let flow_error = error.flow_error();
        self.answer(client, exchange, Arc::clone(&error.facts), flow_error, error.status).await;
        Next::Close
    }

    async fn failed(
        &self,
        client: &mut impl ClientSide,
        exchange: &mut Exchange,
        facts: Arc<ServerConnection>,
        failure: Failure,
    ) {
        let error = failure.flow_error(exchange.has_answered());
        // A client that knows streams learns of a reset by a reset.
        let carried = failure.carried_reset().is_some() && client.takes_resets();
        let untold = failure.is_client_gone() || failure.is_kill();
        if !exchange.has_answered() && !untold && !carried {
            return self.answer(client, exchange, facts, error, failure.status()).await;
        }
        if failure.is_doubt() {
            client.leave_unclosed();
        } else if !exchange.is_answered_whole() || failure.is_malformed_request() && client.takes_resets() {
            // A client that knows streams learns that its request was none also behind the answer.
            client.abort(failure.code_for_client());
        }
        self.report_failed(exchange, facts, error).await;
    }

    /// Sends a page of our own, and reports the flow with the error (not with the page: the server did not send it).
    async fn answer(
        &self,
        client: &mut impl ClientSide,
        exchange: &mut Exchange,
        facts: Arc<ServerConnection>,
        error: FlowError,
        status: u16,
    ) {
        let page = error_page(status, &error.message);
        let body = if exchange.request.method.as_ref() == b"HEAD" { Bytes::new() } else { page.body };
        // A client that is gone cannot be told; the flow tells it.
        let sent = client.send_own(&page.head, body);
        self.report_failed(exchange, facts, error).await;
        if sent.is_err() {
            client.abort(Code::INTERNAL_ERROR);
        }
    }

    /// Offers a flow that failed to the addons, and reports it.
    async fn report_failed(&self, exchange: &mut Exchange, facts: Arc<ServerConnection>, error: FlowError) {
        let mut flow = Self::flow(&self.context, exchange, facts, Some(error));
        if self.has_hooks() {
            flow = Box::pin(self.hook_error(flow)).await;
        }
        self.context.report(flow).await;
    }

    fn flow(
        context: &Context,
        exchange: &mut Exchange,
        server: Arc<ServerConnection>,
        error: Option<FlowError>,
    ) -> Flow {
        let request = std::mem::replace(&mut exchange.request, no_request());
        let created = request.timestamp_start;
        let kind = FlowKind::Http(Box::new(HttpFlow {
            request,
            response: exchange.response.take(),
            websocket: None,
        }));
        let id = exchange.telling.take().map_or_else(clock::new_id, |telling| telling.id().clone());
        let mut flow = Flow::new(id, Arc::clone(&context.client), server, kind, created);
        flow.error = error;
        if let Some(hooked) = exchange.hooked.take() {
            flow = hooked.note_on(flow);
        }
        if !exchange.refused.is_empty() {
            let refused = std::mem::take(&mut exchange.refused);
            flow.metadata.push((Flow::REFUSED.into(), MetadataValue::Bytes(refused)));
        }
        flow
    }

    /// Where a request goes that an addon sends elsewhere: the rules are asked about that as about any other destination.
    pub(super) fn redirected(
        &self,
        request: &mut Request,
        before: &Destination,
    ) -> Result<Route, ServerError> {
        let address = Address { host: request.host.clone(), port: request.port };
        if request.version.is_http1() && !request.authority.is_empty() && !before.is_same_host(request) {
            // A target in absolute form says where it goes.
            request.authority = address.to_string().into();
        }
        let refused = |message: String, status| ServerError {
            phase: Phase::Connect,
            message,
            status,
            io_kind: None,
            facts: Arc::new(ServerConnection::new(clock::new_id(), Some(address.clone()))),
        };
        let tls = match request.scheme.as_ref() {
            b"https" => true,
            b"http" => false,
            _ => {
                return Err(refused(
                    "an addon asked for a scheme that is neither http nor https".to_owned(),
                    502,
                ));
            }
        };
        let purpose =
            if tls || asks_to_upgrade(&request.headers) { Purpose::Tunnel } else { Purpose::Requests };
        let tls_name = tls.then(|| address.host.clone());
        let egress = match explicit_allowed(&self.context, &address, Entry::ExplicitRequest) {
            (Allowed::No(why), _) => return Err(refused(why.to_string(), 403)),
            (_, egress) => egress,
        };
        Ok(Route { address, tls_name, purpose, egress })
    }

    /// Reports a request that its client took back before it had a server.
    pub(crate) async fn given_up(&self, client: &mut impl ClientSide, request: Request, gone: SideError) {
        let address = Address { host: request.host.clone(), port: request.port };
        let facts = Arc::new(ServerConnection::new(clock::new_id(), Some(address)));
        let failure = Failure::on_client(Phase::Head, gone);
        self.failed(client, &mut Exchange::new(request, Framing::None, 0), facts, failure).await;
    }

    /// Refuses a request before it has a server: tells the client and reports the flow.
    pub(crate) async fn refuse(
        &self,
        client: &mut impl ClientSide,
        request: Request,
        status: u16,
        message: &str,
    ) {
        self.refuse_bytes(client, request, status, message, Bytes::new()).await;
    }

    /// Refuses what is no request, or an ambiguous one, whatever the version: `request` is what could be read of it, `bytes` are
    /// its raw bytes, at most `REFUSED_BYTES_MAX` of them.
    pub(crate) async fn refuse_bytes(
        &self,
        client: &mut impl ClientSide,
        request: Request,
        status: u16,
        message: &str,
        bytes: Bytes,
    ) {
        let address = Address { host: request.host.clone(), port: request.port };
        let address = (!address.host.is_empty()).then_some(address);
        let facts = Arc::new(ServerConnection::new(clock::new_id(), address));
        let error = FlowError {
            message: message.to_owned(),
            timestamp: clock::now(),
            side: Some(Side::Client),
            phase: Some(Phase::Head),
        };
        let mut exchange = Exchange::new(request, Framing::None, 0);
        exchange.refused = bytes;
        self.answer(client, &mut exchange, facts, error, status).await;
    }
}

/// Sends a recorded request again, as a client of an explicit proxy would, and reports what came of it.
pub(crate) async fn replay_request(context: &Context, mut request: Request) {
    let tls = request.scheme.as_ref() == b"https";
    let address = Address { host: request.host.clone(), port: request.port };
    let purpose = if tls || asks_to_upgrade(&request.headers) { Purpose::Tunnel } else { Purpose::Requests };
    // Where the address is an IP address, what the client called the server is in its Host field (mitmproxy likewise).
    let named =
        String::from_utf8(request.pretty_host().into_owned()).unwrap_or_else(|_| address.host.clone());
    let mut route = Route { tls_name: tls.then_some(named), address, purpose, egress: None };
    let offers = replay_offers(context);
    let servers = Arc::new(Servers::new(offers));
    let service = Service { context: context.clone(), servers, origin: Origin::Explicit { over_tls: false } };
    let (mut client, framing) = ReplayClient::new(&mut request);
    let service = match service.allowed(&mut route) {
        Allowed::Yes => service,
        Allowed::Hidden => service.hide(false),
        Allowed::No(why) => return service.refuse(&mut client, request, 403, &why).await,
    };
    let mut idle = IdleTimer::new(context.settings.idle_timeout);
    let mut exchange = service.exchange(request, framing);
    if let Next::Upgrade(upgrade) = service.serve(&mut client, &mut exchange, &route, &mut idle).await {
        // Nobody is there to speak the other protocol.
        context.report(upgrade.flow).await;
    }
}

/// What the client offered that sent the request, as far as we speak it; what we offer where that is not known.
fn replay_offers(context: &Context) -> Vec<Bytes> {
    let ours = offers(context.settings.http2);
    let offered = &context.client.connection.alpn_offers;
    let common: Vec<_> = offered.iter().filter(|offer| ours.contains(offer)).cloned().collect();
    if common.is_empty() { ours } else { common }
}

/// Asks the rules about what a client of an explicit proxy wants before anything is connected to, and for the way out if
/// they name one. What cannot be known without connecting, such as the server's address, decides nothing here.
pub(crate) fn explicit_allowed(
    context: &Context,
    destination: &Address,
    entry: Entry,
) -> (Allowed, Option<Arc<Egress>>) {
    let rules = &context.settings.rules;
    if !rules.ask_requests() {
        return (Allowed::Yes, None);
    }
    let is_request = entry == Entry::ExplicitRequest;
    let facts = Facts {
        entry,
        // A tunnel is asked about again, with all that becomes known.
        peer: if is_request { Fact::Absent } else { Fact::Unknown },
        first: if is_request { FirstBytes::Http1 } else { FirstBytes::Nothing },
        host: if is_request { Fact::Absent } else { Fact::Unknown },
        ..context.facts(destination)
    };
    match decide(rules, &facts) {
        Decision::Verdict(verdict) if verdict.action == Action::Refuse => {
            context.log(Level::Info, format_args!("{destination}: {}", verdict.reason));
            (Allowed::No(verdict.reason.to_string().into()), None)
        }
        Decision::Verdict(verdict) => {
            if is_request {
                context.log(Level::Debug, format_args!("{}", verdict.reason));
            }
            let egress = verdict.via.map(|via| context.egress_by(Some(via)));
            (if verdict.hidden { Allowed::Hidden } else { Allowed::Yes }, egress)
        }
        Decision::Undecided { .. } => (Allowed::Yes, None),
    }
}

#[cfg(test)]
mod tests;
