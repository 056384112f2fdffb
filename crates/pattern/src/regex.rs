//! One compiled pattern: the linear engine where it can do it, the backtracking one within a number of steps where not.

use std::borrow::Cow;

use crate::fault::Fault;
use crate::one_line::OneLine;
use crate::parse::{Flavour, parse};
use crate::syntax::{self, DollarAs};

/// How a pattern is searched.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Search {
    /// What the pattern means where nothing in it says otherwise.
    pub flavour: Flavour,
    /// Letter case does not count (Python's `re.IGNORECASE`; in bytes only ASCII letters have case).
    pub ignore_case: bool,
    /// How many backtracking steps one search may take, if the pattern needs backtracking at all.
    pub steps_max: usize,
}

/// A pattern that cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("/{}/: {fault} at position {position}", OneLine(.pattern))]
pub struct RegexError {
    /// The pattern as it was written.
    pub pattern: String,
    /// At which character, from 0; at which byte where the pattern is one of bytes.
    pub position: usize,
    /// What is wrong.
    pub fault: Fault,
}

/// A pattern that compiled.
#[derive(Clone, Debug)]
pub struct Regex {
    text: String,
    search: Search,
    engine: Engine,
    /// It has a `$`, which also holds before a line feed that ends the text.
    has_dollar: bool,
}

#[derive(Clone, Debug)]
enum Engine {
    Linear(regex::bytes::Regex),
    Backtracking(Box<fancy_regex::Regex>),
}

/// What a search came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Found {
    /// The pattern is found.
    Yes,
    /// It is not.
    No,
    /// The search was given up at its step limit.
    GaveUp,
}

impl Regex {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// If Python would refuse it, or the engines cannot do it.
    pub fn new(pattern: &str, search: Search) -> Result<Self, RegexError> {
        let error = |(position, fault)| RegexError { pattern: pattern.to_owned(), position, fault };
        let parsed = parse(pattern, search.flavour).map_err(error)?;
        let dollars = syntax::dollars(&parsed.branches);
        let engine = if parsed.needs_backtracking || dollars.needs_backtracking {
            let spelled = syntax::spell(&parsed.branches, DollarAs::BeforeLastLineFeedToo);
            Engine::Backtracking(backtracking(&spelled, &search).map_err(|fault| error((0, fault)))?)
        } else {
            let spelled = syntax::spell(&parsed.branches, DollarAs::End);
            let built = regex::bytes::RegexBuilder::new(&spelled)
                .case_insensitive(search.ignore_case)
                .unicode(!search.flavour.bytes)
                .build();
            Engine::Linear(built.map_err(|_| error((0, Fault::TooComplex)))?)
        };
        Ok(Self { text: pattern.to_owned(), search, engine, has_dollar: dollars.any })
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How it is searched.
    #[must_use]
    pub const fn how(&self) -> Search {
        self.search
    }

    /// It is searched in linear time, whatever the text.
    #[must_use]
    pub const fn is_linear(&self) -> bool {
        matches!(self.engine, Engine::Linear(_))
    }

    /// Searches anywhere in `haystack`, which is UTF-8 where the pattern is one of text. (Bytes that are no UTF-8 are no
    /// character then.)
    #[must_use]
    pub fn search(&self, haystack: &[u8]) -> Found {
        match &self.engine {
            Engine::Linear(regex) => {
                let before_line_feed = haystack.strip_suffix(b"\n").filter(|_| self.has_dollar);
                let found = regex.is_match(haystack)
                    || before_line_feed.is_some_and(|shorter| regex.is_match(shorter));
                if found { Found::Yes } else { Found::No }
            }
            Engine::Backtracking(regex) => {
                let found = if self.search.flavour.bytes {
                    regex.is_match(haystack)
                } else {
                    regex.is_match::<str>(&lossy(haystack))
                };
                match found {
                    Ok(true) => Found::Yes,
                    Ok(false) => Found::No,
                    Err(_) => Found::GaveUp,
                }
            }
        }
    }
}

/// Compiles a spelled pattern for the engine that backtracks.
///
/// # Errors
/// If the engine cannot do it.
pub fn backtracking(spelled: &str, search: &Search) -> Result<Box<fancy_regex::Regex>, Fault> {
    builder(spelled, search).build().map(Box::new).map_err(|error| fault_of(&error))
}

/// The same for matches that are not empty; `None` if the pattern has none.
pub(crate) fn backtracking_not_empty(
    spelled: &str,
    search: &Search,
) -> Result<Option<Box<fancy_regex::Regex>>, Fault> {
    use fancy_regex::{CompileError, Error};
    match builder(spelled, search).find_not_empty(true).build() {
        Ok(regex) => Ok(Some(Box::new(regex))),
        Err(Error::CompileError(error)) if matches!(*error, CompileError::PatternCanNeverMatch) => Ok(None),
        Err(error) => Err(fault_of(&error)),
    }
}

fn builder(spelled: &str, search: &Search) -> fancy_regex::RegexBuilder {
    use fancy_regex::BytesMode;
    let mode = if search.flavour.bytes { BytesMode::Ascii } else { BytesMode::Unicode };
    let mut builder = fancy_regex::RegexBuilder::new(spelled);
    builder.case_insensitive(search.ignore_case).bytes_mode(mode).backtrack_limit(search.steps_max);
    builder
}

fn fault_of(error: &fancy_regex::Error) -> Fault {
    use fancy_regex::{CompileError, Error};
    match error {
        Error::CompileError(error)
            if matches!(
                **error,
                CompileError::LookBehindNotConst | CompileError::VariableLookBehindRequiresFeature
            ) =>
        {
            Fault::VariableLookBehind
        }
        _ => Fault::TooComplex,
    }
}

fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: Search = Search {
        flavour: Flavour { bytes: false, multi_line: false, dot_all: false },
        ignore_case: true,
        steps_max: 100_000,
    };
    const BYTES: Search = Search { flavour: Flavour { bytes: true, ..TEXT.flavour }, ..TEXT };

