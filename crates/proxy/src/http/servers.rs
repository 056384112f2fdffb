//! The server connections of one client connection: opened when needed, used again, never shared with another client.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::forward::asks_to_leave_http;
use super::h1_server::H1Server;
use super::h2_driver::Driver;
use super::h2_link::H2Link;
use crate::context::Context;
use crate::egress::{Egress, Purpose};
use crate::limits::IDLE_SERVERS_MAX;
use crate::server::{self, OpenServer, ServerError, ServerGuard};
use bytes::Bytes;
use flowgate_flow::{Address, Phase, Request, ServerConnection};
use flowgate_wire::http2::semantics::{is_websocket_connect, websocket_upgrade_key};

/// Where requests go, and how.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Route {
    pub(crate) address: Address,
    /// `None` for clear text; otherwise whom TLS asks for.
    pub(crate) tls_name: Option<String>,
    /// Whether an upstream proxy may forward the requests itself.
    pub(crate) purpose: Purpose,
    /// The way out, where that is not the connection's.
    pub(crate) egress: Option<Arc<Egress>>,
}

/// What a request needs of its connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wanted {
    /// That an exchange can be had on it, in whatever version.
    Exchange,
    /// HTTP/1.1, since that alone can switch to another protocol afterwards (RFC 9113 section 8.6).
    Upgrade,
    /// That a WebSocket can be had on it: HTTP/1.1, or a stream of an HTTP/2 connection whose server announced that it takes
    /// them (RFC 8441 section 3).
    WebSocket,
}

impl Wanted {
    /// What this request needs.
    pub(super) fn by(request: &Request) -> Self {
        if !request.version.is_http1() {
            return if is_websocket_connect(request) { Self::WebSocket } else { Self::Exchange };
        }
        match asks_to_leave_http(&request.headers) {
            false => Self::Exchange,
            true if websocket_upgrade_key(request).is_some() => Self::WebSocket,
            true => Self::Upgrade,
        }
    }
}

/// A connection that is ready for one exchange.
pub(crate) enum Link {
    H1(Box<H1Link>),
    H2 {
        link: H2Link,
        facts: Arc<ServerConnection>,
        /// Whether it carried an exchange before, as far as an answer.
        reused: bool,
    },
}

/// An HTTP/2 connection that any exchange on its route may use.
struct Multiplexed {
    route: Route,
    link: H2Link,
    facts: Arc<ServerConnection>,
}

/// An HTTP/1 connection and what is known of it.
pub(crate) struct H1Link {
    pub(crate) server: H1Server,
    pub(crate) facts: Arc<ServerConnection>,
    /// Whether it carried an exchange before.
    pub(crate) reused: bool,
    /// It speaks HTTP/1 only because an upgrade was asked for: others are better served by HTTP/2.
    for_upgrades: bool,
    route: Route,
    guard: ServerGuard,
}

/// The server connections of one client connection.
pub(crate) struct Servers {
    /// The ALPN protocols offered to servers.
    offers: Vec<Bytes>,
    #[expect(clippy::vec_box, reason = "links travel boxed; unpacking them here would copy them")]
    idle: Mutex<Vec<Box<H1Link>>>,
    multiplexed: Mutex<Vec<Multiplexed>>,
    /// Connections that the client's task has not taken over yet.
    drivers: Mutex<Vec<Driver>>,
    /// The client's task drives its HTTP/2 connections itself; otherwise each has a task.
    driven_by_client: bool,
    /// Whether there is anything in `drivers`.
    has_drivers: AtomicBool,
    /// Held while a connection is opened that others might be able to share.
    opening: tokio::sync::Mutex<()>,
    /// A server was met that does not multiplex: nobody waits for another's connection any more.
    single: AtomicBool,
    /// The server of this route is spoken to in HTTP/2 without TLS (prior knowledge, RFC 9113 section 3.3), as the client does.
    clear_http2: Option<Route>,
    /// It answered in HTTP/1.
    clear_is_http1: AtomicBool,
    /// Opening failed when the destination became known; told to every request for it (mitmproxy likewise).
    failed: Option<(Route, ServerError)>,
    /// Where connections lead instead of into the world.
    #[cfg(any(test, fuzzing))]
    network: Option<super::in_memory::network::Network>,
}

