//! Writing heads: the last gate. No hook, rule, edit, replay or translation can put a head on the wire that the parser
//! would not read back as what was meant (RFC 9112 section 11.1).

use bytes::{BufMut, BytesMut};
use flowgate_flow::{Headers, HttpVersion};
use thiserror::Error;

use super::framing::{Framing, request_framing, response_framing};
use super::grammar::{is_token, is_value, target_len};
use super::head::Names;

/// Why a head was not written. Nothing of it was.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum EncodeError {
    /// The method is not a token.
    #[error("method is not a token")]
    Method,
    /// The target is empty or holds white space or a control byte.
    #[error("target holds white space or a control byte, or is empty")]
    Target,
    /// The status code does not have three digits.
    #[error("status code {0} does not have three digits")]
    Status(u16),
    /// The reason phrase holds a control byte.
    #[error("reason phrase holds a control byte")]
    Reason,
    /// A header name is not a token, or its line does not begin with it.
    #[error("header field {index} has a malformed name")]
    Name {
        /// Which field, counted from 0.
        index: usize,
    },
    /// A header value holds a control byte (CR, LF and NUL are among them), or is not what its line says.
    #[error("header field {index} has a malformed value")]
    Value {
        /// Which field, counted from 0.
        index: usize,
    },
    /// A field that frames or addresses a message, in its trailers (RFC 9110 section 6.5.1).
    #[error("header field {index} must not be in trailers")]
    NoTrailer {
        /// Which field, counted from 0.
        index: usize,
    },
    /// The fields announce another body than the one that is sent, or none that could be delimited.
    #[error("the header fields do not delimit the body that is sent")]
    Framing,
    /// More than one `Host` (RFC 9112 section 3.2).
    #[error("more than one Host")]
    Hosts,
    /// The body is not as long as its head says.
    #[error("the body is not as long as its head says")]
    BodyLength,
    /// Not a version of HTTP/1.
    #[error("not a version of HTTP/1")]
    Version,
}

/// Appends a request's head, final empty line included.
///
/// # Errors
/// If a part of it may not stand in a head; then nothing was appended.
pub fn encode_request(
    method: &[u8],
    target: &[u8],
    version: &HttpVersion,
    headers: &Headers,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    encode_request_with(method, target, version, headers, Names::Tokens, out)
}

/// The same, with these header names.
///
/// # Errors
/// If a part of it may not stand in a head; then nothing was appended.
pub fn encode_request_with(
    method: &[u8],
    target: &[u8],
    version: &HttpVersion,
    headers: &Headers,
    names: Names,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    if !is_token(method) {
        return Err(EncodeError::Method);
    }
    if target.is_empty() || target_len(target) != target.len() {
        return Err(EncodeError::Target);
    }
    if !version.is_http1() {
        return Err(EncodeError::Version);
    }
    check_fields(headers, names)?;
    out.reserve(method.len() + target.len() + 16 + encoded_len(headers));
    out.put_slice(method);
    out.put_u8(b' ');
    out.put_slice(target);
    out.put_u8(b' ');
    out.put_slice(version.as_bytes());
    out.put_slice(b"\r\n");
    put_fields(headers, out);
    Ok(())
}

/// Appends a response's head, final empty line included.
///
/// # Errors
/// If a part of it may not stand in a head; then nothing was appended.
pub fn encode_response(
    version: &HttpVersion,
    status: u16,
    reason: &[u8],
    headers: &Headers,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    encode_response_with(version, status, reason, headers, Names::Tokens, out)
}

/// The same, with these header names.
///
/// # Errors
/// If a part of it may not stand in a head; then nothing was appended.
pub fn encode_response_with(
    version: &HttpVersion,
    status: u16,
    reason: &[u8],
    headers: &Headers,
    names: Names,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    if !(100..1000).contains(&status) {
        return Err(EncodeError::Status(status));
    }
    if !version.is_http1() {
        return Err(EncodeError::Version);
    }
    if !is_value(reason) {
        return Err(EncodeError::Reason);
    }
    check_fields(headers, names)?;
    out.reserve(reason.len() + 20 + encoded_len(headers));
    out.put_slice(version.as_bytes());
    let digit = |n: u16| b'0' + u8::try_from(n % 10).unwrap_or_default();
    out.put_slice(&[b' ', digit(status / 100), digit(status / 10), digit(status)]);
    out.put_u8(b' ');
    out.put_slice(reason);
    out.put_slice(b"\r\n");
    put_fields(headers, out);
    Ok(())
}

/// Whether the fields of a request delimit the body that is going to be sent, and name one host at most: to be asked of what
/// was edited, translated or replayed as of anything else, before it is written.
///
/// # Errors
/// If a reader could take the body for a request, or the next request for a body.
pub fn check_request_framing(
    version: &HttpVersion,
    headers: &Headers,
    body: Framing,
) -> Result<(), EncodeError> {
    if headers.get_all("host").nth(1).is_some() {
        return Err(EncodeError::Hosts);
    }
    match request_framing(version, headers).map_err(|_| EncodeError::Framing)? {
        announced if announced == body => Ok(()),
        Framing::None | Framing::Length(0) if matches!(body, Framing::None | Framing::Length(0)) => Ok(()),
        _ => Err(EncodeError::Framing),
    }
}

/// Whether the fields of a response to `method` delimit the body that is going to be sent; how a reader will see it end.
///
/// # Errors
/// If a reader could take the body for a response, or the next response for a body.
pub fn check_response_framing(
    version: &HttpVersion,
    status: u16,
    headers: &Headers,
    method: &[u8],
    body: Framing,
) -> Result<Framing, EncodeError> {
    let announced = response_framing(version, status, headers, method).map_err(|_| EncodeError::Framing)?;
    match (announced, body) {
        _ if announced == body => Ok(announced),
        // No bytes: whatever ends them.
        (Framing::None | Framing::Length(0), Framing::None | Framing::Length(0))
        | (Framing::UntilClose, Framing::None) => Ok(announced),
        _ => Err(EncodeError::Framing),
    }
}

/// Whether every field may be written. What our parser read and nobody added to was judged already.
pub(super) fn check_fields(headers: &Headers, names: Names) -> Result<(), EncodeError> {
    if headers.is_as_parsed() {
        return Ok(());
    }
    for (index, field) in headers.iter().enumerate() {
        let rest = field.line.get(field.name.len()..).unwrap_or_default();
        if !names.take(field.name) || !field.line.starts_with(field.name) || rest.first() != Some(&b':') {
            return Err(EncodeError::Name { index });
        }
        if !is_value(rest) {
            return Err(EncodeError::Value { index });
        }
        // What was judged is the value; what is written is the line. Spans that were put together elsewhere might differ.
        if rest.get(1..).map(<[u8]>::trim_ascii) != Some(field.value.trim_ascii()) {
            return Err(EncodeError::Value { index });
        }
    }
    Ok(())
}

pub(super) fn put_fields(headers: &Headers, out: &mut BytesMut) {
    if let Some(lines) = headers.lines() {
        out.put_slice(lines);
    } else {
        for field in headers.iter() {
            out.put_slice(field.line);
            out.put_slice(b"\r\n");
        }
    }
    out.put_slice(b"\r\n");
}

fn encoded_len(headers: &Headers) -> usize {
    let one_by_one = || headers.iter().map(|field| field.line.len() + 2).sum();
    headers.lines().map_or_else(one_by_one, <[u8]>::len) + 2
}