    fn is_found(search: Search, pattern: &str, haystack: &[u8]) -> bool {
        match Regex::new(pattern, search).unwrap().search(haystack) {
            Found::Yes => true,
            Found::No => false,
            Found::GaveUp => panic!("{pattern} was given up"),
        }
    }

    /// Expected values are those of Python 3.13.
    #[test]
    fn text_as_python_reads_it() {
        for (pattern, found, not_found) in [
            ("a$", "ba\n", "ba\n\n"),
            ("^a$", "a\n", "a\nb"),
            (r"a\Z", "ba", "ba\n"),
            (r"a$\n", "a\n", "a"),
            (r"a$|b\Z", "a\n", "b\n"),
            ("(?!b)a$", "a\n", "a\n\n"),
            ("(?m)^b$", "a\nb\nc", "a\nbc"),
            ("a.b", "axb", "a\nb"),
            ("(?s)a.b", "a\nb", "ab"),
            ("É", "é", "e"),
            ("[à-ý]", "É", "e"),
            (r"^\w+$", "größe", "gr e"),
            (r"(?<=ö)ß", "öß", "oß"),
            (r"\bä", "b ä", "bä"),
            ("(?-i:A)", "A", "a"),
        ] {
            assert!(is_found(TEXT, pattern, found.as_bytes()), "{pattern} in {found:?}");
            assert!(!is_found(TEXT, pattern, not_found.as_bytes()), "{pattern} not in {not_found:?}");
        }
    }

    /// Expected values are those of Python 3.13 with the pattern encoded in UTF-8.
    #[test]
    fn bytes_as_python_reads_them() {
        for (pattern, found, not_found) in [
            ("é+$", &b"\xc3\xa9\xa9\xa9"[..], &b"\xc3\x89"[..]), // the second byte repeats; no case beyond ASCII
            ("[é]b", b"\xa9b", b"eb"),
            (r"\xe9", b"\xe9", b"\xc3\xa9"),
            ("^.$", b"\xff", b"\xc3\xa9"),
            (r"^\w$", b"a", b"\xe9"),
            (r"^\W$", b"\xe9", b"a"),
            ("[^a]", b"\xff", b"aA"),
            ("(?!é)^..$", b"ab", b"\xc3\xa9"),
            (r"(?<!\xff)K", b"\xfek", b"\xffk"),
            (r"(\xe9)\1", b"\xe9\xe9", b"\xc3\xa9"),
            (r"(?=a)\Ba", b"\xe9aa", b"\xe9a"),
            ("(?i:k)", b"K", "\u{212a}".as_bytes()),
            ("(?=x)X", b"x", b"y"),
        ] {
            assert!(is_found(BYTES, pattern, found), "{pattern} in {found:?}");
            assert!(!is_found(BYTES, pattern, not_found), "{pattern} not in {not_found:?}");
        }
        for pattern in [r"\u0041", r"\U00000041", r"\N{DIGIT ONE}", "(?u)a", "(?u:a)"] {
            assert!(Regex::new(pattern, BYTES).is_err(), "{pattern}");
            assert!(Regex::new(&pattern.replace("\\N{DIGIT ONE}", "a"), TEXT).is_ok(), "{pattern}");
        }
    }

    #[test]
    fn a_search_ends_at_its_step_limit() {
        let regex = Regex::new("(?=(a+)+b)c", Search { steps_max: 1_000, ..BYTES }).unwrap();
        assert!(!regex.is_linear());
        assert_eq!(regex.search(&[b'a'; 5]), Found::No);
        assert_eq!(regex.search(&[b'a'; 5_000]), Found::GaveUp);
    }

    #[test]
    fn most_patterns_are_linear() {
        for (pattern, linear) in [
            ("a$", true),
            ("(a|b)+$", true),
            ("(a$|b)", true),
            ("a$b", false),
            (r"a$|\Z", false),
            ("(a$)?b", false),
        ] {
            assert_eq!(Regex::new(pattern, TEXT).unwrap().is_linear(), linear, "{pattern}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(pattern in "[a(?:!=<|)*+$^\\\\wbBZé\\[\\]{},1-]{0,24}", text in "[ab\néÉ]{0,12}") {
            for search in [TEXT, BYTES] {
                match Regex::new(&pattern, Search { steps_max: 1_000, ..search }) {
                    Ok(regex) => { let _ = regex.search(text.as_bytes()); }
                    Err(error) => assert!(!error.to_string().contains(char::is_control)),
                }
            }
        }
    }
}
