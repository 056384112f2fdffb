//! Lines and columns of a text, and places in options, for errors that name them.

use std::fmt;

/// A place in a text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
}

/// A place in an option as errors name it, `map_remote[1] at column 4`: which entry of a list, from 0, and at which character of it,
/// from 1, as far as there is one.
pub fn place_in_option(option: &str, entry: Option<usize>, column: Option<usize>) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        f.write_str(option)?;
        if let Some(entry) = entry {
            write!(f, "[{entry}]")?;
        }
        column.map_or(Ok(()), |column| write!(f, " at column {column}"))
    })
}

/// Turns offsets into lines and columns.
#[derive(Debug)]
pub struct Places<'a> {
    text: &'a str,
    /// Where each line begins.
    lines: Vec<usize>,
}

impl<'a> Places<'a> {
    /// Of this text.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        let begins = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { text, lines: std::iter::once(0).chain(begins).collect() }
    }

    /// Where the character at this offset in bytes stands.
    #[must_use]
    pub fn of(&self, at: usize) -> Place {
        let line = self.lines.partition_point(|begin| *begin <= at).max(1);
        let begin = self.lines.get(line - 1).copied().unwrap_or(0);
        let column = self.text.get(begin..at).map_or(0, |before| before.chars().count());
        Place { line, column: column + 1 }
    }
}
