//! An exchange on which addons act: the hooks in their places, the bodies that addons hold or change, the answers they give.
//!
//! Only exchanges of proxies with addons come here. What is decided at a hook is carried out by the exchange itself
//! ([`super::exchange`]); what was sent already is not changed any more, whatever an addon does to it.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context as TaskContext, Poll};

use bytes::Bytes;
use flowgate_flow::{
    Body, Flow, FlowId, FlowKind, HttpVersion, MetadataValue, Phase, RawFlow, Replay, Request, Response,
    ServerConnection, Side,
};
use flowgate_options::Level;
use flowgate_wire::http1::Framing;

use super::body_way::{BodyWay, Collected};
use super::delimit::{Half, Received};
use super::exchange::{Down, Exchange, Pause, Up};
use super::failure::{Cause, Failure};
use super::forward::remove_connection_fields;
use super::local_server::LocalServer;
use super::service::{Carried, Service};
use super::side::{ClientSide, ServerSide, SideError};
use crate::addon::{Hook, Lent, LiveFlow, Needs, Outcome, Standing, no_request, no_server};
use crate::clock;
use crate::idle::IdleTimer;
use crate::limits::HELD_BODY_BYTES_MAX;

/// The metadata of a flow that says which bodies an addon needed whole and did not get, since they are too long.
const NOT_HELD: &str = "flowgate.not_held";

/// What addons have to do with an exchange.
pub(super) struct Hooked {
    /// What they noted.
    notes: Notes,
    /// The server's connection, once there is one.
    server: Option<Arc<ServerConnection>>,
    /// The bodies on their way.
    pub(super) up: BodyWay,
    pub(super) down: BodyWay,
    /// The hooks that are still to come.
    pub(super) due: Due,
    request_received: Received,
    response_received: Received,
    /// How the response's body is delimited when it is sent.
    pub(super) response_framing: Framing,
    whole: Halves,
    taken: Halves,
    /// The response is an addon's.
    own: bool,
    /// The method as the client sent it: it knows by that whether a response has a body.
    method: Bytes,
    kept_bytes_max: u64,
    held_bytes_max: u64,
}

/// What was noted on a flow before it is one.
struct Notes {
    id: FlowId,
    marked: String,
    comment: String,
    metadata: Vec<(String, MetadataValue)>,
    replay: Option<Replay>,
}

/// The hooks of an exchange that are still to come once its request is on the way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    request: bool,
    response_head: bool,
    response: bool,
}

/// Something that holds for the bodies of both halves.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Halves {
    pub(super) request: bool,
    pub(super) response: bool,
}

impl Due {
    pub(super) const fn take_request(&mut self) -> bool {
        std::mem::replace(&mut self.request, false)
    }

    pub(super) const fn take_response_head(&mut self) -> bool {
        std::mem::replace(&mut self.response_head, false)
    }

    pub(super) const fn take_response(&mut self) -> bool {
        std::mem::replace(&mut self.response, false)
    }
}

impl Hooked {
    pub(super) fn new(
        request: &Request,
        framing: Framing,
        kept_bytes_max: u64,
        large_bytes: u64,
        replay: Option<Replay>,
    ) -> Self {
        let notes = Notes {
            id: clock::new_id(),
            marked: String::new(),
            comment: String::new(),
            metadata: Vec::new(),
            replay,
        };
        Self {
            notes,
            server: None,
            up: BodyWay::default(),
            down: BodyWay::default(),
            due: Due { request: true, response_head: true, response: true },
            request_received: Received::new(framing, &request.version, &request.headers),
            response_received: Received::own(&HttpVersion::Http11),
            response_framing: Framing::None,
            whole: Halves { request: framing == Framing::None, response: false },
            taken: Halves::default(),
            own: false,
            method: request.method.clone(),
            kept_bytes_max,
            held_bytes_max: HELD_BODY_BYTES_MAX.min(large_bytes),
        }
    }

    /// The flow's.
    pub(super) const fn id(&self) -> &FlowId {
        &self.notes.id
    }

    /// The head of a response came.
    pub(super) fn has_response(&mut self, framing: Framing, head: &Response) {
        self.response_received = Received::new(framing, &head.version, &head.headers);
        self.response_framing = framing;
    }