impl Servers {
    /// No connections yet; `offers` are the ALPN protocols that servers will be offered.
    pub(crate) fn new(offers: Vec<Bytes>) -> Self {
        Self {
            single: AtomicBool::new(!offers.iter().any(|offer| offer == "h2")),
            offers,
            idle: Mutex::default(),
            multiplexed: Mutex::default(),
            drivers: Mutex::default(),
            driven_by_client: false,
            has_drivers: AtomicBool::new(false),
            opening: tokio::sync::Mutex::default(),
            clear_http2: None,
            clear_is_http1: AtomicBool::new(false),
            failed: None,
            #[cfg(any(test, fuzzing))]
            network: None,
        }
    }

    /// Leads all connections to servers in memory.
    #[cfg(any(test, fuzzing))]
    pub(super) fn connect_by(&mut self, network: super::in_memory::network::Network) {
        self.network = Some(network);
    }

    /// Speaks HTTP/2 to the server of this route, without TLS.
    pub(crate) fn speak_http2_in_the_clear(&mut self, route: Route) {
        self.clear_http2 = Some(route);
    }

    /// Speaks HTTP/1 from now on to a server that answered HTTP/2 so: without TLS nothing was negotiated.
    pub(super) fn speak_http1_in_the_clear(&self) {
        self.clear_is_http1.store(true, Ordering::Relaxed);
    }

    /// Leaves HTTP/2 connections to the client's task, which asks for them by [`take_drivers`](Self::take_drivers).
    pub(crate) const fn leave_driving_to_client(&mut self) {
        self.driven_by_client = true;
    }

