//! URLs of entries, taken apart into what a request holds.

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

#[cfg(test)]
mod tests {
    use super::*;

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
