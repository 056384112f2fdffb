//! `modify_headers`: header fields set and removed, as soon as a head is there.
//!
//! As in mitmproxy, all conditions are asked of the message as it came, then all named fields are removed, then those with a value
//! are added, in the order of the rules: two rules of one name make two fields.
//!
//! `Host` is the address of a request of HTTP/2, too, where it is written as `:authority`. Differs from mitmproxy, which sends a second
//! address beside the first.

use std::borrow::Cow;
use std::path::Path;

use bytes::Bytes;
use flowgate_filter::Case;
use flowgate_flow::{Flow, Headers, Request};
use flowgate_options::Level;
use flowgate_pattern::unescape;
use flowgate_proxy::{Addon, HookFuture, LiveFlow};

use crate::error::{FeatureError, FeatureFault};
use crate::log::Log;
use crate::replacement::Replacement;
use crate::spec::{Condition, Entry};

const EXPECTED: &str = "`[/filter]/name/[@]value`";

/// The rules of `modify_headers`.
#[derive(Clone, Debug)]
pub(crate) struct ModifyHeaders {
    rules: Vec<Rule>,
    log: Log,
}

#[derive(Clone, Debug)]
struct Rule {
    condition: Condition,
    name: Vec<u8>,
    value: Replacement,
}

/// A rule that is about a message, with what is to be written.
#[derive(Debug)]
pub(crate) struct Edit {
    name: Vec<u8>,
    value: Replacement,
}

impl ModifyHeaders {
    pub(crate) fn parse(
        texts: &[String],
        case: Case,
        home: Option<&Path>,
        log: Log,
    ) -> Result<Self, FeatureError> {
        let rule = |entry: Entry<'_>| {
            let (condition, name, value) = entry.three(case, EXPECTED)?;
            let bytes = unescape(name.text).ok().filter(|bytes| is_name(bytes));
            let bytes = bytes.ok_or_else(|| entry.error(name.column, FeatureFault::HeaderName))?;
            let column = value.column;
            let value = Replacement::parse(&entry, value, home)?;
            if !value.read().is_ok_and(|value| is_value(of_file(&value))) {
                return Err(entry.error(column, FeatureFault::HeaderValue));
            }
            Ok(Rule { condition, name: bytes, value })
        };
        let rules = Entry::all("modify_headers", texts).map(rule).collect::<Result<_, _>>()?;
        Ok(Self { rules, log })
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rules that are about a message.
    pub(crate) fn edits(&self, flow: &Flow) -> Vec<Edit> {
        let meant = self.rules.iter().filter(|rule| rule.condition.holds(flow));
        meant.map(|rule| Edit { name: rule.name.clone(), value: rule.value.clone() }).collect()
    }

    /// Changes the head that `fields` finds in a flow; `readdress` takes a `Host` that was written.
    fn act<'a>(
        &'a self,
        flow: &'a mut LiveFlow,
        fields: fn(&mut LiveFlow) -> Option<&mut Headers>,
        readdress: fn(&mut LiveFlow),
    ) -> HookFuture<'a> {
        let edits = self.edits(flow.flow());
        if edits.is_empty() {
            return HookFuture::DONE;
        }
        let names_host = edits.iter().any(|edit| edit.name.eq_ignore_ascii_case(b"host"));
        if !edits.iter().any(Edit::reads_a_file) {
            let problems = fields(flow).map(|headers| apply(&edits, headers)).unwrap_or_default();
            if names_host {
                readdress(flow);
            }
            self.tell(flow, &problems);
            return HookFuture::DONE;
        }
        HookFuture::new(async move {
            let Some(mut headers) = fields(flow).cloned() else { return };
            let applied = tokio::task::spawn_blocking(move || {
                let problems = apply(&edits, &mut headers);
                (headers, problems)
            });
            let Ok((headers, problems)) = applied.await else { return };
            if let Some(place) = fields(flow) {
                *place = headers;
            }
            if names_host {
                readdress(flow);
            }
            self.tell(flow, &problems);
        })
    }

    fn tell(&self, flow: &LiveFlow, problems: &[String]) {
        for problem in problems {
            self.log.line(Level::Warn, flow, format_args!("{problem}"));
        }
    }
}

impl Addon for ModifyHeaders {
    fn name(&self) -> &str {
        "modify_headers"
    }

    fn requestheaders<'a>(&'a self, flow: &'a mut LiveFlow) -> HookFuture<'a> {
        self.act(flow, |flow| Some(&mut flow.request_mut().headers), |flow| readdress(flow.request_mut()))
    }

    fn responseheaders<'a>(&'a self, flow: &'a mut LiveFlow) -> HookFuture<'a> {
        self.act(flow, |flow| flow.response_mut().map(|response| &mut response.headers), |_| {})
    }
}

/// A request of HTTP/2 has the address that was written into its fields.
fn readdress(request: &mut Request) {
    if request.version.is_http1() || request.authority.is_empty() {
        return;
    }
    let Some(host) = request.headers.get("host") else { return };
    request.authority = Bytes::copy_from_slice(host);
    request.headers.remove("host");
}

