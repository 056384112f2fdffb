//! The addons of a proxy, and running them at a hook.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use std::net::SocketAddr;

use flowgate_flow::{ClientConnection, Flow, Request};
use futures_util::FutureExt;

use super::own_host::is_for;
use super::{
    Addon, BodyNeed, HookFuture, LiveClient, LiveConversation, LiveFlow, LiveLogin, LiveMessage, LiveServer,
    Outcome, ServerFacts, Transform,
};

/// The hooks of an HTTP flow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Hook {
    HttpConnect,
    RequestHeaders,
    Request,
    ResponseHeaders,
    Response,
    Error,
}

/// The hooks of conversations.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Moment {
    WebSocketStart,
    WebSocketMessage,
    WebSocketEnd,
    TcpStart,
    TcpMessage,
    TcpEnd,
    TcpError,
}

/// What becomes of a server's connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ServerEvent {
    Connected,
    Failed,
    Disconnected,
}

/// What all addons together need of one body.
#[derive(Default)]
pub(crate) struct Needs {
    pub(crate) transforms: Vec<Box<dyn Transform>>,
    pub(crate) whole: bool,
}

/// Addons, in the order in which they are asked.
#[derive(Clone, Default)]
pub struct Addons {
    all: Arc<[Arc<dyn Addon>]>,
    /// Those that decide who may use the proxy.
    guards: Arc<[Arc<dyn Addon>]>,
    /// Those, and who answers for a host of its own.
    of_hidden: Arc<[Arc<dyn Addon>]>,
    /// Some of them act on more than hosts of their own.
    are_general: bool,
    /// Those hosts.
    own_hosts: Arc<[Box<str>]>,
}

impl fmt::Debug for Addons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all.iter().map(|addon| addon.name())).finish()
    }
}

impl From<Vec<Arc<dyn Addon>>> for Addons {
    fn from(addons: Vec<Arc<dyn Addon>>) -> Self {
        let of_hidden = addons.iter().filter(|addon| addon.is_guard() || addon.own_host().is_some());
        Self {
            guards: addons.iter().filter(|addon| addon.is_guard()).cloned().collect(),
            of_hidden: of_hidden.cloned().collect(),
            are_general: addons.iter().any(|addon| addon.own_host().is_none()),
            own_hosts: addons.iter().filter_map(|addon| addon.own_host()).map(Into::into).collect(),
            all: addons.into(),
        }
    }
}

impl Addons {
    /// Whether there are none but for hosts of their own.
    pub(crate) const fn is_empty(&self) -> bool {
        !self.are_general
    }

    /// Those that are offered what nobody else is to see: who may use the proxy must not depend on that, nor whether a host is there.
    pub(crate) fn of_hidden(&self) -> Self {
        Self { are_general: self.ask_who(), all: Arc::clone(&self.of_hidden), ..self.clone() }
    }

    /// Whether anybody decides who may use the proxy.
    pub(crate) fn ask_who(&self) -> bool {
        !self.guards.is_empty()
    }

    /// Whether a host exists only here.
    pub(crate) fn own(&self, host: &str) -> bool {
        self.own_hosts.iter().any(|own| own.eq_ignore_ascii_case(host))
    }

    /// Whether a request is for one of these hosts, or for this proxy itself.
    pub(crate) fn own_request(&self, request: &Request, client: &ClientConnection) -> bool {
        self.own_hosts.iter().any(|own| is_for(own, request, client))
    }

    /// Offers a flow to each addon in turn, until one has the last word.
    pub(crate) async fn run(&self, hook: Hook, live: &mut LiveFlow) {
        for addon in self.all.iter() {
            // A panic leaves a whole flow behind: its parts are only ever replaced. It fails all the same.
            let running = AssertUnwindSafe(async { call(&**addon, hook, live).await });
            if running.catch_unwind().await.is_err() {
                live.panicked(addon.name());
            }
            if *live.outcome() != Outcome::Continue {
                break;
            }
        }
    }

    /// Offers a new client to each.
    pub(crate) async fn client_connected(&self, live: &mut LiveClient) {
        for addon in self.all.iter() {
            let running = AssertUnwindSafe(async { addon.client_connected(live).await });
            if running.catch_unwind().await.is_err() {
                live.refuse(failed(&**addon));
            }
            if live.refused().is_some() {
                break;
            }
        }
    }

    /// Offers a client that said who it is, until one lets it in.
    pub(crate) async fn socks5_auth(&self, live: &mut LiveLogin) {
        for addon in self.all.iter() {
            // One that fails lets nobody in.
            let _ = AssertUnwindSafe(async { addon.socks5_auth(live).await }).catch_unwind().await;
            if live.is_valid() {
                break;
            }
        }
    }

    /// Whether all guards let this client's bytes through unread.
    pub(crate) fn judge_relay(&self, client: &ClientConnection) -> Result<(), String> {
        self.guards.iter().try_for_each(|addon| {
            let judging = AssertUnwindSafe(|| addon.judge_relay(client));
            catch_unwind(judging).unwrap_or_else(|_| Err(failed(&**addon)))
        })
    }

