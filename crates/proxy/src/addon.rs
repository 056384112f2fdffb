//! Addons: code that acts on flows while they live, ours or the user's, all on the same seam.
//!
//! Not here: where in the life of a flow each hook is ([`crate::http`] and its neighbours), and readers of finished flows, which are
//! receivers of [`Events`](crate::Events).
//!
//! Order: at each hook addons run one after the other as they were registered, each seeing what those before it changed; one
//! that answers or kills is the last at that hook. Hooks of one flow never run at the same time, and nothing of the flow moves while
//! one does; other flows go on, those of the same HTTP/2 connection too. Without addons nothing is called or allocated.

mod body;
mod connection;
mod live;
mod message;
mod own_host;
mod run;

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use flowgate_flow::{ClientConnection, Flow};

pub use body::{BodyNeed, Transform};
pub use connection::{LiveClient, LiveLogin, LiveServer, ServerFacts};
pub(crate) use live::{Lent, Outcome, Standing, no_request, no_server};
pub use live::{LiveFlow, NameHost, RespondError};
pub use message::{Injected, Injector, LiveConversation, LiveMessage};
pub use run::Addons;
pub(crate) use run::{Hook, Moment, Needs, ServerEvent};

/// Code on hooks. Each hook may wait; it holds only its own flow (or connection) meanwhile, and is dropped unfinished when the
/// client resets the stream or connection. A panic fails its own flow and no other. Flows that a rule hides are offered to
/// nobody but guards and who answers for a host of its own; connections are, since what is refused there must not depend on what is shown.
pub trait Addon: Send + Sync {
    /// How it is named to users.
    fn name(&self) -> &str;

    /// A host that exists only in this proxy and for which this addon answers at `requestheaders`. Nothing is connected to for it. An
    /// addon that names one is offered requests for it ([`LiveFlow::is_for`]), and whatever else there is only where other addons are:
    /// what has nothing to do with the host pays nothing for it.
    fn own_host(&self) -> Option<&str> {
        None
    }

    /// A client connected (or sent a first datagram). It can be refused: then nothing is read from it.
    fn client_connected<'a>(&'a self, client: &'a mut LiveClient) -> HookFuture<'a> {
        let _ = client;
        HookFuture::DONE
    }

    /// A client's connection has ended, also one that was refused.
    fn client_disconnected<'a>(&'a self, client: &'a ClientConnection) -> HookFuture<'a> {
        let _ = client;
        HookFuture::DONE
    }

    /// A client of mode `socks5` said who it is. Whoever knows it lets it in; if nobody does, it is refused. Only clients are
    /// asked where an addon is a guard.
    fn socks5_auth<'a>(&'a self, login: &'a mut LiveLogin) -> HookFuture<'a> {
        let _ = login;
        HookFuture::DONE
    }

    /// A client asks for a tunnel (CONNECT). Another host or port leads it elsewhere, an answer other than 2xx refuses it; fields meant
    /// for the proxy, as `Proxy-Authorization`, are still there.
    fn http_connect<'a>(&'a self, flow: &'a mut LiveFlow) -> HookFuture<'a> {
        let _ = flow;
        HookFuture::DONE
    }

    /// A server is about to be connected to, its name not looked up yet. It can be refused, or another address taken.
    fn server_connect<'a>(&'a self, server: &'a mut LiveServer) -> HookFuture<'a> {
        let _ = server;
        HookFuture::DONE
    }

    /// Whether a server may be connected to at this address, which its name was resolved to: asked of each that might be dialled, and
    /// what is dialled is what was judged. An error says why not. Not asked of an upstream proxy's address, and behind one nobody knows
    /// the server's.
    ///
    /// # Errors
    /// Why not, as the client is told.
    fn judge_address(&self, server: &ServerFacts, at: SocketAddr) -> Result<(), String> {
        let _ = (server, at);
        Ok(())
    }

    /// A server was connected to; TLS, if any, comes later.
    fn server_connected<'a>(&'a self, server: &'a ServerFacts) -> HookFuture<'a> {
        let _ = server;
        HookFuture::DONE
    }

    /// A server was not connected to: it was refused, or there was nobody. Why is in the connection's error.
    fn server_connect_error<'a>(&'a self, server: &'a ServerFacts) -> HookFuture<'a> {
        let _ = server;
        HookFuture::DONE
    }

    /// A server's connection has ended.
    fn server_disconnected<'a>(&'a self, server: &'a ServerFacts) -> HookFuture<'a> {
        let _ = server;
        HookFuture::DONE
    }

    /// A request's head was read. Nothing of its body was, and no server was contacted: everything can still be changed, and an answer
    /// costs nothing.
    fn requestheaders<'a>(&'a self, flow: &'a mut LiveFlow) -> HookFuture<'a> {
        let _ = flow;
        HookFuture::DONE
    }

    /// Whether it decides who may use the proxy. Then clients of mode `socks5` have to say who they are, and flows that a rule hides are
    /// offered to it as well, since who is let in must not depend on what is shown.
    fn is_guard(&self) -> bool {
        false
    }

