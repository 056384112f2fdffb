//! Carrying messages over between HTTP/1 and HTTP/2 (RFC 9113 sections 8.2 and 8.3), and between our types and the `http`
//! crate's, which the `h2` crate speaks. What a field means stays; what only one version has goes.
//!
//! `h2` keeps fields in a map, so fields of one name come together here; our own HTTP/2 will not do that.

use bytes::Bytes;
use flowgate_flow::{Body, Headers, HttpVersion, PseudoFields, Request, Response};
use flowgate_wire::http1::{Framing, parse_authority};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};

use super::side::SideError;
use crate::clock;

/// Fields that HTTP/2 messages must not have (RFC 9113 section 8.2.2).
const CONNECTION_FIELDS: [&str; 5] =
    ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

/// The reason phrase to write in HTTP/1: what was received, or for versions without one the registered phrase.
pub(crate) fn reason_for(head: &Response) -> Bytes {
    if head.version.is_http1() {
        return head.reason.clone();
    }
    let phrase = StatusCode::from_u16(head.status).ok().and_then(|status| status.canonical_reason());
    Bytes::from_static(phrase.unwrap_or_default().as_bytes())
}

/// Removes from a message of HTTP/2 what would delimit or steer a connection of HTTP/1.
pub(crate) fn strip_for_http1(headers: &mut Headers) {
    headers.retain(|field| !CONNECTION_FIELDS.iter().any(|name| field.is(name)));
}

/// The fields of an HTTP/2 request in HTTP/1: `Host` first, one `Cookie` (RFC 9113 section 8.2.3), a coding for a body of
/// unknown length.
pub(crate) fn request_to_http1(head: &Request, framing: Framing) -> Result<Headers, SideError> {
    if head.method.as_ref() == b"CONNECT" {
        return Err(SideError::Translate("CONNECT inside HTTP/2"));
    }
    let mut headers = Headers::new();
    if !head.headers.contains("host") {
        headers.push("Host", &head.authority);
    }
    let mut cookies: Vec<&[u8]> = Vec::new();
    for field in head.headers.iter() {
        if field.is("cookie") {
            cookies.push(field.value);
        } else if !CONNECTION_FIELDS.iter().any(|name| field.is(name)) {
            headers.push(field.name, field.value);
        }
    }
    if !cookies.is_empty() {
        headers.push("cookie", cookies.join(&b"; "[..]));
    }
    if matches!(framing, Framing::Chunked | Framing::UntilClose) {
        headers.push("transfer-encoding", "chunked");
    }
    Ok(headers)
}

/// A request as the `h2` crate sends it.
pub(crate) fn request_to_http2(head: &Request) -> Result<http::Request<()>, SideError> {
    let authority = if head.version.is_http1() || head.authority.is_empty() {
        head.headers.get("host").unwrap_or(&head.authority)
    } else {
        &head.authority
    };
    if parse_authority(authority, Some(0)).is_err() {
        return Err(SideError::Translate("authority is malformed"));
    }
    let uri =
        Uri::builder().scheme(head.scheme.as_ref()).authority(authority).path_and_query(head.path.as_ref());
    let uri = uri.build().map_err(|_| SideError::Translate("target is malformed"))?;
    let mut request = http::Request::new(());
    *request.method_mut() =
        http::Method::from_bytes(&head.method).map_err(|_| SideError::Translate("method is malformed"))?;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers_to_http2(&head.headers)?;
    if head.version.is_http1() {
        request.headers_mut().remove(http::header::HOST);
    }
    *request.version_mut() = http::Version::HTTP_2;
    Ok(request)
}

/// A response as the `h2` crate sends it.
pub(crate) fn response_to_http2(head: &Response) -> Result<http::Response<()>, SideError> {
    let mut response = http::Response::new(());
    *response.status_mut() =
        StatusCode::from_u16(head.status).map_err(|_| SideError::Translate("status is malformed"))?;
    *response.headers_mut() = headers_to_http2(&head.headers)?;
    Ok(response)
}

/// A request that the `h2` crate received.
pub(crate) fn request_from_http2(request: http::request::Parts) -> Request {
    let uri = request.uri;
    let authority =
        uri.authority().map(|a| Bytes::copy_from_slice(a.as_str().as_bytes())).unwrap_or_default();
    let path =
        uri.path_and_query().map(|p| Bytes::copy_from_slice(p.as_str().as_bytes())).unwrap_or_default();
    Request {
        version: HttpVersion::Http2,
        method: Bytes::copy_from_slice(request.method.as_str().as_bytes()),
        scheme: Bytes::copy_from_slice(uri.scheme_str().unwrap_or_default().as_bytes()),
        host: String::new(),
        port: 0,
        authority,
        path,
        pseudo: PseudoFields::default(),
        headers: headers_from_http2(&request.headers),
        body: Body::EMPTY,
        trailers: None,
        timestamp_start: clock::now(),
        timestamp_end: None,
    }
}

/// A response that the `h2` crate received.
pub(crate) fn response_from_http2(response: &http::response::Parts) -> Response {
    Response {
        version: HttpVersion::Http2,
        status: response.status.as_u16(),
        reason: Bytes::new(),
        headers: headers_from_http2(&response.headers),
        body: Body::EMPTY,
        trailers: None,
        timestamp_start: clock::now(),
        timestamp_end: None,
    }
}

/// The length that the fields announce.
pub(crate) fn announced_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

pub(crate) fn headers_from_http2(map: &HeaderMap) -> Headers {
    map.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect()
}

/// Names in lower case, without what belongs to a connection; of `TE` only `trailers` crosses.
pub(crate) fn headers_to_http2(headers: &Headers) -> Result<HeaderMap, SideError> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for field in headers.iter() {
        let name = HeaderName::from_bytes(field.name).map_err(|_| SideError::Translate("header name"))?;
        if CONNECTION_FIELDS.contains(&name.as_str())
            || name.as_str() == "http2-settings"
            || (name == http::header::TE && !field.value.eq_ignore_ascii_case(b"trailers"))
        {
            continue;
        }
        let value = HeaderValue::from_bytes(field.value).map_err(|_| SideError::Translate("header value"))?;
        map.append(name, value);
    }
    Ok(map)
}