impl Edit {
    /// Whether a file has to be read for it.
    pub(crate) fn reads_a_file(&self) -> bool {
        self.value.file().is_some()
    }
}

/// Changes the fields; says which files could not be used, a line each. Blocks if an edit reads a file.
pub(crate) fn apply(edits: &[Edit], headers: &mut Headers) -> Vec<String> {
    let mut problems = Vec::new();
    for edit in edits {
        headers.remove(&edit.name);
    }
    for edit in edits {
        let value = match &edit.value {
            Replacement::Literal(value) => Cow::Borrowed(value.as_slice()),
            Replacement::File(path) => match edit.value.read() {
                Ok(value) => Cow::Owned(of_file(&value).to_vec()),
                Err(error) => {
                    problems.push(format!("modify_headers: cannot read {}: {error}", path.display()));
                    continue;
                }
            },
        };
        if !is_value(&value) {
            problems.push("modify_headers: a header value cannot have line ends or NUL".to_owned());
        } else if !value.is_empty() {
            headers.push(&edit.name, &value);
        }
    }
    problems
}

/// What a file says: without the line end that editors put behind it.
fn of_file(bytes: &[u8]) -> &[u8] {
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// A token (RFC 9110 section 5.6.2).
fn is_name(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
}

fn is_value(bytes: &[u8]) -> bool {
    !bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use flowgate_flow::HttpVersion;
    use std::fs;

    fn rules(texts: &[&str]) -> Result<ModifyHeaders, FeatureError> {
        let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
        ModifyHeaders::parse(&texts, Case::Ignored, None, Log::silent())
    }

    fn check(texts: &[&str], expected: &[&str]) {
        let flow = testing::flow("GET http://example.com/a", &[("A", "1"), ("b", "2"), ("a", "3")]);
        let mut headers = testing::request(&flow).headers.clone();
        let edits = rules(texts).unwrap().edits(&flow);
        assert!(apply(&edits, &mut headers).is_empty());
        let lines: Vec<_> = headers.iter().map(|field| String::from_utf8_lossy(field.line)).collect();
        assert_eq!(lines, expected, "{texts:?}");
    }

    #[test]
    fn fields_are_set_and_removed() {
        check(&["/a/new"], &["b: 2", "a: new"]);
        check(&["/A/"], &["b: 2"]);
        check(&["/c/x", "/c/y"], &["A: 1", "b: 2", "a: 3", "c: x", "c: y"]);
        check(&["/~d example/b/x", "/~d other/a/x"], &["A: 1", "a: 3", "b: x"]);
        // Conditions see the message as it came.
        check(&["/~hq b/a/", "/~hq a:/b/"], &[]);
        check(&[r"|~all|a|\x41/|"], &["b: 2", "a: A/|"]);
        check(&["/~s/a/"], &["A: 1", "b: 2", "a: 3"]);
    }

    /// A field beside `:authority` made two addresses, and such a request is not sent.
    #[test]
    fn a_host_is_the_address_of_http2() {
        let address = |version, authority: &'static str| {
            let mut request = testing::request(&testing::flow("GET http://example.com/a", &[])).clone();
            (request.version, request.authority) = (version, Bytes::from_static(authority.as_bytes()));
            request.headers.set("Host", "other.test");
            readdress(&mut request);
            let host = request.headers.get("host").map(|host| String::from_utf8_lossy(host).into_owned());
            (String::from_utf8_lossy(&request.authority).into_owned(), host)
        };
        let in_field = |authority: &str| (authority.to_owned(), Some("other.test".to_owned()));
        assert_eq!(address(HttpVersion::Http2, "a.test"), ("other.test".to_owned(), None));
        assert_eq!(address(HttpVersion::Http2, ""), in_field(""));
        assert_eq!(address(HttpVersion::Http11, "a.test"), in_field("a.test"));
    }

    #[test]
    fn mistakes() {
        for (text, told) in [
            ("/a b/c", "modify_headers[0] at column 2: not a header name"),
            ("//c", "modify_headers[0] at column 2: not a header name"),
            (r"/a/b\nc", "modify_headers[0] at column 4: a header value cannot have line ends or NUL"),
            (
                "/a",
                "modify_headers[0]: expected `[/filter]/name/[@]value`, where the first character is the separator",
            ),
            (
                "/~d/a/b",
                "modify_headers[0] at column 2: ~d needs a regex; put a pattern with spaces, parentheses or a tilde in quotes",
            ),
        ] {
            assert_eq!(rules(&[text]).unwrap_err().to_string(), told);
        }
    }

    #[test]
    fn values_from_files_lose_their_line_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, "secret\r\n").unwrap();
        let text = format!("|a|@{}", path.display());
        check(&[&text], &["b: 2", "a: secret"]);
        let edits = rules(&[&text]).unwrap().edits(&testing::flow("GET http://example.com/a", &[]));
        fs::write(&path, "two\nlines").unwrap();
        assert_eq!(
            apply(&edits, &mut Headers::new()),
            ["modify_headers: a header value cannot have line ends or NUL"]
        );
        fs::remove_file(&path).unwrap();
        assert!(apply(&edits, &mut Headers::new())[0].starts_with("modify_headers: cannot read "));
    }
}
