//! An HTTP flow on a hook: what it is, and what may be done to it.

use std::num::NonZeroU64;
use std::sync::Arc;

use bytes::Bytes;
use flowgate_flow::{
    Address, Body, ClientConnection, Flow, FlowError, FlowKind, Headers, HttpFlow, HttpVersion,
    MetadataValue, PseudoFields, Replay, Request, Response, ServerConnection, Timestamp,
};
use http::StatusCode;
use thiserror::Error;

use super::own_host::is_for;
use crate::clock;
use crate::http::name_host;
use crate::http::pace::Limits;

/// An HTTP flow on a hook.
///
/// What is changed takes effect where it still can: each hook says what was sent by then. The gate in front of everything that is
/// sent judges the result: a head that may not be sent fails the flow with 502. The version, and the fields that delimit a body
/// (`Content-Length`, `Transfer-Encoding`), are put back as they belong to what is sent.
#[derive(Debug)]
pub struct LiveFlow {
    flow: Flow,
    outcome: Outcome,
    standing: Standing,
}

/// What comes after a hook.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// The flow goes on.
    Continue,
    /// The client gets the response that was set.
    Answered,
    /// The client gets nothing.
    Killed,
    /// The addon of this name panicked.
    Panicked(String),
}

/// What can still be done to a flow.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Standing {
    /// The request's body is whole, and nothing of it was sent.
    pub(crate) holds_request: bool,
    /// The same of the response's.
    pub(crate) holds_response: bool,
    /// The client has something of the response.
    pub(crate) sent: bool,
    /// The response is an addon's.
    pub(crate) own: bool,
    /// How the request's body crosses.
    pub(crate) up: Limits,
    /// The same of the response's.
    pub(crate) down: Limits,
}

/// Whether the request names its new destination as its host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NameHost {
    /// `Host` and `:authority` say the new one (mitmproxy: setting `request.url`).
    New,
    /// They stay.
    Keep,
}

/// Why a flow was not answered.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum RespondError {
    /// Not a final status.
    #[error("{0} is not the status of a final response")]
    Status(u16),
    /// The client has a response already, or a part of it.
    #[error("the response was sent already")]
    TooLate,
}

impl LiveFlow {
    /// The flow as it is now, as filters and readers take it. Bodies that are not there are [`Body::Missing`].
    #[must_use]
    pub const fn flow(&self) -> &Flow {
        &self.flow
    }

    /// Who sent it.
    #[must_use]
    pub fn client(&self) -> &ClientConnection {
        &self.flow.client
    }

    /// The connection to the server, as far as there is one; its address is where the request goes.
    #[must_use]
    pub fn server(&self) -> &ServerConnection {
        &self.flow.server
    }

