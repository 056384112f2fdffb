//! `stickycookie`: cookies that servers set are remembered, and added to requests that a filter means.
//!
//! Which cookie belongs to which request is RFC 6265's business (domain, path, expiry), and the port's: a cookie stays with the
//! port it came from, as in mitmproxy. Differs from mitmproxy: `Domain=example.com` needs no leading dot, a path ends at a slash,
//! a cookie that has expired meanwhile is not sent, and cookies that the client sends itself stay unless the jar knows them by
//! name.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use flowgate_filter::Filter;
use flowgate_flow::{Headers, MetadataValue, Request};
use flowgate_proxy::{HookFuture, LiveFlow};

use crate::date;
use crate::decoding::Decoding;
use crate::limits::{COOKIE_BYTES_MAX, COOKIES_KEPT_MAX};
use crate::on_request::RequestFeature;

/// The addon.
#[derive(Debug)]
pub(crate) struct StickyCookie {
    filter: Filter,
    jar: Arc<Mutex<Jar>>,
}

impl StickyCookie {
    pub(crate) const fn new(filter: Filter, jar: Arc<Mutex<Jar>>) -> Self {
        Self { filter, jar }
    }
}

impl RequestFeature for StickyCookie {
    fn name(&self) -> &str {
        "stickycookie"
    }

    fn reads_bodies(&self) -> bool {
        self.filter.reads_bodies()
    }

    fn act<'a>(&'a self, flow: &'a mut LiveFlow) -> HookFuture<'a> {
        if self.filter.matches(flow.flow(), &Decoding) {
            // What is behind a poisoned lock is whole: it is one list.
            let jar = self.jar.lock().unwrap_or_else(PoisonError::into_inner);
            if jar.add_to(flow.request_mut(), date::now()) {
                drop(jar);
                flow.note("stickycookie", MetadataValue::Bool(true));
            }
        }
        HookFuture::DONE
    }

    fn responseheaders<'a>(&'a self, flow: &'a mut LiveFlow) -> HookFuture<'a> {
        if let Some(response) = flow.response().filter(|response| response.headers.contains("set-cookie")) {
            let mut jar = self.jar.lock().unwrap_or_else(PoisonError::into_inner);
            jar.learn(flow.request(), &response.headers, date::now());
        }
        HookFuture::DONE
    }
}

/// Cookies, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Jar(Vec<Cookie>);

#[derive(Clone, Debug, Eq, PartialEq)]
struct Cookie {
    name: Vec<u8>,
    value: Vec<u8>,
    /// In lower case, without a leading dot.
    domain: String,
    /// Whether hosts below the domain get it, too.
    for_subdomains: bool,
    port: u16,
    path: Vec<u8>,
    /// In seconds since 1970; `None` for as long as we run.
    expires: Option<i64>,
}

impl Jar {
    /// Remembers what a response to a request sets, and forgets what it takes back. `now` in seconds since 1970.
    pub(crate) fn learn(&mut self, request: &Request, response: &Headers, now: i64) {
        for line in response.get_all("set-cookie") {
            let Some(cookie) = parse(line, request, now) else { continue };
            let is_same = |known: &Cookie| {
                (&known.name, &known.domain, known.port, &known.path)
                    == (&cookie.name, &cookie.domain, cookie.port, &cookie.path)
            };
            let known = self.0.iter().position(is_same);
            match known.and_then(|at| self.0.get_mut(at)) {
                Some(_) if has_expired(&cookie, now) => {
                    self.0.retain(|known| !is_same(known));
                }
                // It keeps its place: servers see cookies in the order in which they set them.
                Some(known) => *known = cookie,
                None if has_expired(&cookie, now) => {}
                None => {
                    if self.0.len() >= COOKIES_KEPT_MAX {
                        self.0.remove(0);
                    }
                    self.0.push(cookie);
                }
            }
        }
    }

