//! `modify_body`: find and replace in bodies, whole or in pieces.
//!
//! A body is changed in pieces, as it crosses, where all rules about it allow that: the pattern's reach is known and short
//! ([`REACH_BYTES_MAX`]), and the body is not encoded. Otherwise it is held back whole.
//!
//! The replacement is literal, as in mitmproxy since 12.2.2: no references to groups.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use flowgate_contentview::{Limits, decode};
use flowgate_filter::Case;
use flowgate_flow::{Body, Flow, Headers};
use flowgate_options::Level;
use flowgate_pattern::{Finder, GaveUp, StreamReplacer};
use flowgate_proxy::limits::HELD_BODY_BYTES_MAX;
use flowgate_proxy::{Addon, BodyNeed, HookFuture, LiveFlow, Transform};

use crate::error::FeatureError;
use crate::limits::REACH_BYTES_MAX;
use crate::log::Log;
use crate::replacement::Replacement;
use crate::spec::{Condition, Entry};

const EXPECTED: &str = "`[/filter]/regex/[@]replacement`";

/// The rules of `modify_body`.
#[derive(Clone, Debug)]
pub(crate) struct ModifyBody {
    rules: Vec<Rule>,
    log: Log,
}

#[derive(Clone, Debug)]
struct Rule {
    condition: Condition,
    pattern: Arc<Finder>,
    replacement: Replacement,
}

/// The rules about one body, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Edits(Vec<(Arc<Finder>, Replacement)>);

/// Why a rule could not be applied.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum NotModified {
    #[error("modify_body: cannot read {path}: {why}")]
    File { path: String, why: String },
    #[error("modify_body: the search for /{pattern}/ was given up")]
    GaveUp { pattern: String },
    #[error("modify_body: the body cannot be read: {why}")]
    Body { why: String },
}

impl ModifyBody {
    pub(crate) fn parse(
        texts: &[String],
        case: Case,
        home: Option<&Path>,
        log: Log,
    ) -> Result<Self, FeatureError> {
        let rule = |entry: Entry<'_>| {
            let (condition, subject, replacement) = entry.three(case, EXPECTED)?;
            let pattern = Arc::new(entry.bytes_pattern(subject)?);
            let replacement = Replacement::parse(&entry, replacement, home)?;
            Ok(Rule { condition, pattern, replacement })
        };
        let rules = Entry::all("modify_body", texts).map(rule).collect::<Result<_, _>>()?;
        Ok(Self { rules, log })
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether a condition looks at bodies, so that they have to be there before it can be judged.
    pub(crate) fn reads_bodies(&self) -> bool {
        self.rules.iter().any(|rule| rule.condition.reads_bodies())
    }

    /// The rules about the message that is at hand.
    pub(crate) fn edits(&self, flow: &Flow) -> Edits {
        let meant = self.rules.iter().filter(|rule| rule.condition.holds(flow));
        Edits(meant.map(|rule| (Arc::clone(&rule.pattern), rule.replacement.clone())).collect())
    }
}

/// How a body is changed.
#[derive(Debug)]
enum Way {
    NotAtAll,
    InPieces(Pieces),
    Whole,
}

impl ModifyBody {
    /// How the body of the message that is at hand is changed.
    fn way(&self, flow: &Flow, headers: &Headers) -> Way {
        let edits = self.edits(flow);
        if self.reads_bodies() {
            return Way::Whole;
        }
        if edits.is_empty() {
            return Way::NotAtAll;
        }
        match edits.in_pieces() {
            Some(pieces) if !is_encoded(headers) => Way::InPieces(pieces),
            _ => Way::Whole,
        }
    }

    fn need(&self, flow: &Flow, headers: &Headers) -> BodyNeed {
        match self.way(flow, headers) {
            Way::NotAtAll => BodyNeed::Nothing,
            Way::InPieces(pieces) => BodyNeed::Transform(Box::new(pieces)),
            Way::Whole => BodyNeed::Whole,
        }
    }

    /// Changes a body that is held.
    async fn change(
        &self,
        flow: &mut LiveFlow,
        half: fn(&mut LiveFlow) -> Option<(&mut Headers, &mut Body)>,
    ) {
        let edits = self.edits(flow.flow());
        let Some((headers, body)) = half(flow).filter(|_| !edits.is_empty()) else { return };
        let (headers, body) = (headers.clone(), body.clone());
        let Ok((changed, problems)) =
            tokio::task::spawn_blocking(move || changed(&edits, &headers, &body)).await
        else {
            return;
        };
        if let Some(changed) = changed
            && let Some((headers, body)) = half(flow)
        {
            // Differs from mitmproxy, which encodes it again.
            headers.remove("content-encoding");
            *body = Body::Bytes(changed.into());
        }
        for problem in problems {
            self.log.line(Level::Warn, flow, format_args!("{problem}"));
        }
    }
}

