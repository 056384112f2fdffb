//! A message inside the body of an HTTP message: of gRPC, or a server-sent event. The body holds it as well; this is what is told of
//! it while the body crosses.

use bytes::Bytes;

use crate::Timestamp;

/// One message inside a body.
#[derive(Clone, Debug, PartialEq)]
pub struct BodyMessage {
    /// In the request's body, not in the response's.
    pub from_client: bool,
    /// When the last of it crossed.
    pub timestamp: Timestamp,
    /// What it is.
    pub kind: BodyMessageKind,
    /// Its content: what stands behind the prefix of gRPC, as it crossed; the data of an event, as UTF-8.
    pub content: Bytes,
    /// There was more than is told; `content` is the beginning.
    pub truncated: bool,
}

/// The kinds of message that are found in bodies.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum BodyMessageKind {
    /// A Length-Prefixed-Message of gRPC, or a frame of gRPC-Web.
    Grpc {
        /// It is compressed, as `grpc-encoding` says.
        compressed: bool,
        /// It holds the trailers with which gRPC-Web ends.
        trailers: bool,
        /// How long its prefix says it is, in bytes.
        len: u32,
    },
    /// A server-sent event (WHATWG HTML section 9.2).
    Event {
        /// Its type; `None` if it says none, which is `message`.
        name: Option<String>,
        /// The last event ID as it stands with it; `None` if that is empty.
        id: Option<String>,
        /// The reconnection time that it sets, in milliseconds.
        retry: Option<u64>,
    },
}
