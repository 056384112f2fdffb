//! What a proxy must do to a head before it passes it on: the fields that belong to one connection (RFC 9110
//! section 7.6.1), and nothing else.
//!
//! `Connection` itself may stay, as our own word to the next hop, if it says no more than what we do: `close`,
//! `keep-alive`, `upgrade`, and `TE` for trailers. So most heads cross unchanged.

use bytes::Bytes;
use flowgate_flow::{Field, Headers, HttpVersion, Request};
use flowgate_wire::http1::is_head_only;

/// Fields that never cross, nominated or not.
const ALWAYS_REMOVED: [&str; 4] =
    ["proxy-connection", "proxy-authorization", "proxy-authenticate", "keep-alive"];

/// Fields that `Connection` may nominate and that cross all the same, since we carry out what they say.
const KEPT_OPTIONS: [&str; 4] = ["close", "keep-alive", "upgrade", "te"];

/// Removes what belongs to the connection it came on.
pub(crate) fn remove_connection_fields(headers: &mut Headers) {
    // Lengths first: most fields are none of these, and of most of the others nothing has to go.
    let may_have_to_go = |field: Field<'_>| {
        let is_removed = || ALWAYS_REMOVED.iter().any(|name| field.is(name));
        match field.name.len() {
            10 if field.is("connection") => !options(field.value).all(is_kept),
            2 => field.is("te"),
            _ => is_removed(),
        }
    };
    if headers.with_name_len(|len| matches!(len, 2 | 10 | 16 | 18 | 19)).any(may_have_to_go) {
        remove(headers);
    }
}

fn remove(headers: &mut Headers) {
    headers.retain(|field| !ALWAYS_REMOVED.iter().any(|name| field.is(name)));
    let connection = headers.get_all("connection").flat_map(options).map(<[u8]>::to_vec);
    let (mut kept, mut nominated): (Vec<_>, Vec<_>) = connection.partition(|option| is_kept(option));
    let codings: Vec<_> = headers.get_all("te").flat_map(options).map(<[u8]>::to_vec).collect();
    // What a peer would take besides trailers it is never sent (RFC 9110 section 10.1.4): a transfer coding is taken off or refused here.
    let is_trailers = |member: &Vec<u8>| member.eq_ignore_ascii_case(b"trailers");
    if !codings.iter().all(is_trailers) {
        if codings.iter().any(is_trailers) {
            headers.set("TE", "trailers");
        } else {
            headers.remove("te");
            let (te, others) =
                kept.into_iter().partition(|option: &Vec<u8>| option.eq_ignore_ascii_case(b"te"));
            kept = others;
            nominated.extend::<Vec<_>>(te);
        }
    }
    if nominated.is_empty() {
        return;
    }
    // A client that nominates what frames or addresses the message would have us cut it in two.
    headers.retain(|field| is_head_only(field.name) || !nominated.iter().any(|name| field.is(name)));
    if kept.is_empty() {
        headers.remove("connection");
    } else {
        headers.set("Connection", kept.join(&b", "[..]));
    }
}

fn is_kept(option: &[u8]) -> bool {
    KEPT_OPTIONS.iter().any(|kept| option.eq_ignore_ascii_case(kept.as_bytes()))
}

/// Makes a request name `host` as its host, and nothing else (RFC 9110 section 7.2).
pub(crate) fn name_host(request: &mut Request, host: &str) {
    if !request.authority.is_empty() || !request.version.is_http1() {
        request.authority = Bytes::copy_from_slice(host.as_bytes());
    }
    if request.headers.contains("host") {
        request.headers.set("Host", host);
    } else if request.version.is_http1() {
        request.headers.insert(0, "Host", host);
    }
}

/// Whether a message leaves its connection open for another (RFC 9112 section 9.3).
pub(crate) fn wants_to_persist(version: &HttpVersion, headers: &Headers) -> bool {
    let mut keep_alive = *version == HttpVersion::Http11;
    for option in headers.get_all("connection").flat_map(options) {
        if option.eq_ignore_ascii_case(b"close") {
            return false;
        }
        keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
    }
    keep_alive
}

/// The fields of a response to a client of HTTP/1.0 whose connection stays open: it takes that for granted only if it is told
/// (RFC 9112 section 9.3).
pub(crate) fn say_keep_alive(headers: &Headers) -> Headers {
    let mut told = headers.clone();
    let mut said = headers.get_all("connection").flat_map(options);
    if !said.any(|option| option.eq_ignore_ascii_case(b"keep-alive")) {
        told.push("Connection", "keep-alive");
    }
    told
}

/// Whether a request asks to switch protocols (RFC 9110 section 7.8).
pub(crate) fn asks_to_upgrade(headers: &Headers) -> bool {
    headers.contains("upgrade")
        && headers
            .get_all("connection")
            .any(|value| options(value).any(|o| o.eq_ignore_ascii_case(b"upgrade")))
}

