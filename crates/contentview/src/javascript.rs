//! The view `javascript`: a statement a line, blocks indented by two spaces. Only white space outside of strings, comments and
//! regular expressions changes.
//!
//! It is for reading, not for running: lines end behind `;`, `{` and `}` whatever they are part of, but not inside of parentheses.
//! Differs from mitmproxy in where exactly lines end, and that strings and comments stay as they are.

use crate::page::{Full, Page};
use crate::scan::{self, Piece};

/// Shows a program.
pub(crate) fn render(text: &str, page: &mut Page) -> Result<(), Full> {
    let mut out = Writer { page, open: Vec::new(), line: Line::Start };
    for piece in scan::javascript(text) {
        match piece {
            Piece::Kept(text) => out.put(text)?,
            Piece::Comment(text) => {
                out.put(text)?;
                if text.starts_with("//") {
                    out.end_line()?;
                }
            }
            Piece::Space => out.space(),
            Piece::Mark('\n') => out.end_line()?,
            Piece::Mark('{') => {
                out.space();
                out.put("{")?;
                out.open('{');
                out.end_line()?;
            }
            Piece::Mark('}') => {
                out.end_line()?;
                out.close('{');
                out.put("}")?;
                out.line = Line::AfterBlock;
            }
            Piece::Mark('(') => {
                out.put("(")?;
                out.open('(');
            }
            Piece::Mark(')') => {
                out.close('(');
                out.put(")")?;
            }
            Piece::Mark(';') => {
                out.put(";")?;
                // But not between the parts of `for (;;)`.
                if out.open.last() != Some(&'(') {
                    out.end_line()?;
                }
            }
            Piece::Mark(mark) => out.put(mark.encode_utf8(&mut [0; 4]))?,
        }
    }
    out.end_line()
}

struct Writer<'p> {
    page: &'p mut Page,
    /// The brackets that are open, as many as count.
    open: Vec<char>,
    line: Line,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Line {
    Start,
    Within,
    /// A space is due before what follows.
    Space,
    /// The block has ended: what follows begins a line unless it belongs to it.
    AfterBlock,
}

impl Writer<'_> {
    fn put(&mut self, text: &str) -> Result<(), Full> {
        if self.line == Line::AfterBlock {
            if text.starts_with([';', ',', ')', ']', '.', '(', '}']) {
                self.line = Line::Within;
            } else {
                self.end_line()?;
            }
        }
        match self.line {
            Line::Start => {
                let depth = self.open.iter().filter(|bracket| **bracket == '{').count();
                self.page.spaces(INDENT * depth)?;
            }
            Line::Space => self.page.push(" ")?,
            Line::Within | Line::AfterBlock => {}
        }
        self.line = Line::Within;
        self.page.push(text)
    }

    fn space(&mut self) {
        if self.line == Line::Within {
            self.line = Line::Space;
        }
    }

    fn end_line(&mut self) -> Result<(), Full> {
        if self.line != Line::Start {
            self.page.push("\n")?;
            self.line = Line::Start;
        }
        Ok(())
    }

    fn open(&mut self, bracket: char) {
        if self.open.len() < OPEN_MAX {
            self.open.push(bracket);
        }
    }

    fn close(&mut self, bracket: char) {
        if let Some(at) = self.open.iter().rposition(|open| *open == bracket) {
            self.open.truncate(at);
        }
    }
}

const INDENT: usize = 2;
/// Brackets inside each other that are told apart.
const OPEN_MAX: usize = 64;
