//! Where a pattern is found, and what its groups matched there: for replacing, where [`Regex`](crate::Regex) only says whether.
//!
//! One match follows the other as in Python's `re.sub`: an empty match may stand right behind another match, but not at the same
//! place twice. The linear engine cannot look for matches that are not empty, so it is used where none is.

use std::ops::Range;

use regex_syntax::ParserBuilder;

use crate::fault::Fault;
use crate::parse::parse;
use crate::regex::{RegexError, Search, backtracking, backtracking_not_empty};
use crate::syntax::{self, DollarAs};

/// A pattern that compiled.
#[derive(Clone, Debug)]
pub struct Finder {
    text: String,
    bytes: bool,
    engine: Engine,
    groups: usize,
    names: Vec<(String, usize)>,
    reach: Option<usize>,
}

#[derive(Clone, Debug)]
enum Engine {
    Linear(regex::bytes::Regex),
    Backtracking {
        any: Box<fancy_regex::Regex>,
        /// The same without empty matches; `None` if it has no others.
        not_empty: Option<Box<fancy_regex::Regex>>,
    },
}

/// A search ended at its step limit: nobody knows whether there is more.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the search was given up")]
pub struct GaveUp;

/// A match: where it lies, and its groups from 1 on; `None` for those that took no part.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Spans {
    whole: Range<usize>,
    groups: Vec<Option<Range<usize>>>,
}

impl Spans {
    /// Where it lies.
    #[must_use]
    pub fn whole(&self) -> Range<usize> {
        self.whole.clone()
    }

    /// Where a group lies, 0 being the whole; `None` if it took no part or does not exist.
    #[must_use]
    pub fn group(&self, number: usize) -> Option<Range<usize>> {
        match number.checked_sub(1) {
            None => Some(self.whole()),
            Some(index) => self.groups.get(index).cloned().flatten(),
        }
    }
}

