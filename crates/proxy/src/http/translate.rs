//! Carrying messages over to HTTP/1, as far as `flowgate_wire::http2::semantics` does not.

use bytes::Bytes;
use flowgate_flow::{Headers, HttpVersion, Response};
use flowgate_wire::http1::Framing;
use flowgate_wire::http2::semantics::announces_trailers;
use http::StatusCode;

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

/// The fields of a response of HTTP/2 without what would delimit or steer a connection of HTTP/1.
pub(crate) fn response_fields(headers: &Headers) -> Headers {
    let mut fields = headers.clone();
    fields.retain(|field| !CONNECTION_FIELDS.iter().any(|name| field.is(name)));
    fields
}

/// Adds to the fields of a response of HTTP/2 what delimits its body in HTTP/1, where that was the stream's end or trailers are
/// announced; `version` is the client's. Without it the connection would have to end with the response, or the trailers be dropped.
pub(crate) fn frame_response(
    fields: &mut Headers,
    status: u16,
    method: &[u8],
    version: &HttpVersion,
    framing: Framing,
) -> Framing {
    let tunnel = method == b"CONNECT" && status < 300;
    let never_has_body = method == b"HEAD" || matches!(status, 204 | 304) || tunnel;
    match framing {
        Framing::UntilClose if *version == HttpVersion::Http11 && !tunnel => {
            fields.push("transfer-encoding", "chunked");
            Framing::Chunked
        }
        Framing::Length(_) if *version == HttpVersion::Http11 && announces_trailers(fields) => {
            fields.remove("content-length");
            fields.push("transfer-encoding", "chunked");
            Framing::Chunked
        }
        Framing::None if !never_has_body && !fields.contains("content-length") => {
            fields.push("content-length", "0");
            Framing::None
        }
        framing => framing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_that_ended_with_their_stream_get_a_framing() {
        let frame = |method: &str, status, version: HttpVersion, framing| {
            let mut fields = Headers::default();
            let framing = frame_response(&mut fields, status, method.as_bytes(), &version, framing);
            let fields: Vec<String> =
                fields.iter().map(|field| String::from_utf8_lossy(field.line).into_owned()).collect();
            (framing, fields.join(", "))
        };
        let (h11, h10) = (HttpVersion::Http11, HttpVersion::Http10);
        let said = |framing, fields: &str| (framing, fields.to_owned());
        let open = Framing::UntilClose;
        assert_eq!(
            frame("GET", 200, h11.clone(), open),
            said(Framing::Chunked, "transfer-encoding: chunked")
        );
        assert_eq!(frame("GET", 200, h10.clone(), open), said(open, ""));
        assert_eq!(frame("GET", 200, h11.clone(), Framing::None), said(Framing::None, "content-length: 0"));
        assert_eq!(frame("GET", 200, h10, Framing::None), said(Framing::None, "content-length: 0"));
        for (method, status) in [("HEAD", 200), ("GET", 204), ("GET", 304), ("CONNECT", 200)] {
            assert_eq!(frame(method, status, h11.clone(), Framing::None), said(Framing::None, ""));
        }
        assert_eq!(frame("CONNECT", 200, h11.clone(), open), said(open, ""));
        assert_eq!(frame("CONNECT", 400, h11, Framing::None), said(Framing::None, "content-length: 0"));
    }
}
