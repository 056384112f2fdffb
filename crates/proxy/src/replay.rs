//! Client replay: a recorded request is sent again, through the same rules, hooks and ways out as a client's, and what comes back is a flow
//! of its own.
//!
//! Not here: which flows, in which order and when (`flowgate-session`).

use std::fmt;
use std::sync::Arc;

use flowgate_flow::{
    Body, ClientConnection, Connection, Flow, FlowKind, HttpVersion, MetadataValue, Request, Transport,
};
use flowgate_options::mode_spec::{Mode, ModeSpec};

use crate::client;
use crate::clock;
use crate::context::{Context, Proxy};
use crate::http::replay_request;
use crate::instance::guarded;

/// The metadata of a replay that names the flow it repeats.
const REPLAY_OF: &str = "flowgate.replay_of";

/// Why a flow cannot be replayed, in mitmproxy's words where it has some.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum NoReplay {
    /// A flow of TCP, UDP or DNS.
    NotHttp,
    /// A WebSocket: its messages belong to both sides.
    WebSocket,
    /// A tunnel that was asked for: what was in it are other flows.
    Connect,
    /// Its request's body was not kept.
    NoContent,
    /// Its request was refused, so that it is not known as a whole.
    Refused,
}

impl fmt::Display for NoReplay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotHttp => "Can only replay HTTP flows.",
            Self::WebSocket => "Can't replay WebSocket flows.",
            Self::Connect => "Can't replay CONNECT requests.",
            Self::NoContent => "Can't replay flow with missing content.",
            Self::Refused => "Can't replay flow with malformed request.",
        })
    }
}

/// What there is to replay of a flow.
///
/// # Errors
/// Why there is nothing.
pub fn replayable(flow: &Flow) -> Result<&Request, NoReplay> {
    let FlowKind::Http(http) = &flow.kind else { return Err(NoReplay::NotHttp) };
    if http.websocket.is_some() {
        return Err(NoReplay::WebSocket);
    }
    let request = &http.request;
    if request.method.as_ref() == b"CONNECT" {
        return Err(NoReplay::Connect);
    }
    if request.host.is_empty() {
        return Err(NoReplay::Refused);
    }
    match request.body {
        Body::Missing | Body::Counted(1..) => Err(NoReplay::NoContent),
        Body::Counted(0) | Body::Bytes(_) | Body::Stored(_) if breaks_off(request) => {
            Err(NoReplay::NoContent)
        }
        Body::Counted(0) | Body::Bytes(_) | Body::Stored(_) => Ok(request),
    }
}

/// Whether its body was not there whole when the flow ended: it has no end, and is shorter than it says, or does not say.
fn breaks_off(request: &Request) -> bool {
    let says = |name: &str| request.headers.get(name);
    let length =
        says("content-length").and_then(|value| std::str::from_utf8(value).ok()?.parse::<u64>().ok());
    let is_short = length.is_some_and(|length| request.body.len().unwrap_or(0) < length);
    request.timestamp_end.is_none() && (is_short || says("transfer-encoding").is_some())
}

impl Proxy {
    /// Sends a flow's request again, and returns when what came of it was reported. It leaves as connections of this mode do.
    ///
    /// # Errors
    /// If it cannot be replayed; then nothing was sent.
    pub async fn replay(self: &Arc<Self>, flow: &Flow, mode: &ModeSpec) -> Result<(), NoReplay> {
        let mut request = replayable(flow)?.clone();
        let now = clock::now();
        (request.timestamp_start, request.timestamp_end) = (now, Some(now));
        request.version = match request.version {
            HttpVersion::Http3 => HttpVersion::Http2,
            HttpVersion::Other(_) => HttpVersion::Http11,
            known => known,
        };
        let context = self.replay_context(flow, mode);
        let sent = guarded(Arc::clone(self), context.peer, async move {
            replay_request(&context, request).await;
        });
        // A task of the proxy's, so that a shutdown waits for it as for any other. One that is gone has nothing left to be waited for.
        let _ = self.tasks.spawn(sent).await;
        Ok(())
    }

    /// The client as it was recorded, on no instance of ours.
    fn replay_context(self: &Arc<Self>, flow: &Flow, mode: &ModeSpec) -> Context {
        // A server that a mode is for is not where other requests go.
        let upstream = Some(mode).filter(|mode| matches!(mode.mode, Mode::Upstream(_)));
        let regular = ModeSpec::regular();
        let recorded = &flow.client.connection;
        let peer = recorded.peername.unwrap_or_else(|| ([0, 0, 0, 0], 0).into());
        let mut context = client::context(self, upstream.unwrap_or(&regular), Transport::Tcp, peer, None);
        let was = ClientConnection::clone(&flow.client);
        let fresh = &context.client;
        let connection = Connection {
            id: fresh.connection.id.clone(),
            timestamp_start: fresh.connection.timestamp_start,
            timestamp_end: None,
            error: None,
            ..was.connection
        };
        context.client = Arc::new(ClientConnection { connection, mode: fresh.mode.clone(), ..was });
        let of = MetadataValue::Text(flow.id.to_string());
        context.replay_of = Some(Arc::new((REPLAY_OF.to_owned(), of)));
        context
    }
}
