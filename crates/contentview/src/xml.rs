//! The view `xml/html`: an element, text or comment a line, two spaces deeper for each level.
//!
//! Takes any input and changes nothing but white space, as mitmproxy does; what is no markup is text. Works through the
//! input once, with two tokens before and behind the one at hand.

use std::collections::VecDeque;

use crate::page::{Full, Page};

/// Shows markup.
pub(crate) fn render(text: &str, page: &mut Page) -> Result<(), Full> {
    let mut tokens = Tokens { rest: text };
    // Two before, the one at hand, two behind.
    let mut window: VecDeque<Option<Token<'_>>> = VecDeque::from([None, None]);
    window.extend((0..3).map(|_| tokens.next()));
    let mut nesting = Nesting::default();
    while let Some(token) = window.get(2).copied().flatten() {
        let near = |at: usize| window.get(at).copied().flatten();
        let inline = is_inline([near(0), near(1), near(2), near(3), near(4)]);
        match token {
            Token::Text(text) if inline => page.push(text.trim())?,
            Token::Text(text) => {
                push_indented(text, nesting.indent, page)?;
                page.push("\n")?;
            }
            Token::Tag(tag) => match Role::of(tag) {
                Role::Opening => {
                    push_indented(tag, nesting.indent, page)?;
                    if !inline {
                        page.push("\n")?;
                    }
                    nesting.open(name(tag));
                }
                Role::Closing => {
                    nesting.close(name(tag));
                    if inline {
                        page.push(tag)?;
                    } else {
                        push_indented(tag, nesting.indent, page)?;
                    }
                    page.push("\n")?;
                }
                Role::Alone => {
                    push_indented(tag, nesting.indent, page)?;
                    page.push("\n")?;
                }
            },
        }
        window.pop_front();
        window.push_back(tokens.next());
    }
    Ok(())
}

#[derive(Clone, Copy, Debug)]
enum Token<'a> {
    /// Between tags, with at least one character that is no white space.
    Text(&'a str),
    /// From `<` to `>`; a comment or CDATA section to its own end; the last one perhaps not to any end.
    Tag(&'a str),
}

struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            let len = if self.rest.starts_with('<') {
                tag_len(self.rest)
            } else {
                self.rest.find('<').unwrap_or(self.rest.len())
            };
            let (piece, rest) = self.rest.split_at(len);
            self.rest = rest;
            if piece.starts_with('<') {
                return Some(Token::Tag(piece));
            }
            if !piece.trim().is_empty() {
                return Some(Token::Text(piece));
            }
        }
    }
}

fn tag_len(text: &str) -> usize {
    let end = match Special::of(text) {
        Some(Special::Comment) => "-->",
        Some(Special::Cdata) => "]]>",
        None => ">",
    };
    text.find(end).map_or(text.len(), |at| at + end.len())
}

enum Special {
    Comment,
    Cdata,
}