impl Finder {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// If Python would refuse it, or the engines cannot do it.
    pub fn new(pattern: &str, search: Search) -> Result<Self, RegexError> {
        let error = |(position, fault)| RegexError { pattern: pattern.to_owned(), position, fault };
        let parsed = parse(pattern, search.flavour).map_err(error)?;
        let names = parsed
            .names
            .iter()
            .filter_map(|(name, group)| usize::try_from(*group).ok().map(|group| (name.clone(), group)));
        let mut names: Vec<_> = names.collect();
        names.sort_unstable();
        let mut reach = None;
        let linear = if parsed.needs_backtracking || syntax::dollars(&parsed.branches).any {
            None
        } else {
            let spelled = syntax::spell(&parsed.branches, DollarAs::End);
            let shape = shape(&spelled, &search).ok_or_else(|| error((0, Fault::TooComplex)))?;
            reach = shape.reach;
            let built = || {
                let mut builder = regex::bytes::RegexBuilder::new(&spelled);
                builder.case_insensitive(search.ignore_case).unicode(!search.flavour.bytes);
                builder.build().map_err(|_| error((0, Fault::TooComplex)))
            };
            shape.never_empty.then(built).transpose()?
        };
        let engine = match linear {
            Some(regex) => Engine::Linear(regex),
            None => {
                let spelled = syntax::spell(&parsed.branches, DollarAs::BeforeLastLineFeedToo);
                Engine::Backtracking {
                    any: backtracking(&spelled, &search).map_err(|fault| error((0, fault)))?,
                    not_empty: backtracking_not_empty(&spelled, &search)
                        .map_err(|fault| error((0, fault)))?,
                }
            }
        };
        let bytes = search.flavour.bytes;
        Ok(Self { text: pattern.to_owned(), bytes, engine, groups: parsed.groups, names, reach })
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How many capturing groups it has.
    #[must_use]
    pub const fn groups(&self) -> usize {
        self.groups
    }

    /// The number of the group of this name.
    #[must_use]
    pub fn group_named(&self, name: &str) -> Option<usize> {
        self.names.iter().find(|(known, _)| known == name).map(|(_, number)| *number)
    }

    /// How many bytes from a place on decide what is found at that place; `None` if nobody can say, or if what stands before
    /// it counts too.
    #[must_use]
    pub const fn reach(&self) -> Option<usize> {
        self.reach
    }

    /// The first match that begins at `from` or later. In a pattern of text, `haystack` is UTF-8 (else nothing is found).
    ///
    /// # Errors
    /// If the search was given up.
    pub fn find(&self, haystack: &[u8], from: usize) -> Result<Option<Spans>, GaveUp> {
        match &self.engine {
            Engine::Linear(regex) if self.groups == 0 => {
                let found = (from <= haystack.len()).then(|| regex.find_at(haystack, from)).flatten();
                Ok(found.map(|found| Spans { whole: found.range(), groups: Vec::new() }))
            }
            Engine::Linear(regex) => {
                let found = (from <= haystack.len()).then(|| regex.captures_at(haystack, from)).flatten();
                Ok(found.and_then(|found| {
                    let mut groups = found.iter().map(|group| group.map(|group| group.range()));
                    let whole = groups.next().flatten()?;
                    Some(Spans { whole, groups: groups.collect() })
                }))
            }
            Engine::Backtracking { any, .. } => self.backtrack(any, haystack, from),
        }
    }

    /// The match behind another one, as Python goes on.
    ///
    /// # Errors
    /// If the search was given up.
    pub fn find_after(&self, haystack: &[u8], before: &Spans) -> Result<Option<Spans>, GaveUp> {
        let end = before.whole.end;
        if !before.whole.is_empty() {
            return self.find(haystack, end);
        }
        // At the same place only what is not empty; a character further on anything.
        if let Engine::Backtracking { not_empty: Some(regex), .. } = &self.engine {
            let found = self.backtrack(regex, haystack, end)?;
            if found.as_ref().is_some_and(|found| found.whole.start == end) {
                return Ok(found);
            }
        }
        let step = if self.bytes {
            1
        } else {
            let rest = haystack.get(end..).unwrap_or_default();
            1 + rest.iter().skip(1).take_while(|byte| **byte & 0xc0 == 0x80).count()
        };
        if end + step > haystack.len() { Ok(None) } else { self.find(haystack, end + step) }
    }

    /// `haystack` with each match replaced, at most `times`; `None` if nothing was found.
    ///
    /// # Errors
    /// If the search was given up.
    pub fn replace(
        &self,
        haystack: &[u8],
        times: usize,
        mut with: impl FnMut(&Spans, &mut Vec<u8>),
    ) -> Result<Option<Vec<u8>>, GaveUp> {
        let mut found = if times == 0 { None } else { self.find(haystack, 0)? };
        if found.is_none() {
            return Ok(None);
        }
        let (mut out, mut copied, mut count) = (Vec::with_capacity(haystack.len()), 0, 0);
        while let Some(spans) = found {
            out.extend_from_slice(haystack.get(copied..spans.whole.start).unwrap_or_default());
            with(&spans, &mut out);
            copied = spans.whole.end;
            count += 1;
            found = if count == times { None } else { self.find_after(haystack, &spans)? };
        }
        out.extend_from_slice(haystack.get(copied..).unwrap_or_default());
        Ok(Some(out))
    }

    fn backtrack(
        &self,
        regex: &fancy_regex::Regex,
        haystack: &[u8],
        from: usize,
    ) -> Result<Option<Spans>, GaveUp> {
        if from > haystack.len() {
            return Ok(None);
        }
        // The engine numbers groups as they are written, which is how Python does it.
        if self.bytes {
            let found = regex.captures_from_pos(haystack, from).map_err(|_| GaveUp)?;
            return Ok(found.and_then(|found| {
                let groups = (1..=self.groups).map(|group| found.get(group).map(|group| group.range()));
                Some(Spans { whole: found.get(0)?.range(), groups: groups.collect() })
            }));
        }
        let Ok(text) = std::str::from_utf8(haystack) else { return Ok(None) };
        let found = regex.captures_from_pos(text, from).map_err(|_| GaveUp)?;
        Ok(found.and_then(|found| {
            let groups = (1..=self.groups).map(|group| found.get(group).map(|group| group.range()));
            Some(Spans { whole: found.get(0)?.range(), groups: groups.collect() })
        }))
    }
}

/// What is known of a pattern's matches.
struct Shape {
    never_empty: bool,
    reach: Option<usize>,
}

fn shape(spelled: &str, search: &Search) -> Option<Shape> {
    let parsed = ParserBuilder::new()
        .utf8(false)
        .unicode(!search.flavour.bytes)
        .case_insensitive(search.ignore_case)
        .build()
        .parse(spelled)
        .ok()?;
    let properties = parsed.properties();
    Some(Shape {
        never_empty: properties.minimum_len().is_none_or(|shortest| shortest > 0),
        reach: properties.maximum_len().filter(|_| properties.look_set().is_empty()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::Flavour;
    use crate::template::Template;

    const BYTES: Search = Search {
        flavour: Flavour { bytes: true, multi_line: false, dot_all: true },
        ignore_case: false,
        steps_max: 100_000,
    };
    const TEXT: Search =
        Search { flavour: Flavour { bytes: false, multi_line: false, dot_all: false }, ..BYTES };

    fn replaced(search: Search, pattern: &str, with: &str, haystack: &str) -> String {
        let finder = Finder::new(pattern, search).unwrap();
        let template = Template::parse(with, &finder).unwrap();
        let replace = |spans: &Spans, out: &mut Vec<u8>| template.expand(spans, haystack.as_bytes(), out);
        let result = finder.replace(haystack.as_bytes(), usize::MAX, replace).unwrap();
        result.map_or_else(|| haystack.to_owned(), |bytes| String::from_utf8(bytes).unwrap())
    }

    /// Expected values are those of `re.sub` in Python 3.13.
    #[test]
    fn replaced_as_python_does() {
        for (pattern, with, haystack, expected) in [
            ("a", "-", "banana", "b-n-n-"),
            ("x*", "-", "abxd", "-a-b--d-"),
            ("|a", "-", "aba", "---b---"),
            ("x*?", "-", "xx", "-----"),
            ("", "-", "ab", "-a-b-"),
            ("$", "!", "a\n", "a!\n!"),
            ("a$", "-", "a\n", "-\n"),
            (r"\b", "|", "ab cd", "|ab| |cd|"),
            (r"(\w+)@(\w+)", r"\2 at \1", "me@home", "home at me"),
            (r"(?P<user>\w+)@", r"\g<user>!", "me@home", "me!home"),
            ("(a)|(b)", r"[\1\2]", "ab", "[a][b]"),
            ("(a)(?=b)", r"\g<1>0", "abac", "a0bac"),
            (r"(.)\1", r"<\g<0>>", "aabc", "<aa>bc"),
            ("^a", "-", "aaa", "-aa"),
            ("(?<=-)a", "b", "-a-a", "-b-b"),
        ] {
            for search in [BYTES, TEXT] {
                assert_eq!(
                    replaced(search, pattern, with, haystack),
                    expected,
                    "{pattern} -> {with} in {haystack}"
                );
            }
        }
        assert_eq!(replaced(TEXT, "", "-", "aé"), "-a-é-");
        assert_eq!(replaced(TEXT, "é|(?=x)y", "e", "é"), "e");
    }

    #[test]
    fn reach_is_known_where_nothing_looks_around() {
        for (pattern, reach) in [
            ("abc", Some(3)),
            ("a|bcd", Some(3)),
            ("a{2,5}.", Some(6)),
            ("a+", None),
            ("^a", None),
            (r"a\b", None),
            ("a(?=b)", None),
            ("a$", None),
        ] {
            assert_eq!(Finder::new(pattern, BYTES).unwrap().reach(), reach, "{pattern}");
        }
    }

    #[test]
    fn a_search_is_given_up_at_its_limit() {
        let finder = Finder::new("(?=(a+)+b)c", Search { steps_max: 1_000, ..BYTES }).unwrap();
        assert_eq!(finder.replace(&[b'a'; 5_000], usize::MAX, |_, _| {}), Err(GaveUp));
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics_and_matches_follow_each_other(
            pattern in "[a(?:!=<|)*+$^\\\\wbé\\[\\]{},1-]{0,16}", text in "[ab\né]{0,12}", bytes: bool
        ) {
            let search = Search { steps_max: 1_000, ..if bytes { BYTES } else { TEXT } };
            let Ok(finder) = Finder::new(&pattern, search) else { return Ok(()) };
            let mut before: Option<Spans> = None;
            loop {
                let found = match &before {
                    None => finder.find(text.as_bytes(), 0),
                    Some(before) => finder.find_after(text.as_bytes(), before),
                };
                let Ok(Some(found)) = found else { break };
                if let Some(before) = &before {
                    assert!(found.whole.start >= before.whole.end);
                    assert!(found.whole != before.whole, "{pattern:?} in {text:?}");
                }
                before = Some(found);
            }
        }
    }
}