    /// Offers a server that is about to be connected to.
    pub(crate) async fn server_connect(&self, live: &mut LiveServer) {
        for addon in self.all.iter() {
            let running = AssertUnwindSafe(async { addon.server_connect(live).await });
            if running.catch_unwind().await.is_err() {
                live.refuse(failed(&**addon));
            }
            if live.refused().is_some() {
                break;
            }
        }
    }

    /// Whether all allow this address of a server's.
    pub(crate) fn judge_address(&self, server: &ServerFacts, at: SocketAddr) -> Result<(), String> {
        self.all.iter().try_for_each(|addon| {
            let judging = AssertUnwindSafe(|| addon.judge_address(server, at));
            catch_unwind(judging).unwrap_or_else(|_| Err(failed(&**addon)))
        })
    }

    /// Tells all of the end of a client's connection.
    pub(crate) async fn client_disconnected(&self, client: &ClientConnection) {
        for addon in self.all.iter() {
            // Nobody is left to be told of a panic; the panic hook has printed it.
            let _ = AssertUnwindSafe(async { addon.client_disconnected(client).await }).catch_unwind().await;
        }
    }

    /// Tells all of what became of a server's connection.
    pub(crate) async fn tell_server(&self, what: ServerEvent, facts: &ServerFacts) {
        for addon in self.all.iter() {
            let telling = AssertUnwindSafe(async {
                match what {
                    ServerEvent::Connected => addon.server_connected(facts).await,
                    ServerEvent::Failed => addon.server_connect_error(facts).await,
                    ServerEvent::Disconnected => addon.server_disconnected(facts).await,
                }
            });
            // As above.
            let _ = telling.catch_unwind().await;
        }
    }

    /// Whether anybody needs the messages of this flow.
    pub(crate) fn want_messages(&self, flow: &Flow) -> bool {
        let wants =
            |addon: &Arc<dyn Addon>| catch_unwind(AssertUnwindSafe(|| addon.messages(flow))).unwrap_or(false);
        self.all.iter().any(wants)
    }

    /// Offers the beginning of a conversation.
    pub(crate) async fn conversation(&self, moment: Moment, live: &mut LiveConversation) {
        for addon in self.all.iter() {
            let running = AssertUnwindSafe(async {
                match moment {
                    Moment::WebSocketStart => addon.websocket_start(live).await,
                    _ => addon.tcp_start(live).await,
                }
            });
            // Nothing depends on it: the conversation goes on.
            let _ = running.catch_unwind().await;
        }
    }

    /// Offers a message, until one discards it. One whose hook panics is discarded: half a change is none.
    pub(crate) async fn message(&self, moment: Moment, live: &mut LiveMessage) {
        for addon in self.all.iter() {
            let running = AssertUnwindSafe(async {
                match moment {
                    Moment::WebSocketMessage => addon.websocket_message(live).await,
                    _ => addon.tcp_message(live).await,
                }
            });
            if running.catch_unwind().await.is_err() {
                live.discard();
            }
            if live.is_discarded() {
                break;
            }
        }
    }

    /// Tells all of the end of a conversation.
    pub(crate) async fn conversation_over(&self, moment: Moment, flow: &Flow) {
        for addon in self.all.iter() {
            let telling = AssertUnwindSafe(async {
                match moment {
                    Moment::WebSocketEnd => addon.websocket_end(flow).await,
                    Moment::TcpError => addon.tcp_error(flow).await,
                    _ => addon.tcp_end(flow).await,
                }
            });
            let _ = telling.catch_unwind().await;
        }
    }

    /// What they need of the request's body (or the response's).
    ///
    /// # Errors
    /// The name of the addon that panicked.
    pub(crate) fn needs(&self, response: bool, live: &LiveFlow) -> Result<Needs, String> {
        let mut needs = Needs::default();
        for addon in self.all.iter() {
            let asking =
                AssertUnwindSafe(
                    || {
                        if response { addon.response_body(live) } else { addon.request_body(live) }
                    },
                );
            match catch_unwind(asking).map_err(|_| addon.name().to_owned())? {
                BodyNeed::Nothing => {}
                BodyNeed::Transform(transform) => needs.transforms.push(transform),
                BodyNeed::Whole => needs.whole = true,
            }
        }
        Ok(needs)
    }
}

fn failed(addon: &dyn Addon) -> String {
    format!("addon {} failed on this connection (a panic)", addon.name())
}

fn call<'a>(addon: &'a dyn Addon, hook: Hook, live: &'a mut LiveFlow) -> HookFuture<'a> {
    match hook {
        Hook::HttpConnect => addon.http_connect(live),
        Hook::RequestHeaders => addon.requestheaders(live),
        Hook::Request => addon.request(live),
        Hook::ResponseHeaders => addon.responseheaders(live),
        Hook::Response => addon.response(live),
        Hook::Error => addon.error(live),
    }
}