impl Special {
    fn of(tag: &str) -> Option<Self> {
        if tag.starts_with("<!--") {
            Some(Self::Comment)
        } else if tag.starts_with("<![CDATA[") {
            Some(Self::Cdata)
        } else {
            None
        }
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Role {
    Opening,
    Closing,
    /// Without content, by its form or by its name.
    Alone,
}

impl Role {
    fn of(tag: &str) -> Self {
        if tag.starts_with("</") {
            Self::Closing
        } else if Special::of(tag).is_some()
            || tag.ends_with("/>")
            || VOID.iter().any(|void| name(tag).eq_ignore_ascii_case(void))
        {
            Self::Alone
        } else {
            Self::Opening
        }
    }
}

/// The name of an element; empty if there is none.
fn name(tag: &str) -> &str {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '-');
    let mut rest = tag;
    while let Some(start) = rest.find(is_of_name) {
        let (_, from) = rest.split_at(start);
        let len = from.find(|c| !is_of_name(c)).unwrap_or(from.len());
        let (run, after) = from.split_at(len);
        if !after.starts_with('=') {
            return run;
        }
        // What stands before `=` is a name up to its last character, by mitmproxy's pattern.
        if len > 1 {
            return run.get(..len - 1).unwrap_or(run);
        }
        rest = after;
    }
    ""
}

/// Text alone between the two tags of one element stays on their line, and so does nothing at all.
fn is_inline([before2, before, token, after, after2]: [Option<Token<'_>>; 5]) -> bool {
    match token {
        Some(Token::Text(_)) => holds_text(before, token, after),
        Some(Token::Tag(_)) => {
            holds_text(before2, before, token)
                || holds_text(token, after, after2)
                || are_pair(token, after)
                || are_pair(before, token)
        }
        None => false,
    }
}

fn holds_text(open: Option<Token<'_>>, text: Option<Token<'_>>, close: Option<Token<'_>>) -> bool {
    matches!(text, Some(Token::Text(text)) if !text.contains('\n')) && are_pair(open, close)
}

fn are_pair(open: Option<Token<'_>>, close: Option<Token<'_>>) -> bool {
    match (open, close) {
        (Some(Token::Tag(open)), Some(Token::Tag(close))) => {
            Role::of(open) == Role::Opening
                && Role::of(close) == Role::Closing
                && name(open).eq_ignore_ascii_case(name(close))
        }
        _ => false,
    }
}

/// The elements that are open, as far as they count.
#[derive(Default)]
struct Nesting<'a> {
    open: Vec<&'a str>,
    indent: usize,
}

impl<'a> Nesting<'a> {
    fn open(&mut self, name: &'a str) {
        if self.open.len() < OPEN_MAX {
            self.open.push(name);
            self.indent += indent_of(name);
        }
    }

    fn close(&mut self, name: &str) {
        let Some(at) = self.open.iter().rposition(|open| open.eq_ignore_ascii_case(name)) else { return };
        let closed: usize = self.open.drain(at..).map(indent_of).sum();
        self.indent = self.indent.saturating_sub(closed);
    }
}

fn indent_of(name: &str) -> usize {
    if NOT_INDENTED.iter().any(|other| name.eq_ignore_ascii_case(other)) { 0 } else { INDENT }
}

/// Text of several lines without the white space that all of them begin with, behind an indent of our own.
fn push_indented(text: &str, indent: usize, page: &mut Page) -> Result<(), Full> {
    let blank = |line: &str| line.trim_matches([' ', '\t']).is_empty();
    let leading = |line: &str| line.len() - line.trim_start_matches([' ', '\t']).len();
    // The first line has no say: where it stood depends on what was before it.
    let margin = text
        .split('\n')
        .skip(1)
        .filter(|line| !blank(line))
        .map(|line| line.get(..leading(line)).unwrap_or_default())
        .reduce(common)
        .filter(|margin| margin.bytes().all(|byte| byte == b' '))
        .map_or(0, |margin| margin.len().min(MARGIN_MAX));
    let mut lines = text.trim().split('\n');
    push_line(lines.next().unwrap_or_default(), indent, page)?;
    for line in lines {
        page.push("\n")?;
        if !blank(line) {
            push_line(line.get(margin..).unwrap_or_default(), indent, page)?;
        }
    }
    Ok(())
}

fn push_line(line: &str, indent: usize, page: &mut Page) -> Result<(), Full> {
    if line.trim().is_empty() {
        return page.push(line);
    }
    page.push(SPACES.get(..indent.min(SPACES.len())).unwrap_or(SPACES))?;
    page.push(line)
}

/// What two beginnings have in common.
fn common<'a>(one: &'a str, other: &str) -> &'a str {
    let len = one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    one.get(..len).unwrap_or_default()
}

/// Elements that have no end tag (WHATWG HTML §13.1.2).
const VOID: [&str; 15] = [
    "area", "base", "br", "col", "embed", "hr", "img", "input", "keygen", "link", "meta", "param", "source",
    "track", "wbr",
];
/// Elements whose content is not indented.
const NOT_INDENTED: [&str; 3] = ["xml", "doctype", "html"];
const INDENT: usize = 2;
/// Elements inside each other that are told apart; as many spaces of white space in front of lines are taken away.
const OPEN_MAX: usize = 17;
const MARGIN_MAX: usize = 32;
const SPACES: &str = "                                ";