    /// Whether the response is an addon's: nothing of it belongs to a connection.
    pub(super) const fn has_own_response(&self) -> bool {
        self.own
    }

    /// The bodies of which the messages have what is kept already.
    pub(super) const fn taken(&self) -> Halves {
        self.taken
    }

    /// Whether the request's body was whole before it was sent.
    pub(super) const fn whole(&self) -> Halves {
        self.whole
    }

    /// The response's body is whole.
    pub(super) const fn holds_response(&mut self) {
        (self.whole.response, self.taken.response) = (true, true);
    }

    /// The response's body is too long to be held.
    pub(super) fn streams_response(&mut self, response: Option<&mut Response>) {
        self.note_not_held("response");
        if let Some(response) = response {
            self.response_framing = self.streamed_response(response);
        }
    }

    /// Lets go of what is not to be kept with the flow.
    pub(super) fn keep(&self, request: &mut Request, response: Option<&mut Response>) {
        let trim = |body: &mut Body| {
            if let Some(len) = body.len().filter(|len| *len > self.kept_bytes_max) {
                *body = Body::Counted(len);
            }
        };
        trim(&mut request.body);
        if let Some(response) = response {
            trim(&mut response.body);
        }
    }

    /// Puts what was noted on the flow.
    pub(super) fn note_on(self, flow: Flow) -> Flow {
        let Notes { id, marked, comment, mut metadata, replay } = self.notes;
        metadata.extend(flow.metadata);
        Flow { id, marked, comment, metadata, replay, ..flow }
    }

    fn note_not_held(&mut self, half: &str) {
        let text = format!(
            "{half}: its body is longer than {} bytes, so it was passed on as it came",
            self.held_bytes_max
        );
        self.notes.metadata.push((NOT_HELD.into(), MetadataValue::Text(text)));
    }

    fn streamed_response(&self, response: &mut Response) -> Framing {
        if self.down.changes() {
            self.response_received.changing(Half::Response, &mut response.headers)
        } else {
            self.response_received.as_received(&mut response.headers)
        }
    }

    /// Whether a response of this status has no body, whatever its fields say.
    fn is_bodiless(&self, status: u16) -> bool {
        let tunnel = self.method.as_ref() == b"CONNECT" && (200..300).contains(&status);
        tunnel || self.method.as_ref() == b"HEAD" || matches!(status, 101 | 204 | 304)
    }
}

impl Exchange {
    /// Notes the server that the request goes to; says whether addons act on the exchange.
    pub(super) fn meets(&mut self, server: &Arc<ServerConnection>) -> bool {
        let Some(hooked) = &mut self.hooked else { return false };
        hooked.server = Some(Arc::clone(server));
        true
    }

    /// The flow as a hook gets it.
    fn lend(&mut self, service: &Service) -> Option<LiveFlow> {
        let answered = self.has_answered();
        let hooked = self.hooked.as_mut()?;
        let server = hooked.server.clone().unwrap_or_else(|| no_server(&self.request));
        let created = self.request.timestamp_start;
        let client = Arc::clone(&service.context.client);
        // The kind is put in with what is lent.
        let flow =
            Flow::new(hooked.notes.id.clone(), client, server, FlowKind::Tcp(RawFlow::default()), created);
        let notes = &mut hooked.notes;
        let flow = Flow {
            marked: std::mem::take(&mut notes.marked),
            comment: std::mem::take(&mut notes.comment),
            metadata: std::mem::take(&mut notes.metadata),
            replay: notes.replay,
            ..flow
        };
        let request = std::mem::replace(&mut self.request, no_request());
        let sent = self.up != Up::Body && hooked.server.is_some();
        let standing = Standing {
            holds_request: hooked.whole.request && !sent,
            holds_response: hooked.whole.response && !answered,
            sent: answered,
            own: hooked.own,
        };
        Some(LiveFlow::new(flow, Lent { request, response: self.response.take() }, standing))
    }

    /// Takes the flow back from a hook.
    fn take_back(&mut self, live: LiveFlow) -> Outcome {
        let (Lent { request, response }, outcome, flow) = live.into_parts();
        (self.request, self.response) = (request, response);
        if let Some(hooked) = &mut self.hooked {
            let Flow { id, marked, comment, metadata, replay, .. } = flow;
            hooked.notes = Notes { id, marked, comment, metadata, replay };
            hooked.own |= outcome == Outcome::Answered;
        }
        outcome
    }
}

