//! Pure codecs of what goes over the wire.
//!
//! Bytes in, facts out: this crate knows no socket, file, clock or runtime, and nothing in it decides what happens to
//! a connection. Every parser takes bytes from a stranger, so none may panic, whatever they are.
#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing)]

pub mod client_hello;
pub mod sniff;
