//! The full-text index over decoded bodies: what is put in, and what of a regular expression it can be asked.
//!
//! The index knows which sequences of three characters a flow's bodies have, letter case aside, and no more. So it answers which
//! flows may have a text; whether they do is for the filter to say. Bytes that are not ASCII are never asked for.

use std::fmt;
use std::iter::Peekable;
use std::str::Chars;

use flowgate_filter::{BodyDecoder, facts};
use flowgate_flow::Flow;
use flowgate_pattern::{Flavour, Found, Regex, Search};

use crate::limits::SEARCHABLE_BYTES_MAX;

/// Makes texts of flows.
pub(crate) struct Texts {
    decoder: Box<dyn BodyDecoder + Send>,
}

impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Texts")
    }
}

impl Texts {
    pub(crate) fn new(decoder: Box<dyn BodyDecoder + Send>) -> Self {
        Self { decoder }
    }

    /// The text of a flow's bodies; `None` if there is too much of it.
    pub(crate) fn of(&self, flow: &Flow) -> Option<String> {
        // Nothing is read of what is too much even before it is decoded.
        if facts::size(flow, flowgate_filter::Half::Either)
            .is_some_and(|bytes| bytes > SEARCHABLE_BYTES_MAX as u64)
        {
            return None;
        }
        let mut text = String::new();
        let mut too_long = false;
        facts::bodies(flow, &*self.decoder, |body| {
            too_long |= text.len() + body.len() > SEARCHABLE_BYTES_MAX;
            if !too_long {
                push_text(&mut text, body);
            }
        });
        (!too_long).then_some(text)
    }
}