impl Addon for ModifyBody {
    fn name(&self) -> &str {
        "modify_body"
    }

    fn request_body(&self, flow: &LiveFlow) -> BodyNeed {
        self.need(flow.flow(), &flow.request().headers)
    }

    fn request<'a>(&'a self, flow: &'a mut LiveFlow) -> HookFuture<'a> {
        if !flow.holds_request_body() || !matches!(self.way(flow.flow(), &flow.request().headers), Way::Whole)
        {
            return HookFuture::DONE;
        }
        HookFuture::new(self.change(flow, |flow| {
            let request = flow.request_mut();
            Some((&mut request.headers, &mut request.body))
        }))
    }

    fn response_body(&self, flow: &LiveFlow) -> BodyNeed {
        flow.response().map_or(BodyNeed::Nothing, |response| self.need(flow.flow(), &response.headers))
    }

    fn response<'a>(&'a self, flow: &'a mut LiveFlow) -> HookFuture<'a> {
        let Some(response) = flow.response().filter(|_| flow.holds_response_body()) else {
            return HookFuture::DONE;
        };
        // RFC 9110 section 6.4.1: these have no content, whatever is found in it.
        let has_none =
            flow.request().method.as_ref() == b"HEAD" || matches!(response.status, 0..=199 | 204 | 304);
        if has_none || !matches!(self.way(flow.flow(), &response.headers), Way::Whole) {
            return HookFuture::DONE;
        }
        HookFuture::new(self.change(flow, |flow| {
            let response = flow.response_mut()?;
            Some((&mut response.headers, &mut response.body))
        }))
    }
}

fn is_encoded(headers: &Headers) -> bool {
    headers.get_all("content-encoding").any(|value| !value.eq_ignore_ascii_case(b"identity"))
}

/// What becomes of a body. Blocks.
fn changed(edits: &Edits, headers: &Headers, body: &Body) -> (Option<Vec<u8>>, Vec<NotModified>) {
    let unread = |why: String| (None, vec![NotModified::Body { why }]);
    let encoded = match body.prefix(usize::MAX) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return (None, Vec::new()),
        Err(error) => return unread(error.to_string()),
    };
    let encodings: Vec<&[u8]> = headers.get_all("content-encoding").collect();
    let bytes_max = usize::try_from(HELD_BODY_BYTES_MAX).unwrap_or(usize::MAX);
    let limits = Limits { decoded_bytes_max: bytes_max, ..Limits::default() };
    match decode(&encodings.join(&b", "[..]), &encoded, &limits) {
        Ok(decoded) => match decoded.note {
            // A part of a body would be sent as if it were all of it.
            Some(_) => unread("it does not end, or is too long".to_owned()),
            None => edits.apply(&decoded.bytes),
        },
        Err(error) => unread(error.to_string()),
    }
}

impl Transform for Pieces {
    fn chunk(&mut self, data: Bytes, out: &mut Vec<Bytes>) {
        // A search of a pattern without backtracking is not given up.
        out.extend(self.push(&data).ok().filter(|changed| !changed.is_empty()).map(Bytes::from));
    }

    fn finish(&mut self, out: &mut Vec<Bytes>) {
        out.extend(self.end().ok().filter(|rest| !rest.is_empty()).map(Bytes::from));
    }
}

impl Edits {
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Changes a whole body; `None` if nothing was found. Blocks if a replacement is a file. What could not be applied is left
    /// out and told.
    pub(crate) fn apply(&self, body: &[u8]) -> (Option<Vec<u8>>, Vec<NotModified>) {
        let (mut changed, mut problems) = (None::<Vec<u8>>, Vec::new());
        for (pattern, replacement) in &self.0 {
            let with = match read(replacement) {
                Ok(with) => with,
                Err(problem) => {
                    problems.push(problem);
                    continue;
                }
            };
            let bytes = changed.as_deref().unwrap_or(body);
            match pattern.replace(bytes, usize::MAX, |_, out| out.extend_from_slice(&with)) {
                Ok(replaced) => changed = replaced.or(changed),
                Err(GaveUp) => problems.push(NotModified::GaveUp { pattern: pattern.text().to_owned() }),
            }
        }
        (changed, problems)
    }

    /// The same for a body that comes in pieces, if the patterns allow it and no file has to be read.
    pub(crate) fn in_pieces(&self) -> Option<Pieces> {
        let stage = |(pattern, replacement): &(Arc<Finder>, Replacement)| {
            let Replacement::Literal(with) = replacement else { return None };
            StreamReplacer::new(Arc::clone(pattern), with.clone(), REACH_BYTES_MAX)
        };
        self.0.iter().map(stage).collect::<Option<Vec<_>>>().map(Pieces)
    }
}

