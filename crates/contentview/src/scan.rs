//! Style sheets and programs in pieces: what has to stay as it is, white space, and the marks by which lines are made.
//!
//! Not a parser: it knows strings, comments and (by what stands before them) regular expressions. One pass, whatever comes.

/// A piece of a text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Piece<'a> {
    /// Stays as it is: words, operators, strings.
    Kept(&'a str),
    /// With its delimiters.
    Comment(&'a str),
    /// White space, also several characters of it.
    Space,
    /// A character that lines are made by. A line end is one for programs only.
    Mark(char),
}

/// The pieces of a style sheet (CSS Syntax 3 §4).
pub(crate) const fn css(text: &str) -> Scanner<'_> {
    Scanner::new(text, &['{', '}', ';', ',', ':'], Language::Css)
}

/// The pieces of a program (ECMA-262 §12).
pub(crate) const fn javascript(text: &str) -> Scanner<'_> {
    Scanner::new(text, &['{', '}', ';', '(', ')'], Language::JavaScript)
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Language {
    Css,
    JavaScript,
}

/// The pieces of a text, one by one.
pub(crate) struct Scanner<'a> {
    rest: &'a str,
    marks: &'static [char],
    language: Language,
    /// The last character that was no white space.
    before: char,
    /// For each delimiter, how much text is left where it is worth looking for its end again: so none is looked for twice.
    hopeless: [usize; 4],
    /// How much text is left at the next brace, and whether it closes; looked for when it was passed.
    brace: Option<(usize, bool)>,
}

impl<'a> Iterator for Scanner<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let first = self.rest.chars().next()?;
        if first.is_whitespace() {
            let len = self.rest.len() - self.rest.trim_start().len();
            let space = self.cut(len);
            let ends_line = self.language == Language::JavaScript && space.contains(['\n', '\r']);
            return Some(if ends_line { Piece::Mark('\n') } else { Piece::Space });
        }
        let before = std::mem::replace(&mut self.before, first);
        if self.rest.starts_with("/*") {
            self.before = before;
            let len =
                self.rest.get(2..).and_then(|rest| rest.find("*/")).map_or(self.rest.len(), |at| at + 4);
            return Some(Piece::Comment(self.cut(len)));
        }
        let is_javascript = self.language == Language::JavaScript;
        if is_javascript && self.rest.starts_with("//") {
            self.before = before;
            let len = self.rest.find(['\n', '\r']).unwrap_or(self.rest.len());
            return Some(Piece::Comment(self.cut(len)));
        }
        if self.marks.contains(&first) {
            self.cut(first.len_utf8());
            return Some(Piece::Mark(first));
        }
        let len = match first {
            '"' => self.quoted_len(0, '"', false),
            '\'' => self.quoted_len(1, '\'', false),
            '`' if is_javascript => self.quoted_len(2, '`', true),
            // After a value it divides.
            '/' if is_javascript && !is_value_end(before) => self.regex_len(),
            // What is escaped begins nothing.
            '\\' => self.rest.chars().nth(1).map(|next| 1 + next.len_utf8()),
            _ => None,
        };
        let len = len.unwrap_or_else(|| self.word_len(first));
        let kept = self.cut(len);
        self.before = kept.chars().next_back().unwrap_or(first);
        Some(Piece::Kept(kept))
    }
}

impl<'a> Scanner<'a> {
    const fn new(text: &'a str, marks: &'static [char], language: Language) -> Self {
        Self { rest: text, marks, language, before: ' ', hopeless: [usize::MAX; 4], brace: None }
    }

    /// Whether the next brace closes a block, so that this is inside of one that holds no other.
    pub(crate) fn is_in_declaration(&mut self) -> bool {
        if self.brace.is_none_or(|(left, _)| left > self.rest.len()) {
            let at = self.rest.find(['{', '}']).unwrap_or(self.rest.len());
            let closes = self.rest.get(at..).is_some_and(|rest| rest.starts_with('}'));
            self.brace = Some((self.rest.len() - at, closes));
        }
        self.brace.is_some_and(|(_, closes)| closes)
    }

