//! The tokio shell of flowgate: a connection's way from a listener to servers and flows.
//!
//! Read it in the order of that way: [`Instance`] accepts, `client` receives, `explicit`, `socks5`, `transparent` and `reverse`
//! learn the destination, each in its mode's way, `tunnel` looks at the first bytes and asks `flowgate-policy`, then relays
//! (`raw`), decrypts (`decrypt`) or speaks HTTP (`http`), which may become a WebSocket (`websocket`). Servers are reached by the way
//! out that the connection carries (`egress`). What happened is told through [`Events`]; an [`Addon`] acts on flows while they live. What the bytes mean is `flowgate-wire`'s business, who is decrypted is `flowgate-policy`'s, how certificates look is
//! `flowgate-tls`'s.
#![forbid(unsafe_code)]

mod client;
mod decrypt;
mod early;
mod explicit;
mod http;
mod instance;
mod messages;
mod raw;
mod replay;
mod reverse;
mod socks5;
mod transparent;
mod tunnel;
mod udp;
mod websocket;

mod egress;
mod server;
mod tls_io;

mod clock;
mod idle;
mod peek;
mod record;

mod addon;
mod context;
mod events;
pub mod limits;
mod settings;

#[cfg(fuzzing)]
pub use http::{check_connection, check_http2_connection};

pub use addon::{
    Addon, Addons, BodyNeed, HookFuture, Injected, Injector, LiveClient, LiveConversation, LiveFlow,
    LiveLogin, LiveMessage, LiveServer, NameHost, RespondError, ServerFacts, Transform,
};
pub use context::{Proxy, Tls};
pub use egress::{Egress, UpstreamProxy};
pub use events::Events;
pub use instance::Instance;
pub use replay::{NoReplay, replayable};
pub use settings::Settings;
