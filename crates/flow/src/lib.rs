//! The nouns of flowgate: flows, connections, messages, headers.
//!
//! Plain data. This crate knows no socket, clock, file or runtime: time stamps and ids are handed in, bodies that
//! lie elsewhere are reached through [`StoredBody`]. Everything mitmproxy's flow format version 21 holds can be
//! expressed here, so that files can be read and written without loss (`flowgate-formats`).
#![forbid(unsafe_code)]

mod body;
mod body_message;
mod connection;
mod dns;
pub mod dns_text;
mod error;
mod flow;
mod headers;
mod http;
mod http2;
mod id;
mod pseudo;
pub mod punycode;
mod raw;
mod time;
mod url;
mod websocket;

pub use body::{Body, StoredBody};
pub use body_message::{BodyMessage, BodyMessageKind};
pub use connection::{Address, ClientConnection, Connection, Fingerprints, ServerConnection, Transport, Via};
pub use dns::{DnsFlow, DnsMessage, DnsQuestion, DnsRecord};
pub use error::{FlowError, Phase, Side};
pub use flow::{Flow, FlowKind, MetadataValue, Replay};
pub use headers::{Field, FieldSpan, Headers};
pub use http::{HttpFlow, HttpVersion, Request, Response};
pub use http2::{Http2Beginning, NoHttp2Text, Priority};
pub use id::FlowId;
pub use pseudo::{PseudoField, PseudoFields, PseudoOrder};
pub use raw::{RawFlow, RawMessage};
pub use time::Timestamp;
pub use url::{HostFrom, UrlHost};
pub use websocket::{WebSocketData, WebSocketMessage};