/// Adds a body, so that whatever ASCII text stands in it stands in the text.
fn push_text(text: &mut String, body: &[u8]) {
    for chunk in body.utf8_chunks() {
        // The index ends at NUL.
        text.extend(chunk.valid().chars().map(|c| if c == '\0' { ' ' } else { c }));
        if !chunk.invalid().is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    text.push('\n');
}

/// Texts of which one stands in whatever a regular expression finds in bodies, letter case aside.
#[derive(Debug)]
pub(crate) struct Needle {
    text: Regex,
    /// The same, and the field that says that a body is not the text it stands for.
    text_or_encoding: Regex,
}

impl Needle {
    /// The longest there are; `None` if they are not long enough to be rare.
    pub(crate) fn of(regex: &Regex) -> Option<Self> {
        let mut texts = Vec::new();
        for runs in literal_runs(regex.text())? {
            let longest = runs.into_iter().max_by_key(String::len)?;
            texts.push(longest.len().ge(&NEEDLE_CHARACTERS_MIN).then_some(longest)?);
        }
        let text = any_of(&texts)?;
        texts.push(END_OF_CONTENT_ENCODING.to_owned());
        Some(Self { text, text_or_encoding: any_of(&texts)? })
    }

    /// Whether it is in these bytes.
    pub(crate) fn may_be_in(&self, bytes: &[u8]) -> bool {
        self.text.search(bytes) != Found::No
    }

    /// Whether it is in these bytes, the state of a flow, or may be in a body that they call encoded.
    pub(crate) fn may_be_of(&self, state: &[u8]) -> bool {
        self.text_or_encoding.search(state) != Found::No
    }
}

/// How `Content-Encoding` ends and few other words do, above all not `Accept-Encoding`. How it begins stands in every record.
const END_OF_CONTENT_ENCODING: &str = "nt-encoding";

/// Fewer characters are in nearly every body.
const NEEDLE_CHARACTERS_MIN: usize = 3;

/// Finds these texts, printable ASCII, in any letter case.
fn any_of(texts: &[String]) -> Option<Regex> {
    let mut pattern = String::new();
    for text in texts {
        if !pattern.is_empty() {
            pattern.push('|');
        }
        for c in text.chars() {
            if !c.is_ascii_alphanumeric() {
                pattern.push('\\');
            }
            pattern.push(c);
        }
    }
    let flavour = Flavour { bytes: true, multi_line: false, dot_all: true };
    // It needs no backtracking.
    Regex::new(&pattern, Search { flavour, ignore_case: true, steps_max: 1 }).ok()
}

/// A query of the index that holds of every text in which the regular expression is found; `None` if the index cannot help.
pub(crate) fn must_have(regex: &Regex) -> Option<String> {
    let mut alternatives = Vec::new();
    for runs in literal_runs(regex.text())? {
        let mut trigrams = Vec::new();
        for run in runs {
            let characters: Vec<char> = run.to_ascii_lowercase().chars().collect();
            trigrams.extend(characters.windows(3).map(|three| three.iter().collect::<String>()));
        }
        trigrams.sort();
        trigrams.dedup();
        let quoted = trigrams.iter().map(|three| format!("\"{}\"", three.replace('"', "\"\"")));
        alternatives.push((!trigrams.is_empty()).then(|| quoted.collect::<Vec<_>>().join(" AND "))?);
    }
    match &alternatives[..] {
        [only] => Some(only.clone()),
        several => Some(format!("({})", several.join(") OR ("))),
    }
}

/// For each alternative of a pattern the texts that stand in everything it finds: printable ASCII only. What stands in groups is left
/// out. `None` for patterns of which nobody needs to look at more.
fn literal_runs(pattern: &str) -> Option<Vec<Vec<String>>> {
    let mut alternatives = vec![vec![String::new()]];
    let mut characters = pattern.chars().peekable();
    while let Some(c) = characters.next() {
        let runs = alternatives.last_mut()?;
        let literal = match c {
            '|' => {
                alternatives.push(vec![String::new()]);
                continue;
            }
            ')' => return None,
            '(' => {
                if characters.peek() == Some(&'?') {
                    characters.next();
                    // Others may change what all of the pattern means.
                    if !matches!(characters.next()?, ':' | '=' | '!' | '<' | 'P') {
                        return None;
                    }
                }
                skip_group(&mut characters)?;
                None
            }
            '[' => {
                skip_set(&mut characters)?;
                None
            }
            // What stands before may be missing.
            '*' | '?' => {
                runs.last_mut().and_then(String::pop);
                None
            }
            '{' => {
                runs.last_mut().and_then(String::pop);
                while characters.next().is_some_and(|c| c != '}') {}
                None
            }
            '.' | '^' | '$' | '+' => None,
            '\\' => match characters.next()? {
                // Classes, references, codes: none is looked at further.
                c if c.is_ascii_alphanumeric() => {
                    if !matches!(
                        c,
                        'd' | 'D' | 's' | 'S' | 'w' | 'W' | 'b' | 'B' | 'A' | 'Z' | 'n' | 'r' | 't'
                    ) {
                        return None;
                    }
                    None
                }
                c => Some(c),
            },
            c => Some(c),
        };
        match literal.filter(|c| matches!(c, ' '..='~')) {
            Some(c) => runs.last_mut()?.push(c),
            None => runs.push(String::new()),
        }
    }
    Some(alternatives)
}

type Characters<'a> = Peekable<Chars<'a>>;

/// To the end of a set: a `]` that comes first is one of its members.
fn skip_set(characters: &mut Characters<'_>) -> Option<()> {
    if characters.peek() == Some(&'^') {
        characters.next();
    }
    let mut first = true;
    loop {
        match characters.next()? {
            ']' if !first => return Some(()),
            '\\' => drop(characters.next()),
            _ => {}
        }
        first = false;
    }
}

/// To the end of a group, which may have others in it.
fn skip_group(characters: &mut Characters<'_>) -> Option<()> {
    let mut depth = 1_usize;
    while depth > 0 {
        match characters.next()? {
            '(' => depth += 1,
            ')' => depth -= 1,
            '[' => skip_set(characters)?,
            '\\' => drop(characters.next()),
            _ => {}
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn regex(pattern: &str) -> Regex {
        let flavour = Flavour { bytes: true, multi_line: false, dot_all: true };
        Regex::new(pattern, Search { flavour, ignore_case: true, steps_max: 1000 }).unwrap()
    }

    fn asked(pattern: &str) -> Option<String> {
        must_have(&regex(pattern))
    }

    #[test]
    fn a_needle_is_the_longest_text() {
        let needle = |pattern: &str| Needle::of(&regex(pattern)).map(|needle| needle.text.text().to_owned());
        for (pattern, text) in [
            ("abc", Some("abc")),
            ("ab", None),
            ("ab.cdef.ghi", Some("cdef")),
            ("a-b c~", Some("a\\-b\\ c\\~")),
            ("a|bcd", None),
            ("ab.cde|fgh", Some("cde|fgh")),
        ] {
            assert_eq!(needle(pattern).as_deref(), text, "{pattern}");
        }
        // All that may stand in a needle is found as it stands.
        let printable: String = (' '..='~').collect();
        let all = any_of(std::slice::from_ref(&printable)).unwrap();
        assert_eq!(all.search(printable.to_ascii_uppercase().as_bytes()), Found::Yes);
        assert_eq!(all.search(printable.replace('$', "S").as_bytes()), Found::No);
    }

    #[test]
    fn what_a_pattern_must_have() {
        for (pattern, query) in [
            ("abc", Some(r#""abc""#)),
            ("AbCd", Some(r#""abc" AND "bcd""#)),
            ("ab", None),
            ("", None),
            (r"a\.b", Some(r#""a.b""#)),
            ("a\"bc", Some(r#""""bc" AND "a""b""#)),
            ("abc.def", Some(r#""abc" AND "def""#)),
            ("abcd?", Some(r#""abc""#)),
            ("abc?", None),
            ("abc+d", Some(r#""abc""#)),
            ("abc{0,2}def", Some(r#""def""#)),
            ("abc[x]def", Some(r#""abc" AND "def""#)),
            ("abc[]x]def", Some(r#""abc" AND "def""#)),
            (r"abc[^\]abc]def", Some(r#""abc" AND "def""#)),
            (r"abc\ddef", Some(r#""abc" AND "def""#)),
            (r"abc\x41def", None),
            ("(abc)", None),
            ("abc|def", Some(r#"("abc") OR ("def")"#)),
            ("abcd|de", None),
            ("abc|", None),
            ("abc(d|e)fgh", Some(r#""abc" AND "fgh""#)),
            (r"abc(d(e)[)(]\)f)?ghi", Some(r#""abc" AND "ghi""#)),
            ("abc(?:d)*e", Some(r#""abc""#)),
            ("(?<!x)abc(?=d)(?P<n>e)", Some(r#""abc""#)),
            ("(?i)abc", None),
            ("(?x)a b c", None),
            ("^abc$", Some(r#""abc""#)),
        ] {
            assert_eq!(asked(pattern).as_deref(), query, "{pattern}");
        }
    }

    proptest! {
        /// Whatever a pattern is, what it finds has the texts that it must have.
        #[test]
        fn what_is_found_has_what_it_must_have(
            pattern in r"([abAB]{1,4}|[|.*+?^$]|\\[.wb(]|\((\?[:=!])?|\)|\[\^?[ab\])(]{1,3}\]|\{[012],2\}){1,8}",
            text in "[abABcC.(]{0,12}",
        ) {
            let flavour = Flavour { bytes: true, multi_line: false, dot_all: true };
            let search = Search { flavour, ignore_case: true, steps_max: 10_000 };
            let Ok(regex) = Regex::new(&pattern, search) else { return Ok(()) };
            if regex.search(text.as_bytes()) != Found::Yes {
                return Ok(());
            }
            let text = text.to_ascii_lowercase();
            if let Some(alternatives) = literal_runs(&pattern) {
                let stand = |runs: &Vec<String>| runs.iter().all(|run| text.contains(&run.to_ascii_lowercase()));
                prop_assert!(alternatives.iter().any(stand), "{alternatives:?}");
            }
            prop_assert!(Needle::of(&regex).is_none_or(|needle| needle.may_be_in(text.as_bytes())));
        }
    }
}
