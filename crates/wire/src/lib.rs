//! Codecs: bytes in, facts out, and back. No socket, no clock, no runtime; whoever calls brings the bytes.
//!
//! Everything here reads bytes that a hostile peer chose: nothing panics, nothing grows without one of [`limits`].
#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing)]

pub mod body_messages;
pub mod client_hello;
pub mod dns;
pub mod fingerprint;
pub mod h2_authority;
pub mod hpack;
pub mod http1;
pub mod http2;
pub mod ldap;
pub mod quic;
pub mod sniff;
pub mod socks5;
pub mod socks5_client;
pub mod websocket;

pub mod limits;