    /// The connections that were opened since this was last asked.
    pub(super) fn take_drivers(&self, taken: &mut Vec<Driver>) {
        if self.has_drivers.swap(false, Ordering::Relaxed) {
            taken.append(&mut self.drivers.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Remembers that the server of this route cannot be had.
    pub(crate) fn fail(&mut self, route: Route, error: ServerError) {
        self.failed = Some((route, error));
    }

    /// Takes in a connection that was opened before the first request.
    pub(crate) async fn add(
        &self,
        context: &Context,
        route: Route,
        open: OpenServer,
    ) -> Result<(), ServerError> {
        match self.link(context, route.clone(), open, Wanted::Exchange).await? {
            Link::H1(link) => self.keep(link),
            Link::H2 { .. } => {}
        }
        Ok(())
    }

    /// A connection on this route that can do what is wanted: an idle one unless `fresh`, or a new one.
    ///
    /// Opening one is boxed: every idle client would have the room for it otherwise.
    pub(crate) async fn get(
        &self,
        context: &Context,
        route: &Route,
        wanted: Wanted,
        fresh: bool,
    ) -> Result<Link, ServerError> {
        if let Some((_, error)) = self.failed.as_ref().filter(|(failed, _)| failed == route) {
            return Err(error.clone());
        }
        if wanted != Wanted::Exchange && self.could_be_http2(route) {
            return Box::pin(self.get_for_upgrade(context, route, wanted, fresh)).await;
        }
        if !fresh && let Some(link) = self.existing(route).await {
            return Ok(link);
        }
        let may_multiplex = if route.tls_name.is_some() {
            !self.single.load(Ordering::Relaxed)
        } else {
            self.is_clear_http2(route)
        };
        if !may_multiplex {
            return Box::pin(self.open(context, route, Wanted::Exchange)).await;
        }
        let _opening = self.opening.lock().await;
        if !fresh && let Some(link) = self.existing(route).await {
            return Ok(link);
        }
        Box::pin(self.open(context, route, Wanted::Exchange)).await
    }

    /// A connection for an upgrade on a route where others would be of HTTP/2. One of HTTP/2 serves if it is there and takes
    /// WebSockets; otherwise the server is offered nothing but HTTP/1.1, which nearly all have that have WebSockets. One that will have
    /// nothing but HTTP/2 says so by ending the handshake.
    async fn get_for_upgrade(
        &self,
        context: &Context,
        route: &Route,
        wanted: Wanted,
        fresh: bool,
    ) -> Result<Link, ServerError> {
        if wanted == Wanted::WebSocket {
            if route.tls_name.is_none() {
                // In the clear nobody is asked what they speak: the client spoke HTTP/2, and so do we at first.
                self.open_multiplexed(context, route).await?;
            }
            if let Some(link) = self.websocket_stream(route).await {
                return Ok(link);
            }
        }
        if !fresh && let Some(link) = self.idle(route, Wanted::Upgrade).await {
            return Ok(Link::H1(link));
        }
        match self.open(context, route, Wanted::Upgrade).await {
            Err(error)
                if error.phase == Phase::Tls
                    && wanted == Wanted::WebSocket
                    && self.find_multiplexed(route).is_none() =>
            {
                self.open_multiplexed(context, route).await?;
                self.websocket_stream(route).await.ok_or(error)
            }
            result => result,
        }
    }

    /// A stream for a WebSocket on a connection of HTTP/2 that is there, if its server takes them.
    async fn websocket_stream(&self, route: &Route) -> Option<Link> {
        let (link, facts) = self.find_multiplexed(route)?;
        let takes_them =
            poll_fn(|cx| link.poll_connect_protocol(cx)).await && poll_fn(|cx| link.poll_can_open(cx)).await;
        let reused = link.has_answered();
        takes_them.then_some(Link::H2 { link, facts, reused })
    }

    /// Opens a connection that will most likely be of HTTP/2, unless there is one. It is kept for others too.
    async fn open_multiplexed(&self, context: &Context, route: &Route) -> Result<(), ServerError> {
        let _opening = self.opening.lock().await;
        if self.find_multiplexed(route).is_none()
            && let Link::H1(link) = self.open(context, route, Wanted::Exchange).await?
        {
            self.keep(link);
        }
        Ok(())
    }

    /// Keeps a connection for the next exchange if it can take one.
    pub(crate) fn give_back(&self, mut link: Box<H1Link>) {
        if link.server.can_continue() {
            link.reused = true;
            self.keep(link);
        }
    }

    /// Keeps a connection for an exchange to come. Nothing was asked on it yet, so a server that closes it when something is has seen that:
    /// it is not asked again.
    fn keep(&self, link: Box<H1Link>) {
        if link.server.can_continue() {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() == IDLE_SERVERS_MAX {
                idle.remove(0);
            }
            idle.push(link);
        }
    }

    async fn existing(&self, route: &Route) -> Option<Link> {
        if let Some(link) = self.idle(route, Wanted::Exchange).await {
            return Some(Link::H1(link));
        }
        while let Some((link, facts)) = self.find_multiplexed(route) {
            if poll_fn(|cx| link.poll_can_open(cx)).await {
                let reused = link.has_answered();
                return Some(Link::H2 { link, facts, reused });
            }
            let mut multiplexed = self.multiplexed.lock().unwrap_or_else(PoisonError::into_inner);
            multiplexed.retain(|known| !known.link.is_same(&link));
        }
        None
    }

    fn is_clear_http2(&self, route: &Route) -> bool {
        self.clear_http2.as_ref().is_some_and(|clear| clear == route)
            && !self.clear_is_http1.load(Ordering::Relaxed)
    }

    /// Whether a new connection on this route may turn out to be one of HTTP/2.
    fn could_be_http2(&self, route: &Route) -> bool {
        match route.tls_name {
            Some(_) => self.offers.iter().any(|offer| offer == "h2"),
            None => self.is_clear_http2(route),
        }
    }

    /// An idle connection of HTTP/1 that is still good.
    async fn idle(&self, route: &Route, wanted: Wanted) -> Option<Box<H1Link>> {
        while let Some(mut link) = self.take_idle(route, wanted) {
            if link.server.is_fresh().await {
                return Some(link);
            }
        }
        None
    }

    fn take_idle(&self, route: &Route, wanted: Wanted) -> Option<Box<H1Link>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let serves = |link: &H1Link| !link.for_upgrades || wanted != Wanted::Exchange;
        let at = idle.iter().rposition(|link| link.route == *route && serves(link))?;
        Some(idle.swap_remove(at))
    }

    fn find_multiplexed(&self, route: &Route) -> Option<(H2Link, Arc<ServerConnection>)> {
        let multiplexed = self.multiplexed.lock().unwrap_or_else(PoisonError::into_inner);
        let known = multiplexed.iter().find(|known| known.route == *route)?;
        Some((known.link.clone(), Arc::clone(&known.facts)))
    }

    async fn open(&self, context: &Context, route: &Route, wanted: Wanted) -> Result<Link, ServerError> {
        let routed = route.egress.as_ref().map(|egress| context.with_egress(Arc::clone(egress)));
        let context = routed.as_ref().unwrap_or(context);
        #[cfg(any(test, fuzzing))]
        if let Some(network) = &self.network {
            let open = network.connect(context, &route.address);
            return self.link(context, route.clone(), open, wanted).await;
        }
        let mut open = server::open(context, &route.address, route.purpose).await?;
        if let Some(name) = &route.tls_name {
            let http1;
            let offers = match wanted {
                Wanted::Exchange => &self.offers,
                Wanted::Upgrade | Wanted::WebSocket => {
                    http1 = super::service::offers(false);
                    &http1
                }
            };
            open = server::open_tls(context, open, name, offers).await?;
        }
        self.link(context, route.clone(), open, wanted).await
    }

    /// Puts the protocol that was negotiated on a connection.
    async fn link(
        &self,
        context: &Context,
        route: Route,
        open: OpenServer,
        wanted: Wanted,
    ) -> Result<Link, ServerError> {
        let OpenServer { io, facts, guard } = open;
        let facts: Arc<ServerConnection> = Arc::from(facts);
        let http2 = match &route.tls_name {
            Some(_) => facts.connection.alpn.as_deref() == Some(b"h2"),
            None => self.is_clear_http2(&route) && wanted == Wanted::Exchange,
        };
        if !http2 {
            // What was offered nothing else says nothing of the server.
            let for_upgrades = wanted != Wanted::Exchange;
            if !for_upgrades {
                self.single.store(true, Ordering::Relaxed);
            }
            let server = H1Server::new(
                io,
                context.egress.forwarded_requests(route.purpose),
                context.settings.header_names(),
            );
            return Ok(Link::H1(Box::new(H1Link {
                server,
                facts,
                reused: false,
                for_upgrades,
                route,
                guard,
            })));
        }
        let driver = Driver::for_server(io, guard, context.settings.http2_ping_keepalive);
        let link = driver.link.clone();
        if self.driven_by_client {
            self.drivers.lock().unwrap_or_else(PoisonError::into_inner).push(driver);
            self.has_drivers.store(true, Ordering::Relaxed);
        } else {
            context.proxy.tasks.spawn(driver.run(context.stop.clone()));
        }
        let entry = Multiplexed { route, link: link.clone(), facts: Arc::clone(&facts) };
        self.multiplexed.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
        Ok(Link::H2 { link, facts, reused: false })
    }
}

impl Drop for Servers {
    /// Idle TLS connections are ended as TLS wants it (RFC 8446 section 6.1), so that no server takes it for a cut.
    fn drop(&mut self) {
        for known in self.multiplexed.get_mut().unwrap_or_else(PoisonError::into_inner) {
            known.link.close();
        }
        let idle = std::mem::take(self.idle.get_mut().unwrap_or_else(PoisonError::into_inner));
        for link in idle.into_iter().filter(|link| link.route.tls_name.is_some()) {
            let tasks = link.guard.tasks();
            tasks.spawn(async move {
                let H1Link { server, guard, .. } = *link;
                server.hang_up().await;
                drop(guard);
            });
        }
    }
}

impl H1Link {
    /// The connection itself, for what follows HTTP.
    pub(crate) fn into_parts(self) -> (flowgate_net::BoxIo, Vec<u8>, ServerGuard) {
        let (io, read) = self.server.into_parts();
        (io, read, self.guard)
    }
}

#[cfg(test)]
mod tests;
