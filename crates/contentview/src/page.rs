//! The page a view writes on: text of many lines that counts and escapes while it grows.
//!
//! Invariant: a page never holds more lines or bytes than its limits, nor any control character but LF and tab.

use crate::Limits;
use crate::escape::{self, REPLACEMENT, is_control};

/// Text under way, with its limits.
pub(crate) struct Page {
    text: String,
    lines_left: usize,
    bytes_max: usize,
    after_cr: bool,
    /// The next so many spaces stand for a line that has begun already.
    joined: Option<usize>,
}

/// The page is full: nothing more will be shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Full;

impl Page {
    pub(crate) const fn new(limits: &Limits) -> Self {
        Self {
            text: String::new(),
            lines_left: limits.lines_max,
            bytes_max: limits.text_bytes_max,
            after_cr: false,
            joined: None,
        }
    }

    /// Adds text, each kind of line end as LF, other control characters but tab as `.`.
    pub(crate) fn push(&mut self, text: &str) -> Result<(), Full> {
        let mut rest = text;
        loop {
            let plain = rest.find(is_special).unwrap_or(rest.len());
            let (run, tail) = rest.split_at(plain);
            self.push_run(run)?;
            let mut chars = tail.chars();
            let Some(special) = chars.next() else { return Ok(()) };
            rest = chars.as_str();
            match special {
                '\n' if self.after_cr => self.after_cr = false,
                '\n' | '\u{2028}' | '\u{2029}' => self.line_end()?,
                '\r' => {
                    self.line_end()?;
                    self.after_cr = true;
                }
                _ => self.push_run(REPLACEMENT.encode_utf8(&mut [0; 4]))?,
            }
        }
    }

    /// Adds bytes as a header's value is shown ([`escape::push_bytes`]).
    pub(crate) fn push_escaped(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let mut piece_text = String::new();
        bytes.chunks(ESCAPED_AT_ONCE_BYTES).try_for_each(|piece| {
            piece_text.clear();
            escape::push_bytes(&mut piece_text, piece);
            self.push(&piece_text)
        })
    }

    /// Adds a line end and `indent` spaces.
    pub(crate) fn line_end_and_indent(&mut self, indent: usize) -> Result<(), Full> {
        self.line_end()?;
        self.spaces(indent)
    }

    /// Adds so many spaces; one only after [`Self::join_next_line`] said that they are not the beginning of a line.
    pub(crate) fn spaces(&mut self, count: usize) -> Result<(), Full> {
        let mut left = if self.joined.take().is_some_and(|joined| joined == count) { 1 } else { count };
        while left > 0 {
            let piece = left.min(SPACES.len());
            self.push_run(SPACES.get(..piece).unwrap_or(SPACES))?;
            left -= piece;
        }
        Ok(())
    }

    /// What comes next with an indent of so many spaces stands on the line that has begun: `- a: 1`.
    pub(crate) const fn join_next_line(&mut self, indent: usize) {
        self.joined = Some(indent);
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }

    /// Adds text without special characters.
    fn push_run(&mut self, run: &str) -> Result<(), Full> {
        if run.is_empty() {
            return Ok(());
        }
        self.after_cr = false;
        if self.lines_left == 0 {
            return Err(Full);
        }
        let room = self.bytes_max - self.text.len();
        if run.len() <= room {
            self.text.push_str(run);
            return Ok(());
        }
        self.text.push_str(run.get(..run.floor_char_boundary(room)).unwrap_or_default());
        Err(Full)
    }

    fn line_end(&mut self) -> Result<(), Full> {
        self.after_cr = false;
        if self.lines_left == 0 || self.text.len() >= self.bytes_max {
            return Err(Full);
        }
        self.lines_left -= 1;
        self.text.push('\n');
        Ok(())
    }
}

const fn is_special(c: char) -> bool {
    (is_control(c) && c != '\t') || matches!(c, '\u{2028}' | '\u{2029}')
}

const ESCAPED_AT_ONCE_BYTES: usize = 4096;
const SPACES: &str = "                                                                ";

#[cfg(test)]
mod tests {
    use super::*;

    fn page(lines_max: usize, text_bytes_max: usize, pieces: &[&str]) -> (String, bool) {
        let mut page = Page::new(&Limits { lines_max, text_bytes_max, ..Limits::default() });
        let full = pieces.iter().try_for_each(|piece| page.push(piece)).is_err();
        (page.into_text(), full)
    }

    #[test]
    fn line_ends_are_one_kind_and_controls_are_dots() {
        let (text, full) = page(99, 99, &["a\tb\r", "\nc\rd\u{2028}e\x1b[1m\u{9b}\x7f\r\r", "x", "\n"]);
        assert_eq!((text.as_str(), full), ("a\tb\nc\nd\ne.[1m..\n\nx\n", false));
    }

    #[test]
    fn is_full_only_if_there_is_more() {
        assert_eq!(page(2, 99, &["a\nb\n"]), ("a\nb\n".into(), false));
        assert_eq!(page(2, 99, &["a\nb\nc"]), ("a\nb\n".into(), true));
        assert_eq!(page(2, 99, &["a\nb\n\n"]), ("a\nb\n".into(), true));
        assert_eq!(page(2, 99, &["a\r\nb\r\n"]), ("a\nb\n".into(), false));
        assert_eq!(page(9, 3, &["abc"]), ("abc".into(), false));
        assert_eq!(page(9, 3, &["aää"]), ("aä".into(), true));
        assert_eq!(page(9, 3, &["abc\n"]), ("abc".into(), true));
    }
}
