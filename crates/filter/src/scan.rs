//! The characters of a filter: white space, words, quoted texts. What they mean together is in `parse`.

use crate::error::{FilterError, FilterFault};

/// A place in a filter's text.
pub(crate) struct Scanner<'t> {
    text: &'t str,
    at: usize,
}

/// A word, or what stood between quotes.
pub(crate) struct Word {
    pub(crate) text: String,
    /// Where its first character stands; where it differs from what was written, a position in it means little.
    pub(crate) start: usize,
    pub(crate) as_written: bool,
    pub(crate) quoted: bool,
}

impl<'t> Scanner<'t> {
    pub(crate) const fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(crate) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(crate) fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    /// Goes to the next character that is no white space, and gives it.
    pub(crate) fn skip_space(&mut self) -> Option<char> {
        self.take_while(is_space);
        self.peek()
    }

    pub(crate) fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let len = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        self.at += len;
        rest.get(..len).unwrap_or_default()
    }

    /// A word, or a text in quotes; `None` if neither begins here.
    pub(crate) fn word(&mut self) -> Result<Option<Word>, FilterError> {
        let start = self.at;
        match self.peek() {
            Some(quote @ ('"' | '\'')) => self.quoted(quote).map(Some),
            _ => {
                let text = self.take_while(is_word).to_owned();
                Ok((!text.is_empty()).then_some(Word { text, start, as_written: true, quoted: false }))
            }
        }
    }

    /// Reads a text in quotes. A backslash is dropped and what follows it kept, but `\t`, `\n`, `\f` and `\r` are what
    /// they are elsewhere. So `"\d"` is `d`, and `"\\d"` is a digit: as in mitmproxy.
    fn quoted(&mut self, quote: char) -> Result<Word, FilterError> {
        let opening = self.at;
        self.at += quote.len_utf8();
        let start = self.at;
        let mut text = String::new();
        let mut as_written = true;
        loop {
            let Some(next) = self.peek().filter(|next| !matches!(next, '\n' | '\r')) else {
                return Err(self.error(opening, FilterFault::UnterminatedQuote));
            };
            let tab_at = self.at;
            self.at += next.len_utf8();
            match next {
                _ if next == quote => return Ok(Word { text, start, as_written, quoted: true }),
                '\\' => {
                    as_written = false;
                    let Some(escaped) = self.peek().filter(|next| *next != '\n') else { continue };
                    self.at += escaped.len_utf8();
                    text.push(match escaped {
                        't' => '\t',
                        'n' => '\n',
                        'f' => '\u{c}',
                        'r' => '\r',
                        other => other,
                    });
                }
                '\t' => {
                    // mitmproxy's parser turns tabs into spaces before it reads anything.
                    as_written = false;
                    text.extend(std::iter::repeat_n(' ', TAB_COLUMNS - self.column_of(tab_at) % TAB_COLUMNS));
                }
                other => text.push(other),
            }
        }
    }

    /// The column within its line, tabs counted as the spaces they become.
    fn column_of(&self, at: usize) -> usize {
        let before = self.text.get(..at).unwrap_or_default();
        before.chars().fold(0, |column, c| match c {
            '\n' | '\r' => 0,
            '\t' => column + TAB_COLUMNS - column % TAB_COLUMNS,
            _ => column + 1,
        })
    }

    pub(crate) fn error(&self, offset: usize, fault: FilterFault) -> FilterError {
        let before = self.text.get(..offset).unwrap_or(self.text);
        FilterError { offset, column: before.chars().count() + 1, fault }
    }
}

pub(crate) const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\n' | '\t' | '\r')
}

/// Whether a character may stand in a word without quotes.
pub(crate) const fn is_word(c: char) -> bool {
    !is_space(c) && !matches!(c, '(' | ')' | '~' | '\'' | '"')
}

const TAB_COLUMNS: usize = 8;
