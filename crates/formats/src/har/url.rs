//! URLs of entries: taken apart into what a request holds, and written of one so that every reader can do that.

use std::borrow::Cow;
use std::fmt::Write as _;

use flowgate_flow::{Request, UrlHost};

/// The parts of an `http`, `https`, `ws` or `wss` URL. A fragment is left out: it is never sent.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Url {
    /// `http` or `https`.
    pub(super) scheme: &'static str,
    /// IPv6 without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// Host and port as they stand there, without user information.
    pub(super) authority: String,
    /// Begins with a slash.
    pub(super) path: String,
}

/// What no flow can be made of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum NoUrl {
    /// Another scheme, for which no request was sent: `data:`, `blob:`.
    Elsewhere,
    /// Nothing, or no URL.
    Malformed,
}

/// Takes a URL apart.
pub(super) fn parse(text: &str) -> Result<Url, NoUrl> {
    let scheme = text.trim_start().split_once(':').map_or("", |(scheme, _)| scheme);
    let is_http = ["http", "https", "ws", "wss"].iter().any(|http| scheme.eq_ignore_ascii_case(http));
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    parse_http(text).ok_or(if is_scheme && !is_http { NoUrl::Elsewhere } else { NoUrl::Malformed })
}

fn parse_http(text: &str) -> Option<Url> {
    let (scheme, rest) = text.trim().split_once("://")?;
    let (scheme, default_port) = match scheme.to_ascii_lowercase().as_str() {
        "http" | "ws" => ("http", 80),
        "https" | "wss" => ("https", 443),
        _ => return None,
    };
    let rest = rest.split('#').next()?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '\\']).unwrap_or(rest.len()));
    let authority = authority.rsplit('@').next()?;
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (host, after) = bracketed.split_once(']')?;
            (host, after.strip_prefix(':').unwrap_or_default())
        }
        None => authority.split_once(':').unwrap_or((authority, "")),
    };
    let port = if port.is_empty() { default_port } else { port.parse().ok()? };
    if host.is_empty() {
        return None;
    }
    let slash = if path.starts_with('/') { "" } else { "/" };
    Some(Url {
        scheme,
        host: host.to_owned(),
        port,
        authority: authority.to_owned(),
        path: format!("{slash}{path}"),
    })
}

/// Of a host that no URL can have. It is nobody's (RFC 6761 §6.4).
const NO_HOST: &str = "invalid";

