//! How features are written: `[/flow-filter]/subject/replacement`, in which the first character is the separator, whatever it is.
//! It divides twice at most, so that what stands last may contain it, as in mitmproxy.

use flowgate_filter::{Case, Filter};
use flowgate_flow::Flow;
use flowgate_pattern::{Finder, Flavour, Search};

use crate::decoding::Decoding;
use crate::error::{FeatureError, FeatureFault};
use crate::limits::SEARCH_STEPS_MAX;

/// An entry of an option, and where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'t> {
    pub(crate) option: &'static str,
    pub(crate) index: usize,
    pub(crate) text: &'t str,
}

/// A part of an entry, and at which character of it it begins, from 1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Part<'t> {
    pub(crate) text: &'t str,
    pub(crate) column: usize,
}

/// Which flows an entry is about.
#[derive(Clone, Debug)]
pub(crate) enum Condition {
    All,
    Filter(Box<Filter>),
}

impl<'t> Entry<'t> {
    /// All entries of an option, in order.
    pub(crate) fn all(option: &'static str, texts: &'t [String]) -> impl Iterator<Item = Self> {
        texts.iter().enumerate().map(move |(index, text)| Self { option, index, text })
    }

    /// An error at a column; 0 for the entry as a whole.
    pub(crate) fn error(&self, column: usize, fault: FeatureFault) -> FeatureError {
        let column = (column > 0).then_some(column);
        FeatureError { option: self.option, entry: Some(self.index), column, fault: Box::new(fault) }
    }

    /// The parts, as many as there are, at most `most`.
    pub(crate) fn parts(&self, most: usize) -> Vec<Part<'t>> {
        let Some(separator) = self.text.chars().next() else { return Vec::new() };
        let rest = self.text.get(separator.len_utf8()..).unwrap_or_default();
        let mut column = 2;
        let parts = rest.splitn(most, separator).map(|text| {
            let part = Part { text, column };
            column += text.chars().count() + 1;
            part
        });
        parts.collect()
    }

    /// `[/flow-filter]/subject/replacement`.
    pub(crate) fn three(
        &self,
        case: Case,
        expected: &'static str,
    ) -> Result<(Condition, Part<'t>, Part<'t>), FeatureError> {
        match *self.parts(3).as_slice() {
            [subject, replacement] => Ok((Condition::All, subject, replacement)),
            [filter, subject, replacement] => Ok((self.condition(filter, case)?, subject, replacement)),
            _ => Err(self.error(0, FeatureFault::Parts { expected })),
        }
    }

    /// Reads a filter.
    pub(crate) fn condition(&self, part: Part<'_>, case: Case) -> Result<Condition, FeatureError> {
        match Filter::parse(part.text, case) {
            Ok(filter) => Ok(Condition::Filter(Box::new(filter))),
            Err(error) => Err(self.error(part.column + error.column - 1, FeatureFault::Filter(error))),
        }
    }

    /// Reads a regular expression over text.
    pub(crate) fn text_pattern(&self, part: Part<'_>) -> Result<Finder, FeatureError> {
        let flavour = Flavour::default();
        let search = Search { flavour, ignore_case: false, steps_max: SEARCH_STEPS_MAX };
        Finder::new(part.text, search)
            .map_err(|error| self.error(part.column + error.position, FeatureFault::Pattern(error.fault)))
    }

    /// Reads a regular expression over bytes, in which a dot is a line feed, too. A doubled backslash counts once.
    pub(crate) fn bytes_pattern(&self, part: Part<'_>) -> Result<Finder, FeatureError> {
        let flavour = Flavour { bytes: true, multi_line: false, dot_all: true };
        let search = Search { flavour, ignore_case: false, steps_max: SEARCH_STEPS_MAX };
        let (pattern, columns) = unescape_pattern(part.text);
        Finder::new(&pattern, search).map_err(|error| {
            let offset = columns.get(error.position).copied().unwrap_or_else(|| part.text.chars().count());
            self.error(part.column + offset, FeatureFault::Pattern(error.fault))
        })
    }
}

impl Condition {
    /// Whether a flow is meant.
    pub(crate) fn holds(&self, flow: &Flow) -> bool {
        match self {
            Self::All => true,
            Self::Filter(filter) => filter.matches(flow, &Decoding),
        }
    }

    /// Whether bodies have to be there for it.
    pub(crate) fn reads_bodies(&self) -> bool {
        matches!(self, Self::Filter(filter) if filter.reads_bodies())
    }
}