fn read(replacement: &Replacement) -> Result<Vec<u8>, NotModified> {
    replacement.read().map_err(|error| NotModified::File {
        path: replacement.file().map_or_else(String::new, |path| path.display().to_string()),
        why: error.to_string(),
    })
}

/// Changes a body as its pieces cross.
#[derive(Debug)]
pub(crate) struct Pieces(Vec<StreamReplacer>);

impl Pieces {
    /// Takes a piece; gives what can go on.
    ///
    /// # Errors
    /// If a search was given up.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<Vec<u8>, GaveUp> {
        self.0.iter_mut().try_fold(piece.to_vec(), |piece, stage| stage.push(&piece))
    }

    /// No more pieces come; gives the rest.
    ///
    /// # Errors
    /// If a search was given up.
    pub(crate) fn end(&mut self) -> Result<Vec<u8>, GaveUp> {
        self.0.iter_mut().try_fold(Vec::new(), |before, stage| {
            let mut rest = stage.push(&before)?;
            rest.extend(stage.finish()?);
            Ok(rest)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn rules(texts: &[&str]) -> Result<ModifyBody, FeatureError> {
        let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
        ModifyBody::parse(&texts, Case::Ignored, None, Log::silent())
    }

    fn edits(texts: &[&str]) -> Edits {
        rules(texts).unwrap().edits(&testing::flow("POST http://example.com/a", &[]))
    }

    #[test]
    fn find_and_replace() {
        for (texts, body, expected) in [
            (&["/foo/bar"][..], "a foo and foo", Some("a bar and bar")),
            (&["/a.b/-"], "a\nb", Some("-")),
            (&[r"/(o)/\1"], "foo", Some("f\u{1}\u{1}")),
            (&["/~m post/foo/bar/"], "foo", Some("bar/")),
            (&["/foo/bar", "/bar/baz"], "foo", Some("baz")),
            (&["/~s/foo/bar"], "foo", None),
            (&["/x/y"], "foo", None),
            (&[r"/\bo/x"], "foo o", Some("foo x")),
            (&[r"/\\bo/x"], "foo o", Some("foo x")),
            (&["/^f|o$/-"], "foo", Some("-o-")),
        ] {
            let (changed, problems) = edits(texts).apply(body.as_bytes());
            let changed = changed.map(|bytes| String::from_utf8(bytes).unwrap());
            assert_eq!(
                (changed.as_deref(), problems.as_slice()),
                (expected, &[][..]),
                "{texts:?} in {body:?}"
            );
        }
    }

    #[test]
    fn what_cannot_be_applied_is_told() {
        let (changed, problems) =
            edits(&[r"/(?:(a)|a)+\1c/x", "/aa/b"]).apply(format!("c{}", "a".repeat(60)).as_bytes());
        assert_eq!(changed.unwrap(), format!("c{}", "b".repeat(30)).as_bytes());
        assert_eq!(problems[0].to_string(), "modify_body: the search for /(?:(a)|a)+\\1c/ was given up");
    }

    #[test]
    fn bodies_cross_in_pieces_up_to_a_reach() {
        // A repetition may say 1,000 at most, so it is repeated.
        let reaching = |bytes: usize| format!("/(a{{32}}){{{}}}a{{{}}}/b", bytes / 32, bytes % 32);
        assert!(edits(&[&reaching(REACH_BYTES_MAX)]).in_pieces().is_some());
        assert!(edits(&[&reaching(REACH_BYTES_MAX + 1)]).in_pieces().is_none());
        assert!(edits(&["/a+/b"]).in_pieces().is_none());
        assert!(edits(&["/a/b", "/^a/b"]).in_pieces().is_none());
    }

    proptest::proptest! {
        /// In pieces or whole, the result is the same.
        #[test]
        fn pieces_do_not_matter(text in "[abc]{0,40}", at in 0usize..40) {
            let edits = edits(&["/ab/c", "/cc?/ab", "/b{2}/-"]);
            let whole = edits.apply(text.as_bytes()).0.unwrap_or_else(|| text.clone().into_bytes());
            let mut pieces = edits.in_pieces().unwrap();
            let (first, second) = text.as_bytes().split_at(at.min(text.len()));
            let mut out = pieces.push(first).unwrap();
            out.extend(pieces.push(second).unwrap());
            out.extend(pieces.end().unwrap());
            proptest::prop_assert_eq!(out, whole);
        }
    }
}
