//! Filters put to work: bodies decoded for them, letter case as the environment says.

use std::borrow::Cow;

use flowgate_contentview::{Limits, decode};
use flowgate_filter::limits::BODY_BYTES_MAX;
use flowgate_filter::{BodyDecoder, Case};

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

/// Letter case does not count in filters unless `MITMPROXY_CASE_SENSITIVE_FILTERS` is `1`, as for mitmproxy. Reads the
/// environment: ask once, at the start.
#[must_use]
pub fn case_from_env() -> Case {
    let variable = std::env::var_os("MITMPROXY_CASE_SENSITIVE_FILTERS");
    if variable.is_some_and(|value| value == "1") { Case::Sensitive } else { Case::Ignored }
}