    /// Adds what belongs to a request; says whether anything did.
    pub(crate) fn add_to(&self, request: &mut Request, now: i64) -> bool {
        let meant = |cookie: &&Cookie| {
            !has_expired(cookie, now)
                && cookie.port == request.port
                && domain_matches(&request.host, cookie)
                && path_matches(&request.path, &cookie.path)
        };
        let ours: Vec<&Cookie> = self.0.iter().filter(meant).collect();
        if ours.is_empty() {
            return false;
        }
        let mut pairs: Vec<Vec<u8>> =
            ours.iter().map(|cookie| [cookie.name.as_slice(), cookie.value.as_slice()].join(&b'=')).collect();
        for value in request.headers.get_all("cookie") {
            for pair in
                value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty())
            {
                let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
                if !ours.iter().any(|cookie| cookie.name == name) {
                    pairs.push(pair.to_vec());
                }
            }
        }
        request.headers.set("Cookie", pairs.join(&b"; "[..]));
        true
    }
}

/// Reads a `Set-Cookie` value (RFC 6265 section 5.2). `None` if it is none, or not for the host to set.
fn parse(line: &[u8], request: &Request, now: i64) -> Option<Cookie> {
    let mut parts = line.split(|byte| *byte == b';');
    let (name, value) = pair(parts.next()?);
    let value = value?;
    if name.is_empty() || name.len() + value.len() > COOKIE_BYTES_MAX {
        return None;
    }
    let (mut domain, mut path, mut expires, mut max_age) = (None, None, None, None);
    for part in parts {
        let (name, value) = pair(part);
        let value = value.unwrap_or_default();
        match name.to_ascii_lowercase().as_slice() {
            b"domain" => domain = std::str::from_utf8(value).ok(),
            b"path" => path = Some(value).filter(|path| path.starts_with(b"/")),
            b"expires" => expires = std::str::from_utf8(value).ok().and_then(date::parse).or(expires),
            b"max-age" => {
                max_age = std::str::from_utf8(value).ok().and_then(|age| age.parse::<i64>().ok()).or(max_age)
            }
            _ => {}
        }
    }
    let host = request.host.to_ascii_lowercase();
    let domain = domain.map(|domain| domain.strip_prefix('.').unwrap_or(domain).to_ascii_lowercase());
    let domain = domain.filter(|domain| !domain.is_empty());
    let cookie = Cookie {
        name: name.to_vec(),
        value: value.to_vec(),
        for_subdomains: domain.is_some(),
        domain: domain.unwrap_or_else(|| host.clone()),
        port: request.port,
        // Differs from RFC 6265, whose default is the folder of the request: as in mitmproxy.
        path: path.unwrap_or(b"/").to_vec(),
        // RFC 6265 section 5.3: Max-Age counts before Expires.
        expires: max_age.map(|age| now.saturating_add(age.max(0))).or(expires),
    };
    domain_matches(&host, &cookie).then_some(cookie)
}

/// Name and value around the first `=`, without white space.
fn pair(part: &[u8]) -> (&[u8], Option<&[u8]>) {
    match part.iter().position(|byte| *byte == b'=') {
        Some(at) => {
            let (name, value) = part.split_at(at);
            (name.trim_ascii(), value.get(1..).map(<[u8]>::trim_ascii))
        }
        None => (part.trim_ascii(), None),
    }
}

fn has_expired(cookie: &Cookie, now: i64) -> bool {
    cookie.expires.is_some_and(|expires| expires <= now)
}

/// RFC 6265 section 5.1.3.
fn domain_matches(host: &str, cookie: &Cookie) -> bool {
    if host.eq_ignore_ascii_case(&cookie.domain) {
        return true;
    }
    let below = host.len().checked_sub(cookie.domain.len()).and_then(|at| host.split_at_checked(at));
    let is_below =
        below.is_some_and(|(front, end)| front.ends_with('.') && end.eq_ignore_ascii_case(&cookie.domain));
    cookie.for_subdomains && is_below && host.parse::<IpAddr>().is_err()
}

