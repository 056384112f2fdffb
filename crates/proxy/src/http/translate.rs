//! Carrying messages over to HTTP/1, as far as `flowgate_wire::http2::semantics` does not.

use bytes::Bytes;
use flowgate_flow::{Headers, Response};
use http::StatusCode;

/// Fields that HTTP/2 messages must not have (RFC 9113 section 8.2.2).
const CONNECTION_FIELDS: [&str; 5] =
    ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

/// The reason phrase to write in HTTP/1: what was received, or for versions without one the registered phrase.
pub(crate) fn reason_for(head: &Response) -> Bytes {
    if head.version.is_http1() {
        return head.reason.clone();
    }
    let phrase = StatusCode::from_u16(head.status).ok().and_then(|status| status.canonical_reason());
    Bytes::from_static(phrase.unwrap_or_default().as_bytes())
}

/// Removes from a message of HTTP/2 what would delimit or steer a connection of HTTP/1.
pub(crate) fn strip_for_http1(headers: &mut Headers) {
    headers.retain(|field| !CONNECTION_FIELDS.iter().any(|name| field.is(name)));
}
