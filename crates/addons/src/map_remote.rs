//! `map_remote`: requests sent to another address. What the rules make of a URL is told as a [`Target`].
//!
//! Patterns are searched in the URL as the request says it (its `Host` field counts), and replaced as by Python's `re.sub`:
//! everywhere, with references to groups. All rules are applied, one after the other.

use std::borrow::Cow;
use std::net::IpAddr;

use bytes::Bytes;
use flowgate_filter::Case;
use flowgate_flow::{Address, Flow, FlowKind, HostFrom, Request};
use flowgate_options::Level;
use flowgate_pattern::{Finder, Template};
use flowgate_proxy::{HookFuture, LiveFlow, NameHost};

use crate::error::{FeatureError, FeatureFault};
use crate::limits::MAPPED_URL_BYTES_MAX;
use crate::log::Log;
use crate::on_request::RequestFeature;
use crate::spec::{Condition, Entry};

const EXPECTED: &str = "`[/filter]/url-regex/replacement`";

/// The rules of `map_remote`.
#[derive(Clone, Debug)]
pub(crate) struct MapRemote {
    rules: Vec<Rule>,
    log: Log,
}

#[derive(Clone, Debug)]
struct Rule {
    condition: Condition,
    pattern: Finder,
    replacement: Template,
}

/// Where a request is to go.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Target {
    pub(crate) scheme: &'static str,
    /// IPv6 without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) path: Bytes,
}

/// Why a request keeps its address.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum NotMapped {
    #[error("map_remote[{rule}]: what the replacement makes is no URL of http or https")]
    NoUrl { rule: usize },
    #[error("map_remote[{rule}]: the search was given up")]
    GaveUp { rule: usize },
}

impl Target {
    /// The value of a `Host` field.
    pub(crate) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let default = if self.scheme == "https" { 443 } else { 80 };
        if self.port == default { host } else { format!("{host}:{}", self.port) }
    }
}

impl Target {
    /// Changes a request to go there, and to say so.
    fn apply(&self, request: &mut Request) {
        let authority = self.authority();
        request.scheme = Bytes::from_static(self.scheme.as_bytes());
        request.host.clone_from(&self.host);
        request.port = self.port;
        request.path = self.path.clone();
        if !request.authority.is_empty() {
            request.authority = Bytes::copy_from_slice(authority.as_bytes());
        }
        if request.headers.contains("host") {
            request.headers.set("Host", authority);
        }
    }
}

impl MapRemote {
    pub(crate) fn parse(texts: &[String], case: Case, log: Log) -> Result<Self, FeatureError> {
        let rule = |entry: Entry<'_>| {
            let (condition, subject, replacement) = entry.three(case, EXPECTED)?;
            let pattern = entry.text_pattern(subject)?;
            let replacement = Template::parse(replacement.text, &pattern).map_err(|error| {
                entry.error(replacement.column + error.position, FeatureFault::Replacement(error.fault))
            })?;
            Ok(Rule { condition, pattern, replacement })
        };
        let rules = Entry::all("map_remote", texts).map(rule).collect::<Result<_, _>>()?;
        Ok(Self { rules, log })
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Where a request is to go, if that is another place. Each rule sees what those before it made of the request.
    ///
    /// # Errors
    /// If a rule makes no URL of it: then the request stays as it is.
    pub(crate) fn target(&self, flow: &Flow) -> Result<Option<Target>, NotMapped> {
        let (mut flow, mut changed) = (Cow::Borrowed(flow), None);
        for (index, rule) in self.rules.iter().enumerate() {
            if !rule.condition.holds(&flow) {
                continue;
            }
            let FlowKind::Http(http) = &flow.kind else { continue };
            let url = String::from_utf8_lossy(&http.request.url(HostFrom::Header)).into_owned().into_bytes();
            let expand = |spans: &_, out: &mut Vec<u8>| rule.replacement.expand(spans, &url, out);
            let replaced = rule.pattern.replace(&url, usize::MAX, expand);
            let replaced = replaced.map_err(|_| NotMapped::GaveUp { rule: index })?;
            if let Some(replaced) = replaced.filter(|replaced| *replaced != url) {
                let target = parse_url(&replaced).ok_or(NotMapped::NoUrl { rule: index })?;
                if let FlowKind::Http(http) = &mut flow.to_mut().kind {
                    target.apply(&mut http.request);
                }
                changed = Some(target);
            }
        }
        Ok(changed)
    }
}

impl RequestFeature for MapRemote {
    fn name(&self) -> &str {
        "map_remote"
    }

    fn reads_bodies(&self) -> bool {
        self.rules.iter().any(|rule| rule.condition.reads_bodies())
    }

