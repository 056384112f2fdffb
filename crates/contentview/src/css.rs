//! The view `viewcss` (mitmproxy's name): style sheets with a declaration a line. Only white space outside of strings and comments
//! changes, so what a style sheet means stays.
//!
//! Differs from mitmproxy: rules inside of others (`@media`) are indented, and strings and comments stay as they are.

use crate::page::{Full, Page};
use crate::scan::{self, Piece};

/// Shows a style sheet.
pub(crate) fn render(text: &str, page: &mut Page) -> Result<(), Full> {
    let mut out = Writer { page, depth: 0, line: Line::Start };
    let mut pieces = scan::css(text);
    while let Some(piece) = pieces.next() {
        match piece {
            Piece::Kept(text) => out.put(text)?,
            Piece::Comment(text) => {
                out.put(text)?;
                out.end_line()?;
            }
            Piece::Space => out.space(),
            Piece::Mark('{') => {
                out.space();
                out.put("{")?;
                out.end_line()?;
                out.depth += 1;
            }
            Piece::Mark('}') => {
                out.end_line()?;
                out.depth = out.depth.saturating_sub(1);
                out.put("}")?;
                out.end_line()?;
                if out.depth == 0 {
                    out.page.push("\n")?;
                }
            }
            Piece::Mark(';') => {
                out.drop_space();
                out.put(";")?;
                out.end_line()?;
            }
            Piece::Mark(',') => {
                out.drop_space();
                out.put(",")?;
                out.space();
            }
            // In a selector it is a part of a name.
            Piece::Mark(':') if pieces.is_in_declaration() => {
                out.drop_space();
                out.put(":")?;
                out.space();
            }
            Piece::Mark(mark) => out.put(mark.encode_utf8(&mut [0; 4]))?,
        }
    }
    out.end_line()
}

struct Writer<'p> {
    page: &'p mut Page,
    depth: usize,
    line: Line,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Line {
    /// Nothing stands on it.
    Start,
    /// Something does.
    Within,
    /// Something does, and a space is due before what follows.
    Space,
}

impl Writer<'_> {
    fn put(&mut self, text: &str) -> Result<(), Full> {
        match self.line {
            Line::Start => self.page.spaces(INDENT * self.depth.min(DEPTH_SHOWN_MAX))?,
            Line::Within => {}
            Line::Space => self.page.push(" ")?,
        }
        self.line = Line::Within;
        self.page.push(text)
    }

    fn space(&mut self) {
        if self.line == Line::Within {
            self.line = Line::Space;
        }
    }

    fn drop_space(&mut self) {
        if self.line == Line::Space {
            self.line = Line::Within;
        }
    }

    fn end_line(&mut self) -> Result<(), Full> {
        if self.line != Line::Start {
            self.page.push("\n")?;
            self.line = Line::Start;
        }
        Ok(())
    }
}

const INDENT: usize = 4;
/// Deeper nesting is not indented further.
const DEPTH_SHOWN_MAX: usize = 16;
