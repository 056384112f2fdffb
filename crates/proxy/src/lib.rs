//! The tokio shell of flowgate: a connection's way from a listener to servers and flows.
//!
//! Read it in the order of that way: [`Instance`] accepts, `client` receives, `explicit` learns the destination, `tunnel`
//! looks at the first bytes and asks `flowgate-policy`, then relays (`raw`), decrypts (`decrypt`) or speaks HTTP (`http`),
//! which may become a WebSocket (`websocket`).
//! What happened is told through [`Events`]. What the bytes mean is `flowgate-wire`'s business, who is decrypted
//! is `flowgate-policy`'s, how certificates look is `flowgate-tls`'s.
#![forbid(unsafe_code)]

mod client;
mod decrypt;
mod explicit;
mod http;
mod instance;
mod raw;
mod tunnel;
mod websocket;

mod clock;
mod idle;
mod peek;
mod record;
mod server;

mod context;
mod events;
pub mod limits;
mod settings;

pub use context::Proxy;
pub use events::{Events, Level};
pub use instance::Instance;
pub use settings::{ConnectionStrategy, Settings};
