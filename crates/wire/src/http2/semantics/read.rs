//! Messages out of header lists.

use bytes::Bytes;
use flowgate_flow::{Body, Headers, HttpVersion, Request, Response, Timestamp};

use super::MessageError;
use super::authority::{check_authority, check_connect_authority};
use super::field::{check_field_value, check_meaning, check_name, check_trailer};
use super::length::{content_length, request_framing, response_framing};
use super::pseudo::{Front, Kind, check_pseudo};
use crate::hpack::{FieldList, FieldRef};
use crate::http1::Framing;
use crate::limits::HEAD_FIELDS_MAX;

/// Whether a header block ends its stream (END_STREAM).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EndStream {
    /// Something follows.
    No,
    /// Nothing follows.
    Yes,
}

/// Whether we told the peer that we take an extended CONNECT (SETTINGS_ENABLE_CONNECT_PROTOCOL, RFC 8441 section 3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ExtendedConnect {
    /// We did not: `:protocol` is an unknown pseudo-header field.
    Disabled,
    /// We did.
    Enabled,
}

/// Reads a request's head, and how its body is delimited: [`Framing::Chunked`] is a body of unknown length, or a tunnel.
///
/// `host` and `port` are what the request names (`:authority`, or `Host`); where it goes may be decided otherwise.
///
/// # Errors
/// If it is malformed: an error of the stream. Nothing of it may be passed on.
pub fn read_request(
    list: &FieldList,
    ends: EndStream,
    extended: ExtendedConnect,
    received: Timestamp,
) -> Result<(Request, Framing), MessageError> {
    let front = Front::take(list, extended)?;
    // One of them may become `Host`.
    check_size(list, front.len.saturating_sub(1))?;
    for (index, field) in fields(list, front.len) {
        check_field(field, index)?;
    }
    let method = front.method.ok_or(MessageError::Missing(flowgate_flow::PseudoField::Method))?;
    let kind = check_pseudo(
        &method,
        front.scheme.as_deref(),
        front.authority.is_some(),
        front.path.as_deref(),
        front.fields.protocol.as_deref(),
    )?;
    let scheme = front.scheme.unwrap_or_default();
    let hosts = fields(list, front.len).filter(|(_, field)| field.name == b"host");
    let hosts = hosts.map(|(index, field)| (index, field.value));
    let address = match (kind, &front.authority) {
        (Kind::Connect, Some(authority)) => {
            let address = check_connect_authority(authority)?;
            check_authority(&scheme, Some(authority), hosts)?;
            address
        }
        (_, authority) => check_authority(&scheme, authority.as_deref(), hosts)?,
    };
    let length =
        content_length(fields(list, front.len).map(|(index, field)| (index, field.name, field.value)))?;
    let framing = request_framing(length, kind != Kind::Plain, ends == EndStream::Yes)?;
    let request = Request {
        version: HttpVersion::Http2,
        method,
        scheme,
        host: address.host,
        port: address.port,
        authority: front.authority.unwrap_or_default(),
        path: front.path.unwrap_or_default(),
        pseudo: front.fields,
        headers: list.headers(front.len),
        body: Body::EMPTY,
        trailers: None,
        timestamp_start: received,
        timestamp_end: None,
    };
    Ok((request, framing))
}

/// Reads a response's head, interim or final, and how its body is delimited: [`Framing::UntilClose`] is a body of unknown
/// length, or a tunnel. `method` is the request's.
///
/// # Errors
/// If it is malformed: an error of the stream. Nothing of it may be passed on.
pub fn read_response(
    list: &FieldList,
    ends: EndStream,
    method: &[u8],
    received: Timestamp,
) -> Result<(Response, Framing), MessageError> {
    check_size(list, 1)?;
    let first = list.iter().next().filter(|field| field.name.first() == Some(&b':'));
    let status = match first {
        Some(FieldRef { name: b":status", value, .. }) => parse_status(value)?,
        Some(_) => return Err(MessageError::UnknownPseudo { index: 0 }),
        None => return Err(MessageError::NoStatus),
    };
    for (index, field) in fields(list, 1) {
        match field.name {
            b":status" if index == 1 => return Err(MessageError::RepeatedPseudo { index }),
            [b':', ..] if index == 1 => return Err(MessageError::UnknownPseudo { index }),
            _ => {}
        }
        check_field(field, index)?;
    }
    if status == 101 {
        return Err(MessageError::SwitchingProtocols);
    }
    let length = content_length(fields(list, 1).map(|(index, field)| (index, field.name, field.value)))?;
    let framing = response_framing(status, length, method, ends == EndStream::Yes)?;
    let response = Response {
        version: HttpVersion::Http2,
        status,
        reason: Bytes::new(),
        headers: list.headers(1),
        body: Body::EMPTY,
        trailers: None,
        timestamp_start: received,
        timestamp_end: None,
    };
    Ok((response, framing))
}

/// Reads a message's trailers.
///
/// # Errors
/// If they are malformed: an error of the stream.
pub fn read_trailers(list: &FieldList, ends: EndStream) -> Result<Headers, MessageError> {
    check_size(list, 0)?;
    if ends == EndStream::No {
        return Err(MessageError::TrailersDoNotEnd);
    }
    for (index, field) in fields(list, 0) {
        if field.name.first() == Some(&b':') {
            return Err(MessageError::UnknownPseudo { index });
        }
        check_field(field, index)?;
        check_trailer(field.name, index)?;
    }
    Ok(list.headers(0))
}

/// Whether the list is there whole, and has no more fields behind its pseudo-header fields than one of HTTP/1 could have.
fn check_size(list: &FieldList, pseudo: usize) -> Result<(), MessageError> {
    if list.too_large {
        return Err(MessageError::TooLarge);
    }
    if list.iter().len().saturating_sub(pseudo) > HEAD_FIELDS_MAX {
        return Err(MessageError::TooManyFields);
    }
    Ok(())
}

/// The fields from one place on, with their places.
fn fields(list: &FieldList, from: usize) -> impl Iterator<Item = (usize, FieldRef<'_>)> {
    list.iter().enumerate().skip(from)
}

/// Judges a field behind the pseudo-header fields.
fn check_field(field: FieldRef<'_>, index: usize) -> Result<(), MessageError> {
    if field.name.first() == Some(&b':') {
        return Err(MessageError::LatePseudo { index });
    }
    check_name(field.name, index)?;
    check_field_value(field.value, index)?;
    check_meaning(field.name, field.value, index)
}

fn parse_status(value: &[u8]) -> Result<u16, MessageError> {
    match value {
        [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9'] => {
            Ok(value.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0')))
        }
        _ => Err(MessageError::Status),
    }
}