/// The pattern without doubled backslashes, and for each of its bytes at which character of `text` it stands.
///
/// Differs from mitmproxy, which also reads `\b` as a backspace, `\1` as a byte and `\x2e` as any character before the pattern
/// is compiled: there `\bword\b` finds nothing. Here they mean what they mean in every pattern.
fn unescape_pattern(text: &str) -> (String, Vec<usize>) {
    let (mut pattern, mut columns) = (String::with_capacity(text.len()), Vec::with_capacity(text.len()));
    let mut chars = text.chars().enumerate().peekable();
    let mut push = |character: char, column: usize| {
        pattern.push(character);
        columns.extend(std::iter::repeat_n(column, character.len_utf8()));
    };
    while let Some((column, character)) = chars.next() {
        if character == '\\'
            && let Some((at, escaped)) = chars.next()
        {
            if escaped == '\\' {
                push('\\', column);
            } else {
                push('\\', column);
                push(escaped, at);
            }
        } else {
            push(character, column);
        }
    }
    (pattern, columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Entry<'_> {
        Entry { option: "modify_body", index: 1, text }
    }

    #[test]
    fn divided_by_the_first_character() {
        for (text, parts) in [
            ("/a/b", vec![("a", 2), ("b", 4)]),
            ("/~q/a/b", vec![("~q", 2), ("a", 5), ("b", 7)]),
            ("/~q/a/b/c", vec![("~q", 2), ("a", 5), ("b/c", 7)]),
            ("|~d x|é|b/", vec![("~d x", 2), ("é", 7), ("b/", 9)]),
            ("éaéb", vec![("a", 2), ("b", 4)]),
            ("/a/", vec![("a", 2), ("", 4)]),
            ("/", vec![("", 2)]),
            ("", vec![]),
        ] {
            let found: Vec<_> = entry(text).parts(3).iter().map(|part| (part.text, part.column)).collect();
            assert_eq!(found, parts, "{text}");
        }
    }

    #[test]
    fn errors_name_entry_and_column() {
        let three = |text| entry(text).three(Case::Ignored, "`[/filter]/a/b`").map(|_| ()).unwrap_err();
        let body = |text| {
            let parts = entry(text).parts(3);
            entry(text).bytes_pattern(parts[0]).map(|_| ()).unwrap_err()
        };
        for (error, told) in [
            (
                three(""),
                "modify_body[1]: expected `[/filter]/a/b`, where the first character is the separator",
            ),
            (
                three("/a"),
                "modify_body[1]: expected `[/filter]/a/b`, where the first character is the separator",
            ),
            (three("/~q & ~uu x/a/b"), "modify_body[1] at column 7: unknown operator ~uu; did you mean ~u?"),
            (three("//a/b"), "modify_body[1] at column 2: empty filter"),
            (body("/a(/b"), "modify_body[1] at column 3: missing ), unterminated subpattern"),
            (body(r"/é\\d(/b"), "modify_body[1] at column 6: missing ), unterminated subpattern"),
            (body("/[z-a]/b"), "modify_body[1] at column 3: bad character range z-a"),
        ] {
            assert_eq!(error.to_string(), told);
        }
    }

    #[test]
    fn doubled_backslashes_count_once() {
        for (text, pattern) in
            [(r"\\d", r"\d"), (r"\d", r"\d"), (r"\\\\", r"\\"), (r"\bx\b", r"\bx\b"), (r"\\.é\", r"\.é\")]
        {
            assert_eq!(unescape_pattern(text).0, pattern, "{text}");
        }
    }

    #[test]
    fn a_search_takes_no_more_steps_than_it_may() {
        let entry = entry(r"/(?:(a)|a)+\1c/x");
        let finder = entry.bytes_pattern(entry.parts(3)[0]).unwrap();
        // Each further letter doubles the steps.
        let letters = SEARCH_STEPS_MAX.ilog2() as usize;
        let text = |letters: usize| format!("c{}", "a".repeat(letters)).into_bytes();
        assert!(finder.find(&text(letters / 4), 0).is_ok());
        assert!(finder.find(&text(letters * 2), 0).is_err());
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in "[/|a~q()\\\\\\[\\]*é@ ]{0,20}") {
            let entry = entry(&text);
            for part in entry.parts(3) {
                let _ = (entry.bytes_pattern(part), entry.text_pattern(part), entry.condition(part, Case::Ignored));
            }
            let _ = entry.three(Case::Ignored, "");
        }
    }
}
