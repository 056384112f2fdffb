//! An exchange on which addons act: what is known of it between its hooks. The hooks themselves, in their places, are in
//! `hooked/steps.rs`.
//!
//! Only exchanges of proxies with addons come here. What is decided at a hook is carried out by the exchange itself
//! ([`super::exchange`]); what was sent already is not changed any more, whatever an addon does to it.

use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use bytes::Bytes;
use flowgate_flow::{
    Body, Flow, FlowId, FlowKind, HttpVersion, MetadataValue, RawFlow, Replay, Request, Response,
    ServerConnection,
};
use flowgate_wire::http1::{BodyEvent, Framing};

use super::body_way::{BodyWay, Source};
use super::delimit::{Half, Received};
use super::exchange::{Exchange, Up};
use super::forward::remove_connection_fields;
use super::pace::{Limits, Pace};
use super::service::Service;
use super::side::SideError;
use crate::addon::{Hook, Lent, LiveFlow, Outcome, Standing, no_request, no_server};
use crate::clock;
use crate::limits::HELD_BODY_BYTES_MAX;

mod steps;

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
    /// How fast, and how much of them.
    limits: (Limits, Limits),
    pace_up: Option<Box<Pace>>,
    pace_down: Option<Box<Pace>>,
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
            limits: Default::default(),
            pace_up: None,
            pace_down: None,
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

    /// The next piece of the request's body.
    pub(super) fn poll_up(
        &mut self,
        cx: &mut TaskContext<'_>,
        source: &mut Source<'_>,
    ) -> Poll<Result<BodyEvent, SideError>> {
        let way = &mut self.up;
        match &mut self.pace_up {
            None => way.poll(cx, source),
            Some(pace) => pace.poll(cx, &mut |cx| way.poll(cx, source)),
        }
    }

    /// The next piece of the response's body.
    pub(super) fn poll_down(
        &mut self,
        cx: &mut TaskContext<'_>,
        source: &mut Source<'_>,
    ) -> Poll<Result<BodyEvent, SideError>> {
        let way = &mut self.down;
        match &mut self.pace_down {
            None => way.poll(cx, source),
            Some(pace) => pace.poll(cx, &mut |cx| way.poll(cx, source)),
        }
    }

    /// Holds the bodies to what addons ask of them. What has crossed has crossed.
    fn hold_to(&mut self, (up, down): (Limits, Limits)) {
        if (up, down) != self.limits {
            Pace::hold_to(&mut self.pace_up, up);
            Pace::hold_to(&mut self.pace_down, down);
            self.limits = (up, down);
        }
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
            up: hooked.limits.0,
            down: hooked.limits.1,
        };
        Some(LiveFlow::new(flow, Lent { request, response: self.response.take() }, standing))
    }

    /// Takes the flow back from a hook.
    fn take_back(&mut self, live: LiveFlow) -> Outcome {
        let limits = live.limits();
        let (Lent { request, response }, outcome, flow) = live.into_parts();
        (self.request, self.response) = (request, response);
        if let Some(hooked) = &mut self.hooked {
            hooked.hold_to(limits);
            let Flow { id, marked, comment, metadata, replay, .. } = flow;
            hooked.notes = Notes { id, marked, comment, metadata, replay };
            hooked.own |= outcome == Outcome::Answered;
        }
        outcome
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
