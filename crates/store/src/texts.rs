//! The full-text index over decoded bodies: what is put in, and what of a regular expression it can be asked.
//!
//! The index knows which sequences of three characters a flow's bodies have, letter case aside, and no more. So it answers which
//! flows may have a text; whether they do is for the filter to say. Bytes that are not ASCII are never asked for.

use std::fmt;

use flowgate_filter::{BodyDecoder, facts};
use flowgate_flow::Flow;
use flowgate_pattern::Regex;

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

/// A query of the index that holds of every text in which the regular expression is found; `None` if the index cannot help.
pub(crate) fn must_have(regex: &Regex) -> Option<String> {
    let mut trigrams = Vec::new();
    for run in literal_runs(regex.text())? {
        let characters: Vec<char> = run.to_ascii_lowercase().chars().collect();
        trigrams.extend(characters.windows(3).map(|three| three.iter().collect::<String>()));
    }
    trigrams.sort();
    trigrams.dedup();
    let quoted = trigrams.iter().map(|three| format!("\"{}\"", three.replace('"', "\"\"")));
    (!trigrams.is_empty()).then(|| quoted.collect::<Vec<_>>().join(" AND "))
}

/// The texts that stand in everything a pattern finds: printable ASCII only. `None` for patterns with groups or
/// alternatives, of which nobody needs to look at more.
fn literal_runs(pattern: &str) -> Option<Vec<String>> {
    let mut runs = vec![String::new()];
    let mut characters = pattern.chars().peekable();
    while let Some(c) = characters.next() {
        let literal = match c {
            '(' | ')' | '|' => return None,
            '[' => {
                // To the end of the set: a `]` that comes first is one of its members.
                if characters.peek() == Some(&'^') {
                    characters.next();
                }
                let mut first = true;
                loop {
                    match characters.next()? {
                        ']' if !first => break,
                        '\\' => drop(characters.next()),
                        _ => {}
                    }
                    first = false;
                }
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
    Some(runs)
}

#[cfg(test)]
mod tests {
    use flowgate_pattern::{Flavour, Search};

    use super::*;

    fn asked(pattern: &str) -> Option<String> {
        let flavour = Flavour { bytes: true, multi_line: false, dot_all: true };
        must_have(&Regex::new(pattern, Search { flavour, ignore_case: true, steps_max: 1000 }).unwrap())
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
            ("abc|def", None),
            ("^abc$", Some(r#""abc""#)),
        ] {
            assert_eq!(asked(pattern).as_deref(), query, "{pattern}");
        }
    }
}