impl Service {
    /// Whether addons act on flows of this connection.
    pub(super) fn has_hooks(&self) -> bool {
        let addons = &self.context.settings.addons;
        if self.context.hidden { addons.ask_who() } else { !addons.is_empty() }
    }

    /// Carries a request through with the hooks in their places.
    pub(super) async fn carry_hooked(
        &self,
        client: &mut impl ClientSide,
        exchange: &mut Exchange,
        route: &super::servers::Route,
        idle: &mut IdleTimer,
    ) -> Carried {
        let destination = Destination::of(&exchange.request);
        match self.before_server(client, exchange, idle).await {
            Ok(()) => {}
            Err(failure) if matches!(failure.cause, Cause::Answered) => {
                return self.carry_own(client, exchange, idle).await;
            }
            Err(failure) => {
                exchange.keep_bodies();
                return Carried::Failed(no_server(&exchange.request), failure);
            }
        }
        if destination.is_of(&exchange.request) {
            return self.carry(client, exchange, route, idle).await;
        }
        match self.redirected(&mut exchange.request, &destination) {
            Ok(route) => self.carry(client, exchange, &route, idle).await,
            Err(error) => {
                exchange.keep_bodies();
                Carried::NoServer(error)
            }
        }
    }

    /// `requestheaders`, the body if somebody needs it, and `request` if all of it is there.
    async fn before_server(
        &self,
        client: &mut impl ClientSide,
        exchange: &mut Exchange,
        idle: &mut IdleTimer,
    ) -> Result<(), Failure> {
        let whole = exchange.request_framing == Framing::None;
        if !whole {
            exchange.request.body = Body::Missing;
        }
        self.hook(Hook::RequestHeaders, exchange, |cx| client.poll_gone(cx)).await?;
        exchange.check_announced_size()?;
        if !whole {
            self.hold_request(client, exchange, idle).await?;
        }
        let Some(hooked) = &mut exchange.hooked else { return Ok(()) };
        if !hooked.whole.request {
            let headers = &mut exchange.request.headers;
            exchange.request_framing = if hooked.up.changes() {
                hooked.request_received.changing(Half::Request, headers)
            } else {
                hooked.request_received.as_received(headers)
            };
            return Ok(());
        }
        exchange.request.timestamp_end = exchange.request.timestamp_end.or_else(|| Some(clock::now()));
        hooked.due.request = false;
        hooked.taken.request = true;
        self.hook(Hook::Request, exchange, |cx| client.poll_gone(cx)).await?;
        let Some(hooked) = &mut exchange.hooked else { return Ok(()) };
        let request = &mut exchange.request;
        let trailers = request.trailers.clone().filter(|trailers| !trailers.is_empty());
        let len = request.body.len().unwrap_or(0);
        let framing = hooked.request_received.whole(&mut request.headers, len, trailers.is_some(), false);
        exchange.request_framing = framing;
        exchange.up = if framing == Framing::None { Up::Done } else { Up::Body };
        hooked.up = BodyWay::default();
        if framing != Framing::None {
            hooked.up.send(request.body.clone(), trailers);
        }
        Ok(())
    }