/// The URL of a request. Text stands in it as it crossed; what no URL has is percent-encoded.
///
/// Differs from mitmproxy, which writes any Host header into it (`http://b.example::080/`): the header is among the entry's
/// fields in any case, and where it says no host, the URL says where the request went.
pub(super) fn write(request: &Request) -> String {
    let host = request.url_host().unwrap_or(UrlHost { host: Cow::Borrowed(NO_HOST), port: request.port });
    if request.is_connect() {
        return format!("https://{host}/");
    }
    let is_tls = &*request.scheme == b"https" || &*request.scheme != b"http" && host.port == 443;
    let mut url = host.origin(if is_tls { "https" } else { "http" });
    let path = if &*request.path == b"*" { b"" } else { &*request.path };
    if !matches!(path.first(), Some(b'/') | None) {
        url.push('/');
    }
    let escape = |url: &mut String, bytes: &[u8]| {
        // Writing to a `String` cannot fail.
        bytes.iter().for_each(|byte| _ = write!(url, "%{byte:02X}"));
    };
    for chunk in path.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '#' || c.is_control() || c.is_whitespace() {
                escape(&mut url, c.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                url.push(c);
            }
        }
        escape(&mut url, chunk.invalid());
    }
    url
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use flowgate_flow::{Body, Headers, HttpVersion, PseudoFields, Timestamp};
    use proptest::prelude::*;

    use super::*;

    fn request(host_header: &str, destination: &str, path: &[u8]) -> Request {
        Request {
            version: HttpVersion::Http11,
            method: "GET".into(),
            scheme: "http".into(),
            host: destination.to_owned(),
            port: 8080,
            authority: Bytes::new(),
            path: path.to_vec().into(),
            pseudo: PseudoFields::default(),
            headers: [("Host", host_header)].into_iter().collect::<Headers>(),
            body: Body::EMPTY,
            trailers: None,
            timestamp_start: Timestamp(0.0),
            timestamp_end: None,
        }
    }

    /// `b.example::080` as a Host header made URLs that nobody could read, this crate neither.
    #[test]
    fn written_of_requests() {
        for (host_header, destination, path, expected) in [
            ("b.example:8080", "a.test", &b"/a?b"[..], "http://b.example:8080/a?b"),
            ("b.example::080", "a.test", b"/", "http://a.test:8080/"),
            ("a b", "a b", b"/", "http://invalid:8080/"),
            ("", "", b"/", "http://invalid:8080/"),
            ("b.example", "a.test", b"*", "http://b.example"),
            ("b.example", "a.test", b".evil.test/", "http://b.example/.evil.test/"),
            ("b.example", "a.test", b"?q", "http://b.example/?q"),
            (
                "b.example",
                "a.test",
                b"/\xc3\xbc\xff #\r\n\xc2\x85%41",
                "http://b.example/\u{fc}%FF%20%23%0D%0A%C2%85%41",
            ),
        ] {
            assert_eq!(
                write(&request(host_header, destination, path)),
                expected,
                "{host_header} {destination}"
            );
        }
        let mut odd = request("b.example:443", "a.test", b"/");
        odd.scheme = Bytes::new();
        assert_eq!(write(&odd), "https://b.example/");
        odd.method = "CONNECT".into();
        odd.authority = "b.example:443".into();
        assert_eq!(write(&odd), "https://b.example:443/");
        odd.authority = "\t".into();
        assert_eq!(write(&odd), "https://a.test:8080/");
    }

    proptest! {
        #[test]
        fn what_is_written_is_a_url(
            method in "GET|CONNECT|",
            scheme in "http|https|ftp|HTTP|",
            host_header in r"[a-z0-9.:@/\[\]%\\#? ~\u{fc}-]{0,12}|.{0,8}",
            destination in r"[a-z0-9.:%-]{0,12}|.{0,8}",
            path in r"[/*?#\\@:a]{0,8}|.{0,8}",
            authority in r"[a-z0-9.:]{0,8}",
        ) {
            let mut request = request(&host_header, &destination, path.as_bytes());
            request.method = method.into_bytes().into();
            request.scheme = scheme.into_bytes().into();
            request.authority = authority.into_bytes().into();
            let text = write(&request);
            let url = parse(&text).unwrap();
            let host = request.url_host();
            prop_assert_eq!(&*url.host, host.as_ref().map_or(NO_HOST, |host| &*host.host), "{}", text);
            prop_assert_eq!(url.port, host.map_or(request.port, |host| host.port));
            prop_assert!(!text.contains(|c: char| c.is_control() || c.is_whitespace() || c == '#'), "{}", text);
            if request.path.starts_with(b"/") && !request.is_connect() && url.path.is_ascii() && !url.path.contains('%') {
                prop_assert_eq!(url.path.as_bytes(), &*request.path);
            }
        }
    }

    #[test]
    fn urls() {
        for (text, expected) in [
            ("http://h", Ok(("http", "h", 80, "h", "/"))),
            ("HTTPS://u:p@h:8443/a?b#c", Ok(("https", "h", 8443, "h:8443", "/a?b"))),
            ("wss://h?q", Ok(("https", "h", 443, "h", "/?q"))),
            ("http://[::1]:1/x", Ok(("http", "::1", 1, "[::1]:1", "/x"))),
            ("https://h/?=", Ok(("https", "h", 443, "h", "/?="))),
            ("data:text/plain,x", Err(NoUrl::Elsewhere)),
            ("blob:https://h/x", Err(NoUrl::Elsewhere)),
            ("chrome-extension://h/x", Err(NoUrl::Elsewhere)),
            ("http://", Err(NoUrl::Malformed)),
            ("http://h:99999/", Err(NoUrl::Malformed)),
            ("no url", Err(NoUrl::Malformed)),
            ("/path:1", Err(NoUrl::Malformed)),
            ("", Err(NoUrl::Malformed)),
        ] {
            let url = parse(text);
            let parts =
                url.as_ref().map(|url| (url.scheme, &*url.host, url.port, &*url.authority, &*url.path));
            let parts = parts.map_err(|error| *error);
            assert_eq!(parts, expected, "{text}");
        }
    }
}
