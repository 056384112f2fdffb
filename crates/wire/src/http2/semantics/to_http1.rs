//! Messages of HTTP/2 as HTTP/1 has them (RFC 9113 sections 8.2.3 and 8.3.1, RFC 9112 section 3.2).
//!
//! What comes out still passes the gate of HTTP/1 ([`crate::http1::encode_request`], [`crate::http1::check_request_framing`]).

use bytes::Bytes;
use flowgate_flow::{Headers, Request, Response};

use super::MessageError;
use super::authority::{check_authority, check_connect_authority};
use super::field::check_meaning;
use super::pseudo::{Kind, check_pseudo};
use crate::http1::Framing;

/// What a request of HTTP/2 is in HTTP/1.
#[derive(Clone, Debug, PartialEq)]
pub struct Http1Request {
    /// The method.
    pub method: Bytes,
    /// The target: origin-form, `*`, or for CONNECT the authority.
    pub target: Bytes,
    /// The fields.
    pub headers: Headers,
    /// How the body is delimited.
    pub framing: Framing,
}

/// A request of HTTP/2 in HTTP/1: `Host` from `:authority`, one `Cookie`, chunks for a body of unknown length or with trailers that
/// are announced, and `Connection: TE` beside `TE` (RFC 9110 section 10.1.4). Everything else stays where it is.
///
/// # Errors
/// If something was put into it that HTTP/2 could not have carried, or that HTTP/1 cannot.
pub fn request_to_http1(request: &Request, framing: Framing) -> Result<Http1Request, MessageError> {
    in_http1(request, framing, None)
}

/// The same, also for an extended CONNECT if there is a key for the upgrade to a WebSocket that it becomes.
pub(super) fn in_http1(
    request: &Request,
    framing: Framing,
    websocket_key: Option<&[u8]>,
) -> Result<Http1Request, MessageError> {
    let authority = Some(request.authority.as_ref()).filter(|authority| !authority.is_empty());
    let plain_connect = request.method.as_ref() == b"CONNECT" && request.pseudo.protocol.is_none();
    let kind = check_pseudo(
        &request.method,
        Some(request.scheme.as_ref()).filter(|_| !plain_connect),
        authority.is_some(),
        Some(request.path.as_ref()).filter(|_| !plain_connect),
        request.pseudo.protocol.as_deref(),
    )?;
    let target = match kind {
        Kind::ExtendedConnect if websocket_key.is_none() => return Err(MessageError::NoCounterpart),
        Kind::Connect => {
            check_connect_authority(&request.authority)?;
            request.authority.clone()
        }
        Kind::Plain | Kind::ExtendedConnect => request.path.clone(),
    };
    let hosts = request.headers.iter().enumerate().filter(|(_, field)| field.is("host"));
    let hosts = hosts.map(|(index, field)| (index, field.value));
    check_authority(&request.scheme, authority, hosts)?;
    let mut cookies = 0;
    let (mut has_host, mut asks_for_trailers) = (false, false);
    for (index, field) in request.headers.iter().enumerate() {
        check_meaning(field.name, field.value, index)?;
        cookies += usize::from(field.is("cookie"));
        has_host |= field.is("host");
        asks_for_trailers |= field.is("te");
    }
    let in_chunks = match framing {
        Framing::Chunked | Framing::UntilClose => true,
        Framing::Length(_) => announces_trailers(&request.headers),
        Framing::None => false,
    };
    let chunked = in_chunks && kind == Kind::Plain;
    let cookie =
        (cookies > 1).then(|| request.headers.get_all("cookie").collect::<Vec<_>>().join(&b"; "[..]));
    let mut fields: Vec<(&[u8], &[u8])> = Vec::with_capacity(request.headers.len() + 4);
    if !has_host {
        fields.push((b"Host", &request.authority));
    }
    if let Some(key) = websocket_key {
        fields.push((b"Upgrade", b"websocket"));
        fields.push((b"Sec-WebSocket-Key", key));
    }
    let mut cookie_due = true;
    for field in request.headers.iter() {
        match &cookie {
            Some(joined) if field.is("cookie") => {
                if std::mem::take(&mut cookie_due) {
                    fields.push((field.name, joined));
                }
            }
            // Ours stands there.
            _ if websocket_key.is_some() && field.is("sec-websocket-key") => {}
            _ if chunked && field.is("content-length") => {}
            // Section 8.3.1: it is to be replaced, since others might read the two differently after all.
            _ if field.is("host") => fields.push((field.name, authority.unwrap_or(field.value))),
            _ => fields.push((field.name, field.value)),
        }
    }
    match (websocket_key.is_some(), asks_for_trailers) {
        (true, true) => fields.push((b"Connection", b"Upgrade, TE")),
        (true, false) => fields.push((b"Connection", b"Upgrade")),
        (false, true) => fields.push((b"Connection", b"TE")),
        (false, false) => {}
    }
    if chunked {
        fields.push((b"transfer-encoding", b"chunked"));
    }
    let framing = if chunked { Framing::Chunked } else { framing };
    Ok(Http1Request {
        method: request.method.clone(),
        target,
        headers: fields.into_iter().collect(),
        framing,
    })
}

/// Whether a message says that trailers stand behind its body (RFC 9110 section 6.6.2). HTTP/1 has room for them behind chunks only,
/// HTTP/2 behind any body.
#[must_use]
pub fn announces_trailers(headers: &Headers) -> bool {
    headers.get_all("trailer").any(|value| !value.is_empty())
}

/// The fields of a response of HTTP/2 in HTTP/1: the same. How the body is delimited there is for the one who sends it.
///
/// # Errors
/// If something was put into it that HTTP/2 could not have carried.
pub fn response_to_http1(response: &Response) -> Result<Headers, MessageError> {
    if response.status == 101 {
        return Err(MessageError::SwitchingProtocols);
    }
    for (index, field) in response.headers.iter().enumerate() {
        check_meaning(field.name, field.value, index)?;
    }
    Ok(response.headers.clone())
}