    /// Asks who needs the request's body, and collects it if somebody needs it whole.
    async fn hold_request(
        &self,
        client: &mut impl ClientSide,
        exchange: &mut Exchange,
        idle: &mut IdleTimer,
    ) -> Result<(), Failure> {
        let needs = self.needs(exchange, Half::Request)?;
        let waits_for_leave = exchange.waits_for_leave();
        let Some(hooked) = &mut exchange.hooked else { return Ok(()) };
        // HTTP/1.0 knows no chunks: what is changed has to be there before its length can be told.
        let hold =
            needs.whole || (!needs.transforms.is_empty() && exchange.request.version == HttpVersion::Http10);
        hooked.up.change_by(needs.transforms);
        if !hold {
            return Ok(());
        }
        hooked.up.hold(hooked.held_bytes_max);
        if waits_for_leave {
            let leave = LiveFlow::response_of(100, flowgate_flow::Headers::new(), Body::EMPTY);
            client.send_interim(&leave).map_err(|err| Failure::on_client(Phase::Head, err))?;
            exchange.request.headers.remove("expect");
        }
        let (limit, bytes_max) = (self.context.settings.idle_timeout, exchange.body_bytes_max);
        idle.touch();
        let collected = poll_fn(|cx| {
            if let Poll::Ready(Err(err)) = client.poll_flush(cx) {
                return Poll::Ready(Err(Failure::on_client(Phase::Body, err)));
            }
            let before = hooked.up.collected();
            let collected = hooked.up.poll_collect(cx, &mut |cx| client.poll_body(cx));
            if hooked.up.collected() > bytes_max {
                return Poll::Ready(Err(Failure {
                    side: Side::Client,
                    phase: Phase::Body,
                    cause: Cause::TooLarge(bytes_max),
                }));
            }
            if hooked.up.collected() != before {
                idle.touch();
            }
            match collected {
                Poll::Ready(collected) => {
                    Poll::Ready(collected.map_err(|err| Failure::on_client(Phase::Body, err)))
                }
                Poll::Pending => idle.poll_idle(cx).map(|()| {
                    Err(Failure { side: Side::Client, phase: Phase::Body, cause: Cause::Idle(limit) })
                }),
            }
        })
        .await;
        match collected.inspect_err(|_| exchange.refused = client.take_refused())? {
            Collected::TooLong => hooked.note_not_held("request"),
            Collected::Whole(body, trailers) => {
                (exchange.request.body, exchange.request.trailers) = (body, trailers);
                hooked.whole.request = true;
            }
        }
        Ok(())
    }

    /// Runs an exchange with one server to its end, with the hooks in their places.
    pub(super) async fn drive(
        &self,
        client: &mut impl ClientSide,
        server: &mut impl ServerSide,
        exchange: &mut Exchange,
        idle: &mut IdleTimer,
    ) -> Result<(), Failure> {
        let result = match exchange.begin(server) {
            Ok(()) => self.drive_on(client, server, exchange, idle).await,
            Err(failure) => Err(failure),
        };
        if !matches!(&result, Err(Failure { cause: Cause::Answered, .. })) {
            exchange.settle(&result, client, server);
        }
        result
    }

