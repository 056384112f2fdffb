//! The grammar. `!` binds tighter than `&`, `&` tighter than `|`, and what stands beside each other without an operator is
//! joined by "and" last of all: `a | b c` is `(a | b) & c`.
//!
//! Every character is read once, whatever the nesting. Recursion is bounded by [`DEPTH_MAX`].

use std::ops::Range;

use flowgate_pattern::{Regex, Search};

use crate::error::{FilterError, FilterFault};
use crate::expr::{Bounds, Expr, Fact, Half, Status, Test};
use crate::filter::Case;
use crate::limits::{DEPTH_MAX, FILTER_BYTES_MAX, SEARCH_STEPS_MAX};
use crate::operators::{self, Make, Operator};
use crate::scan::{Scanner, Word, is_word};

pub(crate) fn parse(text: &str, case: Case) -> Result<Expr, FilterError> {
    let scanner = Scanner::new(text);
    if text.len() > FILTER_BYTES_MAX {
        return Err(scanner.error(FILTER_BYTES_MAX, FilterFault::TooLong));
    }
    let mut parser = Parser { scanner, case, depth: 0 };
    let Some(expr) = parser.beside_each_other()? else {
        return Err(parser.scanner.error(0, FilterFault::Empty));
    };
    match parser.scanner.peek() {
        None => Ok(expr),
        Some(_) => Err(parser.error_here(FilterFault::UnbalancedParenthesis)),
    }
}

struct Parser<'t> {
    scanner: Scanner<'t>,
    case: Case,
    depth: usize,
}

type Parse<T> = Result<T, FilterError>;

/// Makes a range that begins or ends at a number.
type Compare<T> = fn(&T) -> Bounds<T>;

