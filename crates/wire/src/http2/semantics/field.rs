//! One field on its own: name, value, and whether HTTP/2 has such a field (RFC 9113 section 8.2).

use flowgate_flow::Headers;

use super::MessageError;
use crate::http1::{is_head_only, is_token, is_value};

/// Fields that belong to one connection of HTTP/1 (section 8.2.2).
const CONNECTION_FIELDS: [&str; 5] =
    ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];
/// What else is only said between HTTP/1 and its neighbour (RFC 7540 section 3.2.1).
const HTTP2_SETTINGS: &str = "http2-settings";

/// Whether a name may stand in HTTP/2: a token in lower case.
pub(super) fn check_name(name: &[u8], index: usize) -> Result<(), MessageError> {
    if !is_token(name) {
        return Err(MessageError::Name { index });
    }
    if name.iter().any(u8::is_ascii_uppercase) {
        return Err(MessageError::UpperCase { index });
    }
    Ok(())
}

/// Whether a value may stand in HTTP/2. Stricter than section 8.2.1, which forbids CR, LF and NUL: no control byte but the tab
/// (RFC 9110 section 5.5), since none of them could go on in HTTP/1.
pub(super) fn check_field_value(value: &[u8], index: usize) -> Result<(), MessageError> {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    if is_space(value.first()) || is_space(value.last()) || !is_value(value) {
        return Err(MessageError::Value { index });
    }
    Ok(())
}

/// Whether HTTP/2 has such a field, be its name in whatever case.
pub(super) fn check_meaning(name: &[u8], value: &[u8], index: usize) -> Result<(), MessageError> {
    if is_connection_field(name) {
        return Err(MessageError::ConnectionField { index });
    }
    if name.eq_ignore_ascii_case(b"te") && !value.eq_ignore_ascii_case(b"trailers") {
        return Err(MessageError::Te { index });
    }
    Ok(())
}

/// Whether trailers may hold such a field.
pub(super) fn check_trailer(name: &[u8], index: usize) -> Result<(), MessageError> {
    if is_head_only(name) {
        return Err(MessageError::NoTrailer { index });
    }
    Ok(())
}

/// Whether it belongs to a connection of HTTP/1.
pub(super) fn is_connection_field(name: &[u8]) -> bool {
    // Lengths first: most fields are none of these.
    matches!(name.len(), 7 | 10 | 16 | 17)
        && CONNECTION_FIELDS.iter().any(|field| name.eq_ignore_ascii_case(field.as_bytes()))
}

/// What of an HTTP/1 message goes to HTTP/2: all but what belongs to its connection, nominated fields among it
/// (section 8.2.2: an intermediary must remove them). Of `TE` only `trailers` goes on.
#[derive(Debug, Default)]
pub(super) struct FromHttp1<'a> {
    nominated: Vec<&'a [u8]>,
}

impl<'a> FromHttp1<'a> {
    pub(super) fn new(headers: &'a Headers) -> Self {
        let options = headers.get_all("connection").flat_map(|value| value.split(|byte| *byte == b','));
        // A peer that nominates what frames or addresses the message would have us cut it in two.
        let essential =
            |name: &&[u8]| is_head_only(name) || name.eq_ignore_ascii_case(b"te") || name.is_empty();
        Self { nominated: options.map(<[u8]>::trim_ascii).filter(|name| !essential(name)).collect() }
    }

    /// The value with which a field goes on, if it does.
    pub(super) fn carried(&self, name: &[u8], value: &'a [u8]) -> Option<&'a [u8]> {
        if is_connection_field(name)
            || name.eq_ignore_ascii_case(HTTP2_SETTINGS.as_bytes())
            || self.nominated.iter().any(|nominated| name.eq_ignore_ascii_case(nominated))
        {
            return None;
        }
        if name.eq_ignore_ascii_case(b"te") {
            let mut members = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            return members.find(|member| member.eq_ignore_ascii_case(b"trailers"));
        }
        Some(value)
    }
}