    /// The request.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.http().request
    }

    /// Whether the request is for a [host of an addon](super::Addon::own_host), or for this proxy itself, whose port a client asked as if
    /// it were a server's.
    #[must_use]
    pub fn is_for(&self, own_host: &str) -> bool {
        is_for(own_host, self.request(), self.client())
    }

    /// The request, to be changed. Another `scheme`, `host` or `port` sends it to another server; who asks that server for
    /// its own pages wants [`redirect`](Self::redirect). An assigned `body` is heeded if
    /// [`holds_request_body`](Self::holds_request_body).
    pub fn request_mut(&mut self) -> &mut Request {
        &mut self.http_mut().request
    }

    /// The response, if there is one.
    #[must_use]
    pub fn response(&self) -> Option<&Response> {
        self.http().response.as_ref()
    }

    /// The response, to be changed. An assigned `body` is heeded if [`holds_response_body`](Self::holds_response_body).
    pub fn response_mut(&mut self) -> Option<&mut Response> {
        self.http_mut().response.as_mut()
    }

    /// Whether the request's body is whole in the flow and what is left there is sent: it was asked for, or there is none.
    #[must_use]
    pub const fn holds_request_body(&self) -> bool {
        self.standing.holds_request
    }

    /// The same of the response's body.
    #[must_use]
    pub const fn holds_response_body(&self) -> bool {
        self.standing.holds_response
    }

    /// Sends the request to another server; `tls` is whether it is https.
    pub fn redirect(&mut self, tls: bool, to: Address, host: NameHost) {
        let default_port = if tls { 443 } else { 80 };
        let request = self.request_mut();
        request.scheme = Bytes::from_static(if tls { b"https" } else { b"http" });
        if host == NameHost::New {
            let named = to.to_string();
            let suffix = format!(":{default_port}");
            name_host(request, named.strip_suffix(&suffix).unwrap_or(&named));
        }
        (request.host, request.port) = (to.host, to.port);
    }

    /// Answers the client with this instead of what a server says, or would say. A body in a store ([`Body::Stored`]) is streamed
    /// from there. `Content-Length` is written by us.
    ///
    /// # Errors
    /// If that is no final response, or the client has a response.
    pub fn respond(&mut self, response: Response) -> Result<(), RespondError> {
        if !(200..=999).contains(&response.status) {
            return Err(RespondError::Status(response.status));
        }
        if self.standing.sent {
            return Err(RespondError::TooLate);
        }
        self.http_mut().response = Some(response);
        self.outcome = Outcome::Answered;
        (self.standing.own, self.standing.holds_response) = (true, true);
        Ok(())
    }

    /// A response of our own, for [`respond`](Self::respond): the status with its registered reason phrase, these fields, this body.
    #[must_use]
    pub fn response_of(status: u16, headers: Headers, body: Body) -> Response {
        let phrase = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        let now = clock::now();
        Response {
            version: HttpVersion::Http11,
            status,
            reason: Bytes::from_static(phrase.unwrap_or_default().as_bytes()),
            headers,
            body,
            trailers: None,
            timestamp_start: now,
            timestamp_end: Some(now),
        }
    }

    /// Ends the flow: the client's connection (or stream) breaks off.
    pub fn kill(&mut self) {
        self.outcome = Outcome::Killed;
    }

    /// Lets the request's body cross at no more than so many bytes a second. What is asked several times is the least of it.
    pub fn pace_request(&mut self, bytes_per_second: NonZeroU64) {
        slow(&mut self.standing.up, bytes_per_second);
    }

    /// The same of the response's body.
    pub fn pace_response(&mut self, bytes_per_second: NonZeroU64) {
        slow(&mut self.standing.down, bytes_per_second);
    }

    /// Lets so many bytes of the response's body cross, and then breaks the flow off: the client's connection (or stream) is reset.
    pub fn cut_response(&mut self, after_bytes: u64) {
        let cut = &mut self.standing.down.cut_after;
        *cut = Some(cut.map_or(after_bytes, |before| before.min(after_bytes)));
    }

    /// Whether the response is an addon's.
    #[must_use]
    pub const fn is_answered(&self) -> bool {
        self.standing.own
    }

    /// Sets the flow's mark.
    pub fn mark(&mut self, mark: impl Into<String>) {
        self.flow.marked = mark.into();
    }

    /// Sets the flow's comment.
    pub fn comment(&mut self, comment: impl Into<String>) {
        self.flow.comment = comment.into();
    }

    /// Notes a fact on the flow.
    pub fn note(&mut self, name: impl Into<String>, value: MetadataValue) {
        self.flow.metadata.push((name.into(), value));
    }

    /// Says that a half of it is a replay's.
    pub const fn set_replay(&mut self, replay: Replay) {
        self.flow.replay = Some(replay);
    }

    fn http(&self) -> &HttpFlow {
        match &self.flow.kind {
            FlowKind::Http(http) => http,
            _ => unreachable!("a live flow is made of an HTTP flow, and nobody else changes its kind"),
        }
    }

    fn http_mut(&mut self) -> &mut HttpFlow {
        match &mut self.flow.kind {
            FlowKind::Http(http) => http,
            _ => unreachable!("a live flow is made of an HTTP flow, and nobody else changes its kind"),
        }
    }
}

/// What is lent to a hook, and comes back changed.
pub(crate) struct Lent {
    pub(crate) request: Request,
    pub(crate) response: Option<Response>,
}

impl LiveFlow {
    /// `flow` is everything but what is lent.
    pub(crate) fn new(flow: Flow, lent: Lent, standing: Standing) -> Self {
        let Lent { request, response } = lent;
        let kind = FlowKind::Http(Box::new(HttpFlow { request, response, websocket: None }));
        Self { flow: Flow { kind, ..flow }, outcome: Outcome::Continue, standing }
    }

    /// An HTTP flow that has ended, to be noted on.
    pub(crate) fn ended(flow: Flow) -> Self {
        Self { flow, outcome: Outcome::Continue, standing: Standing { sent: true, ..Standing::default() } }
    }

    pub(crate) const fn limits(&self) -> (Limits, Limits) {
        (self.standing.up, self.standing.down)
    }

    pub(crate) const fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    pub(crate) fn fail(&mut self, error: Option<FlowError>) {
        self.flow.error = error;
    }

    pub(crate) fn panicked(&mut self, addon: &str) {
        self.outcome = Outcome::Panicked(addon.to_owned());
    }

    pub(crate) fn into_flow(self) -> Flow {
        self.flow
    }

    /// What was lent, what comes next, and the rest of the flow.
    pub(crate) fn into_parts(mut self) -> (Lent, Outcome, Flow) {
        let http = self.http_mut();
        let request = std::mem::replace(&mut http.request, no_request());
        let lent = Lent { request, response: http.response.take() };
        (lent, self.outcome, self.flow)
    }
}

fn slow(limits: &mut Limits, bytes_per_second: NonZeroU64) {
    let rate = &mut limits.bytes_per_second;
    *rate = Some(rate.map_or(bytes_per_second, |before| before.min(bytes_per_second)));
}

/// What stands where a request was lent from.
pub(crate) fn no_request() -> Request {
    Request {
        version: HttpVersion::Http11,
        method: Bytes::new(),
        scheme: Bytes::new(),
        host: String::new(),
        port: 0,
        authority: Bytes::new(),
        path: Bytes::new(),
        pseudo: PseudoFields::default(),
        headers: Headers::new(),
        body: Body::EMPTY,
        trailers: None,
        timestamp_start: Timestamp(0.0),
        timestamp_end: None,
    }
}

/// A server that was not connected to.
pub(crate) fn no_server(request: &Request) -> Arc<ServerConnection> {
    let address = Address { host: request.host.clone(), port: request.port };
    let address = (!address.host.is_empty()).then_some(address);
    Arc::new(ServerConnection::new(clock::new_id(), address))
}
