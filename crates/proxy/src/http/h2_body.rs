//! What both sides of HTTP/2 share: a body that comes on a stream, counted against what its head announced.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use flowgate_wire::hpack::FieldList;
use flowgate_wire::http1::{BodyEvent, Framing};
use flowgate_wire::http2::Incoming;
use flowgate_wire::http2::semantics::{BodyLength, EndStream, read_trailers};

use super::h2_link::H2Stream;
use super::side::SideError;
use crate::limits::REFUSED_BYTES_MAX;

/// A body that is being received.
pub(super) struct H2Body {
    length: BodyLength,
    ended: bool,
    /// The trailers that were refused.
    pub(super) refused: Bytes,
}

impl H2Body {
    pub(super) fn new(framing: Framing) -> Self {
        Self { length: BodyLength::new(framing), ended: framing == Framing::None, refused: Bytes::new() }
    }

    /// The next piece.
    pub(super) fn poll(&mut self, stream: &H2Stream, cx: &Context<'_>) -> Poll<Result<BodyEvent, SideError>> {
        if self.ended {
            return Poll::Ready(Ok(BodyEvent::End(None)));
        }
        let event = match ready!(stream.poll_take(cx))? {
            Incoming::Data(data) => {
                self.length.data(data.len() as u64)?;
                BodyEvent::Data(data)
            }
            Incoming::End(trailers) => {
                self.length.end()?;
                let read = trailers.as_ref().map(|list| read_trailers(list, EndStream::Yes)).transpose();
                if let (Err(_), Some(list)) = (&read, &trailers) {
                    self.refused = shown(list);
                }
                self.ended = true;
                BodyEvent::End(read?)
            }
            // A second head would be trailers.
            Incoming::Head { .. } => return Poll::Ready(Err(SideError::Closed)),
        };
        Poll::Ready(Ok(event))
    }
}

/// A field list as it is kept when it was refused: a line for each field.
pub(super) fn shown(list: &FieldList) -> Bytes {
    let mut lines = Vec::new();
    for field in list.iter() {
        lines.extend_from_slice(field.name);
        lines.extend_from_slice(b": ");
        lines.extend_from_slice(field.value);
        lines.extend_from_slice(b"\r\n");
    }
    lines.truncate(REFUSED_BYTES_MAX);
    lines.into()
}
