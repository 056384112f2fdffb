//! HAR 1.2: what browsers and other proxies save, read and written as a stream of entries.
//!
//! Only HTTP flows have a place in it (WebSocket messages in the fields that Chromium and mitmproxy add). Bodies are decoded
//! there, so a flow that comes back has no `Content-Encoding`. The reader believes nothing: bytes, counts and depth are
//! bounded, what is missing or of another type is taken as absent. One entry is in memory at a time, both ways.
//!
//! Differs from mitmproxy: HTTP/1.0 and HTTP/2 are told apart from HTTP/1.1 as in live flows, pseudo-header fields
//! (`:authority`) are no fields, an exchange without an answer has none (not one of status 0), a body that was left out
//! is missing (not empty), WebSocket messages are read.

mod cookies;
mod entry;
mod export;
mod import;
mod lenient;
mod read;
mod text;
mod time;
mod unicode;
mod url;
mod write;

pub use read::{HarError, HarLimits, HarSummary, read_har};
pub use unicode::NotText;
pub use write::HarWriter;