/// RFC 6265 section 5.1.4.
fn path_matches(path: &[u8], cookie_path: &[u8]) -> bool {
    let path = path.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
    path.strip_prefix(cookie_path)
        .is_some_and(|rest| rest.is_empty() || cookie_path.ends_with(b"/") || rest.starts_with(b"/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    const NOW: i64 = 1_000_000_000;

    /// What a request to `then` carries after a response to `first` has set `set`.
    fn carried(first: &str, set: &[&str], then: &str, own: Option<&str>) -> String {
        let mut jar = Jar::default();
        let headers: Headers = set.iter().map(|line| ("Set-Cookie", *line)).collect();
        jar.learn(testing::request(&testing::flow(&format!("GET {first}"), &[])), &headers, NOW);
        let own: Vec<_> = own.map(|own| ("cookie", own)).into_iter().collect();
        let mut request = testing::request(&testing::flow(&format!("GET {then}"), &own)).clone();
        jar.add_to(&mut request, NOW + 10);
        request
            .headers
            .get("cookie")
            .map_or_else(String::new, |value| String::from_utf8_lossy(value).into_owned())
    }

    #[test]
    fn which_request_gets_which_cookie() {
        let host = "http://www.example.com/";
        for (set, then, expected) in [
            (&["a=1"][..], "http://www.example.com/x", "a=1"),
            (&["a=1", "b=2; Path=/x", "a=3"], "http://www.example.com/x/y?q", "a=3; b=2"),
            (&["b=2; Path=/x"], "http://www.example.com/xy", ""),
            (&["a=1"], "http://example.com/", ""),
            (&["a=1"], "http://www.example.com:81/", ""),
            (&["a=1; Domain=.example.com"], "http://other.example.com/", "a=1"),
            (&["a=1; domain=EXAMPLE.com"], "http://example.com/", "a=1"),
            (&["a=1; Domain=ample.com"], "http://www.example.com/", ""),
            (&["a=1; Domain=example.org"], "http://example.org/", ""),
            (&["a=1; Max-Age=5"], host, ""),
            (&["a=1; Max-Age=50; Expires=Thu, 01 Jan 1970 00:00:00 GMT"], host, "a=1"),
            (&["a=1", "a=; Max-Age=0"], host, ""),
            (&["a=1", "a=; Expires=Thu, 01-Jan-1970 00:00:00 GMT"], host, ""),
            (&["a=\"x y\"; Secure; HttpOnly"], host, "a=\"x y\""),
            (&["a=b=c"], host, "a=b=c"),
            (&["nothing", "=x", ""], host, ""),
        ] {
            assert_eq!(carried(host, set, then, None), expected, "{set:?} {then}");
        }
        assert_eq!(carried("http://10.0.0.1/", &["a=1; Domain=0.0.1"], "http://10.0.0.1/", None), "");
        assert_eq!(carried(host, &["a=1"], host, Some("b=2; a=0;c")), "a=1; b=2; c");
        assert_eq!(carried(host, &[], host, Some("b=2")), "b=2");
    }

    #[test]
    fn the_jar_is_bounded() {
        let mut jar = Jar::default();
        let request = testing::request(&testing::flow("GET http://a/", &[])).clone();
        for index in 0..COOKIES_KEPT_MAX + 2 {
            jar.learn(&request, &[("Set-Cookie", format!("{index}=x"))].into_iter().collect(), NOW);
        }
        assert_eq!((jar.0.len(), jar.0[0].name.as_slice()), (COOKIES_KEPT_MAX, &b"2"[..]));
        let long = format!("long={}", "x".repeat(COOKIE_BYTES_MAX));
        jar.learn(&request, &[("Set-Cookie", long)].into_iter().collect(), NOW);
        assert!(!jar.0.iter().any(|cookie| cookie.name == b"long"));
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(line in "[a=; ,A-Z0-9.\"-]{0,40}", host in "[a.]{0,9}") {
            let mut request = testing::request(&testing::flow("GET http://a/", &[])).clone();
            request.host = host;
            let _ = parse(line.as_bytes(), &request, NOW);
        }
    }
}
