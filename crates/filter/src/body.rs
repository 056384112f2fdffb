//! Bodies as they are searched: without their content encoding.

use std::borrow::Cow;

use bytes::Bytes;
use flowgate_flow::{Body, Headers};

use crate::limits::BODY_BYTES_MAX;

/// Undoes content encodings for filters.
pub trait BodyDecoder {
    /// The body without the encodings that `content_encoding` lists, at most
    /// [`BODY_BYTES_MAX`](crate::limits::BODY_BYTES_MAX) bytes of it. `None` if it cannot be decoded: then what crossed
    /// is searched, as in mitmproxy.
    fn decode<'b>(&self, content_encoding: &[u8], body: &'b [u8]) -> Option<Cow<'b, [u8]>>;
}

/// Searches bodies as they crossed.
#[derive(Clone, Copy, Debug)]
pub struct NoDecoding;

impl BodyDecoder for NoDecoding {
    fn decode<'b>(&self, _content_encoding: &[u8], body: &'b [u8]) -> Option<Cow<'b, [u8]>> {
        Some(Cow::Borrowed(body))
    }
}

/// A message's body to search in; `None` if it was not kept or cannot be read.
pub(crate) fn searched(body: &Body, headers: &Headers, decoder: &dyn BodyDecoder) -> Option<Bytes> {
    let encoded = body.prefix(BODY_BYTES_MAX).ok()??;
    let mut values = headers.get_all("content-encoding");
    let Some(first) = values.next() else { return Some(encoded) };
    let encoding = values.fold(Cow::Borrowed(first), |joined, value| {
        let mut joined = joined.into_owned();
        joined.extend_from_slice(b", ");
        joined.extend_from_slice(value);
        Cow::Owned(joined)
    });
    match decoder.decode(&encoding, &encoded) {
        Some(Cow::Owned(decoded)) => Some(decoded.into()),
        _ => Some(encoded),
    }
}