/// Whether a request asks for a protocol to which only HTTP/1.1 can switch. `h2c` is none: HTTP/2 is what it would come to, and
/// RFC 9113 took it back.
pub(crate) fn asks_to_leave_http(headers: &Headers) -> bool {
    asks_to_upgrade(headers) && protocols(headers).iter().any(|protocol| protocol != b"h2c")
}

/// The protocols that `Upgrade` names, in lower case.
pub(crate) fn protocols(headers: &Headers) -> Vec<Vec<u8>> {
    headers.get_all("upgrade").flat_map(options).map(<[u8]>::to_ascii_lowercase).collect()
}

/// The members of a comma-separated list.
fn options(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|option| !option.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(fields: &[(&str, &str)]) -> Vec<String> {
        let mut headers: Headers = fields.iter().copied().collect();
        remove_connection_fields(&mut headers);
        headers.iter().map(|f| String::from_utf8_lossy(f.line).into_owned()).collect()
    }

    #[test]
    fn only_what_belongs_to_the_connection_goes() {
        let plain = [("Host", "a"), ("Connection", "keep-alive"), ("X", "1")];
        assert_eq!(after(&plain), ["Host: a", "Connection: keep-alive", "X: 1"]);
        let proxy = [
            ("Proxy-Connection", "keep-alive"),
            ("a", "b"),
            ("PROXY-AUTHORIZATION", "Basic x"),
            ("Keep-Alive", "5"),
        ];
        assert_eq!(after(&proxy), ["a: b"]);
        let nominated = [("Connection", "close, X-Hop"), ("x-hop", "1"), ("X-Hop", "2"), ("x-hops", "3")];
        assert_eq!(after(&nominated), ["Connection: close", "x-hops: 3"]);
        assert_eq!(after(&[("connection", "foo"), ("FOO", "1")]), [""; 0]);
        let upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket")];
        assert_eq!(after(&upgrade), ["Connection: Upgrade", "Upgrade: websocket"]);
        let te = [("Connection", "close, TE"), ("TE", "Trailers")];
        assert_eq!(after(&te), ["Connection: close, TE", "TE: Trailers"]);
        let te = [("Connection", "TE"), ("te", "gzip;q=0.5, trailers"), ("TE", "deflate")];
        assert_eq!(after(&te), ["Connection: TE", "TE: trailers"]);
        assert_eq!(after(&[("Connection", "close, te"), ("TE", "gzip")]), ["Connection: close"]);
        assert_eq!(after(&[("Connection", "te"), ("TE", "gzip")]), [""; 0]);
    }

    #[test]
    fn a_request_names_one_host() {
        let check = |version: HttpVersion, authority: &str, fields: &[(&str, &str)], expected: &[&str]| {
            let mut request = Request {
                version,
                method: Bytes::from_static(b"GET"),
                scheme: Bytes::new(),
                host: String::new(),
                port: 0,
                authority: Bytes::copy_from_slice(authority.as_bytes()),
                path: Bytes::from_static(b"/"),
                pseudo: flowgate_flow::PseudoFields::default(),
                headers: fields.iter().copied().collect(),
                body: flowgate_flow::Body::EMPTY,
                trailers: None,
                timestamp_start: crate::clock::now(),
                timestamp_end: None,
            };
            name_host(&mut request, "new:1");
            let fields = request.headers.iter().map(|f| String::from_utf8_lossy(f.line).into_owned());
            let all: Vec<_> = std::iter::once(String::from_utf8_lossy(&request.authority).into_owned())
                .chain(fields)
                .collect();
            assert_eq!(all, expected);
        };
        check(
            HttpVersion::Http11,
            "",
            &[("a", "1"), ("host", "x"), ("Host", "y")],
            &["", "a: 1", "Host: new:1"],
        );
        check(HttpVersion::Http10, "", &[("a", "1")], &["", "Host: new:1", "a: 1"]);
        check(HttpVersion::Http11, "x", &[("Host", "x")], &["new:1", "Host: new:1"]);
        check(HttpVersion::Http2, "x", &[("a", "1")], &["new:1", "a: 1"]);
    }

    #[test]
    fn framing_cannot_be_nominated_away() {
        let fields = [
            ("Connection", "Content-Length, Host, Transfer-Encoding"),
            ("Host", "a"),
            ("Content-Length", "5"),
        ];
        assert_eq!(after(&fields), ["Host: a", "Content-Length: 5"]);
    }

    #[test]
    fn persistence_is_read_from_version_and_options() {
        let persists =
            |version, value: &str| wants_to_persist(&version, &[("Connection", value)].into_iter().collect());
        assert!(persists(HttpVersion::Http11, "x"));
        assert!(!persists(HttpVersion::Http11, "keep-alive, Close"));
        assert!(!persists(HttpVersion::Http10, ""));
        assert!(persists(HttpVersion::Http10, "Keep-Alive"));
    }
}
