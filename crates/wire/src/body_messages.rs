//! Messages inside bodies, found while the bodies cross: gRPC's, and server-sent events. Nothing is changed and nothing held back; what
//! is kept of a message is bounded.
//!
//! Not here: what a message means (protobuf, JSON), and content encodings: what is given here is the content.

mod event_stream;
mod grpc;

use bytes::Bytes;
use flowgate_flow::{BodyMessageKind, Headers};

use crate::limits::BODY_MESSAGE_BYTES_MAX;
use event_stream::EventStream;
use grpc::Grpc;

/// A message as it was found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// What it is.
    pub kind: BodyMessageKind,
    /// Its content, up to [`BODY_MESSAGE_BYTES_MAX`] bytes.
    pub content: Bytes,
    /// There was more.
    pub truncated: bool,
}

/// Finds the messages of one body. Pieces of any size may come; what is found does not depend on where they were cut.
#[derive(Debug)]
pub struct BodyMessages(Kind);

#[derive(Debug)]
enum Kind {
    Grpc(Grpc),
    EventStream(Box<EventStream>),
}

impl BodyMessages {
    /// For the body of a message with these fields; `None` if it has no messages inside that we know.
    #[must_use]
    pub fn of(headers: &Headers) -> Option<Self> {
        let content_type = headers.get("content-type")?;
        // Lengths first: most types are none of these.
        if content_type.len() < b"application/grpc".len() {
            return None;
        }
        let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        if is_grpc(essence) {
            Some(Self::grpc())
        } else if essence.eq_ignore_ascii_case(b"text/event-stream") {
            Some(Self::event_stream())
        } else {
            None
        }
    }

    /// For a body of gRPC's Length-Prefixed-Messages.
    #[must_use]
    pub fn grpc() -> Self {
        Self(Kind::Grpc(Grpc::new(BODY_MESSAGE_BYTES_MAX)))
    }

    /// For a body that is an event stream.
    #[must_use]
    pub fn event_stream() -> Self {
        Self(Kind::EventStream(Box::new(EventStream::new(BODY_MESSAGE_BYTES_MAX))))
    }

    /// Takes the next piece, and hands over the messages that are whole with it. A body that turns out to be something else has
    /// no more messages.
    pub fn push(&mut self, piece: &Bytes, on_message: impl FnMut(Message)) {
        match &mut self.0 {
            Kind::Grpc(grpc) => grpc.push(piece, on_message),
            Kind::EventStream(events) => events.push(piece, on_message),
        }
    }
}

/// Whether a type is gRPC's, or that of gRPC-Web where it is not in base64.
fn is_grpc(essence: &[u8]) -> bool {
    let essence = essence.to_ascii_lowercase();
    let Some(rest) = essence.strip_prefix(b"application/grpc") else { return false };
    let rest = rest.strip_prefix(b"-web").unwrap_or(rest);
    rest.is_empty() || rest.starts_with(b"+")
}