impl Parser<'_> {
    /// Reads up to `)` or the end; `None` if there is nothing.
    fn beside_each_other(&mut self) -> Parse<Option<Expr>> {
        let mut all = Vec::new();
        while self.scanner.skip_space().is_some_and(|next| next != ')') {
            all.push(self.either()?);
        }
        Ok(joined(all, Expr::And))
    }

    fn either(&mut self) -> Parse<Expr> {
        let first = self.both()?;
        let rest = self.operands('|', Self::both)?;
        Ok(with_rest(first, rest, Expr::Or))
    }

    fn both(&mut self) -> Parse<Expr> {
        let first = self.negated()?;
        let rest = self.operands('&', Self::negated)?;
        Ok(with_rest(first, rest, Expr::And))
    }

    /// Reads what follows each `operator`.
    fn operands(&mut self, operator: char, read: fn(&mut Self) -> Parse<Expr>) -> Parse<Vec<Expr>> {
        let mut operands = Vec::new();
        while self.scanner.skip_space() == Some(operator) {
            let at = self.scanner.at();
            self.scanner.eat(operator);
            self.must_follow(operator, at)?;
            operands.push(read(self)?);
        }
        Ok(operands)
    }

    fn negated(&mut self) -> Parse<Expr> {
        self.scanner.skip_space();
        let at = self.scanner.at();
        if !self.scanner.eat('!') {
            return self.atom();
        }
        self.must_follow('!', at)?;
        let inner = self.deeper(at, Self::negated)?;
        Ok(Expr::Not(Box::new(inner)))
    }

    /// Differs from mitmproxy, where an operator with nothing behind it is a pattern: `a &` is `a & "&"` there.
    fn must_follow(&mut self, operator: char, at: usize) -> Parse<()> {
        match self.scanner.skip_space() {
            None | Some(')') => Err(self.scanner.error(at, FilterFault::NothingFollows { operator })),
            Some(_) => Ok(()),
        }
    }

    fn deeper<T>(&mut self, at: usize, read: impl FnOnce(&mut Self) -> Parse<T>) -> Parse<T> {
        if self.depth == DEPTH_MAX {
            return Err(self.scanner.error(at, FilterFault::TooDeep));
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn atom(&mut self) -> Parse<Expr> {
        let start = self.scanner.at();
        match self.scanner.peek() {
            Some('(') => self.group(start),
            Some(')') => Err(self.error_here(FilterFault::UnbalancedParenthesis)),
            Some('~') => {
                let test = self.operator(start)?;
                Ok(Expr::Test { test, at: self.since(start) })
            }
            _ => {
                let Some(word) = self.scanner.word()? else {
                    return Err(self.error_here(FilterFault::Empty));
                };
                let test = self.found(Fact::Url, word)?;
                Ok(Expr::Test { test, at: self.since(start) })
            }
        }
    }

    /// Differs from mitmproxy, where parentheses hold no expressions beside each other: `(a b)` is refused there.
    fn group(&mut self, start: usize) -> Parse<Expr> {
        self.scanner.eat('(');
        let inner = self.deeper(start, Self::beside_each_other)?;
        if !self.scanner.eat(')') {
            return Err(self.scanner.error(start, FilterFault::UnclosedParenthesis));
        }
        inner.ok_or_else(|| self.scanner.error(start, FilterFault::EmptyParentheses))
    }

    fn operator(&mut self, start: usize) -> Parse<Test> {
        self.scanner.eat('~');
        let name = self.scanner.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
        let operator = operators::find(name).filter(|_| self.name_ends());
        let Some(operator) = operator else {
            let more = self.scanner.take_while(|c| is_word(c) && c.is_ascii());
            let name = format!("{name}{more}");
            let suggestion = operators::nearest(&name);
            return Err(self.scanner.error(start, FilterFault::UnknownOperator { name, suggestion }));
        };
        match &operator.make {
            Make::Test(make) => Ok(make()),
            Make::Regex(fact) => {
                let word = self.argument(operator, start)?;
                self.found(*fact, word)
            }
            Make::Status => self.status(operator, start).map(Test::Status),
            Make::Size(half) => self.size(operator, *half, start),
            Make::Duration => self.duration(operator, start),
        }
    }

    /// Whether an operator's name may end here. Differs from mitmproxy, where only white space, the end, or a character
    /// beyond ASCII may follow, so that `(~q)` and `~q&~s` are refused.
    fn name_ends(&self) -> bool {
        self.scanner
            .peek()
            .is_none_or(|next| !next.is_ascii_graphic() || matches!(next, '(' | ')' | '&' | '|' | '"' | '\''))
    }

    /// The word behind an operator.
    fn argument(&mut self, operator: &Operator, start: usize) -> Parse<Word> {
        self.scanner.skip_space();
        let missing = FilterFault::MissingArgument { operator: operator.name, argument: operator.argument };
        self.scanner.word()?.ok_or_else(|| self.scanner.error(start, missing))
    }

    fn found(&self, fact: Fact, word: Word) -> Parse<Test> {
        let only_operators = word.text.chars().all(|c| matches!(c, '&' | '|' | '!'));
        if !word.quoted && only_operators {
            // Differs from mitmproxy, where `a && b` is `a & "&"` beside `b`.
            return Err(self.scanner.error(word.start, FilterFault::OperatorAsPattern { found: word.text }));
        }
        let search = Search {
            flavour: fact.flavour(),
            ignore_case: self.case == Case::Ignored,
            steps_max: SEARCH_STEPS_MAX,
        };
        let Word { text, start, as_written, .. } = word;
        Regex::new(&text, search).map(|regex| Test::Found(fact, regex)).map_err(|error| {
            let within = match (as_written, search.flavour.bytes) {
                (false, _) => 0,
                (true, true) => error.position,
                (true, false) => text.chars().take(error.position).map(char::len_utf8).sum(),
            };
            self.scanner.error(start + within, FilterFault::Pattern { pattern: text, fault: error.fault })
        })
    }

    /// Differs from mitmproxy, where `~c 20y` is `~c 20` beside the pattern `y`, and `~c 2xx` likewise.
    fn status(&mut self, operator: &Operator, start: usize) -> Parse<Status> {
        let word = self.number(operator, start)?;
        let class = word.text.strip_suffix("xx").and_then(|first| first.parse().ok());
        if let Some(class) = class.filter(|class| (1..=9).contains(class)) {
            return Ok(Status::Class(class));
        }
        if word.text.is_empty() || !word.text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(self.bad(operator, word));
        }
        // No response has a status that large.
        Ok(Status::Is(word.text.parse().unwrap_or(u64::MAX)))
    }

    fn size(&mut self, operator: &Operator, half: Half, start: usize) -> Parse<Test> {
        let (compare, word) = self.bounds(operator, start)?;
        let lower = word.text.to_ascii_lowercase();
        let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let factor = match lower.get(digits.len()..) {
            Some("" | "b") => Some(1),
            Some("k") => Some(1 << 10),
            Some("m") => Some(1 << 20),
            Some("g") => Some(1 << 30),
            Some("t") => Some(1_u64 << 40),
            _ => None,
        };
        match factor.and_then(|factor| digits.parse::<u64>().ok()?.checked_mul(factor)) {
            Some(bytes) => Ok(Test::Size(half, compare(&bytes))),
            None => Err(self.bad(operator, word)),
        }
    }

    fn duration(&mut self, operator: &Operator, start: usize) -> Parse<Test> {
        let (compare, word) = self.bounds(operator, start)?;
        let lower = word.text.to_ascii_lowercase();
        let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let factor = match lower.get(digits.len()..) {
            Some("" | "s") => Some(1.0),
            Some("ms") => Some(0.001),
            Some("m") => Some(60.0),
            Some("h") => Some(3_600.0),
            _ => None,
        };
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        match factor.filter(|_| is_number).and_then(|factor| Some(digits.parse::<f64>().ok()? * factor)) {
            Some(seconds) => Ok(Test::Duration(compare(&seconds))),
            None => Err(self.bad(operator, word)),
        }
    }

    /// Reads `>`, `>=`, `<`, `<=`, `=` or nothing, and the number behind it.
    fn bounds<T: Copy>(&mut self, operator: &Operator, start: usize) -> Parse<(Compare<T>, Word)> {
        self.scanner.skip_space();
        let compare: Compare<T> = match self.scanner.take_while(|c| matches!(c, '<' | '>' | '=')) {
            ">" => |n| Bounds::Above(*n),
            ">=" => |n| Bounds::AtLeast(*n),
            "<" => |n| Bounds::Below(*n),
            "<=" => |n| Bounds::AtMost(*n),
            "" | "=" | "==" => |n| Bounds::Is(*n),
            other => {
                let found = other.to_owned();
                return Err(self.scanner.error(start, bad_argument(operator, found)));
            }
        };
        Ok((compare, self.number(operator, start)?))
    }

    /// A word that ends before `&` and `|`, which no number has.
    fn number(&mut self, operator: &Operator, start: usize) -> Parse<Word> {
        self.scanner.skip_space();
        let at = self.scanner.at();
        let text = self.scanner.take_while(|c| is_word(c) && !matches!(c, '&' | '|')).to_owned();
        if text.is_empty() {
            let missing =
                FilterFault::MissingArgument { operator: operator.name, argument: operator.argument };
            return Err(self.scanner.error(start, missing));
        }
        Ok(Word { text, start: at, as_written: true, quoted: false })
    }

    fn bad(&self, operator: &Operator, word: Word) -> FilterError {
        self.scanner.error(word.start, bad_argument(operator, word.text))
    }

    fn since(&self, start: usize) -> Range<usize> {
        start..self.scanner.at()
    }

    fn error_here(&self, fault: FilterFault) -> FilterError {
        self.scanner.error(self.scanner.at(), fault)
    }
}

const fn bad_argument(operator: &Operator, found: String) -> FilterFault {
    FilterFault::BadArgument { operator: operator.name, argument: operator.argument, found }
}

fn with_rest(first: Expr, mut rest: Vec<Expr>, join: fn(Vec<Expr>) -> Expr) -> Expr {
    if rest.is_empty() {
        return first;
    }
    rest.insert(0, first);
    join(rest)
}

fn joined(mut all: Vec<Expr>, join: fn(Vec<Expr>) -> Expr) -> Option<Expr> {
    if all.len() > 1 { Some(join(all)) } else { all.pop() }
}
