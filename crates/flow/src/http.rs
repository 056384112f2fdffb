//! HTTP flows: a request and its response, whatever version carried them (RFC 9110).

use std::fmt;

use bytes::Bytes;

use crate::{Body, Headers, PseudoFields, Timestamp, WebSocketData};

/// An HTTP exchange.
#[derive(Clone, Debug)]
pub struct HttpFlow {
    /// The request.
    pub request: Request,
    /// The response, if there was one.
    pub response: Option<Response>,
    /// What was said afterwards, if it became a WebSocket.
    pub websocket: Option<WebSocketData>,
}

/// A request as the client sent it, less what belongs to the connection.
#[derive(Clone, Debug)]
pub struct Request {
    /// The version the client spoke.
    pub version: HttpVersion,
    /// The method, case kept.
    pub method: Bytes,
    /// `http` or `https`; empty where a CONNECT's target has none.
    pub scheme: Bytes,
    /// The host it goes to; IPv6 without brackets.
    pub host: String,
    /// The port it goes to.
    pub port: u16,
    /// The authority of an absolute-form or CONNECT target, or `:authority`; empty if there was none.
    pub authority: Bytes,
    /// Path and query, `*`, or empty for CONNECT.
    pub path: Bytes,
    /// What pseudo-header fields said besides.
    pub pseudo: PseudoFields,
    /// The header fields.
    pub headers: Headers,
    /// The body.
    pub body: Body,
    /// The trailer fields, if the body had a trailer section.
    pub trailers: Option<Headers>,
    /// When its first byte was read.
    pub timestamp_start: Timestamp,
    /// When its last byte was read; `None` until then.
    pub timestamp_end: Option<Timestamp>,
}

/// A final response.
#[derive(Clone, Debug)]
pub struct Response {
    /// The version the server spoke.
    pub version: HttpVersion,
    /// The status code, 200 to 999 (and 101).
    pub status: u16,
    /// The reason phrase as received; empty where the version has none.
    pub reason: Bytes,
    /// The header fields.
    pub headers: Headers,
    /// The body.
    pub body: Body,
    /// The trailer fields, if the body had a trailer section.
    pub trailers: Option<Headers>,
    /// When its first byte was read.
    pub timestamp_start: Timestamp,
    /// When its last byte was read; `None` until then.
    pub timestamp_end: Option<Timestamp>,
}

/// A version of HTTP.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum HttpVersion {
    /// HTTP/1.0 (RFC 1945).
    Http10,
    /// HTTP/1.1 (RFC 9112).
    Http11,
    /// HTTP/2 (RFC 9113).
    Http2,
    /// HTTP/3 (RFC 9114).
    Http3,
    /// What else stood in a file.
    Other(Bytes),
}

impl HttpVersion {
    /// As mitmproxy spells it: `HTTP/1.1`, `HTTP/2.0`.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Http10 => b"HTTP/1.0",
            Self::Http11 => b"HTTP/1.1",
            Self::Http2 => b"HTTP/2.0",
            Self::Http3 => b"HTTP/3",
            Self::Other(text) => text,
        }
    }

    /// Reads mitmproxy's spelling.
    #[must_use]
    pub fn from_bytes(text: &[u8]) -> Self {
        match text {
            b"HTTP/1.0" => Self::Http10,
            b"HTTP/1.1" => Self::Http11,
            b"HTTP/2.0" => Self::Http2,
            b"HTTP/3" => Self::Http3,
            other => Self::Other(Bytes::copy_from_slice(other)),
        }
    }

    /// HTTP/1.0 or HTTP/1.1: heads are text.
    #[must_use]
    pub const fn is_http1(&self) -> bool {
        matches!(self, Self::Http10 | Self::Http11)
    }
}

impl fmt::Display for HttpVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}
