//! WebSockets from one version into the other: an upgrade of HTTP/1.1 (RFC 6455 section 4) is an extended CONNECT of HTTP/2
//! (RFC 8441 section 5), and 101 is a 2xx. Keys and their proofs are HTTP/1's alone; everything else crosses as it is.

use flowgate_flow::{Headers, HttpVersion, Request, Response};

use super::to_http1::{Http1Request, in_http1};
use super::{MessageError, response_to_http1};
use crate::http1::Framing;

/// The name of the protocol, in `Upgrade` and `:protocol`. Names of protocols are compared without regard to case (RFC 9110
/// section 7.8).
const WEBSOCKET: &[u8] = b"websocket";
const KEY: &str = "sec-websocket-key";
const ACCEPT: &str = "sec-websocket-accept";
/// The version whose handshake RFC 8441 translates.
const VERSION: &[u8] = b"13";

/// Whether a request is an extended CONNECT that asks for a WebSocket.
#[must_use]
pub fn is_websocket_connect(request: &Request) -> bool {
    let names = |protocol: &bytes::Bytes| protocol.eq_ignore_ascii_case(WEBSOCKET);
    !request.version.is_http1() && request.pseudo.protocol.as_ref().is_some_and(names)
}

/// The key of a request that is an upgrade of HTTP/1.1 to a WebSocket and could as well be asked for in HTTP/2: it asks for nothing
/// else, in the version that RFC 8441 knows.
#[must_use]
pub fn websocket_upgrade_key(request: &Request) -> Option<&[u8]> {
    if request.version != HttpVersion::Http11 || request.method.as_ref() != b"GET" {
        return None;
    }
    let headers = &request.headers;
    let mut connection = headers.get_all("connection").flat_map(members);
    let mut protocols = headers.get_all("upgrade").flat_map(members);
    let mut keys = headers.get_all(KEY);
    let (Some(key), None) = (keys.next(), keys.next()) else { return None };
    let asks = connection.any(|option| option.eq_ignore_ascii_case(b"upgrade"))
        && protocols.next().is_some_and(|protocol| protocol.eq_ignore_ascii_case(WEBSOCKET))
        && protocols.next().is_none()
        && headers.get("sec-websocket-version") == Some(VERSION);
    asks.then_some(key)
}

/// An upgrade as an extended CONNECT. What belongs to the connection goes when it is sent, as with every request of HTTP/1.
#[must_use]
pub fn websocket_connect(upgrade: &Request) -> Request {
    let mut request = upgrade.clone();
    request.method = bytes::Bytes::from_static(b"CONNECT");
    request.pseudo.protocol = Some(bytes::Bytes::from_static(WEBSOCKET));
    request.headers.retain(|field| !field.is(KEY));
    request
}

/// An extended CONNECT as an upgrade with this key.
///
/// # Errors
/// If something was put into it that HTTP/2 could not have carried.
pub fn websocket_upgrade(connect: &Request, key: &str) -> Result<Http1Request, MessageError> {
    let mut request = in_http1(connect, Framing::None, Some(key.as_bytes()))?;
    request.method = bytes::Bytes::from_static(b"GET");
    Ok(request)
}

/// The 101 of a server of HTTP/1 as a client of HTTP/2 gets it.
#[must_use]
pub fn websocket_connected(switched: &Response) -> Response {
    let mut response = switched.clone();
    response.status = 200;
    response.headers.retain(|field| !field.is(ACCEPT));
    response
}

/// The fields of the 101 that a client of HTTP/1 gets for the 2xx of a server of HTTP/2; `accept` answers the client's key.
///
/// # Errors
/// If something was put into it that HTTP/2 could not have carried.
pub fn websocket_switched(connected: &Response, accept: &str) -> Result<Headers, MessageError> {
    let fields = response_to_http1(connected)?;
    let mut headers = Headers::default();
    headers.push("Upgrade", WEBSOCKET);
    headers.push("Connection", "Upgrade");
    headers.push("Sec-WebSocket-Accept", accept);
    for field in fields.iter().filter(|field| !field.is(ACCEPT) && !field.is("content-length")) {
        headers.push(field.name, field.value);
    }
    Ok(headers)
}

/// The members of a comma-separated list.
fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}
