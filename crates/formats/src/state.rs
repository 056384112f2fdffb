//! Flows as values and back: which key holds what (mitmproxy's `get_state` of version 21).
//!
//! One module for each noun, reading and writing side by side, so that the two are compared at a glance. Keys are written
//! in the order in which mitmproxy has them, which in the file is the reverse.

mod connection;
mod dns;
mod fields;
mod flow;
mod http;
mod known;
mod metadata;
mod pem;
mod raw;
// What mitmproxy would refuse to load, and where it goes instead.
mod beyond;

pub use fields::StateError;
pub use flow::Connections;

pub(crate) use fields::{Fields, bytes, int, optional, text, timestamp};
pub(crate) use flow::{Elsewhere, error, read, replay, write};
pub(crate) use http::Lines;
pub(crate) use known::KnownConnections;
