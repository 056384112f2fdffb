//! HTTP/2 (RFC 9113). So far what header lists mean; field compression is [`hpack`](crate::hpack).

pub mod semantics;
