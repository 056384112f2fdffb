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

/// `None` for what no request was sent for: `data:`, `blob:`, and what is no URL.
pub(super) fn parse(text: &str) -> Option<Url> {
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
            ("http://h", Some(("http", "h", 80, "h", "/"))),
            ("HTTPS://u:p@h:8443/a?b#c", Some(("https", "h", 8443, "h:8443", "/a?b"))),
            ("wss://h?q", Some(("https", "h", 443, "h", "/?q"))),
            ("http://[::1]:1/x", Some(("http", "::1", 1, "[::1]:1", "/x"))),
            ("https://h/?=", Some(("https", "h", 443, "h", "/?="))),
            ("data:text/plain,x", None),
            ("blob:https://h/x", None),
            ("http://", None),
            ("http://h:99999/", None),
            ("", None),
        ] {
            let url = parse(text);
            let parts =
                url.as_ref().map(|url| (url.scheme, &*url.host, url.port, &*url.authority, &*url.path));
            assert_eq!(parts, expected, "{text}");
        }
    }
}
