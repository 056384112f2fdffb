//! What we say to a client in our own name: that a request failed, and why.

use bytes::Bytes;
use flowgate_flow::{Body, Headers, HttpVersion, Response};
use http::StatusCode;

use crate::clock;

/// A response of our own and its body.
pub(crate) struct OwnResponse {
    pub(crate) head: Response,
    pub(crate) body: Bytes,
}

/// A page that tells a person what failed.
pub(crate) fn error_page(status: u16, message: &str) -> OwnResponse {
    let reason = reason(status);
    let message = escape(message);
    let body = format!(
        "<!doctype html>\n<html>\n<head><meta charset=\"utf-8\"><title>{status} {reason}</title></head>\n\
         <body>\n<h1>{status} {reason}</h1>\n<p>{message}</p>\n<p><small>flowgate {version}</small></p>\n</body>\n</html>\n",
        version = env!("CARGO_PKG_VERSION"),
    );
    own(status, "text/html; charset=utf-8", body.into())
}

/// The answer to a CONNECT that failed: plain text, since programs show it, not browsers.
pub(crate) fn connect_refusal(status: u16, message: &str) -> OwnResponse {
    own(status, "text/plain; charset=utf-8", format!("{message}\n").into())
}

/// The answer to a CONNECT that worked; as mitmproxy words it.
pub(crate) fn connect_established() -> Response {
    Response { reason: Bytes::from_static(b"Connection established"), ..response(200, Headers::new()) }
}

fn own(status: u16, content_type: &str, body: Bytes) -> OwnResponse {
    let mut headers = Headers::new();
    headers.push("Server", concat!("flowgate/", env!("CARGO_PKG_VERSION")));
    headers.push("Connection", "close");
    headers.push("Content-Type", content_type);
    headers.push("Content-Length", body.len().to_string());
    OwnResponse { head: response(status, headers), body }
}

fn response(status: u16, headers: Headers) -> Response {
    let now = clock::now();
    Response {
        version: HttpVersion::Http11,
        status,
        reason: Bytes::from_static(reason(status).as_bytes()),
        headers,
        body: Body::EMPTY,
        trailers: None,
        timestamp_start: now,
        timestamp_end: Some(now),
    }
}

fn reason(status: u16) -> &'static str {
    StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default()
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_text() {
        let page = error_page(502, "<script>alert('x')</script> & \"more\"");
        let body = String::from_utf8(page.body.to_vec()).unwrap();
        assert!(
            body.contains("<p>&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;more&quot;</p>"),
            "{body}"
        );
        assert_eq!(page.head.headers.get("content-length").unwrap(), body.len().to_string().as_bytes());
    }
}