    async fn drive_on(
        &self,
        client: &mut impl ClientSide,
        server: &mut impl ServerSide,
        exchange: &mut Exchange,
        idle: &mut IdleTimer,
    ) -> Result<(), Failure> {
        let limit = self.context.settings.idle_timeout;
        loop {
            let pause = exchange.run_on(client, server, idle, limit).await?;
            let meanwhile = |cx: &mut TaskContext<'_>| {
                // What is queued goes out all the same. A server that fails is found out afterwards.
                let _ = server.poll_flush(cx);
                match client.poll_flush(cx) {
                    Poll::Ready(Err(err)) => Poll::Ready(err),
                    _ => client.poll_gone(cx),
                }
            };
            match pause {
                Pause::Over => return Ok(()),
                Pause::RequestEnd => self.at_request_end(exchange, meanwhile).await?,
                Pause::ResponseHead => self.at_response_head(exchange, meanwhile).await?,
                Pause::ResponseEnd => self.at_response_end(exchange, meanwhile).await?,
            }
        }
    }

    /// The request was sent but for its end.
    async fn at_request_end(
        &self,
        exchange: &mut Exchange,
        meanwhile: impl FnMut(&mut TaskContext<'_>) -> Poll<SideError>,
    ) -> Result<(), Failure> {
        exchange.request.body = exchange.take_request_body();
        if let Some(hooked) = &mut exchange.hooked {
            hooked.taken.request = true;
        }
        self.hook(Hook::Request, exchange, meanwhile).await
    }

    async fn at_response_head(
        &self,
        exchange: &mut Exchange,
        mut meanwhile: impl FnMut(&mut TaskContext<'_>) -> Poll<SideError>,
    ) -> Result<(), Failure> {
        let Some(hooked) = &exchange.hooked else { return Ok(()) };
        let (no_body, own) = (hooked.response_framing == Framing::None, hooked.own);
        if let Some(response) = &mut exchange.response
            && !own
        {
            response.body = if no_body { Body::EMPTY } else { Body::Missing };
        }
        self.hook(Hook::ResponseHeaders, exchange, &mut meanwhile).await?;
        let needs = if no_body { Needs::default() } else { self.needs(exchange, Half::Response)? };
        let (Some(hooked), Some(response)) = (&mut exchange.hooked, &mut exchange.response) else {
            return Ok(());
        };
        let streams = !needs.whole && needs.transforms.is_empty();
        if no_body || (own && streams) {
            hooked.due.response = false;
            hooked.holds_response();
            return self.at_response_end(exchange, meanwhile).await;
        }
        hooked.down.change_by(needs.transforms);
        if needs.whole {
            hooked.down.hold(hooked.held_bytes_max);
            exchange.down = Down::Collect;
        } else {
            hooked.response_framing = hooked.streamed_response(response);
        }
        Ok(())
    }

    /// The response is there, or was sent but for its end.
    async fn at_response_end(
        &self,
        exchange: &mut Exchange,
        meanwhile: impl FnMut(&mut TaskContext<'_>) -> Poll<SideError>,
    ) -> Result<(), Failure> {
        let whole = exchange.hooked.as_ref().is_some_and(|hooked| hooked.whole.response);
        if !whole {
            let body = exchange.take_response_body();
            if let (Some(hooked), Some(response)) = (&mut exchange.hooked, &mut exchange.response) {
                response.body = body;
                hooked.taken.response = true;
            }
        }
        if let Some(hooked) = &mut exchange.hooked {
            hooked.due.response = false;
        }
        self.hook(Hook::Response, exchange, meanwhile).await?;
        if whole && let (Some(hooked), Some(response)) = (&mut exchange.hooked, &mut exchange.response) {
            let trailers = response.trailers.clone().filter(|trailers| !trailers.is_empty());
            let len = response.body.len().unwrap_or(0);
            let bodiless = hooked.is_bodiless(response.status);
            let framing =
                hooked.response_received.whole(&mut response.headers, len, trailers.is_some(), bodiless);
            hooked.response_framing = framing;
            hooked.down = BodyWay::default();
            hooked.down.send(response.body.clone(), trailers);
        }
        Ok(())
    }

    /// Gives the client what an addon answered.
    pub(super) async fn carry_own(
        &self,
        client: &mut impl ClientSide,
        exchange: &mut Exchange,
        idle: &mut IdleTimer,
    ) -> Carried {
        loop {
            let (Some(hooked), Some(mut response)) = (&mut exchange.hooked, exchange.response.take()) else {
                let failure = Failure { side: Side::Proxy, phase: Phase::Head, cause: Cause::Killed };
                return Carried::Failed(no_server(&exchange.request), failure);
            };
            let bodiless = hooked.is_bodiless(response.status);
            let len = response.body.len().unwrap_or(0);
            let trailers = response.trailers.as_ref().is_some_and(|trailers| !trailers.is_empty());
            let received = Received::own(&response.version);
            let framing = received.whole_own(&mut response.headers, len, trailers, bodiless);
            let mut server = LocalServer::new(response, framing);
            hooked.down = BodyWay::default();
            hooked.whole.response = false;
            exchange.down = Down::Head;
            if hooked.whole.request {
                exchange.up = Up::Done;
            }
            let facts = hooked.server.clone();
            let result = self.drive(client, &mut server, exchange, idle).await;
            let facts = facts.unwrap_or_else(|| no_server(&exchange.request));
            match result {
                Ok(()) => return Carried::Through(facts),
                // Each hook comes once, so this ends.
                Err(failure) if matches!(failure.cause, Cause::Answered) => {}
                Err(failure) => return Carried::Failed(facts, failure),
            }
        }
    }

    /// Runs one hook, unless the client goes away meanwhile, and sees to it that what was sent stays as it was.
    async fn hook(
        &self,
        hook: Hook,
        exchange: &mut Exchange,
        meanwhile: impl FnMut(&mut TaskContext<'_>) -> Poll<SideError>,
    ) -> Result<(), Failure> {
        let sent = Sent::before(hook, exchange);
        let Some(mut live) = exchange.lend(self) else { return Ok(()) };
        let addons = self.context.addons();
        let gone = tokio::select! {
            biased;
            () = addons.run(hook, &mut live) => None,
            gone = poll_fn(meanwhile) => Some(gone),
        };
        let outcome = exchange.take_back(live);
        sent.put_back(hook, exchange);
        let fails = |side, cause| Err(Failure { side, phase: Phase::Head, cause });
        if let Some(gone) = gone {
            return fails(Side::Client, Cause::Side(gone));
        }
        match outcome {
            Outcome::Continue => Ok(()),
            Outcome::Answered => fails(Side::Proxy, Cause::Answered),
            Outcome::Killed => fails(Side::Proxy, Cause::Killed),
            Outcome::Panicked(addon) => fails(Side::Proxy, self.addon_failed(addon)),
        }
    }

    fn needs(&self, exchange: &mut Exchange, half: Half) -> Result<Needs, Failure> {
        let Some(live) = exchange.lend(self) else { return Ok(Needs::default()) };
        let needs = self.context.addons().needs(half == Half::Response, &live);
        exchange.take_back(live);
        needs.map_err(|addon| Failure {
            side: Side::Proxy,
            phase: Phase::Head,
            cause: self.addon_failed(addon),
        })
    }

    fn addon_failed(&self, addon: String) -> Cause {
        self.context.proxy.panics.fetch_add(1, Ordering::Relaxed);
        self.context.log(Level::Error, format_args!("addon {addon} failed on a flow (a panic)"));
        Cause::Addon(addon)
    }

    /// Offers a flow that failed to `error`.
    pub(super) async fn hook_error(&self, flow: Flow) -> Flow {
        let (kind, error) = (flow.kind.clone(), flow.error.clone());
        let mut live = LiveFlow::ended(flow);
        self.context.addons().run(Hook::Error, &mut live).await;
        if let Outcome::Panicked(addon) = live.outcome() {
            let _ = self.addon_failed(addon.clone());
        }
        Flow { kind, error, ..live.into_flow() }
    }
}

/// What was sent before a hook, and is no longer to be changed.
struct Sent {
    request: Option<Request>,
    response: Option<Response>,
}

impl Sent {
    fn before(hook: Hook, exchange: &Exchange) -> Self {
        let at_head = matches!(hook, Hook::RequestHeaders);
        let whole =
            exchange.hooked.as_ref().is_some_and(|hooked| hooked.whole.request && hooked.due.response_head);
        let request_open = at_head || (hook == Hook::Request && whole);
        let response_open = !exchange.has_answered();
        Self {
            request: (!request_open).then(|| exchange.request.clone()),
            response: if response_open { None } else { exchange.response.clone() },
        }
    }

    fn put_back(self, hook: Hook, exchange: &mut Exchange) {
        match self.request {
            Some(sent) => {
                let trailers = exchange.request.trailers.take();
                let trailers = if hook == Hook::Request { trailers } else { sent.trailers.clone() };
                exchange.request = Request { trailers, ..sent };
            }
            None => exchange.settle_request(),
        }
        match (self.response, &mut exchange.response) {
            (Some(sent), Some(response)) => {
                let trailers = response.trailers.take();
                *response = Response { trailers, ..sent };
            }
            (None, Some(_)) => exchange.settle_response(),
            _ => {}
        }
    }
}

impl Exchange {
    /// Puts right what an addon may have changed and nobody may.
    fn settle_request(&mut self) {
        let Some(hooked) = &self.hooked else { return };
        let request = &mut self.request;
        request.version = hooked.request_received.version.clone();
        // What a hook nominates in `Connection` belongs to the connection like what the client does.
        remove_connection_fields(&mut request.headers);
        if !hooked.whole.request {
            request.body = Body::Missing;
        }
    }

    fn settle_response(&mut self) {
        let (Some(hooked), Some(response)) = (&self.hooked, &mut self.response) else { return };
        if !hooked.own {
            response.version = hooked.response_received.version.clone();
            remove_connection_fields(&mut response.headers);
        }
    }
}

/// Where a request goes.
pub(super) struct Destination {
    scheme: Bytes,
    host: String,
    port: u16,
}

impl Destination {
    fn of(request: &Request) -> Self {
        Self { scheme: request.scheme.clone(), host: request.host.clone(), port: request.port }
    }

    fn is_of(&self, request: &Request) -> bool {
        self.scheme == request.scheme && self.is_same_host(request)
    }

    /// Whether host and port are the same.
    pub(super) fn is_same_host(&self, request: &Request) -> bool {
        self.host == request.host && self.port == request.port
    }
}

#[cfg(test)]
mod tests;