    fn cut(&mut self, len: usize) -> &'a str {
        let (piece, rest) = self.rest.split_at_checked(len).unwrap_or((self.rest, ""));
        self.rest = rest;
        piece
    }

    /// Up to the next character that means something.
    fn word_len(&self, first: char) -> usize {
        let from = first.len_utf8();
        let is_special = |c: char| {
            c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '/' | '\\') || self.marks.contains(&c)
        };
        let rest = self.rest.get(from..).unwrap_or_default();
        from + rest.find(is_special).unwrap_or(rest.len())
    }

    /// The length of a string with its quotes; `None` if it has no end on its line, so that the quote was none.
    fn quoted_len(&mut self, at: usize, quote: char, many_lines: bool) -> Option<usize> {
        let mut escaped = false;
        self.len_to(at, |c| match c {
            _ if escaped => {
                escaped = false;
                End::Not
            }
            '\\' => {
                escaped = true;
                End::Not
            }
            '\n' if !many_lines => End::Missing,
            c if c == quote => End::Here,
            _ => End::Not,
        })
    }

    /// The length of a regular expression, without its flags.
    fn regex_len(&mut self) -> Option<usize> {
        let (mut escaped, mut in_class) = (false, false);
        self.len_to(3, |c| {
            match c {
                '\n' => return End::Missing,
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '[' => in_class = true,
                ']' => in_class = false,
                '/' if !in_class => return End::Here,
                _ => {}
            }
            End::Not
        })
    }

    /// The length up to where `end` says so, behind the first character.
    fn len_to(&mut self, delimiter: usize, mut end: impl FnMut(char) -> End) -> Option<usize> {
        let hopeless = self.hopeless.get_mut(delimiter)?;
        if self.rest.len() > *hopeless {
            return None;
        }
        for (at, c) in self.rest.char_indices().skip(1) {
            match end(c) {
                End::Not => {}
                End::Here => return Some(at + c.len_utf8()),
                End::Missing => {
                    *hopeless = self.rest.len() - at;
                    return None;
                }
            }
        }
        *hopeless = 0;
        None
    }
}

enum End {
    Not,
    Here,
    /// It will not come any more.
    Missing,
}

const fn is_value_end(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | ')' | ']' | '}' | '"' | '\'' | '`')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown<'a>(pieces: impl Iterator<Item = Piece<'a>>) -> String {
        let shown = pieces.map(|piece| match piece {
            Piece::Kept(text) => format!("‹{text}›"),
            Piece::Comment(text) => format!("#{text}#"),
            Piece::Space => "_".to_owned(),
            Piece::Mark(mark) => mark.escape_default().to_string(),
        });
        shown.collect()
    }

    #[test]
    fn pieces_of_programs() {
        for (text, pieces) in [
            ("a = 'x;{' ;", "‹a›_‹=›_‹'x;{'›_;"),
            ("a/b/c", "‹a›‹/b›‹/c›"),
            ("x=/[/;]\\/}/g;", "‹x=›‹/[/;]\\/}/›‹g›;"),
            ("f(/a/)", "‹f›(‹/a/›)"),
            ("`a\n${b;}`;", "‹`a\n${b;}`›;"),
            ("'open\nx'", "‹'open›\\n‹x›‹'›"),
            ("a//b;\nc/*d\n*/e", "‹a›#//b;#\\n‹c›#/*d\n*/#‹e›"),
            ("/*", "#/*#"),
            ("'a\\'b'", "‹'a\\'b'›"),
        ] {
            assert_eq!(shown(javascript(text)), pieces, "{text}");
        }
    }

    #[test]
    fn pieces_of_style_sheets() {
        for (text, pieces) in [
            ("a{b:c;d : 'e;f'}", "‹a›{‹b›:‹c›;‹d›_:_‹'e;f'›}"),
            ("a,b /* } */{}", "‹a›,‹b›_#/* } */#{}"),
            ("a{b:url(//x/y)}", "‹a›{‹b›:‹url(›‹/›‹/x›‹/y)›}"),
        ] {
            assert_eq!(shown(css(text)), pieces, "{text}");
        }
    }
}
