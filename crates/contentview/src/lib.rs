//! Readable bodies: content decoding and contentviews.
//!
//! Pure: bytes and a few facts in, text out; no file, clock or runtime. Two promises hold for every function here.
//!
//! **Bounded.** Each limit has a name in [`Limits`] and is applied *while* decoding and rendering, so that a body of
//! 1 GiB costs what is shown of it. What was cut says so ([`Rendered::cut`], [`DecodeNote`]).
//!
//! **Harmless.** Text from here cannot drive a terminal: of all control characters (C0, DEL and C1, and with them every
//! ESC, CSI and OSC sequence) only line feed and tab are ever let through. The module [`escape`] says how, for bodies
//! and for one-line fields; front ends use it for names, URLs and log messages too.
//!
//! A further contentview is a module beside [`View::Json`]'s with one function of bytes to a page of text, a variant of
//! [`View`] and a line in `render`'s two tables.
#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing)]

mod view;

mod decode;
pub mod escape;
mod limits;
mod page;
mod streaming;

// Text.
mod charset;
mod css;
mod form;
mod graphql;
mod javascript;
mod json;
mod multipart;
mod raw;
mod scan;
mod socketio;
mod xml;
mod yaml;

// Bytes.
mod cursor;
mod dns;
mod grpc;
mod hex;
mod image;
mod mqtt;
mod msgpack;
mod protobuf;
mod zip;

pub use decode::{DecodeError, DecodeNote, Decoded, Encoding, decode};
pub use limits::Limits;
pub use streaming::StreamDecoder;
pub use view::{Carrier, ContentInfo, Rendered, UnknownView, View, render};
