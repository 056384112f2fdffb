//! Bodies without their content encoding, for filters and for rewriting.

use std::borrow::Cow;

use flowgate_contentview::{Limits, decode};
use flowgate_filter::BodyDecoder;
use flowgate_filter::limits::BODY_BYTES_MAX;

/// Undoes gzip, deflate, br and zstd, also several on top of each other, within the bounds of filters.
///
/// What is cut short is searched as far as it goes. Differs from mitmproxy, which then searches what crossed, and knows
/// one encoding only.
#[derive(Clone, Copy, Debug)]
pub struct Decoding;

impl BodyDecoder for Decoding {
    fn decode<'b>(&self, content_encoding: &[u8], body: &'b [u8]) -> Option<Cow<'b, [u8]>> {
        let limits = Limits { decoded_bytes_max: BODY_BYTES_MAX, ..Limits::default() };
        decode(content_encoding, body, &limits).ok().map(|decoded| decoded.bytes)
    }
}
