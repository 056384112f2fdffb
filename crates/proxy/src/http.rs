//! HTTP in every version on both sides: requests in, exchanges with servers, flows out.

mod service;
mod serve_h1;
mod serve_h2;

mod exchange;
mod servers;
mod forward;
mod translate;
mod error_page;

// The two sides of an exchange, per version.
mod side;
mod h1_client;
mod h1_server;
mod h1_stream;
mod h2_client;
mod h2_server;

pub(crate) use error_page::{connect_established, connect_refusal};
pub(crate) use serve_h1::{Connect, Ended, serve as serve_h1};
pub(crate) use serve_h2::serve as serve_h2;
pub(crate) use servers::{Route, Servers};
pub(crate) use service::{Origin, Service};
