//! Addons: code that acts on flows while they live, ours or the user's, all on the same seam.
//!
//! This is the first hook, `requestheaders`: a request's head is there, its body is not, and no server was contacted for it.
//! Bodies are not offered and so never held back. Who only wants to be told of finished flows is a receiver of
//! [`Events`](crate::Events). Flows that a rule hides are offered to nobody.
//!
//! Order: addons run one after the other as they were registered, each seeing what those before it changed; one that answers
//! or kills is the last. Without addons nothing is called or allocated.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use flowgate_flow::{Body, ClientConnection, Headers, HttpVersion, MetadataValue, Request, Response};
use futures_util::FutureExt;

use crate::clock;

/// What a hook gives: it may wait, and holds only its own flow meanwhile. Dropped unfinished if the client resets its connection
/// or stream meanwhile; with a request that has a body that is noticed only afterwards.
pub type HookFuture<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Code on hooks.
pub trait Addon: Send + Sync {
    /// How it is named to users.
    fn name(&self) -> &str;

    /// A request's head was read (mitmproxy: `requestheaders`). A panic fails this flow with 502 and no other.
    fn requestheaders<'a>(&'a self, flow: &'a mut LiveRequest) -> HookFuture<'a>;
}

/// A request on hooks: what it is, and what may be done to it.
#[derive(Debug)]
pub struct LiveRequest {
    client: Arc<ClientConnection>,
    request: Request,
    outcome: Outcome,
    notes: Notes,
}

/// What addons noted on a flow.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) marked: String,
    pub(crate) comment: String,
    pub(crate) metadata: Vec<(String, MetadataValue)>,
}

/// What comes after the hook.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The request goes to its server.
    Continue,
    /// The client gets this, and no server is contacted.
    Respond(Box<Response>, Bytes),
    /// The client gets nothing.
    Kill,
    /// The addon of this name panicked.
    Panicked(String),
}

impl LiveRequest {
    /// Who sent it.
    #[must_use]
    pub fn client(&self) -> &ClientConnection {
        &self.client
    }

    /// The request as it is now, without a body.
    #[must_use]
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// The header fields, to be changed. What delimits the body (`Content-Length`, `Transfer-Encoding`) is put back as it was
    /// afterwards, since the body is not the hook's; what may not be in a head is refused when it is sent.
    pub const fn headers_mut(&mut self) -> &mut Headers {
        &mut self.request.headers
    }

    /// Asks for another path and query. A path that may not be sent fails the flow.
    pub fn set_path(&mut self, path: Bytes) {
        self.request.path = path;
    }

    /// Answers the client; the server is not contacted. `status` is 200 to 999. What delimits the body is written by us,
    /// and the connection of an HTTP/1 client is closed behind the response.
    ///
    /// # Errors
    /// The status, if it is no final one.
    pub fn respond(&mut self, status: u16, headers: Headers, body: Bytes) -> Result<(), u16> {
        if !(200..=999).contains(&status) {
            return Err(status);
        }
        let (head, body) = own_response(status, headers, body);
        self.outcome = Outcome::Respond(Box::new(head), body);
        Ok(())
    }

    /// Ends the flow: the client's connection (or stream) breaks off, the server is not contacted.
    pub fn kill(&mut self) {
        self.outcome = Outcome::Kill;
    }

    /// Sets the flow's mark.
    pub fn mark(&mut self, mark: impl Into<String>) {
        self.notes.marked = mark.into();
    }

    /// Sets the flow's comment.
    pub fn comment(&mut self, comment: impl Into<String>) {
        self.notes.comment = comment.into();
    }

    /// Notes a fact on the flow.
    pub fn note(&mut self, name: impl Into<String>, value: MetadataValue) {
        self.notes.metadata.push((name.into(), value));
    }
}

/// The addons of a proxy, in their order.
#[derive(Clone, Default)]
pub(crate) struct Addons(Arc<[Arc<dyn Addon>]>);

impl fmt::Debug for Addons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|addon| addon.name())).finish()
    }
}

impl Addons {
    pub(crate) fn new(addons: Vec<Arc<dyn Addon>>) -> Self {
        Self(addons.into())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Offers a request to each addon in turn.
    pub(crate) async fn requestheaders(&self, live: &mut LiveRequest) {
        let framing = framing_fields(&live.request.headers);
        for addon in self.0.iter() {
            // A panic leaves a whole request behind: its parts are only ever replaced. The flow fails all the same.
            let hook = AssertUnwindSafe(async { addon.requestheaders(live).await });
            if hook.catch_unwind().await.is_err() {
                live.outcome = Outcome::Panicked(addon.name().to_owned());
            }
            if !matches!(live.outcome, Outcome::Continue) {
                break;
            }
        }
        if framing_fields(&live.request.headers) != framing {
            for name in FRAMING {
                live.request.headers.remove(name);
            }
            for (name, value) in framing {
                live.request.headers.push(name, value);
            }
        }
    }
}

impl LiveRequest {
    pub(crate) fn new(client: Arc<ClientConnection>, request: Request) -> Self {
        Self { client, request, outcome: Outcome::Continue, notes: Notes::default() }
    }

    pub(crate) fn into_parts(self) -> (Request, Outcome, Notes) {
        (self.request, self.outcome, self.notes)
    }
}

const FRAMING: [&str; 2] = ["content-length", "transfer-encoding"];

/// The fields that delimit a body, as they are written.
fn framing_fields(headers: &Headers) -> Vec<(Vec<u8>, Vec<u8>)> {
    let of_framing = headers.iter().filter(|field| FRAMING.iter().any(|name| field.is(name)));
    of_framing.map(|field| (field.name.to_vec(), field.value.to_vec())).collect()
}

fn own_response(status: u16, mut headers: Headers, body: Bytes) -> (Response, Bytes) {
    for name in FRAMING.iter().chain(&["connection"]) {
        headers.remove(name);
    }
    headers.push("Connection", "close");
    // RFC 9110 sections 15.3.5 and 15.4.5: these have no body.
    let body = if matches!(status, 204 | 304) { Bytes::new() } else { body };
    if !matches!(status, 204 | 304) {
        headers.push("Content-Length", body.len().to_string());
    }
    let now = clock::now();
    let head = Response {
        version: HttpVersion::Http11,
        status,
        reason: Bytes::new(),
        headers,
        body: Body::EMPTY,
        trailers: None,
        timestamp_start: now,
        timestamp_end: Some(now),
    };
    (head, body)
}

#[cfg(test)]
mod tests;
