//! HTTP in every version on both sides: requests in, exchanges with servers, flows out.

mod serve_h1;
mod serve_h2;
mod service;

mod error_page;
mod exchange;
mod failure;
mod farewell;
mod forward;
mod hooked;
mod local_server;
mod replay_client;
mod servers;
mod telling;
mod translate;
mod upgrade;

// Bodies that addons hold or change.
mod body_way;
mod delimit;
pub(crate) mod pace;

// The two sides of an exchange, per version.
mod h1_client;
mod h1_server;
mod h1_stream;
mod h2_body;
mod h2_client;
mod h2_server;
mod h2_tunnel;
mod side;
mod slow_client;

// What carries them.
mod h2_driver;
mod h2_link;
mod spare;
mod turn;
mod write_queue;

#[cfg(test)]
mod faces;
#[cfg(any(test, fuzzing))]
mod in_memory;

#[cfg(fuzzing)]
pub use in_memory::{check_connection, check_http2_connection};

pub(crate) use error_page::{OwnResponse, connect_established, connect_refusal};
pub(crate) use farewell::{Farewell, Farewells};
pub(crate) use forward::name_host;
pub(crate) use h1_client::H1Client;
pub(crate) use serve_h1::{Connect, Ended, serve as serve_h1};
pub(crate) use serve_h2::serve as serve_h2;
pub(crate) use servers::{Route, Servers};
pub(crate) use service::{Allowed, Origin, Service, explicit_allowed, offers, replay_request};
pub(crate) use side::ClientSide;
