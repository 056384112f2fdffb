//! Messages as HTTP/1 has them on the wire, whatever version they crossed in.

use flowgate_filter::BodyDecoder;
use flowgate_flow::{Headers, Request, Response, WebSocketData};

use super::{ExportError, message};

pub(super) fn request(request: &Request, decoder: &dyn BodyDecoder) -> Result<Vec<u8>, ExportError> {
    let (headers, body) = message::decoded("request", &request.headers, &request.body, decoder)?;
    let target = if request.is_connect() {
        request.authority.to_vec()
    } else if request.authority.is_empty() {
        request.path.to_vec()
    } else {
        [&request.scheme[..], b"://", &request.authority, &request.path].concat()
    };
    let mut out = [&request.method[..], b" ", &target, b" ", request.version.as_bytes(), b"\r\n"].concat();
    rest(&headers, &body, request.trailers.as_ref(), &mut out);
    Ok(out)
}

/// `to` is what it answers: a HEAD request has an answer without its body.
pub(super) fn response(
    response: &Response,
    to: &Request,
    decoder: &dyn BodyDecoder,
) -> Result<Vec<u8>, ExportError> {
    let (decoded, body) = message::decoded("response", &response.headers, &response.body, decoder)?;
    // Its length is that of a body that did not come.
    let headers = if to.method.eq_ignore_ascii_case(b"HEAD") { &response.headers } else { &decoded };
    let status = format!(" {} ", response.status);
    let mut out = [response.version.as_bytes(), status.as_bytes(), &response.reason, b"\r\n"].concat();
    rest(headers, &body, response.trailers.as_ref(), &mut out);
    Ok(out)
}

/// A line for each message.
pub(super) fn websocket(websocket: &WebSocketData, out: &mut Vec<u8>) {
    for (at, message) in websocket.messages.iter().enumerate() {
        if at > 0 {
            out.push(b'\n');
        }
        out.extend_from_slice(if message.from_client { b"[OUTGOING] " } else { b"[INCOMING] " });
        out.extend_from_slice(&message.content);
    }
}

fn rest(headers: &Headers, body: &[u8], trailers: Option<&Headers>, out: &mut Vec<u8>) {
    fields(headers, out);
    let is_chunked = headers
        .get("transfer-encoding")
        .is_some_and(|codings| codings.to_ascii_lowercase().windows(7).any(|part| part == b"chunked"));
    if !is_chunked {
        out.extend_from_slice(body);
        return;
    }
    if !body.is_empty() {
        out.extend_from_slice(format!("{:x}\r\n", body.len()).as_bytes());
        out.extend_from_slice(body);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n");
    fields(trailers.unwrap_or(&Headers::new()), out);
}

fn fields(headers: &Headers, out: &mut Vec<u8>) {
    for field in headers.iter() {
        out.extend_from_slice(&[field.name, b": ", field.value, b"\r\n"].concat());
    }
    out.extend_from_slice(b"\r\n");
}
