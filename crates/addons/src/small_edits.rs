//! The small ones: `anticache`, `anticomp` and the rewriting of `Alt-Svc` in mode `reverse:`.

use flowgate_flow::Headers;
use flowgate_proxy::{Addon, HookFuture, LiveFlow};

/// `anticache`.
#[derive(Debug)]
pub(crate) struct AntiCache;

/// `anticomp`.
#[derive(Debug)]
pub(crate) struct AntiComp;

/// The opposite of `keep_alt_svc_header`.
#[derive(Debug)]
pub(crate) struct AltSvc;

impl Addon for AntiCache {
    fn name(&self) -> &str {
        "anticache"
    }

    fn requestheaders<'a>(&'a self, flow: &'a mut LiveFlow) -> HookFuture<'a> {
        without_conditions(&mut flow.request_mut().headers);
        HookFuture::DONE
    }
}

impl Addon for AntiComp {
    fn name(&self) -> &str {
        "anticomp"
    }

    fn requestheaders<'a>(&'a self, flow: &'a mut LiveFlow) -> HookFuture<'a> {
        without_compression(&mut flow.request_mut().headers);
        HookFuture::DONE
    }
}

impl Addon for AltSvc {
    fn name(&self) -> &str {
        "update_alt_svc"
    }

    fn responseheaders<'a>(&'a self, flow: &'a mut LiveFlow) -> HookFuture<'a> {
        let client = flow.client();
        let port = client.connection.sockname.map(|address| address.port());
        if let Some(port) = port.filter(|_| client.mode.starts_with("reverse:"))
            && let Some(response) = flow.response_mut()
        {
            point_at(&mut response.headers, port);
        }
        HookFuture::DONE
    }
}

/// Asks for the thing itself, not whether it changed.
fn without_conditions(headers: &mut Headers) {
    for name in ["if-modified-since", "if-none-match"] {
        headers.remove(name);
    }
}

/// Asks for bodies as they are.
fn without_compression(headers: &mut Headers) {
    headers.set("Accept-Encoding", "identity");
}

/// Points the alternatives that a server names at the port that a client talks to, so that it comes back to us.
fn point_at(headers: &mut Headers, port: u16) {
    let rewritten: Vec<_> = headers.get_all("alt-svc").map(|value| with_port(value, port)).collect();
    let Some(first) = rewritten.first() else { return };
    let joined = rewritten
        .iter()
        .skip(1)
        .fold(first.clone(), |joined, value| [joined, value.clone()].join(&b", "[..]));
    headers.set("Alt-Svc", joined);
}

/// A value of `Alt-Svc` with `:port` in the place of each `host:port`.
fn with_port(value: &[u8], port: u16) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((byte, behind)) = rest.split_first() {
        let digits = behind.iter().take_while(|byte| byte.is_ascii_digit()).count().min(5);
        if *byte == b':' && digits > 0 {
            // The name or address before it was written already.
            if out.last() == Some(&b']') {
                out.truncate(out.iter().rposition(|byte| *byte == b'[').unwrap_or(out.len()));
            }
            while out.last().is_some_and(|last: &u8| last.is_ascii_alphanumeric() || b".-".contains(last)) {
                out.pop();
            }
            out.extend_from_slice(format!(":{port}").as_bytes());
            rest = behind.get(digits..).unwrap_or_default();
        } else {
            // What is in brackets is an address of IPv6, with colons of its own.
            let bracketed = (*byte == b'[').then(|| rest.iter().position(|byte| *byte == b']')).flatten();
            let (taken, left) = rest.split_at(bracketed.map_or(1, |end| end + 1));
            out.extend_from_slice(taken);
            rest = left;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(headers: &Headers) -> Vec<String> {
        headers.iter().map(|field| String::from_utf8_lossy(field.line).into_owned()).collect()
    }

    #[test]
    fn fields() {
        let mut headers: Headers =
            [("If-None-Match", "x"), ("accept-encoding", "gzip"), ("IF-MODIFIED-SINCE", "y"), ("a", "b")]
                .into_iter()
                .collect();
        without_conditions(&mut headers);
        without_compression(&mut headers);
        assert_eq!(lines(&headers), ["Accept-Encoding: identity", "a: b"]);
    }

    #[test]
    fn alternatives() {
        for (value, expected) in [
            (r#"h3=":443"; ma=86400"#, r#"h3=":8080"; ma=86400"#),
            (r#"h3="alt.example.com:443", h2=":1""#, r#"h3=":8080", h2=":8080""#),
            ("clear", "clear"),
            (r#"h3="[::1]:443""#, r#"h3=":8080""#),
            ("a:123456", ":80806"),
            (":", ":"),
        ] {
            let mut headers: Headers = [("alt-svc", value)].into_iter().collect();
            point_at(&mut headers, 8080);
            assert_eq!(lines(&headers), [format!("Alt-Svc: {expected}")], "{value}");
        }
        let mut headers: Headers =
            [("Alt-Svc", "h3=\":1\""), ("b", "c"), ("alt-svc", "h2=\":2\"")].into_iter().collect();
        point_at(&mut headers, 5);
        assert_eq!(lines(&headers), ["Alt-Svc: h3=\":5\", h2=\":5\"", "b: c"]);
    }
}
