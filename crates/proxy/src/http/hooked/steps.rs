//! The hooks of an exchange in their places: which comes when, what is held until it has come, what an addon answers instead of the
//! server. What is known of the exchange between them is in the module above.

use std::future::poll_fn;
use std::sync::atomic::Ordering;
use std::task::{Context as TaskContext, Poll};

use flowgate_flow::{Body, Flow, HttpVersion, Phase, Side};
use flowgate_options::Level;
use flowgate_wire::http1::Framing;

use super::{Destination, Sent};
use crate::addon::{Hook, LiveFlow, Needs, Outcome, no_server};
use crate::clock;
use crate::http::body_way::{BodyWay, Collected};
use crate::http::delimit::{Half, Received};
use crate::http::exchange::{Down, Exchange, Pause, Up};
use crate::http::failure::{Cause, Failure};
use crate::http::local_server::LocalServer;
use crate::http::servers::Route;
use crate::http::service::{Carried, Service};
use crate::http::side::{ClientSide, ServerSide, SideError};
use crate::idle::IdleTimer;

impl Service {
    /// Whether addons act on flows of this connection.
    pub(in crate::http) fn has_hooks(&self) -> bool {
        let addons = &self.context.settings.addons;
        if self.context.hidden { addons.ask_who() } else { !addons.is_empty() }
    }

    /// Carries a request through with the hooks in their places.
    pub(in crate::http) async fn carry_hooked(
        &self,
        client: &mut impl ClientSide,
        exchange: &mut Exchange,
        route: &Route,
        idle: &mut IdleTimer,
    ) -> Carried {
        let destination = Destination::of(&exchange.request);
        match self.before_server(client, exchange, idle).await {
            Ok(()) => {}
            Err(failure) if matches!(failure.cause, Cause::Answered) => {
                // Boxed, as all that is rare: whoever takes an answer slowly has no room for it.
                return Box::pin(self.carry_own(client, exchange, idle)).await;
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
        // Not before: that is where clients are asked who they are.
        self.say_who_we_are(&mut exchange.request.headers);
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
    pub(in crate::http) async fn drive(
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
    pub(in crate::http) async fn carry_own(
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
    pub(in crate::http) async fn hook_error(&self, flow: Flow) -> Flow {
        let (kind, error) = (flow.kind.clone(), flow.error.clone());
        let mut live = LiveFlow::ended(flow);
        self.context.addons().run(Hook::Error, &mut live).await;
        if let Outcome::Panicked(addon) = live.outcome() {
            let _ = self.addon_failed(addon.clone());
        }
        Flow { kind, error, ..live.into_flow() }
    }
}