    fn act<'a>(&'a self, flow: &'a mut LiveFlow) -> HookFuture<'a> {
        match self.target(flow.flow()) {
            Ok(None) => {}
            Ok(Some(target)) => {
                let to = Address { host: target.host, port: target.port };
                flow.redirect(target.scheme == "https", to, NameHost::New);
                flow.request_mut().path = target.path;
            }
            Err(error) => {
                self.log.line(Level::Warn, flow, format_args!("{error}; the request goes where it went"))
            }
        }
        HookFuture::DONE
    }
}

/// Scheme, host, port, and path with query; a fragment stays with the path as it stands.
fn parse_url(url: &[u8]) -> Option<Target> {
    let url = std::str::from_utf8(url).ok().filter(|url| url.len() <= MAPPED_URL_BYTES_MAX)?;
    let (scheme, rest) = url.split_once("://")?;
    let (scheme, default) = match scheme.to_ascii_lowercase().as_str() {
        "http" => ("http", 80),
        "https" => ("https", 443),
        _ => return None,
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (host, behind) = bracketed.split_once(']')?;
            (host.parse::<IpAddr>().ok().filter(IpAddr::is_ipv6).map(|_| host)?, behind.strip_prefix(':'))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let is_host = !host.is_empty()
        && host.len() <= 255
        && host.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':'));
    let port = match port {
        None | Some("") => default,
        Some(port) => port.parse().ok().filter(|port| *port != 0)?,
    };
    let is_path = !path.chars().any(|c| c.is_control() || c == ' ');
    let slash = if path.starts_with('/') { "" } else { "/" };
    let path = Bytes::from(format!("{slash}{path}"));
    (is_host && is_path).then(|| Target { scheme, host: host.to_owned(), port, path })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn rules(texts: &[&str]) -> Result<MapRemote, FeatureError> {
        let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
        MapRemote::parse(&texts, Case::Ignored, Log::silent())
    }

    fn mapped(texts: &[&str], line: &str, headers: &[(&str, &str)]) -> String {
        match rules(texts).unwrap().target(&testing::flow(line, headers)) {
            Ok(None) => "unchanged".to_owned(),
            Ok(Some(target)) => {
                let path = String::from_utf8_lossy(&target.path).into_owned();
                format!("{} {} {} {path} ({})", target.scheme, target.host, target.port, target.authority())
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn addresses() {
        for (texts, url, expected) in [
            (
                &["|//example.com/|//localhost:8000/"][..],
                "http://example.com/a?b",
                "http localhost 8000 /a?b (localhost:8000)",
            ),
            (&["|http://(.+?)/x|https://\\1:444/y"], "http://a.b/x", "https a.b 444 /y (a.b:444)"),
            (&["|example.com|[::1]:80"], "http://example.com/", "http ::1 80 / ([::1])"),
            (&["/a/b", "/b/c"], "http://a/a", "http c 80 /c (c)"),
            (&["|//a/|//b/", "|~d b|/x|/y"], "http://a/x", "http b 80 /y (b)"),
            (&["/~m post/a/b"], "http://a/", "unchanged"),
            (&["/a/a"], "http://a/", "unchanged"),
            (&["|^https|http"], "https://a:443/", "http a 80 / (a)"),
            (
                &["|http://a/|b"],
                "http://a/",
                "map_remote[0]: what the replacement makes is no URL of http or https",
            ),
            (
                &["|//a|//a b"],
                "http://a/",
                "map_remote[0]: what the replacement makes is no URL of http or https",
            ),
            (&["|//a/|//a?"], "http://a/", "http a 80 /? (a)"),
        ] {
            assert_eq!(mapped(texts, &format!("GET {url}"), &[]), expected, "{texts:?}");
        }
        // The Host field counts.
        assert_eq!(
            mapped(&["|//said|//mapped"], "GET http://127.0.0.1/", &[("Host", "said:81")]),
            "http mapped 81 / (mapped:81)"
        );
    }

    #[test]
    fn a_url_may_be_so_long_and_no_longer() {
        let url = |length: usize| format!("http://a/{}", "x".repeat(length - 9)).into_bytes();
        assert!(parse_url(&url(MAPPED_URL_BYTES_MAX)).is_some());
        assert!(parse_url(&url(MAPPED_URL_BYTES_MAX + 1)).is_none());
    }

    #[test]
    fn mistakes() {
        for (text, told) in [
            (r"/(a/\2", "map_remote[0] at column 2: missing ), unterminated subpattern"),
            (r"/(a)/x\2", "map_remote[0] at column 7: invalid group reference 2"),
            (
                "/a",
                "map_remote[0]: expected `[/filter]/url-regex/replacement`, where the first character is the separator",
            ),
        ] {
            assert_eq!(rules(&[text]).unwrap_err().to_string(), told);
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(url in "(https?://)?[a-z.:@\\[\\]/?#é]{0,20}") {
            if let Some(target) = parse_url(url.as_bytes()) {
                proptest::prop_assert!(target.path.starts_with(b"/"));
            }
        }
    }
}