    /// Whether bytes of this client's may be relayed without anybody reading them as HTTP: asked of each guard before a
    /// connection is passed through or recorded raw. An error says why not; then it is closed.
    ///
    /// # Errors
    /// Why not, for the event log.
    fn judge_relay(&self, client: &ClientConnection) -> Result<(), String> {
        let _ = client;
        Ok(())
    }

    /// What it needs of the request's body, asked when all addons have seen the head, if there is a body to come.
    fn request_body(&self, flow: &LiveFlow) -> BodyNeed {
        let _ = flow;
        BodyNeed::Nothing
    }

    /// The request is there. Whole, and before a server is contacted, if an addon needed the body whole or there is none: everything
    /// can be changed, the body too. Otherwise all but its end was passed on, and only trailers can be changed. Skipped for flows that
    /// were answered at `requestheaders`.
    fn request<'a>(&'a self, flow: &'a mut LiveFlow) -> HookFuture<'a> {
        let _ = flow;
        HookFuture::DONE
    }

    /// The head of the response was read, or an addon answered. The client has seen nothing of it yet.
    fn responseheaders<'a>(&'a self, flow: &'a mut LiveFlow) -> HookFuture<'a> {
        let _ = flow;
        HookFuture::DONE
    }

    /// What it needs of the response's body, asked when all addons have seen the head, if there is a body to come.
    fn response_body(&self, flow: &LiveFlow) -> BodyNeed {
        let _ = flow;
        BodyNeed::Nothing
    }

    /// The response is there. Whole, and before the client has seen anything of it, if an addon needed the body whole, or there is
    /// none, or an addon answered. Otherwise all but its end was passed on, and only trailers can be changed.
    fn response<'a>(&'a self, flow: &'a mut LiveFlow) -> HookFuture<'a> {
        let _ = flow;
        HookFuture::DONE
    }

    /// The flow failed, or was killed: there will be no `response`. Why is in the flow's error. Nothing can be changed but what is noted
    /// on the flow.
    fn error<'a>(&'a self, flow: &'a mut LiveFlow) -> HookFuture<'a> {
        let _ = flow;
        HookFuture::DONE
    }

    /// Whether it needs the messages of this WebSocket or raw connection, asked when it begins. If nobody does, bytes are relayed as
    /// they come, and there are no `websocket_message` and `tcp_message` for it. Not asked of what is passed through and only shown
    /// (`show_ignored_hosts`): that stays untouched.
    fn messages(&self, flow: &Flow) -> bool {
        let _ = flow;
        false
    }

    /// A WebSocket begins: its 101 was passed on.
    fn websocket_start<'a>(&'a self, conversation: &'a mut LiveConversation) -> HookFuture<'a> {
        let _ = conversation;
        HookFuture::DONE
    }

    /// A message of a WebSocket is whole, and nothing of it was sent on. It can be changed or discarded; what nobody changes keeps its
    /// fragments and compression. Messages of the two sides may be offered at the same time.
    fn websocket_message<'a>(&'a self, message: &'a mut LiveMessage) -> HookFuture<'a> {
        let _ = message;
        HookFuture::DONE
    }

    /// A WebSocket has ended.
    fn websocket_end<'a>(&'a self, flow: &'a Flow) -> HookFuture<'a> {
        let _ = flow;
        HookFuture::DONE
    }

    /// A raw connection that is recorded begins. It can be killed: then it is reset before anything crosses.
    fn tcp_start<'a>(&'a self, conversation: &'a mut LiveConversation) -> HookFuture<'a> {
        let _ = conversation;
        HookFuture::DONE
    }

    /// Bytes came on a raw connection, cut wherever the network cut them. They can be changed or discarded. Those of the two sides may
    /// be offered at the same time.
    fn tcp_message<'a>(&'a self, message: &'a mut LiveMessage) -> HookFuture<'a> {
        let _ = message;
        HookFuture::DONE
    }

    /// A raw connection has ended.
    fn tcp_end<'a>(&'a self, flow: &'a Flow) -> HookFuture<'a> {
        let _ = flow;
        HookFuture::DONE
    }

    /// A raw connection failed: there will be no `tcp_end`.
    fn tcp_error<'a>(&'a self, flow: &'a Flow) -> HookFuture<'a> {
        let _ = flow;
        HookFuture::DONE
    }
}

/// What a hook gives. One that is done without waiting ([`HookFuture::DONE`]) allocates nothing.
#[must_use]
pub struct HookFuture<'a>(Option<Pin<Box<dyn Future<Output = ()> + Send + 'a>>>);

impl<'a> HookFuture<'a> {
    /// Done already.
    pub const DONE: Self = Self(None);

    /// Done when `waits` is.
    pub fn new(waits: impl Future<Output = ()> + Send + 'a) -> Self {
        Self(Some(Box::pin(waits)))
    }
}

impl Future for HookFuture<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().map_or(Poll::Ready(()), |waits| waits.as_mut().poll(cx))
    }
}

impl std::fmt::Debug for HookFuture<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "HookFuture(waits)" } else { "HookFuture(done)" })
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
